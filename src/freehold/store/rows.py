"""Rows of a database of the house: read, and facts kept in its table ``meta``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from freehold.core.errors import StorageFault
from freehold.store.sqlite import guarded
from freehold.store.tables import meta

REVISION = "revision"
"""Fact that counts the changes."""
EPOCH = "fence_epoch"
"""Fact that counts how often somebody was fenced out."""
_BATCH = 500
"""Ids in one statement: well below SQLite's limit on bound values."""

T = TypeVar("T")


class Rows:
    """A database, and how it is read."""

    def __init__(self, path: Path, engine: sa.Engine) -> None:
        self._path = path
        self._engine = engine

    def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with guarded(self._path), self._engine.connect() as c:
            return c.execute(query).all()

    def _rows_in(self, query: sa.Select[Any], column: sa.Column[Any], ids: Collection[Any]) -> list[sa.Row[Any]]:
        return [row for batch in batches(ids) for row in self._rows(query.where(column.in_(batch)))]

    def _driver_rows(self, query: str, values: tuple[Any, ...]) -> Sequence[Sequence[Any]]:
        with guarded(self._path), self._engine.connect() as c:
            return c.exec_driver_sql(query, values).cursor.fetchall()

    def _scalars(self, query: sa.Select[Any]) -> Sequence[Any]:
        with guarded(self._path), self._engine.connect() as c:
            return c.execute(query).scalars().all()


def no_document(document_id: str) -> StorageFault:
    """That a document is not here, to be raised."""
    return StorageFault("no such document", hint="it was deleted or erased", refs=(document_id,))


def batches(ids: Collection[T]) -> Iterator[list[T]]:
    """Ids as many at a time as fit into one statement."""
    items = list(ids)
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def read_fact(c: sa.Connection, key: str) -> str | None:
    """A fact of the house, within a transaction."""
    return c.execute(sa.select(meta.c.value).where(meta.c.key == key)).scalar()


def raise_fact(c: sa.Connection, key: str) -> None:
    """Count a fact up by one."""
    current = read_fact(c, key)
    c.execute(sa.delete(meta).where(meta.c.key == key))
    c.execute(sa.insert(meta).values(key=key, value=str(int(current or 0) + 1)))
