"""The rerank stage: depth, what lies below it, and the time that it is given."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from freehold.core.ports import Embedder, Reranker, Scorer
from freehold.core.types import Embeddings, ScoredId
from freehold.journeys.rerank import Pace, TokenReranker
from freehold.journeys.search import Candidates, Plan, Reranked
from freehold.models.embed import open_embedder
from freehold.models.rerank import LateInteraction
from freehold.testing.reranker import PASSAGES

from .small_shelf import shelf_of

IDS = [f"c{n:03}" for n in range(60)]
PLAN = Plan(mode="dense", candidates=len(IDS), rerank_depth=50)


class Watch:
    """A clock that only work moves, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


class Slow:
    """A ``Reranker`` by the last digit of an id, that takes a known time for each candidate."""

    name = digest = unit = "slow"
    reads_tokens = False

    def __init__(self, ms: float, *, block: int = 5, watch: Watch | None = None, gone: Sequence[str] = ()) -> None:
        self.ms, self.block, self.gone = ms, block, set(gone)
        self.pace = Pace()
        self.blocks: list[tuple[int, float]] = []
        """Number of candidates and milliseconds of every call."""
        self.clock = watch or time.perf_counter
        self.work = watch.work if watch else time.sleep

    def ready(self, questions: Sequence[str], _embeddings: Embeddings | None, /) -> Sequence[Scorer]:
        return [self for _ in questions]

    def predicted_ms(self, chunk_ids: Sequence[str]) -> float:
        return self.pace.predicted_ms(len(chunk_ids))

    def scores(self, chunk_ids: Sequence[str]) -> Mapping[str, float | None]:
        started = self.clock()
        self.work(self.ms * len(chunk_ids) / 1000)
        took = (self.clock() - started) * 1000
        self.pace.learn(len(chunk_ids), took)
        self.blocks.append((len(chunk_ids), took))
        return {chunk_id: float(chunk_id[-1]) for chunk_id in chunk_ids if chunk_id not in self.gone}


def first_stage() -> list[ScoredId]:
    return [ScoredId(chunk_id, 1.0 - number / 100) for number, chunk_id in enumerate(IDS)]


def candidates(reranker: Reranker) -> Candidates:
    return Candidates({"dense": first_stage()}, reranker, reranker.ready(["a question"], None)[0])


def rerank(reranker: Slow, plan: Plan = PLAN, *, budget_ms: float = 0.0) -> Reranked:
    return candidates(reranker).rerank(first_stage(), "cosine", plan, budget_ms=budget_ms, clock=reranker.clock)


# -- depth ------------------------------------------------------------------------------------------------------------


def test_without_a_budget_the_depth_is_the_plans() -> None:
    slow = Slow(0.0)
    found = rerank(slow)
    assert (found.depth, found.left, found.unit) == (50, 0, "cosine+slow")
    assert [number for number, _ in slow.blocks] == [50]
    assert [s.chunk_id for s in found.ranked[50:]] == IDS[50:]
    assert {s.chunk_id for s in found.ranked[:50]} == set(IDS[:50])
    assert all(s.score >= 0 for s in found.ranked[:50])
    assert all(s.score < 0 for s in found.ranked[50:])


@given(gone=st.sets(st.sampled_from(IDS)), depth=st.integers(1, 70), block=st.integers(1, 20), budget=st.booleans())
def test_where_some_are_gone_others_move_up(gone: set[str], depth: int, block: int, budget: bool) -> None:
    slow = Slow(0.0, block=block, watch=Watch(), gone=sorted(gone))
    found = rerank(slow, replace(PLAN, rerank_depth=depth), budget_ms=1e9 if budget else 0.0)
    alive = [chunk_id for chunk_id in IDS if chunk_id not in gone]
    assert found.left == 0
    assert found.depth == min(depth, len(alive))
    assert {s.chunk_id for s in found.ranked[: found.depth]} == set(alive[:depth])
    if alive:
        assert [s.chunk_id for s in found.ranked if s.chunk_id not in gone][found.depth :] == alive[depth:]


def test_every_chunk_is_scored_once_for_many_plans() -> None:
    slow = Slow(0.0)
    found = candidates(slow)
    for depth in (10, 50, 20, 55, 5):
        found.ranked(replace(PLAN, rerank_depth=depth))
    assert [number for number, _ in slow.blocks] == [10, 40, 5]


def test_where_one_of_the_best_has_no_score_the_list_stands() -> None:
    class Partial(Slow):
        def scores(self, chunk_ids: Sequence[str]) -> Mapping[str, float | None]:
            return {**super().scores(chunk_ids), "c007": None}

    assert rerank(Partial(0.0)) == Reranked(first_stage(), "cosine")
    assert rerank(Partial(0.0), replace(PLAN, rerank_depth=5)).depth == 5


# -- time -------------------------------------------------------------------------------------------------------------


@given(
    costs=st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)),
    block=st.integers(1, 20),
    budgets=st.lists(st.floats(0.1, 300), min_size=2, max_size=6),
)
def test_more_time_never_reaches_less_deep(costs: tuple[float, float], block: int, budgets: list[float]) -> None:
    """Nor does less time take longer than it may: at most one block over where the pace is known."""
    before, now = costs
    found = []
    for budget_ms in sorted(budgets):
        slow = Slow(before, block=block, watch=Watch())
        slow.pace.learn(1, before)
        slow.ms = now
        one = rerank(slow, budget_ms=budget_ms)
        took = sum(ms for _, ms in slow.blocks)
        longest = max(ms for _, ms in slow.blocks)
        assert one.depth + one.left == 50
        assert one.depth >= min(block, 50)
        assert took <= budget_ms + longest + 1e-6
        if now <= before and one.depth > block:  # foretold no less than it takes: within the budget
            assert took <= budget_ms + 1e-6
        found.append(one.depth)
    assert all(less <= more for less, more in pairwise(found))


def test_the_budget_is_kept_within_a_block() -> None:
    """On a real clock, with a scorer that sleeps; how late the machine wakes it is in what is measured."""
    for budget_ms in (10.0, 40.0, 120.0):
        slow = Slow(2.0)
        started = time.perf_counter()
        found = rerank(slow, budget_ms=budget_ms)
        took = (time.perf_counter() - started) * 1000
        longest = max(ms for _, ms in slow.blocks)
        overhead = took - sum(ms for _, ms in slow.blocks)
        assert took - overhead <= budget_ms + longest
        assert 5 <= found.depth == sum(number for number, _ in slow.blocks)
        assert found.depth + found.left == 50
        assert found.left > 0 or budget_ms > 100


def test_what_time_did_not_reach_keeps_its_place_below() -> None:
    slow = Slow(1.0, watch=Watch())
    found = rerank(slow, budget_ms=22.0)
    assert (found.depth, found.left) == (20, 30)
    assert {s.chunk_id for s in found.ranked[:20]} == set(IDS[:20])
    assert [s.chunk_id for s in found.ranked[20:]] == IDS[20:]
    assert found == replace(rerank(Slow(0.0), replace(PLAN, rerank_depth=20)), left=30)


def test_a_plan_that_is_not_deep_is_not_cut() -> None:
    found = rerank(Slow(1.0, watch=Watch()), replace(PLAN, rerank_depth=10), budget_ms=12.0)
    assert (found.depth, found.left) == (10, 0)
    few = first_stage()[:3]
    slow = Slow(1.0, watch=Watch())
    assert candidates(slow).rerank(few, "cosine", PLAN, budget_ms=1.0, clock=slow.clock).left == 0


def test_runs_take_no_notice_of_the_budget() -> None:
    """What is evaluated must come out the same on a slow machine."""
    slow, plan = Slow(1.0, watch=Watch()), replace(PLAN, rerank_budget_ms=1.0)
    assert candidates(slow).ranked(plan) == candidates(Slow(0.0)).ranked(PLAN)


def test_time_enough_is_as_good_as_no_limit(minilm: Path, tmp_path: Path) -> None:
    encoder: Embedder = open_embedder("onnx", str(minilm), threads=1)
    codec = LateInteraction(encoder.info.dim)
    passages = {f"{n}{name}": text for n in range(8) for name, text in PASSAGES.items()}
    tokens = encoder.embed_documents(list(passages.values()), tokens=True).tokens
    assert tokens is not None
    codes = dict(zip(passages, codec.encode(tokens), strict=True))
    reranker = TokenReranker(shelf_of(tmp_path, passages, codes, maker="m"), codec, maker="m", encoder=encoder)
    ranked = [ScoredId(chunk_id, 1.0 - number / 100) for number, chunk_id in enumerate(passages)]
    found = []
    for budget_ms in (0.0, 1e9):
        (scorer,) = reranker.ready(["Is a dog allowed?"], None)
        found.append(Candidates({"dense": ranked}, reranker, scorer).rerank(ranked, "x", PLAN, budget_ms=budget_ms))
    assert found[0] == found[1]
    assert found[0].depth == 50
