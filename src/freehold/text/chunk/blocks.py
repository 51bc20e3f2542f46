"""Texts as paragraphs, list items, table rows and the sections that headings make of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from freehold.core.types import Heading
from freehold.text.chunk.context import Signpost, one_line
from freehold.text.chunk.pack import Run, Unit
from freehold.text.chunk.ruler import Ruler
from freehold.text.sentences import breaks_line

_LINE_BREAK = re.compile(r"(?<![^\S\n])[^\S\n]*+\n\s*+")
_LINE_END = re.compile(r"[^\S\n]*\n\s*")
_VISIBLE = re.compile(r"\S")


def heading_signposts(text: str, headings: Sequence[Heading]) -> list[Signpost]:
    """The headings, each from where its line begins: a mark before the wording, such as ``##``, belongs to it."""
    posts = []
    for heading in sorted(headings, key=lambda heading: (heading.start, heading.level)):
        label = one_line(text[heading.start : heading.end])
        if label:
            posts.append(Signpost(_line_start(text, heading), heading.level, label))
    return posts


def _line_start(text: str, heading: Heading) -> int:
    line_start = text.rfind("\n", 0, heading.start) + 1
    before = text[line_start : heading.start]
    start = heading.start if any(character.isalnum() for character in before) else line_start
    visible = _VISIBLE.search(text, start)
    return visible.start() if visible else start


def paragraphs(text: str, headings: Sequence[Heading]) -> list[Unit]:
    """Paragraphs, list items, table rows and heading lines as units: ascending, disjoint, every non-space character."""
    cuts = {0, len(text)}
    cuts.update(match.end() for match in _LINE_BREAK.finditer(text) if breaks_line(text, *match.span()))
    for post in heading_signposts(text, headings):
        cuts.add(post.start)
    for heading in headings:
        line_end = _LINE_END.match(text, heading.end)
        if line_end:
            cuts.add(line_end.end())
    edges = sorted(cuts)
    return [unit for start, end in pairwise(edges) for unit in trimmed(text, start, end)]


def trimmed(text: str, start: int, end: int) -> Iterator[Unit]:
    """``text[start:end]`` without the white space at its ends; nothing where it is all white space."""
    part = text[start:end]
    if part.strip():
        yield Unit(start + len(part) - len(part.lstrip()), start + len(part.rstrip()))


def sections(ruler: Ruler, headings: Sequence[Heading], lead_tokens: int) -> Iterator[Run]:
    """One run per stretch between headings. Headings that follow one another directly open the same run.

    Headings of more than ``lead_tokens`` in sum are treated as any other paragraph.
    """
    text = ruler.text
    openings = {post.start for post in heading_signposts(text, headings)}
    units: list[Unit] = []
    lead_end = 0
    only_headings = True
    for unit in paragraphs(text, headings):
        is_heading = unit.start in openings
        if is_heading and units and not only_headings:
            yield Run(units, lead_end)
            units, lead_end, only_headings = [], 0, True
        units.append(unit)
        only_headings = only_headings and is_heading
        if only_headings and ruler.count(units[0].start, unit.end) <= lead_tokens:
            lead_end = unit.end
    if units:
        yield Run(units, lead_end)
