"""Catalog, vault and blobs as one system of record: the Shelf port of ``freehold.core.shelf``.

The order of a commit is what makes a crash harmless: keys, then sealed originals, then the catalog's transaction, then
what was removed loses its key and its bytes. A crash before the transaction leaves keys and files that no row speaks
of, a crash after it leaves those of removed documents; ``sweep`` clears both, and runs before every ingest.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from freehold.core.errors import StorageFault
from freehold.core.faults import step
from freehold.core.shelf import Changes
from freehold.store.blobs import Blobs
from freehold.store.catalog import Catalog
from freehold.store.fence import HouseFence
from freehold.store.vault import Vault


class HouseShelf(Catalog):
    """The catalog, with originals sealed in blobs under keys of the vault."""

    def __init__(self, root: Path) -> None:
        if (root / "vault.sqlite").exists() and not (root / "catalog.sqlite").exists():
            # A catalog made anew would know no document, and the next sweep would destroy every key.
            raise StorageFault("catalog.sqlite is missing", hint="restore it from a backup", refs=(str(root),))
        super().__init__(root / "catalog.sqlite")
        self.vault = Vault(root)
        self.blobs = Blobs(root / "blobs")

    @cached_property
    def fence(self) -> HouseFence:
        """What keeps out who was erased."""
        return HouseFence(self._engine, self._path, self.vault)

    def commit(self, changes: Changes) -> bool:
        originals = {e.document.id: e.original for e in changes.add if e.original is not None}
        keys = self.vault.create(list(originals))
        step("vault.created")
        for document_id, data in originals.items():
            self.blobs.put(document_id, data, key=keys[document_id])
        step("blobs.written")
        if not super().commit(changes):
            self._forget(list(originals))
            return False
        self._forget(changes.remove)
        step("blobs.removed")
        return True

    def original(self, document_id: str) -> bytes:
        """The file as it came in. Raises StorageFault when it is not kept, was deleted, or is damaged."""
        return self.blobs.get(document_id, key=self.vault.key(document_id))

    def sweep(self) -> None:
        """Remove keys and originals without a document: the leavings of a crash."""
        sealed = self.sealed_ids()
        try:
            self.vault.destroy(self.vault.ids() - sealed)
        finally:  # on a full disk the database cannot be written, and removing files is what makes room
            self.blobs.sweep(sealed)

    def close(self) -> None:
        self.vault.close()
        super().close()

    def _forget(self, document_ids: Collection[str]) -> None:
        self.vault.destroy(document_ids)  # key first: from here on the bytes are noise, whatever happens next
        step("vault.destroyed")
        for document_id in document_ids:
            self.blobs.delete(document_id)
