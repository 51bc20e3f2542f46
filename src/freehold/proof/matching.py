"""Many byte patterns sought at once, at a cost that hardly grows with their number.

Data is read as words of four bytes. Wherever a pattern begins, words lie wholly inside it, at one of four offsets; a
table over hashes of one of them passes over nearly all of the data (the filter of Wu and Manber 1994, on aligned
words), and the word that follows it, where the pattern is long enough to hold two, over nearly all of the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

SHORTEST = 7
"""Bytes that hold an aligned word wherever they begin; what is shorter is sought by itself."""
_SHORTEST_PAIR = 11
_BITS = 20
_FACTOR = np.uint32(2654435761)  # Knuth's multiplicative hash
_SHIFT = np.uint32(32 - _BITS)
_FOLD = np.uint32(0x20202020)
_ALNUM = re.compile(rb"[0-9A-Za-z]")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Bytes, whose they are, and what writing of it they are."""

    data: bytes
    owner: str
    writing: str = ""
    folded: bool = False
    """In any case of ASCII letters."""
    whole: bool = False
    """With no letter or digit of ASCII before or after it, as it would otherwise be part of something longer."""


class Matcher:
    """Finds patterns in bytes. See ``find``. Threads may share it."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._patterns = [
            Pattern(p.data.lower(), p.owner, p.writing, folded=True, whole=p.whole) if p.folded else p
            for p in dict.fromkeys(patterns)
        ]
        self._short = [p for p in self._patterns if len(p.data) < SHORTEST]
        self._folding = any(p.folded for p in self._patterns)
        self._anchors: dict[int, list[tuple[Pattern, int]]] = {}
        """Of one word, or of two as one number of 64 bits: the patterns that hold it, and where in them it is."""
        singles, pairs = set[int](), set[int]()
        for pattern in self._patterns:
            size = len(pattern.data)
            if size >= SHORTEST:
                for at, key in self._words(pattern.data, 4 if size < _SHORTEST_PAIR else 8):
                    self._anchors.setdefault(key, []).append((pattern, at))
                    (singles if size < _SHORTEST_PAIR else pairs).add(key)
        self._singles = np.array(sorted(singles), dtype=np.uint64)
        self._pairs = np.array(sorted(pairs), dtype=np.uint64)
        self._table = np.zeros(1 << _BITS, dtype=bool)
        for keys in (self._singles, self._pairs):
            self._table[(keys.astype(np.uint32) * _FACTOR) >> _SHIFT] = True
        self.longest = max((len(p.data) for p in self._patterns), default=1)

    def find(self, data: bytes) -> Iterator[tuple[int, Pattern]]:
        """Offset and pattern of every occurrence, in no order."""
        for pattern in self._short:
            within = data.lower() if pattern.folded else data
            at = within.find(pattern.data)
            while at >= 0:
                if not pattern.whole or _stands_alone(data, at, pattern):
                    yield at, pattern
                at = within.find(pattern.data, at + 1)
        if not self._anchors:
            return
        words = np.frombuffer(data, "<u4", count=len(data) // 4)
        if self._folding:
            words = words | _FOLD
        candidates = np.flatnonzero(self._table[(words * _FACTOR) >> _SHIFT])
        first = words[candidates].astype(np.uint64)
        second = words[np.minimum(candidates + 1, len(words) - 1)].astype(np.uint64)
        for found, wanted in ((first, self._singles), (first | second << np.uint64(32), self._pairs)):
            same = _within(found, wanted)
            for word, key in zip(candidates[same].tolist(), found[same].tolist(), strict=True):
                for pattern, at in self._anchors[key]:
                    start = 4 * word - at
                    if start >= 0 and _is_at(data, start, pattern):
                        yield start, pattern

    def _words(self, data: bytes, size: int) -> Iterator[tuple[int, int]]:
        """For each of the four offsets that words may have, the place of most different bytes: the rarest, mostly."""
        for offset in range(4):
            at, most = offset, -1
            for start in range(offset, len(data) - size + 1, 4):
                different = len(set(data[start : start + size]) - {0, 32, 255})
                if different > most:
                    at, most = start, different
                if different == size:  # no other can have more
                    break
            key = np.frombuffer(data[at : at + size], "<u4") | _FOLD if self._folding else None
            yield at, int.from_bytes(data[at : at + size] if key is None else key.tobytes(), "little")


def _within(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where what was found is wanted; ``wanted`` is sorted."""
    if not len(wanted):
        return np.zeros(len(found), dtype=bool)
    same: np.ndarray = wanted[np.minimum(np.searchsorted(wanted, found), len(wanted) - 1)] == found
    return same


def _is_at(data: bytes, start: int, pattern: Pattern) -> bool:
    there = data[start : start + len(pattern.data)]
    if (there.lower() if pattern.folded else there) != pattern.data:
        return False
    return not pattern.whole or _stands_alone(data, start, pattern)


def _stands_alone(data: bytes, start: int, pattern: Pattern) -> bool:
    end = start + len(pattern.data)
    return not _ALNUM.search(data[max(0, start - 1) : start] + data[end : end + 1])
