"""``freehold tune``: settings, training data, and models of the house's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from freehold.cli import measured, output, versions
from freehold.cli.common import Json, open_house, passed
from freehold.cli.measure import AllowMissing, Report, Runs, Seed, listed, say_report, write_kept
from freehold.core.errors import UsageError

if TYPE_CHECKING:
    from freehold.house import House
    from freehold.tuning.candidate import Tuned
    from freehold.tuning.hyper import Hyper
    from freehold.tuning.sets import TrainingSet

tune_app = typer.Typer(
    help="Better settings and models for a house, learned from labelled queries and told on others.",
    no_args_is_help=True,
)

Data = Annotated[
    str,
    typer.Option(help="A labelled set (BEIR folder or .jsonl), or a training set of freehold tune data by its name."),
]
Trials = Annotated[int, typer.Option(min=0, help="Settings to try, those of earlier calls included; 0: no search.")]
SamplerOption = Annotated[Literal["tpe", "grid", "random"], typer.Option(help="Which settings to try next.")]
PrunerOption = Annotated[
    Literal["median", "hyperband", "none"], typer.Option(help="Which trials are stopped before their end.")
]
BackendOption = Annotated[Literal["optuna", "ray"], typer.Option(help="Where trials run; ray: on Ray Tune.")]
Workers = Annotated[int, typer.Option(min=1, help="Trials at a time, with --backend ray.")]
Space = Annotated[
    list[str] | None,
    typer.Option("--space", metavar="KEY=RANGE", help="What to search: learning_rate=1e-5..1e-3:log, epochs=1|2|3."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A training setting; repeatable. A wrong key lists them."),
]
MLflow = Annotated[
    str,
    typer.Option("--mlflow", metavar="URI", help="Log the run and register the version at an MLflow server or folder."),
]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")]


@tune_app.command("retrieval")
def tune_retrieval(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="A BEIR folder or a labelled set (.jsonl).")],
    trials: Annotated[int, typer.Option(min=1, help="Settings to try, those of earlier calls included.")] = 100,
    sampler: Annotated[Literal["tpe", "grid"], typer.Option(help="Which settings to try next.")] = "tpe",
    split: Annotated[str, typer.Option(help="Splits to search on; default: train+dev, as far as there are.")] = "",
    held_out: Annotated[str, typer.Option(help="Split to report on; default: test, else dev, else a third.")] = "",
    measure: Annotated[str, typer.Option(help="What is to be best.")] = "nDCG@10",
    p95_ms: Annotated[float | None, typer.Option(min=0.1, help="Limit on the 95th percentile of a search.")] = None,
    chunkers: Annotated[
        str | None, typer.Option(help="KIND:TOKENS, comma-separated; none: as the house; default: all at 128 and 256.")
    ] = None,
    study: Annotated[str, typer.Option(help="Name by which it goes on; default: made of the task.")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the indexes of all chunkers for further trials.")] = False,
    seed: Seed = 0,
    runs: Runs = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Search chunking, fusion and reranking for quality and speed; report on queries that the search never saw."""
    from freehold.measuring import tune as tuning

    measured.check_writable(report, runs and runs / "run")
    request = tuning.Request(
        dataset=data,
        trials=trials,
        sampler=sampler,
        split=split or None,
        held_out=held_out or None,
        measure=measure,
        p95_limit_ms=p95_ms,
        chunkers=None if chunkers is None else () if chunkers == "none" else listed(chunkers),
        study=study,
        keep=keep,
        seed=seed,
        call=passed(context),
    )
    with open_house(context) as house, output.progress_bars() as progress:
        found = tuning.tune_retrieval(house, request, progress=progress)
        write_kept(found.kept, house, runs=runs, report=report)
    measured.print_tuned(found, as_json=as_json)
    say_report(report, as_json=as_json)


@tune_app.command("data")
def tune_data(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="A labelled set: a BEIR folder or .jsonl.")] = None,
    split: Annotated[
        str,
        typer.Option(help="Splits to learn from, for example train+dev; default: train. none: held out as a whole."),
    ] = "",
    feedback: Annotated[Path | None, typer.Option(help="Clicks and thumbs, as JSONL.")] = None,
    traffic: Annotated[bool, typer.Option("--traffic", help="Clicks and thumbs of the house's own query log.")] = False,
    pairs: Annotated[Path | None, typer.Option(help="Pairs of query and passage from elsewhere, as JSONL.")] = None,
    synthetic: Annotated[int, typer.Option(min=0, help="Questions to write for the house's own passages.")] = 0,
    writer: Annotated[
        Literal["auto", "model", "rules"], typer.Option(help="Who writes them; auto: the generator if it is a model.")
    ] = "auto",
    round_trip: Annotated[int, typer.Option(min=1, help="Kept if its passage is among so many hits.")] = 10,
    negatives: Annotated[int, typer.Option(min=0, help="Hard negatives for each query.")] = 8,
    name: Annotated[str, typer.Option(help="Name of the set; default: made of what it is made of.")] = "",
    allow_missing: AllowMissing = False,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms/--no-pseudonyms", help="Put surrogates in the place of people in queries.")
    ] = True,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make a training set: pairs, hard negatives, a dev part that shares nothing with the rest, a sealed manifest."""
    from freehold.journeys.negatives import Mining
    from freehold.tuning import data as preparing

    request = preparing.Request(
        dataset=data,
        split=split or None,
        feedback=feedback,
        traffic=traffic,
        pairs=pairs,
        synthetic=synthetic,
        writer=writer,
        round_trip=round_trip,
        mining=Mining(negatives=negatives),
        name=name,
        allow_missing=allow_missing,
        seed=seed,
    )
    with open_house(context) as house, output.progress_bars() as progress:
        made = preparing.prepare(house, request, progress=progress, pseudonymise=pseudonyms)
    versions.print_training(made, as_json=as_json)


@tune_app.command("adapter")
def tune_adapter(
    context: typer.Context,
    data: Data,
    trials: Trials = 0,
    sampler: SamplerOption = "tpe",
    pruner: PrunerOption = "none",
    backend: BackendOption = "optuna",
    workers: Workers = 1,
    space: Space = None,
    setting: Set = None,
    mlflow: MLflow = "",
    seed: Seed = 0,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Train a small map on query vectors, in seconds to minutes; no document is embedded again."""
    from freehold.train.adapter import AdapterTraining
    from freehold.tuning import adapter
    from freehold.tuning.hyper import settings_of

    measured.check_writable(report)
    request = adapter.Request(
        hyper=_hyper(trials, sampler, pruner, backend, workers, space),
        settings=settings_of(AdapterTraining, setting or ()),
        seed=seed,
        call=passed(context),
    )
    with open_house(context) as house, output.progress_bars() as progress:
        training = _training(house, data, seed, progress)
        tuned = adapter.tune_adapter(house, training, request, progress=progress)
        _finish(house, tuned, mlflow=mlflow, report=report, as_json=as_json)


@tune_app.command("fusion")
def tune_fusion(
    context: typer.Context, data: Data, seed: Seed = 0, report: Report = None, as_json: Json = False
) -> None:
    """Fit the weights of fusion and reranking to labelled queries; nothing is trained."""
    from freehold.tuning import fusion

    measured.check_writable(report)
    with open_house(context) as house, output.progress_bars() as progress:
        training = _training(house, data, seed, progress)
        tuned = fusion.tune_fusion(house, training, seed=seed, call=passed(context), progress=progress)
        _finish(house, tuned, mlflow="", report=report, as_json=as_json)


@tune_app.command("embedder")
def tune_embedder(
    context: typer.Context,
    data: Data,
    base: Annotated[Path | None, typer.Option(help="Folder of the model to start from; default: the house's.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Times through the examples.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Its highest, after warm-up.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Examples a step.")] = None,
    lora_rank: Annotated[int | None, typer.Option(min=0, help="Rank of LoRA matrices; 0: all weights.")] = None,
    setting: Set = None,
    trials: Trials = 0,
    sampler: SamplerOption = "tpe",
    pruner: PrunerOption = "median",
    backend: BackendOption = "optuna",
    workers: Workers = 1,
    space: Space = None,
    device: Device = "cpu",
    mlflow: MLflow = "",
    seed: Seed = 0,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Fine-tune the embedder; it is measured as it would be served, by vectors made beside those that serve."""
    from freehold.tuning import encoder

    measured.check_writable(report)
    given = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size, "lora_rank": lora_rank}
    request = encoder.Request(
        kind="embedder",
        base=base,
        settings=encoder.settings_for("embedder", setting or (), {**given, "device": device, "seed": seed}),
        hyper=_hyper(trials, sampler, pruner, backend, workers, space),
        call=passed(context),
    )
    with open_house(context) as house, output.progress_bars() as progress:
        training = _training(house, data, seed, progress)
        tuned = encoder.tune_encoder(house, training, request, progress=progress)
        _finish(house, tuned, mlflow=mlflow, report=report, as_json=as_json)


@tune_app.command("reranker")
def tune_reranker(
    context: typer.Context,
    data: Data,
    kind: Annotated[
        Literal["late-interaction", "cross-encoder"], typer.Option(help="What it is to be.")
    ] = "late-interaction",
    base: Annotated[Path | None, typer.Option(help="Folder of the model to start from; default: what serves.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Times through the examples.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Its highest, after warm-up.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Examples a step.")] = None,
    lora_rank: Annotated[int | None, typer.Option(min=0, help="Rank of LoRA matrices; 0: all weights.")] = None,
    setting: Set = None,
    trials: Trials = 0,
    sampler: SamplerOption = "tpe",
    pruner: PrunerOption = "median",
    backend: BackendOption = "optuna",
    workers: Workers = 1,
    space: Space = None,
    device: Device = "cpu",
    mlflow: MLflow = "",
    seed: Seed = 0,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Fine-tune a reranker: token vectors (late interaction), or a model that reads query and passage together."""
    from freehold.tuning import encoder

    measured.check_writable(report)
    given = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size, "lora_rank": lora_rank}
    request = encoder.Request(
        kind=kind,
        base=base,
        settings=encoder.settings_for(kind, setting or (), {**given, "device": device, "seed": seed}),
        hyper=_hyper(trials, sampler, pruner, backend, workers, space),
        call=passed(context),
    )
    with open_house(context) as house, output.progress_bars() as progress:
        training = _training(house, data, seed, progress)
        tuned = encoder.tune_encoder(house, training, request, progress=progress)
        _finish(house, tuned, mlflow=mlflow, report=report, as_json=as_json)


@tune_app.command("plan")
def tune_plan(context: typer.Context, data: Data, seed: Seed = 0, as_json: Json = False) -> None:
    """Say what is worth training: where the search fails on the dev part, and how long each would take here."""
    from freehold.tuning.plan import make_plan

    with open_house(context) as house, output.progress_bars() as progress:
        training = _training(house, data, seed, progress)
        plan = make_plan(house, training, progress=progress)
    versions.print_plan(plan, as_json=as_json)


def _hyper(trials: int, sampler: Any, pruner: Any, backend: Any, workers: int, space: list[str] | None) -> Hyper:
    from freehold.tuning.hyper import Hyper

    if space and not trials:
        raise UsageError("--space has nothing to do without --trials", hint="say how many settings to try: --trials 20")
    if workers > 1 and backend != "ray":
        raise UsageError("--workers has nothing to do without Ray", hint="add --backend ray, or leave it out")
    return Hyper(
        trials, sampler, pruner, backend, workers, tuple(part for text in space or () for part in listed(text))
    )


def _training(house: House, data: str, seed: int, progress: Any) -> TrainingSet:
    """The training set of this name, or one made of the labelled set at this path."""
    from freehold.tuning import data as preparing

    if Path(data).exists():
        return preparing.prepare(house, preparing.Request(dataset=Path(data), seed=seed), progress=progress)
    return preparing.open_training(house, data)


def _finish(house: House, tuned: Tuned, *, mlflow: str, report: Path | None, as_json: bool) -> None:
    from freehold.tuning import tracking

    write_kept(tuned.kept, house, runs=None, report=report)
    versions.print_tuned(tuned, as_json=as_json)
    tracking.track_tuned(house, tuned, uri=mlflow)  # last: the version is kept, whatever becomes of this
    if report and not as_json:
        output.out.print(f"report: {escape(str(report))}", soft_wrap=True)
