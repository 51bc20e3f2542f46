"""The catalog: the system of record. Texts, chunks and vectors by random ids; the index can be rebuilt from it alone.

Every committed change raises ``revision`` by one; an index generation remembers the revision it holds, so comparing
two numbers tells whether it is behind, and comparing two sets of chunk ids what it lacks.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from freehold.core.access import FIELD, Caller, label, may_see, of_label
from freehold.core.faults import step
from freehold.core.shelf import (
    Changes,
    ChunkView,
    Dated,
    Entry,
    Indexable,
    Known,
    Listed,
    NearDuplicate,
    Place,
    Quarantined,
    Stats,
    Vectors,
    Words,
)
from freehold.core.types import Chunk, Document, Heading, Page, TokenCodes
from freehold.proof.merkle import commitment
from freehold.store import tables as t
from freehold.store.access import Access, add_groups, put_groups
from freehold.store.rights import SHOWN, passed_over, put_rights, restrict
from freehold.store.rows import EPOCH, REVISION, batches, no_document, raise_fact, read_fact
from freehold.store.sketches import ALL_WORDS, WORDS_AT_A_TIME, Sketches, as_words, put_sketches, read_words, sketch_all
from freehold.store.sqlite import connect, guarded, truncate_log, write_anew

if TYPE_CHECKING:
    from freehold.core.types import Float32

_SALT_BYTES = 16
# Of every chunk and every document, so past what a query builder does with each row.
_MADE = "SELECT chunk_id FROM vectors WHERE maker = ? AND dense IS NOT NULL"
_IN_ORDER = "SELECT id FROM chunks ORDER BY rowid"
_FEW_CHUNKS = 5_000
"""Of more of them, all are read and the others left out."""
_SEALED = "SELECT id FROM documents WHERE sealed"
_LEAVES = "SELECT leaf FROM salts ORDER BY document_id"


class Catalog(Access, Sketches):
    """The tables above. Its methods are those of ``freehold.core.shelf.Shelf``, less what concerns files and keys."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, connect(path, t.metadata, upgrade=_upgrade))

    def close(self) -> None:
        self._engine.dispose()

    # -- facts about the house -----------------------------------------------------------------------------------

    def fact(self, key: str) -> str | None:
        """A fact kept under ``key``, for instance which embedder the house was made with."""
        with guarded(self._path), self._engine.connect() as c:
            return c.execute(sa.select(t.meta.c.value).where(t.meta.c.key == key)).scalar()

    def set_fact(self, key: str, value: str) -> None:
        """Keep a fact; durable on return."""
        with guarded(self._path), self._engine.begin() as c:
            c.execute(sa.delete(t.meta).where(t.meta.c.key == key))
            c.execute(sa.insert(t.meta).values(key=key, value=value))

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
            _each(c, _UNLINK, t.documents.c.near_duplicate_of, changes.remove)
            rights = passed_over(c, changes.instead, but_for=changes.fulfilled)
            _each(c, sa.delete(t.documents), t.documents.c.id, changes.remove)
            _each(c, sa.delete(t.quarantine), t.quarantine.c.source, changes.release)
            _insert(c, changes.add)
            restrict(c, changes.restrict)
            put_rights(c, rights)
            _each(c, sa.delete(t.quarantine), t.quarantine.c.source, [q.source for q in changes.quarantine])
            if changes.quarantine:
                c.execute(sa.insert(t.quarantine), [_quarantine_row(q) for q in changes.quarantine])
            if changes.add or changes.remove or changes.access:
                raise_fact(c, REVISION)
            put_groups(c, changes.access)
            step("catalog.before_commit")
        step("catalog.committed")
        if changes.remove:
            truncate_log(self._engine)
        return True

    def put_vectors(self, maker: str, made: Mapping[str, tuple[bytes, Vectors]]) -> None:
        v = t.vectors.c
        with guarded(self._path), self._engine.begin() as c:
            for batch in batches(made):
                alive = set(c.execute(sa.select(t.chunks.c.id).where(t.chunks.c.id.in_(batch))).scalars())
                c.execute(sa.delete(t.vectors).where(v.chunk_id.in_(batch), v.maker == maker))
                rows = [_vector_row(chunk_id, maker, *made[chunk_id]) for chunk_id in batch if chunk_id in alive]
                if rows:
                    c.execute(sa.insert(t.vectors), rows)
            step("catalog.before_vectors")

    def truncate(self) -> bool:
        """Empty the database's log; False while a reader holds an old state."""
        return truncate_log(self._engine)

    def write_anew(self) -> bool:
        """Write the database anew, without what deleted rows left in it; False while a reader holds an old state."""
        return write_anew(self._engine)

    def drop_vectors(self, maker: str) -> None:
        """Forget all that ``maker`` made; it is zeroed in the database and gone from its log."""
        with guarded(self._path), self._engine.begin() as c:
            c.execute(sa.delete(t.vectors).where(t.vectors.c.maker == maker))
        truncate_log(self._engine)

    # -- reading -------------------------------------------------------------------------------------------------

    def makers(self) -> set[str]:
        """Digests of the encoders whose vectors are here."""
        return set(self._scalars(sa.select(t.vectors.c.maker).distinct()))

    def unmade(self, maker: str, *, dense: bool, codes: bool) -> set[str]:
        v = t.vectors.c
        made = sa.select(v.chunk_id).where(v.maker == maker)
        if dense:
            made = made.where(v.dense.is_not(None))
        if codes:
            made = made.where(v.codes.is_not(None))
        return self.chunk_ids() - set(self._scalars(made))

    def known(self) -> Mapping[str, Known]:
        d = t.documents.c
        rows = self._rows(sa.select(d.source, d.id, d.sha256, d.recipe, d.access, d.ingested_at))
        return {r.source: Known(r.id, r.sha256, r.recipe, of_label(r.access), r.ingested_at) for r in rows}

    def quarantined(self) -> Mapping[str, Quarantined]:
        return {
            row.source: Quarantined(row.source, row.code, row.reason, row.sha256, row.limits, of_label(row.access))
            for row in self._rows(sa.select(t.quarantine))
        }

    def signatures(self) -> Iterator[tuple[str, bytes]]:
        d = t.documents.c
        yield from ((r.id, r.signature) for r in self._rows(sa.select(d.id, d.signature).order_by(d.ingested_at, d.id)))

    def cached(self, keys: Collection[bytes]) -> Mapping[bytes, Vectors]:
        v = t.vectors.c
        dense = sa.select(v.key, v.dense, v.codes, v.code_count).where(v.dense.is_not(None))
        rows = self._rows_in(dense, v.key, keys)
        return {row.key: Vectors(_dense(row.dense), _codes(row.codes, row.code_count)) for row in rows}

    def views(self, chunk_ids: Collection[str], caller: Caller | None = None) -> Mapping[str, ChunkView]:
        rows = self._rows_in(_VIEW, t.chunks.c.id, chunk_ids)
        return {row.id: _view(row) for row in rows if may_see(caller, row.access)}

    def places(self, chunk_ids: Collection[str]) -> Mapping[str, Place]:
        c = t.chunks.c
        query = sa.select(c.id, t.documents.c.source, c.start, c.end).select_from(t.chunks.join(t.documents))
        query = query.where(SHOWN)
        return {row.id: Place(row.source, row.start, row.end) for row in self._rows_in(query, c.id, chunk_ids)}

    def codes(self, chunk_ids: Collection[str], maker: str) -> Mapping[str, TokenCodes | None]:
        c, v = t.chunks.c, t.vectors.c
        made = sa.and_(v.chunk_id == c.id, v.maker == maker)
        query = sa.select(c.id, v.codes, v.code_count).select_from(t.chunks.outerjoin(t.vectors, made)).where(SHOWN)
        return {row.id: _codes(row.codes, row.code_count) for row in self._rows_in(query, c.id, chunk_ids)}

    def listed(self, caller: Caller | None, *, after: str = "", limit: int, source: str = "") -> Sequence[Listed]:
        """Documents that are not hidden and that the caller may see, by id: those after one, of which the source
        contains ``source``.
        """
        d = t.documents.c
        columns = (
            d.id,
            d.source,
            d.title,
            d.language,
            d.pages,
            d.metadata,
            d.access,
            sa.func.length(t.texts.c.text).label("size"),
        )
        query = sa.select(*columns).select_from(t.documents.join(t.texts)).where(d.id > after)
        query = query.where(d.id.not_in(sa.select(t.restrictions.c.document_id)))
        if caller is not None:
            query = query.where(d.access.in_(self.labels(caller)))
        if source:
            query = query.where(d.source.contains(source, autoescape=True))
        rows = self._rows(query.order_by(d.id).limit(limit))
        return [
            Listed(r.id, r.source, r.title, r.language, len(r.pages), r.size, r.metadata, of_label(r.access))
            for r in rows
        ]

    def text(self, document_id: str) -> str:
        rows = self._rows(sa.select(t.texts.c.text).where(t.texts.c.document_id == document_id))
        if not rows:
            raise no_document(document_id)
        return str(rows[0].text)

    def texts(self) -> Iterator[str]:
        x = t.texts.c
        hidden = self.restricted()
        for batch in batches(self.document_ids() - hidden.keys()):
            yield from (row.text for row in self._rows(sa.select(x.text).where(x.document_id.in_(batch))))

    def words(self, document_ids: Collection[str] | None = None) -> Iterator[Words]:
        d = t.documents.c
        columns = (d.id, d.source, d.title, d.language, d.metadata, t.texts.c.text)
        query = sa.select(*columns).select_from(t.documents.join(t.texts)).order_by(d.id)
        if document_ids is not None:
            for batch in batches(sorted(document_ids)):
                yield from map(_words, self._rows(query.where(d.id.in_(batch))))
            return
        last = 0  # no reader stays in the database between two batches
        while rows := self._driver_rows(ALL_WORDS, (last, WORDS_AT_A_TIME)):
            yield from map(read_words, rows)
            last = rows[-1][0]

    def document(self, document_id: str) -> Document:
        whole = sa.select(t.documents, t.texts.c.text).join(t.texts, t.texts.c.document_id == t.documents.c.id)
        rows = self._rows(whole.where(t.documents.c.id == document_id))
        if not rows:
            raise no_document(document_id)
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
            groups=of_label(row.access),
        )

    def document_for(self, document_id: str, caller: Caller | None) -> Document:
        document = self.document(document_id)
        hidden = sa.select(t.restrictions.c.request).where(t.restrictions.c.document_id == document_id).limit(1)
        if self._rows(hidden) or not (caller is None or caller.sees(document.groups)):
            raise no_document(document_id)
        return document

    def entry(self, document_id: str) -> Entry:
        """A document as it was committed, without vectors and original. Raises StorageFault when there is none."""
        d = t.documents.c
        rows = self._rows(sa.select(t.documents).where(d.id == document_id))
        if not rows:
            raise no_document(document_id)
        row, document = rows[0], self.document(document_id)
        chunks = self._rows(
            sa.select(t.chunks).where(t.chunks.c.document_id == document_id).order_by(t.chunks.c.ordinal)
        )
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
            entered=row.ingested_at,
        )

    def made(self, document_id: str) -> Mapping[str, Mapping[str, tuple[bytes, Vectors]]]:
        """Maker -> chunk id -> key and vectors, of a document's chunks."""
        v = t.vectors.c
        query = sa.select(t.vectors).join(t.chunks).where(t.chunks.c.document_id == document_id).order_by(v.chunk_id)
        found: dict[str, dict[str, tuple[bytes, Vectors]]] = {}
        for row in self._rows(query):
            dense = None if row.dense is None else _dense(row.dense)
            vectors = Vectors(dense, _codes(row.codes, row.code_count))
            found.setdefault(row.maker, {})[row.chunk_id] = (row.key, vectors)
        return found

    def document_ids(self) -> set[str]:
        """Ids of all documents."""
        return set(self._scalars(sa.select(t.documents.c.id)))

    def present(self, document_ids: Collection[str]) -> set[str]:
        """Those of these documents that are here."""
        d = t.documents.c
        return {row.id for row in self._rows_in(sa.select(d.id), d.id, document_ids)}

    def sealed_ids(self) -> set[str]:
        """Ids of the documents whose original is kept."""
        return {row[0] for row in self._driver_rows(_SEALED, ())}

    def chunk_ids(self, maker: str | None = None) -> set[str]:
        if maker is None:
            return set(self._scalars(sa.select(t.chunks.c.id).where(SHOWN)))
        hidden = self._scalars(sa.select(t.chunks.c.id).where(~SHOWN))
        return {row[0] for row in self._driver_rows(_MADE, (maker,))}.difference(hidden)

    def in_order(self, chunk_ids: Collection[str]) -> list[str]:
        if len(chunk_ids) > _FEW_CHUNKS:
            wanted = frozenset(chunk_ids)
            return [row[0] for row in self._driver_rows(_IN_ORDER, ()) if row[0] in wanted]
        rowid: sa.Label[int] = sa.literal_column("chunks.rowid").label("number")
        rows = self._rows_in(sa.select(t.chunks.c.id, rowid), t.chunks.c.id, chunk_ids)
        return [row.id for row in sorted(rows, key=lambda row: row.number)]

    def chunks_of(self, document_ids: Collection[str]) -> set[str]:
        c = t.chunks.c
        return {row.id for row in self._rows_in(sa.select(c.id), c.document_id, document_ids)}

    def indexable(self, chunk_ids: Sequence[str], maker: str) -> Iterator[Indexable]:
        v = t.vectors.c
        made = sa.and_(v.chunk_id == t.chunks.c.id, v.maker == maker, v.dense.is_not(None))
        query = _VIEW.add_columns(v.dense, t.documents.c.metadata, t.documents.c.media_type).join(t.vectors, made)
        for batch in batches(chunk_ids):
            for row in self._rows(query.where(t.chunks.c.id.in_(batch))):
                fields = {"language": row.language, "media_type": row.media_type, **row.metadata, FIELD: row.access}
                yield Indexable(_view(row), _dense(row.dense), fields)

    def vectors_of(self, chunk_ids: Collection[str]) -> list[bytes]:
        """Dense vectors that any encoder made of these chunks: float32, little-endian."""
        v = t.vectors.c
        rows = self._rows_in(sa.select(v.dense).where(v.dense.is_not(None)), v.chunk_id, chunk_ids)
        return [row.dense for row in rows]

    def arrivals(self) -> list[tuple[str, str]]:
        """(document id, when it was ingested: ISO 8601 in UTC), oldest first, without those that are restricted."""
        d, hidden = t.documents.c, sa.select(t.restrictions.c.document_id)
        query = sa.select(d.id, d.ingested_at).where(d.id.not_in(hidden)).order_by(d.ingested_at, d.id)
        return [(row.id, row.ingested_at) for row in self._rows(query)]

    def dated(self, field: str) -> list[Dated]:
        """Since when each document is here, oldest first, restricted ones included, with what it states in a field of
        its metadata.
        """
        d = t.documents.c
        rows = self._rows(sa.select(d.id, d.source, d.ingested_at, d.metadata).order_by(d.ingested_at, d.id))
        return [Dated(row.id, row.source, row.ingested_at, row.metadata.get(field, "")) for row in rows]

    def document_vectors(self, document_ids: Collection[str], maker: str) -> dict[str, Float32]:
        """Document id -> float32 (dim,), the mean of the dense vectors that ``maker`` made of its chunks.

        Left out are documents of which it made none.
        """
        c, v = t.chunks.c, t.vectors.c
        query = sa.select(c.document_id, v.dense).join(t.vectors, v.chunk_id == c.id)
        query = query.where(v.maker == maker, v.dense.is_not(None), SHOWN)
        means: dict[str, Float32] = {}
        for batch in batches(document_ids):
            sums: dict[str, list[Float32]] = {}
            for row in self._rows(query.where(c.document_id.in_(batch))):
                sums.setdefault(row.document_id, []).append(_dense(row.dense))
            means.update({document_id: np.mean(vectors, axis=0) for document_id, vectors in sums.items()})
        return means

    def commitments(self) -> list[bytes]:
        """Per document, in the order of their ids, a commitment to its bytes under a salt that goes when it goes."""
        return [row[0] for row in self._driver_rows(_LEAVES, ())]

    def is_empty(self) -> bool:
        query = sa.select(sa.exists().where(t.chunks.c.id.is_not(None)))
        with guarded(self._path), self._engine.connect() as c:
            return not c.execute(query).scalar_one()

    def stats(self, caller: Caller | None = None) -> Stats:
        d = t.documents.c
        count = sa.func.count()
        by_language = sa.select(d.language, count, sa.func.count(d.near_duplicate_of)).group_by(d.language)
        chunks = sa.select(count).select_from(t.chunks)
        quarantined = sa.select(count).select_from(t.quarantine)
        if caller is not None:
            seen = d.access.in_(self.labels(caller)) & d.id.not_in(sa.select(t.restrictions.c.document_id))
            by_language = by_language.where(seen)
            chunks = chunks.where(t.chunks.c.document_id.in_(sa.select(d.id).where(seen)))
            quarantined = quarantined.where(sa.false())
        with guarded(self._path), self._engine.connect() as c:
            languages = c.execute(by_language).all()
            return Stats(
                documents=sum(row[1] for row in languages),
                chunks=c.execute(chunks).scalar_one(),
                quarantined=c.execute(quarantined).scalar_one(),
                near_duplicates=sum(row[2] for row in languages),
                languages={row[0]: row[1] for row in languages},
            )


# The chunk's text is cut out of its document's by the database: it is kept once, and only what is read is moved.
_VIEW = sa.select(
    t.chunks,
    sa.func.substr(t.texts.c.text, t.chunks.c.start + 1, t.chunks.c.end - t.chunks.c.start).label("chunk_text"),
    t.documents.c.source,
    t.documents.c.title,
    t.documents.c.language,
    t.documents.c.access,
).select_from(t.chunks.join(t.documents).join(t.texts, t.texts.c.document_id == t.documents.c.id))
_VIEW = _VIEW.where(SHOWN)


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


def _words(row: Any) -> Words:
    return Words(row.id, row.source, row.title, row.language, row.metadata, row.text)


def _view(row: Any) -> ChunkView:
    return ChunkView(_chunk(row, row.chunk_text), source=row.source, title=row.title, language=row.language)


def _dense(data: bytes) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.frombuffer(data, dtype="<f4")


def _codes(data: bytes | None, count: int | None) -> TokenCodes | None:
    return None if data is None or count is None else TokenCodes(data, count)


def _upgrade(c: sa.Connection) -> None:
    _name_makers(c)
    add_groups(c)
    sketch_all(c)
    _keep_leaves(c)


def _name_makers(c: sa.Connection) -> None:
    """Vectors of a house made before they named their maker are those of its embedder."""
    columns = {row[1] for row in c.exec_driver_sql("PRAGMA table_info(vectors)")}
    if not columns or "maker" in columns:
        return
    c.exec_driver_sql("ALTER TABLE vectors RENAME TO vectors_unnamed")
    c.exec_driver_sql("DROP INDEX IF EXISTS ix_vectors_key")
    t.vectors.create(c)
    maker = c.execute(sa.select(t.meta.c.value).where(t.meta.c.key == "embedder")).scalar() or ""
    c.exec_driver_sql(
        "INSERT INTO vectors (chunk_id, maker, key, dense, codes, code_count) "
        "SELECT chunk_id, ?, key, dense, codes, code_count FROM vectors_unnamed",
        (maker,),
    )
    c.exec_driver_sql("DROP TABLE vectors_unnamed")


def _keep_leaves(c: sa.Connection) -> None:
    """Commitments that were made whenever they were asked for are kept."""
    columns = {row[1] for row in c.exec_driver_sql("PRAGMA table_info(salts)")}
    if not columns or "leaf" in columns:
        return
    c.exec_driver_sql("ALTER TABLE salts RENAME TO salts_bare")
    t.salts.create(c)
    bare = c.exec_driver_sql("SELECT d.id, s.salt, d.sha256 FROM documents d JOIN salts_bare s ON s.document_id = d.id")
    rows = [(document_id, salt, commitment(digest, salt)) for document_id, salt, digest in bare]
    if rows:
        c.exec_driver_sql("INSERT INTO salts (document_id, salt, leaf) VALUES (?, ?, ?)", rows)
    c.exec_driver_sql("DROP TABLE salts_bare")


_UNLINK = sa.update(t.documents).values(near_duplicate_of=None, near_duplicate_similarity=None)


def _each(c: sa.Connection, statement: sa.Delete | sa.Update, column: sa.Column[Any], values: Collection[Any]) -> None:
    for batch in batches(values):
        c.execute(statement.where(column.in_(batch)))


def _insert(c: sa.Connection, entries: Sequence[Entry]) -> None:
    if not entries:
        return
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    c.execute(sa.insert(t.documents), [_document_row(e, now) for e in entries])
    c.execute(sa.insert(t.salts), [_salt_row(e) for e in entries])
    c.execute(sa.insert(t.texts), [{"document_id": e.document.id, "text": e.document.text} for e in entries])
    put_sketches(c, [as_words(e.document) for e in entries])
    chunks = [_chunk_row(chunk) for e in entries for chunk in e.chunks]
    vectors = [
        _vector_row(chunk.id, e.maker, key, vectors)
        for e in entries
        for chunk, key, vectors in zip(e.chunks, e.keys, e.vectors, strict=True)
    ]
    if chunks:
        c.execute(sa.insert(t.chunks), chunks)
        c.execute(sa.insert(t.vectors), vectors)


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
        "ingested_at": entry.entered or now,
        "access": label(document.groups),
    }


def _salt_row(entry: Entry) -> dict[str, object]:
    salt = secrets.token_bytes(_SALT_BYTES)
    return {"document_id": entry.document.id, "salt": salt, "leaf": commitment(entry.sha256, salt)}


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
    told = {"source": q.source, "code": q.code, "reason": q.reason, "sha256": q.sha256, "limits": q.limits}
    return {**told, "access": label(q.groups)}
