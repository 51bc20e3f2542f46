"""Who may see which documents: their groups, kept in the catalog as labels (see ``freehold.core.access``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from freehold.core.access import Caller, Groups, label, may_see
from freehold.store import tables as t
from freehold.store.rights import SHOWN, Rights
from freehold.store.rows import REVISION, batches, read_fact


class Access(Rights):
    """The part of the catalog that is about readers."""

    def labels(self, caller: Caller) -> list[str]:
        return [word for word in self._scalars(_LABELS) if may_see(caller, word)]

    def seen(self, chunk_ids: Collection[str], caller: Caller) -> set[str]:
        c = t.chunks.c
        query = sa.select(c.id, t.documents.c.access).select_from(t.chunks.join(t.documents)).where(SHOWN)
        return {row.id for row in self._rows_in(query, c.id, chunk_ids) if may_see(caller, row.access)}

    def regrouped(self, since: int) -> set[str]:
        c, d = t.chunks.c, t.documents.c
        return set(self._scalars(sa.select(c.id).join(t.documents).where(d.access_revision > since)))

    def last_regrouped(self, since: int) -> tuple[int, int]:
        """At which revision groups changed last, and in how many documents they changed after ``since``."""
        at = t.documents.c.access_revision
        revisions = self._scalars(sa.select(at).where(at > since))
        return max(revisions, default=0), len(revisions)


def _labels() -> sa.Select[tuple[str]]:
    """Every label once, by as many steps through its index as there are labels: DISTINCT would read all of it."""
    first = sa.select(sa.func.min(t.documents.c.access).label("word")).cte("labels", recursive=True)
    above = sa.select(sa.func.min(t.documents.c.access)).where(t.documents.c.access > first.c.word).scalar_subquery()
    steps = first.union_all(sa.select(above).where(first.c.word.is_not(None)))
    return sa.select(steps.c.word).where(steps.c.word.is_not(None))


_LABELS = _labels()


def put_groups(c: sa.Connection, access: Mapping[str, Groups]) -> None:
    """Documents belong to these groups from the present revision on, within a transaction."""
    if not access:
        return
    revision = int(read_fact(c, REVISION) or 0)
    by_label: dict[str, list[str]] = {}
    for document_id, groups in access.items():
        by_label.setdefault(label(groups), []).append(document_id)
    d = t.documents.c
    for word, document_ids in by_label.items():
        change = sa.update(t.documents).values(access=word, access_revision=revision).where(d.access != word)
        for batch in batches(document_ids):
            c.execute(change.where(d.id.in_(batch)))


def add_groups(c: sa.Connection) -> None:
    """What a house held before there were groups is everybody's."""
    for table in (t.documents, t.quarantine):
        here = {row[1] for row in c.exec_driver_sql(f"PRAGMA table_info({table.name})")}
        for column in table.columns:
            if here and column.name not in here and column.name.startswith("access"):
                made = sa.schema.CreateColumn(column).compile(dialect=c.dialect)
                c.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {made}")
        if here:
            for index in table.indexes:
                index.create(c, checkfirst=True)
