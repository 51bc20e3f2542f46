"""``freehold watch``: its options, and what it prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from rich.markup import escape

from freehold.cli import output
from freehold.cli.common import Json, open_house
from freehold.core.errors import UsageError
from freehold.core.records import to_json
from freehold.core.watch import Signal

if TYPE_CHECKING:
    from freehold.core.watch import Watch

_COLOURS = {"quiet": "green", "alarm": "red", "not enough": "yellow"}


def watch(
    context: typer.Context,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="SIGNAL", help="What is now is normal for this signal, or for all; repeatable."),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Show what the last look said, without a new one.")] = False,
    as_json: Json = False,
) -> None:
    """Look whether what is asked and held is as it was, for cron: exit 0 when quiet, 1 while an alarm is open."""
    from freehold.measuring import watch as watching

    if accept and last:
        raise UsageError("--accept and --last at once", hint="give one of them")
    with open_house(context) as house, output.progress_bars() as progress:
        if accept:
            seen = watching.accept(house, () if "all" in accept else [_signal(name) for name in accept])
        else:
            seen = watching.last(house) if last else watching.look(house, progress=progress)
    if as_json:
        told = to_json(seen)
        output.print_json({name: told[name] for name in ("looked", "readings", "alarms")})
    else:
        _print(seen)
    if seen.alarms:
        raise typer.Exit(1)


def _print(seen: Watch) -> None:
    if not seen.looked:
        output.out.print("nobody has looked yet: freehold watch")
        return
    table = output.plain_table("signal", "new", "known", "statistic", "evidence", "alarm at", "verdict")
    for one in seen.readings:
        tested = one.evidence is not None and one.level is not None
        table.add_row(
            one.signal,
            f"{one.new:,}",
            f"{one.known:,}",
            "-" if one.statistic is None else f"{one.statistic:.3g}",
            f"{one.evidence:,.2f}" if tested else "-",
            f"{one.level:,.0f}" if tested else "-",
            f"[{_COLOURS[one.outcome]}]{one.outcome}[/]",
        )
    output.out.print(table)
    for one in seen.readings:
        if one.evidence is None:
            output.out.print(f"{one.signal}: {escape(one.told)}", soft_wrap=True)
    for alarm in seen.alarms:
        output.out.print(f"[red]{alarm.signal}[/] since {alarm.since[:16]}: {escape(alarm.moved)}", soft_wrap=True)
        if alarm.examples:
            shown = ", ".join(f"{one.kind} {one.id}" for one in alarm.examples)
            output.out.print(f"  for example {escape(shown)}", soft_wrap=True)
        if alarm.remedy:
            done = f"{alarm.remedy.outcome}: {alarm.remedy.told}"
            output.out.print(f"  trained on {alarm.remedy.at[:16]}, {escape(done)}", soft_wrap=True)
        for command in alarm.proposal:
            output.out.print(f"  to do: {escape(command)}", soft_wrap=True)
        output.out.print(f'  or, if it is to stay so: freehold watch --accept "{alarm.signal}"', soft_wrap=True)


def _signal(name: str) -> Signal:
    if name in get_args(Signal):
        return cast("Signal", name)
    raise UsageError(f"there is no signal {name!r}", hint=f"one of: all, {', '.join(get_args(Signal))}")
