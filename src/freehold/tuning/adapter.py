"""``freehold tune adapter``: a small map on query vectors, chosen by what the whole search gains on the dev part."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.experiment import Study
from freehold.core.ids import keyed_order
from freehold.core.training import Example
from freehold.core.types import ScoredId
from freehold.house import House
from freehold.journeys.evaluate import checked_queries
from freehold.journeys.ingest import Progress
from freehold.journeys.locate import locate
from freehold.journeys.search import Plan, Reading
from freehold.measure.labels import Labels
from freehold.models.adapt import write_adapter
from freehold.train import adapter as training
from freehold.train import fusion
from freehold.train.adapter import Adapter, AdapterTraining, Chosen, Pairs
from freehold.train.fusion import LabelledQuery
from freehold.train.search import Outcome, Report
from freehold.tuning.candidate import (
    Making,
    Tuned,
    admit,
    blend_of,
    dense_weights_of,
    depths_of,
    fitted_settings,
    workplace,
)
from freehold.tuning.hyper import Hyper, study_of
from freehold.tuning.sets import TrainingSet

if TYPE_CHECKING:
    from freehold.core.types import Float32

SPACE = ("learning_rate=1e-4..3e-3:log", "l2=1e-3..0.3:log", "temperature=0.02..0.1:log", "rank=0|16|64")
"""What is searched where nothing else is asked for."""
MOST_QUERIES = 300
"""Of the dev part to choose by. What is told of the version is told of all of it."""
_BATCH_QUERIES = 256


@dataclass(frozen=True, slots=True)
class Request:
    """How to train an adapter."""

    hyper: Hyper = field(default_factory=Hyper)
    """``trials`` 0: a ladder of four settings."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ``AdapterTraining`` that are set by hand."""
    seed: int = 0
    call: Mapping[str, object] = field(default_factory=dict)


def tune_adapter(house: House, data: TrainingSet, request: Request, *, progress: Progress) -> Tuned:
    """Train, choose on the dev part by the fused figure, and keep as a candidate; the identity where nothing gained.

    Raises UsageError for too few examples, and where the embedder gives no vectors of passages that are here.
    """
    started = time.perf_counter()
    pairs = _pairs(house, data.part("train"), progress)
    base = replace(AdapterTraining(seed=request.seed), **request.settings)
    trained: list[tuple[AdapterTraining, Adapter]] = []
    for rung in training.LADDER:
        settings = replace(base, **_changed(rung, request.settings))
        trained.append((settings, training.train(pairs, settings)))
        progress("training", len(trained), len(training.LADDER))
    dev = DevSearch.of(house, data.dev_labels(), progress, reach=[adapter for _, adapter in trained])
    study: Study | None = None
    if request.hyper.trials:
        chosen, study = _searched(house, pairs, dev, base, request, data, progress)
    else:
        chosen = training.choose(trained, dev.scores, progress=lambda done, total: progress("adapter", done, total))
    made = workplace(house, f"adapter-{data.manifest.root[:12]}-{request.seed}", data) / "model"
    made.mkdir(exist_ok=True)
    write_adapter(made, chosen.adapter.weight, chosen.adapter.bias)
    notes = () if chosen.kept else ("no gain on the dev part was above its standard error: it changes nothing",)
    making = Making(
        role="adapter",
        kind="residual",
        base=house.settings.embedder_model,
        bound=True,
        seed=request.seed,
        settings={**asdict(chosen.best.settings), "strength": chosen.best.strength if chosen.kept else 0.0},
        call=request.call,
        started=started,
        study=study,
        refit=False,
        serving=dev.fitted(chosen.adapter, seed=request.seed) if chosen.kept else {},
        notes=notes,
    )
    return admit(house, data, made, making, progress=progress)


def _changed(step: AdapterTraining, by_hand: Mapping[str, Any]) -> dict[str, Any]:
    """Where a step of the ladder differs from the defaults, less what is set by hand."""
    plain = asdict(AdapterTraining())
    return {key: value for key, value in asdict(step).items() if value != plain[key] and key not in by_hand}


def _searched(
    house: House,
    pairs: Pairs,
    dev: DevSearch,
    base: AdapterTraining,
    request: Request,
    data: TrainingSet,
    progress: Progress,
) -> tuple[Chosen, Study]:
    objective = Objective(pairs, dev, base)
    space = [entry for entry in request.hyper.space or SPACE if entry.partition("=")[0] not in request.settings]
    found = request.hyper.run(
        house,
        objective,
        space,
        default=asdict(base),
        identity=["adapter", data.manifest.root, asdict(base)],
        training=data,
        seed=request.seed,
        progress=progress,
    )
    best = replace(base, **found.best)
    chosen = training.fit(pairs, dev.scores, ladder=[base, best])
    return chosen, study_of(found, request.hyper, data, default=asdict(base), measure="nDCG@10", seed=request.seed)


@dataclass
class Objective:
    """What a trial is worth: the gain of the fused search on the dev part, less its standard error."""

    pairs: Pairs
    dev: DevSearch
    base: AdapterTraining

    def __call__(self, settings: Mapping[str, Any], _report: Report) -> Outcome:
        """See ``freehold.train.search.search``."""
        chosen = training.fit(self.pairs, self.dev.scores, ladder=[replace(self.base, **settings)])
        quality = float(chosen.base_scores.mean()) + chosen.best.gain
        return Outcome(quality, chosen.best.gain, chosen.best.gain_error, len(chosen.scores))


def _pairs(house: House, examples: Sequence[Example], progress: Progress) -> Pairs:
    """The examples as vectors: queries are embedded, passages are in the catalog."""
    maker = house.crew.encoder.info.digest
    wanted = sorted({chunk for example in examples for chunk in (*example.positives, *example.negatives)})
    found = {item.view.chunk.id: item.dense for item in house.shelf.indexable(wanted, maker)}
    rows = {chunk_id: row for row, chunk_id in enumerate(sorted(found))}
    here = [example for example in examples if any(chunk in rows for chunk in example.positives)]
    return Pairs(
        ids=[example.id for example in here],
        queries=embedded(house, [example.query for example in here], progress),
        passages=np.stack([found[chunk_id] for chunk_id in sorted(found)]),
        positives=[[rows[chunk] for chunk in example.positives if chunk in rows] for example in here],
        negatives=[[rows[chunk] for chunk in example.negatives if chunk in rows] for example in here],
        salience=[example.salience for example in here],
    )


def embedded(house: House, texts: Sequence[str], progress: Progress) -> Float32:
    """The encoder's vectors of queries, no adapter before them."""
    parts = []
    for start in range(0, len(texts), _BATCH_QUERIES):
        parts.append(house.crew.encoder.embed_queries(texts[start : start + _BATCH_QUERIES]).vectors)
        progress("queries", min(start + _BATCH_QUERIES, len(texts)), len(texts))
    return np.concatenate(parts)


@dataclass(frozen=True)
class DevSearch:
    """The house's search on the dev part with other query vectors. Holds all that it takes, so that it can be sent.

    The dense leg is searched exactly, among the passages that it returns to the query as it is and as adapters of some
    settings move it: all passages would have to be reranked for each query, which takes minutes.
    """

    vectors: Float32
    """float32 (queries, dim), by the encoder alone."""
    passages: Float32
    """float32 (passages, dim): the pool of all queries."""
    ids: NDArray[np.str_]
    """Chunk ids of the passages."""
    pools: tuple[NDArray[np.int64], ...]
    """Per query the rows of the passages that its dense leg may return."""
    queries: tuple[LabelledQuery, ...]
    """With the lexical leg alone, and units and similarities of all that may come up."""
    plan: Plan
    dense_weights: tuple[float, ...]
    """Those that can be tried."""

    @classmethod
    def of(cls, house: House, labels: Labels, progress: Progress, *, reach: Sequence[Adapter]) -> DevSearch:
        """Find once what does not depend on the query's vector. ``reach``: adapters like those that will be scored."""
        engines, plan, shelf = house.engines(), house.plan(), house.shelf
        located = locate(labels, shelf, allow_missing=True)
        chosen = keyed_order(sorted(labels.qrels), "dev search")[:MOST_QUERIES]
        asked = checked_queries(labels, engines, sorted(chosen))
        vectors = embedded(house, [query.text for query in asked], progress)
        items = shelf.indexable(sorted(shelf.chunk_ids()), house.crew.encoder.info.digest)
        ids, rows = zip(*sorted((item.view.chunk.id, item.dense) for item in items), strict=True)
        passages = np.stack(rows)
        moved = [vectors, *(adapter.apply(vectors) for adapter in reach)]
        pools = [_nearest(np.stack(row), passages, plan.candidates) for row in zip(*moved, strict=True)]
        queries = []
        scorers = Reading.of(asked, [plan], engines).scorers
        for row, query in enumerate(asked):
            found = engines.index.search(sparse=engines.terms.query(query.text), limit=plan.candidates)["lexical"]
            pool = sorted({ids[at] for at in pools[row]} | {scored.chunk_id for scored in found})
            grades = labels.qrels[query.id]
            units = {chunk: located.units(place, grades) for chunk, place in shelf.places(pool).items()}
            similar = scorers[row].scores(pool) if scorers else None
            queries.append(LabelledQuery(query.id, {"lexical": found}, units, grades, similar))
            progress("dev queries", row + 1, len(asked))
        return cls(
            vectors, passages, np.array(ids), tuple(pools), tuple(queries), plan, tuple(dense_weights_of(plan, engines))
        )

    def scores(self, adapter: Adapter) -> NDArray[np.float64]:
        """float64 (queries,): nDCG@10 of the search as it is served, with adapted query vectors."""
        scored: NDArray[np.float64] = fusion.ndcg(
            self._adapted(adapter), [blend_of(self.plan)], depths=depths_of(self.plan)
        )[:, 0]
        return scored

    def fitted(self, adapter: Adapter, *, seed: int) -> Mapping[str, object]:
        """Settings of fusion and reranking that fit the search with adapted query vectors."""
        return fitted_settings(self._adapted(adapter), self.plan, dense_weights=self.dense_weights, seed=seed)

    def _adapted(self, adapter: Adapter) -> list[LabelledQuery]:
        return [self._with_dense(row, vector) for row, vector in enumerate(adapter.apply(self.vectors))]

    def _with_dense(self, row: int, vector: Float32) -> LabelledQuery:
        pool, query = self.pools[row], self.queries[row]
        scores = self.passages[pool] @ vector
        order = np.lexsort((self.ids[pool], -scores))[: self.plan.candidates]
        dense = [ScoredId(str(self.ids[pool[at]]), float(scores[at])) for at in order]
        return replace(query, legs={"dense": dense, "lexical": query.legs["lexical"]})


def _nearest(vectors: Float32, passages: Float32, depth: int) -> NDArray[np.int64]:
    """int64, ascending: rows of ``passages`` that are among the ``depth`` nearest to one of ``vectors``."""
    depth = min(depth, len(passages))
    return np.unique(np.argpartition(-(vectors @ passages.T), depth - 1, axis=1)[:, :depth])
