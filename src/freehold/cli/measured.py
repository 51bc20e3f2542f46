"""How the command line tells what was measured: tables for people, the record itself for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from rich.table import Table
from rich.text import Text

from freehold.cli.output import many, out, plain_table, print_json
from freehold.core.errors import UsageError
from freehold.core.experiment import (
    AnswerResult,
    Comparison,
    Estimate,
    Experiment,
    Quantiles,
    RunResult,
    Verdict,
)
from freehold.core.records import to_json

if TYPE_CHECKING:
    from freehold.measuring.tune import Found

_STYLE = {"passed": "bold green", "refused": "bold red", "underpowered": "bold yellow"}


def experiment_json(experiment: Experiment) -> dict[str, object]:
    """The record as it is kept, but for the single times."""
    shape: dict[str, object] = to_json(experiment)
    for run in shape["runs"]:  # type: ignore[attr-defined]
        del run["timings_ms"]
    return shape


def print_experiment(experiment: Experiment, *, as_json: bool) -> None:
    """What was measured, run by run, and how the runs compare."""
    if as_json:
        print_json(experiment_json(experiment))
        return
    dataset = experiment.dataset
    out.print(
        f"[bold]{dataset.name}[/], split {dataset.split}: {many(dataset.queries, 'query', 'queries')}, labels on "
        f"{dataset.unit}s" + (f", {dataset.missing} of them missing in the house" if dataset.missing else "")
    )
    out.print(_measures(experiment.runs))
    served = next((run.name for run in experiment.runs if run.served), None)
    if served and len(experiment.runs) > 1:
        out.print(f"* {served} is what the settings serve", style="dim")
    _print_loads(experiment.runs)
    overall = [row for row in experiment.comparisons if not row.slice]
    leading = [row for row in overall if row.run == overall[0].run]
    if leading:
        out.print("\npaired differences, 95 % intervals; * is p < .05 after Holm over measures, slices")
        out.print(differences(leading))
    if experiment.ambiguity:
        told = experiment.ambiguity.signals[0]
        told_by = f"{told.auc:.2f}" + _interval(told.ci95) if told.auc is not None else f"n/a ({told.reason})"
        out.print(
            f"\nambiguity tells the failed queries ({experiment.ambiguity.failure}) with an area under the curve of "
            f"{told_by}; .5 is chance",
            soft_wrap=True,
        )
    if experiment.answers:
        _print_answers(experiment.answers)
    if experiment.verdict:
        out.print()
        print_verdict(experiment.verdict)
    out.print(Text(f"\nexperiment {experiment.id}, {experiment.seconds:.1f} s", style="dim"))


def _measures(runs: Sequence[RunResult]) -> Table:
    """Measures down, runs across: that fits a terminal of eighty columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for run in runs:
        table.add_column(run.name + "*" * run.served, justify="right")
    for row in zip(*(run.measures for run in runs), strict=True):
        table.add_row(row[0].measure, *map(estimate_text, row))
    totals = [run.latency_ms.get("total") for run in runs]
    if any(totals):
        for name in ("p50", "p95"):
            table.add_row(f"{name}, ms", *(_ms(getattr(total, name)) if total else "" for total in totals))
    return table


def estimate_text(estimate: Estimate) -> Text:
    """A value with its interval."""
    if estimate.value is None:
        return Text(f"n/a: {estimate.reason}", style="dim")
    return Text(_number(estimate.value)) + Text(_interval(estimate.ci95), style="dim")


def _interval(ends: tuple[float, float] | None) -> str:
    return f" [{_number(ends[0])}, {_number(ends[1])}]" if ends else ""


def _number(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1f}"


def _print_loads(runs: Iterable[RunResult]) -> None:
    for run in runs:
        for load in run.load:
            latency = load.latency_ms
            out.print(
                f"{run.name}, {many(load.clients, 'client')}: {load.queries_per_s:.1f} queries/s, "
                f"p50 {_ms(latency.p50)} ms, p95 {_ms(latency.p95)} ms, {load.memory_mb:.0f} MB"
            )


def differences(rows: Sequence[Comparison]) -> Table:
    """Paired differences: measures down, pairs of runs across."""
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    pairs = list(dict.fromkeys((row.run, row.base) for row in rows))
    for run, base in pairs:
        table.add_column(f"{run} - {base}", justify="right")
    cells = {(row.run, row.base, row.measure): row for row in rows}
    for measure in dict.fromkeys(row.measure for row in rows):
        table.add_row(measure, *(difference_text(cells[*pair, measure]) for pair in pairs))
    return table


def side_by_side(experiment: Experiment, *, before: str, after: str) -> Table:
    """Two runs and their paired difference, measures down."""
    table = plain_table("on test questions", "as before", "tuned", "difference")
    runs = {run.name: run.measures for run in experiment.runs}
    rows = {row.measure: row for row in experiment.comparisons if not row.slice}
    for old, new in zip(runs[before], runs[after], strict=True):
        row = rows.get(old.measure)
        table.add_row(old.measure, estimate_text(old), estimate_text(new), difference_text(row) if row else "")
    return table


def difference_text(row: Comparison) -> Text:
    """A difference with its interval, starred where it is significant."""
    if row.difference is None:
        return Text(f"n/a: {row.reason}", style="dim")
    star = "*" if row.p_holm is not None and row.p_holm < 0.05 else ""
    ends = f" [{_change(row.ci95[0])}, {_change(row.ci95[1])}]" if row.ci95 else ""
    return Text(f"{_change(row.difference)}{star}", style="bold" if star else "") + Text(ends, style="dim")


def _change(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:+.3f}"


def _print_answers(answers: AnswerResult) -> None:
    out.print(f"\nanswers by {answers.generator} on what {answers.plan} found")
    table = Table(box=None, pad_edge=False, show_header=False)
    for estimate in answers.measures:
        table.add_row(
            estimate.measure, estimate_text(estimate), Text(many(estimate.queries, "query", "queries"), style="dim")
        )
    for judge in answers.judges:
        agreed = "n/a" if judge.agreement is None else _number(judge.agreement) + _interval(judge.ci95)
        kappa = "n/a" if judge.kappa is None else f"{judge.kappa:.2f}"
        table.add_row(f"judge {judge.judge}", f"agrees {agreed}, kappa {kappa}", Text(judge.sample, style="dim"))
    out.print(table)
    total = answers.latency_ms.get("total", Quantiles(None, None, None, 0))
    out.print(f"latency p50 {_ms(total.p50)} ms, p95 {_ms(total.p95)} ms over {total.n} answers")
    for code, count in answers.failed.items():
        out.print(f"[yellow]{count} ended in {code}[/]")


def print_tuned(found: Found, *, as_json: bool) -> None:
    """What a search found, what it is worth on queries that it never saw, and what to do with it."""
    experiment = found.kept.experiment
    if as_json:
        candidate, settings = str(found.candidate), to_json(found.settings)
        print_json({**experiment_json(experiment), "best_settings": settings, "candidate": candidate})
        return
    study = experiment.study
    assert study is not None
    states = Counter(trial.state for trial in study.trials)
    told = ", ".join(f"{count} {state}" for state, count in states.items())
    out.print(
        f"study [bold]{study.name}[/]: {len(study.trials)} trials ({told}) on {study.queries} queries of "
        f"{'+'.join(study.splits)}; what follows is on queries that it never saw",
        soft_wrap=True,
    )
    print_experiment(experiment, as_json=False)
    if not found.settings:
        out.print("\nnothing better than the settings of the house was found")
        return
    out.print("\nbest settings:")
    for key, value in found.settings.items():
        out.print(f"  {key} = {value}")
    leading = experiment.comparisons[0].difference
    if leading is not None and leading <= 0:
        out.print("they are no better on the held-out queries: leave the settings as they are")
    else:
        out.print(f"next: freehold gate {found.candidate}, then put them into freehold.toml", soft_wrap=True)


def print_verdict(verdict: Verdict) -> None:
    """The word, and every check behind it."""
    out.print(Text(verdict.decision.upper(), style=_STYLE[verdict.decision]))
    for check in verdict.checks:
        line = Text(f"  {check.decision:<13}", style=_STYLE[check.decision]) + Text(f"{check.name}  {check.reason}")
        if check.visible_drop is not None:
            line += Text(f"; a drop of {check.visible_drop:.3f} would be seen", style="dim")
        out.print(line, soft_wrap=True)


def junit(experiment: Experiment) -> bytes:
    """A gate's verdict as JUnit XML: a test case for each check. What is underpowered has not passed: it fails too."""
    verdict = experiment.verdict
    assert verdict is not None
    failed = sum(check.decision != "passed" for check in verdict.checks)
    suite = ET.Element(
        "testsuite",
        name=f"freehold gate on {experiment.dataset.name}/{experiment.dataset.split}",
        tests=str(len(verdict.checks)),
        failures=str(failed),
        errors="0",
        skipped="0",
        time=f"{experiment.seconds:.3f}",
        timestamp=experiment.created[:19],
    )
    for check in verdict.checks:
        case = ET.SubElement(suite, "testcase", classname="freehold.gate", name=check.name, time="0")
        if check.decision == "passed":
            ET.SubElement(case, "system-out").text = check.reason
        else:
            ET.SubElement(case, "failure", type=check.decision, message=check.reason)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root) + b"\n"


def print_experiments(experiments: Sequence[Experiment], *, as_json: bool) -> None:
    """The experiments of a house, the newest first."""
    rows = [_row(experiment) for experiment in reversed(experiments)]
    if as_json:
        print_json({"experiments": rows})
        return
    if not rows:
        out.print("no experiment yet: freehold eval DATASET makes one")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("experiment", "kind", "created", "dataset", "queries", "runs", ""):
        table.add_column(column)
    for row in rows:
        told = (str(row["id"])[:8], str(row["kind"]), str(row["created"])[:16], str(row["dataset"]))
        table.add_row(*told, str(row["queries"]), ", ".join(row["runs"]), str(row["verdict"] or ""))
    out.print(table)


def _row(experiment: Experiment) -> dict[str, Any]:
    return {
        "id": experiment.id,
        "kind": experiment.kind,
        "created": experiment.created,
        "dataset": f"{experiment.dataset.name}/{experiment.dataset.split}",
        "queries": experiment.dataset.queries,
        "runs": [run.name for run in experiment.runs],
        "verdict": experiment.verdict.decision if experiment.verdict else None,
    }


def check_writable(*paths: Path | None) -> None:
    """Raise UsageError for a file that ``write`` could not write: better before an hour's work than after it."""
    for path in filter(None, paths):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab"):
                pass
            if not path.stat().st_size:
                path.unlink()
        except OSError as e:
            raise UsageError(f"{path} cannot be written: {e.strerror}", hint="choose another place") from None


def write(path: Path, data: bytes) -> None:
    """Write a file that the user asked for, making its folder. Raises UsageError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as e:
        raise UsageError(f"{path} cannot be written: {e.strerror}", hint="choose another place") from None
