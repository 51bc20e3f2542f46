"""Word lists of this room, read from its ``.toml`` and ``.txt`` files, and the form in which words compare."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray


class _Folds(dict[int, str]):
    """Code point -> the character without case and accents, always one for one so that offsets hold."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        plain = "".join(c for c in unicodedata.normalize("NFKD", character.casefold()) if not unicodedata.combining(c))
        self[point] = plain if len(plain) == 1 else character
        return self[point]


_FOLDS = _Folds()
_LONG = 4_000
"""Characters from which a table is faster than a look at each that is not ASCII."""
_TABLE = 0x2200
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def flat(text: str) -> str:
    """``text`` without case and accents, of the same length: offsets into one are offsets into the other."""
    if text.isascii():
        return text.lower()
    if len(text) < _LONG:  # looking up what is not ASCII alone is ten times as fast as ``translate``
        return _NOT_ASCII.sub(lambda match: _FOLDS[ord(match[0])], text).lower()
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    plain = _flat_points()[np.minimum(points, _TABLE - 1)]
    far = np.flatnonzero(points >= _TABLE)
    plain[far] = [ord(flat(chr(point))) for point in points[far].tolist()]
    return str(plain.tobytes(), "utf-32-le", "surrogatepass")


@cache
def _flat_points() -> NDArray[np.uint32]:
    """Code point -> the code point of its flat form, for those that European texts are made of."""
    return np.array([ord(flat(chr(point))) for point in range(_TABLE)], dtype="<u4")


def folded(word: str) -> str:
    """The form in which words are compared: as ``flat``, of the composed form."""
    return flat(unicodedata.normalize("NFC", word))


@cache
def words(section: str, name: str) -> frozenset[str]:
    """The single words of a list, folded."""
    return frozenset(folded(word) for word in _lists()[section][name].split())


def is_nobody(word: str) -> bool:
    """Whether it is a title or a small word of names ("Dr.", "von"): such words give nobody away and stay."""
    plain = folded(word)
    return plain in words("names", "titles") or (word.islower() and plain in words("names", "particles"))


@cache
def rows(section: str, name: str) -> tuple[tuple[str, ...], ...]:
    """The words of each line of a list, as they are written."""
    return tuple(tuple(line.split()) for line in _lists()[section][name].splitlines())


@cache
def phrases(section: str, name: str) -> str:
    """A regular expression for any phrase of a list, the longest first, to be matched in folded text."""
    found = (phrase.strip() for phrase in re.split(r"[|\n]", _lists()[section][name]))
    return alternatives(phrase for phrase in found if phrase)


def alternatives(entries: Iterable[str]) -> str:
    """An expression for any of the entries, folded. A space in one stands for any blanks."""
    ordered = sorted({folded(entry) for entry in entries}, key=lambda entry: (-len(entry), entry))
    return "(?:" + "|".join(re.escape(entry).replace(r"\ ", r"\s+") for entry in ordered) + ")"


@cache
def given_names() -> frozenset[str]:
    """Given names that are seldom anything else, folded."""
    lines = _text("given_names.txt").splitlines()
    return frozenset(folded(name) for line in lines if not line.startswith("#") for name in line.split())


@cache
def nickname_groups() -> tuple[frozenset[str], ...]:
    """Given names that one person may go by, in groups, folded."""
    lines = _text("nicknames.txt").splitlines()
    return tuple(frozenset(map(folded, line.split())) for line in lines if not line.startswith("#"))


@cache
def _lists() -> dict[str, dict[str, str]]:
    return tomllib.loads(_text("words.toml"))


def _text(name: str) -> str:
    return resources.files("freehold.privacy").joinpath(name).read_text(encoding="utf-8")


def ordinary_words(texts: Iterable[str], *, at_least: int = 3) -> frozenset[str]:
    """Words that ``at_least`` of the texts write in lower case, folded: what a collection writes so is no name to it.

    Texts without any capital do not count, since names are in lower case there too.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        if text != text.lower():
            counts.update({folded(word) for word in _WORD.findall(text) if word.islower()})
    return frozenset(word for word, count in counts.items() if count >= at_least)


_WORD = re.compile(r"[^\W\d_]{3,}")
