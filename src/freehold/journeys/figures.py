"""The figures and names of a sentence: what may not differ between a claim and its source."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"\d+(?:[.,'’\u00a0\u202f ]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:([.,'’\u00a0\u202f ])\d{3})(?:\1\d{3})*(?:[.,]\d{1,2})?")
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_NAME = re.compile(r"(?<![.?!:]\s)(?<![\w-])[A-ZÀ-ÖØ-Þ][\w-]+")

_SPELT = {
    word: str(value)
    for words, value in (
        ("two zwei deux", 2),
        ("three drei trois", 3),
        ("four vier quatre", 4),
        ("five fünf cinq", 5),
        ("six sechs", 6),
        ("seven sieben sept", 7),
        ("eight acht huit", 8),
        ("nine neun neuf", 9),
        ("ten zehn dix", 10),
        ("eleven elf onze", 11),
        ("twelve zwölf douze", 12),
        ("fourteen vierzehn quatorze", 14),
        ("fifteen fünfzehn quinze", 15),
        ("twenty zwanzig vingt", 20),
        ("thirty dreißig dreissig trente", 30),
        ("forty vierzig quarante", 40),
        ("fifty fünfzig cinquante", 50),
        ("sixty sechzig soixante", 60),
        ("ninety neunzig", 90),
        ("hundred hundert cent", 100),
    )
    for word in words.split()
}
_NOT_NAMES = {"I", "EUR", "USD", "GBP"}


def figures(text: str, *, lenient: bool = False) -> frozenset[str]:
    """The numbers in ``text`` in one spelling: ``5,000`` is ``5000``, ``2,5`` is ``2.5``, ``thirty`` is ``30``.

    ``lenient`` is for sources, where "one" counts as 1; in a claim it is mostly a pronoun.
    """
    found: set[str] = set()
    for match in _DIGITS.finditer(text):
        parts = re.split(r"\D", match[0])
        if _THOUSANDS.fullmatch(match[0]):
            found.add(_grouped(match[0]))
        elif len(parts) == 2 and match[0][len(parts[0])] in ".,":
            found.add(_decimal(*parts))
        else:
            found.update(_plain(part) for part in parts)
    for word in _WORD.findall(text.lower()):
        found.update(_SPELT[part] for part in word.split("-") if part in _SPELT)
        if lenient and word in {"one", "eins"}:
            found.add("1")
    return frozenset(found)


def names(text: str, language: str) -> frozenset[str]:
    """Words written with a capital inside a sentence, where that makes them names: not in German, but for acronyms."""
    found = {match[0] for match in _NAME.finditer(text) if match.start() > 0} - _NOT_NAMES
    return frozenset(name for name in found if language != "de" or name.isupper())


def _grouped(number: str) -> str:
    """Digits of a number with thousands groups; cents of zero are dropped."""
    whole, cents = re.fullmatch(r"(.*?)(?:[.,](\d{1,2}))?", number).groups()  # type: ignore[union-attr]
    digits = re.sub(r"\D", "", whole)
    return _decimal(digits, cents or "")


def _decimal(whole: str, fraction: str) -> str:
    fraction = fraction.rstrip("0")
    return f"{_plain(whole)}.{fraction}" if fraction else _plain(whole)


def _plain(digits: str) -> str:
    return digits.lstrip("0") or "0"
