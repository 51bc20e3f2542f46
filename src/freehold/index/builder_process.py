"""The child process of a build: ``python -m freehold.index.builder_process CONNECTION_FD PATH BASE DIM``.

A process of its own because the engine holds the GIL for whole calls, and building a graph takes minutes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from freehold.core.egress import inherit
from freehold.core.errors import FreeholdError
from freehold.core.faults import step
from freehold.core.files import sync_tree
from freehold.index.files import copy_tree, storage_faults
from freehold.index.qdrant_edge import QdrantEdgeIndex
from freehold.index.record import LOCK_NAME

NICENESS = 10


def main() -> None:
    """Open or create the index, do what the parent sends until it says commit; reply to that, and to ``ids``."""
    inherit()
    end_with_parent()
    os.nice(NICENESS)
    connection_fd, path, base, dim = sys.argv[1:]
    connection: Connection = Connection(int(connection_fd))
    try:
        reply: int | FreeholdError = _build(connection, Path(path), Path(base) if base else None, int(dim))
    except FreeholdError as error:
        reply = error
    with contextlib.suppress(BrokenPipeError):
        connection.send(reply)


def end_with_parent() -> None:
    """Have the kernel end this process when the parent, who holds the other end of standard input, is gone.

    No thread of ours could notice in time: a single call to the engine may hold the GIL for minutes.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:
        sys.exit("the parent was gone before this process began")


def _build(connection: Connection, path: Path, base: Path | None, dim: int) -> int:
    index = _copied(path, base) if base else QdrantEdgeIndex.create(path, dim=dim)
    step("index.copied")
    while True:
        verb, load = connection.recv()
        if verb == "commit":
            break
        if verb == "ids":
            connection.send(set(index.ids()))
        elif verb == "delete":
            index.delete(load)
        else:
            index.upsert(load)
    step("index.inserted")
    index.optimize()
    step("index.optimized")
    points = index.count()
    index.close()
    # The first opening removes journals and rewrites settings. Done here, where no second reader can be at it, it
    # leaves files that readers do not change, and shows that the generation opens.
    QdrantEdgeIndex.open(path, read_only=False).close()
    with storage_faults(path):
        sync_tree(path)
    return points


def _copied(path: Path, base: Path) -> QdrantEdgeIndex:
    with storage_faults(path):
        # The engine replaces small files by way of such a directory, also while a reader opens and closes the base.
        copy_tree(base, path, skip={LOCK_NAME}, skip_prefix=".atomicwrite")
    return QdrantEdgeIndex.open(path, read_only=False)


if __name__ == "__main__":
    main()
