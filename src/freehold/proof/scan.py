"""A search of raw files for what should be gone. It shares no code with what stores or erases, and trusts no store.

Every file below a folder is read, whatever it is: text in the encodings in which stores write it, within archives, and
in databases a second time by column, since a row may lie in pieces. A search proves something only beside a *sentinel*:
something alive that the same pass must find in the same place.
"""

from __future__ import annotations

import base64
import json
import mmap
import re
import sqlite3
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["pass", "fail", "inconclusive"]

SHORTEST_NEEDLE = 4
"""Bytes: what is shorter stands everywhere."""
_KEY_BYTES = 4
_BLOCK_BYTES = 16 << 20
_MOST_UNPACKED_BYTES = 256 << 20
_ALNUM = re.compile(rb"[0-9A-Za-z]")
_GZIP, _ZIP, _SQLITE = b"\x1f\x8b", b"PK\x03\x04", b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Probe:
    """What one search found: counts and places, never what was looked for."""

    id: str
    kind: str
    """What was asked: ``raw-bytes``, ``raw-vector``, ``read``, ``retrieval``, ``key``, ``re-ingest``, ``registry``."""
    target: str
    """Which holder."""
    control_hits: int
    """How often the sentinel was found; 0 proves nothing."""
    hits: int
    places: tuple[str, ...] = ()
    """Files in which there were hits, relative to the house."""

    @property
    def verdict(self) -> Verdict:
        if self.hits:
            return "fail"
        return "pass" if self.control_hits else "inconclusive"


def plain_forms(text: str) -> set[bytes]:
    """The bytes that a text may be stored as in UTF-8, in any case and either normal form."""
    return {form for one in _spelled(text) if len(form := one.encode("utf-8", "surrogatepass")) >= SHORTEST_NEEDLE}


def _spelled(text: str) -> set[str]:
    spelled = {text, text.lower(), text.upper(), text.casefold()}
    return spelled | {unicodedata.normalize(form, one) for form in ("NFC", "NFD") for one in spelled}


def forms(text: str) -> set[bytes]:
    """The bytes that a text may be stored as, those of fewer than ``SHORTEST_NEEDLE`` left out."""
    found: set[bytes] = set()
    for one in _spelled(text):
        plain = one.encode("utf-8", "surrogatepass")
        found |= {plain, one.encode("utf-16-le", "surrogatepass"), one.encode("utf-16-be", "surrogatepass")}
        found |= {json.dumps(one)[1:-1].encode(), json.dumps(one).replace("/", "\\/")[1:-1].encode()}
        found.add(quote(one, safe="").encode())
        found.add(quote(one).encode())
        found |= set(_base64(plain))
    return {form for form in found if len(form) >= SHORTEST_NEEDLE}


def _base64(data: bytes) -> Iterator[bytes]:
    """The middle of its base64 at each of the three places where it may begin in a group of three bytes."""
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + data)
        first = 4 if shift else 0
        last = len(coded) - (4 if (shift + len(data)) % 3 else 0)
        if last - first >= SHORTEST_NEEDLE * 2:
            yield coded[first:last]


def vector_forms(vector: NDArray[np.float32]) -> set[bytes]:
    """The bytes in which the first numbers of a vector may be stored: float32 of both orders, float16, CBOR."""
    head = [float(value) for value in vector[:6]]
    cbor = b"".join(b"\xfa" + struct.pack(">f", value) for value in head)
    half = np.asarray(vector[:12], dtype="<f2")
    return {struct.pack("<6f", *head), struct.pack(">6f", *head), cbor, half.tobytes(), half.astype(">f2").tobytes()}


class Needles:
    """Many byte strings looked for in one pass: a table of their first bytes, then the whole of what fits."""

    def __init__(self, needles: Iterable[bytes], *, whole: Iterable[bytes] = ()) -> None:
        """``whole``: needles with no letter or digit of ASCII before or after them, so that none is part of a longer.

        Raises ValueError for a needle of fewer than ``SHORTEST_NEEDLE`` bytes.
        """
        self._whole = frozenset(whole)
        self._by_key: dict[int, list[bytes]] = {}
        for needle in {*needles, *self._whole}:
            if len(needle) < SHORTEST_NEEDLE:
                raise ValueError("a needle is too short to mean anything")
            self._by_key.setdefault(int.from_bytes(needle[:_KEY_BYTES], "little"), []).append(needle)
        self._longest = max((len(needle) for found in self._by_key.values() for needle in found), default=0)
        keys = np.array(sorted(self._by_key), dtype=np.uint32)
        self._low = np.zeros(1 << 16, dtype=bool)
        self._high = np.zeros(1 << 16, dtype=bool)
        self._low[keys & 0xFFFF] = True
        self._high[keys >> 16] = True

    def count(self, data: bytes | mmap.mmap) -> int:
        """How often any of them stands in the data."""
        if not self._by_key:
            return 0
        total, size = 0, len(data)
        for start in range(0, size, _BLOCK_BYTES):
            block = data[start : min(size, start + _BLOCK_BYTES + self._longest)]
            total += self._count(block, min(len(block), _BLOCK_BYTES))
        return total

    def _count(self, block: bytes, until: int) -> int:
        """Those that begin before ``until``."""
        total = 0
        for shift in range(_KEY_BYTES):
            usable = (len(block) - shift) // _KEY_BYTES
            if usable <= 0:
                continue
            keys = np.frombuffer(block, dtype="<u4", count=usable, offset=shift)
            likely = np.flatnonzero(self._low[keys & 0xFFFF])
            likely = likely[self._high[keys[likely] >> 16]]
            for at in likely.tolist():
                place = at * _KEY_BYTES + shift
                if place < until:
                    total += sum(self._is_at(block, place, needle) for needle in self._by_key.get(int(keys[at]), ()))
        return total

    def _is_at(self, block: bytes, place: int, needle: bytes) -> bool:
        if not block.startswith(needle, place):
            return False
        around = block[max(0, place - 1) : place] + block[place + len(needle) : place + len(needle) + 1]
        return needle not in self._whole or not _ALNUM.search(around)


def scan(root: Path, searches: Mapping[str, Needles]) -> dict[str, dict[str, int]]:
    """Name of a search -> file relative to ``root`` -> how often it was found, where it was.

    Every regular file is read, hidden ones and leftovers too; links are not followed. A file that vanishes or cannot be
    read is told of by OSError: it cannot be left out in silence.
    """
    found: dict[str, dict[str, int]] = {name: {} for name in searches}
    for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
        name = path.relative_to(root).as_posix()
        for data in contents(path):
            for search, needles in searches.items():
                count = needles.count(data)
                if count:
                    found[search][name] = found[search].get(name, 0) + count
    return found


def contents(path: Path) -> Iterator[bytes | mmap.mmap]:
    """A file's bytes, and what is packed in it or, in a database, what its columns hold."""
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data
        head = data[:16]
        if head.startswith(_GZIP):
            yield zlib.decompressobj(31).decompress(data[:], _MOST_UNPACKED_BYTES)
    if head.startswith(_ZIP) and zipfile.is_zipfile(path):
        yield from _members(path)
    if head == _SQLITE:
        yield from columns(path)


def _members(path: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.file_size <= _MOST_UNPACKED_BYTES and not member.flag_bits & 1:
                yield archive.read(member)


def columns(path: Path) -> Iterator[bytes]:
    """Every value of every table of a database that is text or bytes, some megabytes at a time, by its own reader."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            piece: list[bytes] = []
            size = 0
            quoted = table.decode().replace('"', '""')
            for row in connection.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 - its own name, quoted
                values = [value for value in row if isinstance(value, bytes)]
                piece += values
                size += sum(map(len, values))
                if size > _BLOCK_BYTES:
                    yield b"\0".join(piece)
                    piece, size = [], 0
            yield b"\0".join(piece)
    finally:
        connection.close()


def rows(path: Path, query: str, values: Sequence[str] = ()) -> int:
    """The number that a query gives of a database, by its own reader; 0 where there is no such file."""
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        (count,) = connection.execute(query, values).fetchone()
        return int(count)
    finally:
        connection.close()
