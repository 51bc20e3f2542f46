"""The conformance suite of the ``VectorIndex`` port: subclass ``VectorIndexCase`` in a test module and run pytest.

    class TestMyIndex(VectorIndexCase):
        def make_index(self, path: Path, *, dim: int) -> VectorIndex: ...
        def reopen(self, path: Path) -> VectorIndex: ...

Needs pytest and hypothesis. Results are compared with ``Reference``, the readable version of what an index does.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from freehold.core.erasure import Level
from freehold.core.errors import EngineFault
from freehold.core.ids import new_id
from freehold.core.ports import VectorIndex
from freehold.core.types import Filter, Leg, Point, ScoredId, SparseVector

if TYPE_CHECKING:
    from freehold.core.types import Float32

DIM = 16
CONDITIONS: list[Filter] = [
    {}, {"language": "de"}, {"language": "x"}, {"language": ["de", "x"]}, {"language": ["de", "en"]}, {"language": ()},
]  # fmt: skip
TOLERANCE = 2e-4
"""Engines add up in float32, the reference in float64."""


class Reference:
    """What an index must do, in a dict and numpy: every point kept, every score computed anew."""

    def __init__(self) -> None:
        self.points: dict[str, Point] = {}

    def upsert(self, points: Iterable[Point]) -> None:
        """Insert or replace."""
        self.points.update({point.chunk_id: point for point in points})

    def delete(self, chunk_ids: Iterable[str]) -> None:
        """Remove; unknown ids are ignored."""
        for chunk_id in chunk_ids:
            self.points.pop(chunk_id, None)

    def passing(self, condition: Filter | None) -> list[Point]:
        """The points that pass a filter."""
        wanted = {key: {value} if isinstance(value, str) else set(value) for key, value in (condition or {}).items()}
        return [
            point
            for point in self.points.values()
            if all({**point.fields, "document_id": point.document_id}.get(key) in wanted[key] for key in wanted)
        ]

    def dense(self, query: Float32, condition: Filter | None = None) -> dict[str, float]:
        """Cosine by chunk id."""
        return {point.chunk_id: _cosine(point.dense, query) for point in self.passing(condition)}

    def lexical(self, query: SparseVector, condition: Filter | None = None) -> dict[str, float]:
        """BM25 by chunk id: the sum of query weight x ln(1 + (N - df + 0.5) / (df + 0.5)) x document weight."""
        documents = {point.chunk_id: _terms(point.sparse) for point in self.points.values()}
        weights = {}
        for term, weight in _terms(query).items():
            df = sum(term in document for document in documents.values())
            weights[term] = weight * np.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
        scores = {}
        for point in self.passing(condition):
            common = weights.keys() & documents[point.chunk_id].keys()
            if common:
                scores[point.chunk_id] = float(sum(weights[t] * documents[point.chunk_id][t] for t in common))
        return scores


class VectorIndexCase:
    """Tests that every vector index must pass."""

    level: Level = "physical"
    """What a deletion reaches. Bytes are looked for where it is ``physical`` alone: files on a server cannot be."""

    def make_index(self, path: Path, *, dim: int) -> VectorIndex:
        """An empty index open for writing, whatever it keeps on disk under ``path``, which does not exist yet."""
        raise NotImplementedError

    def reopen(self, path: Path) -> VectorIndex:
        """Open for reading what an index made at ``path`` and since closed has left there."""
        raise NotImplementedError

    def raw_paths(self, path: Path) -> Iterable[Path]:
        """Every file in which the engine keeps bytes of the index made at ``path``."""
        return (file for file in path.rglob("*") if file.is_file())

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Where the index under test lies."""
        return tmp_path / "index"

    @pytest.fixture
    def index(self, path: Path) -> Iterator[VectorIndex]:
        """An empty index of dimension DIM."""
        index = self.make_index(path, dim=DIM)
        yield index
        index.close()

    def test_an_empty_index_finds_nothing(self, index: VectorIndex) -> None:
        index.optimize()
        index.flush()
        assert index.count() == 0
        assert list(index.ids()) == []
        assert _lists(index.search(dense=unit(0), sparse=SparseVector([1], [1.0]), limit=5)) == {
            "dense": [],
            "lexical": [],
        }

    def test_only_the_legs_asked_for_are_answered(self, index: VectorIndex) -> None:
        index.upsert([make_point(0)])
        assert set(index.search(dense=unit(0), limit=1)) == {"dense"}
        assert set(index.search(sparse=SparseVector([1], [1.0]), limit=1)) == {"lexical"}
        assert set(index.search(limit=1)) == set()

    @pytest.mark.parametrize("optimized", [False, True])
    @pytest.mark.parametrize("exact", [False, True])
    def test_both_legs_equal_brute_force(self, index: VectorIndex, optimized: bool, exact: bool) -> None:
        reference = _filled(index, 200)
        if optimized:
            index.optimize()
        for seed in range(1000, 1010):
            found = index.search(dense=unit(seed), sparse=terms(seed), limit=20, exact=exact)
            assert_ranked(found["dense"], reference.dense(unit(seed)), limit=20)
            assert_ranked(found["lexical"], reference.lexical(terms(seed)), limit=20)

    @pytest.mark.parametrize("optimized", [False, True])
    @pytest.mark.parametrize("limit", [1, 7, 29, 30, 31])
    def test_equal_scores_come_in_order_of_chunk_id(self, index: VectorIndex, limit: int, optimized: bool) -> None:
        points = [make_point(seed, dense=unit(1), sparse=SparseVector([3], [1.5])) for seed in range(30)]
        index.upsert(points)
        if optimized:
            index.optimize()
        found = index.search(dense=unit(1), sparse=SparseVector([3], [1.0]), limit=limit)
        expected = sorted(point.chunk_id for point in points)[:limit]
        assert {leg: [hit.chunk_id for hit in hits] for leg, hits in found.items()} == {
            "dense": expected,
            "lexical": expected,
        }

    def test_points_without_a_common_term_are_not_returned(self, index: VectorIndex) -> None:
        index.upsert([make_point(seed, sparse=SparseVector([seed], [1.0])) for seed in range(5)])
        found = index.search(sparse=SparseVector([2, 99], [1.0, 1.0]), limit=5)
        assert [hit.chunk_id for hit in found["lexical"]] == [make_point(2).chunk_id]
        assert _lists(index.search(sparse=SparseVector([99], [1.0]), limit=5)) == {"lexical": []}
        assert _lists(index.search(sparse=SparseVector([], []), limit=5)) == {"lexical": []}

    def test_lexical_statistics_forget_what_is_deleted(self, index: VectorIndex, path: Path) -> None:
        reference = _filled(index, 60)
        index.optimize()
        gone = sorted(reference.points)[::2]
        index.delete(gone)
        reference.delete(gone)
        for _ in range(2):
            assert_ranked(index.search(sparse=terms(7), limit=60)["lexical"], reference.lexical(terms(7)), limit=60)
            index.optimize()
        index.delete([*reference.points][:10])
        reference.delete([*reference.points][:10])
        index.flush()
        index.close()
        reopened = self.reopen(path)
        assert_ranked(reopened.search(sparse=terms(7), limit=60)["lexical"], reference.lexical(terms(7)), limit=60)
        reopened.close()

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ({}, {0, 1, 2, 3, 4}),
            ({"language": "de"}, {0, 1}),
            ({"language": "de", "kind": "contract"}, {0}),
            ({"language": "DE"}, set()),
            ({"language": ""}, {4}),
            ({"missing": "de"}, set()),
            ({"title": "Bürgschaft – 契約 🏠"}, {2}),
            ({"title": "Bürgschaft"}, set()),
            ({"ключ": "é"}, {2}),
            ({"ключ": "e\u0301"}, set()),
            ({"a=b": "c"}, {3}),
            ({"a": "b=c"}, {4}),
            ({"document_id": "d0"}, {0}),
            ({"document_id": "d9"}, set()),
            ({"language": ["de"]}, {0, 1}),
            ({"language": ("de", "", "nowhere")}, {0, 1, 4}),
            ({"language": {"de", ""}, "kind": ["letter", "note"]}, {1}),
            ({"language": ["de"], "kind": "contract"}, {0}),
            ({"language": ["DE", "d"]}, set()),
            ({"language": []}, set()),
            ({"language": [], "kind": "contract"}, set()),
            ({"missing": ["de"]}, set()),
            ({"document_id": ["d0", "d3"]}, {0, 3}),
            ({"\0reserved": ["de", "a,b"]}, {2, 3}),
        ],
    )
    def test_a_filter_is_an_exact_match_on_every_key_with_a_value_or_one_of_several(
        self, index: VectorIndex, condition: Filter, expected: set[int]
    ) -> None:
        fields: list[Mapping[str, str]] = [
            {"language": "de", "kind": "contract"},
            {"language": "de", "kind": "letter"},
            {"title": "Bürgschaft – 契約 🏠", "ключ": "é", "\0reserved": "de"},
            {"a=b": "c", "\0reserved": "a,b"},
            {"a": "b=c", "language": ""},
        ]
        points = [make_point(seed, fields=pairs, document_id=f"d{seed}") for seed, pairs in enumerate(fields)]
        index.upsert(points)
        ids = {points[seed].chunk_id for seed in expected}
        found = index.search(dense=unit(1), sparse=SparseVector([0], [1.0]), limit=9, filter=condition)
        assert {leg: {hit.chunk_id for hit in hits} for leg, hits in found.items()} == {"dense": ids, "lexical": ids}
        assert index.count(condition) == len(ids)

    def test_a_filter_leaves_lexical_statistics_alone(self, index: VectorIndex) -> None:
        reference = _filled(index, 50)
        condition = {"language": "de"}
        for _ in range(2):
            found = index.search(sparse=terms(5), limit=50, filter=condition)["lexical"]
            assert_ranked(found, reference.lexical(terms(5), condition), limit=50)
            index.optimize()

    def test_a_present_chunk_id_is_replaced(self, index: VectorIndex) -> None:
        old = make_point(1, sparse=SparseVector([5], [1.0]), fields={"language": "de"})
        new = make_point(1, dense=unit(2), sparse=SparseVector([6], [1.0]), fields={"language": "fr"})
        index.upsert([old, make_point(4)])
        index.optimize()
        index.upsert([new])
        for _ in range(2):
            assert index.count() == 2
            assert index.count({"language": "de"}) == 0
            assert _lists(index.search(sparse=SparseVector([5], [1.0]), limit=5)) == {"lexical": []}
            (hit, *_) = index.search(dense=unit(2), limit=1)["dense"]
            assert hit.chunk_id == new.chunk_id
            assert hit.score == pytest.approx(1.0, abs=TOLERANCE)
            index.optimize()

    def test_the_last_point_of_a_call_wins(self, index: VectorIndex) -> None:
        index.upsert([make_point(1, fields={"n": "1"}), make_point(2), make_point(1, fields={"n": "2"})])
        assert (index.count(), index.count({"n": "1"}), index.count({"n": "2"})) == (2, 0, 1)

    def test_unknown_ids_are_ignored(self, index: VectorIndex) -> None:
        index.upsert([make_point(1)])
        index.delete([new_id(), make_point(1).chunk_id, new_id()])
        index.delete([])
        assert index.count() == 0

    def test_a_limit_may_exceed_the_count_or_be_zero(self, index: VectorIndex) -> None:
        reference = _filled(index, 12)
        assert_ranked(index.search(dense=unit(3), limit=10_000)["dense"], reference.dense(unit(3)), limit=10_000)
        assert _lists(index.search(dense=unit(3), sparse=terms(3), limit=0)) == {"dense": [], "lexical": []}

    def test_ids_are_all_ids(self, index: VectorIndex) -> None:
        reference = _filled(index, 40)
        index.delete([*reference.points][:3])
        assert sorted(index.ids()) == sorted([*reference.points][3:])

    @pytest.mark.parametrize("optimized", [False, True])
    def test_which_of_some_ids_are_there(self, index: VectorIndex, optimized: bool) -> None:
        reference = _filled(index, 40)
        some = [*reference.points][:5]
        index.delete(some[:2])
        if optimized:
            index.optimize()
        assert index.present([*some, new_id(), "no id at all"]) == set(some[2:])
        assert index.present([]) == set()

    @pytest.mark.parametrize("optimized", [False, True])
    def test_what_was_flushed_is_there_when_reopened(self, index: VectorIndex, path: Path, optimized: bool) -> None:
        reference = _filled(index, 60)
        index.delete([*reference.points][:5])
        reference.delete([*reference.points][:5])
        if optimized:
            index.optimize()
        index.flush()
        index.close()
        reopened = self.reopen(path)
        assert sorted(reopened.ids()) == sorted(reference.points)
        found = reopened.search(dense=unit(4), sparse=terms(4), limit=60)
        assert_ranked(found["dense"], reference.dense(unit(4)), limit=60)
        assert_ranked(found["lexical"], reference.lexical(terms(4)), limit=60)
        assert reopened.count({"language": "de"}) == len(reference.passing({"language": "de"}))
        reopened.close()

    def test_a_deleted_point_is_in_no_answer(self, index: VectorIndex) -> None:
        _filled(index, 60)
        victim = marked_point(1)
        index.upsert([victim])
        for present in (True, False):
            found = index.search(dense=victim.dense, sparse=victim.sparse, limit=100, exact=True)
            named = {hit.chunk_id for hits in found.values() for hit in hits}
            assert (victim.chunk_id in named) == (victim.chunk_id in index.ids()) == present
            assert index.count(victim.fields) == index.count({"document_id": victim.document_id}) == int(present)
            index.delete([victim.chunk_id])
            index.optimize()

    @pytest.mark.parametrize("indexed", [False, True])
    def test_a_deleted_point_leaves_no_byte(self, index: VectorIndex, path: Path, indexed: bool) -> None:
        self.needs_files()
        _filled(index, 300)
        victim, witness = marked_point(1), marked_point(2)
        index.upsert([victim, witness])
        if indexed:
            index.optimize()
        index.flush()
        before = self.residue(path, victim)
        assert all(before.values()), f"blind probe: {before}"
        index.delete([victim.chunk_id])
        index.optimize()
        index.flush()
        assert self.residue(path, victim) == dict.fromkeys(before, 0)
        assert all(self.residue(path, witness).values())
        index.close()
        assert self.residue(path, victim) == dict.fromkeys(before, 0)

    def test_a_replaced_point_leaves_no_byte_of_its_former_self(self, index: VectorIndex, path: Path) -> None:
        self.needs_files()
        _filled(index, 300)
        old = marked_point(1)
        new = make_point(9, chunk_id=old.chunk_id)
        index.upsert([old])
        index.optimize()
        assert all(self.residue(path, old).values())
        index.upsert([new])
        index.optimize()
        index.flush()
        left = self.residue(path, old)
        assert left.pop("chunk id") > 0
        assert left == dict.fromkeys(left, 0)

    def needs_files(self) -> None:
        """Skip the test where files cannot be read."""
        if self.level != "physical":
            pytest.skip(f"what it proves is {self.level}: its files cannot be read")

    def residue(self, path: Path, point: Point) -> dict[str, int]:
        """How often the raw bytes of a point occur in the index's files, by kind of needle."""
        counts = dict.fromkeys(needles(point), 0)
        for file in self.raw_paths(path):
            content = file.read_bytes().rstrip(b"\0")  # engines allocate ahead
            for kind, forms in needles(point).items():
                counts[kind] += sum(content.count(form) for form in forms)
        return counts

    @pytest.mark.parametrize(
        "bad",
        [
            {"dense": np.full(DIM, np.nan, np.float32)},
            {"dense": np.full(DIM, np.inf, np.float32)},
            {"dense": np.ones(DIM + 1, np.float32)},
            {"dense": np.ones((1, DIM), np.float32)},
            {"dense": np.ones(0, np.float32)},
            {"sparse": SparseVector([2, 1], [1.0, 1.0])},
            {"sparse": SparseVector([1, 1], [1.0, 1.0])},
            {"sparse": SparseVector([1], [1.0, 1.0])},
            {"sparse": SparseVector([-1], [1.0])},
            {"sparse": SparseVector([2**32], [1.0])},
            {"sparse": SparseVector([1], [float("nan")])},
            {"chunk_id": "not-a-uuid"},
            {"chunk_id": "B8CB475D-1A14-4017-BECE-7D98FD17E8C0"},
            {"fields": {"title": "\ud800"}},
        ],
    )
    def test_a_malformed_point_is_refused_and_nothing_of_its_call_is_written(
        self, index: VectorIndex, bad: dict[str, object]
    ) -> None:
        with pytest.raises(EngineFault) as caught:
            index.upsert([make_point(1), make_point(2, **bad), make_point(3)])
        assert caught.value.hint
        assert index.count() == 0

    @pytest.mark.parametrize(
        "call",
        [
            lambda index: index.search(dense=np.full(DIM, np.nan, np.float32), limit=1),
            lambda index: index.search(dense=np.ones(DIM - 1, np.float32), limit=1),
            lambda index: index.search(sparse=SparseVector([3, 3], [1.0, 1.0]), limit=1),
            lambda index: index.search(dense=unit(1), limit=-1),
            lambda index: index.delete(["nobody"]),
        ],
    )
    def test_a_malformed_call_is_refused(self, index: VectorIndex, call: Callable[[VectorIndex], object]) -> None:
        index.upsert([make_point(1)])
        with pytest.raises(EngineFault) as caught:
            call(index)
        assert caught.value.hint
        assert index.count() == 1

    @pytest.mark.parametrize(
        "call",
        [
            lambda index: index.upsert([make_point(1)]),
            lambda index: index.delete([new_id()]),
            lambda index: index.optimize(),
            lambda index: index.flush(),
            lambda index: index.search(dense=unit(1), limit=1),
            lambda index: list(index.ids()),
            lambda index: index.present([new_id()]),
            lambda index: index.count(),
        ],
    )
    def test_a_closed_index_refuses_every_call(self, index: VectorIndex, call: Callable[[VectorIndex], object]) -> None:
        index.upsert([make_point(1)])
        index.close()
        index.close()
        with pytest.raises(EngineFault):
            call(index)

    def test_arguments_are_not_kept(self, index: VectorIndex) -> None:
        dense = unit(1).copy()
        index.upsert([make_point(1, dense=dense)])
        dense[:] = unit(2)
        (hit,) = index.search(dense=unit(1), limit=1)["dense"]
        assert hit.score == pytest.approx(1.0, abs=TOLERANCE)

    def test_any_sequence_of_calls_equals_the_reference(self, tmp_path: Path) -> None:
        make_index = self.make_index

        class Machine(_Machine):
            def __init__(self) -> None:
                super().__init__(make_index(tmp_path / new_id(), dim=DIM))

        run_state_machine_as_test(Machine, settings=settings(max_examples=12, stateful_step_count=15, deadline=None))


class _Machine(RuleBasedStateMachine):
    """Random calls on an index and on the reference; after each, both must answer alike."""

    seeds = st.integers(0, 11)

    def __init__(self, index: VectorIndex) -> None:
        super().__init__()
        self.index = index
        self.reference = Reference()

    @rule(chosen=st.lists(st.tuples(seeds, seeds), min_size=1, max_size=6))
    def upsert(self, chosen: list[tuple[int, int]]) -> None:
        points = [make_point(content, chunk_id=make_point(name).chunk_id) for name, content in chosen]
        self.index.upsert(points)
        self.reference.upsert(points)

    @rule(chosen=st.sets(seeds, min_size=1, max_size=4))
    def delete(self, chosen: set[int]) -> None:
        ids = [make_point(name).chunk_id for name in chosen]
        self.index.delete(ids)
        self.reference.delete(ids)

    @rule()
    def optimize(self) -> None:
        self.index.optimize()

    @rule(seed=seeds, limit=st.integers(1, 13), condition=st.sampled_from(CONDITIONS))
    def search(self, seed: int, limit: int, condition: Filter) -> None:
        found = self.index.search(dense=unit(seed), sparse=terms(seed), limit=limit, filter=condition)
        assert_ranked(found["dense"], self.reference.dense(unit(seed), condition), limit=limit)
        assert_ranked(found["lexical"], self.reference.lexical(terms(seed), condition), limit=limit)

    @invariant()
    def holds_the_same_points(self) -> None:
        assert sorted(self.index.ids()) == sorted(self.reference.points)
        assert self.index.count() == len(self.reference.points)

    def teardown(self) -> None:
        self.index.close()


def unit(seed: int, *, dim: int = DIM) -> Float32:
    """A vector of unit length, the same for the same seed."""
    vector = np.random.default_rng(seed).standard_normal(dim).astype(np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def terms(seed: int) -> SparseVector:
    """Some ten terms of a vocabulary of 30, the same for the same seed."""
    generator = np.random.default_rng(seed)
    indices = np.flatnonzero(generator.random(30) < 0.3)
    return SparseVector(indices.tolist(), np.round(generator.uniform(0.5, 2.0, len(indices)), 2).tolist())


def make_point(seed: int, **changes: object) -> Point:
    """A point that is the same for the same seed; term 0 is in all of them. ``changes`` replace its attributes."""
    generated = terms(seed + 500)
    indices, values = zip(*({0: 1.0} | _terms(generated)).items(), strict=True)
    attributes: dict[str, object] = {
        "chunk_id": str(uuid.UUID(bytes=np.random.default_rng(seed).bytes(16), version=4)),
        "document_id": f"document-{seed // 3}",
        "dense": unit(seed),
        "sparse": SparseVector(sorted(indices), [value for _, value in sorted(zip(indices, values, strict=True))]),
        "fields": {"language": "de" if seed % 2 else "en"},
    }
    return Point(**(attributes | changes))  # type: ignore[arg-type]


def marked_point(seed: int, *, dim: int = DIM) -> Point:
    """A point whose every part can be told from all others in raw bytes."""
    generator = np.random.default_rng(10_000 + seed)
    weights = generator.uniform(1.0, 2.0, 2).astype(np.float32).tolist()
    return make_point(
        10_000 + seed,
        dense=unit(10_000 + seed, dim=dim),
        document_id=str(uuid.UUID(bytes=generator.bytes(16), version=4)),
        sparse=SparseVector([1, 2], weights),
        fields={"subject": f"subject-{generator.bytes(8).hex()}"},
    )


def needles(point: Point) -> dict[str, tuple[bytes, ...]]:
    """The forms in which an engine may write the parts of a ``marked_point``."""
    chunk = uuid.UUID(point.chunk_id)
    return {
        "chunk id": (point.chunk_id.encode(), chunk.hex.encode(), chunk.bytes, chunk.bytes[::-1]),
        "document id": (point.document_id.encode(),),
        "field": tuple(value.encode() for value in point.fields.values()),
        "dense": tuple(point.dense[part].tobytes() for part in (slice(0, 4), slice(4, 8))),
        "terms": (np.array(point.sparse.values, np.float32).tobytes(),),
    }


def assert_ranked(found: Sequence[ScoredId], scores: Mapping[str, float], *, limit: int) -> None:
    """Fail unless ``found`` is the best ``limit`` of ``scores``, in order, within TOLERANCE of each score."""
    assert [(-hit.score, hit.chunk_id) for hit in found] == sorted((-hit.score, hit.chunk_id) for hit in found)
    assert len({hit.chunk_id for hit in found}) == len(found) == min(limit, len(scores))
    for hit, best in zip(found, sorted(scores.values(), reverse=True), strict=False):
        assert hit.score == pytest.approx(scores[hit.chunk_id], abs=TOLERANCE)
        assert hit.score == pytest.approx(best, abs=TOLERANCE)


def _filled(index: VectorIndex, count: int) -> Reference:
    reference = Reference()
    points = [make_point(seed) for seed in range(count)]
    reference.upsert(points)
    index.upsert(points)
    return reference


def _terms(vector: SparseVector) -> dict[int, float]:
    return dict(zip(vector.indices, vector.values, strict=True))


def _cosine(left: Float32, right: Float32) -> float:
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))


def _lists(found: Mapping[Leg, Sequence[ScoredId]]) -> dict[Leg, list[ScoredId]]:
    return {leg: list(hits) for leg, hits in found.items()}
