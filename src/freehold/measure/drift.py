"""Whether what comes now is like what came before, looked at again and again without crying wolf.

A *look* compares a batch of what is new with a sample of what is known. Its p-value comes from relabelling new and
known at random (a permutation test), so whatever the statistic and whatever the distribution, it is uniform where
nothing has changed; and because what is new joins what is known without regard to its label, the p-values of successive
looks are then independent of each other, as those of conformal prediction are (Vovk 2021, "Testing randomness online",
Statistical Science 36; Vovk, Nouretdinov and Gammerman 2003). A fixed sample that is compared again and again has no
such property: one that is unlucky raises an alarm in the end.

Each p-value becomes an e-value, a bet that pays at most 1 on average where nothing has changed, and the bets since
every possible start of a change are added up: an e-detector of Shiryaev and Roberts' form (Shin, Ramdas and Rinaldo
2023, "E-detectors", arXiv:2203.03532). An alarm at ``level`` comes on average not before ``level`` looks, however many
are taken, so false alarms per month are a number that can be set.

What is assumed is that questions, or documents, are exchangeable while nothing changes. A rhythm that is wider than a
look, the questions of Mondays for example, is a change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.core.ids import keyed_order

Float64: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.floating]

LEAST_NEW = 20
LEAST_KNOWN = 100
"""Fewer say next to nothing: a look that has less waits for more, and what it has is not lost."""
MOST_NEW = 100
MOST_KNOWN = 1_500
"""More would cost time and see hardly more."""
DRAWS = 9_999
"""Relabellings of a look: the smallest p-value is 1 / (1 + DRAWS)."""
ENOUGH = 20
"""Relabellings that look as new as the truth, after which no more are drawn."""

_BLOCK = 100
_RIDGE = 1.0
"""In units of the mean variance of a direction, times the rows."""


def level(*, false_alarms_per_month: float, looks_per_month: float, signals: int) -> float:
    """What the sum of bets must reach for an alarm, so that all signals together raise at most so many a month.

    Where nothing changes, the mean time from one alarm of a signal to its next is at least ``level`` looks, so that it
    raises at most looks_per_month / level a month; rates add up whether signals depend on each other or not.
    """
    return signals * looks_per_month / false_alarms_per_month


def evidence(p: float) -> float:
    """The e-value of a p-value: the bet k p^(k - 1), averaged over k in (0, 1); for a uniform p its mean is 1.

    The mixture calibrator (Shafer, Shen, Vereshchagin and Vovk 2011; Vovk and Wang 2021, "E-values: calibration,
    combination and applications", Annals of Statistics 49): no k has to be chosen. It is 118 at 1e-4 and 1/2 at 1.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError("a p-value lies between 0 and 1")
    if p > 0.9999:
        return 0.5
    p = max(p, 1e-300)
    log = math.log(p)
    return (1 - p + p * log) / (p * log * log)


def carried(total: float, e_value: float) -> float:
    """The sum over all starts of the product of bets since, after one more bet; it begins at 0 (Shiryaev-Roberts)."""
    return min(1e300, (total + 1.0) * e_value)


def total_of(bets: Sequence[float]) -> float:
    """``carried`` over all bets since the last alarm, in their order."""
    total = 0.0
    for bet in bets:
        total = carried(total, bet)
    return total


def likeliest_start(bets: Sequence[float]) -> int:
    """Place of the bet from which on their product is largest: the look at which a change seems to have begun."""
    best, place, gained = -math.inf, 0, 0.0
    for at in range(len(bets) - 1, -1, -1):
        gained += math.log(bets[at])
        if gained > best:
            best, place = gained, at
    return place


@dataclass(frozen=True, slots=True)
class Moved:
    """A comparison of what is new with what is known."""

    p: float
    statistic: float
    """Of ``unit``; it is shown, and decides nothing by itself."""
    unit: str
    new: int
    known: int
    outliers: tuple[int, ...] = ()
    """Rows of what is new, those that look newest first."""


def samples(known: Sequence[str], batches: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
    """(Known, new) ids that the look at the last of ``batches`` compares; earlier ones were looked at before.

    At every look the new ones are drawn at random, and what is known afterwards is drawn at random from both, without
    regard to which were new: that, and not merely the number, is what keeps looks independent. Nothing is remembered
    between looks: equal ids give equal draws, and ids that are gone leave those of the rest nearly as they were.
    """
    sample, new = keyed_order(known, "known")[:MOST_KNOWN], list[str]()
    for number, batch in enumerate(batches):
        sample = keyed_order([*sample, *new], f"joined {number}")[:MOST_KNOWN]
        new = keyed_order(batch, f"new {number}")[:MOST_NEW]
    return sample, new


def vectors_moved(known: Rows, new: Rows, *, rng: np.random.Generator, draws: int = DRAWS) -> Moved:
    """Whether rows (n, dim) of vectors come from elsewhere, by two statistics and one permutation test of their larger.

    The energy distance (Székely and Rizzo 2004) sees a change of any kind. A classifier two-sample test (Lopez-Paz and
    Oquab 2017) tells new from known by ridge regression and is judged on rows that it did not see: leaving one out has
    a closed form, so every relabelling is a classifier of its own. Each is scaled by its own random relabellings. The
    outliers are the rows that the classifier finds newest while it has not seen them.

    Raises ValueError for fewer rows than ``LEAST_KNOWN`` and ``LEAST_NEW``.
    """
    rows = np.vstack([known, new]).astype(np.float64)
    distance = _energy(_distances(rows), len(new))
    held_out = _held_out(rows)
    classifier = _classifier(held_out, len(new))
    p, seen = _permuted([distance, classifier], len(known), len(new), rng, draws)
    newest = held_out[len(known) :, len(known) :].sum(axis=1)
    order = np.argsort(-newest, kind="stable")
    return Moved(p, seen[0], "energy distance", len(new), len(known), tuple(int(i) for i in order))


def values_moved(known: Rows, new: Rows, *, rng: np.random.Generator, draws: int = DRAWS) -> Moved:
    """Whether numbers (n,) are distributed as others, by the energy distance; the outliers are those farthest off.

    Raises ValueError as ``vectors_moved``.
    """
    values = np.concatenate([known, new]).astype(np.float64)
    statistic = _energy(np.abs(values[:, None] - values[None, :]), len(new))
    p, seen = _permuted([statistic], len(known), len(new), rng, draws)
    middle = np.median(values[: len(known)])
    side = np.sign(np.median(values[len(known) :]) - middle)
    order = np.argsort(-side * (values[len(known) :] - middle), kind="stable")
    return Moved(p, seen[0], "energy distance", len(new), len(known), tuple(int(i) for i in order))


def rate_rose(known: Sequence[bool], new: Sequence[bool], *, rng: np.random.Generator) -> Moved:
    """Whether something happens more often: Fisher's exact test, one-sided, its steps evened out by chance so that the
    p-value is uniform where nothing has changed. The statistic is the difference of the rates.

    Raises ValueError as ``vectors_moved``.
    """
    _check(len(known), len(new))
    hits, total = sum(new), sum(known) + sum(new)
    at_least = [
        _hypergeometric(k, total, len(new), len(known) + len(new)) for k in range(hits, min(total, len(new)) + 1)
    ]
    p = min(1.0, math.fsum(at_least[1:]) + float(rng.random()) * at_least[0])
    rise = hits / len(new) - sum(known) / len(known)
    outliers = tuple(row for row, hit in enumerate(new) if hit)
    return Moved(p, rise, "difference of rates", len(new), len(known), outliers)


# -- inside ----------------------------------------------------------------------------------------------------------

Statistic: TypeAlias = Callable[[NDArray[np.intp]], Float64]
"""Rows (draws, new) that are taken for new -> a number for each draw, the larger the newer."""


def _permuted(
    statistics: Sequence[Statistic], known: int, new: int, rng: np.random.Generator, draws: int
) -> tuple[float, list[float]]:
    """The p-value of the largest of the statistics, each scaled, and what they are unscaled for the true labels.

    Draws end early once ``ENOUGH`` are as large: sequential Monte Carlo p-values (Besag and Clifford 1991) are valid,
    and cost little where there is nothing to see.
    """
    _check(known, new)
    size = known + new
    scaling = _subsets(rng, _BLOCK, size, new)
    centres, widths = [], []
    for statistic in statistics:
        values = statistic(scaling)
        centres.append(values.mean())
        widths.append(values.std() or 1.0)

    def largest(chosen: NDArray[np.intp]) -> Float64:
        scaled = [(s(chosen) - c) / w for s, c, w in zip(statistics, centres, widths, strict=True)]
        largest_of: Float64 = np.max(scaled, axis=0)
        return largest_of

    truth = np.arange(known, size)[None, :]
    # Sums in another order differ in the last bits: those are ties.
    observed = float(largest(truth)[0]) - 1e-7
    exceeding = done = 0
    while done < draws:
        block = min(_BLOCK, draws - done)
        as_large = largest(_subsets(rng, block, size, new)) >= observed
        if exceeding + as_large.sum() >= ENOUGH:
            last = int(np.flatnonzero(as_large)[ENOUGH - exceeding - 1])
            return ENOUGH / (done + last + 1), [float(s(truth)[0]) for s in statistics]
        exceeding += int(as_large.sum())
        done += block
    return (1 + exceeding) / (1 + draws), [float(s(truth)[0]) for s in statistics]


def _subsets(rng: np.random.Generator, draws: int, size: int, new: int) -> NDArray[np.intp]:
    """Rows (draws, new): subsets of ``range(size)``, each drawn at random."""
    return (
        np.argpartition(rng.random((draws, size)), new, axis=1)[:, :new]
        if new < size
        else np.tile(range(size), (draws, 1))
    )


def _within(table: Float64, chosen: NDArray[np.intp]) -> Float64:
    """Sum of ``table`` over all ordered pairs of rows of each draw."""
    sums: Float64 = table[chosen[:, :, None], chosen[:, None, :]].sum(axis=(1, 2))
    return sums


def _energy(distances: Float64, new: int) -> Statistic:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, with X the new and Y the known, from sums over the new alone."""
    size = len(distances)
    known = size - new
    sums = distances.sum(axis=1)
    total = sums.sum()
    across, inside, among = 2 / (new * known), 1 / new**2, 1 / known**2

    def statistic(chosen: NDArray[np.intp]) -> Float64:
        within, out = _within(distances, chosen), sums[chosen].sum(axis=1)
        between = out - within
        distance: Float64 = across * between - inside * within - among * (total - 2 * out + within)
        return distance

    return statistic


def _distances(rows: Float64) -> Float64:
    squares = (rows**2).sum(axis=1)
    table: Float64 = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * rows @ rows.T, 0.0))
    np.fill_diagonal(table, 0.0)
    return table


def _held_out(rows: Float64) -> Float64:
    """(n, n): how much the label of row j says about row i in a ridge regression that has not seen i; 0 for i = j."""
    size, dim = rows.shape
    centred = rows - rows.mean(axis=0)
    ridge = _RIDGE * max(float((centred**2).sum()) / dim, 1e-12)
    hat = centred @ np.linalg.solve(centred.T @ centred + ridge * np.eye(dim), centred.T) + 1 / size
    weights: Float64 = hat / np.maximum(1 - np.diag(hat), 1e-9)[:, None]
    np.fill_diagonal(weights, 0.0)
    return weights


def _classifier(held_out: Float64, new: int) -> Statistic:
    """Mean held-out prediction over the new, less that over the known."""
    size = len(held_out)
    known = size - new
    said = held_out.sum(axis=0)

    def statistic(chosen: NDArray[np.intp]) -> Float64:
        within = _within(held_out, chosen)
        difference: Float64 = within / new - (said[chosen].sum(axis=1) - within) / known
        return difference

    return statistic


def _hypergeometric(hits: int, all_hits: int, drawn: int, size: int) -> float:
    """Probability that ``drawn`` of ``size`` hold ``hits`` of ``all_hits``."""
    if hits < max(0, drawn + all_hits - size) or hits > min(drawn, all_hits):
        return 0.0
    return math.exp(_log_choose(all_hits, hits) + _log_choose(size - all_hits, drawn - hits) - _log_choose(size, drawn))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _check(known: int, new: int) -> None:
    if known < LEAST_KNOWN or new < LEAST_NEW:
        raise ValueError(f"a look takes {LEAST_KNOWN} that are known and {LEAST_NEW} that are new at least")
