"""Parts share nothing, whatever hangs together, and near questions are all found."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.shelf import ChunkView, Known, Place
from freehold.core.types import Chunk
from freehold.journeys.examples import Chunks, Pair
from freehold.journeys.leakage import Sameness, apart, hold_out, leaked, near_sets
from freehold.text.terms import TermAnalyzer

SETS = st.dictionaries(st.integers(0, 60), st.frozensets(st.integers(0, 12), max_size=8), max_size=40)


@given(SETS, st.sampled_from([0.5, 0.6, 0.8, 0.9, 1.0]))
def test_no_near_question_is_missed_and_none_is_invented(sets: Mapping[int, frozenset[int]], threshold: float) -> None:
    keys = sorted(key for key in sets if sets[key])
    near = {
        (a, b)
        for a in keys
        for b in keys
        if a < b and len(sets[a] & sets[b]) / len(sets[a] | sets[b]) >= threshold - 1e-9
    }
    found = [tuple(sorted(two)) for two in near_sets(sets, threshold)]
    assert len(found) == len(set(found))
    assert set(found) == near


@dataclass
class Paper:
    """A shelf of one-chunk and many-chunk documents: chunk ``d3.1`` is the second of document ``d3``."""

    texts: Mapping[str, str]

    def chunk_ids(self, maker: str | None = None) -> set[str]:
        return set(self.texts)

    def places(self, chunk_ids: Collection[str]) -> dict[str, Place]:
        starts = {id: 1000 * int(id.partition(".")[2]) for id in chunk_ids if id in self.texts}
        return {id: Place(id.partition(".")[0], start, start + len(self.texts[id])) for id, start in starts.items()}

    def known(self) -> dict[str, Known]:
        return {source: Known(f"id of {source}", "", "") for source in {id.partition(".")[0] for id in self.texts}}

    def views(self, chunk_ids: Collection[str]) -> dict[str, ChunkView]:
        return {
            id: ChunkView(Chunk(id, "", 0, 0, 0, self.texts[id]), id.partition(".")[0], "", "en")
            for id in chunk_ids
            if id in self.texts
        }


def pair(key: str, query: str, *relevant: str, people: Collection[str] = (), whole: bool = False) -> Pair:
    documents = frozenset(f"id of {id.partition('.')[0]}" for id in relevant) if whole else frozenset[str]()
    return Pair(key, query, query, relevant, (), frozenset(), documents, "qrels", people=frozenset(people))


def parts_of(texts: Mapping[str, str]) -> tuple[Chunks, Sameness]:
    shelf: Any = Paper(texts)
    chunks = Chunks(shelf)
    return chunks, Sameness(shelf, chunks, TermAnalyzer(("en",)))


WORDS = ("alder", "ash", "beech", "birch", "cedar", "cherry", "elder", "elm", "fir", "hazel", "holly", "larch", "lime")


def sentence(seed: object, length: int = 20) -> str:
    rng = random.Random(str(seed))
    return " ".join(rng.choices(WORDS, k=length))


@st.composite
def pools(draw: st.DrawFn) -> tuple[dict[str, str], list[Pair]]:
    """Some pairs over some documents: loose, knotted together, or all about one."""
    documents, passages, people = draw(st.integers(1, 30)), draw(st.integers(1, 4)), draw(st.integers(0, 4))
    texts = {f"d{d}.{c}": sentence((d, c)) for d in range(documents) for c in range(passages)}
    chunk = st.sampled_from(sorted(texts))
    pairs = []
    for n in range(draw(st.integers(5, 50))):
        asked_by = [f"p{draw(st.integers(1, people))}"] if people and draw(st.booleans()) else []
        relevant = draw(st.lists(chunk, min_size=1, max_size=3, unique=True))
        pairs.append(pair(f"q{n}", f"{sentence(n, 6)} {n}", *relevant, people=asked_by))
    return texts, pairs


def shared(level: str, one: Pair, other: Pair, chunks: Chunks) -> bool:
    if level == "document or person":
        together = bool(chunks.documents(one.relevant) & chunks.documents(other.relevant))
    else:
        together = not set(one.relevant).isdisjoint(other.relevant)
    return together or (level != "passage" and bool(one.people & other.people))


@given(pools(), st.integers(0, 3), st.randoms())
def test_nothing_is_on_both_sides(pool: tuple[dict[str, str], list[Pair]], seed: int, rng: random.Random) -> None:
    texts, pairs = pool
    chunks, sameness = parts_of(texts)
    parting = hold_out(pairs, range(len(pairs)), share=0.2, seed=seed, chunks=chunks, sameness=sameness)
    train, dev = [pairs[p] for p in parting.train], [pairs[p] for p in parting.dev]
    assert 1 <= len(dev) <= max(1, round(len(pairs) / 5))
    assert not set(parting.train) & set(parting.dev)
    assert not any(shared(parting.level, one, other, chunks) for one in train for other in dev)
    # Another order of the same questions gives the same parts.
    shuffled = rng.sample(pairs, len(pairs))
    again = hold_out(shuffled, range(len(pairs)), share=0.2, seed=seed, chunks=chunks, sameness=sameness)
    assert {shuffled[p].key for p in again.dev} == {one.key for one in dev}
    assert {shuffled[p].key for p in again.train} == {one.key for one in train}


@given(pools())
def test_a_given_dev_part_is_kept_apart(pool: tuple[dict[str, str], list[Pair]]) -> None:
    texts, pairs = pool
    chunks, _ = parts_of(texts)
    train, dev = pairs[2:], pairs[:2]
    kept, level = apart(train, dev, chunks=chunks)
    assert not any(shared(level, train[p], other, chunks) for p in kept for other in dev)
    assert all(any(shared(level, train[p], d, chunks) for d in dev) for p in set(range(len(train))) - set(kept))


def test_documents_are_kept_whole_where_they_can_be() -> None:
    texts = {f"d{d}.{c}": sentence((d, c)) for d in range(40) for c in range(3)}
    pairs = [pair(f"q{d}.{c}", f"{sentence((d, c), 7)} {d} {c}", f"d{d}.{c}") for d in range(40) for c in range(3)]
    chunks, sameness = parts_of(texts)
    parting = hold_out(pairs, range(len(pairs)), share=0.2, seed=0, chunks=chunks, sameness=sameness)
    assert parting.level == "document or person"
    assert len(parting.dev) == 24
    assert len(parting.train) == 96
    other = hold_out(pairs, range(len(pairs)), share=0.2, seed=1, chunks=chunks, sameness=sameness)
    assert parting.dev != other.dev


def test_one_handbook_is_parted_by_passages() -> None:
    texts = {f"book.{c}": sentence(c) for c in range(60)}
    pairs = [pair(f"q{c}", f"{sentence(c, 7)} {c}", f"book.{c}") for c in range(60)]
    chunks, sameness = parts_of(texts)
    parting = hold_out(pairs, range(60), share=0.2, seed=0, chunks=chunks, sameness=sameness)
    assert (parting.level, len(parting.dev), len(parting.train)) == ("passage or person", 12, 48)


def test_where_all_hangs_together_the_loosest_go_and_those_beside_them_go_nowhere() -> None:
    texts = {f"book.{c}": sentence(c) for c in range(61)}
    ring = [pair(f"q{c}", f"{sentence(c, 7)} {c}", f"book.{c}", f"book.{(c + 1) % 60}") for c in range(60)]
    chunks, sameness = parts_of(texts)
    parting = hold_out(ring, range(60), share=0.1, seed=0, chunks=chunks, sameness=sameness)
    assert parting.level == "passage"
    assert len(parting.dev) == 6
    assert len(parting.train) + len(parting.dev) < 60


def test_only_eligible_questions_are_held_out() -> None:
    texts = {f"d{d}.0": sentence(d) for d in range(50)}
    pairs = [pair(f"q{n}", f"{sentence(n, 7)} {n}", f"d{n % 50}.0") for n in range(100)]
    chunks, sameness = parts_of(texts)
    parting = hold_out(pairs, range(50), share=0.2, seed=0, chunks=chunks, sameness=sameness)
    assert len(parting.dev) == 10
    assert max(parting.dev) < 50
    assert len(parting.train) == 80  # the other question about each document is in neither


RENT = "The holder of the plot pays twenty pounds a year to the treasurer, in March, by cheque or in cash, or by post."
TEXTS = {
    "a.0": RENT,
    "b.0": RENT.replace("twenty", "thirty"),
    "c.0": "Hoses may run before nine in the morning and after six in the evening, never at noon or in a drought.",
    "e.0": "Sheds are of wood, two paces from the path, green or brown, and without a cellar under the floor.",
    "f.0": "Either side ends the lease by a letter that arrives in time, and digs the plot over before leaving.",
}


@pytest.mark.parametrize(
    ("query", "relevant", "is_leak"),
    [
        ("When does the holder pay the yearly rent of a plot", "a.0", True),  # the same question and passage
        ("when does the holder pay, the yearly rent of a plot?", "e.0", True),  # its words, of another passage
        ("When does a holder pay the yearly rents of the plots?", "b.0", True),  # near words, near passage
        ("When does a holder pay the yearly rents of the plots?", "c.0", False),  # near words, another passage
        ("Is cash taken?", "a.0", False),  # another question of the same passage
    ],
)
def test_what_a_held_out_question_gives_away(query: str, relevant: str, *, is_leak: bool) -> None:
    _, sameness = parts_of(TEXTS)
    held_out = [pair("h", "When does the holder pay the yearly rent of a plot?", "a.0")]
    train = [pair("other", "May a shed have a cellar?", "e.0"), pair("t", query, relevant)]
    assert leaked(train, held_out, sameness) == ({1} if is_leak else set())


def test_a_form_filled_in_for_each_document_is_no_leak_but_about_the_same_one_it_is() -> None:
    _, sameness = parts_of(TEXTS)
    form = "Is the receiving party named?"
    train = [pair(f"t{id}", form, f"{id}.0", whole=True) for id in "cef"]
    assert leaked(train, [pair("h", form, "a.0", whole=True)], sameness) == set()
    assert leaked(train, [pair("h", form, "a.0", "e.0", whole=True)], sameness) == {1}
    # Asked of two or three documents it is a question like any other.
    assert leaked(train[:2], [pair("h", form, "a.0")], sameness) == {0, 1}


def test_near_questions_of_near_passages_stay_together() -> None:
    chunks, sameness = parts_of(TEXTS)
    near = [pair("1", "When is the rent of a plot due?", "a.0"), pair("2", "when is rent of plots due", "b.0")]
    far = [pair(f"far{n}", f"{sentence(n, 8)} {n}", id) for n, id in enumerate(["c.0", "e.0", "f.0"])]
    for seed in range(20):
        parting = hold_out([*near, *far], range(5), share=0.4, seed=seed, chunks=chunks, sameness=sameness)
        assert len({0, 1} & set(parting.dev)) != 1


def test_people_stay_together() -> None:
    texts = {f"d{d}.0": sentence(d) for d in range(30)}
    pairs = [pair(f"q{n}", f"{sentence(n, 7)} {n}", f"d{n}.0", people=[f"p{n % 10}"]) for n in range(30)]
    chunks, sameness = parts_of(texts)
    parting = hold_out(pairs, range(30), share=0.2, seed=0, chunks=chunks, sameness=sameness)
    assert parting.level == "document or person"
    assert len(parting.dev) == 6
    assert len({n % 10 for n in parting.dev}) == 2
    # Where one person asks everything, that person cannot be kept on one side.
    alone = [replace(one, people=frozenset({"p"})) for one in pairs]
    assert hold_out(alone, range(30), share=0.2, seed=0, chunks=chunks, sameness=sameness).level == "passage"
