"""A trained model on trial: measured on the dev part as it would be served, beside what serves, and kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from freehold.core.errors import HouseBusy
from freehold.core.experiment import Study
from freehold.core.files import shred_tree, write_durably
from freehold.core.ids import new_id
from freehold.core.training import ModelVersion, Role
from freehold.house import TUNING, House
from freehold.journeys.evaluate import RUN_DEPTH, candidates, checked_queries, retrieve
from freehold.journeys.ingest import Progress
from freehold.journeys.locate import locate
from freehold.journeys.search import Candidates, Engines, Plan, reranks
from freehold.measure.assess import Assessment
from freehold.measure.labels import Labels
from freehold.measure.ranking import Measure
from freehold.measuring import record
from freehold.store.lock import writer_lock
from freehold.store.made_from import documents_of, note_documents
from freehold.store.registry import digest_of, digests
from freehold.train import fusion
from freehold.train.fusion import Blend, Depths, LabelledQuery
from freehold.tuning.sets import TrainingSet

MEASURES = tuple(map(Measure.parse, ("nDCG@10", "R@10", "R@50", "FPR@5")))
CANDIDATE, LIVE = "candidate", "live"
WORK = "work"
"""Folder under ``tuning/`` for what is being made."""
RESAMPLES = 2_000


@dataclass(frozen=True)
class Tuned:
    """A version as it was kept, with the figures it was kept with."""

    version: ModelVersion
    kept: record.Kept
    training: TrainingSet
    notes: tuple[str, ...] = ()
    """What the reader should know before promoting it."""


@dataclass(frozen=True, slots=True)
class Making:
    """What is known of a version before it is measured."""

    role: Role
    kind: str
    base: str
    bound: bool
    seed: int
    settings: Mapping[str, object]
    call: Mapping[str, object]
    started: float
    checks: Mapping[str, float] = field(default_factory=dict)
    study: Study | None = None
    refit: bool = True
    """Whether the weights of fusion and reranking are fitted anew for it."""
    serving: Mapping[str, object] = field(default_factory=dict)
    """Settings that go into force with it besides."""
    notes: tuple[str, ...] = ()


def workplace(house: House, name: str, training: TrainingSet) -> Path:
    """A folder for what is being made of a training set; of the same name, so that what was interrupted goes on.

    Raises HouseBusy where somebody in the set was erased since it was opened.
    """
    folder = house.root / TUNING / WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    note_documents(folder, training.manifest.documents)
    # An erasure puts up its fence first and looks for work later: either it finds this, or it is noticed here.
    if _is_erased(house, training):
        shred_tree(folder)
        raise _erased_meanwhile()
    return folder


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """While something is made in a workplace. Raises HouseBusy where an erasure took the workplace away and it could
    not be made; of what was made since, nothing stays there.
    """
    try:
        yield
    except Exception as error:
        if is_taken(folder):
            raise _erased_meanwhile() from error
        raise
    finally:
        if is_taken(folder):
            shred_tree(folder)


def is_taken(folder: Path) -> bool:
    """Whether an erasure took a workplace away: it does not say any more what is made there."""
    return documents_of(folder) is None


def admit(house: House, training: TrainingSet, made: Path, making: Making, *, progress: Progress) -> Tuned:
    """Measure what lies in ``made`` and keep it as a candidate. ``made`` is moved.

    Raises HouseBusy while another process writes, where vectors have to be made beside those that serve, and where
    somebody in the training set was erased meanwhile: what learned from them is overwritten.
    """
    if _is_erased(house, training):
        shred_tree(made)
        raise _erased_meanwhile()
    write_durably(made / "manifest.json", (training.folder / "manifest.json").read_bytes())
    files = digests(made)
    version = ModelVersion(
        id=new_id(),
        role=making.role,
        kind=making.kind,
        base=making.base,
        base_digest=house.crew.encoder.info.digest,
        bound=making.bound,
        manifest=training.manifest.root,
        seed=making.seed,
        settings=making.settings,
        serving={},
        metrics=(),
        baseline=(),
        comparisons=(),
        checks=making.checks,
        files=files,
        digest=digest_of(files),
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        seconds=0.0,
        versions=record.versions(),
    )
    crew = house.crew_with(version, made)
    with ExitStack() as stack:
        if making.role in {"embedder", "reranker"}:
            with writer_lock(house.root):
                house.prepare(crew, progress)
        engines = stack.enter_context(house.engines_of(crew))
        serving = dict(making.serving)
        labels = training.dev_labels()
        if making.refit:
            serving |= refitted(house, engines, labels, seed=making.seed, progress=progress)
        version = replace(version, serving=serving)
        plan = house.plan(settings=house.crew_with(version, made).settings, crew=crew)
        kept = _measured(house, labels, (plan, engines), making, progress=progress)
    whole, live = (next(r for r in kept.experiment.runs if r.name == name) for name in (CANDIDATE, LIVE))
    version = replace(
        version,
        metrics=whole.measures,
        baseline=live.measures,
        comparisons=kept.experiment.comparisons,
        experiment=kept.experiment.id,
        seconds=round(time.perf_counter() - making.started, 3),
    )
    house.registry.put(version, made)
    # An erasure puts up its fence first and looks for versions later: either it finds this one, or it is noticed here.
    if _is_erased(house, training):
        house.registry.remove(version.id)
        raise _erased_meanwhile()
    house.record()
    return Tuned(version, kept, training, making.notes)


def _is_erased(house: House, training: TrainingSet) -> bool:
    """Whether somebody of the training set was erased since it was opened."""
    if training.epoch == house.shelf.fence.epoch:
        return False
    return not house.shelf.document_ids() >= set(training.manifest.documents)


def _erased_meanwhile() -> HouseBusy:
    hint = "run the same command again: the set has been made without them"
    return HouseBusy("somebody in the training set was erased while it was learned from", hint=hint)


def _measured(
    house: House, labels: Labels, side: tuple[Plan, Engines], making: Making, *, progress: Progress
) -> record.Kept:
    """Candidate and live on the dev part, paired; kept as an experiment."""
    sides: dict[str, tuple[Plan, Engines]] = {CANDIDATE: side, LIVE: (house.plan(), house.engines())}
    located = locate(labels, house.shelf, allow_missing=True)
    queries = checked_queries(labels, side[1], sorted(labels.qrels))
    runs: dict[str, dict[str, dict[str, float]]] = {}
    chunks: dict[str, dict[str, str]] = {}
    for name, (plan, engines) in sides.items():
        found = retrieve(
            queries,
            {name: plan},
            engines=engines,
            located=located,
            qrels=labels.qrels,
            depth=RUN_DEPTH,
            progress=progress,
        )
        runs[name] = found.runs[name]
        chunks = {query: {**chunks.get(query, {}), **units} for query, units in found.chunks.items()}
    assessment = Assessment(runs, labels.qrels, MEASURES, {}, RESAMPLES, making.seed)
    return record.keep(
        "train",
        house,
        record.Evaluation(labels, located, assessment, chunks),
        plans={name: plan for name, (plan, _) in sides.items()},
        timings={},
        served=LIVE,
        call=making.call,
        comparisons=assessment.compare(CANDIDATE, LIVE),
        study=making.study,
        started=making.started,
    )


def refitted(house: House, engines: Engines, labels: Labels, *, seed: int, progress: Progress) -> Mapping[str, object]:
    """Settings of fusion and reranking fitted to these engines on labelled queries; none where no gain was sure."""
    plan = house.plan()
    if plan.mode != "hybrid":
        return {}
    plan = replace(plan, rerank_depth=house.settings.retrieval.rerank_depth if engines.reranker else 0)
    found = labelled_queries(labels, plan, engines, house=house, progress=progress)
    return fitted_settings(found, plan, dense_weights=dense_weights_of(plan, engines), seed=seed)


def fitted_settings(
    found: Sequence[LabelledQuery], plan: Plan, *, dense_weights: Sequence[float], seed: int
) -> Mapping[str, object]:
    """Where the blend that fits these queries best differs from the plan's; nothing where no gain was sure."""
    if plan.mode != "hybrid" or len(found) < fusion.FEWEST_QUERIES:
        return {}
    fitted = fusion.fit(found, blend_of(plan), depths=depths_of(plan), dense_weights=dense_weights, seed=seed)
    own = blend_of(plan).settings()
    return {key: value for key, value in fitted.blend.settings().items() if own.get(key) != value}


def dense_weights_of(plan: Plan, engines: Engines) -> Sequence[float]:
    """The weights that can be tried. A model that reads texts is asked about what the plan would have it rerank alone:
    another weight would have others.
    """
    fixed = engines.reranker is not None and engines.reranker.unit != "maxsim"
    return (plan.dense_weight,) if fixed else fusion.WEIGHTS


def labelled_queries(
    labels: Labels, plan: Plan, engines: Engines, *, house: House, progress: Progress
) -> list[LabelledQuery]:
    """What each leg finds for labelled queries, and what the reranker makes of it."""
    located = locate(labels, house.shelf, allow_missing=True)
    queries = checked_queries(labels, engines, sorted(labels.qrels))
    found = []
    for done, (query, legs) in enumerate(candidates(queries, [plan], engines), 1):
        ids = {scored.chunk_id for scored in (s for listed in legs.legs.values() for s in listed)}
        units = {c: located.units(place, labels.qrels[query.id]) for c, place in house.shelf.places(ids).items()}
        scores = legs.scores(_scored(legs, units, plan, engines)) if reranks(plan, engines) else None
        found.append(LabelledQuery(query.id, legs.legs, units, labels.qrels[query.id], scores))
        progress("fusion", done, len(queries))
    return found


def _scored(legs: Candidates, units: Mapping[str, object], plan: Plan, engines: Engines) -> Sequence[str]:
    """Ids of the chunks that the reranker is asked about: all where that costs little, else those at the top."""
    if engines.reranker is not None and engines.reranker.unit == "maxsim":
        return sorted(units)
    ranked, _ = legs.first_stage(plan, depth=plan.candidates)
    return [scored.chunk_id for scored in ranked if scored.chunk_id in units][: plan.rerank_depth]


def blend_of(plan: Plan) -> Blend:
    """The plan's weights."""
    return Blend(plan.fusion, plan.dense_weight, plan.rrf_k, plan.rerank_weight)


def depths_of(plan: Plan) -> Depths:
    """How deep the plan looks."""
    return Depths(candidates=plan.candidates, rerank=plan.rerank_depth)
