"""Generations of an index on a Qdrant server: a collection each, built aside, and which one answers said in the house.

Under the root, in the house's folder: ``current.json`` names the collection that answers; ``collections/`` has a file
for each that there may be on the server, made before the collection is and removed after it, which readers lock while
they have it open; ``lock`` is held by the one builder. So whoever builds knows all that is to be dropped, whatever was
killed.

- *A committed collection never changes.* A server counts deleted points in IDF and keeps their bytes until it rewrites
  a segment, which it may never do. In a collection that is made without them they never were.
- *The record is the house's, not an alias on the server*: the swap is one rename, beside the catalog that it goes
  with. A server that is set back to an older day has no collection of that name, and the index is built again; an older
  alias would answer with what was erased since.
- *The price*: a change reads the collection before and writes it anew, through this process. Where nothing changed but
  the catalog's revision, the collection stays.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from freehold.core.errors import EndpointFault, EngineFault, HouseBusy, HouseMismatch, StorageFault
from freehold.core.faults import step
from freehold.core.files import shred_tree, write_durably
from freehold.core.ids import new_id
from freehold.core.types import GenerationInfo, Point
from freehold.index.files import storage_faults
from freehold.index.locks import FileLock
from freehold.index.qdrant import QdrantIndex
from freehold.index.qdrant_server import Server
from freehold.index.record import alone, read_current, write_current
from freehold.index.values import HNSW_EF, checked_id

COLLECTIONS = "collections"
PREFIX = "freehold"
_NAME_CHARS = 40


class ServerGenerations:
    """The generations under one root directory. An instance keeps nothing open; threads may share it."""

    def __init__(
        self,
        root: Path,
        server: Server,
        *,
        house: str = "",
        hnsw_ef: int = HNSW_EF,
        shards: int = 1,
        replicas: int = 1,
    ) -> None:
        """``house`` stands in the collections' names for whoever looks after the server; ids keep houses apart."""
        self._root, self._server, self._hnsw_ef = root, server, hnsw_ef
        self._shards, self._replicas = shards, replicas
        slug = re.sub(r"[^a-z0-9]+", "-", house.lower()).strip("-")[:_NAME_CHARS]
        self._prefix = f"{PREFIX}-{slug}" if slug else PREFIX

    def current(self) -> GenerationInfo | None:
        """The generation that answers, read anew each time, without asking the server; see ``record.read_current``."""
        return read_current(self._root)

    def open_current(self) -> QdrantIndex:
        """Open the current generation for reading; it stays readable when another process swaps in a newer one.

        Raises StorageFault when there is none or the server has lost it, EndpointFault.
        """
        info = self.current()
        while info is not None:
            try:
                return self.opened(info)
            except (HouseBusy, StorageFault):
                # A builder may have swapped in the next one and be dropping this one: only then is there a newer.
                newer = self.current()
                if newer == info:
                    raise
                info = newer
        raise StorageFault(f"no index under {self._root}", hint="build it from the catalog", refs=(str(self._root),))

    def opened(self, info: GenerationInfo) -> QdrantIndex:
        """Open this generation. Raises StorageFault where the server has lost it, HouseBusy while it is dropped."""
        with storage_faults(self._root):
            hold = FileLock.acquire(self._root / COLLECTIONS / info.name, shared=True)
        try:
            index = QdrantIndex.open(self._server, info.name, hnsw_ef=self._hnsw_ef, whole=True, hold=hold)
            if index.dim != info.dim:
                hint = "build the index again from the catalog"
                raise StorageFault("the collection has another dimension", hint=hint, refs=(info.name,))
        except BaseException:
            hold.release()
            raise
        return index

    @contextlib.contextmanager
    def build(self, *, base: GenerationInfo | None, dim: int, embedder_digest: str) -> Iterator[ServerBuilder]:
        """Build the next generation from a copy of ``base``, or from nothing.

        Leaving the context without ``commit`` drops what was built; until then the current generation is untouched.
        Raises HouseBusy when another process builds, HouseMismatch when ``base`` has other vectors, EndpointFault.
        """
        if base and (base.dim, base.embedder_digest) != (dim, embedder_digest):
            raise HouseMismatch("the base generation has another embedder's vectors", hint="build without a base")
        with alone(self._root):
            self._sweep()
            try:
                yield ServerBuilder(self, base, dim=dim, embedder_digest=embedder_digest)
            finally:
                # What cannot be dropped now is no failure of the build: the next writer tries again.
                with contextlib.suppress(StorageFault, EndpointFault):
                    self._sweep()

    def sweep(self) -> tuple[str, ...]:
        """Drop every collection but the current one; return the names of those that a reader still holds.

        Raises HouseBusy while another process builds, EndpointFault.
        """
        with alone(self._root):
            return self._sweep()

    def remove(self) -> None:
        """Drop all collections, the current one as well. Raises HouseBusy while somebody reads one, EndpointFault."""
        with alone(self._root):
            with storage_faults(self._root):
                (self._root / "current.json").unlink(missing_ok=True)
            held = self._sweep()
        if held:
            hint = "end the processes that read the house, or wait for them"
            raise HouseBusy("a reader holds a generation of the index", hint=hint, refs=held)
        shred_tree(self._root)

    def names(self) -> list[str]:
        """Of the collections that there may be on the server."""
        return sorted(path.name for path in (self._root / COLLECTIONS).glob(f"{PREFIX}-*"))

    def made(self, dim: int) -> tuple[str, QdrantIndex]:
        """A new, empty collection and its name. For the one builder."""
        name = f"{self._prefix}-{new_id()}"
        with storage_faults(self._root):
            (self._root / COLLECTIONS).mkdir(exist_ok=True)
            write_durably(self._root / COLLECTIONS / name, b"")
        step("index.noted")
        return name, QdrantIndex.create(self._server, name, dim=dim, shards=self._shards, replicas=self._replicas)

    def committed(self, info: GenerationInfo) -> None:
        """From here on this generation answers. For the one builder."""
        step("index.before_swap")
        write_current(self._root, info)
        step("index.after_swap")

    def _sweep(self) -> tuple[str, ...]:
        current = self.current()
        old = [name for name in self.names() if not current or name != current.name]
        return tuple(name for name in old if not self._drop(name))

    def _drop(self, name: str) -> bool:
        """Drop a collection unless someone holds it."""
        path = self._root / COLLECTIONS / name
        with storage_faults(self._root):
            try:
                lock = FileLock.acquire(path, shared=False)
            except HouseBusy:
                return False
            try:
                with contextlib.suppress(StorageFault):  # it was never made, or is gone
                    self._server.ask(lambda client: client.delete_collection(name))
                step("index.dropped")
                path.unlink()
            finally:
                lock.release()
        return True


class ServerBuilder:
    """The next generation while it is built. For one thread; what is asked is done in that order, at once."""

    def __init__(
        self, generations: ServerGenerations, base: GenerationInfo | None, *, dim: int, embedder_digest: str
    ) -> None:
        self._generations, self._base = generations, base
        self._dim, self._embedder_digest = dim, embedder_digest
        self._name = ""
        self._index: QdrantIndex | None = None
        self._ids: set[str] = set()
        self._left_out: set[str] = set()
        """What is deleted before anything is added is never written."""
        self._lost = False
        """Whether a point was written and taken out again."""
        self._committed = False

    def begin(self) -> None:
        """Nothing: the base is copied once it is known what of it is left out."""

    def ids(self) -> set[str]:
        """Chunk ids of the base's points; to be asked before any change. Raises StorageFault or EndpointFault."""
        if self._base is None:
            return set()
        source = self._generations.opened(self._base)
        try:
            return set(source.ids())
        finally:
            source.close()

    def delete(self, chunk_ids: Collection[str]) -> None:
        """Remove points by id; unknown ids are ignored. Raises EngineFault, StorageFault or EndpointFault."""
        self._check()
        ids = {checked_id(chunk_id) for chunk_id in chunk_ids}
        if self._index is None:
            self._left_out |= ids
        elif ids & self._ids:
            self._index.delete(ids & self._ids)
            self._ids -= ids
            self._lost = True

    def add(self, points: Sequence[Point]) -> None:
        """Insert points; present ids are replaced. Raises EngineFault, StorageFault or EndpointFault."""
        self._check()
        if points:
            index = self._begun()
            index.upsert(points)
            ids = {point.chunk_id for point in points}
            self._lost |= bool(ids & self._ids)
            self._ids |= ids

    def finish(self) -> None:
        """Nothing: the server indexes as it goes."""

    def commit(self, revision: int) -> GenerationInfo:
        """Finish the collection and swap it in, as brought up to the catalog's ``revision``.

        Raises EngineFault, StorageFault or EndpointFault when that fails; the current generation is then as before.
        """
        self._check()
        self._committed = True
        if self._base and self._index is None and not self._left_out:
            name, points = self._base.name, self._base.points
        else:
            name, points = self._finished()
        created = datetime.now(UTC).isoformat(timespec="seconds")
        info = GenerationInfo(name, revision, self._embedder_digest, self._dim, points, created)
        self._generations.committed(info)
        return info

    def _finished(self) -> tuple[str, int]:
        index = self._begun()
        if self._lost:
            self._left_out.clear()
            index = self._copied(index)
        step("index.inserted")
        index.optimize()
        step("index.optimized")
        points = index.count()
        if points != len(self._ids):
            raise EngineFault(
                f"the server holds {points} points where {len(self._ids)} were written",
                hint="build again; see who else writes into the house's collections",
                refs=(self._name,),
            )
        return self._name, points

    def _begun(self) -> QdrantIndex:
        """The collection that is being built, with what stays of the base."""
        if self._index is None:
            if self._base:
                source = self._generations.opened(self._base)
                try:
                    self._index = self._copied(source)
                finally:
                    source.close()
            else:
                self._name, self._index = self._generations.made(self._dim)
            step("index.copied")
        return self._index

    def _copied(self, source: QdrantIndex) -> QdrantIndex:
        """A new collection with all of another that is not left out."""
        self._name, index = self._generations.made(self._dim)
        self._ids.clear()
        for page in source.pages():
            stay = [point for point in page if point.id not in self._left_out]
            index.put(stay)
            self._ids.update(str(point.id) for point in stay)
        return index

    def _check(self) -> None:
        if self._committed:
            raise EngineFault("this generation is committed", hint="begin another build")
