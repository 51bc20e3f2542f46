"""Labelled questions put to a house: how good the search is, by slice, and where it fails, question by question."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from freehold.core.experiment import AnswerResult, Quantiles, SliceEstimates
from freehold.core.ids import keyed_order
from freehold.core.types import Query
from freehold.house import House
from freehold.journeys.answering import ask_all, summarise_answers
from freehold.journeys.evaluate import CPU, candidates, checked_queries, corpus_acronyms, retrieve, time_searches
from freehold.journeys.ingest import Progress
from freehold.journeys.locate import Located, locate
from freehold.journeys.support import AlignmentJudge, calibrate, read_sample
from freehold.measure import ambiguity
from freehold.measure.answers import Answered
from freehold.measure.assess import Assessment
from freehold.measure.gate import parse_measures
from freehold.measure.labels import Labels, part_of, read_labels
from freehold.measure.latency import quantiles
from freehold.measure.slices import make_slices
from freehold.measuring.evaluate import fields_of, support_model
from freehold.text.language import UNDETERMINED, detect

MEASURES = ("Success@10", "nDCG@10", "R@50")
CUTOFF = 10
MOST_QUESTIONS = 300
MOST_ANSWERS = 60
GIVEN_UP = 3
"""Questions that end in an error from the first on, after which no more are answered."""
TIMED = 60
RESAMPLES = 2_000

Reason = Literal["not in the corpus", "cut by the chunker", "wrong language", "ambiguous", "buried", "other words"]
"""Why no answer is among the first ten; the first that holds. ``buried``: it is among the candidates, below the cut.
``other words``: neither leg has it, for the question and what answers it have too little in common."""
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class Asked:
    """Labelled questions, and what the search as it serves made of them."""

    labels: Labels
    located: Located
    quality: tuple[SliceEstimates, ...]
    """Over all questions, then over every slice."""
    failures: Mapping[Reason, tuple[str, ...]]
    """Why -> ids of questions without an answer among the first ten."""
    stages_ms: Mapping[str, Quantiles]
    """Of single searches, one after the other."""

    @property
    def questions(self) -> int:
        return len(self.labels.qrels)


@dataclass(frozen=True, slots=True)
class Answers:
    """Labelled questions, answered."""

    result: AnswerResult
    questions: int


def asked_of(house: House, path: Path, split: str | None, progress: Progress) -> Asked | None:
    """Ask a labelled set, ``MOST_QUESTIONS`` of it; None where it labels no document as relevant.

    Raises UsageError, with file and line, for a set that is not as it must be.
    """
    labels = read_labels(path, split)
    if not labels.qrels:
        return None
    silent = set(labels.gold) - set(labels.qrels)
    chosen = silent.union(keyed_order(labels.qrels, "audit")[:MOST_QUESTIONS])
    labels = part_of(labels, chosen, labels.split)
    engines, plan = house.engines(level=False), house.plan()
    located = locate(labels, house.shelf, allow_missing=True)
    queries = checked_queries(labels, engines, sorted(labels.qrels))
    found = retrieve(
        queries,
        {"live": plan},
        engines=engines,
        located=located,
        qrels=labels.qrels,
        acronyms=corpus_acronyms(engines, progress=progress),
        judged="live",
        progress=progress,
    )
    slices = make_slices(fields_of(labels, found, house.settings.house.languages))
    assessed = Assessment(found.runs, labels.qrels, parse_measures(MEASURES), slices, RESAMPLES, 0)
    bands = ambiguity.bands(ambiguity.combined(found.evidence))
    timed = time_searches(queries, {"live": (plan, engines)}, searches=TIMED, progress=progress)["live"]
    stages = dict.fromkeys(stage for one in timed for stage in one if stage != CPU)
    return Asked(
        labels,
        located,
        assessed.estimates()["live"],
        _failures(house, labels, located, queries, found.runs["live"], bands),
        {stage: quantiles([one[stage] for one in timed if stage in one]) for stage in stages},
    )


def answers_of(house: House, asked: Asked, progress: Progress) -> Answers:
    """Ask the questions that have labelled answers, ``MOST_ANSWERS`` of them. Raises as the generator does."""
    labels, voice, engines = asked.labels, house.voice(), house.engines(level=False)
    chosen = keyed_order(labels.gold, "answers")[:MOST_ANSWERS]
    model = support_model(house.settings)
    judges = [AlignmentJudge(embedder=voice.judge), *([model] if model else [])]
    queries = checked_queries(labels, engines, sorted(chosen))
    told: list[Answered] = []
    for part in (queries[:GIVEN_UP], queries[GIVEN_UP:]):
        told += ask_all(
            part,
            plan=house.plan(),
            engines=engines,
            voice=voice,
            located=asked.located,
            judge=model,
            progress=progress,
        )
        if all(one.error for one in told):
            break
    result = summarise_answers(
        told,
        labels.gold,
        generator=voice.generator.name,
        plan="live",
        slices={},
        calibration=calibrate(judges, read_sample()),
        resamples=RESAMPLES,
        seed=0,
    )
    return Answers(result, len(told))


def _failures(
    house: House,
    labels: Labels,
    located: Located,
    queries: Sequence[Query],
    run: Mapping[str, Mapping[str, float]],
    bands: Mapping[str, str],
) -> dict[Reason, tuple[str, ...]]:
    told: dict[Reason, list[str]] = {reason: [] for reason in REASONS}
    texts = _Texts(house, labels, located)
    for query, found in candidates(queries, [house.plan()], house.engines(level=False)):
        relevant = {unit for unit, grade in labels.qrels[query.id].items() if grade > 0}
        first = next((rank for rank, unit in enumerate(run[query.id], 1) if unit in relevant), math.inf)
        if first <= CUTOFF or not relevant:
            continue
        ids = {scored.chunk_id for listed in found.legs.values() for scored in listed}
        near = {unit for place in house.shelf.places(ids).values() for unit in located.units(place, relevant)}
        if relevant <= located.missing:
            reason: Reason = "not in the corpus"
        elif texts.is_cut(query.id, relevant):
            reason = "cut by the chunker"
        elif texts.is_foreign(query, relevant):
            reason = "wrong language"
        elif bands.get(query.id) == "high":
            reason = "ambiguous"
        elif near & relevant:
            reason = "buried"
        else:
            reason = "other words"
        told[reason].append(query.id)
    return {reason: tuple(ids) for reason, ids in told.items()}


class _Texts:
    """Looks up what labelled documents are like, for questions that failed."""

    def __init__(self, house: House, labels: Labels, located: Located) -> None:
        self._shelf, self._labels, self._located = house.shelf, labels, located
        self._sources = {name: source for source, name in located.names.items()}
        self._known = house.shelf.known()

    def is_cut(self, query_id: str, relevant: Collection[str]) -> bool:
        """Whether words that are labelled as the answer stand in the house, and no passage holds all of any of them."""
        quotes = self._quotes(query_id, relevant)
        whole = []
        for document_id, quotes_here in quotes.items():
            chunks = [view.chunk for view in self._shelf.views(self._shelf.chunks_of([document_id])).values()]
            texts = [_folded(chunk.text) for chunk in chunks]
            here = _folded(self._shelf.text(document_id))
            whole += [any(quote in text for text in texts) for quote in map(_folded, quotes_here) if quote in here]
        return bool(whole) and not any(whole)

    def _quotes(self, query_id: str, relevant: Collection[str]) -> dict[str, list[str]]:
        """Document id -> the stretches in it that the labels give as the answer."""
        labels, found = self._labels, defaultdict[str, list[str]](list)
        spans = [labels.spans[unit] for unit in relevant if unit in labels.spans]
        for evidence in [*spans, *(labels.gold[query_id].evidence if query_id in labels.gold else ())]:
            source = self._sources.get(evidence.unit)
            if source is None:
                continue
            document_id = self._known[source].document_id
            if evidence.quote:
                found[document_id].append(evidence.quote)
            elif evidence.start is not None and evidence.end is not None:
                found[document_id].append(self._shelf.text(document_id)[evidence.start : evidence.end])
        return found

    def is_foreign(self, query: Query, relevant: Collection[str]) -> bool:
        """Whether the question is in another language than all that answers it."""
        spoken = detect(query.text)
        names = {self._labels.spans[unit].unit if unit in self._labels.spans else unit for unit in relevant}
        ids = [self._known[self._sources[name]].document_id for name in names if name in self._sources]
        written = {words.language for words in self._shelf.words(ids)}
        return spoken != UNDETERMINED and bool(written) and spoken not in written


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
