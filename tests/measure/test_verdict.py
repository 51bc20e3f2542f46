"""The gate's word on planted cases, and laws that hold between its checks and its verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from freehold.core.errors import UsageError
from freehold.core.experiment import Check, Verdict
from freehold.measure.assess import Assessment
from freehold.measure.gate import FEWEST_QUERIES, Rules, judge, parse_measures
from freehold.measure.stats import MIN_QUERIES, queries_needed

MISSED = 0
DEPTH = 12


def found_at(ranks: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """A run in which the relevant document of a query, named after it, stands at a rank, or is missed."""
    run = {}
    for query, rank in ranks.items():
        order = [f"x{i}" for i in range(DEPTH)]
        if rank != MISSED:
            order.insert(rank - 1, f"d-{query}")
        run[query] = {document: float(-place) for place, document in enumerate(order[:DEPTH])}
    return run


def gate(
    live: Sequence[int],
    candidate: Sequence[int],
    *,
    measures: Sequence[str] = ("RR@10",),
    slices: Mapping[str, range] | None = None,
    margin: float = 0.05,
    slice_margin: float = 0.1,
    alpha: float = 0.05,
    p95_ms: float | None = None,
    timings_ms: Sequence[float] = (),
    resamples: int = 2_000,
) -> Verdict:
    names = [f"q{i:03d}" for i in range(len(live))]
    runs = {
        name: found_at(dict(zip(names, ranks, strict=True)))
        for name, ranks in (("live", live), ("candidate", candidate))
    }
    parts = {name: frozenset(names[i] for i in part) for name, part in (slices or {}).items()}
    qrels = {name: {f"d-{name}": 1} for name in names}
    rules = Rules(tuple(measures), tuple(parts), margin, slice_margin, alpha, p95_ms)
    return judge(
        Assessment(runs, qrels, parse_measures(measures), parts, resamples, 3),
        rules,
        candidate="candidate",
        live="live",
        timings_ms=timings_ms,
        declared={"gate.margin": margin},
    )


def only(verdict: Verdict) -> Check:
    (check,) = verdict.checks
    return check


def mixed(n: int, seed: int = 0) -> list[int]:
    """Ranks as searches have them: a third first, a seventh missed."""
    return np.random.default_rng(seed).choice([1, 1, 1, 2, 3, 5, 8, MISSED], size=n).tolist()


# -- one check -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [FEWEST_QUERIES, 100])
@pytest.mark.parametrize("margin", [0.0, 0.01])
def test_what_changes_nothing_passes(n: int, margin: float) -> None:
    verdict = gate(mixed(n), mixed(n), measures=("nDCG@10", "R@5", "FPR@3"), margin=margin)
    assert verdict.decision == "passed"
    for check in verdict.checks:
        assert (check.difference, check.p_worse, check.queries_needed) == (0.0, 1.0, None)
        assert check.baseline == check.candidate
        assert f"the same results for all {n} queries" in check.reason
        assert check.ci is not None
        assert check.ci[0] < -0.02  # and yet so many queries do not show more than that


def test_order_alone_is_no_change_to_a_measure_that_does_not_heed_it() -> None:
    verdict = gate([1] * 60, [2] * 60, measures=("R@5", "P@5", "RR@10"))
    assert [check.decision for check in verdict.checks] == ["passed", "passed", "refused"]
    assert "the same results" in verdict.checks[0].reason


def test_a_change_below_the_cutoff_is_none() -> None:
    verdict = gate([8] * 60, [9] * 60, measures=("nDCG@5", "nDCG@8"))
    assert [check.decision for check in verdict.checks] == ["passed", "refused"]


def test_equal_values_of_other_results_must_be_shown() -> None:
    """Where results differ, a hundred queries leave room for losses of three: a margin of 0.01 is not shown."""
    live, candidate = [1] * 98 + [5, MISSED], [1] * 98 + [MISSED, 5]
    check = only(gate(live, candidate, measures=("R@5",), margin=0.01))
    assert (check.difference, check.decision) == (0.0, "underpowered")
    assert only(gate(live * 10, candidate * 10, measures=("R@5",), margin=0.04)).decision == "passed"


def test_a_large_drop_is_refused() -> None:
    live = mixed(80)
    verdict = gate(live, [rank + 3 if rank else MISSED for rank in live])
    check = only(verdict)
    assert verdict.decision == check.decision == "refused"
    assert check.baseline is not None
    assert check.difference == pytest.approx((check.candidate or 0.0) - check.baseline)
    assert check.difference < -0.2
    assert check.p_worse is not None
    assert check.p_worse < 0.05
    assert check.queries_needed is None
    assert check.visible_drop is not None
    assert check.visible_drop < 0.2
    assert re.fullmatch(r"RR@10 -0\.\d{3} \[-0\.\d{3}, -0\.\d{3}\]: worse, p = \S+ after Holm", verdict.reasons[0])


@pytest.mark.parametrize(("lost", "decision"), [(4, "underpowered"), (5, "refused")])
def test_signs_of_five_losses_tell_a_drop(lost: int, decision: str) -> None:
    """Of four, all signs agree by chance in one of 16 cases."""
    assert gate([1] * 60, [1] * (60 - lost) + [MISSED] * lost, measures=("R@5",)).decision == decision


def test_a_visible_drop_is_visible_where_few_lose_it_all() -> None:
    live, candidate = [1] * 98 + [5, MISSED], [1] * 98 + [MISSED, 5]
    check = only(gate(live, candidate, measures=("R@5",), margin=0.01))
    share = (5 + 0.8416 * math.sqrt(5)) / 100
    assert check.visible_drop == pytest.approx(share * 0.99, rel=1e-3)
    lost = np.random.default_rng(0).random((200, 100)) < share
    told = [gate([1] * 100, [MISSED if one else 1 for one in row], measures=("R@5",), resamples=500) for row in lost]
    assert np.mean([verdict.decision == "refused" for verdict in told]) >= 0.75
    wrong = only(gate(live, candidate, measures=("FPR@5",), margin=0.001))
    assert wrong.baseline == pytest.approx(0.802)
    assert wrong.visible_drop == pytest.approx(share * (1 - 0.802), rel=1e-3)  # false positives can only become more


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_the_bound_is_one_sided_at_alpha(alpha: float) -> None:
    """Where queries are lost or are not, it is the exact binomial one."""
    check = only(gate([1] * 60, [1] * 56 + [MISSED] * 4, measures=("R@5",), alpha=alpha, resamples=50_000))
    assert check.ci is not None
    assert check.ci[0] == pytest.approx(-scipy_stats.beta.ppf(1 - alpha, 5, 56), abs=0.003)


def test_a_large_gain_passes_with_few_queries() -> None:
    assert gate([5] * 40, [1] * 40, margin=0.0).decision == "passed"


def test_a_drop_within_the_margin_passes() -> None:
    """Surely worse, and surely by less than was declared to be harmless."""
    check = only(gate([1] * 400, [1] * 380 + [2] * 20, margin=0.06))
    assert check.difference == pytest.approx(-0.025)
    assert check.p_worse is not None
    assert check.p_worse < 0.05
    assert check.decision == "passed"
    assert check.reason.endswith("no worse than the margin of 0.06 allows")
    assert check.visible_drop == 0.06  # it could see less, but does not refuse it


def test_noise_over_few_queries_is_underpowered_and_says_how_many_would_do() -> None:
    check = only(gate(mixed(40, seed=1), mixed(40, seed=2), margin=0.02))
    assert check.decision == "underpowered"
    assert check.queries_needed is not None
    assert check.queries_needed > 400
    assert f"by 40 queries; if there is none, about {check.queries_needed:,} would show it" in check.reason
    assert check.visible_drop is not None
    assert check.visible_drop > 0.02


def test_queries_needed_would_do() -> None:
    live, candidate = mixed(60, seed=1), mixed(60, seed=2)
    few = only(gate(live, candidate, margin=0.1))
    assert few.decision == "underpowered"
    assert few.queries_needed is not None
    differences = np.array([1 / b if b else 0.0 for b in candidate]) - [1 / a if a else 0.0 for a in live]
    assert few.queries_needed == queries_needed(float(differences.std(ddof=1)), 0.1)
    again = [
        gate(mixed(few.queries_needed, seed=s), mixed(few.queries_needed, seed=s + 1), margin=0.1, resamples=500)
        for s in range(10, 30, 2)
    ]
    assert sum(verdict.decision == "passed" for verdict in again) >= 6  # of ten, at 80 % power


def test_without_a_margin_no_number_of_queries_would_do() -> None:
    check = only(gate(mixed(40, seed=1), mixed(40, seed=2), margin=0.0))
    assert (check.decision, check.queries_needed) == ("underpowered", None)


@pytest.mark.parametrize("n", [0, 1, 4, FEWEST_QUERIES - 1])
@pytest.mark.parametrize("rank", [1, 2, MISSED])
def test_too_few_queries_are_underpowered_whatever_they_say(n: int, rank: int) -> None:
    check = only(gate([1] * n, [rank] * n))
    assert (check.decision, check.queries) == ("underpowered", n)
    # Where some queries tell how they differ, so many are said to be needed as that takes.
    assert (check.queries_needed or 0) > FEWEST_QUERIES if n >= MIN_QUERIES else check.queries_needed == FEWEST_QUERIES
    assert (check.difference, check.ci, check.p_worse, check.visible_drop) == (None, None, None, None)
    assert check.reason == f"{n} labelled queries, and at least {FEWEST_QUERIES} are needed"
    assert check.baseline == (1.0 if n else None)  # no data is not zero


def test_of_false_positives_fewer_are_better() -> None:
    """A query's result without its document holds one false positive more."""
    more = only(gate([1] * 80, [1] * 40 + [MISSED] * 40, measures=("FPR@5",)))
    assert (more.baseline, more.candidate) == pytest.approx((0.8, 0.9))
    assert more.difference == pytest.approx(-0.1)
    assert more.decision == "refused"
    fewer = only(gate([1] * 40 + [MISSED] * 40, [1] * 80, measures=("FPR@5",)))
    assert fewer.difference == pytest.approx(0.1)
    assert fewer.decision == "passed"


def test_a_query_that_a_run_leaves_out_scores_nothing() -> None:
    names = [f"q{i:02d}" for i in range(40)]
    qrels = {name: {f"d-{name}": 1} for name in names}
    runs = {"live": found_at(dict.fromkeys(names, 1)), "candidate": found_at(dict.fromkeys(names[:20], 1))}
    made = Assessment(runs, qrels, parse_measures(["RR@10"]), {}, 1_000, 0)
    rules = Rules(("RR@10",), (), 0.05, 0.1, 0.05, None)
    verdict = judge(made, rules, candidate="candidate", live="live", timings_ms=(), declared={})
    assert only(verdict).candidate == 0.5
    assert verdict.decision == "refused"


# -- several checks --------------------------------------------------------------------------------------------------


def test_a_drop_in_one_slice_is_seen_there() -> None:
    live = [1] * 400
    candidate = [1] * 360 + [MISSED] * 8 + [1] * 32
    slices = {"language=de": range(360), "language=fr": range(360, 400)}
    verdict = gate(live, candidate, slices=slices, margin=0.05)
    decisions = {check.name: check.decision for check in verdict.checks}
    assert decisions == {
        "RR@10": "passed",
        "RR@10 on language=de": "passed",
        "RR@10 on language=fr": "refused",
    }
    assert verdict.decision == "refused"
    (reason,) = verdict.reasons
    assert reason.startswith("RR@10 on language=fr -0.200 [")
    assert [check.margin for check in verdict.checks] == [0.05, 0.1, 0.1]
    assert [check.queries for check in verdict.checks] == [400, 360, 40]


def test_a_small_slice_holds_the_gate_up() -> None:
    verdict = gate([1] * 100, [1] * 100, slices={"language=fr": range(12)})
    assert [check.decision for check in verdict.checks] == ["passed", "underpowered"]
    assert verdict.decision == "underpowered"
    assert verdict.reasons == ("RR@10 on language=fr 12 labelled queries, and at least 30 are needed",)


def test_more_checks_ask_for_more_to_refuse_but_not_to_pass() -> None:
    """Refusals are corrected for their number; passing is not, since every check must."""
    live, candidate = [1] * 60, [1] * 55 + [2] * 5
    alone = only(gate(live, candidate, margin=0.0))
    among = gate(live, candidate, margin=0.0, measures=("RR@10", "R@1", "P@3", "R@5", "Success@5"))
    first = among.checks[0]
    assert alone.p_worse is not None
    assert first.p_worse is not None
    assert alone.p_worse < 0.05 < first.p_worse
    assert (alone.decision, first.decision) == ("refused", "underpowered")
    assert alone.visible_drop is not None
    assert first.visible_drop is not None
    assert alone.visible_drop < first.visible_drop
    assert alone.ci == pytest.approx(first.ci)


# -- latency ---------------------------------------------------------------------------------------------------------


def latency(timings_ms: Sequence[float], limit_ms: float) -> Check:
    verdict = gate([1] * 40, [1] * 40, p95_ms=limit_ms, timings_ms=timings_ms)
    check = verdict.checks[-1]
    assert check.name == "p95 latency"
    assert verdict.decision == check.decision
    return check


TIMES = [float(ms) for ms in range(1, 201)]  # the 95th percentile is 190 ms, with an interval from 185 to 195


@pytest.mark.parametrize(
    ("limit_ms", "decision"),
    [
        (250.0, "passed"),
        (196.0, "passed"),
        (193.0, "underpowered"),
        (187.0, "underpowered"),
        (184.0, "refused"),
        (50.0, "refused"),
    ],
)
def test_p95_against_its_limit(limit_ms: float, decision: str) -> None:
    check = latency(TIMES[::-1], limit_ms)
    assert check.decision == decision
    assert (check.candidate, check.queries) == (190.0, 200)
    assert check.ci == pytest.approx((185, 195), abs=1.5)
    assert check.reason.startswith(f"p95 190.0 ms [{check.ci[0]:.1f}, {check.ci[1]:.1f}]: ")


def test_no_limit_no_check() -> None:
    assert len(gate([1] * 40, [1] * 40, timings_ms=TIMES).checks) == 1


@pytest.mark.parametrize("n", [1, 20, 58])
def test_too_few_times(n: int) -> None:
    check = latency(TIMES[:n], 500.0)
    assert (check.decision, check.queries, check.queries_needed) == ("underpowered", n, 59)
    assert check.reason == f"{n} timed searches: at least 59 are needed"


def test_no_times() -> None:
    check = latency([], 500.0)
    assert (check.decision, check.candidate, check.queries) == ("underpowered", None, 0)
    assert "run files hold no times" in check.reason


def test_a_slow_candidate_is_refused_however_good() -> None:
    verdict = gate([5] * 60, [1] * 60, p95_ms=100.0, timings_ms=[150.0] * 80)
    assert [check.decision for check in verdict.checks] == ["passed", "refused"]
    assert verdict.reasons == ("p95 latency p95 150.0 ms [150.0, 150.0]: above 100 ms",)


# -- laws ------------------------------------------------------------------------------------------------------------

ranks = st.integers(0, DEPTH)
pairs = st.lists(st.tuples(ranks, ranks), min_size=20, max_size=45)
biased = st.lists(st.tuples(st.just(1), st.sampled_from([1, 1, 1, 2, MISSED])), min_size=30, max_size=60)


@given(
    pairs | biased | biased.map(lambda found: [(b, a) for a, b in found]),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.sampled_from([None, 80.0, 160.0]),
    st.integers(0, 90),
)
@settings(max_examples=80)
def test_the_verdict_follows_from_its_checks(
    found: list[tuple[int, int]], margin: float, p95_ms: float | None, timed: int
) -> None:
    live, candidate = zip(*found, strict=True)
    verdict = gate(
        live,
        candidate,
        measures=("RR@10", "R@5", "FPR@5"),
        slices={"kind=a": range(20), "kind=b": range(20, len(live))},
        margin=margin,
        p95_ms=p95_ms,
        timings_ms=TIMES[:timed],
        resamples=300,
    )
    decisions = [check.decision for check in verdict.checks]
    assert len(decisions) == 9 + (p95_ms is not None)
    if "refused" in decisions:
        assert verdict.decision == "refused"
    else:
        assert verdict.decision == ("underpowered" if "underpowered" in decisions else "passed")
    assert len(verdict.reasons) == decisions.count(verdict.decision)
    assert all(
        reason == f"{check.name} {check.reason}"
        for reason, check in zip(
            verdict.reasons, (c for c in verdict.checks if c.decision == verdict.decision), strict=True
        )
    )
    assert verdict.rules == {"gate.margin": margin}
    for check in verdict.checks[:9]:
        assert check.reason
        assert check.margin == (margin if " on " not in check.name else 0.1)
        assert (check.queries_needed is not None) <= (check.decision == "underpowered")
        if check.queries < FEWEST_QUERIES:
            assert check.decision == "underpowered"
            continue
        assert check.difference is not None
        assert check.ci is not None
        assert check.p_worse is not None
        assert check.ci[0] < check.difference < check.ci[1] or check.difference in {-1.0, 1.0}
        shown = check.ci[0] > -check.margin or "the same results" in check.reason
        assert (check.decision == "passed") == shown
        assert (check.decision == "refused") == (not shown and check.p_worse < 0.05)


@given(biased)
@settings(max_examples=20)
def test_a_candidate_that_is_better_everywhere_is_never_refused(found: list[tuple[int, int]]) -> None:
    verdict = gate([b for _, b in found], [a for a, _ in found], margin=0.0, resamples=300)
    assert verdict.decision != "refused"


def test_measures_by_name() -> None:
    assert [str(m) for m in parse_measures(["nDCG@10", "R@50", "nDCG@10"])] == ["nDCG@10", "R@50"]
    with pytest.raises(UsageError):
        parse_measures(["nDCG@10", "quality"])
