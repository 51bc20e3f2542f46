"""Mentions of several recognisers made one list without overlap."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from freehold.core.types import Mention


def resolved(text: str, *groups: Iterable[Mention]) -> tuple[Mention, ...]:
    """The same characters covered, by place and without overlap.

    Where two overlap, one is whole: that of the earlier group, in a group the surer, of equally sure ones the longer.
    Of the other what lies outside is kept: nothing that anybody found is left in clear. Pieces without a letter or
    digit are dropped. Doing it again changes nothing.
    """
    covered = bytearray(len(text))
    kept: list[Mention] = []
    for group in groups:
        for mention in sorted(group, key=lambda m: (-m.score, m.start - m.end, m.start, m.kind, m.detector)):
            for start, end in _uncovered(text, mention, covered):
                kept.append(replace(mention, start=start, end=end))
                covered[start:end] = b"\1" * (end - start)
    return tuple(sorted(kept, key=lambda m: m.start))


def _uncovered(text: str, mention: Mention, covered: bytearray) -> list[tuple[int, int]]:
    """The whole mention where nothing covers it, else the words of its pieces."""
    pieces = [match.span() for match in re.finditer(b"\0+", covered[mention.start : mention.end])]
    spans = [(mention.start + start, mention.start + end) for start, end in pieces]
    if spans != [(mention.start, mention.end)]:
        spans = [shrunk(text, start, end) for start, end in spans]
    return [(start, end) for start, end in spans if any(map(str.isalnum, text[start:end]))]


def shrunk(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without what is no letter or digit at its ends; empty where there is none."""
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return start, end
