"""Fill: vectors of another encoder for chunks that are on the shelf, beside those that serve meanwhile."""

from __future__ import annotations

from dataclasses import replace

from freehold.core.faults import step
from freehold.core.ports import Embedder, TokenCodec
from freehold.core.shelf import Shelf
from freehold.journeys.ingest import WINDOW_CHUNKS, Progress, in_context, key_of, make_vectors


def fill(shelf: Shelf, encoder: Embedder, codec: TokenCodec | None, *, dense: bool = True, progress: Progress) -> int:
    """Make what ``encoder`` has not made yet; returns for how many chunks. Killed, it goes on where it was.

    ``dense``: whether its dense vectors are of use; a late-interaction reranker's are not. Raises ContextOverflow for a
    chunk that the encoder cannot read whole, StorageFault when the disk fails.
    """
    maker = encoder.info.digest
    missing = shelf.in_order(shelf.unmade(maker, dense=dense, codes=codec is not None))
    for start in range(0, len(missing), WINDOW_CHUNKS):
        views = shelf.views(missing[start : start + WINDOW_CHUNKS])
        made = make_vectors([in_context(view.chunk) for view in views.values()], encoder, codec)
        shelf.put_vectors(
            maker,
            {
                chunk_id: (key_of(view.chunk, encoder, codec), vectors if dense else replace(vectors, dense=None))
                for (chunk_id, view), vectors in zip(views.items(), made, strict=True)
            },
        )
        step("fill.window")
        progress("vectors", min(start + WINDOW_CHUNKS, len(missing)), len(missing))
    return len(missing)
