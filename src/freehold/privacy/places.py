"""Addresses and numbers among the words that a classifier marked.

A town alone is nobody's, and neither is a street: an address has a street with a number, or a postcode with its town.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

from freehold.core.types import Mention, MentionKind
from freehold.privacy.rampart import Word
from freehold.privacy.words import alternatives, flat, folded, words

LIKELY = 0.5
BESIDE = 0.15
"""Probability from which a word beside another of an address is one too."""
_LEAST_DIGITS = 5
_GAP = re.compile(r"[\s,.]{1,3}|\s?[-–/]\s?")
_NUMBER_HEAD = re.compile(r"(?:\+|\(\+?)?(?:(?<!\w)\d{1,4}[ ()./-]{1,3})*\(?\w$")
_YEARS = re.compile(r"\d{3,4}\s?[-–/]\s?\d{2,4}")
_LONG_NUMBER = re.compile("111+")
_RUN_ON = re.compile(r"[ \t\u00a0]|[-./]")


def addresses(text: str, tagged: Sequence[Word], detector: str) -> Iterator[Mention]:
    """Blocks of street, number, postcode and town; beside one, what is left of another or farther off counts too."""
    blocks = [
        block
        for stretch in _between_long_numbers(tagged)
        for block in _blocks(text, stretch)
        if not _after_rule(text, block[0].start)
    ]
    if not any(_is_address(text, block) for block in blocks):
        return
    for block in blocks:
        if any(map(_is_numbered, block)):
            score = round(max(word.address for word in block), 4)
            yield Mention(block[0].start, block[-1].end, "address", score, detector)


def _blocks(text: str, tagged: Sequence[Word]) -> Iterator[Sequence[Word]]:
    at = 0
    while at < len(tagged):
        if not _looks_so(text, tagged[at], LIKELY):
            at += 1
            continue
        first, last = _grown_left(text, tagged, at), _grown_right(text, tagged, _last_of_block(text, tagged, at))
        yield tagged[first : last + 1]
        at = last + 1


def _between_long_numbers(tagged: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """The words without groups of digits in a row, three or more, which are a telephone, card or account."""
    first = 0
    for run in _LONG_NUMBER.finditer("".join("1" if word.text.isdecimal() else "a" for word in tagged)):
        yield tagged[first : run.start()]
        first = run.end()
    yield tagged[first:]


def _is_numbered(word: Word) -> bool:
    return any(map(str.isdigit, word.text))


def numbers(text: str, tagged: Sequence[Word], detector: str) -> Iterator[Mention]:
    """Numbers of telephones, accounts, documents and authorities that no shape or cue has told."""
    at = 0
    while at < len(tagged):
        kind = _number_kind(tagged[at])
        last = at
        while last + 1 < len(tagged) and kind and _runs_on(text, tagged, last) and _continues(tagged[last + 1], kind):
            last += 1
        if kind:
            end = tagged[last].end
            head = _NUMBER_HEAD.search(text, max(0, tagged[at].start - 12), tagged[at].start + 1)
            start = head.start() if head else tagged[at].start
            digits = sum(map(str.isdigit, text[start:end]))
            if digits >= _LEAST_DIGITS and not _YEARS.fullmatch(text, start, end) and not _after_rule(text, start):
                score = max(_column(word, kind) for word in tagged[at : last + 1])
                yield Mention(start, end, kind, round(score, 4), detector)
        at = last + 1


def _last_of_block(text: str, tagged: Sequence[Word], first: int) -> int:
    """The last word of the address that begins here; up to two small words may stand between its parts."""
    last, i = first, first + 1
    while i < len(tagged) and i - last <= 3 and _GAP.fullmatch(text[tagged[i - 1].end : tagged[i].start]):
        if _looks_so(text, tagged[i], BESIDE) and tagged[i].address > tagged[i].person:
            last = i
        elif not _is_part(tagged[i]):
            break
        i += 1
    return last


def _grown_left(text: str, tagged: Sequence[Word], first: int) -> int:
    best = i = first
    while i > 0 and _GAP.fullmatch(text[tagged[i - 1].end : tagged[i].start]):
        i -= 1
        if _looks_so(text, tagged[i], BESIDE):
            best = i
            continue
        if not _is_part(tagged[i]):
            break
        if tagged[i].text[0].isupper() or tagged[i].text[0].isdigit() or folded(tagged[i].text) in _strong_streets():
            best = i
    return best


def _grown_right(text: str, tagged: Sequence[Word], last: int) -> int:
    best = i = last
    while i + 1 < len(tagged) and _GAP.fullmatch(text[tagged[i].end : tagged[i + 1].start]) and _is_part(tagged[i + 1]):
        i += 1
        if any(map(str.isdigit, tagged[i].text)) or folded(tagged[i].text) in _strong_streets():
            best = i
    return best


def _looks_so(text: str, word: Word, least: float) -> bool:
    """Whether the model takes it for an address and it is no small word, where a text has capitals at all."""
    return word.address >= least and (not word.text[0].islower() or text == text.lower())


def _is_part(word: Word) -> bool:
    """A house number, the letter of a staircase, or a small word that addresses are made with."""
    name = folded(word.text)
    numbered = any(map(str.isdigit, word.text)) and len(word.text) <= 5
    lettered = len(word.text) == 1 and word.text.isupper()
    return (
        numbered
        or lettered
        or word.address >= BESIDE
        or name in words("address", "streets")
        or name in words("names", "particles")
    )


@cache
def _strong_streets() -> frozenset[str]:
    small = {"am", "an", "im", "in", "der", "dem", "den", "auf", "zum", "zur", "hinter", "c", "house", "unit", "ring"}
    return words("address", "streets") - small - words("names", "particles")


def _is_address(text: str, block: Sequence[Word]) -> bool:
    """A number beside a street, or a postcode beside its town; four digits behind a town are rather a year."""
    for one, other in pairwise([word for word in block if word.address >= BESIDE or _is_numbered(word)]):
        between = text[one.end : other.start]
        if between == "-" or any(part.islower() for part in between.split()):
            continue
        numbered = [word for word in (one, other) if _is_numbered(word)]
        if numbered and (_is_street(one) or _is_street(other)):
            return True
        place = max(one.place, other.place)
        digits = max((sum(map(str.isdigit, word.text)) for word in numbered), default=0)
        lettered = any(not word.text.isdecimal() for word in numbered)
        code = any(word.number_of_address >= LIKELY for word in numbered)
        in_order = digits > 4 or lettered or (_is_numbered(one) and digits == 4)
        if code and place >= LIKELY and in_order and not (one.text.isupper() and other.text.isdecimal()):
            return True
    return False


def _is_street(word: Word) -> bool:
    return word.street >= LIKELY or folded(word.text) in _strong_streets()


def _number_kind(word: Word) -> MentionKind | None:
    if not _is_numbered(word):
        return None
    kinds: tuple[MentionKind, ...] = ("phone", "national_id", "document", "account")
    best = max(kinds, key=lambda kind: _column(word, kind))
    return best if _column(word, best) >= LIKELY else None


def _column(word: Word, kind: MentionKind) -> float:
    columns = {"phone": word.phone, "national_id": word.identity, "document": word.document, "account": word.account}
    return columns[kind]


def _continues(word: Word, kind: MentionKind) -> bool:
    """More of the number: digits, or letters of like kind."""
    return _is_numbered(word) or (len(word.text) <= 2 and _column(word, kind) >= LIKELY)


def _runs_on(text: str, tagged: Sequence[Word], i: int) -> bool:
    return bool(_RUN_ON.fullmatch(text[tagged[i].end : tagged[i + 1].start]))


def _after_rule(text: str, start: int) -> bool:
    return bool(_rule().search(flat(text[max(0, start - 25) : start])))


@cache
def _rule() -> re.Pattern[str]:
    return re.compile(rf"(?:\b{alternatives(words('numbers', 'rules'))}\b\.?|§+)\s*(?:no\.?|nr\.?|n°)?\s*$")
