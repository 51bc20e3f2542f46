"""Freehold as it comes: a house with its default settings."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from common import Options, System, distinct, serve
from freehold.house import House


class Freehold(System):
    packages = ("freehold", "onnxruntime", "qdrant-edge-py", "tokenizers")

    def __init__(self, options: Options, settings: Mapping[str, object] = MappingProxyType({})) -> None:
        self.values = {"house.name": "bench", "embedder.threads": options.threads, **settings}

    def prepare(self, store: Path) -> None:
        shutil.rmtree(store, ignore_errors=True)
        self.house = House.create(store, self.values)
        assert self.house.embedder  # loads it

    def ingest(self, corpus: Path) -> int:
        self.house.ingest_beir(corpus)
        count = self.house.stats().documents
        self.house.close()
        return count

    def open(self, store: Path) -> None:
        self.house = House(store)
        assert self.house.embedder  # loads it

    def search(self, text: str, k: int) -> list[str]:
        # A passage longer than a chunk may be found several times.
        return distinct([hit.source for hit in self.house.search(text, k=2 * k).hits], k)


if __name__ == "__main__":
    serve(Freehold)
