"""A document's text as a page shows it: a stretch at a time, in pages and headings, with a span marked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from freehold.core.types import Document

STRETCH_CHARS = 150_000
"""What is shown of a long document at a time."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that is marked, or not."""

    text: str
    marked: bool
    first: bool = False
    """Whether the mark begins here."""


@dataclass(frozen=True, slots=True)
class Block:
    """A heading (``level`` from 1) or plain text (0)."""

    level: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A page of the document, or all of it where its format has none."""

    number: int | None
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """``text[start:end]``, laid out."""

    start: int
    end: int
    leaves: tuple[Leaf, ...]
    before: int | None
    """Where the stretch before this one begins."""
    after: int | None


def stretch(document: Document, *, at: int, mark: tuple[int, int] | None) -> Stretch:
    """What is to be seen around character ``at``."""
    bounds = _bounds(document.text)
    number = max(0, min(bisect_right(bounds, at), len(bounds) - 1) - 1)
    start, end = bounds[number], bounds[number + 1]
    before = bounds[number - 1] if number else None
    after = end if end < len(document.text) else None
    return Stretch(start, end, tuple(_leaves(document, start, end, mark)), before, after)


def _bounds(text: str) -> list[int]:
    """Where stretches begin and end: at the end of a line where there is one."""
    bounds = [0]
    while len(text) - bounds[-1] > STRETCH_CHARS:
        most = bounds[-1] + STRETCH_CHARS
        line = text.rfind("\n", bounds[-1] + STRETCH_CHARS // 2, most)
        bounds.append(most if line < 0 else line + 1)
    return [*bounds, len(text)]


def _leaves(document: Document, start: int, end: int, mark: tuple[int, int] | None) -> Iterator[Leaf]:
    pages = [(page.number, max(page.start, start), min(page.end, end)) for page in document.pages]
    whole: list[tuple[int | None, int, int]] = [*pages] or [(None, start, end)]
    for number, first, last in whole:
        if first < last:
            yield Leaf(number, tuple(_blocks(document, first, last, mark)))


def _blocks(document: Document, start: int, end: int, mark: tuple[int, int] | None) -> Iterator[Block]:
    at = start
    for heading in sorted(document.headings, key=lambda heading: heading.start):
        if at <= heading.start < heading.end <= end:
            yield from _block(document.text, at, _line_start(document.text, at, heading.start), 0, mark)
            yield from _block(document.text, heading.start, heading.end, heading.level, mark)
            at = heading.end
    yield from _block(document.text, at, end, 0, mark)


def _line_start(text: str, at: int, heading: int) -> int:
    """Where a heading's line begins, if only signs of Markdown stand before it there."""
    start = max(at, text.rfind("\n", at, heading) + 1)
    return heading if text[start:heading].strip("# \t") else start


def _block(text: str, start: int, end: int, level: int, mark: tuple[int, int] | None) -> Iterator[Block]:
    """Without the empty lines at its ends."""
    part = text[start:end]
    start, end = start + len(part) - len(part.lstrip("\n")), end - (len(part) - len(part.rstrip()))
    if start < end:
        yield Block(level, tuple(_pieces(text, start, end, mark)))


def _pieces(text: str, start: int, end: int, mark: tuple[int, int] | None) -> Sequence[Piece]:
    if mark is None:
        return [Piece(text[start:end], False)]
    first, last = max(start, mark[0]), min(end, mark[1])
    if first >= last:
        return [Piece(text[start:end], False)]
    found = [
        Piece(text[start:first], False),
        Piece(text[first:last], True, first=not text[mark[0] : first].strip()),
        Piece(text[last:end], False),
    ]
    return [piece for piece in found if piece.text]
