"""Searches of a real house through both rerankers: in one go, ahead in batches, and in little time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_encoders import tiny_cross_encoder

from freehold.cli.output import answer_json, found_json, print_found
from freehold.core.types import Query
from freehold.house import House
from freehold.journeys.ask import ask
from freehold.journeys.evaluate import candidates
from freehold.journeys.rerank import TextReranker, TokenReranker
from freehold.journeys.search import Engines, Plan, search
from freehold.models.cross_encoder import open_cross_encoder
from freehold.models.rerank import LateInteraction

THINGS = ("boat", "key", "rope", "lamp", "oar", "net", "sail", "anchor")
PLACES = ("shed", "office", "pier", "yard", "attic")
QUESTIONS = [f"Where is the {thing} kept?" for thing in THINGS]
PLAN = Plan()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Iterator[House]:
    root = tmp_path_factory.mktemp("harbour")
    rows = [
        {"_id": f"{thing}-{place}", "title": f"The {place}", "text": f"The {thing} of ship {n} is kept in the {place}."}
        for n, (thing, place) in enumerate((thing, place) for thing in THINGS for place in PLACES)
    ]
    (root / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with House.create(root / "house", {"house.name": "harbour"}) as house:
        house.ingest_beir(root)
        yield house


@pytest.fixture(scope="module", params=["own tokens", "other encoder", "cross-encoder"])
def engines(house: House, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    engines = house.engines()
    info = engines.embedder.info
    if request.param == "cross-encoder":
        model = open_cross_encoder(tiny_cross_encoder(tmp_path_factory.mktemp("pairs")), threads=2)
        return replace(engines, reranker=TextReranker(house.shelf, model))
    encoder = engines.embedder if request.param == "other encoder" else None
    reranker = TokenReranker(house.shelf, LateInteraction(info.dim), maker=info.digest, encoder=encoder)
    return replace(engines, reranker=reranker)


def test_what_runs_ahead_in_batches_is_what_a_search_ranks(engines: Engines) -> None:
    queries = [Query(f"q{n}", question) for n, question in enumerate(QUESTIONS * 5)]
    plans = [PLAN, replace(PLAN, rerank_depth=7), replace(PLAN, mode="lexical"), replace(PLAN, rerank_depth=0)]
    for query, found in candidates(queries, plans, engines):
        if int(query.id[1:]) < len(QUESTIONS):
            for plan in plans:
                hits = search(query, k=40, plan=plan, engines=engines).hits
                assert [h.chunk_id for h in hits] == [s.chunk_id for s in found.ranked(plan)][: len(hits)]
                assert [h.score for h in hits] == pytest.approx([s.score for s in found.ranked(plan)], abs=2e-3)


def test_a_search_tells_how_deep_it_was(engines: Engines, capsys: pytest.CaptureFixture[str]) -> None:
    assert engines.reranker is not None
    query = Query("q", QUESTIONS[0])
    whole = search(query, k=5, plan=PLAN, engines=engines)
    assert (whole.rerank_depth, whole.rerank_left) == (40, 0)
    assert whole.hits[0].unit == f"weighted+{engines.reranker.unit}"
    hasty = search(query, k=40, plan=replace(PLAN, rerank_budget_ms=1e-6), engines=engines)
    assert (hasty.rerank_depth, hasty.rerank_left) == (engines.reranker.block, 40 - engines.reranker.block)
    assert [hit.score >= 0 for hit in hasty.hits].count(True) == hasty.rerank_depth
    patient = search(query, k=5, plan=replace(PLAN, rerank_budget_ms=1e9), engines=engines)
    assert patient.hits == whole.hits
    told = found_json(hasty, explain=False)
    assert (told["rerank_depth"], told["rerank_left"]) == (hasty.rerank_depth, hasty.rerank_left)
    for found, shown in ((hasty, True), (whole, False)):
        print_found(found, explain=True)
        assert (f"reranked {hasty.rerank_depth} of 40" in capsys.readouterr().out) == shown
    bare = search(query, k=5, plan=replace(PLAN, rerank_depth=0), engines=engines)
    assert (bare.rerank_depth, bare.rerank_left, bare.hits[0].unit) == (0, 0, "weighted")


def test_an_answer_tells_how_deep_its_search_was(house: House, engines: Engines) -> None:
    assert engines.reranker is not None
    plan = replace(PLAN, rerank_budget_ms=1e-6)
    answer = ask(Query("q", QUESTIONS[0]), plan=plan, engines=engines, voice=house.voice())
    assert answer.trace.rerank_depth == engines.reranker.block
    assert answer.trace.rerank_left == 40 - engines.reranker.block
    assert answer.trace.models["reranker"] == engines.reranker.name
    assert answer_json(answer)["rerank_left"] == answer.trace.rerank_left
