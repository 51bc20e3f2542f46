"""txtai: one Embeddings database with hybrid search and content storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from txtai import Embeddings

from common import CHUNK_WORDS, OVERLAP_WORDS, Options, Passage, System, distinct, passages, serve


class Txtai(System):
    packages = ("txtai", "faiss-cpu", "sentence-transformers", "torch")

    def __init__(self, options: Options) -> None:
        torch.set_num_threads(options.threads)
        self.options = options

    def prepare(self, store: Path) -> None:
        self.store = store
        self.database = Embeddings(
            path=self.options.model,
            method="sentence-transformers",
            hybrid=True,
            content=True,
            gpu=False,
            encodebatch=self.options.batch,
        )

    def ingest(self, corpus: Path) -> int:
        count = 0

        def rows() -> Iterator[tuple[str, str]]:
            nonlocal count
            for passage in passages(corpus):
                count += 1
                yield from _pieces(passage)

        self.database.index(rows())
        self.database.save(str(self.store))
        return count

    def open(self, store: Path) -> None:
        self.database = Embeddings(path=self.options.model, gpu=False)
        self.database.load(str(store))

    def search(self, text: str, k: int) -> list[str]:
        return distinct([hit["id"].rpartition("#")[0] for hit in self.database.search(text, 2 * k)], k)


def _pieces(passage: Passage) -> Iterator[tuple[str, str]]:
    """Id and text of each chunk: txtai leaves the cutting of texts to its callers."""
    words = passage.text.split()
    for start in range(0, max(1, len(words) - OVERLAP_WORDS), CHUNK_WORDS - OVERLAP_WORDS):
        piece = passage.text if len(words) <= CHUNK_WORDS else " ".join(words[start : start + CHUNK_WORDS])
        yield f"{passage.id}#{start}", f"{passage.title}\n{piece}"
        if len(words) <= CHUNK_WORDS:
            return


if __name__ == "__main__":
    serve(Txtai)
