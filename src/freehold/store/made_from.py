"""What a folder of work was made from: ids of documents, so that an erasure knows whether it has to go."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from freehold.core.files import write_durably
from freehold.core.ids import canonical_json

NAME = "made-from.json"


def note_documents(folder: Path, document_ids: Collection[str]) -> None:
    """Write down that these documents went into the folder too; durable on return. Raises StorageFault."""
    known = documents_of(folder) or frozenset()
    if not known >= set(document_ids) or not (folder / NAME).exists():
        write_durably(folder / NAME, canonical_json(sorted({*known, *document_ids})).encode())


def documents_of(folder: Path) -> frozenset[str] | None:
    """What went into it; None where that was not written down, so that it may be anything."""
    try:
        return frozenset(json.loads((folder / NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
