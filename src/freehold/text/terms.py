"""The lexical side of BM25: texts to sparse vectors of hashed terms.

A document's vector holds the saturated term frequency and no IDF: the engine multiplies IDF from the points it holds
now, so that no statistic outlives an erased document. For the same reason the average length is a setting.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import Stemmer

from freehold.core.types import SparseVector
from freehold.text.stopwords import STOP_WORDS

FORMAT = 1
"""Raised when the same text gives other terms."""
K1 = 1.2
B = 0.75
AVERAGE_LENGTH_TERMS = 100.0
OTHER_LANGUAGE_WEIGHT = 0.2
COMPOUND_STEM_CHARS = 5
COMPOUND_END_CHARS = 5
COMPOUND_END_WEIGHT = 0.5

_SNOWBALL = {"de": "german", "en": "english", "fr": "french"}
_CACHED_WORDS = 1 << 16
_WORD = re.compile(
    r"\b(?P<iban>[a-z]{2}\d{2}(?: [a-z]{4})?(?: (?=[a-z]*\d)[a-z0-9]{4}){2,7}(?: \d[a-z0-9]{0,3})?)\b"
    r"|(?<![\w.,/-])(?P<amount>\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+)(?![\w/-]|[.,]\d)"
    r"|(?P<section>§{1,2}\s{0,2}\d+\w?)"
    r"|[^\W_]+(?:[-./'’_@][^\W_]+)*"
)
_PART = re.compile(r"[^\W_]+")


class _Word(NamedTuple):
    """A word's term ids, and those of the two ends of a German compound."""

    terms: tuple[int, ...]
    ends: tuple[int, ...]


class TermAnalyzer:
    """Words to term ids and weights, for the languages of one house. For one thread at a time.

    A term id is a hash of the term, so two terms may share one: at a million distinct terms about one in 4,300 does.
    Words seen lately stay in this process's memory until ``forget``.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        """``languages``: ISO 639-1, the main one first. Those without a stemmer get plain words."""
        self._languages = tuple(dict.fromkeys(languages)) or ("und",)
        # The stemmers' own cache is off: it could not be made to forget.
        self._stemmers = {code: Stemmer.Stemmer(algorithm, 0) for code, algorithm in _SNOWBALL.items()}
        self._word = lru_cache(maxsize=_CACHED_WORDS)(self._analyze)

    @property
    def name(self) -> str:
        """Tells analyses apart: vectors of one name are to be asked with queries of that name alone."""
        return f"bm25-v{FORMAT} {'+'.join(self._languages)} k1={K1} b={B} average={AVERAGE_LENGTH_TERMS}"

    def document(self, text: str, language: str) -> SparseVector:
        """BM25 term weights without IDF: tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / average length)).

        ``length`` counts the terms that are left of the text, the ends of compounds not among them. A text in no known
        language (``und``) is read in the house's main language.
        """
        terms: list[int] = []
        ends: list[int] = []
        for word in self._words(text, self._languages[0] if language == "und" else language):
            terms += word.terms
            ends += word.ends
        norm = K1 * (1 - B + B * len(terms) / AVERAGE_LENGTH_TERMS)
        counts = Counter(terms + ends)
        return _vector({term: tf * (K1 + 1) / (tf + norm) for term, tf in counts.items()})

    def query(self, text: str, language: str = "und") -> SparseVector:
        """Weight 1 for every distinct term and ``COMPOUND_END_WEIGHT`` for the ends of compounds.

        Without a language the text is read in every language of the house: at full weight in the one whose stop words
        it holds most of (in several if they are level), at ``OTHER_LANGUAGE_WEIGHT`` in the others, so that a name is
        found in documents of another language too.
        """
        weights: dict[int, float] = {}
        for code, weight in self._readings(text, language):
            for word in self._words(text, code):
                for terms, share in ((word.terms, weight), (word.ends, weight * COMPOUND_END_WEIGHT)):
                    weights.update((term, max(share, weights.get(term, 0.0))) for term in terms)
        return _vector(weights)

    def forget(self) -> None:
        """Drop every word that is kept for speed."""
        self._word.cache_clear()

    def _readings(self, text: str, language: str) -> list[tuple[str, float]]:
        if language != "und":
            return [(language, 1.0)]
        words = _PART.findall(text.lower())
        hits = {code: sum(word in STOP_WORDS.get(code, ()) for word in words) for code in self._languages}
        most = max(hits.values())
        return [(code, 1.0 if hits[code] == most else OTHER_LANGUAGE_WEIGHT) for code in self._languages]

    def _words(self, text: str, language: str) -> Iterator[_Word]:
        for match in _WORD.finditer(unicodedata.normalize("NFKC", text).lower()):
            yield self._word(match[0], match.lastgroup, language)

    def _analyze(self, word: str, kind: str | None, language: str) -> _Word:
        terms = [term for term in self._terms(word, kind, language) if term]
        ends = _compound_ends(terms[0]) if language == "de" and terms and word.isalpha() else ()
        return _Word(tuple(map(_term_id, terms)), tuple(map(_term_id, ends)))

    def _terms(self, word: str, kind: str | None, language: str) -> list[str]:
        parts = _PART.findall(word)
        if kind == "amount":
            return ["".join(parts)]
        if kind == "section":
            return ["§" + parts[0], parts[0]]
        if kind == "iban":
            return ["".join(parts), *parts]
        if len(parts) == 1:
            return [self._stem(word, language)]
        if any(character.isdigit() for character in word):
            return [_fold(word), *(self._stem(part, language) for part in parts if len(part) > 1 or part.isalpha())]
        return [self._stem(part, language) for part in parts if len(part) > 1]

    def _stem(self, word: str, language: str) -> str:
        """The term of a plain word; empty for a stop word."""
        if word in STOP_WORDS.get(language, ()):
            return ""
        stemmer = self._stemmers.get(language)
        return _fold(stemmer.stemWord(word) if stemmer and word.isalpha() else word)


def _compound_ends(stem: str) -> tuple[str, ...]:
    """Both ends of a German stem, where the parts of a compound are: "schad" in "wasserschad"."""
    if len(stem) < COMPOUND_STEM_CHARS:
        return ()
    return tuple(dict.fromkeys(("~" + stem[:COMPOUND_END_CHARS], "~" + stem[-COMPOUND_END_CHARS:])))


def _fold(word: str) -> str:
    if word.isascii():
        return word
    return "".join(
        character for character in unicodedata.normalize("NFKD", word) if not unicodedata.combining(character)
    )


def _term_id(term: str) -> int:
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")


def _vector(weights: dict[int, float]) -> SparseVector:
    indices = sorted(weights)
    return SparseVector(indices, [weights[index] for index in indices])
