"""Retention: how long a document may stay, by where it came from, and from which day that counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase

from freehold.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that documents stay; 0: for good."""

    rules: tuple[tuple[str, int], ...]
    """(shell pattern of sources, days); the first that fits decides."""
    otherwise: int
    """Days of all that none fits."""

    @classmethod
    def read(cls, lines: Sequence[str], otherwise: int) -> Retention:
        """Of ``PATTERN: DAYS`` each. Raises SettingsError for a line that is none."""
        rules = []
        for line in lines:
            pattern, colon, days = line.rpartition(":")
            if not (colon and pattern.strip() and days.strip().isdecimal()):
                hint = 'for example document_retention = ["*/claims/*: 3650", "*/wordings/*: 0"]'
                raise SettingsError(f"privacy.document_retention: {line!r} is no pattern with days", hint=hint)
            rules.append((pattern.strip(), int(days)))
        return cls(tuple(rules), otherwise)

    def days(self, source: str) -> int:
        """How long what came from there stays; 0: for good."""
        return next((days for pattern, days in self.rules if fnmatchcase(source, pattern)), self.otherwise)

    @property
    def limits(self) -> tuple[int, ...]:
        """Days after which something goes, the patterns' first; empty where all stays for good."""
        return tuple(days for days in (*(days for _, days in self.rules), self.otherwise) if days)

    def __bool__(self) -> bool:
        """Whether anything goes at all."""
        return bool(self.limits)


def date_of(said: str) -> datetime | None:
    """A date as metadata have it, ISO 8601 or as in mail (RFC 5322), in UTC where it names no zone; None for none."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(said.strip())
        except ValueError:
            continue
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return None
