"""Advisory locks on files (flock(2)): held through an open descriptor, let go by the kernel when the process dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import BinaryIO, Self

from freehold.core.errors import HouseBusy

RETRY_S = 0.02


class FileLock:
    """A shared or an exclusive lock on a file. Two locks exclude each other even within one process."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @classmethod
    def acquire(cls, path: Path, *, shared: bool, orphan_wait_s: float = 0.0) -> Self:
        """Lock the file at ``path``, creating it in a directory that must exist.

        Where the process that locked it is gone but a child that inherited the lock is not, wait for that child.
        Raises HouseBusy when others hold the lock, with the writer's process id where known; FileNotFoundError when
        the file was removed while we were locking it.
        """
        file = path.open("a+b")
        try:
            _lock(file, path, shared=shared, deadline_s=time.monotonic() + orphan_wait_s)
            if path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                raise FileNotFoundError(path)
            if not shared:
                _sign(file)
        except BaseException:
            file.close()
            raise
        return cls(file)

    def fileno(self) -> int:
        """The descriptor: a child process that inherits it holds the lock as well, until both have closed it."""
        return self._file.fileno()

    def release(self) -> None:
        """Let go. Releasing twice is fine."""
        self._file.close()


def _lock(file: BinaryIO, path: Path, *, shared: bool, deadline_s: float) -> None:
    operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    while True:
        try:
            fcntl.flock(file, operation)
            return
        except BlockingIOError:
            writer = _writer(file)
            if time.monotonic() >= deadline_s or _is_alive(writer):
                raise _busy(path, writer) from None
            time.sleep(RETRY_S)


def _sign(file: BinaryIO) -> None:
    # A full disk must not keep us from clearing it up: the process id is a courtesy.
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()


def _writer(file: BinaryIO) -> int | None:
    """The process that holds the lock exclusively; None when it is held by readers or not known."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        written = file.read()
        return int(written) if written.isdigit() else None
    fcntl.flock(file, fcntl.LOCK_UN)
    return None


def _is_alive(pid: int | None) -> bool:
    try:
        os.kill(pid or os.getpid(), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _busy(path: Path, writer: int | None) -> HouseBusy:
    holder = f"process {writer} is writing" if writer else "others have it open"
    return HouseBusy(
        f"{path.parent} is in use: {holder}",
        hint="wait for them to finish, or stop them, and try again",
        refs=(str(path),),
    )
