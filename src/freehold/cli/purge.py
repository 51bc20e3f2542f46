"""``freehold purge``: its options, and what it prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli import output
from freehold.cli.common import Json, open_house
from freehold.core.errors import NeedsPerson, UsageError

if TYPE_CHECKING:
    from freehold.erasing.retention import Past


def purge(
    context: typer.Context,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would go and what stays; nothing changes.")] = False,
    on: Annotated[
        str, typer.Option(metavar="YYYY-MM-DD", help="With --plan: what would go on that day; default: now.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before anything goes.")] = False,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="For another process that reads.")] = 60.0,
    as_json: Json = False,
) -> None:
    """Have documents go whose time is over (privacy.document_retention_days), by the way of an erasure."""
    from freehold.erasing.retention import holdings, past
    from freehold.erasing.retention import purge as carried_out

    now = _day(on) if on else datetime.now(UTC)
    if on and not plan:
        raise UsageError("--on looks ahead", hint="give it with --plan: what goes is what is over now")
    with open_house(context) as house, output.progress_bars() as progress:
        found = past(house, now)
        going = [one for one in found if not one.stays]
        if plan:
            _print_plan(found, holdings(house, going, progress), as_json=as_json)
            return
        if going and not yes and not typer.confirm(f"{_documents(going)} would go for good. Go on?", err=True):
            raise typer.Exit(NeedsPerson.exit_code)
        purged = carried_out(house, progress, now=now, confirmed=True, wait_s=wait)
    if as_json:
        output.print_json({"documents": purged.documents, "stay": [asdict(one) for one in purged.stay]})
        return
    _print_stay(purged.stay)
    output.out.print(f"{output.many(purged.documents, 'document')} gone")


def _day(said: str) -> datetime:
    try:
        return datetime.fromisoformat(said).replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"{said!r} is no date", hint="write it as 2027-12-31") from None


def _print_plan(found: Sequence[Past], counts: Mapping[str, int], *, as_json: bool) -> None:
    going, stay = [one for one in found if not one.stays], [one for one in found if one.stays]
    if as_json:
        documents, staying = [asdict(one) for one in going], [asdict(one) for one in stay]
        output.print_json({"documents": documents, "stay": staying, "holdings": counts})
        return
    for one in going:
        told = f"{one.document}  since {one.since[:10]}, {output.many(one.days, 'day')}  {one.source}"
        output.out.print(told, soft_wrap=True, markup=False)
    _print_stay(stay)
    output.out.print(f"{_documents(going)} would go")
    if counts:
        output.out.print(f"kept of them: {', '.join(f'{name} {count}' for name, count in counts.items())}")


def _print_stay(stay: Sequence[Past]) -> None:
    for one in stay:
        output.out.print(f"{one.document}  stays: {one.stays}  {one.source}", soft_wrap=True, markup=False)


def _documents(found: Sequence[Past]) -> str:
    return output.many(len(found), "document")
