"""Files written whole or not at all, and removed with their content."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from freehold.core.errors import StorageFault


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
        sync_directory(path.parent)
    except OSError as e:
        temporary.unlink(missing_ok=True)
        raise storage_fault(e, path) from None


def shred(path: Path) -> None:
    """Overwrite a file with zeros and remove it; nothing happens when it is gone already."""
    try:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_directory(path.parent)
    except FileNotFoundError:
        return
    except OSError as e:
        raise storage_fault(e, path) from None


def shred_tree(folder: Path) -> None:
    """Overwrite and remove every file of a folder, and the folder."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            shred(path)
    shutil.rmtree(folder, ignore_errors=True)


def sync_directory(path: Path) -> None:
    """Make the directory's entries durable (a rename is not on disk before its directory is)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_fault(e: OSError, path: Path) -> StorageFault:
    """What an operating-system error on a file means to the user."""
    if e.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        hint = "free space on the disk and run the command again; nothing acknowledged is lost"
    elif e.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        hint = "run Freehold as the owner of the house, or correct the permissions"
    else:
        hint = "check the disk, then run the command again"
    return StorageFault(f"{path}: {e.strerror}", hint=hint, refs=(str(path),))
