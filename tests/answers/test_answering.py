"""Answers measured on a labelled set: by the alignment alone, and with a model as judge on a real socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freehold.core.errors import EndpointFault
from freehold.core.experiment import AnswerResult
from freehold.house import House
from freehold.measuring.evaluate import Request, evaluate
from simulator import Script, serving

PAPERS = {
    "kiln": "The kiln is fired every second Friday at six in the evening.",
    "sails": "Sails are mended in the loft above the chandlery in spring.",
    "bees": "The bees are kept behind the orchard and swarm in May.",
    "clock": "The tower clock is wound on Sundays by the verger.",
    "ferry": "The ferry to the island leaves at nine and returns at five.",
}
ASKED = {
    "kiln": "When is the kiln fired?",
    "sails": "Where are sails mended?",
    "bees": "Where are the bees kept?",
    "clock": "Who winds the tower clock?",
    "ferry": "When does the ferry leave for the island?",
}


@pytest.fixture
def labelled(tmp_path: Path, minilm: Path) -> tuple[Path, Path]:
    papers = tmp_path / "papers"
    papers.mkdir()
    rows = []
    for name, text in PAPERS.items():
        (papers / f"{name}.txt").write_text(text)
        place = {"source": name, "quote": text}
        rows.append({"id": name, "query": ASKED[name], "relevant": [place], "answers": [text], "answerable": True})
    rows += [{"id": f"none{n}", "query": f"What is the capital of planet {n}?", "answerable": False} for n in range(2)]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return papers, path


def answers(house: House, labelled: tuple[Path, Path]) -> AnswerResult:
    papers, questions = labelled
    house.ingest([papers])
    request = Request(questions, answers=True, searches=0, resamples=1_000)
    found = evaluate(house, request, progress=lambda *_: None).experiment.answers
    assert found is not None
    return found


def test_the_alignment_judges_by_default(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    with House.create(tmp_path / "house", {"house.name": "answers"}) as house:
        found = answers(house, labelled)
    values = {row.measure: row for row in found.measures}
    assert values["citation-R"].value == 1.0
    assert values["citation-P"].value == 1.0
    assert values["F1"].value is not None
    assert values["F1"].value > 0.5
    assert values["abstention-R"].queries == 2
    assert [judge.judge for judge in found.judges] == ["alignment with all-minilm-l6-v2"]
    assert found.latency_ms["total"].n == 7
    assert not found.failed


def test_a_model_judges_too_where_one_is_set(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    script = Script(replies=[["NOT_SUPPORTED"]])
    with serving(script) as url:
        values = {"house.name": "judged", "judge.kind": "openai", "judge.model": "m", "judge.endpoint": url}
        with House.create(tmp_path / "house", values) as house:
            found = answers(house, labelled)
    support = next(row for row in found.measures if row.measure == "support")
    assert support.value == 0.0  # the model finds fault with everything
    assert len(found.judges) == 3
    assert found.judges[1].specificity == 1.0
    assert found.judges[1].sensitivity == 0.0
    corrected = next(row for row in found.measures if row.measure == "support-corrected")
    assert corrected.value is None
    assert "chance" in corrected.reason


def test_a_judge_that_fails_does_so_before_anything_is_asked(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    script = Script(replies=[["no verdict at all"]])
    with serving(script) as url:
        values = {"house.name": "failing", "judge.kind": "openai", "judge.model": "m", "judge.endpoint": url}
        with House.create(tmp_path / "house", values) as house, pytest.raises(EndpointFault, match="verdict"):
            answers(house, labelled)
        assert script.chats == 2
