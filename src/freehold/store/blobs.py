"""The originals as they came in, each sealed under its document's own key."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from freehold.core.errors import StorageFault
from freehold.core.files import shred, storage_fault, sync, write_durably
from freehold.store.vault import seal, unseal


class Blobs:
    """One file per document, named by its id: ``blobs/3f/3f2a...``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def put(self, document_id: str, data: bytes, *, key: bytes) -> None:
        """Seal and keep the bytes; durable on return. Raises StorageFault."""
        path = self.path(document_id)
        try:
            path.parent.mkdir(exist_ok=True)
            sync(self._root)
        except OSError as e:
            raise storage_fault(e, path) from None
        write_durably(path, seal(key, data, document_id=document_id), mode=0o600)

    def get(self, document_id: str, *, key: bytes) -> bytes:
        """The original bytes. Raises StorageFault when there are none or they are damaged."""
        try:
            sealed = self.path(document_id).read_bytes()
        except OSError as e:
            raise StorageFault(
                f"the original cannot be read: {e.strerror}", hint="ingest the file again", refs=(document_id,)
            ) from None
        return unseal(key, sealed, document_id=document_id)

    def delete(self, document_id: str) -> None:
        """Overwrite and remove the document's original, if there is one, and what was half written of it."""
        path = self.path(document_id)
        shred(path)
        shred(_unfinished(path))

    def present(self, document_ids: Collection[str]) -> set[str]:
        """Those of these documents whose original is kept, half-written ones included."""
        kept = ((one, self.path(one)) for one in document_ids)
        return {one for one, path in kept if path.exists() or _unfinished(path).exists()}

    def path(self, document_id: str) -> Path:
        return self._root / document_id[:2] / document_id

    def sweep(self, keep: set[str]) -> int:
        """Remove what no catalog row speaks of: the leavings of a crash. Returns how many files went."""
        count = 0
        for folder in filter(Path.is_dir, self._root.iterdir()):
            for name in set(os.listdir(folder)) - keep:  # noqa: PTH208 - a path made of each would cost ten times as much
                shred(folder / name)
                count += 1
        return count


def _unfinished(path: Path) -> Path:
    """What ``write_durably`` leaves where it is killed."""
    return path.with_name(f"{path.name}.new")
