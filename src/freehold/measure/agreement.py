"""How far a judge of support can be trusted, told from pairs of sentence and evidence that people labelled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.core.experiment import JudgeAgreement


@dataclass(frozen=True, slots=True)
class Confusion:
    """Verdicts counted against labels; positive is "supported"."""

    true_positives: int = 0
    false_negatives: int = 0
    true_negatives: int = 0
    false_positives: int = 0

    @property
    def positives(self) -> int:
        """Pairs labelled as supported."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> int:
        """Pairs labelled as not supported."""
        return self.true_negatives + self.false_positives

    @property
    def pairs(self) -> int:
        return self.positives + self.negatives

    @property
    def sensitivity(self) -> float | None:
        """Share of the positives called so, in [0, 1]; None without any."""
        return self.true_positives / self.positives if self.positives else None

    @property
    def specificity(self) -> float | None:
        """Share of the negatives called so, in [0, 1]; None without any."""
        return self.true_negatives / self.negatives if self.negatives else None


class Corrected(NamedTuple):
    """A rate in [0, 1] without its judge's errors; None with a reason where the judge cannot tell."""

    value: float | None
    reason: str = ""


def confusion(labels: Sequence[bool], verdicts: Sequence[bool]) -> Confusion:
    """Count ``verdicts`` against ``labels``, pair by pair. Raises ValueError where they differ in number."""
    pairs = list(zip(labels, verdicts, strict=True))
    return Confusion(
        true_positives=sum(label and verdict for label, verdict in pairs),
        false_negatives=sum(label and not verdict for label, verdict in pairs),
        true_negatives=sum(not label and not verdict for label, verdict in pairs),
        false_positives=sum(not label and verdict for label, verdict in pairs),
    )


def agreement(counts: Confusion, *, judge: str, sample: str) -> JudgeAgreement:
    """Agreement with its 95 % interval, kappa, sensitivity and specificity; what cannot be told is None, with why."""
    right = counts.true_positives + counts.true_negatives
    reasons = []
    if not counts.positives:
        reasons.append("no pair is labelled as supported")
    if not counts.negatives:
        reasons.append("no pair is labelled as not supported")
    agreed_beyond_chance = kappa(counts)
    if counts.pairs and agreed_beyond_chance is None:
        reasons.append("labels and verdicts are all the same, so chance alone would agree")
    return JudgeAgreement(
        judge=judge,
        pairs=counts.pairs,
        agreement=right / counts.pairs if counts.pairs else None,
        ci95=wilson(right, counts.pairs) if counts.pairs else None,
        kappa=agreed_beyond_chance,
        sensitivity=counts.sensitivity,
        specificity=counts.specificity,
        sample=sample,
        reason="; ".join(reasons),
    )


def kappa(counts: Confusion) -> float | None:
    """Cohen's kappa (1960): agreement beyond that of chance, over the most there could be; at most 1.

    None where chance alone would agree always, or without pairs.
    """
    n = counts.pairs
    called = counts.true_positives + counts.false_positives
    # In whole numbers, times n squared: a chance of exactly 1 is then seen as such.
    by_chance = counts.positives * called + counts.negatives * (n - called)
    if by_chance == n * n:
        return None
    agreed = (counts.true_positives + counts.true_negatives) * n
    return (agreed - by_chance) / (n * n - by_chance)


def wilson(hits: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927): it has a width even where all or none of ``n`` > 0 are hits."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # At the ends the bounds are exactly 0 and 1, which rounding misses.
    return (0.0 if hits == 0 else middle - half, 1.0 if hits == n else middle + half)


def corrected_rate(observed: float, sensitivity: float | None, specificity: float | None) -> Corrected:
    """The true rate behind the ``observed`` one: (observed + specificity - 1) / (sensitivity + specificity - 1).

    Rogan and Gladen (1978), cut to [0, 1]. All rates in [0, 1]. It holds as far as the judge errs on the answers as
    often as on the labelled pairs.
    """
    if sensitivity is None or specificity is None:
        return Corrected(None, "the labelled pairs are all of one kind")
    false_alarms = 1 - specificity
    if sensitivity <= false_alarms:
        return Corrected(None, "on the labelled pairs the judge is no better than chance")
    return Corrected(min(1.0, max(0.0, (observed - false_alarms) / (sensitivity - false_alarms))))


def corrected_interval(
    observed: NDArray[np.float64], counts: Confusion, *, rng: np.random.Generator, level: float = 0.95
) -> tuple[float, float] | None:
    """Interval of ``corrected_rate``: it knows that observed rate and judge were each measured on a sample.

    ``observed``: float64 (resamples,), the rate in bootstrap samples of the queries. Each is corrected by a sensitivity
    and specificity drawn from what the labelled pairs leave open (Beta, Jeffreys prior). Where the drawn judge is no
    better than chance any rate is possible, and both ends take it so. None without pairs of both kinds or resamples.
    """
    if not (counts.positives and counts.negatives and len(observed)):
        return None
    sensitivity = rng.beta(counts.true_positives + 0.5, counts.false_negatives + 0.5, len(observed))
    specificity = rng.beta(counts.true_negatives + 0.5, counts.false_positives + 0.5, len(observed))
    told = sensitivity + specificity - 1
    useful = told > 0
    rates = np.clip((observed + specificity - 1) / np.where(useful, told, 1), 0, 1)
    tail = (1 - level) / 2
    low = np.quantile(np.where(useful, rates, 0), tail)
    high = np.quantile(np.where(useful, rates, 1), 1 - tail)
    return float(low), float(high)
