"""``freehold doctor --residency``: what it prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape

from freehold.cli import output

if TYPE_CHECKING:
    from freehold.residency.report import Residency


def print_residency(report: Residency, *, as_json: bool) -> None:
    """What leaves, to whom, why and on which basis; what was stopped; what nobody sees."""
    from freehold.residency.report import lines

    if as_json:
        output.print_json({**asdict(report), "leaves": len(report.leaves)})
        return
    out = output.out
    out.print(f"regions that the house allows: {escape(', '.join(report.regions))}")
    if report.leaves:
        table = output.plain_table("for", "to", "operator", "region", "basis")
        for row in lines(report):
            table.add_row(*(escape(cell) for cell in row))
        out.print(table)
    else:
        out.print("nothing leaves this machine: no endpoint beyond it is declared")
    if report.stopped:
        table = output.plain_table("stopped", "port", "how", "by", "at least", "last")
        for one in report.stopped:
            by, last = ", ".join(one.processes), one.last[:19].replace("T", " ")
            table.add_row(escape(one.host), str(one.port or "-"), one.how, by, str(one.attempts), last)
        out.print(table)
    else:
        out.print("nothing was stopped")
    if report.unseen:
        started = ", ".join(f"{name} {count}" for name, count in report.unseen.items())
        out.print(f"started, and not looked at: {escape(started)}", soft_wrap=True)
    out.print("not seen by the guard: " + "; ".join(report.not_seen), soft_wrap=True)
