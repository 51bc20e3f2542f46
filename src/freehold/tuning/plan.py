"""``freehold tune plan``: what is worth training, told from where the search fails on labelled questions."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from freehold.core.types import Query
from freehold.house import House
from freehold.journeys.evaluate import RUN_DEPTH, candidates, checked_queries, retrieve
from freehold.journeys.ingest import Progress, in_context
from freehold.journeys.locate import locate
from freehold.measure import ambiguity
from freehold.measure.labels import Labels
from freehold.measure.ranking import Measure, score
from freehold.measure.stats import queries_needed
from freehold.train import fusion
from freehold.train.settings import EmbedderTraining
from freehold.tuning.candidate import blend_of, depths_of, labelled_queries
from freehold.tuning.sets import TrainingSet

NDCG = Measure.parse("nDCG@10")
CUTOFF = 10
TRAINING_COST = 4.0
"""A text's forward and backward pass by torch in float32, in times of the int8 graph's forward pass (measured)."""
_TIMED = 32


@dataclass(frozen=True, slots=True)
class Failures:
    """Dev queries by where the first passage that answers is, in the search as it serves."""

    queries: int
    found: int
    """Among the first ten."""
    buried: int
    """Below them, among the candidates: ranking is at fault."""
    missed: int
    """In neither leg's list: the first stage is at fault."""
    ambiguous: int
    """Of those buried or missed, how many are among the third of queries with the most signs of ambiguity."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One kind of training."""

    what: str
    command: str
    worth: bool
    why: str
    minutes: float
    """Expected, on this machine, with default settings."""


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """What is known before anything is trained."""

    examples: Mapping[str, int]
    failures: Failures
    ndcg: float
    fusion_gain: float
    """Of refitted weights, cross-validated."""
    fusion_error: float
    verdict_queries: int | None
    """Questions that the gate would take to see that a candidate like reranking off or on is no worse."""
    margin: float
    advice: tuple[Advice, ...]


def make_plan(house: House, data: TrainingSet, *, progress: Progress) -> TuningPlan:
    """Look at the dev part, time the model, and say what is worth trying, the cheapest first."""
    labels = data.dev_labels()
    engines, plan = house.engines(), house.plan()
    queries = checked_queries(labels, engines, sorted(labels.qrels))
    found = retrieve(
        queries,
        {"live": plan, "bare": replace(plan, rerank_depth=0)},
        engines=engines,
        located=locate(labels, house.shelf, allow_missing=True),
        qrels=labels.qrels,
        depth=RUN_DEPTH,
        judged="live",
        progress=progress,
    )
    values = {name: score(run, labels.qrels, [NDCG])[:, 0] for name, run in found.runs.items()}
    bands = ambiguity.bands(ambiguity.combined(found.evidence))
    failures = _failures(house, labels, queries, found.runs["live"], bands)
    fitted = fusion.fit(
        labelled_queries(labels, plan, engines, house=house, progress=progress), blend_of(plan), depths=depths_of(plan)
    )
    differences = values["live"] - values["bare"]
    margin = house.settings.gate.margin
    return TuningPlan(
        examples=data.manifest.examples,
        failures=failures,
        ndcg=float(values["live"].mean()),
        fusion_gain=fitted.cross_gain,
        fusion_error=fitted.cross_error,
        verdict_queries=queries_needed(float(differences.std(ddof=1)), margin, alpha=house.settings.gate.alpha),
        margin=margin,
        advice=_advice(house, data, failures, fitted, progress),
    )


def _failures(
    house: House,
    labels: Labels,
    queries: Sequence[Query],
    run: Mapping[str, Mapping[str, float]],
    bands: Mapping[str, str],
) -> Failures:
    found = buried = missed = unclear = 0
    located = locate(labels, house.shelf, allow_missing=True)
    engines, plan = house.engines(), house.plan()
    for query, legs in candidates(queries, [plan], engines):
        relevant = {unit for unit, grade in labels.qrels[query.id].items() if grade > 0}
        first = next((rank for rank, unit in enumerate(run[query.id], 1) if unit in relevant), math.inf)
        if first <= CUTOFF:
            found += 1
            continue
        ids = {scored.chunk_id for listed in legs.legs.values() for scored in listed}
        units = {unit for place in house.shelf.places(ids).values() for unit in located.units(place, relevant)}
        here = bool(units & relevant)
        buried, missed = buried + here, missed + (not here)
        unclear += bands.get(query.id) == "high"
    return Failures(len(queries), found, buried, missed, unclear)


def _advice(
    house: House, data: TrainingSet, failures: Failures, fitted: fusion.Fitted, progress: Progress
) -> tuple[Advice, ...]:
    name, examples = data.name, data.manifest.examples.get("train", 0)
    cost = _Cost.measured(house, data, progress)
    failed = failures.queries - failures.found
    enough = examples >= 200
    sure = fitted.cross_gain > fitted.cross_error
    few = f"{examples:,} examples: some hundreds are the least that changed a model for the better"
    missed = (
        f"{failures.missed} of {failures.queries} questions miss the candidates, {failures.buried} are ranked too low"
    )
    return (
        Advice(
            "fusion",
            f"freehold tune fusion --data {name}",
            sure,
            f"refitted weights gain {fitted.cross_gain:+.3f} nDCG@10, cross-validated, error {fitted.cross_error:.3f}",
            cost.search_minutes,
        ),
        Advice(
            "adapter",
            f"freehold tune adapter --data {name}",
            failed > 0,
            "seconds of training and no document embedded again; gains are small, and it changes nothing without one",
            cost.search_minutes + examples / 20_000,
        ),
        Advice(
            "embedder",
            f"freehold tune embedder --data {name}",
            enough and failed > 0,
            missed if enough else few,
            cost.training_minutes(EmbedderTraining(), examples) + cost.embedding_minutes,
        ),
        Advice(
            "reranker",
            f"freehold tune reranker --data {name}",
            enough and failures.buried > failures.missed,
            f"{failures.buried} of {failures.queries} questions have their answer among the candidates, ranked too low"
            if enough
            else few,
            cost.training_minutes(EmbedderTraining(), examples) + cost.embedding_minutes,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Cost:
    """What work takes on this machine."""

    ms_per_text: float
    ms_per_search: float
    chunks: int
    dev: int

    @classmethod
    def measured(cls, house: House, data: TrainingSet, progress: Progress) -> _Cost:
        """By a few passages and searches."""
        ids = sorted(house.shelf.chunk_ids())
        step = max(1, len(ids) // _TIMED)
        texts = [in_context(view.chunk) for view in house.shelf.views(ids[::step][:_TIMED]).values()]
        encoder = house.crew.encoder
        encoder.embed_documents(texts[:4])
        started = time.perf_counter()
        encoder.embed_documents(texts)
        per_text = (time.perf_counter() - started) * 1000 / len(texts)
        dev = data.part("dev")
        times = []
        for done, example in enumerate(dev[:_TIMED], 1):
            started = time.perf_counter()
            house.search(example.query)
            times.append((time.perf_counter() - started) * 1000)
            progress("timing", done, min(_TIMED, len(dev)))
        return cls(per_text, fmean(times) if times else 0.0, len(ids), len(dev))

    @property
    def search_minutes(self) -> float:
        """Of the dev part, a few times over."""
        return 4 * self.dev * self.ms_per_search / 60_000

    @property
    def embedding_minutes(self) -> float:
        """Of every passage, by another encoder."""
        return self.chunks * self.ms_per_text / 60_000

    def training_minutes(self, settings: EmbedderTraining, examples: int) -> float:
        """Of an encoder, with these settings."""
        texts = examples * settings.epochs * (2 + settings.negatives)
        return texts * self.ms_per_text * TRAINING_COST / 60_000
