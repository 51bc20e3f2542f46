"""``freehold cost``: its options, and what it prints."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from freehold.cli import output
from freehold.cli.common import Json
from freehold.core.errors import UsageError
from freehold.core.files import write_durably


def cost(
    scenario: Annotated[str, typer.Option(help="What is asked of the house.")] = "10k-queries-a-day",
    given: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A figure of yours.")] = None,
    own_prices: Annotated[
        Path | None, typer.Option("--prices", help="TOML with prices of yours, line by line.")
    ] = None,
    load: Annotated[Path | None, typer.Option(help="Result of freehold loadtest --out: capacity and p95.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page with plots here.")] = None,
    as_json: Json = False,
) -> None:
    """What a month costs, self-hosted or bought, with intervals, break-even and what it hangs on."""
    from freehold.measure.capacity import trial
    from freehold.measure.cost import compare, figures, prices
    from freehold.measure.cost.page import render

    pairs = [text.partition("=") for text in given or []]
    if any(not sign for _, sign, _ in pairs):
        raise UsageError("--set takes NAME=VALUE", hint="for example --set queries_a_day=20000")
    chosen = figures.scenario(scenario, {name: value for name, _, value in pairs}, load)
    table = prices.prices(own_prices)
    told = compare.compare(chosen, table, today=datetime.now(UTC).date())
    if load is not None:
        told["notes"] += [f"{load.name}: {one}" for one in trial.load(load).checks]
    if report is not None:
        page = render(told, chosen, table, title=f"What a month costs: {scenario}")
        write_durably(report, page.encode())
    if as_json:
        output.print_json({"scenario": scenario, **told})
        return
    target_ms = told["latency_target_ms"]
    shown = output.plain_table(
        "option", "euros a month", "90 % of draws", "p95 ms", f"within {target_ms:,.0f} ms", "machines", "hangs most on"
    )
    for one in told["options"]:
        low, high = one["interval"]
        machines = f"{one['servers']}" + (f" + {one['gpus']} GPU" if one["gpus"] else "")
        most = ", ".join(swing["figure"] for swing in one["sensitivity"][:2])
        shown.add_row(
            escape(one["name"]), f"{one['monthly']:,.0f}", f"{low:,.0f} to {high:,.0f}", f"{one['p95_ms']:,.0f}",
            f"{one['meets_target']:.0%} of draws", machines, most,
        )  # fmt: skip
    output.out.print(shown)
    for one in told["break_even"]:
        if one["self_hosted"] is None:
            told_so = f"no GPU that holds the target is ever cheaper than {one['bought']}"
            output.out.print(escape(told_so), soft_wrap=True)
            continue
        when = f"from {one['queries_a_day']:,} queries a day"
        hangs = ", ".join(move["figure"] for move in one["sensitivity"])
        told_so = f"{one['self_hosted']} is cheaper than {one['bought']}: {when}" + (f" ({hangs})" if hangs else "")
        output.out.print(escape(told_so), soft_wrap=True)
    for note in told["notes"]:
        output.out.print(escape(note), soft_wrap=True)
    if report is not None:
        output.out.print(escape(f"plots in {report}"), soft_wrap=True)
