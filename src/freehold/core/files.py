"""Files and folders that after any crash are there whole or not at all, and that are removed with their content."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from freehold.core.errors import StorageFault

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
DENIED_ERRNOS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
GONE = ".gone"
"""Ends the name of a file that waits to be overwritten."""
_SHREDDERS = 4
"""Files of a folder that are overwritten at a time: most of it is waiting, for the disk and for blocks to be freed."""
_ZEROS = memoryview(bytes(1 << 20))


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file that after any crash is either the old one or the new one. Raises StorageFault."""
    temporary = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    except OSError as e:
        temporary.unlink(missing_ok=True)
        raise storage_fault(e, path) from None


def reserve(path: Path, size: int) -> None:
    """Make a file of that many bytes that the disk puts aside for it. Raises StorageFault where it has not as much."""
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as e:
        path.unlink(missing_ok=True)
        raise storage_fault(e, path) from None


def rewrite(path: Path, data: bytes) -> None:
    """Put a file in the place of one whose bytes are overwritten, not only let go. Raises StorageFault.

    A crash leaves the old or the new one, and maybe the old beside it, which the next call on this path clears.
    """
    old = path.with_name(f".{path.name}{GONE}")
    shred(old)
    try:
        mode = path.stat().st_mode & 0o777
        os.link(path, old)
        write_durably(path, data, mode=mode)
    except OSError as e:
        raise storage_fault(e, path) from None
    shred(old)


def put(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file, with this mode where it is new; the bytes of one that is there are overwritten. See ``rewrite``."""
    if path.exists():
        rewrite(path, data)
    else:
        write_durably(path, data, mode=mode)


def shred(path: Path) -> None:
    """Overwrite a file with zeros and remove it; nothing happens when it is gone already. Raises StorageFault."""
    try:
        _overwrite(path)
        path.unlink()
        sync(path.parent)
    except FileNotFoundError:
        return
    except OSError as e:
        raise storage_fault(e, path) from None


def shred_tree(folder: Path) -> None:
    """Overwrite every file of a folder and remove the folder; nothing happens where there is none.

    What cannot be overwritten is removed all the same, and the first such file is raised as StorageFault.
    """
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    try:
        with ThreadPoolExecutor(_SHREDDERS) as pool:
            found = list(pool.map(_shredded, files))
    except RuntimeError:  # no memory is left for another thread's stack
        found = [_shredded(path) for path in files]
    refused = [fault for fault in found if fault]
    shutil.rmtree(folder, ignore_errors=True)
    if refused:
        raise refused[0]


def _shredded(path: Path) -> StorageFault | None:
    """Overwrite and remove a file, if it is there; what stood in the way."""
    try:
        _overwrite(path)
        path.unlink()
    except FileNotFoundError:
        return None
    except OSError as e:
        return storage_fault(e, path)
    return None


def stretches(descriptor: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each stretch of an open file that has bytes on the disk, in order; between them are holes.

    A file system that knows of no holes has one stretch in each file. Raises OSError.
    """
    size, end = os.fstat(descriptor).st_size, 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def _overwrite(path: Path) -> None:
    with path.open("r+b", buffering=0) as file:
        for at, end in list(stretches(file.fileno())):
            while at < end:
                at += os.pwrite(file.fileno(), _ZEROS[: end - at], at)  # noqa: PLW2901
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Have a file on disk, or a directory's entries: a rename is not before its directory is. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Have every file and directory of a folder on disk, and the folder's own entry. Raises OSError."""
    for path in (*folder.rglob("*"), folder, folder.parent):
        sync(path)


def storage_fault(e: OSError, path: Path) -> StorageFault:
    """What an operating-system error on a file means to the user."""
    if e.errno in FULL_ERRNOS:
        hint = "free space on the disk and run the command again; nothing acknowledged is lost"
    elif e.errno in DENIED_ERRNOS:
        hint = "run Freehold as the owner of the house, or correct the permissions"
    else:
        hint = "check the disk, then run the command again"
    return StorageFault(f"{path}: {e.strerror}", hint=hint, refs=(str(path),))
