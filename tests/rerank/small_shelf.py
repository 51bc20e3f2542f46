"""A real shelf of a few passages, each a document and a chunk, with or without token codes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from freehold.core.ids import new_id, sha256_hex
from freehold.core.shelf import Changes, Entry, Vectors
from freehold.core.types import Chunk, Document, TokenCodes
from freehold.store.shelf import HouseShelf


def shelf_of(
    root: Path, passages: Mapping[str, str], codes: Mapping[str, TokenCodes | None], *, maker: str
) -> HouseShelf:
    """Chunk id -> text, kept under a heading; codes by chunk id, none where there are none."""
    shelf = HouseShelf(root)
    shelf.commit(Changes(add=[_entry(i, text, codes.get(i), maker) for i, text in passages.items()]))
    return shelf


def _entry(chunk_id: str, text: str, codes: TokenCodes | None, maker: str) -> Entry:
    document = Document(id=new_id(), source=f"{chunk_id}.txt", title=chunk_id, text=text, language="en")
    chunk = Chunk(chunk_id, document.id, 0, 0, len(text), text, ("House rules",))
    return Entry(
        document=document,
        sha256=sha256_hex(text.encode()),
        recipe="r",
        signature=b"\1" * 16,
        chunks=(chunk,),
        keys=(chunk_id.encode(),),
        vectors=(Vectors(np.ones(8, dtype=np.float32), codes),),
        maker=maker,
    )
