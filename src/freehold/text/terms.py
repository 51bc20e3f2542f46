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

import Stemmer

from freehold.core.types import SparseVector
from freehold.text.stopwords import STOP_WORDS

K1 = 1.2
B = 0.75
AVERAGE_LENGTH_TERMS = 100.0
OTHER_LANGUAGE_WEIGHT = 0.2

_SNOWBALL = {"de": "german", "en": "english", "fr": "french"}
_CACHED_WORDS = 1 << 16
_WORD = re.compile(
    r"\b(?P<iban>[a-z]{2}\d{2}(?: [a-z0-9]{4}){2,7}(?: [a-z0-9]{1,4})?)\b"
    r"|(?<![\w.,/-])(?P<amount>\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+)(?![\w/-]|[.,]\d)"
    r"|(?P<section>§+\s*\d+\w?)"
    r"|[^\W_]+(?:[-./'’_@][^\W_]+)*"
)
_PART = re.compile(r"[^\W_]+")


class TermAnalyzer:
    """Words to term ids and weights, for the languages of one house. May be shared by threads.

    A term id is a hash of the term, so two terms may share one: at a million distinct terms about one in 4,300 does.
    Words seen lately stay in this process's memory until ``forget``.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        """``languages``: ISO 639-1, the main one first. Those without a stemmer get plain words."""
        self._languages = tuple(dict.fromkeys(languages)) or ("und",)
        self._stemmers = {code: Stemmer.Stemmer(_SNOWBALL[code]) for code in _SNOWBALL}
        self._term_ids = lru_cache(maxsize=_CACHED_WORDS)(self._analyze)

    def document(self, text: str, language: str) -> SparseVector:
        """BM25 term weights without IDF: tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / average length)).

        A text in no known language (``und``) is read in the house's main language.
        """
        counts = Counter(self._ids(text, self._languages[0] if language == "und" else language))
        norm = K1 * (1 - B + B * counts.total() / AVERAGE_LENGTH_TERMS)
        return _vector({term: tf * (K1 + 1) / (tf + norm) for term, tf in counts.items()})

    def query(self, text: str, language: str = "und") -> SparseVector:
        """Weight 1 for every distinct term.

        Without a language the text is read in every language of the house: with weight 1 in the one whose stop words
        it holds most of (in several if they are level), else with ``OTHER_LANGUAGE_WEIGHT``, so that a name is found
        in documents of another language too.
        """
        weights: dict[int, float] = {}
        for code, weight in self._readings(text, language):
            for term in self._ids(text, code):
                weights[term] = max(weight, weights.get(term, 0.0))
        return _vector(weights)

    def forget(self) -> None:
        """Drop every word that is kept for speed."""
        self._term_ids.cache_clear()

    def _readings(self, text: str, language: str) -> list[tuple[str, float]]:
        if language != "und":
            return [(language, 1.0)]
        words = _PART.findall(text.lower())
        hits = {code: sum(word in STOP_WORDS.get(code, ()) for word in words) for code in self._languages}
        most = max(hits.values())
        return [(code, 1.0 if hits[code] == most else OTHER_LANGUAGE_WEIGHT) for code in self._languages]

    def _ids(self, text: str, language: str) -> Iterator[int]:
        term_ids = self._term_ids
        for match in _WORD.finditer(unicodedata.normalize("NFKC", text).lower()):
            yield from term_ids(match[0], match.lastgroup, language)

    def _analyze(self, word: str, kind: str | None, language: str) -> tuple[int, ...]:
        return tuple(_term_id(term) for term in self._terms(word, kind, language) if term)

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
