"""One writer per house."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from freehold.core.errors import HouseBusy


@contextlib.contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Hold the lock file while inside. Raises HouseBusy, naming the process, when another one holds it.

    The kernel lets go of the lock when its holder dies, so a killed writer never locks a house for good.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise HouseBusy(
                f"another process is writing to this house (process {holder})",
                hint="wait for it to end, then run the command again",
                refs=(holder,),
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
