"""Lengths in the embedder's own tokens."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

Offsets = Callable[[str], Sequence[tuple[int, int]]]


class Ruler:
    """A text tokenised once, so that any stretch of it is measured without another call to the tokenizer.

    Its counts are those of the whole text's tokenisation. A slice on its own may come out a little differently:
    whoever promises a count asks ``exact``.
    """

    def __init__(self, text: str, offsets: Offsets) -> None:
        spans = offsets(text)
        self.text = text
        self._offsets = offsets
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]

    def count(self, start: int, end: int) -> int:
        """Tokens that touch ``text[start:end]``."""
        return max(0, bisect_left(self._starts, end) - bisect_right(self._ends, start))

    def reach(self, start: int, budget_tokens: int) -> int:
        """The furthest end for which ``count(start, end) <= budget_tokens``."""
        beyond = bisect_right(self._ends, start) + budget_tokens
        return self._starts[beyond] if beyond < len(self._starts) else len(self.text)

    def token_starts(self, start: int, end: int) -> list[int]:
        """Offsets strictly between ``start`` and ``end`` where a token begins, ascending."""
        return self._starts[bisect_right(self._starts, start) : bisect_left(self._starts, end)]

    def clip(self, text: str, drop_tokens: int) -> str:
        """Any text without its last ``drop_tokens`` (at least one), cut between two words."""
        spans = self._offsets(text)
        keep = max(0, len(spans) - drop_tokens)
        return text[: spans[keep][0]].rpartition(" ")[0] if keep < len(spans) else ""

    def exact(self, text: str) -> int:
        """Tokens of any text, asked of the tokenizer."""
        return len(self._offsets(text))
