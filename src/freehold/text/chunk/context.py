"""What stands above a chunk: the title and headings that are embedded and indexed with it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from freehold.text.chunk.ruler import Ruler

SEPARATOR = " > "
_SPACE = re.compile(r"\s+")


def with_context(heading_path: tuple[str, ...], text: str) -> str:
    """The text to embed and to index for a chunk: one line of context, if there is any, then the chunk itself."""
    return f"{SEPARATOR.join(heading_path)}\n{text}" if heading_path else text


class Signpost(NamedTuple):
    """A heading or clause number: from ``start`` on it stands above the text, until one of its level or higher."""

    start: int
    level: int
    label: str


class Outline:
    """Answers what stands above an offset."""

    def __init__(self, signposts: Iterable[Signpost], title: str) -> None:
        self._title = one_line(title)
        self._starts: list[int] = []
        self._paths: list[tuple[tuple[Signpost, ...], tuple[Signpost, ...]]] = []
        above: tuple[Signpost, ...] = ()
        for post in sorted(signposts):
            outer = tuple(other for other in above if other.level < post.level)
            above = (*outer, post)
            self._starts.append(post.start)
            self._paths.append((outer, above))

    def path(self, offset: int) -> tuple[str, ...]:
        """Title first, then labels outermost first. A signpost at ``offset`` is part of the text there."""
        index = bisect_right(self._starts, offset) - 1
        posts: tuple[Signpost, ...] = ()
        if index >= 0:
            outer, above = self._paths[index]
            posts = outer if self._starts[index] == offset else above
        labels = [post.label for post in posts if post.label and post.label.casefold() != self._title.casefold()]
        return (self._title, *labels) if self._title else tuple(labels)


class ContextBudget:
    """Fits heading paths into a number of tokens. The title and the innermost heading are kept longest."""

    def __init__(self, ruler: Ruler, limit_tokens: int, *, titled: bool) -> None:
        self._ruler = ruler
        self._limit_tokens = limit_tokens
        self._titled = titled
        self._fitted: dict[tuple[str, ...], tuple[tuple[str, ...], int]] = {}

    def fit(self, path: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
        """The path, shortened if need be, and its cost in tokens."""
        if path not in self._fitted:
            fitted = self._shorten(path)
            self._fitted[path] = fitted, self._cost(fitted)
        return self._fitted[path]

    def _cost(self, path: tuple[str, ...]) -> int:
        return self._ruler.exact(with_context(path, "")) if path else 0

    def _shorten(self, path: tuple[str, ...]) -> tuple[str, ...]:
        outermost = 1 if self._titled else 0
        while len(path) > outermost + 1 and self._cost(path) > self._limit_tokens:
            path = path[:outermost] + path[outermost + 1 :]
        while path and (excess := self._cost(path) - self._limit_tokens) > 0:
            longest = max(range(len(path)), key=lambda index: len(path[index]))
            shorter = self._ruler.clip(path[longest], excess)
            path = (*path[:longest], *([shorter] if shorter else []), *path[longest + 1 :])
        return path


def one_line(label: str) -> str:
    """``label`` with every run of white space as one blank."""
    return _SPACE.sub(" ", label).strip()
