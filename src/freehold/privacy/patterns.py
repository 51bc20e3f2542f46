"""Identifiers that have a shape: addresses of mail and machines, numbers with checksums, numbers after their name.

A number with a checksum that fits is found wherever it stands. A number without one is found after a word that says
what it is ("policy", "Kundennummer"), since clauses, amounts and years are numbers too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence

from freehold.core.types import Mention, MentionKind
from freehold.privacy.codes import cued_codes, strong_ids
from freehold.privacy.dates import birth_dates
from freehold.privacy.money import cards, ibans, vats
from freehold.privacy.phones import phones
from freehold.privacy.spans import resolved
from freehold.privacy.words import alternatives, flat, words

VERSION = "1"

_EMAIL = re.compile(r"(?<![\w.+%-])[\w][\w.+%'-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}(?![\w@])")
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"'«»“”]+[^\s<>\"'«»“”.,;:!?)\]]", re.IGNORECASE)
_PERSONAL_URL = re.compile(
    r"//[^/\s@]+@|/~\w|/@\w|[?&#/](?:users?|usr|u|in|profiles?|people|members?|konto|profil|perfil|usuarios?"
    r"|utilisateurs?|mitglied(?:er)?|e?mail|name|customer|patient|client|kunde)(?:/|=)[\w%@.-]",
    re.IGNORECASE,
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)

Finder = Callable[[str, str, str], Iterator[Mention]]
"""(text, the same flattened, language) -> mentions."""


class PatternDetector:
    """The ``Detector`` of what has a shape. Threads may share one."""

    @property
    def name(self) -> str:
        return f"patterns-{VERSION}"

    def detect(self, texts: Sequence[str], *, language: str = "") -> list[tuple[Mention, ...]]:
        """See ``freehold.core.ports.Detector``. ``language`` decides which countries' telephone numbers come first."""
        return [self._of(text, language) for text in texts]

    def _of(self, text: str, language: str) -> tuple[Mention, ...]:
        finders: list[Finder] = []  # where two find the same, the earlier one says what it is
        if "//" in text or "www." in text.casefold():
            finders.append(urls)
        if "@" in text:
            finders.append(emails)
        if ":" in text:
            finders.append(ipv6)
        if any(map(str.isdigit, text)):
            finders += [ibans, cards, vats, ipv4, birth_dates, strong_ids, cued_codes, phones]
        low = flat(text)
        return resolved(text, *(finder(text, low, language) for finder in finders))


def emails(text: str, _low: str, _language: str) -> Iterator[Mention]:
    """Addresses of electronic mail."""
    for match in _EMAIL.finditer(text):
        yield _mention(match, "email", 1.0)


def urls(text: str, _low: str, _language: str) -> Iterator[Mention]:
    """Addresses that lead to somebody: with a user in them. Those of pages and statutes stay."""
    for match in _URL.finditer(text):
        if _PERSONAL_URL.search(match[0]):
            yield _mention(match, "url", 0.9)


def ipv4(text: str, low: str, _language: str) -> Iterator[Mention]:
    """IPv4 addresses, but no clause numbers and versions: some part is above 31, or a word says what it is."""
    for match in _IPV4.finditer(text):
        parts = [int(part) for part in match[0].split(".")]
        if max(parts) > 255 or parts[0] in (0, 127):
            continue
        before = low[max(0, match.start() - 30) : match.start()]
        if _MACHINE.search(before) or (max(parts) > 31 and not _RULE.search(before)):
            yield _mention(match, "ip", 0.9)


def ipv6(text: str, _low: str, _language: str) -> Iterator[Mention]:
    """IPv6 addresses, but no times of day and none of this machine."""
    for match in _IPV6.finditer(text):
        try:
            address = ipaddress.IPv6Address(match[0])
        except ValueError:
            continue
        if not address.is_loopback and not address.is_unspecified and len(match[0]) > 6:
            yield _mention(match, "ip", 0.9)


def _mention(match: re.Match[str], kind: MentionKind, score: float) -> Mention:
    return Mention(match.start(), match.end(), kind, score, f"patterns/{kind}")


_MACHINE = re.compile(r"\b(?:ip|ipv4|server|host|login|adresse|address|direccion|from|von|depuis|desde)\b[^.]*$")
_RULE = re.compile(
    rf"(?:\b(?:{alternatives(words('numbers', 'rules'))}|v|ver|release|build)\b\.?|§)\s*(?:no\.?|nr\.?)?\s*$"
)
