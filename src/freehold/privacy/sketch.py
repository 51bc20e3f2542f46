"""Sketches: which runs of three bytes a text has, as bits. A clue with a run that a text has not is not in the text.

A person is looked for in the sketches of all documents, and in the texts of the few that pass. A sketch is a Bloom
filter (Bloom 1970) with one hash, of overlapping trigrams in every form in which a text is searched.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from freehold.privacy.words import flat

FORM = "1"
"""Raised when the same text gets another sketch than before."""
_RUN_BYTES = 3
_LEAST_BITS, _MOST_BITS = 1 << 9, 1 << 18
_SPACE = 8
"""Bits for each run: one in eight is set, so that a run that is not there passes once in 8, and four once in 4,000."""
_MIX = 0x9E3779B1
"""The golden ratio in 32 bits: the upper bits of a product with it are well mixed (Knuth, vol. 3, 6.4)."""
_SEPARATORS = b" \t\n./()-+@_%\xc2\xa0\xe2\x80\x90\x91\x93"


def compact(low: str) -> bytes:
    """Flat text without separators, which are deleted at C speed: a number that is not in there is in no way in it.

    Bytes of other separators than ASCII's may be bytes of letters too, which only lets more through.
    """
    return low.encode("utf-8", "surrogatepass").translate(None, _SEPARATORS)


def is_hyphenated(low: str) -> bool:
    """Whether a word of it may go on over the end of a line."""
    return "-\n" in low or "\u00ad" in low


def joined(low: str) -> tuple[str, list[int]] | None:
    """The text with words put together that were hyphenated at a line's end, and where each of its characters stood."""
    if not is_hyphenated(low):
        return None
    gaps = [(0, 0), *((gap.start(), gap.end()) for gap in _HYPHEN.finditer(low)), (len(low), len(low))]
    stretches = [(after, before) for (_, after), (before, _) in pairwise(gaps)]
    places = [place for start, end in stretches for place in range(start, end)]
    return "".join(low[start:end] for start, end in stretches), places


_HYPHEN = re.compile(r"(?<=[^\W\d_])-\n[ \t]*(?=[^\W\d_])|\u00ad\n?")


def sketch(text: str) -> bytes:
    """The bits of a text, a power of two of them."""
    low = flat(text)
    broken = joined(low)
    forms = [low] if broken is None else [low, broken[0]]
    runs = [_runs(data) for form in forms for data in (form.encode("utf-8", "surrogatepass"), compact(form))]
    places = np.unique(np.concatenate(runs))
    size = _LEAST_BITS
    while size < min(_MOST_BITS, _SPACE * len(places)):
        size *= 2
    bits = np.zeros(size, dtype=bool)
    bits[_in(places, size)] = True
    return np.packbits(bits, bitorder="little").tobytes()


def passing(sketches: Sequence[bytes], clues: Collection[bytes]) -> list[int]:
    """Indices, ascending, of the sketches of texts in which a clue may stand; of all where a clue is too short to tell.

    ``clues``: bytes of flat text, or of it without separators.
    """
    runs = [_runs(clue) for clue in clues]
    if not all(map(len, runs)):
        return list(range(len(sketches)))
    by_size: dict[int, list[int]] = {}
    for at, one in enumerate(sketches):
        by_size.setdefault(len(one), []).append(at)
    found: list[int] = []
    for size, members in by_size.items():
        table = np.frombuffer(b"".join([sketches[at] for at in members]), dtype=np.uint8).reshape(-1, size)
        passed = np.zeros(len(members), dtype=bool)
        for run in runs:
            alive = np.arange(len(members))
            for place in _in(run, size * 8).tolist():
                alive = alive[(table[alive, place >> 3] >> (place & 7)) & 1 == 1]
            passed[alive] = True
        found += np.asarray(members)[passed].tolist()
    return sorted(found)


def _runs(data: bytes) -> NDArray[np.uint32]:
    """Every run of three bytes, mixed."""
    each = np.frombuffer(data, dtype=np.uint8).astype(np.uint32)
    if len(each) < _RUN_BYTES:
        return each[:0]
    return (each[:-2] << np.uint32(16) | each[1:-1] << np.uint32(8) | each[2:]) * np.uint32(_MIX)


def _in(runs: NDArray[np.uint32], size: int) -> NDArray[np.uint32]:
    """Where runs stand among ``size`` bits."""
    return runs >> np.uint32(32 - size.bit_length() + 1)
