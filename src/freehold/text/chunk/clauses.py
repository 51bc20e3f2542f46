"""Numbered clauses as a tree, and the tree as runs: a clause stays whole with its sub-clauses where that fits."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from freehold.core.types import Heading
from freehold.text.chunk.blocks import heading_signposts, paragraphs
from freehold.text.chunk.context import Signpost, one_line
from freehold.text.chunk.numbering import KEYWORD_STYLES, Marker, Reading, read_marker
from freehold.text.chunk.pack import Packer, Run, Unit
from freehold.text.chunk.ruler import Ruler

_DEEPEST_LEVEL = 12
_LARGEST_GAP = 3  # clauses get deleted, and their numbers with them
_TITLE_WORDS = 12
_OUTER_STYLES = ("1.", "A.", "A. roman", "(A)", "(A) roman")
_RUN_IN_TITLE = re.compile(r"[^\W\d_a-zß-ÿ][^.:–—]{1,90}?(?=[.:]\s|\s[–—]\s)")
_SHORT_TITLE_WORDS = 6  # a longer run of words before a full stop is a title only if it is written like one


@dataclass(slots=True)
class Clause:
    """A clause with everything below it: ``text[start:end]``. ``heading_level`` is 0 for one that is no heading."""

    start: int
    label: str
    reading: Reading
    heading_level: int = 0
    end: int = 0
    children: list[Clause] = field(default_factory=list)

    @property
    def stands_apart(self) -> bool:
        """Headings and keyword clauses ("Article 5", "§ 5") are never merged with their neighbours."""
        return self.heading_level > 0 or self.reading.style.split(" ")[0] in KEYWORD_STYLES

    @property
    def holds_headings(self) -> bool:
        return any(child.heading_level or child.holds_headings for child in self.children)


class ClauseTree:
    """The clauses of one text, from its numbering and its headings."""

    def __init__(self, text: str, headings: Sequence[Heading]) -> None:
        self.blocks = paragraphs(text, headings)
        self._text = text
        self._levels = {post.start: post for post in heading_signposts(text, headings)}
        self.root = Clause(0, "", Reading("", ()), end=len(text))
        self._open = [self.root]
        for block in self.blocks:
            self._place(block)
        self._close_above(0, len(text))

    def signposts(self) -> Iterator[Signpost]:
        """Every clause as a signpost for the outline, in the order of the text."""
        return self._signposts(self.root, 0)

    def is_title(self, block: Unit) -> bool:
        """Whether a block is a heading, or a line as short as one."""
        return block.start in self._levels or len(self._text[block.start : block.end].split()) <= _TITLE_WORDS

    def _signposts(self, clause: Clause, depth: int) -> Iterator[Signpost]:
        for child in clause.children:
            yield Signpost(child.start, depth + 1, child.label)
            yield from self._signposts(child, depth + 1)

    def _place(self, block: Unit) -> None:
        marker = read_marker(self._text, block.start, block.end)
        heading = self._levels.get(block.start)
        if heading:
            reading = marker.readings[0] if marker else Reading("heading", ())
            keep = 1 + max(
                (i for i, clause in enumerate(self._open) if 0 < clause.heading_level < heading.level), default=0
            )
            self._open_clause(block, heading.label, reading, keep, heading.level)
        elif marker:
            found = self._position(marker)
            if found:
                reading, keep = found
                self._open_clause(block, _label(self._text, block, marker), reading, keep, 0)

    def _open_clause(self, block: Unit, label: str, reading: Reading, keep: int, heading_level: int) -> None:
        self._close_above(keep, block.start)
        clause = Clause(block.start, label, reading, heading_level)
        self._open[-1].children.append(clause)
        self._open.append(clause)

    def _close_above(self, keep: int, end: int) -> None:
        for clause in self._open[keep:]:
            clause.end = end
        del self._open[keep:]

    def _position(self, marker: Marker) -> tuple[Reading, int] | None:
        """The reading that makes sense here and how many open clauses stay open above it; None for no clause at all."""
        for gap in (1, _LARGEST_GAP):
            for reading in marker.readings:
                depth = self._sibling(reading, gap)
                if depth:
                    return reading, depth
        for reading in marker.readings:
            keep = self._first_child(reading)
            if keep:
                return reading, min(keep, _DEEPEST_LEVEL)
        return None

    def _sibling(self, reading: Reading, gap: int) -> int:
        """Index of the innermost open clause that this one follows, 0 for none."""
        for index in range(len(self._open) - 1, 0, -1):
            style, number = self._open[index].reading
            same = style == reading.style and number[:-1] == reading.number[:-1]
            if same and 0 < reading.number[-1] - number[-1] <= gap:
                return index
        return 0

    def _first_child(self, reading: Reading) -> int:
        """How many open clauses stay open above a clause that begins a sequence; 0 where it cannot begin one."""
        if len(reading.number) > 1:
            return self._decimal_position(reading)
        if reading.style.split()[0] in KEYWORD_STYLES:
            return self._keyword_position(reading)
        if reading.style == "1.":
            for index, clause in enumerate(self._open):
                if clause.reading.style == "1." and clause.reading.number[0] + 1 == reading.number[0]:
                    return index
        if reading.number != (1,):
            return 0
        return self._after_recitals() if reading.style in _OUTER_STYLES else len(self._open)

    def _after_recitals(self) -> int:
        """Parties "(1)" and recitals "(A)" close where the clauses begin; under "§ 5" or "3." they stay open."""
        anchors = [i for i, clause in enumerate(self._open) if clause.stands_apart or clause.reading.style == "1."]
        last = max(anchors, default=0)
        style = self._open[last].reading.style
        return len(self._open) if style == "1." or style in KEYWORD_STYLES else last + 1

    def _keyword_position(self, reading: Reading) -> int:
        keywords = [i for i, clause in enumerate(self._open) if clause.stands_apart]
        for index in keywords:
            if self._open[index].reading.style == reading.style:
                return index if reading.number == (1,) else 0
        if reading.style in ("part", "annex"):
            keywords = [i for i in keywords if self._open[i].heading_level]
        return 1 + max(keywords, default=0)

    def _decimal_position(self, reading: Reading) -> int:
        for index in range(len(self._open) - 1, 0, -1):
            clause = self._open[index]
            if clause.reading.number == reading.number[:-1] and (clause.stands_apart or clause.reading.style == "1."):
                return index + 1 if reading.number[-1] <= _LARGEST_GAP else 0
        deep = [i for i, clause in enumerate(self._open) if len(clause.reading.number) > 1]
        return min(deep, default=len(self._open)) if reading.number[-1] == 1 else 0


def clause_runs(tree: ClauseTree, ruler: Ruler, packer: Packer, max_tokens: int) -> Iterator[Run]:
    """Runs for the packer: whole clauses where they fit; the parts of those that do not, with their opening words."""
    return _Runs(tree, ruler, packer, max_tokens // 4).of(tree.root, 0)


@dataclass(frozen=True, slots=True)
class _Runs:
    tree: ClauseTree
    ruler: Ruler
    packer: Packer
    small_tokens: int

    def of(self, clause: Clause, start: int) -> Iterator[Run]:
        """``clause`` in parts, the first from ``start`` on: what leads in to a clause goes with its first part."""
        if not clause.children:
            units = self._blocks(start, clause.end)
            yield Run(units, self._lead_end(units, clause))
            return
        intro = self._blocks(start, clause.children[0].start)
        carried = self._leads_in(intro, clause)
        if intro and not carried:
            yield Run(intro)
        siblings: list[Unit] = []
        for index, child in enumerate(clause.children):
            child_start = start if carried and index == 0 else child.start
            end = self._blocks(child.start, child.end)[-1].end
            whole = not child.holds_headings and self.packer.fits(child_start, end)
            if whole and not child.stands_apart and self.ruler.count(child.start, end) <= self.small_tokens:
                siblings.append(Unit(child_start, end))
                continue
            if siblings:
                yield Run(siblings)
                siblings = []
            if whole:
                yield Run([Unit(child_start, end)])
            else:
                yield from self.of(child, child_start)
        if siblings:
            yield Run(siblings)

    def _blocks(self, start: int, end: int) -> list[Unit]:
        blocks = self.tree.blocks
        return blocks[bisect_left(blocks, Unit(start, 0)) : bisect_left(blocks, Unit(end, 0))]

    def _leads_in(self, intro: Sequence[Unit], clause: Clause) -> bool:
        """Whether the text before the first sub-clause is a title or an opening such as "The supplier shall:"."""
        if not intro or clause is self.tree.root:
            return False
        own = [block for block in intro if block.start >= clause.start]
        return len(own) == 1 and self.ruler.count(intro[0].start, intro[-1].end) <= self.small_tokens

    def _lead_end(self, units: Sequence[Unit], clause: Clause) -> int:
        """The end of the titles above the wording of a clause that is too long for one chunk."""
        lead = 0
        for unit in units:
            title = unit.start < clause.start or (unit.start == clause.start and self.tree.is_title(unit))
            if not title or self.ruler.count(units[0].start, unit.end) > 2 * self.small_tokens:
                break
            lead = unit.end
        return lead


def _label(text: str, block: Unit, marker: Marker) -> str:
    """The number with its title, with a short opening ("5.2 The Supplier shall:"), or alone."""
    line = one_line(text[block.start : block.end].split("\n", 1)[0])
    if len(line.split()) <= _TITLE_WORDS:
        return line.lstrip("# ").strip("*_ ")
    number = one_line(text[block.start : marker.end]).lstrip("# ").strip("*_ ")
    rest = one_line(text[marker.end : block.end]).lstrip(" .:–—-*_")
    title = _RUN_IN_TITLE.match(rest)
    if title and _reads_as_title(title[0].split()):
        return f"{number} {title[0]}"
    if line.endswith((":", "–", "—")):
        return f"{number} {' '.join(rest.split()[:_TITLE_WORDS])} …"
    return number


def _reads_as_title(words: Sequence[str]) -> bool:
    if len(words) <= _SHORT_TITLE_WORDS:
        return True
    return len(words) <= _TITLE_WORDS and 2 * sum(word[:1].isupper() for word in words) > len(words)
