"""Agreement of a judge with labels: against textbook formulas, and what no figure may do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.measure.agreement import (
    Confusion,
    agreement,
    confusion,
    corrected_interval,
    corrected_rate,
    kappa,
    wilson,
)

verdicts = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)
counts = st.builds(Confusion, *[st.integers(0, 50)] * 4)
rates = st.floats(0, 1)


def kappa_by_hand(pairs: list[tuple[bool, bool]]) -> float:
    """Cohen 1960, from the marginals of both raters."""
    n = len(pairs)
    observed = sum(a == b for a, b in pairs) / n
    chance = sum((sum(a == c for a, _ in pairs) / n) * (sum(b == c for _, b in pairs) / n) for c in (True, False))
    return (observed - chance) / (1 - chance)


@given(verdicts)
def test_kappa_is_that_of_the_formula(pairs: list[tuple[bool, bool]]) -> None:
    found = kappa(confusion([a for a, _ in pairs], [b for _, b in pairs]))
    if len({value for pair in pairs for value in pair}) < 2:
        assert found is None
    else:
        assert found == pytest.approx(kappa_by_hand(pairs))
        assert -1 <= found <= 1


def test_a_textbook_table() -> None:
    """Two readers of 50 grant proposals: 20 both yes, 15 both no, 5 and 10 apart; kappa is 0.4."""
    found = agreement(Confusion(20, 5, 15, 10), judge="B", sample="grants")
    assert (found.judge, found.sample, found.pairs, found.reason) == ("B", "grants", 50, "")
    assert found.agreement == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)
    assert found.sensitivity == pytest.approx(20 / 25)
    assert found.specificity == pytest.approx(15 / 25)
    assert found.ci95 == pytest.approx((0.5625, 0.8090), abs=1e-4)


@given(verdicts)
def test_counting(pairs: list[tuple[bool, bool]]) -> None:
    found = confusion([a for a, _ in pairs], [b for _, b in pairs])
    assert found.pairs == len(pairs)
    assert found.positives == sum(a for a, _ in pairs)
    assert found.true_positives + found.true_negatives == sum(a == b for a, b in pairs)
    assert found.false_positives == sum(b and not a for a, b in pairs)


def test_as_many_verdicts_as_labels() -> None:
    with pytest.raises(ValueError, match="shorter"):
        confusion([True, False], [True])


@given(counts)
def test_what_cannot_be_told_is_none_and_says_why(found: Confusion) -> None:
    told = agreement(found, judge="j", sample="s")
    figures = (told.agreement, told.ci95, told.kappa, told.sensitivity, told.specificity)
    assert any(figure is None for figure in figures) == bool(told.reason)
    assert (told.sensitivity is None) == (found.positives == 0)
    assert (told.specificity is None) == (found.negatives == 0)
    assert (told.agreement is None) == (told.ci95 is None) == (found.pairs == 0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_solves_its_equation(case: tuple[int, int]) -> None:
    """At each end p, the observed share lies 1.96 standard errors of p away."""
    hits, n = case
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    assert low < high
    for p in {low, high} - {0.0, 1.0}:
        assert abs(hits / n - p) == pytest.approx(1.959964 * (p * (1 - p) / n) ** 0.5, rel=1e-4)


@given(rates, rates, rates)
def test_correcting_undoes_what_the_judge_does(true: float, sensitivity: float, specificity: float) -> None:
    observed = true * sensitivity + (1 - true) * (1 - specificity)
    found = corrected_rate(observed, sensitivity, specificity)
    if sensitivity <= 1 - specificity:
        assert found.value is None
        assert "chance" in found.reason
    else:
        assert found.value is not None
        assert 0 <= found.value <= 1
        if sensitivity + specificity > 1.01:
            assert found.value == pytest.approx(true, abs=1e-9)


@given(rates)
def test_a_judge_without_errors_needs_no_correction(observed: float) -> None:
    assert corrected_rate(observed, 1.0, 1.0) == (observed, "")


@pytest.mark.parametrize(
    ("observed", "sensitivity", "specificity", "value"),
    [
        (0.5, 0.9, 0.8, 3 / 7),
        (0.1, 0.9, 0.8, 0.0),
        (0.95, 0.9, 0.8, 1.0),
        (0.5, None, 0.8, None),
        (0.5, 0.9, None, None),
    ],
)
def test_corrected_rates(
    observed: float, sensitivity: float | None, specificity: float | None, value: float | None
) -> None:
    found = corrected_rate(observed, sensitivity, specificity)
    assert found.value == (None if value is None else pytest.approx(value))
    assert bool(found.reason) == (value is None)


def interval(observed: float, found: Confusion, *, seed: int = 1) -> tuple[float, float] | None:
    return corrected_interval(np.full(4000, observed), found, rng=np.random.default_rng(seed))


@given(rates, counts)
def test_the_corrected_interval_lies_in_the_unit_interval(observed: float, found: Confusion) -> None:
    told = interval(observed, found)
    assert (told is None) == (not (found.positives and found.negatives))
    if told:
        assert 0 <= told[0] <= told[1] <= 1


def test_more_pairs_leave_less_open() -> None:
    few, many = interval(0.6, Confusion(27, 3, 24, 6)), interval(0.6, Confusion(900, 100, 800, 200))
    assert few
    assert many
    assert few[0] < many[0] < 4 / 7 < many[1] < few[1]
    assert few == interval(0.6, Confusion(27, 3, 24, 6))


def test_a_judge_that_may_be_no_better_than_chance_leaves_all_open() -> None:
    assert interval(0.6, Confusion(16, 14, 15, 15)) == (0.0, 1.0)


def test_the_corrected_interval_covers_the_truth_as_often_as_it_says() -> None:
    """400 studies of 200 sentences and 60 labelled pairs each; the true rate is in about 95 % of the intervals."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        found = Confusion(
            right := int(rng.binomial(30, 0.9)), 30 - right, kept := int(rng.binomial(30, 0.8)), 30 - kept
        )
        observed = rng.binomial(200, 0.7 * 0.9 + 0.3 * 0.2) / 200
        resampled = rng.binomial(200, observed, size=500) / 200
        told = corrected_interval(resampled, found, rng=rng)
        covered += told is not None and told[0] <= 0.7 <= told[1]
    assert 0.92 <= covered / 400 <= 0.99
