"""Synthetic questions: written for the house's own chunks, kept where the search finds the chunk by the question.

The round trip (Alberti et al. 2019; Dai et al. 2022, Promptagator) throws away what fits any passage or none. It is
made with the current search, so that what is kept is what it can do already or nearly: synthetic questions sharpen an
order more than they teach what the search has never found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from freehold.core.errors import EndpointFault
from freehold.core.ids import keyed_order
from freehold.core.shelf import ChunkView
from freehold.journeys.examples import Chunks, Mined, Pair
from freehold.journeys.ingest import Progress
from freehold.journeys.negatives import Mining, mine
from freehold.journeys.questions import Writer
from freehold.journeys.search import Engines, Plan

ROUND_TRIP = 10
"""Hits of the search among which the chunk must be."""

FAILURES_IN_A_ROW = 5
"""Of a model: after so many nothing more is asked of it."""

_FEWEST_WORDS = 12
"""A shorter chunk is a heading, a signature or a number."""
_AT_ONCE = 256
_SPARE = 1.3
_BESIDE = 8
"""Chunks before and after, in which those under the same headings are looked for."""


@dataclass
class Synthesis:
    """What was written, and what became of it."""

    kept: list[tuple[Pair, Mined]] = field(default_factory=list)
    written: int = 0
    empty: int = 0
    """Passages for which nothing that could be used was written."""
    failed: int = 0
    """Passages at which the model failed or took too long."""
    failed_in_a_row: int = 0
    repeated: int = 0
    refused: int = 0
    """Questions that a search would not take: too long, or without words."""
    not_found: int = 0
    """Questions by which the search does not find their passage."""

    @property
    def counts(self) -> Mapping[str, int]:
        """All figures by their names."""
        lost = ("empty", "failed", "repeated", "refused", "not_found")
        return {"written": self.written, "kept": len(self.kept)} | {name: getattr(self, name) for name in lost}


def synthesize(
    count: int,
    writer: Writer,
    *,
    seed: int,
    plan: Plan,
    mining: Mining,
    round_trip: int,
    engines: Engines,
    chunks: Chunks,
    prepare: Callable[[Sequence[Pair]], list[Pair]],
    progress: Progress,
) -> Synthesis:
    """Write until ``count`` questions stand the round trip or no chunk is left; the order of the chunks is ``seed``'s.

    ``prepare`` pseudonymises the pairs and drops those that no search takes. Failures of a model are counted; raises
    EndpointFault where it fails again and again.
    """
    made, seen = Synthesis(), set[str]()
    for turn in range(writer.turns):
        order = keyed_order(chunks.places, f"synthetic.{seed}.{turn}")
        at = 0
        while len(made.kept) < count and at < len(order):
            some = order[at : at + min(_AT_ONCE, ceil(_SPARE * (count - len(made.kept))))]
            at += len(some)
            pairs = _write(some, writer, turn, seen, made, engines, chunks)
            ready = prepare(pairs)
            made.refused += len(pairs) - len(ready)
            mined = mine(ready, plan, mining, engines=engines, chunks=chunks, progress=_silent)
            stood = [(p, m) for p, m in zip(ready, mined, strict=True) if m.rank is not None and m.rank <= round_trip]
            made.not_found += len(ready) - len(stood)
            made.kept += stood[: count - len(made.kept)]
            progress("synthetic questions", len(made.kept), count)
    return made


def _write(
    chunk_ids: Sequence[str],
    writer: Writer,
    turn: int,
    seen: set[str],
    made: Synthesis,
    engines: Engines,
    chunks: Chunks,
) -> list[Pair]:
    views = engines.shelf.views(chunk_ids)
    pairs = []
    for view in (views[chunk_id] for chunk_id in chunk_ids if chunk_id in views):
        if len(view.chunk.text.split()) < _FEWEST_WORDS:
            continue
        made.written += 1
        try:
            query = writer.write(view, turn)
        except EndpointFault:
            made.failed += 1
            made.failed_in_a_row += 1
            if made.failed_in_a_row >= FAILURES_IN_A_ROW:
                raise
            continue
        made.failed_in_a_row = 0
        if query is None:
            made.empty += 1
            continue
        pair = _pair(query, view, turn, engines, chunks)
        if pair.words in seen:
            made.repeated += 1
            continue
        seen.add(pair.words)
        pairs.append(pair)
    return pairs


def _pair(query: str, view: ChunkView, turn: int, engines: Engines, chunks: Chunks) -> Pair:
    chunk = view.chunk
    near = set(chunks.touching(view.source, chunk.start, chunk.end))
    if len(chunk.heading_path) > 1:
        listed = chunks.of(view.source)
        at = listed.index(chunk.id)
        around = engines.shelf.views(listed[max(0, at - _BESIDE) : at + _BESIDE + 1])
        near.update(id for id, other in around.items() if other.chunk.heading_path == chunk.heading_path)
    return Pair(
        key=f"synthetic {chunk.id} {turn}",
        query=query,
        asked=query,
        relevant=(chunk.id,),
        refused=(),
        spared=frozenset(near - {chunk.id}),
        spared_documents=frozenset(),
        origin="synthetic",
    )


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass
