"""A query adapter: a small linear map on the query's vector, learnt from labelled queries. No document is touched.

A query vector q, of unit norm, becomes q + q W + b, scaled back to unit norm. W and b begin at 0, so training begins at
what is served. All that is learnt from are vectors at hand; numpy is enough, and some thousand queries take seconds.

Training that fits its own queries may do harm to others: ``choose`` therefore takes what training gives at several
strengths, has each judged on other queries, and keeps the identity wherever the gain is not above its standard error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from freehold.core.errors import UsageError

if TYPE_CHECKING:
    from freehold.core.types import Float32

Float64: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

Method = Literal["contrastive", "ridge"]

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
FEWEST_QUERIES = 20
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Pairs:
    """Queries and, by row of ``passages``, what answers them and what does not."""

    ids: Sequence[str]
    """Of the examples. The order in training is by a keyed hash of them: one less does not reorder the others."""
    queries: Float32
    """float32 (n, dim), rows of unit L2 norm."""
    passages: Float32
    """float32 (m, dim), rows of unit L2 norm."""
    positives: Sequence[Sequence[int]]
    """Per query rows of passages that answer it, at least one."""
    negatives: Sequence[Sequence[int]]
    """Per query rows of passages that do not, the hardest first; may be empty."""
    salience: Sequence[float] | None = None
    """Weight of each query; None: all alike."""


@dataclass(frozen=True, slots=True)
class AdapterTraining:
    """How an adapter is trained."""

    method: Method = "contrastive"
    rank: int = 0
    """Of W; 0: full."""
    learning_rate: float = 1e-3
    """Of the first step; it falls to 0 in a straight line."""
    epochs: int = 20
    temperature: float = 0.03
    l2: float = 0.03
    """Pull on W and b to 0. For ``ridge``: per query, beside the queries' own second moment."""
    negatives: int = 8
    """Hard negatives of each query, besides the passages of the other queries in its batch."""
    random_negatives: int = 8
    """Passages of any example, drawn for each query of a batch."""
    batch_size: int = 64
    seeds: int = 1
    """Runs whose W and b are averaged."""
    seed: int = 0


LADDER = (
    AdapterTraining(),
    AdapterTraining(learning_rate=3e-4, l2=1e-3),
    AdapterTraining(l2=0.1),
    AdapterTraining(learning_rate=3e-3),
)
"""Settings to choose from where none are searched for. On four sets of labels, each was the best of one of them."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """q -> (q + q W + b) / its norm."""

    weight: Float32
    """float32 (dim, dim)."""
    bias: Float32
    """float32 (dim,)."""

    @classmethod
    def identity(cls, dim: int) -> Adapter:
        """The one that changes nothing."""
        return cls(np.zeros((dim, dim), dtype=np.float32), np.zeros(dim, dtype=np.float32))

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return not (self.weight.any() or self.bias.any())

    def apply(self, queries: Float32) -> Float32:
        """float32 (n, dim), rows of unit L2 norm; the very same numbers from the identity."""
        if self.is_identity:
            return queries
        moved = queries + queries @ self.weight + self.bias
        applied: Float32 = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), np.float32(_TINY))
        return applied

    def scaled(self, strength: float) -> Adapter:
        """``strength`` of it: 0 is the identity, 1 all of it."""
        return Adapter(self.weight * np.float32(strength), self.bias * np.float32(strength))


def train(pairs: Pairs, settings: AdapterTraining, *, report: Callable[[int, Adapter], bool] | None = None) -> Adapter:
    """An adapter that brings queries nearer to what answers them than to what does not.

    ``contrastive`` minimises the softmax cross-entropy of the positive among the hard negatives and the passages of the
    whole batch, known positives left out (InfoNCE: van den Oord et al. 2018), by Adam (Kingma and Ba 2015). ``ridge``
    is closed: least squares from the query to the mean of its positives. Equal input gives equal bits on one kind of
    processor. ``report`` is told of the adapter after each epoch, and ends training when it returns True.

    Raises UsageError for too few queries, for queries without positives, and where the loss is no longer a number.
    """
    _check(pairs)
    # One thread: the sums of several come in an order that depends on their number.
    with threadpool_limits(limits=1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
        if settings.method == "ridge":
            return _ridge(pairs, settings)
        runs = [_contrastive(pairs, settings, run, report) for run in range(settings.seeds)]
    share = np.float32(1 / len(runs))
    return Adapter(
        np.sum([run.weight for run in runs], axis=0) * share, np.sum([run.bias for run in runs], axis=0) * share
    )


def _check(pairs: Pairs) -> None:
    if len(pairs.queries) < FEWEST_QUERIES:
        raise UsageError(
            f"{len(pairs.queries)} queries to train on, at least {FEWEST_QUERIES} are needed",
            hint="label more queries, or make some from the documents",
        )
    lengths = {len(pairs.positives), len(pairs.negatives), len(pairs.queries)}
    lengths.add(len(pairs.ids))
    if len(lengths) > 1 or not all(pairs.positives):
        raise UsageError("every query needs a positive passage", hint="leave queries without one out")
    if not np.isfinite(pairs.queries).all():
        raise UsageError("some of the queries' vectors are not numbers", hint="embed the queries again")
    if len({row for rows in (*pairs.positives, *pairs.negatives) for row in rows}) < 2:
        raise UsageError("all queries have the same passage", hint="label passages that do not answer, or more queries")


@dataclass(frozen=True, slots=True)
class Tried:
    """An adapter at one strength, judged on queries that it was not trained on."""

    settings: AdapterTraining
    strength: float
    gain: float
    """Mean paired difference to the identity."""
    gain_error: float
    """Its standard error."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What came of a choice. Arrays are as ``score`` gives them."""

    adapter: Adapter
    """The identity where no gain was above its standard error."""
    best: Tried
    """Which it is, or would have been."""
    kept: bool
    """Whether ``adapter`` is ``best``: False is the identity."""
    scores: Float64
    """Of ``adapter``, per query."""
    base_scores: Float64
    """Of the identity, per query."""
    tried: tuple[Tried, ...]


Score: TypeAlias = Callable[[Adapter], Float64]
"""Figures of queries that were not trained on, one each, the more the better: of the search as it would be served."""


def choose(
    trained: Sequence[tuple[AdapterTraining, Adapter]],
    score: Score,
    *,
    strengths: Sequence[float] = STRENGTHS,
    progress: Callable[[int, int], None] | None = None,
) -> Chosen:
    """The adapter and strength whose gain over the identity, less its standard error, is the largest; at least 0.

    The best of many on one set of queries owes part of its mean to luck, and the more so the more it changes: the error
    takes that off (compare the one-standard-error rule of Breiman et al. 1984). ``score`` is called once for the
    identity and once for each adapter and strength.
    """
    base = score(Adapter.identity(len(trained[0][1].bias)))
    found: list[tuple[Tried, Adapter, Float64]] = []
    for settings, adapter in trained:
        for strength in strengths:
            scaled = adapter.scaled(strength)
            scores = score(scaled)
            found.append((Tried(settings, strength, *_paired(scores - base)), scaled, scores))
            if progress is not None:
                progress(len(found), len(trained) * len(strengths))
    best, adapter, scores = max(found, key=lambda each: (each[0].gain - each[0].gain_error, -each[0].strength))
    kept = best.gain > best.gain_error
    return Chosen(
        adapter=adapter if kept else Adapter.identity(len(adapter.bias)),
        best=best,
        kept=kept,
        scores=scores if kept else base,
        base_scores=base,
        tried=tuple(tried for tried, _, _ in found),
    )


def fit(
    pairs: Pairs,
    score: Score,
    *,
    ladder: Sequence[AdapterTraining] = LADDER,
    progress: Callable[[int, int], None] | None = None,
) -> Chosen:
    """Train with each of the settings and choose. Raises UsageError as ``train`` does."""
    return choose([(settings, train(pairs, settings)) for settings in ladder], score, progress=progress)


def _paired(differences: Float64) -> tuple[float, float]:
    """Mean and its standard error; the error of a single difference has no bound."""
    if len(differences) < 2:
        return float(differences.sum()), math.inf
    return float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(len(differences))


def _ridge(pairs: Pairs, settings: AdapterTraining) -> Adapter:
    queries = pairs.queries.astype(np.float64)
    targets = np.array([pairs.passages[list(rows)].mean(axis=0) for rows in pairs.positives], dtype=np.float64)
    targets /= np.maximum(np.linalg.norm(targets, axis=1, keepdims=True), _TINY)
    weights = _salience(pairs)[:, None].astype(np.float64)
    weights /= weights.sum()
    middle, moves = (weights * queries).sum(axis=0), targets - queries
    move = (weights * moves).sum(axis=0)
    centred = queries - middle
    moment = centred.T @ (weights * centred) + settings.l2 * np.eye(len(middle))
    weight = np.linalg.solve(moment, centred.T @ (weights * (moves - move)))
    return Adapter(weight.astype(np.float32), (move - middle @ weight).astype(np.float32))


# -- contrastive -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one step: queries, candidates, and which candidate is sought, which must not count."""

    queries: Float32
    """(batch, dim)"""
    candidates: Float32
    """(candidates, dim)"""
    sought: Ints
    """(batch,): place of the positive among the candidates."""
    barred: NDArray[np.bool_]
    """(batch, candidates): other known positives of the query."""
    salience: Float32
    """(batch,), of sum 1."""


def loss_and_gradients(
    batch: Batch, weight: Float32, bias: Float32, temperature: float
) -> tuple[float, Float32, Float32]:
    """Mean cross-entropy of the sought candidates, and its gradients by ``weight`` and ``bias``."""
    moved = batch.queries + batch.queries @ weight + bias
    lengths = np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), moved.dtype.type(_TINY))
    unit = moved / lengths
    logits = unit @ batch.candidates.T / moved.dtype.type(temperature)
    logits[batch.barred] = -np.inf
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    total = shares.sum(axis=1, keepdims=True)
    rows = np.arange(len(logits))
    loss = float((batch.salience * (np.log(total[:, 0]) - logits[rows, batch.sought])).sum())
    shares /= total
    shares[rows, batch.sought] -= 1
    shares *= batch.salience[:, None] / moved.dtype.type(temperature)
    by_unit = shares @ batch.candidates
    # The norm takes out what lies along the vector itself.
    by_moved = (by_unit - unit * (unit * by_unit).sum(axis=1, keepdims=True)) / lengths
    return loss, batch.queries.T @ by_moved, by_moved.sum(axis=0)


def _contrastive(
    pairs: Pairs, settings: AdapterTraining, run: int, report: Callable[[int, Adapter], bool] | None
) -> Adapter:
    rng = np.random.Generator(np.random.PCG64([settings.seed, run]))
    factors = _Factors.start(pairs.queries.shape[1], settings.rank, rng)
    adam = _Adam(factors.parameters, settings.learning_rate)
    pull = np.float32(settings.l2)
    steps = settings.epochs * -(-len(pairs.queries) // settings.batch_size)
    step = 0
    for epoch in range(settings.epochs):
        for batch in _batches(pairs, settings, f"{settings.seed}:{run}:{epoch}", rng):
            weight, bias = factors.weight(), factors.bias
            loss, by_weight, by_bias = loss_and_gradients(batch, weight, bias, settings.temperature)
            _check_number(loss)
            adam.step(factors.gradients(by_weight + pull * weight, by_bias + pull * bias), 1 - step / steps)
            step += 1
        if report is not None and report(epoch + 1, Adapter(factors.weight(), factors.bias.copy())):
            break
    weight = factors.weight()
    _check_number(float(np.abs(weight).sum()))
    return Adapter(weight, factors.bias)


def _check_number(value: float) -> None:
    if not math.isfinite(value):
        hint = "lower the learning rate, or raise the temperature"
        raise UsageError("the loss is no longer a number", hint=hint)


class _Factors:
    """W as itself or as a product of two narrow matrices, and b."""

    def __init__(self, parameters: list[Float32]) -> None:
        self.parameters = parameters

    @classmethod
    def start(cls, dim: int, rank: int, rng: np.random.Generator) -> _Factors:
        """W and b are 0: one of the factors is random, for two zeros would never move."""
        bias = np.zeros(dim, dtype=np.float32)
        if not rank:
            return cls([np.zeros((dim, dim), dtype=np.float32), bias])
        down = rng.normal(0, 1 / math.sqrt(dim), (dim, rank)).astype(np.float32)
        return cls([down, np.zeros((rank, dim), dtype=np.float32), bias])

    @property
    def bias(self) -> Float32:
        return self.parameters[-1]

    def weight(self) -> Float32:
        """float32 (dim, dim), a copy."""
        if len(self.parameters) == 2:
            return self.parameters[0].copy()
        return self.parameters[0] @ self.parameters[1]

    def gradients(self, by_weight: Float32, by_bias: Float32) -> list[Float32]:
        """By each of the parameters."""
        if len(self.parameters) == 2:
            return [by_weight, by_bias]
        down, up, _ = self.parameters
        return [by_weight @ up.T, down.T @ by_weight, by_bias]


class _Adam:
    """Kingma and Ba 2015, with the rate falling to 0 in a straight line. Parameters change in place."""

    def __init__(self, parameters: Sequence[Float32], rate: float) -> None:
        self._parameters = parameters
        self._rate = rate
        self._means = [np.zeros_like(p) for p in parameters]
        self._squares = [np.zeros_like(p) for p in parameters]
        self._steps = 0

    def step(self, gradients: Sequence[Float32], left: float) -> None:
        self._steps += 1
        slow, slower = 0.9, 0.999
        rate = np.float32(self._rate * left * math.sqrt(1 - slower**self._steps) / (1 - slow**self._steps))
        moments = zip(self._parameters, gradients, self._means, self._squares, strict=True)
        for parameter, gradient, mean, square in moments:
            np.add(np.float32(slow) * mean, np.float32(1 - slow) * gradient, out=mean)
            np.add(np.float32(slower) * square, np.float32(1 - slower) * gradient * gradient, out=square)
            np.subtract(parameter, rate * mean / (np.sqrt(square) + np.float32(1e-8)), out=parameter)


def _salience(pairs: Pairs) -> Float32:
    if pairs.salience is None:
        return np.ones(len(pairs.queries), dtype=np.float32)
    return np.array(pairs.salience, dtype=np.float32)


def _batches(pairs: Pairs, settings: AdapterTraining, key: str, rng: np.random.Generator) -> Iterator[Batch]:
    """Every query once, in the order of its hash under ``key``, with one of its positives."""
    salience = _salience(pairs)
    pool = np.unique(np.array([row for rows in (*pairs.positives, *pairs.negatives) for row in rows], dtype=np.int64))
    draws = [int.from_bytes(sha256(f"{key}:{name}".encode()).digest()[:8], "big") for name in pairs.ids]
    order = sorted(range(len(draws)), key=lambda i: (draws[i], pairs.ids[i]))
    for start in range(0, len(order), settings.batch_size):
        rows = order[start : start + settings.batch_size]
        chosen = [pairs.positives[i][draws[i] % len(pairs.positives[i])] for i in rows]
        hard = [row for i in rows for row in pairs.negatives[i][: settings.negatives]]
        others = rng.choice(pool, settings.random_negatives * len(rows))
        candidates = np.unique(np.array([*chosen, *hard, *others], dtype=np.int64))
        place = {row: at for at, row in enumerate(candidates.tolist())}
        barred = np.zeros((len(rows), len(candidates)), dtype=np.bool_)
        for at, (i, own) in enumerate(zip(rows, chosen, strict=True)):
            barred[at, [place[row] for row in pairs.positives[i] if row in place and row != own]] = True
        yield Batch(
            pairs.queries[rows],
            pairs.passages[candidates],
            np.array([place[row] for row in chosen], dtype=np.int64),
            barred,
            salience[rows] / salience[rows].sum(),
        )
