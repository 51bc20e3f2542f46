"""What a caller finds is what is theirs to see: all of it, and nothing else, whatever the index holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.core.access import FIELD, Caller, Groups, checked, label, of_label
from freehold.core.errors import StorageFault, UsageError
from freehold.core.ids import new_id, sha256_hex
from freehold.core.shelf import Changes, Entry, Vectors
from freehold.core.types import Chunk, Document, Embeddings, Leg, ModelInfo, Point, Query, ScoredId
from freehold.index.qdrant_edge import QdrantEdgeIndex
from freehold.journeys.search import Candidates, Engines, Plan, question, search
from freehold.store.shelf import HouseShelf
from freehold.text.terms import TermAnalyzer

DIM = 16
MAKER = "the encoder's digest"
NAMES = ("audit", "board", "claims", "legal")
SUBJECTS = ("kilns", "sails", "bees", "clocks", "barges", "looms", "wells", "ovens", "mills", "quays")
PLANS = (Plan(mode="dense"), Plan(mode="lexical"), Plan(), Plan(fusion="rrf"), Plan(candidates=3))

groups = st.sets(st.sampled_from(NAMES), max_size=3).map(lambda names: tuple(sorted(names)))
callers = st.sets(st.sampled_from((*NAMES, "nobody")), max_size=3).map(lambda names: Caller(frozenset(names)))
belongings = st.lists(groups, min_size=len(SUBJECTS), max_size=len(SUBJECTS))


class Numbers:
    """Texts to vectors that tell them apart, the same for the same text."""

    info = ModelInfo("numbers", MAKER, DIM, 256)
    overhead_tokens = 2

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [(0, len(text))]

    def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embeddings:
        return Embeddings(np.stack([vector(text) for text in texts]))


def vector(text: str) -> np.ndarray:
    made = np.random.default_rng(list(text.encode())).standard_normal(DIM)
    return (made / np.linalg.norm(made)).astype(np.float32)


TERMS = TermAnalyzer(("en",))


def entry(subject: str, metadata: Mapping[str, str]) -> Entry:
    texts = [f"The {subject} are looked after in spring.", f"In autumn the {subject} are paid for by the parish."]
    text = " ".join(texts)
    document = Document(new_id(), f"{subject}.txt", subject, text, "en", metadata=metadata)
    starts = (0, len(texts[0]) + 1)
    chunks = tuple(
        Chunk(new_id(), document.id, n, start, start + len(piece), piece)
        for n, (start, piece) in enumerate(zip(starts, texts, strict=True))
    )
    return Entry(
        document=document,
        sha256=sha256_hex(text.encode()),
        recipe="r",
        signature=b"\1" * 16,
        chunks=chunks,
        keys=tuple(chunk.id.encode() for chunk in chunks),
        vectors=tuple(Vectors(vector(chunk.text), None) for chunk in chunks),
        maker=MAKER,
    )


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HouseShelf]:
    """Ten documents of two chunks. What they say of themselves would open them to all, if it were believed."""
    shelf = HouseShelf(tmp_path_factory.mktemp("callers"))
    said = {FIELD: "", "access": "", "groups": ""}
    shelf.commit(Changes(add=[entry(subject, said) for subject in SUBJECTS]))
    yield shelf
    shelf.close()


def regroup(shelf: HouseShelf, theirs: Sequence[Groups]) -> None:
    ids = [shelf.known()[f"{subject}.txt"].document_id for subject in SUBJECTS]
    shelf.commit(Changes(access=dict(zip(ids, theirs, strict=True))))


_places = itertools.count()


def indexed(shelf: HouseShelf, folder: Path, changes: Mapping[str, Mapping[str, str]] | None = None) -> QdrantEdgeIndex:
    """An index of all that is on the shelf; ``changes``: document id -> fields that are wrong in it."""
    index = QdrantEdgeIndex.create(folder / f"index-{next(_places)}", dim=DIM)
    points = [
        Point(
            item.view.chunk.id,
            item.view.chunk.document_id,
            item.dense,
            TERMS.document(item.view.chunk.text, "en"),
            {**item.fields, **(changes or {}).get(item.view.chunk.document_id, {})},
        )
        for item in shelf.indexable(sorted(shelf.chunk_ids()), MAKER)
    ]
    index.upsert(points)
    return index


def engines(shelf: HouseShelf, index: QdrantEdgeIndex) -> Engines:
    return Engines(shelf, index, Numbers(), TERMS, None)  # type: ignore[arg-type]


def ask(text: str, caller: Caller | None) -> Query:
    return question(text, embedder=Numbers(), caller=caller)  # type: ignore[arg-type]


def by_hand(query: Query, caller: Caller, plan: Plan, k: int, engines: Engines) -> list[ScoredId]:
    """All of both legs, exactly; what is not the caller's taken out; the rest as the plan ranks it."""
    chunks = engines.shelf.views(engines.shelf.chunk_ids())
    belong = {id: engines.shelf.document(view.chunk.document_id).groups for id, view in chunks.items()}
    legs = engines.index.search(dense=vector(query.text), sparse=TERMS.query(query.text), limit=len(chunks), exact=True)
    theirs: dict[Leg, list[ScoredId]] = {
        leg: [s for s in found if not belong[s.chunk_id] or set(belong[s.chunk_id]) & caller.groups]
        for leg, found in legs.items()
    }
    ranked, _ = Candidates(theirs, None, None).first_stage(plan, depth=max(plan.candidates, k))
    return ranked[:k]


@given(theirs=belongings, caller=callers, subjects=st.sets(st.sampled_from(SUBJECTS), min_size=1, max_size=3))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_caller_finds_what_an_exact_search_filtered_by_hand_finds(
    shelf: HouseShelf, tmp_path: Path, theirs: list[Groups], caller: Caller, subjects: set[str]
) -> None:
    regroup(shelf, theirs)
    index = indexed(shelf, tmp_path)
    house = engines(shelf, index)
    query = ask(f"who pays for {' and '.join(sorted(subjects))} in autumn", caller)
    for plan in PLANS:
        for k in (2, 50):
            found = search(query, k=k, plan=plan, engines=house).hits
            expected = by_hand(query, caller, plan, k, house)
            assert [hit.chunk_id for hit in found] == [scored.chunk_id for scored in expected]
            assert [hit.score for hit in found] == pytest.approx([scored.score for scored in expected], abs=1e-5)
    index.close()


@given(before=belongings, after=belongings, caller=callers)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_while_the_index_is_behind_nobody_sees_what_they_do_not_see_before_and_after(
    shelf: HouseShelf, tmp_path: Path, before: list[Groups], after: list[Groups], caller: Caller
) -> None:
    regroup(shelf, before)
    index = indexed(shelf, tmp_path)
    regroup(shelf, after)
    both = {
        f"{subject}.txt"
        for subject, *sets in zip(SUBJECTS, before, after, strict=True)
        if all(caller.sees(one) for one in sets)
    }
    same = {f"{s}.txt" for s, old, new in zip(SUBJECTS, before, after, strict=True) if old == new}
    for plan in PLANS[:3]:
        hits = search(ask("who pays in autumn", caller), k=50, plan=plan, engines=engines(shelf, index)).hits
        assert {hit.source for hit in hits} <= both
        if plan.mode != "lexical":
            assert both & same <= {hit.source for hit in hits}
    index.close()


@pytest.mark.parametrize("planted", ["", "legal", "board,legal", "nobody"])
@pytest.mark.parametrize("plan", PLANS[:3])
def test_a_wrong_index_entry_leaks_nothing_and_changes_no_score(
    shelf: HouseShelf, tmp_path: Path, planted: str, plan: Plan
) -> None:
    regroup(shelf, [("claims",), *[()] * 4, *[("legal",)] * 5])
    secret = shelf.known()["kilns.txt"].document_id
    right, wrong = indexed(shelf, tmp_path), indexed(shelf, tmp_path, {secret: {FIELD: planted}})
    for caller in (Caller(), Caller(frozenset({"legal"})), Caller(frozenset({"nobody"}))):
        query = ask("who looks after the kilns in spring", caller)
        found = search(query, k=50, plan=plan, engines=engines(shelf, wrong)).hits
        assert "kilns.txt" not in {hit.source for hit in found}
        expected = search(query, k=50, plan=plan, engines=engines(shelf, right)).hits
        assert [(hit.chunk_id, hit.score) for hit in found] == [(hit.chunk_id, hit.score) for hit in expected]
    opened = search(
        ask("kilns", Caller(frozenset({"claims"}))), k=1, plan=Plan(mode="dense"), engines=engines(shelf, right)
    )
    assert opened.hits
    right.close()
    wrong.close()


def test_the_catalog_shows_a_caller_what_is_theirs(shelf: HouseShelf) -> None:
    regroup(shelf, [("claims",), ("claims", "legal"), *[()] * 8])
    kilns, sails, bees = (shelf.known()[f"{s}.txt"].document_id for s in SUBJECTS[:3])
    chunks = shelf.chunks_of([kilns, sails, bees])
    for caller, theirs in (
        (Caller(frozenset({"claims"})), {kilns, sails, bees}),
        (Caller(frozenset({"legal", "nobody"})), {sails, bees}),
        (Caller(), {bees}),
    ):
        assert {view.chunk.document_id for view in shelf.views(chunks, caller).values()} == theirs
        assert shelf.seen(chunks, caller) == shelf.chunks_of(theirs)
        for document_id in (kilns, sails, bees):
            if document_id in theirs:
                assert shelf.document_for(document_id, caller) == shelf.document(document_id)
            else:
                with pytest.raises(StorageFault) as hidden:
                    shelf.document_for(document_id, caller)
                with pytest.raises(StorageFault) as missing:
                    shelf.document_for(new_id(), caller)
                assert (hidden.value.message, hidden.value.hint) == (missing.value.message, missing.value.hint)
    assert shelf.document_for(kilns, None).groups == ("claims",)
    assert sorted(shelf.labels(Caller(frozenset({"legal"})))) == ["", "claims,legal"]
    assert sorted(shelf.labels(Caller(frozenset(NAMES)))) == ["", "claims", "claims,legal"]


def test_what_is_restricted_is_read_by_no_caller(shelf: HouseShelf) -> None:
    regroup(shelf, [()] * len(SUBJECTS))
    kilns = shelf.known()["kilns.txt"].document_id
    shelf.restrict([kilns], "restriction:1")
    for caller in (None, Caller(), Caller(frozenset(NAMES))):
        with pytest.raises(StorageFault, match="no such document"):
            shelf.document_for(kilns, caller)
    assert not shelf.seen(shelf.chunks_of([kilns]), Caller())
    shelf.lift("restriction:1")


def test_a_query_cannot_name_the_house_s_own_field(shelf: HouseShelf, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the house's own"):
        question("kilns", embedder=Numbers(), filter={FIELD: ""})  # type: ignore[arg-type]
    regroup(shelf, [("claims",), *[()] * 9])
    index = indexed(shelf, tmp_path)
    for condition in ({FIELD: "claims"}, {FIELD: ["", "claims"]}, {"access": "", "groups": ""}):
        forged = Query(new_id(), "kilns", condition, Caller())  # as no walk makes it
        assert "kilns.txt" not in {
            h.source for h in search(forged, k=50, plan=Plan(), engines=engines(shelf, index)).hits
        }
    index.close()


@given(one=groups, other=groups)
def test_a_label_names_one_set(one: Groups, other: Groups) -> None:
    assert of_label(label(one)) == one
    assert (label(one) == label(other)) == (set(one) == set(other))


@pytest.mark.parametrize("name", ["", "A", "a b", "a,b", "-a", "é", "a" * 65, "a\n", "a\0"])
def test_what_is_no_name_of_a_group_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name of a group"):
        checked(["fine", name])
