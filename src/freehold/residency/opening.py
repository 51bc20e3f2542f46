"""What happens of residency when a house is opened: the guard of this process learns where its settings lead."""

from __future__ import annotations

from pathlib import Path

from freehold.config import Settings
from freehold.core import egress
from freehold.core.attempts import REPORT
from freehold.endpoints import endpoints
from freehold.residency.places import check


def permit(settings: Settings, root: Path) -> None:
    """Have the guard, where there is one, let through what the settings declare, and write down what it stops.

    Raises SettingsError for a region that the table of well-known addresses denies.
    """
    ways = endpoints(settings)
    for one in ways:
        check(one)
    egress.permit([(one.host, one.port) for one in ways], report=root / REPORT)
