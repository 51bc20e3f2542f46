"""A vector index in a collection of a Qdrant server: the data model of ``qdrant_edge``, on another machine.

The collection holds ids, vectors and filter fields as tags, never text. It is searched over HTTP, so the process that
asks keeps its GIL. Which collection answers, and how one follows another: ``freehold.index.qdrant_generations``.
What a server cannot do that the embedded engine does, and what follows from it: ADR 16.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from freehold.core.errors import EndpointFault, EngineFault, StorageFault
from freehold.core.types import Filter, Leg, Point, ScoredId, SparseVector
from freehold.index.locks import FileLock
from freehold.index.qdrant_server import Server
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
    sparse_lists,
    tags_of,
    wanted_tags,
)

if TYPE_CHECKING:
    from qdrant_client import models

    from freehold.core.types import Float32

BATCH_NUMBERS = 500_000
"""Numbers of dense vectors in one request: some six megabytes of JSON, where a server takes 32."""
OPTIMIZE_WAIT_S = 600.0
"""How long to wait for search structures. Without them a search is exact, and slower."""
POLL_S = 0.2


class QdrantIndex:
    """``VectorIndex`` over one collection. See ``create`` and ``open``."""

    def __init__(
        self,
        server: Server,
        collection: str,
        *,
        dim: int,
        hnsw_ef: int = HNSW_EF,
        whole: bool = False,
        hold: FileLock | None = None,
    ) -> None:
        """``whole``: no point was ever deleted or replaced in it. ``hold`` is let go of by ``close``."""
        from qdrant_client import models

        self._server, self._collection, self._dim, self._hold = server, collection, dim, hold
        self._models = models
        self._closed = False
        self._points: int | None = None
        self._exact = models.SearchParams(exact=True)
        rescored = models.QuantizationSearchParams(rescore=True, oversampling=2.0)
        self._approximate = models.SearchParams(hnsw_ef=hnsw_ef, quantization=rescored)
        # A server counts what was deleted until it rewrites the segment, which it may never do; a corpus given as a
        # filter makes it count what is present.
        self._idf = None if whole else models.SearchParams(idf=models.IdfCorpusParams(corpus=models.Filter()))

    @classmethod
    def create(cls, server: Server, collection: str, *, dim: int, shards: int = 1, replicas: int = 1) -> Self:
        """Make an empty collection, which must not exist. Raises EndpointFault."""
        from qdrant_client import models

        made = _config(models, dim=dim, shards=shards, replicas=replicas)

        def create(client: Any) -> None:
            if not client.collection_exists(collection):  # it does where only the answer to the last call was lost
                client.create_collection(collection, **made)
            client.create_payload_index(collection, TAGS, models.PayloadSchemaType.KEYWORD)

        server.ask(create)
        return cls(server, collection, dim=dim)

    @classmethod
    def open(
        cls,
        server: Server,
        collection: str,
        *,
        hnsw_ef: int = HNSW_EF,
        whole: bool = False,
        hold: FileLock | None = None,
    ) -> Self:
        """Open a collection. Raises StorageFault where it is not there or not of this make, EndpointFault."""
        info = server.ask(lambda client: client.get_collection(collection))
        try:
            dim = int(info.config.params.vectors["dense"].size)
            if "bm25" not in info.config.params.sparse_vectors:
                raise KeyError("bm25")
        except (AttributeError, KeyError, TypeError, ValueError):
            raise StorageFault(
                f"the collection on {server.host} is not as this Freehold makes them",
                hint="build the index again from the catalog",
                refs=(collection,),
            ) from None
        return cls(server, collection, dim=dim, hnsw_ef=hnsw_ef, whole=whole, hold=hold)

    @property
    def dim(self) -> int:
        """Length of the dense vectors."""
        return self._dim

    def upsert(self, points: Sequence[Point]) -> None:
        """Insert points; a chunk id that is present, or comes again later in ``points``, is replaced.

        Every point is checked before any is sent. The server has written them to its log on return.
        Raises EngineFault for a wrong dimension, a number that is not finite, a malformed id or sparse vector.
        """
        self._opened()
        self.put([self._as_sent(point) for point in {point.chunk_id: point for point in points}.values()])

    def put(self, points: Sequence[models.PointStruct]) -> None:
        """Insert points as ``pages`` of another collection gives them."""
        server = self._changing()
        size = batch_points(self._dim)
        for start in range(0, len(points), size):
            batch = points[start : start + size]
            server.ask(lambda client, batch=batch: client.upsert(self._collection, batch, wait=True))  # type: ignore[misc]

    def delete(self, chunk_ids: Collection[str]) -> None:
        """Remove points; unknown ids are ignored. Raises EngineFault for an id that is not a canonical UUID."""
        server = self._changing()
        ids = [checked_id(chunk_id) for chunk_id in chunk_ids]
        if ids:
            selector = self._models.PointIdsList(points=list(ids))
            server.ask(lambda client: client.delete(self._collection, selector, wait=True))

    def optimize(self) -> None:
        """Wait until the server has built its search structures, for OPTIMIZE_WAIT_S at most.

        What was deleted it drops when it sees fit: it never rewrites a segment that lost fewer than 100 points.
        """
        server = self._changing()
        until = time.monotonic() + OPTIMIZE_WAIT_S
        pause_s = POLL_S
        while True:
            info = server.ask(lambda client: client.get_collection(self._collection))
            if info.status == self._models.CollectionStatus.RED:
                raise EngineFault(
                    f"the collection on {server.host} is broken",
                    hint="look at the server's log and disk",
                    refs=(self._collection,),
                )
            if info.status != self._models.CollectionStatus.YELLOW or time.monotonic() >= until:
                return
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 5.0)

    def flush(self) -> None:
        """Nothing to do: what a server acknowledged stands in its log."""
        self._opened()

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

        One request, and more only while a run of equal scores is cut by the limit. Up to EXACT_BELOW points the search
        is exact in any case. Raises EngineFault for a vector that is malformed, for a negative limit and where the
        collection holds what is not the house's; EndpointFault.
        """
        server = self._opened()
        if limit < 0:
            raise EngineFault(f"a limit of {limit} points", hint="ask for zero points or more")
        models = self._models
        condition = self._filter(filter)
        asked: dict[Leg, dict[str, Any]] = {}
        if dense is not None:
            nearest = dense_list(dense, dim=self._dim)
            params = self._exact if exact or self._total() <= EXACT_BELOW else self._approximate
            asked["dense"] = {"query": nearest, "using": "dense", "params": params}
        if sparse is not None:
            indices, values = sparse_lists(sparse)
            terms = models.SparseVector(indices=indices, values=values)
            if indices:
                asked["lexical"] = {"query": terms, "using": "bm25", "params": self._idf}

        def ask(queries: Sequence[dict[str, Any]], fetch: int) -> Sequence[Sequence[Any]]:
            requests = [models.QueryRequest(limit=fetch, filter=condition, **query) for query in queries]
            answers = server.ask(lambda client: client.query_batch_points(self._collection, requests))
            if len(answers) != len(requests):
                raise EndpointFault(f"{server.host} left a question unanswered", hint="look at the server's log")
            return [self._own(answer.points) for answer in answers]

        found = best(asked, limit, ask)
        return found if sparse is None or "lexical" in found else {**found, "lexical": ()}

    def ids(self) -> Iterator[str]:
        """Every chunk id, in no promised order. Not to be mixed with changes."""
        self._opened()
        return (str(record.id) for page in self._pages(IDS_PAGE, content=False) for record in page)

    def present(self, chunk_ids: Collection[str]) -> set[str]:
        """Those of the chunk ids that there is a point of."""
        server, wanted = self._opened(), [chunk_id for chunk_id in chunk_ids if is_chunk_id(chunk_id)]
        found = set()
        for start in range(0, len(wanted), IDS_PAGE):
            part = wanted[start : start + IDS_PAGE]
            records = server.ask(
                lambda client, part=part: client.retrieve(  # type: ignore[misc]
                    self._collection, part, with_payload=False, with_vectors=False
                )
            )
            found |= {str(record.id) for record in self._own(records)}
        return found

    def pages(self) -> Iterator[list[models.PointStruct]]:
        """Every point, as ``put`` takes it."""
        for page in self._pages(batch_points(self._dim), content=True):
            yield [self._models.PointStruct(id=r.id, vector=r.vector, payload=r.payload) for r in page]

    def count(self, filter: Filter | None = None) -> int:
        """Number of points that pass the filter, exactly."""
        server, condition = self._opened(), self._filter(filter)
        counted = server.ask(lambda client: client.count(self._collection, count_filter=condition, exact=True))
        return int(counted.count)

    def close(self) -> None:
        """Let the collection go. Any later call raises EngineFault; closing twice is fine."""
        self._closed = True
        if self._hold is not None:
            self._hold.release()

    def _opened(self) -> Server:
        if self._closed:
            raise EngineFault("the index is closed", hint="open it again", refs=(self._collection,))
        return self._server

    def _changing(self) -> Server:
        self._points = None
        return self._opened()

    def _total(self) -> int:
        if self._points is None:
            self._points = self.count()
        return self._points

    def _filter(self, condition: Filter | None) -> Any:
        wanted = wanted_tags(condition)
        if not wanted:
            return None
        models = self._models
        must = [models.FieldCondition(key=TAGS, match=models.MatchAny(any=tags)) for tags in wanted]
        return models.Filter(must=must)

    def _as_sent(self, point: Point) -> models.PointStruct:
        models = self._models
        indices, values = sparse_lists(point.sparse, point.chunk_id)
        vectors = {
            "dense": dense_list(point.dense, point.chunk_id, dim=self._dim),
            "bm25": models.SparseVector(indices=indices, values=values),
        }
        return models.PointStruct(id=checked_id(point.chunk_id), vector=vectors, payload={TAGS: tags_of(point)})

    def _own(self, points: Sequence[Any]) -> Sequence[Any]:
        """Raises EngineFault where one has an id that no house gives."""
        if not all(is_chunk_id(point.id) for point in points):
            raise EngineFault(
                f"the collection on {self._server.host} holds points that are not the house's",
                hint="see who else writes there; it is built again from the catalog where it is dropped on the server",
                refs=(self._collection,),
            )
        return points

    def _pages(self, size: int, *, content: bool) -> Iterator[Sequence[Any]]:
        offset: Any = None
        while True:
            records, offset = self._opened().ask(
                lambda client, offset=offset: client.scroll(  # type: ignore[misc]
                    self._collection, limit=size, offset=offset, with_payload=content, with_vectors=content
                )
            )
            yield self._own(records)
            if offset is None:
                return


def batch_points(dim: int) -> int:
    """How many points go in one request."""
    return max(1, min(WRITE_BATCH, BATCH_NUMBERS // dim))


def _config(models: Any, *, dim: int, shards: int, replicas: int) -> dict[str, Any]:
    int8 = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
    dense = models.VectorParams(
        size=dim,
        distance=models.Distance.COSINE,
        hnsw_config=models.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=10_000),
        quantization_config=models.ScalarQuantization(scalar=int8),
    )
    return {
        "vectors_config": {"dense": dense},
        "sparse_vectors_config": {"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        "optimizers_config": models.OptimizersConfigDiff(
            # As soon as a server can be made to: it refuses a lower number, and keeps smaller segments as they are.
            deleted_threshold=0.0,
            vacuum_min_vector_number=100,
            max_segment_size=kilobytes(SEGMENT_POINTS + WRITE_BATCH, dim=dim),
            indexing_threshold=kilobytes(EXACT_BELOW, dim=dim),
        ),
        # What a log says of points goes with its segments, whole: the smaller they are, the sooner.
        "wal_config": models.WalConfigDiff(wal_capacity_mb=1),
        "shard_number": shards,
        "replication_factor": replicas,
    }
