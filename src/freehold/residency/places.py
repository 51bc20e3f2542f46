"""The table of well-known addresses: who stands behind a host, and where. Dated, with a source for each line."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Literal

from freehold.core.errors import SettingsError
from freehold.endpoints import Endpoint

Basis = Literal["here", "own-network", "inside", "eu-region", "transfer", "undetermined", "not-in-table"]

BASES: dict[Basis, str] = {
    "here": "this machine: nothing leaves",
    "own-network": "a private address: no transfer by itself",
    "inside": "in the EEA, by an operator there: no transfer",
    "eu-region": "in the EEA, for an operator of a third country: its terms say what leaves",
    "transfer": "a third country: adequacy decision (Art. 45) or safeguards (Art. 46)",
    "undetermined": "the address does not say where: the contract does",
    "not-in-table": "not in the table: the declaration alone says where",
}


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the table."""

    hosts: tuple[str, ...]
    """Names, or patterns with ``*``."""
    operator: str
    country: str
    """Where the operator is established, ISO 3166-1."""
    regions: tuple[str, ...]
    """Words that are true of where requests are processed; empty where the address does not say."""
    basis: Basis
    source: str
    checked: date
    framework: str = ""
    """Page on which the operator's entry in the list of the Data Privacy Framework was read; empty: nobody looked."""


@cache
def places() -> tuple[Place, ...]:
    """The table, in its order."""
    text = resources.files("freehold.residency").joinpath("places.toml").read_text(encoding="utf-8")
    return tuple(
        Place(**{**entry, "hosts": tuple(entry["hosts"]), "regions": tuple(entry["regions"])})
        for entry in tomllib.loads(text)["place"]
    )


def place_of(host: str) -> Place | None:
    """What the table says of a host."""
    name = host.lower().removesuffix(".")
    return next((place for place in places() if any(fnmatchcase(name, one) for one in place.hosts)), None)


def check(endpoint: Endpoint) -> None:
    """Raises SettingsError where the table knows that the declared region is not where requests go."""
    place = None if endpoint.is_here else place_of(endpoint.host)
    if place is not None and place.regions and endpoint.region.lower() not in place.regions:
        raise SettingsError(
            f"{endpoint.setting}: {endpoint.host} is declared in {endpoint.region}, and is in {place.regions[0]}",
            hint=f"true of it: {', '.join(place.regions)}, by {place.source} ({place.checked}); correct the region",
        )
