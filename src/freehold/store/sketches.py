"""Sketches of documents in the catalog, by which a person is looked for without reading every text."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from freehold.core.shelf import Words
from freehold.core.types import Document
from freehold.privacy import sketch
from freehold.store import tables as t
from freehold.store.rows import Rows

_AT_A_TIME = 8_192
_HELD_BYTES = 256 << 20
"""As much of the sketches is held in memory at most: those of some 250,000 documents of one page."""

# All texts are read here: in the order in which they lie on the disk, past what a query builder does with each row,
# that is three times as fast.
WORDS_AT_A_TIME = 1_000
ALL_WORDS = (
    "SELECT d.rowid, d.id, d.source, d.title, d.language, d.metadata, x.text FROM documents d "
    "JOIN texts x ON x.document_id = d.id WHERE d.rowid > ? ORDER BY d.rowid LIMIT ?"
)
_ALL = f"SELECT rowid, document_id, bits FROM {t.sketches.name} WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608


_Page = tuple[int, list[str], list[bytes]]
"""The last row's number, the documents' ids, and their sketches."""


class Sketches(Rows):
    """Which documents may have something; see ``freehold.core.shelf.Shelf``."""

    _held: list[_Page] | None = None
    """Pages that were read, from the first on, while they are held."""

    def candidates(self, clues: Collection[bytes]) -> set[str]:
        found: set[str] = set()
        for ids, bits in self._pages():
            found.update(ids[at] for at in sketch.passing(bits, clues))
        return found

    @contextmanager
    def sketches_held(self) -> Iterator[None]:
        """Within, sketches are read from the disk once, however often candidates are asked for, as far as memory goes.

        What comes in meanwhile may be missing from what is found: compare the revision afterwards.
        """
        self._held = []
        try:
            yield
        finally:
            self._held = None

    def _pages(self) -> Iterator[tuple[list[str], list[bytes]]]:
        held, last, size_bytes = self._held, 0, 0
        for number, ids, bits in held or ():
            yield ids, bits
            last = number
            size_bytes += sum(map(len, bits))
        while rows := self._driver_rows(_ALL, (last, _AT_A_TIME)):
            last, ids, bits = rows[-1][0], [row[1] for row in rows], [row[2] for row in rows]
            size_bytes += sum(map(len, bits))
            if held is not None and size_bytes <= _HELD_BYTES:
                held.append((last, ids, bits))
            yield ids, bits


def sketch_all(c: sa.Connection) -> None:
    """Documents that came in before there were sketches of this form get theirs."""
    tables = {row[0] for row in c.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "texts" not in tables or t.sketches.name in tables:
        return
    for old in sorted(name for name in tables if name.startswith(t.SKETCHES)):
        c.exec_driver_sql(f"DROP TABLE {old}")
    t.sketches.create(c)
    last = 0
    while rows := c.exec_driver_sql(ALL_WORDS, (last, WORDS_AT_A_TIME)).all():
        put_sketches(c, [read_words(row) for row in rows])
        last = rows[-1][0]


def put_sketches(c: sa.Connection, documents: Sequence[Words]) -> None:
    """Sketch documents that have none, within a transaction."""
    rows = [
        {
            "document_id": d.document_id,
            "bits": sketch.sketch("\n".join([d.text, d.title, d.source, *d.metadata.values()])),
        }
        for d in documents
    ]
    c.execute(sa.insert(t.sketches), rows)


def read_words(row: Sequence[Any]) -> Words:
    """A row of ``ALL_WORDS``."""
    _, id, source, title, language, metadata, text = row
    return Words(id, source, title, language, {} if metadata == "{}" else json.loads(metadata), text)


def as_words(document: Document) -> Words:
    """A document, as it is searched for people."""
    d = document
    return Words(d.id, d.source, d.title, d.language, d.metadata, d.text)
