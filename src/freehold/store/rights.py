"""What is kept beside documents for the people in them: restrictions, legal holds, and where they are mentioned."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from freehold.core.faults import step
from freehold.core.shelf import Hold
from freehold.core.types import Mention
from freehold.store import tables as t
from freehold.store.rows import REVISION, Rows, batches, no_document, raise_fact
from freehold.store.sqlite import guarded

SHOWN = t.chunks.c.document_id.not_in(sa.select(t.restrictions.c.document_id))
"""That a chunk's document is not restricted."""


class Rights(Rows):
    """The part of the catalog that is about people."""

    def restrict(self, document_ids: Collection[str], request: str) -> None:
        """Hide documents from all reading but ``document``, ``text`` and ``words``. Unknown ids are ignored."""
        with guarded(self._path), self._engine.begin() as c:
            here: set[str] = set()
            for batch in batches(document_ids):
                here.update(c.execute(sa.select(t.documents.c.id).where(t.documents.c.id.in_(batch))).scalars())
            restrict(c, dict.fromkeys(here, (request,)))
            raise_fact(c, REVISION)
            step("catalog.before_restricted")

    def lift(self, request: str, document_ids: Collection[str] | None = None) -> None:
        """Show again what was hidden for this request alone: these documents, or all (None)."""
        mine = sa.delete(t.restrictions).where(t.restrictions.c.request == request)
        with guarded(self._path), self._engine.begin() as c:
            if document_ids is None:
                gone = c.execute(mine).rowcount
            else:
                gone = sum(
                    c.execute(mine.where(t.restrictions.c.document_id.in_(batch))).rowcount
                    for batch in batches(document_ids)
                )
            if gone:
                raise_fact(c, REVISION)

    def restricted(self) -> Mapping[str, Collection[str]]:
        """Document id -> requests for which it is hidden."""
        found: dict[str, set[str]] = {}
        for row in self._rows(sa.select(t.restrictions)):
            found.setdefault(row.document_id, set()).add(row.request)
        return found

    def hold(self, document_id: str, hold: Hold | None) -> None:
        """Put a document under a legal hold, or take it out of one. Raises StorageFault when there is none."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with guarded(self._path), self._engine.begin() as c:
            if c.execute(sa.select(t.documents.c.id).where(t.documents.c.id == document_id)).first() is None:
                raise no_document(document_id)
            c.execute(sa.delete(t.holds).where(t.holds.c.document_id == document_id))
            if hold is not None:
                row = {"document_id": document_id, "basis": hold.basis, "review": hold.review, "since": now}
                c.execute(sa.insert(t.holds).values(row))

    def holds(self) -> Mapping[str, Hold]:
        """Document id -> the hold that it is under."""
        return {row.document_id: Hold(row.basis, row.review) for row in self._rows(sa.select(t.holds))}

    def must_stay(self) -> Mapping[str, str]:
        """Id of every document under a hold or restricted -> why it stays; a hold comes first."""
        held = {document_id: f"hold {hold.basis} until {hold.review}" for document_id, hold in self.holds().items()}
        return {**dict.fromkeys(self.restricted(), "restricted"), **held}

    def mentions(self, document_ids: Collection[str], detector: str) -> Mapping[str, tuple[Mention, ...]]:
        """Document id -> where it mentions people, of those of these that ``detector`` has read."""
        m = t.mentions.c
        found = self._rows_in(
            sa.select(m.document_id, m.spans).where(m.detector == detector), m.document_id, document_ids
        )
        return {row.document_id: tuple(Mention(*span) for span in row.spans) for row in found}

    def surveyed(self) -> tuple[int, Mapping[str, int]]:
        """How many documents were read for people, by whichever detector, and how often each kind is mentioned."""
        (documents,) = self._rows(sa.select(sa.func.count().label("read")).select_from(t.mentions))
        span = sa.func.json_each(t.mentions.c.spans).table_valued("value")
        kind = sa.func.json_extract(span.c.value, "$[2]")  # of [start, end, kind, score, detector]
        every = sa.select(kind.label("kind"), sa.func.count().label("times"))
        counted = self._rows(every.select_from(t.mentions.join(span, sa.true())).group_by(kind).order_by(kind))
        return documents.read, {row.kind: row.times for row in counted}

    def put_mentions(self, detector: str, found: Mapping[str, tuple[Mention, ...]]) -> None:
        """Keep what a detector found, in place of what another did. Documents that are gone are left out."""
        table = t.mentions
        with guarded(self._path), self._engine.begin() as c:
            for batch in batches(found):
                alive = set(c.execute(sa.select(t.documents.c.id).where(t.documents.c.id.in_(batch))).scalars())
                c.execute(sa.delete(table).where(table.c.document_id.in_(batch)))
                rows = [
                    _mention_row(document_id, detector, found[document_id])
                    for document_id in batch
                    if document_id in alive
                ]
                if rows:
                    c.execute(sa.insert(table), rows)


def _mention_row(document_id: str, detector: str, found: tuple[Mention, ...]) -> dict[str, Any]:
    spans = [[m.start, m.end, m.kind, m.score, m.detector] for m in found]
    return {"document_id": document_id, "detector": detector, "spans": spans}


def restrict(c: sa.Connection, hidden: Mapping[str, Collection[str]]) -> None:
    """Hide documents for requests, within a transaction."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = [
        {"document_id": document_id, "request": request, "since": now}
        for document_id, requests in hidden.items()
        for request in requests
    ]
    if rows:
        c.execute(sa.insert(t.restrictions).prefix_with("OR IGNORE"), rows)


def passed_over(c: sa.Connection, instead: Mapping[str, str], *, but_for: str) -> list[tuple[sa.Table, list[Any]]]:
    """Rows that hide and keep documents, but for one request, as those that stand for them are to have them."""
    found = []
    for table in (t.restrictions, t.holds):
        rows = [
            {**row._mapping, "document_id": instead[row.document_id]}
            for batch in batches(instead)
            for row in c.execute(sa.select(table).where(table.c.document_id.in_(batch)))
        ]
        found.append((table, [row for row in rows if row.get("request") != but_for]))
    return found


def put_rights(c: sa.Connection, rights: Iterable[tuple[sa.Table, list[Any]]]) -> None:
    """Keep such rows, beside what is there, within a transaction."""
    for table, rows in rights:
        if rows:
            c.execute(sa.insert(table).prefix_with("OR IGNORE"), rows)
