"""Telephone numbers: libphonenumber's plans say which digits can be one; the words around them decide the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import phonenumbers

from freehold.core.types import Mention
from freehold.privacy.words import alternatives, phrases, words

_CANDIDATE = re.compile(
    r"(?<![\w.,/§-])(?:\+|\(\+?)?\d(?:[ .\-/()]{0,3}\d){5,15}(?:\s?(?:x|ext\.?)\s?\d{1,5})?(?!\w|[.,-]\d)"
)
_AMERICAN = re.compile(r"(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}")
_MONEY = re.compile(r"\s?(?:€|eur|usd|gbp|chf|\$|£|%|pounds|dollars|million|billion|prozent|percent)")
_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}")

_REGIONS = {
    "en": ("GB", "IE", "US"),
    "de": ("DE", "AT", "CH"),
    "fr": ("FR", "BE", "CH", "LU"),
    "es": ("ES",),
}
_OTHERS = ("IT", "NL", "PT", "PL", "CZ", "DK", "SE", "FI", "HU", "RO", "BG", "HR", "GR", "SK", "SI", "LT", "LV", "EE")


def phones(text: str, low: str, language: str) -> Iterator[Mention]:
    """Numbers that can be dialled: international ones anywhere, national ones by their plan or beside a word."""
    for match in _CANDIDATE.finditer(text):
        found = match[0]
        if _DATE.fullmatch(found) or _MONEY.match(low, match.end()):
            continue
        named = bool(_cue().search(low[max(0, match.start() - 30) : match.start()]))
        if _is_phone(found, named=named, language=language):
            yield Mention(match.start(), match.end(), "phone", 0.9 if named else 0.7, "patterns/phone")


def _is_phone(found: str, *, named: bool, language: str) -> bool:
    digits = re.sub(r"\D", "", found.replace("(0)", ""))
    if found.lstrip("(").startswith("+"):
        return _fits("+" + digits, None, strict=False)
    if digits.startswith("00"):
        return _fits("+" + digits[2:], None, strict=not named)
    if _AMERICAN.match(found):
        return True
    if digits.startswith("0"):
        # Without a blank or the like, nine digits with a zero may be any number.
        return (named or found != digits or len(digits) > 9) and _fits_any(digits, language)
    if language == "es" and not named:
        return bool(re.fullmatch(r"[6789]\d{2}(?:[ .]\d{3}){2}|[6789]\d{2}(?:[ .]\d{2}){3}", found))
    return named and 7 <= len(digits) <= 15


def _fits_any(digits: str, language: str) -> bool:
    first = _REGIONS.get(language, ())
    rest = tuple(region for regions in _REGIONS.values() for region in regions if region not in first)
    return any(_fits(digits, region, strict=True) for region in (*first, *rest, *_OTHERS))


def _fits(number: str, region: str | None, *, strict: bool) -> bool:
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(parsed) if strict else phonenumbers.is_possible_number(parsed)


@cache
def _cue() -> re.Pattern[str]:
    """A word for telephones directly before, or with small words and punctuation between."""
    links = alternatives(words("numbers", "links") | words("numbers", "phone_links"))
    return re.compile(rf"\b{phrases('numbers', 'phones')}[\s:.,]*(?:{links}[\s:.,]+){{0,3}}$")
