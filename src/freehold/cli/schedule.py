"""``freehold schedule``: its options, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from freehold.cli import output
from freehold.cli.common import Json, open_house
from freehold.core.errors import UsageError
from freehold.schedule import TASKS, Planned, Ran, Task, history, planned, run_due, run_now

_ITEMS: dict[Task, tuple[str, ...]] = {
    "retrain": ("model version",), "reprobe": ("certificate",), "expire": ("old question",),
    "purge": ("old document",), "watch": ("open alarm",),
    "remedy": ("alarm",), "checkpoint": ("leaf", "leaves"), "backup": ("new unit",),
}  # fmt: skip

_SHOWN_RUNS = 50

schedule_app = typer.Typer(help="What is done again and again in a house.", invoke_without_command=True)


@schedule_app.callback()
def schedule(
    context: typer.Context,
    past: Annotated[bool, typer.Option("--history", help="What ran, the last first.")] = False,
    as_json: Json = False,
) -> None:
    """List what is done again and again, when it was last and will be next, and what was missed."""
    if context.invoked_subcommand is not None:
        return
    now = datetime.now(UTC)
    with open_house(context) as house:
        plan, ran = planned(house, now), history(house) if past else []
    if past:
        _print_history(ran, as_json=as_json)
        return
    if as_json:
        output.print_json({"tasks": [_json(one, now) for one in plan]})
        return
    table = output.plain_table("task", "every", "last run", "outcome", "next run", "missed")
    for one in plan:
        every = output.many(one.every_days, "day") if one.every_days else "never"
        last, outcome = (_shown(one.last.at), one.last.outcome) if one.last else ("-", "-")
        following = one.next.isoformat(sep=" ")[:16] if one.next and one.wanted else "-"
        table.add_row(one.task, every, last, outcome, "now" if one.is_due(now) else following, str(one.missed))
    output.out.print(table)


def _print_history(ran: Sequence[Ran], *, as_json: bool) -> None:
    if as_json:
        output.print_json({"runs": [{"task": one.task, **asdict(one.run)} for one in ran]})
        return
    table = output.plain_table("began", "task", "seconds", "outcome", "")
    for one in ran[:_SHOWN_RUNS]:
        run = one.run
        told = output.many(run.items, *_ITEMS[one.task]) if run.outcome == "done" else escape(run.problem)
        table.add_row(_shown(run.at), one.task, f"{run.seconds:,.1f}", run.outcome, told)
    output.out.print(table)
    if len(ran) > _SHOWN_RUNS:
        output.out.print(f"{len(ran) - _SHOWN_RUNS} runs before: --json has them")


def _shown(at: str) -> str:
    return at[:16].replace("T", " ")


@schedule_app.command("run")
def run(
    context: typer.Context,
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK",
            help=f"Do this one ({', '.join(TASKS)}), whether it is due or not; repeatable.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Do what is due, for cron or a systemd timer: exit 0 when all went well, 1 when something failed."""
    with open_house(context) as house, output.progress_bars() as progress:
        wanted = [_task(name) for name in task or ()]
        ran = run_now(house, progress, wanted) if wanted else run_due(house, progress)
    if as_json:
        output.print_json({name: asdict(one) for name, one in ran.items()})
    elif not ran:
        output.out.print("nothing is due")
    for name, one in () if as_json else ran.items():
        items = output.many(one.items, *_ITEMS[name])
        told = items if one.outcome == "done" else f"[red]failed:[/] {escape(one.problem)}"
        output.out.print(f"{name}: {told}", soft_wrap=True)
    if any(one.outcome == "failed" for one in ran.values()):
        raise typer.Exit(1)


def _task(name: str) -> Task:
    if name in TASKS:
        return name
    raise UsageError(f"there is no task {name!r}", hint=f"one of: {', '.join(TASKS)}")


def _json(one: Planned, now: datetime) -> dict[str, Any]:
    following = one.next.isoformat(timespec="seconds") if one.next else ""
    return {**asdict(one), "next": following, "due": one.is_due(now)}
