"""``freehold records``: its options, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from freehold.cli import output
from freehold.cli.common import Json, open_house
from freehold.core.records import to_json

records_app = typer.Typer(help="Records for the officer, made from what the house knows.", invoke_without_command=True)


@records_app.callback()
def records(context: typer.Context, as_json: Json = False) -> None:
    """List the records, how many points each answers, and which settings are to be filled in."""
    if context.invoked_subcommand is not None:
        return
    from freehold.records.write import make

    with open_house(context) as house:
        made = make(house)
    empty = list(dict.fromkeys(key for record in made.values() for key in record.to_fill))
    if as_json:
        told = [
            {"kind": kind, "title": one.title, "law": one.law, "lines": len(one.lines), "to_fill": list(one.to_fill)}
            for kind, one in made.items()
        ]
        output.print_json({"records": told, "to_fill": empty})
        return
    table = output.plain_table("record", "asked for by", "lines", "to fill in")
    for kind, one in made.items():
        table.add_row(kind, one.law, str(len(one.lines)), str(len(one.to_fill)))
    output.out.print(table)
    _print_empty(empty)


@records_app.command("show")
def show(
    context: typer.Context,
    kind: Annotated[
        Literal["processing", "assessment", "models", "data", "technical", "bom"], typer.Argument(help="Which record.")
    ],
    as_json: Json = False,
) -> None:
    """Print a record as Markdown, or as JSON; the bill of materials as CycloneDX JSON."""
    from freehold.records import render
    from freehold.records.bom import bill
    from freehold.records.write import KINDS, facts_of

    with open_house(context) as house:
        facts = facts_of(house)
        record = None if kind == "bom" else KINDS[kind](facts)
        told = bill(facts) if record is None else {**to_json(record), "to_fill": list(record.to_fill)}
    if as_json or record is None:
        output.print_json(told)
    else:
        output.out.print(render.markdown(record), markup=False, highlight=False, soft_wrap=True)


@records_app.command("write")
def write(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for them; files of the same names are replaced.")],
    as_json: Json = False,
) -> None:
    """Write all records as HTML, Markdown and JSON, with their digests; the ledger says that it was done."""
    from freehold.records.write import write as written

    with open_house(context) as house:
        done = written(house, out)
    if as_json:
        output.print_json(to_json(done))
        return
    place = escape(str(done.folder))
    told = f"{output.many(len(done.files), 'file')} in {place}, leaf {done.leaf} of the ledger"
    output.out.print(told, soft_wrap=True)
    _print_empty(done.to_fill)


def _print_empty(keys: tuple[str, ...] | list[str]) -> None:
    if keys:
        told = ", ".join(key.removeprefix("records.") for key in keys)
        output.out.print(f"to be filled in under \\[records]: {told}", soft_wrap=True)
