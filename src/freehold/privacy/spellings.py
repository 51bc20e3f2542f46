"""How one identifier may be written: regular expressions over flattened text, and what stands in a text for certain.

A pattern is matched in ``flat`` text, which has no case and no accents and the same length as the original. What that
does not settle (``ü`` as ``ue``, ``ß`` as ``ss``, separators in numbers, endings of names) is in the pattern.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import phonenumbers

from freehold.core.erasure import How, Identifier
from freehold.core.errors import UsageError
from freehold.privacy.dates import date_pattern
from freehold.privacy.words import flat, folded, nickname_groups, words

_DOTTED = {"ä": "ae?", "ö": "oe?", "ü": "ue?", "ø": "oe?", "å": "aa?"}
_JOINT = r"(?:[\s\u00a0]{1,3}|[\s\u00a0]?[-‐‑][\s\u00a0]?)"
_WORD_START, _WORD_END = r"(?<![^\W_])", r"(?![^\W_])"
_POSSESSIVE = r"(?:['’´`]?s|['’´`])?"
_SLAVIC = "(?:a|u|owi|em|iem|ie|y|i|e|ego|emu|ym|im|om|ova|ovi|ovou|ou|ou)?"
_LEAST_FOR_ENDINGS = 4
_AND = "(?:and|und|et|y|e|i|oder|or|ou|&|u\\.)"
_MIDDLES = rf"(?:{_JOINT}(?!{_AND}\b)[^\W\d_]+\.?){{0,3}}?"


@dataclass(frozen=True)
class Name:
    """A person's name in parts, each flattened."""

    given: tuple[str, ...]
    family: tuple[str, ...]
    """With its particles: ("van", "der", "berg"). A double name has its parts joined by a hyphen."""
    raw_given: tuple[str, ...]
    raw_family: tuple[str, ...]

    @classmethod
    def parse(cls, value: str) -> Name:
        """Of "Dr. Anna Maria von der Keller" or "von der Keller, Anna Maria".

        Raises UsageError where there is no given and no family name in it.
        """
        plain = re.sub(r"[^\w\s,.'’‐‑-]", " ", value)
        last, comma, first = plain.partition(",")
        parts = [*first.split(), *last.split()] if comma else plain.split()
        parts = [part.strip(".") for part in parts if part.strip(".")]
        parts = [part for part in parts if folded(part) not in words("names", "titles")]
        if len(parts) < 2:
            hint = "give given and family name, or another identifier: --subject email=..."
            raise UsageError("a name has at least two words, or it is everybody's", hint=hint)
        split = len(first.split()) if comma else len(parts) - 1
        split = min(max(split, 1), len(parts) - 1)
        particles = words("names", "particles")
        while not comma and split > 1 and folded(parts[split - 1]) in particles:
            split -= 1
        return cls(
            tuple(map(folded, parts[:split])),
            tuple(map(folded, parts[split:])),
            tuple(parts[:split]),
            tuple(parts[split:]),
        )

    @cached_property
    def surname(self) -> str:
        """Pattern of the family name, without an ending."""
        return _JOINT.join(_spelled(part) for part in self.raw_family)

    @cached_property
    def ending(self) -> str:
        """Pattern of what may follow the family name: a possessive, or the ending of a case."""
        return f"(?:{_SLAVIC}{_POSSESSIVE})" if len(self.family[-1]) >= _LEAST_FOR_ENDINGS else _POSSESSIVE

    @cached_property
    def first(self) -> str:
        """Pattern of the first given name, in any case."""
        raw = self.raw_given[0]
        stem = (
            _spelled(raw[:-1]) + "(?:a|y|e|ie|o|i|u|ę|ą)"
            if folded(raw).endswith("a") and len(raw) > 3
            else _spelled(raw)
        )
        return stem + _POSSESSIVE

    @cached_property
    def initial(self) -> str:
        """Pattern of the given names as initials."""
        others = "".join(rf"(?:[\s\u00a0]?-?{re.escape(given[0])}\.?)?" for given in self.given[1:])
        return rf"{re.escape(self.given[0][0])}\.?{others}"

    def anchors(self) -> tuple[str, ...]:
        """Spellings of the longest part of the family name, one of which stands wherever the person is named."""
        longest = max((part for raw in self.raw_family for part in re.split("[-‐‑]", raw)), key=len)
        return spellings(longest)

    @cached_property
    def patterns(self) -> tuple[tuple[How, bool, re.Pattern[str]], ...]:
        """Ways to write the whole name, the surest first, each with whether it is theirs for certain."""
        family = f"{self.surname}{self.ending}"
        ways: list[tuple[How, bool, str]] = [
            ("exact", True, f"{self.first}{_MIDDLES}{_JOINT}{family}"),
            ("variant", True, f"{self.surname}(?:,[\\s\u00a0]{{0,2}}|{_JOINT}){self.first}"),
            ("variant", False, rf"{self.first}[\s\u00a0]{{1,3}}{_AND}[\s\u00a0]{{1,3}}[^\W\d_]+{_JOINT}{family}"),
            ("initials", False, rf"{self.initial}[\s\u00a0]?{family}"),
            ("initials", False, rf"{self.surname},?[\s\u00a0]{self.initial}"),
        ]
        ways += [("variant", False, f"{re.escape(short)}{_JOINT}{family}") for short in nicknames(self.given[0])]
        return tuple((how, sure, _compiled(pattern)) for how, sure, pattern in ways)

    @cached_property
    def alone(self) -> re.Pattern[str]:
        """The family name alone."""
        return _compiled(f"{self.surname}{self.ending}")


def signs_of(identifier: Identifier) -> bytes:
    """Letters and digits that stand, with separators taken out, wherever a number or an address does: ASCII alone."""
    if identifier.kind == "phone":
        return dialled(identifier.value)[1].encode()
    plain = "".join(sign for sign in flat(identifier.value) if sign.isalnum())
    return max(re.findall(r"[a-z0-9]+", plain), key=len, default="").encode()


def shape_of(number: str) -> str:
    """The form of a number, flat: two of one form that differ are two people's, or one's two."""
    return "".join("9" if sign.isdigit() else "a" if sign.isalpha() else sign for sign in flat(number))


def number_pattern(identifier: Identifier) -> re.Pattern[str]:
    """A number, an account or an address of mail however it is separated, and not within a longer one."""
    value = flat(identifier.value)
    if identifier.kind == "email":
        return re.compile(rf"(?<![\w.+%-]){re.escape(value.strip())}(?![\w-]|\.\w)")
    if identifier.kind == "phone":
        return _phone(identifier.value)
    signs = [sign for sign in value if sign.isalnum()]
    between = r"[\s\u00a0.,/‐‑-]{0,3}" if identifier.kind == "address" else r"[\s\u00a0./‐‑-]{0,2}"
    joined = between.join(map(re.escape, signs))
    return re.compile(rf"(?<![^\W_])(?<![^\W_][./-]){joined}(?![^\W_]|[./-][^\W_])")


def _phone(value: str) -> re.Pattern[str]:
    code, national = dialled(value)
    between = r"[\s\u00a0()./‐‑–-]{0,3}"
    country = "".join(re.escape(digit) + between for digit in code)
    prefix = rf"(?:(?:\+|00){between}{country}(?:\(0\){between})?|\(?0{between})" if code else ""
    return re.compile(rf"(?<![\d+]){prefix}{between.join(national)}(?!\d)")


def dialled(value: str) -> tuple[str, str]:
    """Country code and national number, in digits. A number without a country code has an empty one."""
    try:
        parsed = phonenumbers.parse(value, None)
        return str(parsed.country_code), phonenumbers.national_significant_number(parsed)
    except phonenumbers.NumberParseException:
        return "", "".join(sign for sign in value if sign.isdigit())


def date_of(match: re.Match[str]) -> frozenset[tuple[int, int, int]]:
    """(year, month, day) that a date in flattened text may mean; several where day and month may be either."""
    found = match.groupdict()
    months = {name: at % 12 + 1 for name, at in _MONTHS.items()}
    try:
        if found["y"]:
            return frozenset({(int(found["y"]), int(found["m"]), int(found["d"]))})
        if found["a"]:
            year = int(found["c"])
            years = (year,) if year > 99 else (1900 + year, 2000 + year)
            one, other = int(found["a"]), int(found["b"])
            return frozenset((y, m, d) for y in years for m, d in ((other, one), (one, other)) if m <= 12 and d <= 31)
        month = found["month"] or found["month2"]
        year_text = found["year"] or found["year2"]
        if not year_text:
            return frozenset()
        return frozenset({(int(year_text), months[month[:_MONTH_STEM]], int(found["day"] or found["day2"]))})
    except (KeyError, ValueError):
        return frozenset()


_LETTERS = re.compile(r"[^\W\d_]+")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae", "œ": "oe", "ß": "ss"})
_MONTH_STEM = 3
_MONTHS = {
    name: at
    for names in (
        "jan feb mar apr may jun jul aug sep oct nov dec",
        "jan feb mar apr mai jun jul aug sep okt nov dez",
        "jan fev mar avr mai jui jui aou sep oct nov dec",
        "ene feb mar abr may jun jul ago sep oct nov dic",
    )
    for at, name in enumerate(names.split())
}


def birth_day(value: str) -> frozenset[tuple[int, int, int]]:
    """What a date of birth as it was given may mean. Raises UsageError for what is no date."""
    match = date_pattern().search(flat(value))
    days = date_of(match) if match else frozenset()
    if not days:
        raise UsageError("the date of birth is no date", hint="write it as 1985-03-12")
    return days


def spellings(word: str) -> tuple[str, ...]:
    """Every flat spelling of a word: ``Müßig`` as ``mussig``, ``muessig``, ``mußig``, ``mueßig``."""
    choices = [sorted({*options}) for options in _options(word)]
    found = ("".join(chosen) for chosen in product(*choices))
    return tuple(sorted({*(next(found, "") for _ in range(64))} - {""}))


def _options(word: str) -> Iterator[tuple[str, ...]]:
    low = word.casefold() if "ß" not in word else word.lower()
    at = 0
    while at < len(low):
        pair, one = low[at : at + 2], low[at]
        if pair in {"ae", "oe", "ue", "aa"}:
            yield (pair, pair[0])
            at += 2
        elif pair == "ss":
            yield ("ss", "ß")
            at += 2
        elif one in _DOTTED:
            plain = {"ä": "a", "ö": "o", "ü": "u", "ø": "o", "å": "a"}[one]
            yield (flat(one), plain, plain + ("a" if one == "å" else "e"))
            at += 1
        elif one == "ß":
            yield ("ß", "ss")
            at += 1
        else:
            yield (flat(one),)
            at += 1


def _spelled(word: str) -> str:
    """The pattern of ``spellings``; a hyphen is any joint."""
    return _JOINT.join(_spelled_part(part) for part in re.split("[-‐‑]", word))


def _spelled_part(part: str) -> str:
    pieces = []
    for options in _options(part):
        different = sorted({*options}, key=lambda option: (-len(option), option))
        pieces.append(re.escape(different[0]) if len(different) == 1 else f"(?:{'|'.join(map(re.escape, different))})")
    return "".join(pieces)


def spells(address: str, name: str) -> bool:
    """Whether the part of an e-mail address before the @ is a name: both its ends whole, or one of them an initial."""
    local = letters_of(address)
    return any(local in _joined(tokens) for tokens in _as_address(name))


def letters_of(address: str) -> str:
    """The letters of an e-mail address before the @: what is left of a name when many bear it is told by a number."""
    return "".join(_LETTERS.findall(address.partition("@")[0].casefold()))


def _joined(tokens: Sequence[str]) -> tuple[str, ...]:
    first, rest = tokens[0], "".join(tokens[1:])
    return (
        first + rest,
        rest + first,
        first[0] + rest,
        rest + first[0],
        first + tokens[-1],
        first[0] + tokens[-1],
        tokens[-1] + first,
    )


def _as_address(name: str) -> Iterator[list[str]]:
    """The words of a name as an address may have them: umlauts spelled out, or without their dots."""
    low = name.casefold()
    for spelled in (low.translate(_UMLAUTS), low.replace("ß", "ss")):
        plain = "".join(c for c in unicodedata.normalize("NFD", spelled) if not unicodedata.combining(c))
        tokens = _LETTERS.findall(plain)
        if len(tokens) > 1:
            yield tokens


def nicknames(given: str) -> Sequence[str]:
    """Short forms of a given name, and the names that it is a short form of."""
    return sorted({name for group in nickname_groups() if given in group for name in group} - {given})


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(f"{_WORD_START}{pattern}{_WORD_END}")
