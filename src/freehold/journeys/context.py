"""Context: hits to passages, widened to whole sentences and their neighbours, within the generator's budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from freehold.core.types import Hit, Passage
from freehold.models.generate import passage_block
from freehold.text.sentences import sentence_spans

NEIGHBOUR_CHARS = 400
"""How far a hit is widened on either side: two or three sentences."""

HEADING_CHARS = 100


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of one document that is offered whole; ``hit`` is the best of those it holds."""

    hit: Hit
    start: int
    end: int

    @property
    def place(self) -> tuple[str, int, int]:
        return self.hit.document_id, self.start, self.end


def fit(
    hits: Sequence[Hit],
    *,
    text_of: Callable[[str], str],
    count_tokens: Callable[[str], int],
    budget_tokens: int,
    neighbour_chars: int = NEIGHBOUR_CHARS,
) -> tuple[list[Passage], list[str]]:
    """Passages for the generator, best first, and the ids of the chunks that did not fit, in rank order.

    Every hit is widened to whole sentences, then to neighbouring ones within ``neighbour_chars`` and the same section;
    windows of one section that touch are joined. A hit whose widened window is too large for what is left of
    ``budget_tokens`` is offered without its neighbours, else dropped. ``text_of(document_id)`` is the whole text.
    """
    shapes = _Shapes(text_of, hits)
    windows: list[_Window] = []
    costs: dict[tuple[str, int, int], int] = {}
    dropped: list[str] = []
    for hit in sorted(hits, key=lambda hit: hit.rank):
        for reach in (neighbour_chars, 0):
            joined = shapes.join(windows, _Window(hit, *shapes.around(hit, reach)))
            for window in joined:
                if window.place not in costs:
                    costs[window.place] = count_tokens(passage_block(len(joined), shapes.passage(window)))
            if sum(costs[window.place] for window in joined) <= budget_tokens:
                windows = joined
                break
        else:
            dropped.append(hit.chunk_id)
    return [shapes.passage(window) for window in sorted(windows, key=lambda window: window.hit.rank)], dropped


class _Shapes:
    """The texts of the hits' documents and where their sentences lie, each looked up once."""

    def __init__(self, text_of: Callable[[str], str], hits: Sequence[Hit]) -> None:
        self._text_of = text_of
        self._hits = hits
        self._known: dict[str, tuple[str, list[tuple[int, int]]]] = {}

    def around(self, hit: Hit, reach_chars: int) -> tuple[int, int]:
        """The sentences that the hit touches, and their neighbours up to ``reach_chars`` away or to another section."""
        text, spans = self._document(hit)
        touched = [n for n, (start, end) in enumerate(spans) if start < hit.end and end > hit.start]
        if not touched:
            return hit.start, hit.end
        first, last = touched[0], touched[-1]
        lowest, highest = spans[first][0] - reach_chars, spans[last][1] + reach_chars
        beyond = [h for h in self._hits if h.document_id == hit.document_id and not _one_section(h, hit)]

        def within(start: int, end: int) -> bool:
            return not _like_heading(text, start, end) and not any(start < h.end and end > h.start for h in beyond)

        while first > 0 and spans[first - 1][0] >= lowest and within(*spans[first - 1]):
            first -= 1
        while last + 1 < len(spans) and spans[last + 1][1] <= highest and within(*spans[last + 1]):
            last += 1
        return spans[first][0], spans[last][1]

    def join(self, windows: list[_Window], new: _Window) -> list[_Window]:
        """``windows`` with ``new`` among them, joined with those of its section that it overlaps or touches."""
        apart = []
        for window in windows:
            if self._touch(window, new):
                best = min(window.hit, new.hit, key=lambda hit: hit.rank)
                new = _Window(best, min(window.start, new.start), max(window.end, new.end))
            else:
                apart.append(window)
        return [*apart, new]

    def _touch(self, one: _Window, other: _Window) -> bool:
        if not _one_section(one.hit, other.hit):
            return False
        text, _ = self._document(one.hit)
        first, second = sorted((one, other), key=lambda window: window.start)
        return not text[first.end : second.start].strip()

    def passage(self, window: _Window) -> Passage:
        hit = window.hit
        text, _ = self._document(hit)
        return Passage(
            document_id=hit.document_id,
            source=hit.source,
            title=hit.title,
            start=window.start,
            end=window.end,
            text=text[window.start : window.end],
            heading_path=hit.heading_path,
        )

    def _document(self, hit: Hit) -> tuple[str, list[tuple[int, int]]]:
        if hit.document_id not in self._known:
            text = self._text_of(hit.document_id)
            self._known[hit.document_id] = (text, sentence_spans(text, hit.language))
        return self._known[hit.document_id]


def _one_section(one: Hit, other: Hit) -> bool:
    return (one.document_id, one.heading_path) == (other.document_id, other.heading_path)


def _like_heading(text: str, start: int, end: int) -> bool:
    """Whether this stretch reads as a heading: what lies beyond it belongs to another section."""
    alone = text[max(0, start - 1) : start] in ("", "\n") and text[end : end + 1] in ("", "\n")
    return alone and end - start < HEADING_CHARS and text[start] not in "|-*•" and text[end - 1] not in ".;:,!?|…"
