"""Payment cards, international account numbers and numbers of value added tax: shape and checksum."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import iban, luhn
from stdnum.eu import vat

from freehold.core.types import Mention

_CARD = re.compile(r"(?<![\w.,-])(?:\d[ -]?){12,18}\d(?![\w]|[.,-]\d)")
# First digits that networks give out (ISO/IEC 7812): Visa, Mastercard, Amex, Diners, Discover, UnionPay, Maestro, JCB.
_NETWORKS = re.compile(r"4|5[0-8]|2[2-7]|3[4-9]|30[0-5]|6[0-9]")
_IBAN_HEAD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9])")
_IBAN_CHARS = (15, 34)
_VAT = re.compile(r"(?<![\w])[A-Z]{2}[ -]?[A-Z0-9](?:[ .-]?[0-9A-Z]){6,12}(?!\w)")


def cards(text: str, _low: str, _language: str) -> Iterator[Mention]:
    """Numbers of 13 to 19 digits that a network gives out and whose Luhn checksum fits."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if _NETWORKS.match(digits) and luhn.is_valid(digits):
            yield Mention(match.start(), match.end(), "card", 1.0, "patterns/card")


def ibans(text: str, low: str, _language: str) -> Iterator[Mention]:
    """Account numbers whose checksum fits; after the word IBAN, also those where it does not: people mistype."""
    for match in _IBAN_HEAD.finditer(text):
        ends = _ends(text, match.start())
        valid = [end for end in ends if iban.is_valid(text[match.start() : end])]
        named = "iban" in low[max(0, match.start() - 25) : match.start()]
        if valid or (named and ends):
            yield Mention(match.start(), max(valid or ends), "iban", 1.0 if valid else 0.8, "patterns/iban")


def _ends(text: str, start: int) -> list[int]:
    """Where an account number from ``start`` may end: after its 15th to 34th letter or digit, and at a word's end."""
    ends, count = [], 0
    for place in range(start, len(text)):
        character = text[place]
        if character.isascii() and character.isalnum():
            count += 1
            next_one = text[place + 1 : place + 2]
            if _IBAN_CHARS[0] <= count <= _IBAN_CHARS[1] and not next_one.isalnum():
                ends.append(place + 1)
        elif character not in " -" or count >= _IBAN_CHARS[1] or _PROSE.match(text, place + 1):
            break  # a word of small letters after a blank is the sentence going on
    return ends


_PROSE = re.compile(r"(?=[^\W\d_]*[^\W\d_A-Z])[^\W\d_]{2,}(?!\w)")


def vats(text: str, _low: str, _language: str) -> Iterator[Mention]:
    """Numbers of value added tax in the form that the EU gives them, whose checksum fits."""
    for match in _VAT.finditer(text):
        if vat.is_valid(match[0]):
            yield Mention(match.start(), match.end(), "vat", 1.0, "patterns/vat")
