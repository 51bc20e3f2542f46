"""What lies inside a file: compressed streams wherever they begin, and what SQLite's pages hold once put together.

Nothing here opens a file for writing or lets SQLite do so, and no byte that was read is kept anywhere.
"""

from __future__ import annotations

import bz2
import lzma
import re
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

Read = Callable[[int, int], bytes]
"""``read(offset, size)``: bytes of a file or of a buffer; fewer at its end."""

STREAM_BYTES = 1 << 28
"""Of one stream at most; what is longer makes a scan inconclusive."""
_PIECE = 1 << 16
_STARTS = re.compile(
    rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08|PK\x03\x04|BZh[1-9]1AY&SY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|\x04\x22\x4d\x18",
    re.DOTALL,
)
_TWO = (
    b"\x78\x01",
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
    b"\x1f\x8b",
    b"PK",
    b"BZ",
    b"\xfd7",
    b"\x28\xb5",
    b"\x04\x22",
)
"""How streams begin."""
_FIRSTS = bytes(any(two[0] == first for two in _TWO) for first in range(256))
_PAIRS = np.isin(np.arange(1 << 16), [int.from_bytes(two, "big") for two in _TWO])
SQLITE = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Layer:
    """Bytes that lie at ``offset``, and what they were taken out of. ``whole``: they are all of it."""

    kind: str
    offset: int
    data: bytes
    whole: bool


# -- compressed streams ----------------------------------------------------------------------------------------------


def streams(data: bytes, base: int, read: Read) -> Iterator[Layer]:
    """Every stream of zlib, gzip, zip, bzip2, xz, zstd or lz4 that begins in ``data``, decoded as far as it goes.

    ``base``: where ``data`` begins in what ``read`` reads. Streams of zstd and lz4 need the packages ``zstandard`` and
    ``lz4``: without them such a layer is empty and not whole.
    """
    for at in _likely(data):
        match = _STARTS.match(data, at)
        layer = _stream(match[0], base + at, read) if match else None
        if layer is not None:
            yield layer


def _likely(data: bytes) -> list[int]:
    """Where the first two bytes of a stream are: first bytes by a table, as a search for so many starts is slow."""
    firsts = np.flatnonzero(np.frombuffer(data.translate(_FIRSTS), np.bool_)[:-1])
    raw = np.frombuffer(data, np.uint8)
    pairs = raw[firsts].astype(np.uint16) << 8 | raw[firsts + 1]
    found: list[int] = firsts[_PAIRS[pairs]].tolist()
    return found


def _stream(magic: bytes, at: int, read: Read) -> Layer | None:
    kind, start = "zlib", at
    decoder: Any = None
    if magic[:1] == b"\x78":
        decoder = zlib.decompressobj()
    elif magic[:2] == b"\x1f\x8b":
        kind, decoder = "gzip", zlib.decompressobj(31)
    elif magic[:2] == b"PK":
        kind = "zip"
        version, flags, method, names = struct.unpack("<HHH16xI", read(at + 4, 26).ljust(26))
        if version > 63 or flags & 0xC000 or method > 99 or method == 0:  # no member, or one stored as it is
            return None
        start = at + 30 + (names & 0xFFFF) + (names >> 16)
        if method in (8, 12):
            decoder = zlib.decompressobj(-15) if method == 8 else bz2.BZ2Decompressor()
    elif magic[:3] == b"BZh":
        kind, decoder = "bzip2", bz2.BZ2Decompressor()
    elif magic[:1] == b"\xfd":
        kind, decoder = "xz", lzma.LZMADecompressor()
    else:
        kind = "zstd" if magic[:1] == b"\x28" else "lz4"
        if not _plausible(kind, read(at + 4, 18)):
            return None
        decoder = _optional(kind)
    return Layer(kind, at, b"", whole=False) if decoder is None else _decoded(kind, at, start, decoder, read)


def _plausible(kind: str, header: bytes) -> bool:
    """Whether a frame may begin so (RFC 8878 3.1.1; LZ4 frame format 1.6.4): four bytes alone occur by chance."""
    header = header.ljust(18, b"\xff")
    if kind == "lz4":
        return header[0] & 0xC2 == 0x40 and header[1] & 0x8F == 0 and header[1] >= 0x40
    single = header[0] >> 5 & 1  # a single segment: no byte for the window, and the size is always there
    block = 1 + (1 - single) + (0, 1, 2, 4)[header[0] & 3] + (single, 2, 4, 8)[header[0] >> 6]
    first = int.from_bytes(header[block : block + 3], "little")
    return not header[0] & 0x08 and first >> 1 & 3 != 3 and first >> 3 <= 1 << 17


def _optional(kind: str) -> Any:
    try:
        if kind == "zstd":
            return import_module("zstandard").ZstdDecompressor().decompressobj()
        return import_module("lz4.frame").LZ4FrameDecompressor()
    except ImportError:
        return None


def _decoded(kind: str, at: int, start: int, decoder: Any, read: Read) -> Layer | None:
    pieces, size = [], 0
    while not decoder.eof:
        piece = read(start, _PIECE)
        start += len(piece)
        try:
            out = decoder.decompress(piece)
        except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError, RuntimeError):
            break  # no stream after all, or one that is damaged from here on: what came out is what there is
        except Exception as error:
            if type(error).__name__ not in ("ZstdError", "LZ4FrameError"):
                raise
            break
        pieces.append(out)
        size += len(out)
        if size > STREAM_BYTES:
            return Layer(kind, at, b"".join(pieces), whole=False)
        if not piece:
            break
    return Layer(kind, at, b"".join(pieces), whole=True) if size else None


# -- SQLite ----------------------------------------------------------------------------------------------------------


def cells(path: Path) -> Iterator[bytes]:
    """Every value of every table of a database, as SQLite reads it: long ones whole, numbers in decimal.

    The file is opened immutable: nothing is written beside it, and what only the log holds is not seen here. Ends early
    where the database is damaged.
    """
    uri = f"file:{quote(str(path))}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.text_factory = bytes
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                yield from _values(connection, name.decode("utf-8", "surrogateescape"))
    except (sqlite3.Error, UnicodeError):
        return


def _values(connection: sqlite3.Connection, table: str) -> Iterator[bytes]:
    quoted = table.replace('"', '""')
    try:
        for row in connection.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 - a name that the database told
            for value in row:
                if value is not None:
                    yield value if isinstance(value, bytes) else repr(value).encode()
    except sqlite3.Error:  # a virtual table whose module is not here: the tables that keep its data are read themselves
        return


def seams(main: Read, beside: Read, longest: int) -> Iterator[bytes]:
    """What lies across the edges of pages that no table uses any more: for every place that points to such a page, the
    bytes before the pointer and the head of that page, put together. What tables use is read by ``cells``.

    ``main`` reads the database, ``beside`` its log or journal, whose pages may be of rows that are gone; ``longest``:
    bytes of the longest text sought. Pages that were overwritten with zeros hold nothing, and cost nothing.
    """
    size = int.from_bytes(main(16, 2), "big")
    size = 65536 if size == 1 else size
    if size < 512 or size & (size - 1):
        return
    reach = min(longest - 1, size - 4)
    heads: dict[int, set[bytes]] = {}
    for number, page in chain(_free(main, size), _logged(beside, size)):
        if page[4:].strip(b"\0"):
            heads.setdefault(number, set()).add(page[4 : 4 + reach])
    if not heads:
        return
    wanted = np.array(sorted(heads), dtype=np.uint32)
    for _, page in chain(_pages(main, size), _logged(beside, size)):
        for target in _followers(page):
            for head in heads.get(target, ()):
                yield page[-reach:] + head
        for at, target in _pointers(page, wanted):
            for head in heads.get(target, ()):
                yield page[max(0, at - reach) : at] + head


def _pages(main: Read, size: int) -> Iterator[tuple[int, bytes]]:
    number = 1
    while len(page := main((number - 1) * size, size)) == size:
        yield number, page
        number += 1


_LEAST_TEXT = 0x200020
"""The least four bytes of text as a number, in any encoding: two blanks in UTF-16."""


def _free(main: Read, size: int) -> Iterator[tuple[int, bytes]]:
    """The pages on the list of free ones (SQLite file format, 1.5): trunks, which name the next trunk and leaves."""
    total, trunk, seen = int.from_bytes(main(28, 4), "big"), int.from_bytes(main(32, 4), "big"), set[int]()
    while trunk and trunk not in seen and len(page := main((trunk - 1) * size, size)) == size:
        seen.add(trunk)
        following, count = struct.unpack(">II", page[:8])
        listed = 8 + 4 * count if count <= size // 4 - 2 else 8
        # What stood where the list stands is gone. Behind it, numbers of pages are left of when it was longer.
        rest = np.frombuffer(page, ">u4", offset=listed)
        is_text = total >= _LEAST_TEXT or (rest > total).any()
        yield trunk, bytes(listed) + (page[listed:] if is_text else bytes(len(page) - listed))
        for leaf in struct.unpack(f">{listed // 4 - 2}I", page[8:listed]):
            yield leaf, main((leaf - 1) * size, size)
        trunk = following


def _logged(beside: Read, size: int) -> Iterator[tuple[int, bytes]]:
    head = beside(0, 32)
    log = head[:4] in (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
    # A frame of the log is a header of 24 bytes and a page; a record of a journal its number, a page and a checksum.
    offset, before, after = (32, 24, 0) if log else (512, 4, 4)
    while len(record := beside(offset, before + size + after)) == before + size + after:
        yield int.from_bytes(record[:4], "big"), record[before : before + size]
        offset += before + size + after


def _followers(page: bytes) -> set[int]:
    """Pages that may go on from the end of one: an overflow page names the next one first. A page that heads the list
    of free ones has lost that, and names free ones instead (a count and their numbers, after four bytes)."""
    next_page, count = struct.unpack(">II", page[:8])
    free = struct.unpack(f">{count}I", page[8 : 8 + 4 * count]) if count <= len(page) // 4 - 2 else ()
    return {next_page, *free}


def _pointers(page: bytes, wanted: NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    """Places inside a page that may point to one of the pages wanted: any four bytes that are its number."""
    raw = np.frombuffer(page, np.uint8).astype(np.uint32)
    numbers = (raw[:-3] << 24) | (raw[1:-2] << 16) | (raw[2:-1] << 8) | raw[3:]
    fits = (numbers >= wanted[0]) & (numbers <= wanted[-1])
    fits[:2] = False
    for at in np.flatnonzero(fits).tolist():
        yield at, int(numbers[at])
