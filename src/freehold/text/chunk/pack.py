"""Packs units of text into chunks that keep within the budget, and splits units that are too large for one."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from freehold.core.types import Slice
from freehold.text.chunk.context import ContextBudget, Outline, with_context
from freehold.text.chunk.ruler import Ruler
from freehold.text.sentences import sentence_spans

_WORD = re.compile(r"\S+")
_CLAUSE = re.compile(r".+?(?:[;:,–—](?=\s)|\Z)", re.DOTALL)


class Unit(NamedTuple):
    """A stretch that is kept whole if possible: it begins and ends at a character that is no white space.

    ``continues``: it carries on the passage of the unit before, so that an overlap may reach back over the seam.
    """

    start: int
    end: int
    continues: bool = False


class Run(NamedTuple):
    """Units that may share a chunk; no chunk holds units of two runs. Up to ``lead_end`` nothing stands alone."""

    units: Sequence[Unit]
    lead_end: int = 0


class Packer:
    """Turns runs into slices. One packer serves one text."""

    def __init__(
        self,
        ruler: Ruler,
        outline: Outline,
        context: ContextBudget,
        *,
        max_tokens: int,
        overlap_tokens: int,
        language: str,
    ) -> None:
        self._ruler = ruler
        self._outline = outline
        self._context = context
        self._max_tokens = max_tokens
        self._overlap_tokens = overlap_tokens
        self._language = language

    def budget_tokens(self, start: int) -> int:
        """Tokens left for a chunk that begins at ``start``, once its context is paid for."""
        return self._max_tokens - self._context.fit(self._outline.path(start))[1]

    def fits(self, start: int, end: int) -> bool:
        """Whether ``text[start:end]`` makes one chunk."""
        return self._ruler.count(start, end) <= self.budget_tokens(start)

    def pack(self, run: Run) -> Iterator[Slice]:
        """Fill chunks one after the other. Starts ascend strictly; every chunk brings text that none before it had."""
        units = list(run.units)
        ends = [unit.end for unit in units]
        first, done = 0, -1
        while first < len(units):
            start = units[first].start
            budget = self.budget_tokens(start)
            last = bisect_right(ends, self._ruler.reach(start, budget)) - 1
            after = last + 1
            too_large = done < after < len(units) and self._must_split(units, first, after, budget, run.lead_end)
            if too_large and self._refine(units, ends, after):
                continue
            path, last = self._verified(units, ends, first, max(last, first), budget)
            if last < first > done:
                self._refine(units, ends, first)
                continue
            if last <= done:
                first += 1
                continue
            yield Slice(start, ends[last], path)
            first, done = self._next_start(units, first, last), last

    def _refine(self, units: list[Unit], ends: list[int], index: int) -> bool:
        """Put the parts of a unit in its place; False for one that has none."""
        parts = self._split(units[index])
        if parts:
            units[index : index + 1] = parts
            ends[index : index + 1] = [part.end for part in parts]
        return bool(parts)

    def _must_split(self, units: Sequence[Unit], first: int, after: int, budget: int, lead_end: int) -> bool:
        """Whether the unit after those that fit is too large for any chunk, or would leave a heading alone."""
        alone = units[after - 1].end <= lead_end if after > first else True
        return alone or self._ruler.count(units[after].start, units[after].end) > budget

    def _verified(
        self, units: Sequence[Unit], ends: Sequence[int], first: int, last: int, budget: int
    ) -> tuple[tuple[str, ...], int]:
        """The context and the last unit of a chunk whose own count keeps within the limit.

        ``last`` is below ``first`` where not even one unit does and it can still be split.
        """
        start = units[first].start
        path = self._context.fit(self._outline.path(start))[0]
        while True:
            excess = self._ruler.exact(with_context(path, self._ruler.text[start : ends[last]])) - self._max_tokens
            if excess <= 0:
                return path, last
            if last == first:
                return ((), last) if ends[first] - start == 1 else (path, first - 1)
            budget -= excess
            last = max(first, min(last - 1, bisect_right(ends, self._ruler.reach(start, max(budget, 1))) - 1))

    def _next_start(self, units: Sequence[Unit], first: int, last: int) -> int:
        """Where the next chunk begins: as far back as the overlap allows, never before the second unit of this one."""
        start = last + 1
        if start == len(units) or not self._overlap_tokens:
            return start
        while (
            start - 1 > first
            and units[start].continues
            and self._ruler.count(units[start - 1].start, units[last].end) <= self._overlap_tokens
        ):
            start -= 1
        return start

    def _split(self, unit: Unit) -> list[Unit]:
        """The unit in finer ones: sentences, else parts between clause punctuation, else words, else runs of tokens.

        Empty for a single character.
        """
        text = self._ruler.text[unit.start : unit.end]
        spans = sentence_spans(text, self._language)
        if len(spans) < 2:
            spans = clause_spans(text)
        if len(spans) < 2:
            spans = word_spans(text)
        if len(spans) < 2:
            spans = self._token_spans(unit)
        return [
            Unit(unit.start + start, unit.start + end, continues=unit.continues or index > 0)
            for index, (start, end) in enumerate(spans)
        ]

    def _token_spans(self, unit: Unit) -> list[tuple[int, int]]:
        """Cuts within a word of many tokens, some eight to a chunk; in the middle where the tokenizer sees only one."""
        if unit.end - unit.start < 2:
            return []
        starts = self._ruler.token_starts(unit.start, unit.end)[:: max(1, self._max_tokens // 8)]
        cuts = starts or [(unit.start + unit.end) // 2]
        return [(a - unit.start, b - unit.start) for a, b in pairwise([unit.start, *cuts, unit.end]) if a < b]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Offsets of the stretches between white space."""
    return [match.span() for match in _WORD.finditer(text)]


def clause_spans(text: str) -> list[tuple[int, int]]:
    """Offsets of the parts that end in a comma, colon, semicolon or dash, trimmed."""
    spans = []
    for match in _CLAUSE.finditer(text):
        part = match[0]
        left = len(part) - len(part.lstrip())
        if part.strip():
            spans.append((match.start() + left, match.start() + len(part.rstrip())))
    return spans
