"""The verbs on who may see which documents."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from freehold.cli import output
from freehold.cli.common import Json, open_house
from freehold.core.access import Caller, checked
from freehold.core.errors import UsageError

access_app = typer.Typer(help="Who may see which documents.", no_args_is_help=True)

Targets = Annotated[
    list[str] | None, typer.Argument(metavar="DOCUMENT...", help="Ids, sources word for word, or folders.")
]
GroupOption = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="NAME", help="Only callers in this group may see the documents; repeatable."),
]
AsGroupOption = Annotated[
    list[str] | None,
    typer.Option("--as-group", metavar="NAME", help="As a caller in this group alone; repeatable for several."),
]


def caller(names: list[str] | None) -> Caller | None:
    """Whom ``--as-group`` stands for; None without it: nothing is held back."""
    return Caller(frozenset(checked(names))) if names else None


@access_app.command("show")
def show(context: typer.Context, documents: Targets = None, as_json: Json = False) -> None:
    """List documents and the groups that may see them; all of them where none is named."""
    from freehold.groups import belonging

    with open_house(context) as house:
        found = belonging(house, documents or ())
    if as_json:
        rows = [{"document_id": one.document_id, "source": one.source, "groups": list(one.groups)} for one in found]
        output.print_json({"documents": rows})
        return
    table = output.plain_table("document", "groups", "source")
    for one in found:
        table.add_row(one.document_id or "in quarantine", ", ".join(one.groups) or "everybody", Text(one.source))
    output.out.print(table)


@access_app.command("set")
def set_groups(
    context: typer.Context,
    documents: Targets = None,
    group: GroupOption = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="Everybody who may search the house.")] = False,
    as_json: Json = False,
) -> None:
    """Say who may see documents from now on, in place of what was said before."""
    from freehold.groups import assign

    if not documents:
        raise UsageError("no document given", hint="give ids, sources or folders; freehold access show lists them")
    if bool(group) == everybody:
        raise UsageError("say who may see them", hint="--group NAME, once for each group, or else --everybody")
    with open_house(context) as house, output.progress_bars() as progress:
        changed = assign(house, documents, group or (), progress)
    if as_json:
        output.print_json({"changed": changed})
    else:
        output.out.print(f"{output.many(changed, 'document')} changed")
