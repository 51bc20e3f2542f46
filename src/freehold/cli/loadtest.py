"""``freehold loadtest``: its options, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from freehold.cli import output
from freehold.cli.common import Json


def loadtest(
    url: Annotated[str, typer.Argument(help="Where to ask: ends in /v1/search, /v1/ask or /v1/chat/completions.")],
    questions: Annotated[Path, typer.Option(help="Questions: a line each, or queries.jsonl of a BEIR set.")],
    clients: Annotated[str, typer.Option(help="Closed loop: clients at once, a level each.")] = "",
    rate: Annotated[str, typer.Option(help="Open loop: requests a second, a level each.")] = "",
    arrivals: Annotated[Literal["poisson", "fixed"], typer.Option(help="Open loop: when requests come.")] = "poisson",
    seconds: Annotated[float, typer.Option(min=1, help="How long a level lasts.")] = 20.0,
    ramp: Annotated[float, typer.Option(min=0, help="Seconds over which load grows, before it counts.")] = 3.0,
    key: Annotated[str, typer.Option(envvar="FREEHOLD_LOADTEST_KEY", help="API key.")] = "",
    model: Annotated[str, typer.Option(help="Chat: the model asked for.")] = "freehold",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds after which a request counts as failed.")] = 60.0,
    out: Annotated[Path | None, typer.Option(help="Write the result, which freehold cost --load reads.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write throughput by clients as SVG.")] = None,
    as_json: Json = False,
) -> None:
    """Put load on a service level by level: throughput, percentiles from when a request was due, and the law behind."""
    from freehold.measure.capacity import trial

    with output.progress_bars() as progress:
        tested = trial.run(
            url, trial.questions(questions), trial.levels(clients, rate, arrivals), seconds=seconds, ramp_s=ramp,
            key=key, model=model, timeout_s=timeout, progress=progress,
        )  # fmt: skip
    if out:
        trial.save(tested, out)
    if plot:
        trial.draw(tested, plot)
    told = trial.as_dict(tested)
    if as_json:
        output.print_json(json.loads(json.dumps(told)))
        return
    table = output.plain_table("load", "per s", "p50 ms", "p95 ms", "p99 ms", "errors", "client")
    for run in tested.runs:
        load = f"{run.clients} clients" if run.clients else f"{run.rate_per_s:g}/s"
        times = ("-" if ms is None else f"{ms:,.1f}" for ms in (run.p50_ms, run.p95_ms, run.p99_ms))
        failed = sum(run.errors.values())
        table.add_row(load, f"{run.per_s:,.1f}", *times, f"{failed:,}", f"{run.client_cpu:.0%}")
    output.out.print(table)
    for line in trial.remarks(tested):
        output.out.print(escape(line), soft_wrap=True)
