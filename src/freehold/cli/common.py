"""What the verbs share: their common options, and the house they speak of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from freehold.house import House

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def open_house(context: typer.Context) -> House:
    """The house of ``--house``."""
    from freehold.house import open_house as opened  # the engines load when a house is opened

    return opened(context.obj)


def passed(context: typer.Context) -> Mapping[str, object]:
    """Options and arguments that stood on the command line."""
    given = {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and name != "as_json":
            given[name] = str(value) if isinstance(value, Path) else value
    return cast("Mapping[str, object]", given)
