"""Intervals, tests and power over queries: paired, seeded, and silent where there is no data.

The unit of resampling is the query: systems are compared on the same queries (Smucker, Allan and Carterette 2007;
Sakai 2014). Values are float64 (queries, columns); NaN says that a query has no part in that column (another slice).
"""

from __future__ import annotations

import math
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float64: TypeAlias = NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]

RESAMPLES = 10_000
MIN_QUERIES = 5
"""Below this no interval and no test is given: their error rates would be fiction."""
POWER = 0.8

_MOST_QUERIES = 1 << 62
_BLOCK_DRAWS = 1 << 19
"""Draws of a block: its counts stay in a core's cache."""
_NORMAL = NormalDist()


def mean_intervals(
    values: Float64, *, resamples: int = RESAMPLES, seed: int, level: float = 0.95
) -> list[Interval | None]:
    """Per column the bootstrap interval of the mean; None for a column of fewer than MIN_QUERIES values.

    Expanded percentile intervals (Hesterberg 2015, "What teachers should know about the bootstrap"): percentiles are
    widened so that few queries cover like Student's t. Columns share their resamples. Equal input gives equal output,
    on any number of cores.
    """
    values = np.atleast_2d(values)
    sizes = (~np.isnan(values)).sum(axis=0)
    if not (sizes >= MIN_QUERIES).any():
        return [None] * values.shape[1]
    means = bootstrap_means(values, resamples=resamples, seed=seed)
    return [_interval(means[:, j], int(n), level) if n >= MIN_QUERIES else None for j, n in enumerate(sizes)]


def _interval(means: Float64, n: int, level: float) -> Interval:
    tail = _NORMAL.cdf(-math.sqrt(n / (n - 1)) * _t_quantile(0.5 + level / 2, n - 1))
    low, high = np.nanquantile(means, [tail, 1 - tail])
    return float(low), float(high)


def bounded_intervals(
    values: Float64, *, resamples: int = RESAMPLES, seed: int, level: float, low: float = -1.0, high: float = 1.0
) -> list[Interval | None]:
    """Per column an interval of the mean of values that lie in [low, high]; None as in ``mean_intervals``.

    Gaffke's bounds (2005; Learned-Miller and Thomas, arXiv:1905.06208): the Bayesian bootstrap of the values and one
    more, the worst that a query not seen may bring. A plain bootstrap takes what it has not seen for impossible, so
    where few queries differ it misses rare losses far more often than it says. These bounds are the exact binomial ones
    where values are ``low`` and 0, ``high`` and 0; no case is known in which they cover less than ``level``.
    """
    values = np.atleast_2d(values)
    n, width = values.shape
    present = ~np.isnan(values)
    load = np.hstack([np.where(present, values, 0.0), present.astype(np.float64)])

    def block(rng: np.random.Generator, rows: int) -> Float64:
        weights = rng.standard_exponential((rows, n + 1))
        return np.hstack([weights[:, :n] @ load, weights[:, n:]])

    drawn = _in_blocks(block, n + 1, resamples, seed)
    sums, sizes, unseen = drawn[:, :width], drawn[:, width : 2 * width], drawn[:, 2 * width :]
    tail = (1 - level) / 2
    lower = np.quantile((sums + low * unseen) / (sizes + unseen), tail, axis=0)
    upper = np.quantile((sums + high * unseen) / (sizes + unseen), 1 - tail, axis=0)
    counts = present.sum(axis=0)
    return [
        (float(a), float(b)) if count >= MIN_QUERIES else None for a, b, count in zip(lower, upper, counts, strict=True)
    ]


def bootstrap_means(values: Float64, *, resamples: int, seed: int) -> Float64:
    """float64 (resamples, columns): column means over queries drawn with replacement, the same draws for every column.

    NaN where a resample holds no query of a column.
    """
    n = len(values)
    present = ~np.isnan(values)
    numbers = np.where(present, values, 0.0)
    whole = bool(present.all())
    load = numbers if whole else np.hstack([numbers, present.astype(np.float64)])

    def block(rng: np.random.Generator, rows: int) -> Float64:
        draws = rng.integers(n, size=(rows, n), dtype=np.int32)
        draws += np.arange(rows, dtype=np.int32)[:, None] * np.int32(n)
        counts = np.bincount(draws.ravel(), minlength=rows * n).reshape(rows, n)
        sums: Float64 = counts.astype(np.float64) @ load
        return sums

    sums = _in_blocks(block, n, resamples, seed)
    if whole:
        return sums / n
    width = values.shape[1]
    means = np.full((resamples, width), np.nan)
    np.divide(sums[:, :width], sums[:, width:], out=means, where=sums[:, width:] > 0)
    return means


def permuted_sums(differences: Float64, *, resamples: int, seed: int) -> Float64:
    """float64 (resamples, columns): column sums of ``differences`` under random signs per query; NaN counts as 0."""
    numbers = np.nan_to_num(differences, nan=0.0)
    n = len(numbers)
    total = numbers.sum(axis=0)

    def block(rng: np.random.Generator, rows: int) -> Float64:
        packed = np.frombuffer(rng.bytes(rows * ((n + 7) // 8)), dtype=np.uint8).reshape(rows, -1)
        kept = np.unpackbits(packed, axis=1, count=n).astype(np.float64)
        sums: Float64 = 2.0 * (kept @ numbers) - total
        return sums

    return _in_blocks(block, n, resamples, seed)


def _in_blocks(block: Callable[[np.random.Generator, int], Float64], n: int, resamples: int, seed: int) -> Float64:
    """All rows of ``block``, each block under a random stream of its own: the result is the same on any machine."""
    rows = max(1, _BLOCK_DRAWS // max(n, 1))
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(len(sizes))]
    if len(sizes) == 1:
        return block(streams[0], sizes[0])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.vstack(list(pool.map(block, streams, sizes)))


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Differences of one column, tested."""

    difference: float
    ci95: Interval
    p: float
    """Two-sided."""
    p_worse: float
    """One-sided: of a mean this low or lower if there were no difference."""
    deviation: float
    """Standard deviation of the differences."""
    n: int


def paired_tests(differences: Float64, *, resamples: int = RESAMPLES, seed: int) -> list[PairedTest | None]:
    """Per column the mean difference, its bootstrap interval and sign-flip permutation tests.

    None for a column of fewer than MIN_QUERIES values. p is (1 + more extreme) / (1 + resamples), never 0 (Phipson and
    Smyth 2010). The permutation test is exact where differences are symmetric about 0 if there is no effect (Fisher's
    randomisation test), and close where they are not.
    """
    differences = np.atleast_2d(differences)
    sizes = (~np.isnan(differences)).sum(axis=0)
    if not (sizes >= MIN_QUERIES).any():
        return [None] * differences.shape[1]
    intervals = mean_intervals(differences, resamples=resamples, seed=seed)
    flipped = permuted_sums(differences, resamples=resamples, seed=seed + 1)
    tests: list[PairedTest | None] = []
    for column, (n, ci) in enumerate(zip(sizes, intervals, strict=True)):
        if ci is None:
            tests.append(None)
            continue
        own = differences[:, column][~np.isnan(differences[:, column])]
        observed = float(own.sum())
        slack = 1e-9 * float(np.abs(own).sum())  # sums in another order differ in the last bits: those are ties
        extreme = int((np.abs(flipped[:, column]) >= abs(observed) - slack).sum())
        lower = int((flipped[:, column] <= observed + slack).sum())
        tests.append(
            PairedTest(
                difference=float(own.mean()),
                ci95=ci,
                p=(1 + extreme) / (1 + resamples),
                p_worse=(1 + lower) / (1 + resamples),
                deviation=float(own.std(ddof=1)),
                n=int(n),
            )
        )
    return tests


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in input order (Holm 1979): reject below alpha, and at most alpha of such
    families hold any false rejection.
    """
    count = len(p_values)
    corrected = [0.0] * count
    highest = 0.0
    for rank, place in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (count - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def minimum_detectable_effect(
    deviation: float, n: int, *, alpha: float = 0.05, power: float = POWER, sides: int = 2
) -> float | None:
    """Smallest true mean difference that a test at ``alpha`` shows with ``power``, by the normal approximation.

    ``deviation``: standard deviation of the paired differences over ``n`` queries. None where it is 0 or n is too
    small: differences that are all the same say nothing about how others would vary.
    """
    if deviation <= 0 or n < MIN_QUERIES:
        return None
    distance = _NORMAL.inv_cdf(1 - alpha / sides) + _NORMAL.inv_cdf(power)
    return distance * deviation / math.sqrt(n)


def queries_needed(deviation: float, margin: float, *, alpha: float = 0.05, power: float = POWER) -> int | None:
    """Queries at which the lower end of ``bounded_intervals`` at level 1 - 2 alpha lies above -margin with ``power``,
    if there is no true difference. None where the margin is 0: no number of queries would do.

    By the normal approximation of the mean; the weight of the query not seen is that of one exponential draw among n,
    so that without any differences the answer is the binomial rule of three, log(1 / alpha) / margin.
    """
    if margin <= 0:
        return None
    reach, luck, unseen = _NORMAL.inv_cdf(1 - alpha), _NORMAL.inv_cdf(power), math.log(1 / alpha) - 1

    def shown(n: int) -> bool:
        error = deviation / math.sqrt(n)
        return (1 + math.hypot(unseen, n * reach * error)) / n + luck * error < margin

    return 1 + bisect_left(range(1, _MOST_QUERIES), True, key=shown)


def quantile_interval(sorted_values: Sequence[float], q: float, *, level: float) -> Interval | None:
    """Distribution-free interval of the ``q`` quantile from ascending values; None where they are too few for it.

    Its ends are order statistics whose ranks are binomial quantiles (Conover 1999, section 3.2), so each end is wrong
    with a probability of at most (1 - level) / 2, whatever the distribution.
    """
    n, tail = len(sorted_values), (1 - level) / 2
    steps = math.log(q), math.log1p(-q), math.lgamma(n + 1)
    below = 0.0  # P(at most k values lie below the quantile)
    low, high = -1, n
    for k in range(n):
        below += math.exp(steps[2] - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * steps[0] + (n - k) * steps[1])
        if below <= tail:
            low = k
        if 1 - below <= tail:
            high = k
            break
    return (sorted_values[low], sorted_values[high]) if low >= 0 and high < n else None


def _t_quantile(p: float, df: int) -> float:
    """Student's t quantile by the expansion in 1/df (Abramowitz and Stegun 26.7.5); within 1 % from 4 degrees on."""
    z = _NORMAL.inv_cdf(p)
    terms: Iterator[float] = iter(
        (
            (z**3 + z) / 4,
            (5 * z**5 + 16 * z**3 + 3 * z) / 96,
            (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
            (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
        )
    )
    return z + math.fsum(term / float(df) ** power for power, term in enumerate(terms, 1))
