"""One person found in texts: the ``SubjectFinder`` by what they gave, in two bands.

*certain*: a whole name, or an identifier that is one person's. *ask*: what somebody else may be called as well, a
family name alone, initials, a typing error; it is certain beside something that is. Whoever bears the same name is not
told apart by it: a person decides where another date of birth stands beside it.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import get_args

from freehold.core.erasure import Finding, How, Identifier, IdentifierKind, Subject, SubjectFinder
from freehold.core.errors import UsageError
from freehold.privacy.dates import date_pattern
from freehold.privacy.sketch import compact, is_hyphenated, joined
from freehold.privacy.spellings import (
    Name,
    birth_day,
    date_of,
    dialled,
    letters_of,
    number_pattern,
    shape_of,
    signs_of,
    spells,
)
from freehold.privacy.words import flat, given_names, is_nobody, words

_ALIASES: dict[str, IdentifierKind] = {
    **{kind: kind for kind in get_args(IdentifierKind)},
    "mail": "email", "e-mail": "email", "telephone": "phone", "mobile": "phone", "born": "birth_date",
    "birthday": "birth_date", "tax_id": "national_id", "ssn": "national_id", "id": "national_id", "policy": "reference",
    "customer": "reference", "claim": "reference", "contract": "reference", "patient": "reference", "file": "reference",
    "account": "reference",
}  # fmt: skip
_LEAST_SIGNS = 5
"""Letters and digits of a number: with fewer it is everybody's."""
_NEAR_BIRTH = 80
"""Characters after a name within which a date of birth is taken for that person's."""
_WORD = re.compile(r"[^\W_]+")
_LEAST_FOR_TYPOS = 5
_BETWEEN = "\n\0\n"
_BATCH_CHARS = 1 << 20
_MONSIEUR = "m"
"""A title in French, where elsewhere it is an initial."""
_FULL: frozenset[How] = frozenset({"exact", "variant", "inflected", "transliterated"})
_WEAK = frozenset({"birth_date", "address"})
"""Kinds that others share: certain only beside something that is."""


def parse_subject(pairs: Sequence[tuple[str, str]]) -> Subject:
    """A person from keys and values, as ``--subject name="Anna Keller" --subject policy=HH-44`` gives them.

    Raises UsageError for an unknown key, and for a value that would be half the world's.
    """
    found: list[Identifier] = []
    for key, value in pairs:
        kind = _ALIASES.get(key.strip().lower())
        if kind is None:
            raise UsageError(f"{key!r} is nothing that tells a person", hint=f"one of: {', '.join(sorted(_ALIASES))}")
        identifier = Identifier(kind, " ".join(value.split()))
        _check(identifier, key)
        found.append(identifier)
    if not found:
        raise UsageError("whom it is about is not said", hint="--subject email=anna.keller@example.com")
    if all(identifier.kind in _WEAK for identifier in found):
        hint = "give a name, an address of mail or a number too"
        raise UsageError("a date of birth or an address alone is not one person's", hint=hint)
    return Subject(tuple(dict.fromkeys(found)))


def _check(identifier: Identifier, key: str) -> None:
    signs = sum(sign.isalnum() for sign in identifier.value)
    if identifier.kind == "name":
        name = Name.parse(identifier.value)
        if len(name.family[-1]) < 2:
            raise UsageError("a family name has at least two letters", hint="initials are found by themselves")
    elif identifier.kind == "birth_date":
        birth_day(identifier.value)
    elif identifier.kind == "email":
        if not re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@.]{2,}", identifier.value):
            raise UsageError(f"{key} is no address of mail", hint="--subject email=anna.keller@example.com")
    elif signs < _LEAST_SIGNS or (identifier.kind != "address" and not any(map(str.isdigit, identifier.value))):
        raise UsageError(
            f"{key} has fewer than {_LEAST_SIGNS} letters and digits, or no digit", hint="give the whole number"
        )


def open_finder(subject: Subject) -> SubjectFinder:
    """Opens the finder of a person. Raises UsageError where an identifier is none."""
    return _Finder(subject)


@dataclass(frozen=True, slots=True)
class _Raw:
    start: int
    end: int
    identifier: int
    how: How
    sure: bool
    """Whether it is certain by itself."""


@dataclass
class _Finder:
    """Patterns by identifier, each behind a plain search for what must be there for it to match."""

    subject: Subject
    _names: list[tuple[int, Name]] = field(init=False)
    _numbers: list[tuple[int, bytes, re.Pattern[str]]] = field(init=False)
    _births: list[tuple[int, frozenset[tuple[int, int, int]]]] = field(init=False)
    _anchors: list[tuple[int, Name, tuple[str, ...]]] = field(init=False)
    _clues: frozenset[str] = field(init=False)
    """Of which one stands in flat text wherever a name does, mistyped ones too."""

    def __post_init__(self) -> None:
        placed = list(enumerate(self.subject.identifiers))
        self._names = [(at, Name.parse(i.value)) for at, i in placed if i.kind == "name"]
        self._anchors = [(at, name, name.anchors()) for at, name in self._names]
        self._births = [(at, birth_day(i.value)) for at, i in placed if i.kind == "birth_date"]
        numbers = [(at, i) for at, i in placed if i.kind not in {"name", "birth_date"}]
        self._numbers = [(at, signs_of(i), number_pattern(i)) for at, i in numbers]
        whole = {part for _, name in self._names for part in (name.given[0], name.family[-1])}
        self._clues = frozenset({anchor for _, _, anchors in self._anchors for anchor in anchors} | whole)

    def find(self, text: str, *, language: str = "") -> Sequence[Finding]:  # noqa: ARG002
        """See ``SubjectFinder``."""
        low = flat(text)
        found = [*self._numbered(low), *self._named(text, low)]
        broken = joined(low)
        if broken is not None:  # a name may be broken over two lines
            together, places = broken
            more = [*self._numbered(together), *self._named(together, together)]
            found += [replace(raw, start=places[raw.start], end=places[raw.end - 1] + 1) for raw in more]
        if not found:
            return []
        found += self._born(low)
        return _placed(self._banded(text, low, found))

    def clues(self) -> frozenset[bytes]:
        """See ``SubjectFinder``."""
        return frozenset({*(clue.encode() for clue in self._clues), *(signs for _, signs, _ in self._numbers)})

    def screen(self, texts: Sequence[str]) -> Sequence[int]:
        """See ``SubjectFinder``."""
        passed: set[int] = set()
        for first, batch in _batches(texts):
            ends = list(accumulate(len(text) + len(_BETWEEN) for text in batch))
            low = flat(_BETWEEN.join(batch))
            for clue in self._clues:
                at = low.find(clue)
                while at >= 0:
                    one = bisect(ends, at)
                    passed.add(first + one)
                    at = low.find(clue, ends[one])
            # With separators out, or words put together, places are lost: each text is looked at only where one has it.
            starts = [0, *ends]
            if self._has_number(low):
                passed |= {first + at for at in range(len(batch)) if self._has_number(low[starts[at] : ends[at]])}
            if is_hyphenated(low):
                passed |= {first + at for at in range(len(batch)) if self._is_broken(low[starts[at] : ends[at]])}
        return sorted(passed)

    def _has_number(self, low: str) -> bool:
        packed = compact(low) if self._numbers else b""
        return any(signs in packed for _, signs, _ in self._numbers)

    def _is_broken(self, low: str) -> bool:
        """Whether something of them may stand over the end of a line."""
        broken = joined(low)
        return broken is not None and (any(clue in broken[0] for clue in self._clues) or self._has_number(broken[0]))

    def _is_weak(self, raw: _Raw) -> bool:
        return self.subject.identifiers[raw.identifier].kind in _WEAK

    def _numbered(self, low: str) -> Iterator[_Raw]:
        if not self._numbers:
            return
        packed = compact(low)
        for at, signs, pattern in self._numbers:
            if signs in packed:
                for match in pattern.finditer(low):
                    yield _Raw(match.start(), match.end(), at, "exact", sure=True)

    def _named(self, text: str, low: str) -> Iterator[_Raw]:
        for at, name, anchors in self._anchors:
            if not any(anchor in low for anchor in anchors):
                yield from _mistyped(at, name, low)
                continue
            for how, sure, pattern in name.patterns:
                for match in pattern.finditer(low):
                    if how != "exact" or _is_one_name(text, match, name):
                        yield _Raw(match.start(), match.end(), at, _how(how, match, name), sure)
            for match in name.alone.finditer(low):
                others = text[match.start()].islower() or _is_doubled(text, match, name)
                if not (others or _is_anothers(text, low, match, name)):
                    yield _Raw(match.start(), match.end(), at, "part", sure=False)
            yield from _mistyped(at, name, low)

    def _born(self, low: str) -> Iterator[_Raw]:
        for at, days in self._births:
            for match in date_pattern().finditer(low):
                if days & date_of(match):
                    yield _Raw(match.start(), match.end(), at, "exact", sure=False)

    def _banded(self, text: str, low: str, found: Sequence[_Raw]) -> list[Finding]:
        """What is certain by itself, but where something contradicts it, and what is certain beside that."""
        anothers = [raw for raw in found if raw.how in _FULL and self._contradicted(low, raw)]
        wrong = {raw for raw in found if any(one.start <= raw.start and raw.end <= one.end for one in anothers)}
        sure = any(raw.sure and raw not in wrong and not self._is_weak(raw) for raw in found)
        relatives = bool(self._names) and any(_has_relative(text, low, name) for _, name in self._names)
        banded = []
        for raw in found:
            certain = raw not in wrong and (
                (raw.sure and not self._is_weak(raw)) or (sure and not (relatives and raw.how == "part"))
            )
            banded.append(Finding(raw.start, raw.end, raw.identifier, raw.how, "certain" if certain else "ask"))
        return banded

    def _contradicted(self, low: str, raw: _Raw) -> bool:
        """Whether a name stands beside what another bearer of it would have there."""
        if self.subject.identifiers[raw.identifier].kind != "name":
            return False
        return self._born_otherwise(low, raw) or self._numbered_otherwise(low, raw) or self._written_otherwise(low)

    def _born_otherwise(self, low: str, raw: _Raw) -> bool:
        """Another date of birth stands right behind it."""
        after = low[raw.end : raw.end + _NEAR_BIRTH].partition("\n")[0]
        days = [date_of(match) for match in date_pattern().finditer(after) if _BIRTH.search(after[: match.start()])]
        mine = frozenset(day for _, known in self._births for day in known)
        return bool(mine and days) and not any(day & mine for day in days)

    def _numbered_otherwise(self, low: str, raw: _Raw) -> bool:
        """Another number of the form of theirs stands in the line, and theirs does not."""
        mine = [flat(i.value) for i in self.subject.identifiers if i.kind == "reference"]
        line = low[low.rfind("\n", 0, raw.start) + 1 :].partition("\n")[0]
        if not mine or any(number in line for number in mine):
            return False
        shapes = {shape_of(number) for number in mine}
        return any(shape_of(match[0]) in shapes for match in _CODE.finditer(line))

    def _written_otherwise(self, low: str) -> bool:
        """Another address that spells the name, or has the letters of theirs, stands there, and theirs nowhere."""
        mine = [flat(i.value) for i in self.subject.identifiers if i.kind == "email"]
        if not mine or any(address in low for address in mine):
            return False
        names = [i.value for i in self.subject.identifiers if i.kind == "name"]
        alike = {letters_of(address) for address in mine}
        found = [match[0] for match in _ADDRESS.finditer(low)]
        return any(letters_of(one) in alike or any(spells(one, name) for name in names) for one in found)


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Texts in stretches of about ``_BATCH_CHARS``, each with the index of its first."""
    first, size = 0, 0
    for at, text in enumerate(texts):
        size += len(text)
        if size >= _BATCH_CHARS:
            yield first, texts[first : at + 1]
            first, size = at + 1, 0
    if first < len(texts):
        yield first, texts[first:]


_ADDRESS = re.compile(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+")
_CODE = re.compile(r"[a-z0-9]+(?:[-/.][a-z0-9]+)+")
_INVERTED = re.compile(r",[ \u00a0]([^\W\d_]+)(?=[ \u00a0]*(?:[^\w \u00a0]|$))")
"""A given name behind a comma, with no word after it: "Keller, Anna Schmidt and others" is a list."""
_BULLETS = " \t\u00a0*-–•|.)0123456789"
_DOUBLED = re.compile(r"([^\W\d_]+)[ \u00a0](?:[^\W\d_]+-)*$")
_BIRTH = re.compile(r"\b(?:born|dob|date of birth|geb(?:oren|urtsdatum)?|\*|nee?|naissance|nacid[oa]|nat[oa]|ur)\b|\*")


def _placed(found: Sequence[Finding]) -> list[Finding]:
    """By place; of those that overlap the certain one stays, then the longer."""
    order = {"certain": 0, "ask": 1}
    taken: list[Finding] = []
    for one in sorted(found, key=lambda f: (order[f.band], f.start - f.end, f.start, f.identifier)):
        if all(one.end <= other.start or other.end <= one.start for other in taken):
            taken.append(one)
    return sorted(taken, key=lambda f: f.start)


def _how(how: How, match: re.Match[str], name: Name) -> How:
    if how != "exact":
        return how
    words_found = _WORD.findall(match[0])
    if words_found[-1] == name.family[-1] and words_found[0] == name.given[0]:
        return "exact" if len(words_found) <= len(name.given) + len(name.family) else "variant"
    return "inflected" if words_found[-1].startswith(name.family[-1][:-1]) else "transliterated"


def _is_one_name(text: str, match: re.Match[str], name: Name) -> bool:
    """Whether what lies between given and family name is names: "Anna Maria Keller", but not "Anna meets Keller"."""
    found = list(_WORD.finditer(text, match.start(), match.end()))
    between = found[1 : len(found) - len(name.family)]
    small = words("names", "particles")
    return all(m[0][0].isupper() or flat(m[0]) in small or not any(map(str.isupper, text)) for m in between)


def _is_anothers(text: str, low: str, match: re.Match[str], name: Name) -> bool:
    """Whether another given name stands before the family name, or behind a comma after it: "Keller, Peter". An
    unusual one, too, where the line begins with the family name: lists do.
    """
    after = _INVERTED.match(low, match.end())
    if after and after[1] not in name.given:
        listed = (
            text[max(0, match.start() - 40) : match.start()].rstrip(_BULLETS)[-1:] in {"", "\n"}
            and text[after.start(1)].isupper()
        )
        if after[1] in given_names() or (listed and not is_nobody(after[1])):
            return True
    before = re.search(r"([^\W\d_]+)\.?[\s\u00a0-]$", low[max(0, match.start() - 40) : match.start()])
    if before is None or before[1] in words("names", "titles") or before[1] in name.given or before[1] == _MONSIEUR:
        return False
    return before[1] in given_names() or len(before[1]) == 1


def _is_doubled(text: str, match: re.Match[str], name: Name) -> bool:
    """Whether it is a part of somebody else's doubled name behind a given name: "Aisling Keller-Moran"."""
    before = _DOUBLED.search(text[max(0, match.start() - 40) : match.start()])
    if before is None or is_nobody(before[1]) or flat(before[1]) in name.given or not before[1][0].isupper():
        return False
    ends = text[match.end() : match.end() + 2], text[max(0, match.start() - 2) : match.start()]
    return bool(re.fullmatch(r"-[^\W\d_]", ends[0]) or re.fullmatch(r"[^\W\d_]-", ends[1]))


def _has_relative(text: str, low: str, name: Name) -> bool:
    """Whether somebody else of the same family name is named."""
    return any(_is_anothers(text, low, match, name) for match in name.alone.finditer(low))


def _mistyped(at: int, name: Name, low: str) -> Iterator[_Raw]:
    """Given and family name side by side, one of them with a typing or reading error."""
    first, last = name.given[0], name.family[-1]
    shape = _plain(last)
    heads = list(re.finditer(rf"(?<![^\W_]){re.escape(first)}(?![^\W_])", low)) if first in low else []
    for head in heads:
        after = _WORD.search(low, head.end())
        if (
            after
            and low[head.end() : after.start()].isspace()
            and _plain(after[0]) != shape
            and is_near(_plain(after[0]), shape)
        ):
            yield _Raw(head.start(), after.end(), at, "fuzzy", sure=False)
    if last in low:
        for tail in re.finditer(rf"(?<![^\W_]){re.escape(last)}(?![^\W_])", low):
            before = re.search(r"([^\W_]+)[\s\u00a0]$", low[max(0, tail.start() - 40) : tail.start()])
            if before and before[1] != first and is_near(before[1], first):
                yield _Raw(tail.start() - len(before[0]), tail.end(), at, "fuzzy", sure=False)


def is_near(one: str, other: str) -> bool:
    """One slip apart (Damerau 1964: a letter too many, too few, wrong, two changed places), or as scanners misread."""
    if min(len(one), len(other)) < _LEAST_FOR_TYPOS:
        return _scanned(one) == _scanned(other) and one != other and len(one) > 2
    if _scanned(one) == _scanned(other):
        return True
    if abs(len(one) - len(other)) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[at:], other[at:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:] and len(a) > 1)


def _scanned(word: str) -> str:
    for wrong, right in (
        ("rn", "m"),
        ("vv", "w"),
        ("0", "o"),
        ("1", "l"),
        ("|", "l"),
        ("5", "s"),
        ("cl", "d"),
        ("ii", "u"),
    ):
        word = word.replace(wrong, right)
    return word


# -- what a fence or a search of raw bytes looks for -------------------------------------------------------------------

_CODE_RUNS = 8
"""Groups of letters and digits that one number may be written in, at most."""
_SPELLED_OUT = (("ß", "ss"), ("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a"))


def identifier_forms(identifier: Identifier) -> frozenset[str]:
    """Normal forms of an identifier: a text that has it for certain has one of these among its ``text_forms``.

    Words of a name are joined by blanks; numbers have no separators. None for what is not one person's alone.
    """
    if identifier.kind in _WEAK:
        return frozenset()
    if identifier.kind == "name":
        name = Name.parse(identifier.value)
        parts = _WORD.findall(" ".join(name.family))
        first, family = _plain(name.given[0]), [_plain(part) for part in parts]
        return frozenset({" ".join([first, *family]), " ".join([*family, first])})
    if identifier.kind == "phone":
        code, national = dialled(identifier.value)
        forms = {national, f"0{national}", f"{code}{national}", f"00{code}{national}"} if code else {national}
        return frozenset(forms)
    if identifier.kind == "email":
        return frozenset({flat(identifier.value).strip()})
    return frozenset({"".join(sign for sign in flat(identifier.value) if sign.isalnum())})


def text_forms(text: str, lengths: Sequence[int]) -> Iterator[str]:
    """Everything in a text that may be a normal form: runs of ``lengths`` words, numbers, addresses of mail."""
    low = flat(text)
    found = list(_WORD.finditer(low))
    plain = [_plain(match[0]) for match in found]
    for length in lengths:
        for at in range(len(plain) - length + 1):
            yield " ".join(plain[at : at + length])
            if length > 1 and at + length < len(plain):  # with a middle name left out
                yield " ".join([plain[at], *plain[at + 2 : at + length + 1]])
    yield from re.findall(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+", low)
    for at, match in enumerate(found):
        code, last = "", match
        for other in found[at : at + _CODE_RUNS]:
            if other is not match and other.start() - last.end() > 3:
                break
            code, last = code + other[0], other
            if len(code) >= _LEAST_SIGNS and any(map(str.isdigit, code)):
                yield code


def _plain(word: str) -> str:
    """A word as every spelling of it has it, without the ending of a possessive."""
    for long, short in _SPELLED_OUT:
        word = word.replace(long, short)
    return word[:-1] if word.endswith("s") and len(word) > 3 else word
