"""What generations of any engine keep in the house's folder: which one answers, and the lock of the one builder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from freehold.core.errors import HouseMismatch, StorageFault
from freehold.core.files import write_durably
from freehold.core.ids import canonical_json
from freehold.core.types import GenerationInfo
from freehold.index.files import storage_faults
from freehold.index.locks import FileLock

FORMAT = 1
CURRENT = "current.json"
LOCK_NAME = "lock"
ORPHAN_WAIT_S = 5.0
"""How long to wait until the kernel has taken down the child of a builder that was killed."""


def read_current(root: Path) -> GenerationInfo | None:
    """The generation that answers; None when none was ever committed.

    Raises StorageFault when ``current.json`` is damaged, HouseMismatch when a newer Freehold wrote it.
    """
    path = root / CURRENT
    try:
        written = json.loads(path.read_bytes())
        if written.pop("format") > FORMAT:
            raise HouseMismatch(f"{path} was written by a newer Freehold", hint="upgrade Freehold")
        return GenerationInfo(**written)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageFault(
            f"{path} is damaged", hint="remove it and build the index again from the catalog", refs=(str(path),)
        ) from error


def write_current(root: Path, info: GenerationInfo) -> None:
    """From here on this generation answers; durable on return. Raises StorageFault."""
    with storage_faults(root):
        write_durably(root / CURRENT, canonical_json({"format": FORMAT, **asdict(info)}).encode())


@contextlib.contextmanager
def alone(root: Path) -> Iterator[FileLock]:
    """Be the one who builds or removes generations under ``root``. Raises HouseBusy while another process is."""
    with storage_faults(root):
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock.acquire(root / LOCK_NAME, shared=False, orphan_wait_s=ORPHAN_WAIT_S)
    try:
        yield lock
    finally:
        lock.release()
