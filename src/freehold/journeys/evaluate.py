"""Evaluate: labelled questions through one or several plans, as the house would answer them, to runs and times.

Queries are embedded in batches while the ones before are searched, each leg is asked once for all plans, and every
chunk is scored again once; what comes out is what ``search`` would have ranked (tests hold it to that) without a budget
of time for reranking, under which the same run would not come out twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from freehold.core.errors import InvalidQuery, UsageError
from freehold.core.shelf import Place
from freehold.core.types import Query, ScoredId
from freehold.journeys.ingest import Progress
from freehold.journeys.locate import Located
from freehold.journeys.search import Candidates, Engines, Plan, Reading, question, search
from freehold.measure.ambiguity import QueryEvidence
from freehold.measure.labels import Labels
from freehold.measure.ranking import Grades
from freehold.text.acronyms import Acronyms

BATCH_QUERIES = 32
RUN_DEPTH = 100
"""Documents or passages that a run keeps for a query, unless a measure looks deeper."""
EVIDENCE_DEPTH = 50
TIMED_HITS = 10
TOPS = 3
"""Hits of which a report shows the words."""
WARM_UP = 5
CPU = "cpu"
"""Key of the processor time of all threads beside the stages' wall-clock times: what a search costs."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What the searches returned, folded to what the labels speak of by the best chunk."""

    runs: Mapping[str, dict[str, dict[str, float]]]
    """Plan's name -> query id -> document or passage -> score."""
    evidence: tuple[QueryEvidence, ...]
    """What the ambiguity of each query is read from; empty where not both legs were asked."""
    chunks: Mapping[str, Mapping[str, str]]
    """Query id -> document or passage among the first three of a run -> the chunk that stood for it."""


def checked_queries(labels: Labels, engines: Engines, ids: Sequence[str]) -> list[Query]:
    """The set's queries as ``search`` takes them. Raises UsageError, naming file and line, for one it would refuse."""
    queries = []
    for query_id in ids:
        labelled = labels.queries[query_id]
        try:
            queries.append(Query(query_id, question(labelled.text, embedder=engines.embedder).text))
        except InvalidQuery as error:
            raise UsageError(f"{labelled.at}: {error.message}", hint=error.hint, refs=(labelled.at,)) from None
    return queries


def candidates(queries: Sequence[Query], plans: Sequence[Plan], engines: Engines) -> Iterator[tuple[Query, Candidates]]:
    """Every query with what any of the plans needs, in order; the next batch is embedded meanwhile."""
    modes = {plan.mode for plan in plans}
    depth = max(plan.candidates for plan in plans)
    batches = [queries[start : start + BATCH_QUERIES] for start in range(0, len(queries), BATCH_QUERIES)]
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(Reading.of, batches[0], plans, engines) if batches else None
        for number, batch in enumerate(batches):
            assert following is not None
            read = following.result()
            if number + 1 < len(batches):
                following = ahead.submit(Reading.of, batches[number + 1], plans, engines)
            for row, query in enumerate(batch):
                yield query, Candidates.find(query, read, row, modes, depth=depth, engines=engines)


def retrieve(
    queries: Sequence[Query],
    plans: Mapping[str, Plan],
    *,
    engines: Engines,
    located: Located,
    qrels: Mapping[str, Grades],
    depth: int = RUN_DEPTH,
    acronyms: Acronyms | None = None,
    judged: str | None = None,
    progress: Progress,
) -> Retrieved:
    """Run every query through every plan. ``judged`` names the plan whose lists the ambiguity is read from."""
    folder = Folder(engines, located, qrels)
    runs: dict[str, dict[str, dict[str, float]]] = {name: {} for name in plans}
    evidence = []
    bare = judged is not None and {plan.mode for plan in plans.values()} != {"dense", "lexical", "hybrid"}
    asked = list(plans.values()) + ([Plan(mode="hybrid", rerank_depth=0)] if bare else [])
    for done, (query, found) in enumerate(candidates(queries, asked, engines), 1):
        folder.learn(found)
        for name, plan in plans.items():
            runs[name][query.id] = folder.fold(query.id, found.ranked(plan), depth)
        if judged is not None:
            final = list(runs[judged][query.id].items())[:EVIDENCE_DEPTH]
            legs = {leg: list(folder.fold(query.id, scored, EVIDENCE_DEPTH)) for leg, scored in found.legs.items()}
            unsettled = acronyms.unsettled(query.text) if acronyms else {}
            evidence.append(QueryEvidence(query.id, final, legs["dense"], legs["lexical"], unsettled))
        progress("queries", done, len(queries))
    return Retrieved(runs, tuple(evidence), folder.chunks)


@dataclass
class Folder:
    """Ranked chunks to ranked documents or passages; remembers where chunks lie."""

    engines: Engines
    located: Located
    qrels: Mapping[str, Grades]
    chunks: dict[str, dict[str, str]] = field(default_factory=dict)
    _places: dict[str, Place | None] = field(default_factory=dict)

    def learn(self, found: Candidates) -> None:
        """Look up all chunks of a query at once."""
        new = {s.chunk_id for scored in found.legs.values() for s in scored if s.chunk_id not in self._places}
        places = self.engines.shelf.places(new)
        self._places.update({chunk_id: places.get(chunk_id) for chunk_id in new})

    def fold(self, query_id: str, ranked: Sequence[ScoredId], depth: int) -> dict[str, float]:
        """Unit -> score of its best chunk, best first, ``depth`` at most. Chunks that are gone are left out."""
        labelled = self.qrels.get(query_id, {})
        chunks = self.chunks.setdefault(query_id, {})
        scores: dict[str, float] = {}
        for scored in ranked:
            place = self._places[scored.chunk_id]
            if place is None:
                continue
            for unit in self.located.units(place, labelled):
                if unit not in scores:
                    scores[unit] = scored.score
                    if len(scores) <= TOPS:
                        chunks.setdefault(unit, scored.chunk_id)
            if len(scores) >= depth:
                break
        return scores


def time_searches(
    queries: Sequence[Query], arms: Mapping[str, tuple[Plan, Engines]], *, searches: int, progress: Progress
) -> Mapping[str, list[Mapping[str, float]]]:
    """Milliseconds per stage, and of processor time, of ``searches`` single searches by each plan, as a user asks them.

    Plans take turns query by query, so that what else the machine does befalls them alike; a few unmeasured searches
    come first. Queries are asked again from the first where there are fewer.
    """
    timings: dict[str, list[Mapping[str, float]]] = {name: [] for name in arms}
    if not queries or not searches or not arms:
        return timings
    for number in range(-WARM_UP, searches):
        query = queries[number % len(queries)]
        for name, (plan, engines) in arms.items():
            before = time.process_time()
            found = search(query, k=TIMED_HITS, plan=plan, engines=engines)
            cpu_ms = (time.process_time() - before) * 1000
            if number >= 0:
                timings[name].append({**found.timings_ms, CPU: round(cpu_ms, 3)})
        progress("timing", max(number + 1, 0), searches)
    return timings


def corpus_acronyms(engines: Engines, *, progress: Progress) -> Acronyms:
    """The acronyms that the house's documents define."""
    acronyms = Acronyms()
    total = engines.shelf.stats().documents
    for done, text in enumerate(engines.shelf.texts(), 1):
        acronyms.add(text)
        progress("acronyms", done, total)
    return acronyms
