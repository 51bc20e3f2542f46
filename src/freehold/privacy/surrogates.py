"""What stands in for what: surrogates that keep the form, drawn by a secret key.

The same words give the same surrogate under one key, and nobody without the key can tell or test what they were.
Surrogates look right and lead nowhere: names are of an invented vocabulary, mail goes to example.org (RFC 2606),
machines have addresses set aside for documentation (RFC 5737, RFC 3849), and numbers have checksums that do not fit or
begin with zeros that nobody gives out. A date of birth keeps its year, which questions turn on.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from itertools import chain, product

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from stdnum import iban, luhn

from freehold.core.errors import UsageError
from freehold.core.types import MentionKind
from freehold.privacy.codes import is_well_formed
from freehold.privacy.dates import date_pattern
from freehold.privacy.words import flat, folded, is_nobody, rows, words

_LEAST_KEY_BYTES = 16

_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f])*")
_TOKEN = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+")
_CHARACTER = re.compile(r"\d|[^\W\d_]")
_VALUES = 260  # what 10 digits and 26 letters both divide
_STREET_ENDING = re.compile(r"(?:strasse|straße|str|weg|gasse|platz|allee|ufer|damm|ring|hof)$")
_DOCUMENTATION = ("192.0.2.", "198.51.100.", "203.0.113.")


@cache
def invented() -> tuple[str, ...]:
    """Words that are no names of anybody, so that none of them is left in clear by chance."""
    parts = (rows("surrogates", name) for name in ("beginnings", "middles", "ends"))
    return tuple("".join(word) for word in product(*(chain.from_iterable(lines) for lines in parts)))


class Surrogates:
    """The surrogates under one key."""

    def __init__(self, key: bytes) -> None:
        """Raises UsageError for a key that could be guessed: less than 16 bytes."""
        if len(key) < _LEAST_KEY_BYTES:
            raise UsageError(
                f"a key of {len(key)} bytes is too short for surrogates",
                hint=f"give at least {_LEAST_KEY_BYTES} random bytes",
            )
        self._key = key
        self._made: dict[tuple[str, str], str] = {}
        self._forms: Mapping[str, Callable[[str, int], str]] = {
            "person": self._name, "address": self._address, "email": self._email, "url": self._url,
            "ip": self._machine, "phone": self._phone, "card": self._card, "iban": self._iban,
            "birth_date": self._birth_date,
        }  # fmt: skip

    def of(self, kind: MentionKind, text: str) -> str:
        """What stands in for ``text``: always the same, never ``text`` itself, and of the same kind to look at."""
        found = self._made.get((kind, text))
        if found is None:
            found = self._made[kind, text] = self._new(kind, text)
        return found

    def _new(self, kind: MentionKind, text: str) -> str:
        form = self._forms.get(kind, self._code)
        tries = (form(text, attempt) for attempt in range(64))
        return next((made for made in tries if folded(made) != folded(text)), invented()[0])

    # --- names and what is made of names ---

    def _word(self, word: str, attempt: int) -> str:
        """An invented word, in the case of ``word``. A final s goes over: "Kellers" is "Keller" and s."""
        plain = folded(word)
        ending = "s" if len(plain) > 4 and plain.endswith("s") and not plain.endswith("ss") else ""
        plain = plain.removesuffix(ending) if ending else plain
        if len(plain) == 1:
            made = _other_letter(plain, next(self._numbers("initial", plain, attempt, 25)))
        else:
            made = invented()[next(self._numbers("word", plain, attempt, len(invented())))] + ending
        if word.isupper():
            return made.upper()
        return made.lower() if word.islower() else made.capitalize()

    def _name(self, text: str, attempt: int) -> str:
        return _WORD.sub(lambda m: m[0] if is_nobody(m[0]) else self._word(m[0], attempt), text)

    def _address(self, text: str, attempt: int) -> str:
        """Names of streets and towns are invented, digits are others; what says "street" stays, "Lindenstraße" too."""
        source = _plain("".join(token for token in _TOKEN.findall(text) if _has_digit(token)))
        values = self._numbers("address", source, attempt, _VALUES)

        def token(match: re.Match[str]) -> str:
            found = match[0]
            if _has_digit(found):
                return _CHARACTER.sub(lambda m: _like(m[0], next(values)), found)
            if is_nobody(found) or folded(found) in words("address", "streets"):
                return found
            ending = _STREET_ENDING.search(flat(found))
            name = found[: ending.start()] if ending and ending.start() > 2 else found
            return self._word(name, attempt) + found[len(name) :]

        return _TOKEN.sub(token, text)

    def _email(self, text: str, attempt: int) -> str:
        local = text.partition("@")[0]
        made = _WORD.sub(lambda m: self._word(m[0].lower(), attempt), local)
        return self._digits("email", made, local, attempt) + "@example.org"

    def _url(self, text: str, attempt: int) -> str:
        scheme = "" if "://" not in text else text.partition("://")[0] + "://"
        user = next(self._numbers("url", text, attempt, len(invented())))
        return f"{scheme}www.example.org/users/{invented()[user].lower()}"

    def _machine(self, text: str, attempt: int) -> str:
        if ":" in text:
            parts = self._numbers("ip", text.casefold(), attempt, 1 << 16)
            return f"2001:db8::{next(parts):x}:{next(parts):x}"
        net, host = divmod(next(self._numbers("ip", text, attempt, 3 * 254)), 254)
        return f"{_DOCUMENTATION[net]}{host + 1}"

    # --- numbers ---

    def _code(self, text: str, attempt: int) -> str:
        """Letters for letters and digits for digits; no number that any checksum here would take."""
        plain = _plain(text)
        tries = (self._alike("code", text, plain, attempt * 64 + further) for further in range(64))
        return next((made for made in tries if not is_well_formed(made)), invented()[0])

    def _phone(self, text: str, attempt: int) -> str:
        """The country's prefix stays; the number behind begins with zeros, as none in service does."""
        head = _country_prefix(text)
        made = self._digits("phone", text[len(head) :], _plain(text), attempt)
        return head + re.sub(r"\d", "0", made, count=3)

    def _card(self, text: str, attempt: int) -> str:
        """Begins with 9, which no network gives out, and does not fit its checksum."""
        made = re.sub(r"\d", "9", self._digits("card", text, _plain(text), attempt), count=1)
        if luhn.is_valid(re.sub(r"\D", "", made)):
            made = made[:-1] + str((int(made[-1]) + 1) % 10)
        return made

    def _iban(self, text: str, attempt: int) -> str:
        """Of the same country, with check digits 00, which never fit (ISO 13616: 02 to 98)."""
        rest = self._alike("iban", text[2:], _plain(text), attempt)
        made = text[:2] + re.sub(r"\d", "0", rest, count=2)
        return made if not iban.is_valid(made) else self._code(text, attempt)

    def _birth_date(self, text: str, attempt: int) -> str:
        """Another day of the same year."""
        low = flat(text)
        match = date_pattern().fullmatch(low)
        if match is None:
            return self._code(text, attempt)
        parts = {name for name, found in match.groupdict().items() if found} - {"y", "c", "sep", "year", "year2"}
        made = text
        values = self._numbers("birth_date", low, attempt, 12)
        for part in sorted(parts, key=match.start, reverse=True):
            found, value = match[part], next(values)
            new = _other_month(found, value) if found.isalpha() else str(value + 1).zfill(len(found))
            made = made[: match.start(part)] + new + made[match.end(part) :]
        return made

    def _alike(self, domain: str, text: str, source: str, attempt: int) -> str:
        """``text`` with other letters and digits, each of its sort, which depend on all of ``source``."""
        values = self._numbers(domain, source, attempt, _VALUES)
        return _CHARACTER.sub(lambda m: _like(m[0], next(values)), text)

    def _digits(self, domain: str, text: str, source: str, attempt: int) -> str:
        """``text`` with other digits alone."""
        values = self._numbers(domain, source, attempt, _VALUES)
        return re.sub(r"\d", lambda m: _like(m[0], next(values)), text)

    def _numbers(self, domain: str, source: str, attempt: int, below: int) -> Iterator[int]:
        """A stream of numbers in [0, below), from HMAC-SHA256 in counter mode."""
        counter = 0
        while True:
            message = "\0".join((domain, source, str(attempt), str(counter))).encode("utf-8", "surrogatepass")
            digest = hmac.digest(self._key, message, sha256)
            # 8 bytes a number: the remainder's lean towards small values is then below one in 2**50.
            yield from (int.from_bytes(digest[i : i + 8]) % below for i in range(0, 32, 8))
            counter += 1


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _plain(text: str) -> str:
    """Letters and digits alone, in one case: how an identifier is grouped makes no other of it."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _like(character: str, value: int) -> str:
    """Another character of the same sort: a digit, a capital or a small letter."""
    if character.isdigit():
        return str(value % 10)
    letter = chr(ord("a") + value % 26)
    return letter.upper() if character.isupper() else letter


def _other_letter(letter: str, value: int) -> str:
    """One of the 25 others."""
    place = ord(letter) - ord("a") if "a" <= letter <= "z" else 0
    return chr(ord("a") + (place + 1 + value) % 26)


def _other_month(name: str, value: int) -> str:
    """A month of the same language, in small letters unless the language writes it with a capital."""
    row = next(row for row in rows("numbers", "months") if folded(name) in map(folded, row))
    return row[value]


def _country_prefix(text: str) -> str:
    """The "+49" or "0049" of an international number, empty in a national one."""
    head = re.match(r"\(?(?:\+|00)\s?", text)
    if head is None:
        return ""
    for length in (1, 2, 3):
        code = text[head.end() : head.end() + length]
        if code.isdecimal() and int(code) in COUNTRY_CODE_TO_REGION_CODE:
            return text[: head.end() + length]
    return head[0]
