"""What every result depends on, looked up for each request in microseconds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from freehold.core.errors import StorageFault
from freehold.store.registry import ModelFolder


class Watch:
    """The catalog's revision and the number of the lineup. For one thread."""

    def __init__(self, root: Path) -> None:
        """Raises StorageFault where there is no catalog."""
        self._registry = ModelFolder(root / "models")
        path = root / "catalog.sqlite"
        try:
            uri = f"{path.resolve().as_uri()}?mode=ro"
            self._catalog = sqlite3.connect(uri, uri=True, isolation_level=None)
        except sqlite3.Error as e:
            raise StorageFault(f"{path.name}: {e}", hint="freehold doctor", refs=(str(path),)) from None
        self._version, self._revision = -1, 0

    def state(self) -> tuple[int, int]:
        """(revision, lineup): equal states give equal results."""
        version = int(self._one("PRAGMA data_version") or 0)  # another once somebody else has committed
        if version != self._version:
            revision = self._one("SELECT value FROM meta WHERE key = 'revision'")
            self._version, self._revision = version, int(revision or 0)
        return self._revision, self._registry.lineup().number

    def _one(self, query: str) -> int | str | None:
        with closing(self._catalog.execute(query)) as rows:
            row = rows.fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Let go of the catalog."""
        self._catalog.close()
