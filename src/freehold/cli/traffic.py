"""``freehold traffic``: what the query log holds, and its way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from freehold.cli import output
from freehold.cli.common import Json, open_house
from freehold.core.files import write_durably
from freehold.core.records import to_json

traffic_app = typer.Typer(help="What was asked of the house, and what people thought of it.", no_args_is_help=True)


@traffic_app.command()
def stats(context: typer.Context, as_json: Json = False) -> None:
    """Count what the query log holds: questions by kind, abstentions, clicks and thumbs, and since when."""
    with open_house(context) as house:
        volume, days = house.traffic.volume(), house.settings.privacy.query_retention_days
        is_kept = house.settings.traffic.query_log
    if as_json:
        more = {"abstention_rate": volume.abstention_rate, "is_kept": is_kept, "retention_days": days}
        output.print_json({**to_json(volume), **more})
        return
    table = output.plain_table("what", "how many")
    for name, count in (*volume.questions.items(), ("hits shown", volume.shown), *volume.feedback.items()):
        table.add_row(name, f"{count:,}")
    output.out.print(table)
    rate = volume.abstention_rate
    told = "n/a, nothing was answered" if rate is None else f"{rate:.3f} of {output.many(volume.answered, 'answer')}"
    output.out.print(f"abstained: {told}", soft_wrap=True)
    if volume.oldest:
        output.out.print(f"from {volume.oldest[:10]} to {volume.newest[:10]}, {volume.size_mb} MB", soft_wrap=True)
    kept = f"kept for {output.many(days, 'day')}" if is_kept else "not kept: traffic.query_log is false"
    output.out.print(f"what is asked is {kept}", soft_wrap=True)


@traffic_app.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it, as JSONL.")],
    as_json: Json = False,
) -> None:
    """Write the feedback on hits as freehold tune data --feedback reads it. No erasure reaches the file: remove it."""
    with open_house(context) as house:
        events, whole = house.traffic.feedback(), house.traffic.volume().on_answers
    lines = "".join(f"{json.dumps(event, ensure_ascii=False)}\n" for event in events)
    write_durably(file, lines.encode(), mode=0o600)
    if as_json:
        output.print_json({"file": str(file.resolve()), "events": len(events), "on_answers": whole})
        return
    left = f"; {whole:,} on an answer as a whole left out" if whole else ""
    output.out.print(f"{output.many(len(events), 'event')} in {escape(str(file))}{left}", soft_wrap=True)
