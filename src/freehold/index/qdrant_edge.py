"""The default vector index: Qdrant Edge, the Qdrant engine inside this process.

One directory: ``lock``, ``index.json`` (format and dimension), ``shard/`` (the engine's own files) and, between a
change and the next ``optimize``, an empty file ``unoptimized``. Payloads hold filter fields as tags, never text.
The engine holds the GIL during a call: searches are short, whereas building belongs in a process of its own
(see ``freehold.index.generations``). What was measured, and why the settings are what they are: ADR 0005.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import qdrant_edge as engine

from freehold.core.errors import EngineFault, HouseMismatch, StorageFault
from freehold.core.types import Filter, Leg, Point, ScoredId, SparseVector
from freehold.index.edge_values import engine_faults, engine_filter, engine_point, engine_sparse
from freehold.index.files import storage_faults
from freehold.index.locks import FileLock
from freehold.index.record import LOCK_NAME
from freehold.index.ties import best
from freehold.index.values import (
    EXACT_BELOW,
    HNSW_EF,
    IDS_PAGE,
    SEGMENT_POINTS,
    TAGS,
    WRITE_BATCH,
    checked_id,
    dense_list,
    is_chunk_id,
    kilobytes,
)

if TYPE_CHECKING:
    from freehold.core.types import Float32

FORMAT = 1
EXACT = engine.SearchParams(exact=True)
RESCORED = engine.QuantizationSearchParams(rescore=True, oversampling=2.0)
# Statistics kept with the postings still count what was deleted since the last optimize; a corpus given as a filter
# makes the engine count what is present.
PRESENT_IDF = engine.SearchParams(idf=engine.IdfParams(corpus=engine.Filter()))


class QdrantEdgeIndex:
    """``VectorIndex`` over one shard of Qdrant Edge. See ``create`` and ``open``."""

    def __init__(
        self, path: Path, shard: engine.EdgeShard, lock: FileLock, *, dim: int, read_only: bool, hnsw_ef: int = HNSW_EF
    ) -> None:
        self._path = path
        self._shard: engine.EdgeShard | None = shard
        self._lock = lock
        self._approximate = engine.SearchParams(hnsw_ef=hnsw_ef, quantization=RESCORED)
        self._dim = dim
        self._read_only = read_only
        self._marker = path / "unoptimized"
        self._optimized = not self._marker.exists()
        self._appended = 0
        self._points: int | None = None

    @classmethod
    def create(cls, path: Path, *, dim: int) -> Self:
        """Make an empty index at ``path``, which must not exist or be empty, and open it for writing.

        Raises StorageFault when the directory cannot be made or holds files already.
        """
        with storage_faults(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = FileLock.acquire(path / LOCK_NAME, shared=False)
        try:
            if {entry.name for entry in path.iterdir()} != {LOCK_NAME}:
                raise StorageFault(f"{path} is not empty", hint="choose a new directory", refs=(str(path),))
            with storage_faults(path):
                (path / "index.json").write_text(json.dumps({"format": FORMAT, "dim": dim}))
            with engine_faults(path, "create"):
                shard = engine.EdgeShard.create(str(path / "shard"), _config(dim))
                shard.update(engine.UpdateOperation.create_field_index(TAGS, engine.KeywordIndexParams()))
                shard.flush()
        except BaseException:
            lock.release()
            raise
        return cls(path, shard, lock, dim=dim, read_only=False)

    @classmethod
    def open(cls, path: Path, *, read_only: bool, hnsw_ef: int = HNSW_EF) -> Self:
        """Open the index at ``path``: any number of readers, or one writer.

        Raises HouseBusy when others hold it in a way that excludes this, StorageFault when it is missing or damaged,
        HouseMismatch when a newer Freehold wrote it.
        """
        if not path.is_dir():
            raise StorageFault(f"no index at {path}", hint="build it again from the catalog", refs=(str(path),))
        with storage_faults(path):
            lock = FileLock.acquire(path / LOCK_NAME, shared=read_only)
        try:
            dim = _read_dim(path)
            with engine_faults(path, "open"):
                shard = engine.EdgeShard.load(str(path / "shard"))
        except BaseException:
            lock.release()
            raise
        return cls(path, shard, lock, dim=dim, read_only=read_only, hnsw_ef=hnsw_ef)

    @property
    def dim(self) -> int:
        """Length of the dense vectors."""
        return self._dim

    def upsert(self, points: Sequence[Point]) -> None:
        """Insert points; a chunk id that is present, or comes again later in ``points``, is replaced.

        Every point is checked before any is written. A call that fills a segment takes seconds: it is then indexed.
        Raises EngineFault for a wrong dimension, a number that is not finite, a malformed id or sparse vector.
        """
        shard = self._writable()
        converted = [
            engine_point(point, dim=self._dim) for point in {point.chunk_id: point for point in points}.values()
        ]
        for start in range(0, len(converted), WRITE_BATCH):
            batch = converted[start : start + WRITE_BATCH]
            self._mark_unoptimized()
            with engine_faults(self._path, "insert"):
                # An overwrite in place would leave the old bytes where no vacuum sees them.
                shard.update(engine.UpdateOperation.delete_points([point.id for point in batch]))
                shard.update(engine.UpdateOperation.upsert_points(batch))
                self._appended += len(batch)
                if self._appended >= SEGMENT_POINTS:
                    # The engine's own cap binds only merges: what was appended at one go becomes one segment.
                    shard.optimize()
                    self._appended = 0

    def delete(self, chunk_ids: Collection[str]) -> None:
        """Remove points; unknown ids are ignored. Raises EngineFault for an id that is not a canonical UUID."""
        shard = self._writable()
        ids = [checked_id(chunk_id) for chunk_id in chunk_ids]
        if ids:
            self._mark_unoptimized()
            with engine_faults(self._path, "delete"):
                shard.update(engine.UpdateOperation.delete_points(list(ids)))

    def optimize(self) -> None:
        """Build search structures and rewrite the segments that held deleted points; durable on return."""
        shard = self._writable()
        with engine_faults(self._path, "optimize"):
            shard.optimize()
            shard.flush()
        with storage_faults(self._path):
            self._marker.unlink(missing_ok=True)
        self._optimized = True
        self._appended = 0

    def flush(self) -> None:
        """Return when everything acknowledged is on disk."""
        shard = self._writable()
        with engine_faults(self._path, "flush"):
            shard.flush()

    def search(
        self,
        *,
        dense: Float32 | None = None,
        sparse: SparseVector | None = None,
        limit: int,
        filter: Filter | None = None,
        exact: bool = False,
    ) -> Mapping[Leg, Sequence[ScoredId]]:
        """The best ``limit`` points of each leg that is given, by score descending, equal scores by chunk id.

        One call to the engine, and more only while a run of equal scores is cut by the limit. Up to EXACT_BELOW points
        the search is exact in any case. Raises EngineFault for a vector that is malformed and for a negative limit.
        """
        shard = self._opened()
        if limit < 0:
            raise EngineFault(f"a limit of {limit} points", hint="ask for zero points or more")
        asked: dict[Leg, tuple[engine.Query, engine.SearchParams | None]] = {}
        if dense is not None:
            nearest = engine.Query.Nearest(dense_list(dense, dim=self._dim), using="dense")
            asked["dense"] = (nearest, EXACT if exact or self._total() <= EXACT_BELOW else self._approximate)
        if sparse is not None:
            nearest = engine.Query.Nearest(engine_sparse(sparse), using="bm25")
            asked["lexical"] = (nearest, None if self._optimized else PRESENT_IDF)
        condition = engine_filter(filter)

        def ask(
            queries: Sequence[tuple[engine.Query, engine.SearchParams | None]], fetch: int
        ) -> Sequence[Sequence[engine.ScoredPoint]]:
            requests = [
                engine.QueryRequest(limit=fetch, query=nearest, params=params, filter=condition)
                for nearest, params in queries
            ]
            with engine_faults(self._path, "search"):
                return shard.query_batch(engine.QueryBatchRequest(requests))

        return best(asked, limit, ask)

    def ids(self) -> Iterator[str]:
        """Every chunk id, in no promised order. Not to be mixed with changes."""
        self._opened()
        return self._scroll()

    def present(self, chunk_ids: Collection[str]) -> set[str]:
        """Those of the chunk ids that there is a point of."""
        shard = self._opened()
        wanted: list[engine.PointId] = [chunk_id for chunk_id in chunk_ids if is_chunk_id(chunk_id)]
        with engine_faults(self._path, "retrieve"):
            return {str(record.id) for record in shard.retrieve(wanted, False, False)} if wanted else set()

    def count(self, filter: Filter | None = None) -> int:
        """Number of points that pass the filter, exactly."""
        shard = self._opened()
        with engine_faults(self._path, "count"):
            return shard.count(engine.CountRequest(exact=True, filter=engine_filter(filter)))

    def close(self) -> None:
        """Flush and let go of files and lock. Any later call raises EngineFault; closing twice is fine."""
        shard, self._shard = self._shard, None
        if shard is None:
            return
        try:
            with engine_faults(self._path, "close"):
                shard.close()  # which flushes
        finally:
            self._lock.release()

    def _opened(self) -> engine.EdgeShard:
        if self._shard is None:
            raise EngineFault(f"the index {self._path} is closed", hint="open it again")
        return self._shard

    def _writable(self) -> engine.EdgeShard:
        shard = self._opened()
        if self._read_only:
            raise EngineFault(f"the index {self._path} is open for reading", hint="open it with read_only=False")
        self._points = None
        return shard

    def _mark_unoptimized(self) -> None:
        if self._optimized:
            with storage_faults(self._path):
                self._marker.touch()
            self._optimized = False

    def _total(self) -> int:
        # Counting costs the engine more than a search, so the number is kept until the next change.
        if self._points is None:
            self._points = self.count()
        return self._points

    def _scroll(self) -> Iterator[str]:
        offset: engine.PointId | None = None
        while True:
            request = engine.ScrollRequest(offset=offset, limit=IDS_PAGE, with_payload=False, with_vector=False)
            with engine_faults(self._path, "scroll"):
                records, offset = self._opened().scroll(request)
            yield from (str(record.id) for record in records)
            if offset is None:
                return


def _config(dim: int) -> engine.EdgeConfig:
    dense = engine.EdgeVectorParams(
        size=dim,
        distance=engine.Distance.Cosine,
        hnsw_config=engine.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10_000),
        quantization_config=engine.ScalarQuantizationConfig(engine.ScalarType.Int8, quantile=0.99),
    )
    optimizers = engine.EdgeOptimizersConfig(
        # Vacuum as soon as a single point is deleted: the defaults leave deleted bytes on disk for good.
        deleted_threshold=0.0,
        vacuum_min_vector_number=1,
        default_segment_number=1,
        max_segment_size=kilobytes(SEGMENT_POINTS + WRITE_BATCH, dim=dim),
        indexing_threshold=kilobytes(EXACT_BELOW, dim=dim),
    )
    return engine.EdgeConfig(
        vectors={"dense": dense},
        sparse_vectors={"bm25": engine.EdgeSparseVectorParams(modifier=engine.Modifier.Idf)},
        optimizers=optimizers,
        # The write-ahead log would keep deleted payloads. Durability comes from flush and the catalog's replay.
        wal_enabled=False,
    )


def _read_dim(path: Path) -> int:
    try:
        meta = json.loads((path / "index.json").read_bytes())
        written, dim = int(meta["format"]), int(meta["dim"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageFault(
            f"{path / 'index.json'} is missing or damaged", hint="build the index again from the catalog"
        ) from error
    if written > FORMAT:
        raise HouseMismatch(f"{path} has format {written}, this Freehold reads {FORMAT}", hint="upgrade Freehold")
    return dim
