"""Generations of an index: built aside in a child process, swapped in atomically, overwritten when nobody reads them.

Under the root: ``current.json`` names the generation that answers; every other ``generation-*`` is one being built, or
an old one that a reader may still hold. ``lock`` is held by the one builder, so whoever holds it may clear up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from freehold.core.errors import EngineFault, HouseBusy, HouseMismatch, StorageFault
from freehold.core.faults import step
from freehold.core.files import shred_tree
from freehold.core.ids import new_id
from freehold.core.ports import VectorIndex
from freehold.core.types import GenerationInfo, Point
from freehold.index.child import BuilderChild
from freehold.index.files import storage_faults
from freehold.index.locks import FileLock
from freehold.index.qdrant_edge import QdrantEdgeIndex
from freehold.index.record import LOCK_NAME, alone, read_current, write_current
from freehold.index.values import HNSW_EF


class Generations:
    """The generations under one root directory. An instance keeps nothing open; threads may share it."""

    def __init__(self, root: Path, *, hnsw_ef: int = HNSW_EF) -> None:
        """``hnsw_ef`` is the breadth of approximate search in the generations that are opened for reading."""
        self._root = root
        self._hnsw_ef = hnsw_ef

    def current(self) -> GenerationInfo | None:
        """The generation that answers, read anew each time; None when none was ever committed.

        Raises StorageFault when ``current.json`` is damaged, HouseMismatch when a newer Freehold wrote it.
        """
        return read_current(self._root)

    def open_current(self) -> VectorIndex:
        """Open the current generation for reading; it stays readable when another process swaps in a newer one.

        Compare ``current()`` to notice a newer one. Raises StorageFault when there is none or it is damaged.
        """
        info = self.current()
        while info is not None:
            try:
                return QdrantEdgeIndex.open(self._root / info.name, read_only=True, hnsw_ef=self._hnsw_ef)
            except (HouseBusy, StorageFault):
                # A builder may have swapped in the next one and be removing this one: only then is there a newer.
                newer = self.current()
                if newer == info:
                    raise
                info = newer
        raise StorageFault(f"no index under {self._root}", hint="build it from the catalog", refs=(str(self._root),))

    @contextlib.contextmanager
    def build(self, *, base: GenerationInfo | None, dim: int, embedder_digest: str) -> Iterator[Builder]:
        """Build the next generation from a copy of ``base``, or from nothing, in a child process at low priority.

        Leaving the context without ``commit`` removes what was built; until then the current generation is untouched.
        Where nothing changed but the catalog's revision, nothing is copied and the generation stays.
        Raises HouseBusy when another process builds, HouseMismatch when ``base`` has other vectors; what the child
        fails with, EngineFault or StorageFault, is raised by the builder.
        """
        if base and (base.dim, base.embedder_digest) != (dim, embedder_digest):
            raise HouseMismatch("the base generation has another embedder's vectors", hint="build without a base")
        with alone(self._root) as lock:
            self._sweep()
            name = f"generation-{new_id()}"
            source = self._root / base.name if base else None
            start = partial(BuilderChild, self._root / name, base=source, dim=dim, lock_fd=lock.fileno())
            builder = Builder(start, self._root, name, base=base, dim=dim, embedder_digest=embedder_digest)
            try:
                yield builder
            finally:
                builder.close()
                # What cannot be removed now is no failure of the build: the next writer tries again.
                with contextlib.suppress(StorageFault):
                    self._sweep()

    def sweep(self) -> tuple[str, ...]:
        """Remove every generation but the current one; return the names of those that a reader still holds.

        An erasure is complete on disk when nothing is returned. Raises HouseBusy while another process builds.
        """
        with alone(self._root):
            return self._sweep()

    def remove(self) -> None:
        """Forget all generations, the current one as well."""
        shred_tree(self._root)

    def _sweep(self) -> tuple[str, ...]:
        current = self.current()
        with storage_faults(self._root):
            for removed in self._root.glob("removed-*"):
                shred_tree(removed)
            old = [path for path in self._root.glob("generation-*") if not current or path.name != current.name]
            return tuple(sorted(path.name for path in old if not _remove(path)))


class Builder:
    """The next generation while it is built. For one thread; what is asked is done in that order.

    ``add`` and ``delete`` hand over and return, so that the caller embeds while the child indexes. They block only
    while many batches wait (``freehold.index.child.QUEUE_LENGTH``). After a failure of the child the next call raises.
    """

    def __init__(
        self,
        start: Callable[[], BuilderChild],
        root: Path,
        name: str,
        *,
        base: GenerationInfo | None,
        dim: int,
        embedder_digest: str,
    ) -> None:
        self._start = start
        self._child: BuilderChild | None = None
        self._root = root
        self._name = name
        self._base = base
        self._dim = dim
        self._embedder_digest = embedder_digest
        self._listing = False
        """Whether the child was asked for the base's ids and has not been heard."""
        self._ids: set[str] | None = None if base else set()
        self._finishing = False
        self._committed = False

    def begin(self) -> None:
        """Have the child copy and list the base while the caller finds out what is to change."""
        if self._child is None:
            self._child = self._start()
            if self._ids is None:
                self._child.put("ids", None)
                self._listing = True

    def ids(self) -> set[str]:
        """Chunk ids of the base's points; to be asked before any change.

        Raises EngineFault or StorageFault when the child failed or the base is damaged.
        """
        if self._ids is None:
            if self._listing:
                assert self._child
                self._listing = False
                self._ids = self._child.reply()
            else:
                assert self._base
                base = QdrantEdgeIndex.open(self._root / self._base.name, read_only=True)
                try:
                    self._ids = set(base.ids())
                finally:
                    base.close()
        return self._ids

    def delete(self, chunk_ids: Collection[str]) -> None:
        """Remove points by id; unknown ids are ignored. Raises EngineFault or StorageFault when the child failed."""
        if chunk_ids:
            self._put("delete", list(chunk_ids))

    def add(self, points: Sequence[Point]) -> None:
        """Insert points; present ids are replaced. Raises EngineFault or StorageFault when the child failed."""
        if points:
            self._put("add", list(points))

    def finish(self) -> None:
        """Have the child make the generation whole while the caller does something else."""
        if not self._finishing and (self._child or not self._base):
            self._put("commit", None)
            self._finishing = True

    def commit(self, revision: int) -> GenerationInfo:
        """Finish the generation, force it to disk and swap it in, as brought up to the catalog's ``revision``.

        Raises EngineFault or StorageFault when the child or the swap fails; the current generation is then as before.
        """
        if self._committed:
            raise _committed()
        created = datetime.now(UTC).isoformat(timespec="seconds")
        if self._base and self._child is None:
            info = replace(self._base, revision=revision, created=created)
        else:
            self.finish()
            assert self._child
            points = self._child.reply()
            info = GenerationInfo(self._name, revision, self._embedder_digest, self._dim, points, created)
        self._committed = True
        step("index.before_swap")
        write_current(self._root, info)
        step("index.after_swap")
        return info

    def close(self) -> None:
        """Stop building, however far it is. For ``Generations.build``."""
        if self._child:
            self._child.close()

    def _put(self, verb: str, load: object) -> None:
        if self._committed or self._finishing:
            raise _committed()
        if self._listing:
            self.ids()
        self._child = self._child or self._start()
        self._child.put(verb, load)


def _committed() -> EngineFault:
    return EngineFault("this generation is committed", hint="begin another build")


def _remove(directory: Path) -> bool:
    """Remove a generation unless someone holds it."""
    try:
        lock = FileLock.acquire(directory / LOCK_NAME, shared=False)
    except HouseBusy:
        return False
    try:
        # Out of the readers' sight first: one that came now would make a lock in the midst of the removal.
        shred_tree(directory.rename(directory.with_name(f"removed-{directory.name}")))
    finally:
        lock.release()
    return True
