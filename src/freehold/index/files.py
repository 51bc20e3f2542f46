"""Files and directories as an index needs them: copied with their holes, their errors told."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from freehold.core.errors import FreeholdError, StorageFault
from freehold.core.files import FULL_ERRNOS, stretches

UNSUPPORTED_ERRNOS = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""What file systems answer that cannot copy ranges by themselves."""
PIECE_BYTES = 1 << 20


@contextmanager
def storage_faults(path: Path) -> Iterator[None]:
    """Turn an OSError about files under ``path`` into StorageFault; errors of the house pass through."""
    try:
        yield
    except FreeholdError:
        raise
    except OSError as error:
        raise storage_fault(path, error.strerror or str(error), full=error.errno in FULL_ERRNOS) from error


def storage_fault(path: Path, reason: str, *, full: bool) -> StorageFault:
    """A StorageFault whose hint fits a disk that is full, or else files that cannot be used."""
    hint = "make room on that disk and try again" if full else "check the directory's permissions and its disk"
    return StorageFault(f"cannot write or read {path}: {reason}", hint=hint, refs=(str(path),))


def copy_tree(source: Path, target: Path, *, skip: Collection[str] = (), skip_prefix: str) -> None:
    """Copy a directory into a new one; holes stay holes, and file systems that can share blocks do.

    Entries named in ``skip`` or beginning with ``skip_prefix`` are left out. Raises OSError.
    """
    target.mkdir()
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.name in skip or entry.name.startswith(skip_prefix):
                continue
            if entry.is_dir(follow_symlinks=False):
                copy_tree(Path(entry.path), target / entry.name, skip=skip, skip_prefix=skip_prefix)
            else:
                _copy_file(Path(entry.path), target / entry.name)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        os.ftruncate(writer.fileno(), os.fstat(reader.fileno()).st_size)
        for at, end in stretches(reader.fileno()):
            while at < end:
                copied = _copy_range(reader.fileno(), writer.fileno(), at, end - at)
                if copied == 0:
                    raise OSError(errno.EIO, "file shrank while it was copied", str(source))
                at += copied  # noqa: PLW2901


def _copy_range(reader: int, writer: int, start: int, count: int) -> int:
    try:
        return os.copy_file_range(reader, writer, count, start, start)
    except OSError as error:
        if error.errno not in UNSUPPORTED_ERRNOS:
            raise
        return os.pwrite(writer, os.pread(reader, min(count, PIECE_BYTES), start), start)
