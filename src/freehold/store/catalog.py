"""The catalog: the system of record. Texts, chunks and vectors by random ids; the index can be rebuilt from it alone.

Every committed change raises ``revision`` by one; an index generation remembers the revision it holds, so comparing
two numbers tells whether it is behind, and comparing two sets of chunk ids what it lacks.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa

from freehold.core.errors import StorageFault
from freehold.core.faults import step
from freehold.core.shelf import (
    Changes,
    ChunkView,
    Entry,
    Hold,
    Indexable,
    Known,
    NearDuplicate,
    Place,
    Quarantined,
    Stats,
    Vectors,
    Words,
)
from freehold.core.types import Chunk, Document, Heading, Page, TokenCodes
from freehold.proof.merkle import commitment
from freehold.store.sqlite import connect, guarded, truncate_log
from freehold.store.tables import (
    chunks as _chunks,
)
from freehold.store.tables import (
    documents as _documents,
)
from freehold.store.tables import (
    holds as _holds,
)
from freehold.store.tables import (
    meta as _meta,
)
from freehold.store.tables import (
    metadata as _metadata,
)
from freehold.store.tables import (
    quarantine as _quarantine,
)
from freehold.store.tables import (
    restrictions as _restrictions,
)
from freehold.store.tables import (
    salts as _salts,
)
from freehold.store.tables import (
    texts as _texts,
)
from freehold.store.tables import (
    vectors as _vectors,
)

EPOCH = "fence_epoch"
"""Fact that counts how often somebody was fenced out."""

_BATCH = 500
_SALT_BYTES = 16
"""Ids in one statement: well below SQLite's limit on bound values."""

_T = TypeVar("_T")


class Catalog:
    """The tables above. Its methods are those of ``freehold.core.shelf.Shelf``, less what concerns files and keys."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = connect(path, _metadata, upgrade=_name_makers)

    def close(self) -> None:
        self._engine.dispose()

    # -- facts about the house -----------------------------------------------------------------------------------

    def fact(self, key: str) -> str | None:
        """A fact kept under ``key``, for instance which embedder the house was made with."""
        with guarded(self._path), self._engine.connect() as c:
            return c.execute(sa.select(_meta.c.value).where(_meta.c.key == key)).scalar()

    def set_fact(self, key: str, value: str) -> None:
        """Keep a fact; durable on return."""
        with guarded(self._path), self._engine.begin() as c:
            c.execute(sa.delete(_meta).where(_meta.c.key == key))
            c.execute(sa.insert(_meta).values(key=key, value=value))

    @property
    def revision(self) -> int:
        return int(self.fact("revision") or 0)

    # -- writing -------------------------------------------------------------------------------------------------

    def commit(self, changes: Changes) -> bool:
        """One transaction. What is removed is zeroed in the database (secure_delete) and gone from its log."""
        with guarded(self._path), self._engine.begin() as c:
            if changes.epoch is not None:
                c.exec_driver_sql("UPDATE meta SET value = value WHERE key = ?", (EPOCH,))  # takes the writer's lock
                if changes.epoch != int(read_fact(c, EPOCH) or 0):
                    return False
            _each(c, _UNLINK, _documents.c.near_duplicate_of, changes.remove)
            _each(c, sa.delete(_documents), _documents.c.id, changes.remove)
            _each(c, sa.delete(_quarantine), _quarantine.c.source, changes.release)
            _insert(c, changes.add)
            _restrict(c, changes.restrict)
            _each(c, sa.delete(_quarantine), _quarantine.c.source, [q.source for q in changes.quarantine])
            if changes.quarantine:
                c.execute(sa.insert(_quarantine), [_quarantine_row(q) for q in changes.quarantine])
            if changes.add or changes.remove:
                _raise_revision(c)
            step("catalog.before_commit")
        step("catalog.committed")
        if changes.remove:
            truncate_log(self._engine)
        return True

    def put_vectors(self, maker: str, made: Mapping[str, tuple[bytes, Vectors]]) -> None:
        v = _vectors.c
        with guarded(self._path), self._engine.begin() as c:
            for batch in _batches(made):
                alive = set(c.execute(sa.select(_chunks.c.id).where(_chunks.c.id.in_(batch))).scalars())
                c.execute(sa.delete(_vectors).where(v.chunk_id.in_(batch), v.maker == maker))
                rows = [_vector_row(chunk_id, maker, *made[chunk_id]) for chunk_id in batch if chunk_id in alive]
                if rows:
                    c.execute(sa.insert(_vectors), rows)
            step("catalog.before_vectors")

    def restrict(self, document_ids: Collection[str], request: str) -> None:
        """Hide documents from all reading but ``document``, ``text`` and ``words``. Unknown ids are ignored."""
        with guarded(self._path), self._engine.begin() as c:
            here: set[str] = set()
            for batch in _batches(document_ids):
                here.update(c.execute(sa.select(_documents.c.id).where(_documents.c.id.in_(batch))).scalars())
            _restrict(c, dict.fromkeys(here, (request,)))
            _raise_revision(c)
            step("catalog.before_restricted")

    def lift(self, request: str, document_ids: Collection[str] | None = None) -> None:
        """Show again what was hidden for this request alone: these documents, or all (None)."""
        mine = sa.delete(_restrictions).where(_restrictions.c.request == request)
        with guarded(self._path), self._engine.begin() as c:
            if document_ids is None:
                gone = c.execute(mine).rowcount
            else:
                gone = sum(
                    c.execute(mine.where(_restrictions.c.document_id.in_(batch))).rowcount
                    for batch in _batches(document_ids)
                )
            if gone:
                _raise_revision(c)

    def restricted(self) -> Mapping[str, Collection[str]]:
        """Document id -> requests for which it is hidden."""
        found: dict[str, set[str]] = {}
        for row in self._rows(sa.select(_restrictions)):
            found.setdefault(row.document_id, set()).add(row.request)
        return found

    def hold(self, document_id: str, hold: Hold | None) -> None:
        """Put a document under a legal hold, or take it out of one. Raises StorageFault when there is none."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with guarded(self._path), self._engine.begin() as c:
            if c.execute(sa.select(_documents.c.id).where(_documents.c.id == document_id)).first() is None:
                raise _no_document(document_id)
            c.execute(sa.delete(_holds).where(_holds.c.document_id == document_id))
            if hold is not None:
                row = {"document_id": document_id, "basis": hold.basis, "review": hold.review, "since": now}
                c.execute(sa.insert(_holds).values(row))

    def holds(self) -> Mapping[str, Hold]:
        """Document id -> the hold that it is under."""
        return {row.document_id: Hold(row.basis, row.review) for row in self._rows(sa.select(_holds))}

    def truncate(self) -> bool:
        """Empty the database's log; False while a reader holds an old state."""
        return truncate_log(self._engine)

    def vacuum(self) -> None:
        """Write the database anew and put it in the place of the old one: nothing stays in pages that are free."""
        with guarded(self._path):
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("VACUUM")
            finally:
                connection.close()
        truncate_log(self._engine)

    def drop_vectors(self, maker: str) -> None:
        """Forget all that ``maker`` made; it is zeroed in the database and gone from its log."""
        with guarded(self._path), self._engine.begin() as c:
            c.execute(sa.delete(_vectors).where(_vectors.c.maker == maker))
        truncate_log(self._engine)

    # -- reading -------------------------------------------------------------------------------------------------

    def makers(self) -> set[str]:
        """Digests of the encoders whose vectors are here."""
        return set(self._scalars(sa.select(_vectors.c.maker).distinct()))

    def unmade(self, maker: str, *, dense: bool, codes: bool) -> set[str]:
        v = _vectors.c
        made = sa.select(v.chunk_id).where(v.maker == maker)
        if dense:
            made = made.where(v.dense.is_not(None))
        if codes:
            made = made.where(v.codes.is_not(None))
        return self.chunk_ids() - set(self._scalars(made))

    def known(self) -> Mapping[str, Known]:
        d = _documents.c
        rows = self._rows(sa.select(d.source, d.id, d.sha256, d.recipe))
        return {r.source: Known(r.id, r.sha256, r.recipe) for r in rows}

    def quarantined(self) -> Mapping[str, Quarantined]:
        return {row.source: Quarantined(**row._mapping) for row in self._rows(sa.select(_quarantine))}

    def signatures(self) -> Iterator[tuple[str, bytes]]:
        d = _documents.c
        yield from ((r.id, r.signature) for r in self._rows(sa.select(d.id, d.signature).order_by(d.ingested_at, d.id)))

    def cached(self, keys: Collection[bytes]) -> Mapping[bytes, Vectors]:
        v = _vectors.c
        dense = sa.select(v.key, v.dense, v.codes, v.code_count).where(v.dense.is_not(None))
        rows = self._rows_in(dense, v.key, keys)
        return {row.key: Vectors(_dense(row.dense), _codes(row.codes, row.code_count)) for row in rows}

    def views(self, chunk_ids: Collection[str]) -> Mapping[str, ChunkView]:
        rows = self._rows_in(_VIEW, _chunks.c.id, chunk_ids)
        return {row.id: _view(row) for row in rows}

    def places(self, chunk_ids: Collection[str]) -> Mapping[str, Place]:
        c = _chunks.c
        query = sa.select(c.id, _documents.c.source, c.start, c.end).select_from(_chunks.join(_documents))
        query = query.where(_SHOWN)
        return {row.id: Place(row.source, row.start, row.end) for row in self._rows_in(query, c.id, chunk_ids)}

    def codes(self, chunk_ids: Collection[str], maker: str) -> Mapping[str, TokenCodes | None]:
        c, v = _chunks.c, _vectors.c
        made = sa.and_(v.chunk_id == c.id, v.maker == maker)
        query = sa.select(c.id, v.codes, v.code_count).select_from(_chunks.outerjoin(_vectors, made)).where(_SHOWN)
        return {row.id: _codes(row.codes, row.code_count) for row in self._rows_in(query, c.id, chunk_ids)}

    def text(self, document_id: str) -> str:
        rows = self._rows(sa.select(_texts.c.text).where(_texts.c.document_id == document_id))
        if not rows:
            raise _no_document(document_id)
        return str(rows[0].text)

    def texts(self) -> Iterator[str]:
        t = _texts.c
        hidden = self.restricted()
        for batch in _batches(self.document_ids() - hidden.keys()):
            yield from (row.text for row in self._rows(sa.select(t.text).where(t.document_id.in_(batch))))

    def words(self) -> Iterator[Words]:
        d = _documents.c
        query = sa.select(d.id, d.source, d.title, d.language, d.metadata, _texts.c.text).join(_texts)
        for batch in _batches(sorted(self.document_ids())):
            for row in self._rows(query.where(d.id.in_(batch))):
                yield Words(row.id, row.source, row.title, row.language, row.metadata, row.text)

    def document(self, document_id: str) -> Document:
        whole = sa.select(_documents, _texts.c.text).join(_texts, _texts.c.document_id == _documents.c.id)
        rows = self._rows(whole.where(_documents.c.id == document_id))
        if not rows:
            raise _no_document(document_id)
        row = rows[0]
        return Document(
            id=row.id,
            source=row.source,
            title=row.title,
            text=row.text,
            language=row.language,
            media_type=row.media_type,
            pages=tuple(Page(*p) for p in row.pages),
            headings=tuple(Heading(*h) for h in row.headings),
            metadata=row.metadata,
        )

    def entry(self, document_id: str) -> Entry:
        """A document as it was committed, without vectors and original. Raises StorageFault when there is none."""
        d = _documents.c
        rows = self._rows(sa.select(_documents).where(d.id == document_id))
        if not rows:
            raise _no_document(document_id)
        row, document = rows[0], self.document(document_id)
        chunks = self._rows(sa.select(_chunks).where(_chunks.c.document_id == document_id).order_by(_chunks.c.ordinal))
        near = NearDuplicate(row.near_duplicate_of, row.near_duplicate_similarity) if row.near_duplicate_of else None
        return Entry(
            document=document,
            sha256=row.sha256,
            recipe=row.recipe,
            signature=row.signature,
            chunks=tuple(_chunk(c, document.text[c.start : c.end]) for c in chunks),
            keys=(),
            vectors=(),
            maker="",
            near_duplicate=near,
        )

    def made(self, document_id: str) -> Mapping[str, Mapping[str, tuple[bytes, Vectors]]]:
        """Maker -> chunk id -> key and vectors, of a document's chunks."""
        v = _vectors.c
        query = sa.select(_vectors).join(_chunks).where(_chunks.c.document_id == document_id).order_by(v.chunk_id)
        found: dict[str, dict[str, tuple[bytes, Vectors]]] = {}
        for row in self._rows(query):
            dense = None if row.dense is None else _dense(row.dense)
            vectors = Vectors(dense, _codes(row.codes, row.code_count))
            found.setdefault(row.maker, {})[row.chunk_id] = (row.key, vectors)
        return found

    def document_ids(self) -> set[str]:
        """Ids of all documents."""
        return set(self._scalars(sa.select(_documents.c.id)))

    def sealed_ids(self) -> set[str]:
        """Ids of the documents whose original is kept."""
        return set(self._scalars(sa.select(_documents.c.id).where(_documents.c.sealed)))

    def chunk_ids(self, maker: str | None = None) -> set[str]:
        if maker is None:
            return set(self._scalars(sa.select(_chunks.c.id).where(_SHOWN)))
        v = _vectors.c
        made = sa.select(v.chunk_id).join(_chunks).where(v.maker == maker, v.dense.is_not(None), _SHOWN)
        return set(self._scalars(made))

    def chunks_of(self, document_ids: Collection[str]) -> set[str]:
        c = _chunks.c
        return {row.id for row in self._rows_in(sa.select(c.id), c.document_id, document_ids)}

    def indexable(self, chunk_ids: Sequence[str], maker: str) -> Iterator[Indexable]:
        v = _vectors.c
        made = sa.and_(v.chunk_id == _chunks.c.id, v.maker == maker, v.dense.is_not(None))
        query = _VIEW.add_columns(v.dense, _documents.c.metadata, _documents.c.media_type).join(_vectors, made)
        for batch in _batches(chunk_ids):
            for row in self._rows(query.where(_chunks.c.id.in_(batch))):
                fields = {"language": row.language, "media_type": row.media_type, **row.metadata}
                yield Indexable(_view(row), _dense(row.dense), fields)

    def vectors_of(self, chunk_ids: Collection[str]) -> list[bytes]:
        """Dense vectors that any encoder made of these chunks: float32, little-endian."""
        v = _vectors.c
        rows = self._rows_in(sa.select(v.dense).where(v.dense.is_not(None)), v.chunk_id, chunk_ids)
        return [row.dense for row in rows]

    def commitments(self) -> list[bytes]:
        """Per document, in the order of their ids, a commitment to its bytes under a salt that goes when it goes."""
        query = sa.select(_documents.c.sha256, _salts.c.salt).join(_salts).order_by(_documents.c.id)
        return [commitment(row.sha256, row.salt) for row in self._rows(query)]

    def stats(self) -> Stats:
        d = _documents.c
        count = sa.func.count()
        with guarded(self._path), self._engine.connect() as c:
            languages = {row[0]: row[1] for row in c.execute(sa.select(d.language, count).group_by(d.language))}
            return Stats(
                documents=sum(languages.values()),
                chunks=c.execute(sa.select(count).select_from(_chunks)).scalar_one(),
                quarantined=c.execute(sa.select(count).select_from(_quarantine)).scalar_one(),
                near_duplicates=c.execute(sa.select(count).where(d.near_duplicate_of.is_not(None))).scalar_one(),
                languages=languages,
            )

    # -- inside --------------------------------------------------------------------------------------------------

    def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with guarded(self._path), self._engine.connect() as c:
            return c.execute(query).all()

    def _rows_in(self, query: sa.Select[Any], column: sa.Column[Any], ids: Collection[Any]) -> list[sa.Row[Any]]:
        return [row for batch in _batches(ids) for row in self._rows(query.where(column.in_(batch)))]

    def _scalars(self, query: sa.Select[Any]) -> Sequence[Any]:
        with guarded(self._path), self._engine.connect() as c:
            return c.execute(query).scalars().all()


_SHOWN = _chunks.c.document_id.not_in(sa.select(_restrictions.c.document_id))
"""That a chunk's document is not restricted."""

# The chunk's text is cut out of its document's by the database: it is kept once, and only what is read is moved.
_VIEW = sa.select(
    _chunks,
    sa.func.substr(_texts.c.text, _chunks.c.start + 1, _chunks.c.end - _chunks.c.start).label("chunk_text"),
    _documents.c.source,
    _documents.c.title,
    _documents.c.language,
).select_from(_chunks.join(_documents).join(_texts, _texts.c.document_id == _documents.c.id))
_VIEW = _VIEW.where(_SHOWN)


def _no_document(document_id: str) -> StorageFault:
    return StorageFault("no such document", hint="it was deleted or erased", refs=(document_id,))


def _chunk(row: Any, text: str) -> Chunk:
    return Chunk(
        id=row.id,
        document_id=row.document_id,
        ordinal=row.ordinal,
        start=row.start,
        end=row.end,
        text=text,
        heading_path=tuple(row.heading_path),
        page=row.page,
    )


def _view(row: Any) -> ChunkView:
    return ChunkView(_chunk(row, row.chunk_text), source=row.source, title=row.title, language=row.language)


def _dense(data: bytes) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.frombuffer(data, dtype="<f4")


def _codes(data: bytes | None, count: int | None) -> TokenCodes | None:
    return None if data is None or count is None else TokenCodes(data, count)


def _batches(ids: Collection[_T]) -> Iterator[list[_T]]:
    items = list(ids)
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _name_makers(c: sa.Connection) -> None:
    """Vectors of a house made before they named their maker are those of its embedder."""
    columns = {row[1] for row in c.exec_driver_sql("PRAGMA table_info(vectors)")}
    if not columns or "maker" in columns:
        return
    c.exec_driver_sql("ALTER TABLE vectors RENAME TO vectors_unnamed")
    c.exec_driver_sql("DROP INDEX IF EXISTS ix_vectors_key")
    _vectors.create(c)
    maker = c.execute(sa.select(_meta.c.value).where(_meta.c.key == "embedder")).scalar() or ""
    c.exec_driver_sql(
        "INSERT INTO vectors (chunk_id, maker, key, dense, codes, code_count) "
        "SELECT chunk_id, ?, key, dense, codes, code_count FROM vectors_unnamed",
        (maker,),
    )
    c.exec_driver_sql("DROP TABLE vectors_unnamed")


_UNLINK = sa.update(_documents).values(near_duplicate_of=None, near_duplicate_similarity=None)


def _each(c: sa.Connection, statement: sa.Delete | sa.Update, column: sa.Column[Any], values: Collection[Any]) -> None:
    for batch in _batches(values):
        c.execute(statement.where(column.in_(batch)))


def read_fact(c: sa.Connection, key: str) -> str | None:
    """A fact of the house, within a transaction."""
    return c.execute(sa.select(_meta.c.value).where(_meta.c.key == key)).scalar()


def _raise_revision(c: sa.Connection) -> None:
    raise_fact(c, "revision")


def raise_fact(c: sa.Connection, key: str) -> None:
    """Count a fact up by one."""
    current = read_fact(c, key)
    c.execute(sa.delete(_meta).where(_meta.c.key == key))
    c.execute(sa.insert(_meta).values(key=key, value=str(int(current or 0) + 1)))


def _insert(c: sa.Connection, entries: Sequence[Entry]) -> None:
    if not entries:
        return
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    c.execute(sa.insert(_documents), [_document_row(e, now) for e in entries])
    salts = [{"document_id": e.document.id, "salt": secrets.token_bytes(_SALT_BYTES)} for e in entries]
    c.execute(sa.insert(_salts), salts)
    c.execute(sa.insert(_texts), [{"document_id": e.document.id, "text": e.document.text} for e in entries])
    chunks = [_chunk_row(chunk) for e in entries for chunk in e.chunks]
    vectors = [
        _vector_row(chunk.id, e.maker, key, vectors)
        for e in entries
        for chunk, key, vectors in zip(e.chunks, e.keys, e.vectors, strict=True)
    ]
    if chunks:
        c.execute(sa.insert(_chunks), chunks)
        c.execute(sa.insert(_vectors), vectors)


def _restrict(c: sa.Connection, hidden: Mapping[str, Collection[str]]) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = [
        {"document_id": document_id, "request": request, "since": now}
        for document_id, requests in hidden.items()
        for request in requests
    ]
    if rows:
        c.execute(sa.insert(_restrictions).prefix_with("OR IGNORE"), rows)


def _document_row(entry: Entry, now: str) -> dict[str, object]:
    document, duplicate = entry.document, entry.near_duplicate
    return {
        "id": document.id,
        "source": document.source,
        "title": document.title,
        "language": document.language,
        "media_type": document.media_type,
        "sha256": entry.sha256,
        "recipe": entry.recipe,
        "pages": [[p.number, p.start, p.end] for p in document.pages],
        "headings": [[h.level, h.start, h.end] for h in document.headings],
        "metadata": dict(document.metadata),
        "signature": entry.signature,
        "near_duplicate_of": duplicate.document_id if duplicate else None,
        "near_duplicate_similarity": duplicate.similarity if duplicate else None,
        "sealed": entry.original is not None,
        "ingested_at": now,
    }


def _chunk_row(chunk: Chunk) -> dict[str, object]:
    return {
        "id": chunk.id,
        "document_id": chunk.document_id,
        "ordinal": chunk.ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "heading_path": list(chunk.heading_path),
    }


def _vector_row(chunk_id: str, maker: str, key: bytes, vectors: Vectors) -> dict[str, object]:
    dense = vectors.dense
    return {
        "chunk_id": chunk_id,
        "maker": maker,
        "key": key,
        "dense": None if dense is None else np.ascontiguousarray(dense, dtype="<f4").tobytes(),
        "codes": vectors.codes.data if vectors.codes else None,
        "code_count": vectors.codes.count if vectors.codes else None,
    }


def _quarantine_row(q: Quarantined) -> dict[str, object]:
    return {"source": q.source, "code": q.code, "reason": q.reason, "sha256": q.sha256, "limits": q.limits}
