"""Numbers by which authorities and firms know a person.

``strong_ids`` finds numbers of European countries by shape and checksum alone, where the two together are rare enough.
``cued_codes`` finds what follows a word that says what it is, with a checksum or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from freehold.core.types import Mention, MentionKind
from freehold.privacy.words import alternatives, folded, phrases, words

# Shape -> modules of stdnum that check it. Pure digits without a date or long check digits are left to ``cued_codes``.
_STRONG: Mapping[str, Sequence[str]] = {
    r"\d{8}[ -]?[A-Z]": ("es.dni",),
    r"[XYZ][ -]?\d{7}[ -]?[A-Z]": ("es.nie",),
    r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]": ("it.codicefiscale",),
    r"[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}": ("fr.nir",),
    r"\d{2}[. ]?\d{2}[. ]?\d{2}[-. ]\d{3}[-. ]?\d{2}": ("be.nn",),
    r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}": ("ch.ssn",),
    r"\d{7}[A-W][A-IW]?": ("ie.pps",),
    r"\d{6}[-+A]\d{3}[0-9A-Y]": ("fi.hetu",),
    r"(?:\d{2})?\d{6}[-+]\d{4}": ("se.personnummer", "dk.cpr", "lv.pk"),
    r"\d{4} \d{6}": ("at.vnr",),
    r"\d{6}/\d{4}": ("cz.rc", "sk.rc"),
    r"\d{6} \d{5}": ("no.fodselsnummer",),
    r"\d{11}": ("pl.pesel", "ee.ik", "lt.asmens", "no.fodselsnummer"),
    r"\d{13}": ("ro.cnp", "si.emso"),
    r"(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}": ("us.ssn",),
    r"\d{3} \d{3} \d{4}": ("gb.nhs",),
}  # fmt: skip
# A number of the German pension insurance: area, date of birth, first letter of the name, serial number, check digit.
_GERMAN_PENSION = re.compile(r"(?<!\w)\d{2} ?(?P<birth>\d{6}) ?[A-Z] ?\d{3}(?!\w)")
_BRITISH_INSURANCE = re.compile(r"(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)")

# Groups of capitals and digits, the first with a digit within its next two groups; a blank only before a digit or a
# single capital: "HH-4471-09823", "12 150385 K 123", "QQ 12 34 56 C".
_CODE = r"(?:[A-Z]{1,6}[ ./-]{0,2})?\d[A-Z0-9]*(?:(?:[./-]|[ ](?=\d|[A-Z](?![A-Za-z])))[A-Z0-9]+)*(?!\w)"
_MIXED = r"[A-Z]{1,5}\d[A-Z0-9]*[A-Z0-9/-]*(?!\w)"
_BETWEEN = r"(?:[\s:#.,'’„“\"()=]|\b" + alternatives(words("numbers", "links")) + r"\b){0,6}"
_COUNTER = rf"(?:\s?(?:-|\b){alternatives(words('numbers', 'counters'))}(?!\w)\.?|\s?[#:№])"
_MONEY = re.compile(r"\s?(?:€|eur\b|usd|gbp|chf|\$|£|%|pounds|dollars|million|euros?\b|prozent|percent|p\.? ?a\.)")
_LEAST_CHARACTERS = 5
_AFTER_LETTERS = re.compile(r"[^A-Z].*")
_YEARS = re.compile(r"(?:19|20)\d\d(?:[/-](?:19|20)?\d\d)?|[CTF]-\d+/\d{2}")
"""A year, a season, or a case before the courts of the Union."""


def strong_ids(text: str, low: str, _language: str) -> Iterator[Mention]:
    """Numbers whose shape and checksum are enough."""
    for match in _strong_shapes().finditer(text):
        modules = next(_STRONG_MODULES[name] for name, found in match.groupdict().items() if found)
        if any(checks(module, match[0]) for module in modules) and not _after_rule(low, match.start()):
            yield _mention(match.start(), match.end(), "national_id", 1.0)
    for pattern in (_GERMAN_PENSION, _BRITISH_INSURANCE):
        for match in pattern.finditer(text):
            birth = match.groupdict().get("birth")
            if birth is None or (int(birth[:2]) <= 81 and 1 <= int(birth[2:4]) <= 12):
                yield _mention(match.start(), match.end(), "national_id", 0.9)


def checks(module: str, number: str) -> bool:
    """Whether stdnum's module takes the number."""
    try:
        return bool(_module(module).is_valid(number))
    except Exception:  # a module may trip over what is no number at all
        return False


def is_well_formed(number: str) -> bool:
    """Whether any checksum known here fits: then it may be somebody's."""
    known = {module for modules in _STRONG.values() for module in modules} | {"eu.vat", "de.idnr"}
    return any(pattern.search(number) for pattern in (_GERMAN_PENSION, _BRITISH_INSURANCE)) or any(
        checks(module, number) for module in sorted(known)
    )


def cued_codes(text: str, low: str, _language: str) -> Iterator[Mention]:
    """Codes after a word that says whose they are."""
    for kind, cue, least_digits in _cues():
        for match in cue.finditer(low):
            code = _code().match(text, match.end())
            if code is None:
                continue
            found = code[0]
            characters = sum(map(str.isalnum, found))
            if characters < _LEAST_CHARACTERS or sum(map(str.isdigit, found)) < least_digits:
                continue
            if _YEARS.fullmatch(found) or folded(_AFTER_LETTERS.sub("", found)) in words("numbers", "rules"):
                continue
            if _MONEY.match(low, code.end()) or _after_court(low, match.start()):
                continue
            yield _mention(code.start(), code.end(), kind, 0.8)


def _after_rule(low: str, start: int) -> bool:
    return bool(_rule().search(low[max(0, start - 20) : start]))


def _after_court(low: str, start: int) -> bool:
    return bool(_court().search(low[max(0, start - 30) : start]))


@cache
def _cues() -> tuple[tuple[MentionKind, re.Pattern[str], int], ...]:
    nouns = alternatives(words("numbers", "references"))
    alone = alternatives(words("numbers", "references_alone"))
    reference = (
        rf"\b(?:{nouns}(?:\s{nouns})?{_COUNTER}"
        rf"|(?:numero|n°|nº|n\.?º|num\.|ref\.?|reference|referencia)\s?(?:de |du |d'|del )?{nouns}"
        rf"|{alone}(?:\s{nouns})?(?:{_COUNTER})?)"
    )
    plain: list[tuple[MentionKind, str, int]] = [
        ("reference", reference, 5),
        ("reference", rf"\b{nouns}(?=\s[a-z]{{1,5}}[-/ ]?\d)", 5),
        ("document", rf"\b{phrases('numbers', 'documents')}", 2),
        ("national_id", rf"\b{phrases('numbers', 'identities')}", 5),
        ("vat", rf"\b{phrases('numbers', 'vats')}", 7),
        ("account", rf"\b{phrases('numbers', 'accounts')}", 6),
        ("address", rf"\b{phrases('numbers', 'postcodes')}", 4),
    ]
    return tuple((kind, re.compile(expression + r"(?!\w)" + _BETWEEN), least) for kind, expression, least in plain)


@cache
def _code() -> re.Pattern[str]:
    return re.compile(f"{_CODE}|{_MIXED}")


@cache
def _strong_shapes() -> re.Pattern[str]:
    shapes = "|".join(f"(?P<s{i}>{shape})" for i, shape in enumerate(_STRONG))
    return re.compile(rf"(?<![\w/.,-])(?:{shapes})(?!\w|[/-]\d)")


_STRONG_MODULES = {f"s{i}": modules for i, modules in enumerate(_STRONG.values())}


@cache
def _rule() -> re.Pattern[str]:
    return re.compile(rf"(?:\b{alternatives(words('numbers', 'rules'))}\b\.?|§+)\s*(?:no\.?|nr\.?|n°)?\s*$")


@cache
def _court() -> re.Pattern[str]:
    return re.compile(rf"\b{alternatives(words('numbers', 'courts'))}\b")


@cache
def _module(name: str) -> Any:
    return import_module(f"stdnum.{name}")


def _mention(start: int, end: int, kind: MentionKind, score: float) -> Mention:
    return Mention(start, end, kind, score, f"patterns/{kind}")
