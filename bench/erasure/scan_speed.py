"""How fast the raw scanner reads, beside ``bytes.find`` of one text over the same file in memory.

    python bench/erasure/scan_speed.py [--mb 256] [--save]

A third of the file is text without what is sought, a third random bytes, as sealed and compressed data are, and a third
vectors. One pass looks for everything, as the verification of an erasure does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from freehold.proof.matching import Pattern
from freehold.proof.scan import scan
from freehold.proof.writings import plain_patterns, raw_vector_patterns, text_patterns, vector_patterns

LIVE = "sentinel 5b1c that is there"
REPEATS = 3
FULL = 20


def corpus(size: int, rng: np.random.Generator) -> bytes:
    choice = random.Random(7)
    words = ["".join(choice.choices("etaoinshrdlucmfwypvbgkq", k=choice.randint(2, 9))) for _ in range(5_000)]
    text = " ".join(choice.choices(words, k=size // 15)).encode()[: size // 3]
    vectors = rng.standard_normal(size // 12).astype(np.float32).tobytes()
    return text + vectors + rng.bytes(size - len(text) - len(vectors))


def wanted(texts: int, vectors: int, words: bytes, rng: np.random.Generator) -> Iterator[Pattern]:
    """Texts as long as those around a mention, of words that are everywhere."""
    for number in range(texts):
        start = 1_000 * number
        text = words[start : start + 24].decode() + f" {number:04d} " + words[start + 99 : start + 123].decode()
        yield from text_patterns(text, "text") if number < FULL else plain_patterns(text, "text")
    for number, vector in enumerate(rng.standard_normal((vectors, 384)).astype(np.float32)):
        yield from vector_patterns(vector, "vector") if number < FULL else raw_vector_patterns(vector, "vector")
    yield from plain_patterns(LIVE, "live")


def seconds(action: Callable[[], object]) -> float:
    """Median of ``REPEATS``, after one that is not counted."""
    action()
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=256)
    parser.add_argument("--save", action="store_true", help="write bench/results/scan-speed-DATE.json")
    given = parser.parse_args()
    rng = np.random.default_rng(7)
    data = corpus(given.mb << 20, rng)
    with tempfile.TemporaryDirectory() as folder:
        # Two files, as a house has many: they are read side by side.
        for part in range(2):
            piece = data[part * len(data) // 2 : (part + 1) * len(data) // 2]
            (Path(folder) / f"file{part}").write_bytes(piece + LIVE.encode())
        base = seconds(lambda: data.find(b"Kowalska, Anna 44")) / len(data)
        rows = {"bytes.find, one text": base}
        for texts, vectors in ((1, 0), (20, 20), (400, 400)):
            patterns = list(wanted(texts, vectors, data, np.random.default_rng(3)))

            def look(patterns: list[Pattern] = patterns) -> None:
                assert set(scan(Path(folder), patterns).found) == {"live"}

            rows[f"scan, {texts} texts and {vectors} vectors, {len(patterns)} patterns"] = seconds(look) / len(data)
    figures = {name: {"mb_per_s": round(1e-6 / x), "times_find": round(x / base, 1)} for name, x in rows.items()}
    for name, row in figures.items():
        print(f"{name:58} {row['mb_per_s']:6} MB/s {row['times_find']:8} times bytes.find")
    if given.save:
        path = Path(__file__).parent.parent / "results" / f"scan-speed-{datetime.now(UTC):%Y-%m-%d}.json"
        path.write_text(json.dumps({"cores": os.cpu_count(), "mb": given.mb, "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
