"""One writer per house."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from freehold.core.files import storage_fault
from freehold.index.locks import FileLock


@contextlib.contextmanager
def writer_lock(root: Path) -> Iterator[None]:
    """Hold the house's lock while inside. Raises HouseBusy, naming the process, when another one holds it.

    The kernel lets go of the lock when its holder dies, so a killed writer never locks a house for good.
    """
    try:
        lock = FileLock.acquire(root / "lock", shared=False)
    except OSError as e:
        raise storage_fault(e, root / "lock") from None
    try:
        yield
    finally:
        lock.release()
