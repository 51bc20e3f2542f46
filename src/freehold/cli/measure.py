"""The verbs that measure and decide: eval, gate, tune, experiments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from rich.markup import escape

from freehold.cli import measured, output
from freehold.cli.common import Json, open_house
from freehold.core.errors import UsageError

if TYPE_CHECKING:
    from freehold.house import House
    from freehold.measuring.record import Kept

MODES = ("lexical", "dense", "hybrid")

Split = Annotated[str, typer.Option(help="Split of the set; default: test, else dev, else the only one.")]
Report = Annotated[Path | None, typer.Option(metavar="FILE", help="Write one self-contained HTML page here.")]
Runs = Annotated[Path | None, typer.Option(metavar="DIR", help="Write the rankings here, as TREC run files.")]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Labels on what the house does not hold count as missed.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of every random draw.")]

tune_app = typer.Typer(help="Better settings for a house, found on labelled queries.", no_args_is_help=True)
experiments_app = typer.Typer(help="What was measured: list, show.", no_args_is_help=True)


def evaluate(
    context: typer.Context,
    dataset: Annotated[Path | None, typer.Argument(help="A BEIR folder or a labelled set (.jsonl).")] = None,
    split: Split = "",
    modes: Annotated[str, typer.Option(help="Comma-separated: lexical, dense, hybrid; default: what is served.")] = "",
    rerank: Annotated[
        bool | None, typer.Option("--rerank/--no-rerank", help="Every mode reranked too, or none; default: as served.")
    ] = None,
    measures: Annotated[str, typer.Option(help="Comma-separated names of ir-measures, the headline first.")] = "",
    answers: Annotated[bool, typer.Option("--answers", help="Ask the questions with labelled answers too.")] = False,
    searches: Annotated[int, typer.Option(min=0, help="Single searches timed for each run.")] = 200,
    clients: Annotated[str, typer.Option(help="Throughput with so many clients at once, for example 1,2,4.")] = "",
    compare: Annotated[
        tuple[str, str],
        typer.Option(
            metavar="A B", help="Compare two: experiments (ID or ID:RUN), run files, settings files, houses or live."
        ),
    ] = ("", ""),
    runs: Runs = None,
    report: Report = None,
    allow_missing: AllowMissing = False,
    resamples: Annotated[int, typer.Option(min=1000, help="Bootstrap and permutation resamples.")] = 10_000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure retrieval, and answers with --answers, on labelled questions; or compare two ways of searching."""
    from freehold.measuring import evaluate as measuring
    from freehold.measuring import gate as comparing

    measured.check_writable(report, runs and runs / "run")
    named = _list(measures) or measuring.MEASURES
    call = _passed(context)
    with open_house(context) as house, output.progress_bars() as progress:
        if all(compare):
            ignored = sorted({"modes", "rerank", "answers", "searches", "clients"} & set(call))
            if ignored:
                hint = "measure each side first, then compare the experiments"
                raise UsageError(f"--compare takes no --{ignored[0]}", hint=hint)
            kept = comparing.compare(
                house,
                *compare,
                dataset=dataset,
                split=split or None,
                measures=named,
                allow_missing=allow_missing,
                resamples=resamples,
                seed=seed,
                call=call,
                progress=progress,
            )
        else:
            if dataset is None:
                hint = "give a BEIR folder or a labelled set (.jsonl), or --compare A B"
                raise UsageError("nothing to measure on", hint=hint)
            request = measuring.Request(
                dataset=dataset,
                split=split or None,
                modes=_modes(modes),
                rerank=rerank,
                measures=named,
                searches=searches,
                clients=_counts(clients),
                answers=answers,
                allow_missing=allow_missing,
                resamples=resamples,
                seed=seed,
                call=call,
            )
            kept = measuring.evaluate(house, request, progress=progress)
        _write(kept, house, runs=runs, report=report)
    measured.print_experiment(kept.experiment, as_json=as_json)
    _say_report(report, as_json=as_json)


def gate(
    context: typer.Context,
    candidate: Annotated[str, typer.Argument(help="Settings file, house, experiment (ID or ID:RUN), or run file.")],
    against: Annotated[str, typer.Option(help="What it must not be worse than; named like a candidate.")] = "live",
    data: Annotated[Path | None, typer.Option(help="Labelled set; default: gate.dataset of the settings.")] = None,
    split: Split = "",
    allow_missing: AllowMissing = False,
    runs: Runs = None,
    report: Report = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the verdict as JUnit XML here.")] = None,
    as_json: Json = False,
) -> None:
    """Decide by the rules of [gate] whether a candidate may go live: exit 0 if it passes, 1 if not."""
    from freehold.measuring import gate as gating

    measured.check_writable(report, junit, runs and runs / "run")
    with open_house(context) as house, output.progress_bars() as progress:
        kept = gating.gate(
            house,
            candidate,
            against,
            dataset=data,
            split=split or None,
            allow_missing=allow_missing,
            call=_passed(context),
            progress=progress,
        )
        _write(kept, house, runs=runs, report=report)
    experiment = kept.experiment
    if junit:
        measured.write(junit, measured.junit(experiment))
    measured.print_experiment(experiment, as_json=as_json)
    _say_report(report, as_json=as_json)
    assert experiment.verdict is not None
    if experiment.verdict.decision != "passed":
        raise typer.Exit(1)


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
        chunkers=None if chunkers is None else () if chunkers == "none" else _list(chunkers),
        study=study,
        keep=keep,
        seed=seed,
        call=_passed(context),
    )
    with open_house(context) as house, output.progress_bars() as progress:
        found = tuning.tune_retrieval(house, request, progress=progress)
        _write(found.kept, house, runs=runs, report=report)
    measured.print_tuned(found, as_json=as_json)
    _say_report(report, as_json=as_json)


@experiments_app.command("list")
def experiments_list(context: typer.Context, as_json: Json = False) -> None:
    """The experiments of the house, the newest first."""
    with open_house(context) as house:
        measured.print_experiments(house.experiments.all(), as_json=as_json)


@experiments_app.command("show")
def experiments_show(
    context: typer.Context,
    experiment: Annotated[str, typer.Argument(help="Id, the beginning of one, or latest.")] = "latest",
    report: Report = None,
    as_json: Json = False,
) -> None:
    """One experiment as it was recorded. A report made here holds no words of documents or queries."""
    with open_house(context) as house:
        found = house.experiments.get(experiment)
    if report:
        from freehold.measure.report.page import render

        measured.write(report, render(found).encode())
    measured.print_experiment(found, as_json=as_json)
    _say_report(report, as_json=as_json)


def _write(kept: Kept, house: House, *, runs: Path | None, report: Path | None) -> None:
    if runs:
        for name, data in kept.evaluation.run_files().items():
            measured.write(runs / f"{name}.run", data)
    if report:
        from freehold.measure.report.page import render
        from freehold.measuring.words import detail

        measured.write(report, render(kept.experiment, detail(kept.evaluation, house)).encode())


def _say_report(report: Path | None, *, as_json: bool) -> None:
    if report and not as_json:
        output.out.print(f"report: {escape(str(report))}", soft_wrap=True)


def _list(text: str) -> tuple[str, ...]:
    """Parts between commas that stand in no parentheses: ``nDCG(dcg='exp-log2')@10,P@5``."""
    parts = [""]
    depth = 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return tuple(part.strip() for part in parts if part.strip())


def _modes(text: str) -> tuple[Any, ...]:
    modes = _list(text)
    for mode in modes:
        if mode not in MODES:
            raise UsageError(f"{mode!r} is no mode", hint=f"--modes takes {', '.join(MODES)}, parted by commas")
    return modes


def _counts(text: str) -> tuple[int, ...]:
    parts = _list(text)
    if not all(part.isdigit() and 0 < int(part) <= 256 for part in parts):
        raise UsageError("--clients takes numbers parted by commas", hint="for example --clients 1,2,4")
    return tuple(int(part) for part in parts)


def _passed(context: typer.Context) -> Mapping[str, object]:
    """Options and arguments that stood on the command line."""
    given = {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and name != "as_json":
            given[name] = str(value) if isinstance(value, Path) else value
    return cast("Mapping[str, object]", given)
