"""The figures and names of a sentence: what may not differ between a claim and its source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import NamedTuple

_DIGITS = re.compile(r"\d+(?:[.,'’\u00a0\u202f ]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:([.,'’\u00a0\u202f ])\d{3})(?:\1\d{3})*(?:[.,]\d{1,2})?")
_LETTERS = re.compile(r"[^\W\d_]+")
_NAME = re.compile(r"(?<![.?!:]\s)(?<![\w-])[A-ZÀ-ÖØ-Þ][\w-]+")
_TITLED = re.compile(
    r"(?<!\w)(?:(?:Herrn?|Frau|Dr|Prof|Mrs?|Ms|Mme|Mlle|M(?=\.))\b\.?\s+)+(?!Dr\b|Prof\b)([A-ZÀ-ÖØ-Þ][\w-]+)"
)
_NOT_NAMES = {"I", "EUR", "USD", "GBP"}

_UNITS = (
    "one un une eins ein eine",
    "two zwei deux",
    "three drei trois",
    "four vier quatre",
    "five fünf cinq",
    "six sechs",
    "seven sieben sept",
    "eight acht huit",
    "nine neun neuf",
)
_OTHERS = (
    ("ten zehn dix", 10),
    ("eleven elf onze", 11),
    ("twelve zwölf douze", 12),
    ("thirteen dreizehn treize", 13),
    ("fourteen vierzehn quatorze", 14),
    ("fifteen fünfzehn quinze", 15),
    ("sixteen sechzehn seize", 16),
    ("seventeen siebzehn", 17),
    ("eighteen achtzehn", 18),
    ("nineteen neunzehn", 19),
    ("twenty zwanzig vingt vingts", 20),
    ("thirty dreissig trente", 30),
    ("forty vierzig quarante", 40),
    ("fifty fünfzig cinquante", 50),
    ("sixty sechzig soixante", 60),
    ("seventy siebzig septante", 70),
    ("eighty achtzig huitante octante", 80),
    ("ninety neunzig nonante", 90),
    ("hundred hundert cent cents", 100),
)
_GERMAN_UNITS = ("ein", *(words.split()[1] for words in _UNITS[1:]))
_GERMAN_TENS = [(words.split()[1], value) for words, value in _OTHERS if 20 <= value < 100]
_SPELT = {
    **{word: value for value, words in enumerate(_UNITS, 1) for word in words.split()},
    **{word: value for words, value in _OTHERS for word in words.split()},
    **{f"{unit}und{ten}": n + tens for n, unit in enumerate(_GERMAN_UNITS, 1) for ten, tens in _GERMAN_TENS},
    **{f"{unit}hundert": 100 * n for n, unit in enumerate(_GERMAN_UNITS, 1)},
}
"""Case-folded number words."""

_GERMAN_ONES = {"eins", "ein", "eine"}
_OFTEN_NO_NUMBER = {*_UNITS[0].split(), "neuf"}
"""By themselves these are mostly articles, pronouns and the French for "new"."""

_FRENCH_UNITS = {"deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"}
_JOINT = re.compile(r"[-‑\s]+(?:(and|et)[-‑\s]+)?", re.IGNORECASE)

_MAGNITUDE = re.compile(
    r"[-\s]?(?:(?P<thousand>thousand|tausend|mille)|(?P<million>millions?|millionen|mio)"
    r"|(?P<milliard>billions?|bn|milliarden?|milliards?|mrd)|(?P<billion>trillions?|billionen))\b\.?",
    re.IGNORECASE,
)
_ZEROS = {"thousand": 3, "million": 6, "milliard": 9, "billion": 12}

_CURRENCY = r"(?P<eur>€|\beuros?\b|\beur\b)|(?P<usd>(?:\bus)?\$|\busd\b|\bdollars?\b)|(?P<gbp>£|\bgbp\b|\bpounds?\b)"
_BEFORE = re.compile(rf"(?:{_CURRENCY})\s?\Z", re.IGNORECASE)
_AFTER = re.compile(
    rf"[-\s]?(?:de\s|d['’])?(?:{_CURRENCY}"
    r"|(?P<percent>%|(?:percent|per\scent|pour\scent|prozent)\b)"
    r"|(?P<minute>(?:minutes?|minuten)\b)"
    r"|(?P<hour>(?:hours?|stunden?|heures?)\b)"
    r"|(?P<day>(?:days?|tage?[ns]?|jours?)\b)"
    r"|(?P<week>(?:weeks?|wochen?|semaines?)\b)"
    r"|(?P<month>(?:months?|monate?[ns]?|mois)\b)"
    r"|(?P<year>(?:years?|jahre?[ns]?|ans|années?)\b))(?!\s?\d)",
    re.IGNORECASE,
)
_LONGEST_UNIT_CHARS = 12


class Figure(NamedTuple):
    """A number in plain digits and the class of the unit directly beside it, empty where there is none."""

    value: str
    unit: str = ""


def figures(text: str, *, lenient: bool = False) -> frozenset[Figure]:
    """The numbers in ``text`` in one spelling: ``EUR 5,000`` is 5000 eur, ``2,5`` is 2.5, ``vingt-quatre`` is 24.

    A magnitude behind a number belongs to it: ``2 Mio.`` is 2000000. ``lenient`` is for sources, where "one" counts as
    1; in a claim it is mostly a pronoun.
    """
    found: set[Figure] = set()
    for start, end, values, sure in (*_written(text), *_spelt(text)):
        magnitude = _MAGNITUDE.match(text, end)
        if not (sure or lenient or magnitude):
            continue
        if len(values) > 1:
            found.update(Figure(value) for value in values)
            continue
        value = _times(values[0], _ZEROS[str(magnitude.lastgroup)]) if magnitude else values[0]
        unit = _BEFORE.search(text[max(0, start - _LONGEST_UNIT_CHARS) : start])
        unit = unit or _AFTER.match(text, magnitude.end() if magnitude else end)
        found.add(Figure(value, str(unit.lastgroup) if unit else ""))
    return frozenset(found)


def missing(claimed: Set[Figure], given: Set[Figure]) -> frozenset[Figure]:
    """Those of ``claimed`` that ``given`` does not hold; a figure without a unit agrees with any unit."""
    return frozenset(c for c in claimed if not any(c.value == g.value and _same(c.unit, g.unit) for g in given))


def names(text: str, language: str) -> frozenset[str]:
    """Words that name someone or something: with a capital inside a sentence, or behind "Frau", "Dr." and the like.

    In German, where every noun has a capital, only acronyms and the first word behind a title.
    """
    found = {match[0] for match in _NAME.finditer(text) if match.start() > 0} - _NOT_NAMES
    titled = {match[1] for match in _TITLED.finditer(text)}
    return frozenset(titled | {name for name in found if language != "de" or name.isupper()})


def _same(one: str, other: str) -> bool:
    return one == other or not one or not other


def _written(text: str) -> Iterator[tuple[int, int, list[str], bool]]:
    """(start, end, values, True) of the numbers in digits; a date or a clause number has several values."""
    for match in _DIGITS.finditer(text):
        parts = re.split(r"\D", match[0])
        if _THOUSANDS.fullmatch(match[0]):
            values = [_grouped(match[0])]
        elif len(parts) == 2 and match[0][len(parts[0])] in ".,":
            values = [_decimal(*parts)]
        else:
            values = [_plain(part) for part in parts]
        yield match.start(), match.end(), values, True


def _spelt(text: str) -> Iterator[tuple[int, int, list[str], bool]]:
    """(start, end, values, sure) of the numbers in words; not sure where the word mostly means something else."""
    total = start = end = 0
    sure = False
    before = ""
    for match in _LETTERS.finditer(text):
        last, before = before, match[0].casefold()
        value = _SPELT.get(before, 0)
        # Per cent and pour cent are units; five cents are coins, but cinq cents are 500.
        unit = (before == "cent" and last in {"per", "pour"}) or (before == "cents" and last not in _FRENCH_UNITS)
        if not value or unit:
            continue
        joint = _JOINT.fullmatch(text, end, match.start())
        both = _joined(total, value, (joint[1] or "").lower()) if joint and before not in _GERMAN_ONES else 0
        if not both and total:
            yield start, end, [str(total)], sure
        total, start, sure = (both, start, True) if both else (value, match.start(), before not in _OFTEN_NO_NUMBER)
        end = match.end()
    if total:
        yield start, end, [str(total)], sure


def _joined(total: int, value: int, conjunction: str) -> int:
    """The number that ``value`` makes when it is said right after ``total``; 0 if it begins another."""
    rest = total % 100
    if (conjunction == "and" and rest) or (conjunction == "et" and value not in {1, 11}):
        return 0
    if value == 100:
        return 100 * total if 0 < total < 10 else 0
    if (rest, value) == (4, 20):
        return total + 76  # quatre-vingts
    follows = (
        (rest >= 20 and rest % 10 == 0 and value < 10)
        or (rest in {60, 80} and 10 <= value < 20)  # soixante-dix, quatre-vingt-onze
        or (rest == 10 and 7 <= value < 10)  # dix-sept
        or (rest == 0 and total > 0 and value < 100)
    )
    return total + value if follows else 0


def _times(value: str, zeros: int) -> str:
    """``value`` with its decimal point moved ``zeros`` places to the right."""
    whole, _, fraction = value.partition(".")
    fraction = fraction.ljust(zeros, "0")
    return _decimal(whole + fraction[:zeros], fraction[zeros:])


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
