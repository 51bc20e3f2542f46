"""Freehold: a retrieval-augmented generation platform that a regulated team owns outright.

>>> import freehold
>>> with freehold.open("my-house") as house:  # doctest: +SKIP
...     answer = house.ask("How long is the notice period?")
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from freehold.house import House

__version__ = "0.1.0"
__all__ = ["__version__", "create", "guard", "open"]


def open(path: str | os.PathLike[str]) -> House:
    """Open a house by its folder or its ``freehold.toml``; see ``freehold.house.House`` for what it can do.

    Raises SettingsError when there is none or its settings are wrong, HouseMismatch for one of another layout.
    """
    from freehold.house import open_house  # the engines load when a house is opened, not when the package is imported

    return open_house(path)


def create(path: str | os.PathLike[str], **settings: object) -> House:
    """Make a house and open it. Settings are written ``section__key=value``: ``house__languages=("en", "de")``.

    Raises UsageError when there is a house already, SettingsError for a setting that is not as it must be.
    """
    from pathlib import Path

    from freehold.house import House

    return House.create(Path(path), {key.replace("__", "."): value for key, value in settings.items()})


def guard() -> None:
    """Guard this process from now until it ends, as the command ``freehold`` is guarded.

    Connections and name look-ups of whatever runs in it are stopped unless they lead to this machine or to what the
    settings of a house opened here declare. See ``freehold.core.egress``.
    """
    from freehold.core.egress import arm

    arm()
