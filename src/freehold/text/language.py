"""Which language a text is in, by py3langid's packaged naive-Bayes model. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from threading import Lock
from typing import Protocol, cast

UNDETERMINED = "und"

_MIN_LETTERS = 15
_MIN_CONFIDENCE = 0.3
"""Share of the probability that the best language must have among those in question."""
_SAMPLE_CHARS = 2000
_LOADING = Lock()


class _Identifier(Protocol):
    def rank(self, text: str) -> list[tuple[str, float]]: ...


def detect(text: str, candidates: Collection[str] = ()) -> str:
    """ISO 639-1 code of the language of ``text``, or ``und`` where it is too short or too mixed to tell.

    With ``candidates`` (ISO 639-1 codes) only those are considered. Long texts are judged by their beginning, middle
    and end. Safe to call from several threads.
    """
    sample = _sample(text)
    if sum(c.isalpha() for c in sample) < _MIN_LETTERS:
        return UNDETERMINED
    with _LOADING:
        identifier = _identifier()
    ranked = [
        (code, p) for code, p in identifier.rank(sample) if len(code) == 2 and (not candidates or code in candidates)
    ]
    total = sum(p for _, p in ranked)
    if not total or ranked[0][1] / total < _MIN_CONFIDENCE:
        return UNDETERMINED
    return ranked[0][0]


def _sample(text: str) -> str:
    if len(text) <= 3 * _SAMPLE_CHARS:
        return text
    middle = len(text) // 2
    return "\n".join((text[:_SAMPLE_CHARS], text[middle : middle + _SAMPLE_CHARS], text[-_SAMPLE_CHARS:]))


@cache
def _identifier() -> _Identifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return cast(_Identifier, LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True))
