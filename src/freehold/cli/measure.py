"""The verbs that measure and decide: eval, gate, experiments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from freehold.cli import measured, output
from freehold.cli.common import Json, open_house, passed
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
    named = listed(measures) or measuring.MEASURES
    call = passed(context)
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
        write_kept(kept, house, runs=runs, report=report)
    measured.print_experiment(kept.experiment, as_json=as_json)
    say_report(report, as_json=as_json)


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
            call=passed(context),
            progress=progress,
        )
        write_kept(kept, house, runs=runs, report=report)
    experiment = kept.experiment
    if junit:
        measured.write(junit, measured.junit(experiment))
    measured.print_experiment(experiment, as_json=as_json)
    say_report(report, as_json=as_json)
    assert experiment.verdict is not None
    if experiment.verdict.decision != "passed":
        raise typer.Exit(1)


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
    say_report(report, as_json=as_json)


def write_kept(kept: Kept, house: House, *, runs: Path | None, report: Path | None) -> None:
    """Rankings and report, where they were asked for."""
    if runs:
        for name, data in kept.evaluation.run_files().items():
            measured.write(runs / f"{name}.run", data)
    if report:
        from freehold.measure.report.page import render
        from freehold.measuring.words import detail

        measured.write(report, render(kept.experiment, detail(kept.evaluation, house)).encode())


def say_report(report: Path | None, *, as_json: bool) -> None:
    """Where the report lies."""
    if report and not as_json:
        output.out.print(f"report: {escape(str(report))}", soft_wrap=True)


def listed(text: str) -> tuple[str, ...]:
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
    modes = listed(text)
    for mode in modes:
        if mode not in MODES:
            raise UsageError(f"{mode!r} is no mode", hint=f"--modes takes {', '.join(MODES)}, parted by commas")
    return modes


def _counts(text: str) -> tuple[int, ...]:
    parts = listed(text)
    if not all(part.isdigit() and 0 < int(part) <= 256 for part in parts):
        raise UsageError("--clients takes numbers parted by commas", hint="for example --clients 1,2,4")
    return tuple(int(part) for part in parts)
