"""Seconds a person in houses of different size."""

from __future__ import annotations

import random
import shutil
import statistics
import time
from pathlib import Path

import numpy as np
import town as towns
from houses import silent

from freehold.core.ports import Embedder
from freehold.core.types import Embeddings
from freehold.erasing import walk
from freehold.erasing.verify import verify
from freehold.erasing.walk import Orders
from freehold.house import House, open_house
from freehold.privacy.subjects import parse_subject


class Drawn:
    """The house's encoder, but vectors of documents are drawn, not computed: what they cost is not the question."""

    def __init__(self, encoder: Embedder) -> None:
        self._encoder = encoder
        self._rng = np.random.default_rng(1)

    def __getattr__(self, name: str) -> object:
        return getattr(self._encoder, name)

    def embed_documents(self, texts, *, tokens=False, progress=None) -> Embeddings:
        dense = self._unit((len(texts), self._encoder.info.dim))
        each = tuple(self._unit((len(text) // 5 + 1, self._encoder.info.dim)) for text in texts) if tokens else None
        if progress:
            progress(len(texts))
        return Embeddings(dense, each)

    def _unit(self, shape: tuple[int, int]) -> np.ndarray:
        drawn = self._rng.standard_normal(shape, dtype=np.float32)
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def fill(folder: Path, town: towns.Town, papers: int, seed: int) -> None:
    """Papers of words of the town's in any order, some of each language, without names and numbers."""
    rng = random.Random(seed)
    words = sorted({word for paper in town.papers for word in paper.text.split() if word.isalpha() and word.islower()})
    for number in range(papers):
        text = " ".join(rng.choices(words, k=rng.randint(80, 160)))
        place = folder / f"fill{number // 1000:03d}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.txt").write_text(f"{text}.\n")


def cost(root: Path, sizes: list[int], seed: int) -> dict[str, object]:
    """Seconds of work for one person in houses of about so many chunks, and of looking for them afterwards.

    The town is the same in all, so that what is said of a person is; the rest is papers in which nobody is named.
    """
    rows = {}
    for size in sizes:
        place = root / str(size)
        town = towns.build(100, seed)
        town.write(place / "papers")
        fill(place / "papers", town, size - len(town.papers), seed)
        with House.create(place / "house", {"house.name": "town", "house.languages": ("en", "de", "fr")}) as house:
            house.crew.__dict__["encoder"] = Drawn(house.crew.encoder)
            house.ingest([place / "papers"])
            chunks = house.stats().chunks
        times = []
        for person in town.people[:3]:
            with open_house(place / "house") as house:
                subject = parse_subject([("name", person.name), ("email", person.email)])
                started = time.perf_counter()
                request = walk.receive(house, subject, "17(1)(b)")
                request = walk.carry_out(house, request, Orders(), silent)
                worked = time.perf_counter() - started
                verify(house, request, silent)
                looked = time.perf_counter() - started - worked
                times.append({**request.seconds, "all work": worked, "search afterwards": looked})
        size_bytes = sum(path.stat().st_size for path in (place / "house").rglob("*") if path.is_file())
        rows[str(chunks)] = {
            "megabytes": round(size_bytes / 1e6),
            **{
                key: round(statistics.median(t.get(key, 0) for t in times), 2)
                for key in ("restricted", "erased", "all work", "search afterwards")
            },
        }
        shutil.rmtree(place)
        print(chunks, rows[str(chunks)], flush=True)
    return rows
