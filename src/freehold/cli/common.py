"""What the verbs share: their common options, and the house they speak of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from freehold.house import House

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def open_house(context: typer.Context) -> House:
    """The house of ``--house``."""
    from freehold.house import open_house as opened  # the engines load when a house is opened

    return opened(context.obj)
