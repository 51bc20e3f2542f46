"""Mentions of several recognisers made one list without overlap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from freehold.core.types import Mention


def resolved(text: str, *groups: Iterable[Mention]) -> tuple[Mention, ...]:
    """The same characters covered, by place and without overlap.

    Where two overlap, one is whole: that of the earlier group, in a group the surer, of equally sure ones the longer.
    Of the other what lies outside is kept: nothing that anybody found is left in clear. Pieces without a letter or
    digit are dropped. Doing it again changes nothing.
    """
    kept: list[Mention] = []
    for group in groups:
        for mention in sorted(group, key=lambda m: (-m.score, m.start - m.end, m.start, m.kind, m.detector)):
            kept += _outside(text, mention, kept)
    return tuple(sorted(kept, key=lambda m: m.start))


def _outside(text: str, mention: Mention, kept: Iterable[Mention]) -> list[Mention]:
    """What no kept one covers: the whole mention, or the words of its pieces."""
    pieces = [(mention.start, mention.end)]
    for other in kept:
        pieces = [
            piece
            for start, end in pieces
            for piece in ((start, min(end, other.start)), (max(start, other.end), end))
            if piece[0] < piece[1]
        ]
    if pieces != [(mention.start, mention.end)]:
        pieces = [shrunk(text, start, end) for start, end in pieces]
    return [replace(mention, start=start, end=end) for start, end in pieces if any(map(str.isalnum, text[start:end]))]


def shrunk(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without what is no letter or digit at its ends; empty where there is none."""
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return start, end
