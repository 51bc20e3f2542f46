"""Dates of birth: a date with a word of birth beside it. Other dates are nobody's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from freehold.core.types import Mention
from freehold.privacy.words import alternatives, phrases, words

_NEAR = 30
"""Characters between the word and the date, at most."""


def birth_dates(_text: str, low: str, _language: str) -> Iterator[Mention]:
    """Dates with a word of birth before them, or directly after."""
    birth = _birth()
    if not birth.search(low):
        return
    for match in date_pattern().finditer(low):
        before = low[max(0, match.start() - _NEAR) : match.start()]
        after = low[match.end() : match.end() + _NEAR // 2]
        if birth.search(before) or birth.search(after):
            yield Mention(match.start(), match.end(), "birth_date", 0.9, "patterns/birth_date")


@cache
def date_pattern() -> re.Pattern[str]:
    """A date in flattened text. Groups: ``y m d``, ``a b c`` (day and month in either order), ``day month year``."""
    month = alternatives(words("numbers", "months"))
    return re.compile(
        r"(?<![\w.,/-])(?:"
        r"(?P<y>(?:18|19|20)\d\d)[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})"
        r"|(?P<a>\d{1,2})(?P<sep>[-/.]\s?)(?P<b>\d{1,2})(?P=sep)(?P<c>(?:18|19|20)?\d\d)"
        rf"|(?P<day>\d{{1,2}})(?:\.|st|nd|rd|th|er|º)?\s+(?:of\s+|de\s+)?(?P<month>{month})\.?,?(?:\s+(?:del?\s+)?(?P<year>(?:18|19|20)\d\d))?"
        rf"|(?P<month2>{month})\s+(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year2>(?:18|19|20)\d\d)"
        r")(?![\w/]|[.-]\d)"
    )


@cache
def _birth() -> re.Pattern[str]:
    return re.compile(rf"\b{phrases('numbers', 'births')}\b")
