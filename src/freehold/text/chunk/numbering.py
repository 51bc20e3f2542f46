"""Clause numbers at the beginning of a line: what they look like in English, German and French, and what follows what.

A number alone proves little ("2019 was", "1.5 million", "see Article 5"), so a marker here is only a candidate: it
opens a clause where it also continues or begins a sequence (see ``freehold.text.chunk.clauses``).
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Reading(NamedTuple):
    """One way to read a marker. Numbers of one ``style`` count up among siblings; (2, 3) is the 3rd below number 2."""

    style: str
    number: tuple[int, ...]


class Marker(NamedTuple):
    """The number at the start of a clause: ``text[start:end]``. "(i)" has two readings, a letter and a numeral."""

    readings: tuple[Reading, ...]
    end: int


_KEYWORDS = {
    "part": "part|partie|teil|titre|title",
    "annex": "annex|annexe|anhang|anlage|schedule|appendix|exhibit",
    "chapter": "chapter|chapitre|kapitel",
    "section": "section|abschnitt|sec\\.",
    "article": "article|artikel|art\\.",
    "clause": "clause|klausel|ziffer|ziff\\.|rule|regulation|recital",
    "paragraph": "paragraph|absatz|abs\\.|nummer|nr\\.|alinéa",
}
KEYWORD_STYLES = frozenset((*_KEYWORDS, "§"))
_STYLE_OF = {word.replace("\\", ""): style for style, words in _KEYWORDS.items() for word in words.split("|")}
_LEAD = r"(?:#{1,6}[ \t]*)?(?:\*\*|__)?"
_KEYWORD = re.compile(
    rf"{_LEAD}(?P<word>(?:{'|'.join(_KEYWORDS.values())})(?=\s)|§{{1,2}})\s*"
    r"(?P<number>premi(?:er|ère)|\d+(?:\.\d+)*(?:[a-z]\b)?|[ivxlc]+\b|[a-z]\b)"
    r"(?P<after>[.:)–—-]|\s*[–—:-]\s|\s*\n|\s*\Z|[ \t]+(?=[\"“„«(A-ZÀ-Þ*]))",
    re.IGNORECASE,
)
_DECIMAL = re.compile(rf"{_LEAD}(?P<number>\d{{1,3}}(?:\.\d{{1,3}})*)(?P<after>[.)]?)(?:\*\*|__)?(?=\s)")
_BRACKETED = re.compile(rf"{_LEAD}\((?P<number>\d{{1,3}}|[a-zA-Z]|[ivxl]{{2,5}}|[IVXL]{{2,5}})\)")
_LETTER = re.compile(rf"{_LEAD}(?P<number>[a-zA-Z]|[ivxl]{{2,5}}|[IVXL]{{2,5}})(?P<after>[.)])(?=\s)")
_CONTENTS_LINE = re.compile(r"(?:\.{3,}|…{2,}|\.( \.){2,})\s*\d*\s*\Z")
_WORD_FOLLOWS = re.compile(r"\s*(?:[a-zß-ÿ]|\d|[%€$£])")
_QUANTITY_FOLLOWS = re.compile(
    r"\s*(?:[%€$£]|(?:[mb]illion|milliard|mio|mrd|per\s?cent|prozent|pour\s?cent|times|fach|hours?|days?|months?|years?)"
    r"|(?:eur|usd|gbp|km|kg|m²|qm|uhr|heures?|jours?|mois|ans?|tage?|monate?|jahre?)\b)",
    re.IGNORECASE,
)
_REFERENCE_FOLLOWS = re.compile(
    r"\s*(?:Abs\.|Absatz|Nr\.|Satz|S\.|Buchst|lit\.|GG|BGB|HGB|VVG|DSGVO|BDSG|VAG|GDPR|RGPD)"
)
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


def read_marker(text: str, start: int, end: int) -> Marker | None:
    """The clause number that the paragraph ``text[start:end]`` begins with, None where it begins with words."""
    line_end = text.find("\n", start, end)
    line = text[start : end if line_end < 0 else line_end]
    if _CONTENTS_LINE.search(line[-40:]):
        return None
    found = _keyword(line) or _numeral(line)
    return Marker(found[0], start + found[1]) if found else None


def _keyword(line: str) -> tuple[tuple[Reading, ...], int] | None:
    match = _KEYWORD.match(line)
    if not match or match["word"][0].islower() or _REFERENCE_FOLLOWS.match(line, match.end("number")):
        return None
    if match["after"].isspace() and line[match.end() : match.end() + 1].islower():
        return None
    style = _STYLE_OF.get(match["word"].lower(), "§")
    # "Chapter I" is the first one far more often than the ninth.
    return _readings(style, match["number"].lower())[::-1], match.end("number")


def _numeral(line: str) -> tuple[tuple[Reading, ...], int] | None:
    decimal = _DECIMAL.match(line)
    if decimal:
        number, after = decimal["number"], decimal["after"]
        quantity = _QUANTITY_FOLLOWS if "." in number else _WORD_FOLLOWS
        style = "1)" if after == ")" and "." not in number else "1."
        counts_something = after == "" and quantity.match(line, decimal.end("number"))
        return None if counts_something else (_readings(style, number), decimal.end("after"))
    bracketed = _BRACKETED.match(line)
    if bracketed:
        return _readings(f"({_case(bracketed['number'])})", bracketed["number"].lower()), bracketed.end()
    letter = _LETTER.match(line)
    if letter:
        return _readings(_case(letter["number"]) + letter["after"], letter["number"].lower()), letter.end()
    return None


def _case(number: str) -> str:
    if number.isdigit():
        return "1"
    return "A" if number.isupper() else "a"


def _readings(style: str, number: str) -> tuple[Reading, ...]:
    if number.startswith("premi"):
        return (Reading(style, (1,)),)
    if number[0].isdigit():
        return (Reading(style, tuple(int(part) for part in number.rstrip("abcdefghijklmnopqrstuvwxyz").split("."))),)
    letter = (Reading(style, (ord(number) - ord("a") + 1,)),) if len(number) == 1 else ()
    roman = (Reading(f"{style} roman", (_roman(number),)),) if all(sign in _ROMAN for sign in number) else ()
    return letter + roman


def _roman(numeral: str) -> int:
    values = [_ROMAN[sign] for sign in numeral]
    return sum(
        -value if value < following else value for value, following in zip(values, [*values[1:], 0], strict=True)
    )
