"""A house whose vectors lie on a Qdrant server: found as in any house, erased and certified for what can be shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import practice
import pytest
from practice import SUBJECT, TRACES, freehold, told

pytest.importorskip("qdrant_client")
from qdrant_client import models

from freehold.core.errors import FreeholdError
from freehold.core.ids import new_id
from freehold.erasing.verify import verify
from freehold.erasing.walk import requests_of
from freehold.house import House, open_house
from freehold.measuring.tune import _trial_house
from freehold.proof import verify as offline
from qdrant_stand_in import StandIn, served

QUESTIONS = ("broken window", "kettle exploded at noon", "excess of the windscreen", "HH-4471-09823")


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn(api_key="kestrel")


@pytest.fixture
def url(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("QDRANT_KEY", "kestrel")
    with served(stand_in) as address:
        yield address


def on(url: str) -> str:
    return f'kind = "qdrant"\nendpoint = "{url}"\napi_key = {{ env = "QDRANT_KEY" }}\ntimeout_s = 5.0\n'


def moved(house: Path, settings: str) -> Path:
    """A house with another [index] section."""
    path = house / "freehold.toml"
    head, _, rest = path.read_text().partition("[index]\n")
    path.write_text(f"{head}[index]\n{settings}[{rest.partition('[')[2]}")
    return house


@pytest.fixture
def house(made: Path, tmp_path: Path, url: str) -> Path:
    """The practice's papers, ingested into a house on the server by the command."""
    shutil.copytree(made.parent / "papers", tmp_path / "papers")
    with House.create(tmp_path / "house", {"house.name": "practice", "house.languages": ("en",)}):
        pass
    moved(tmp_path / "house", on(url))
    assert told("ingest", str(tmp_path / "papers"), house=tmp_path / "house")
    return tmp_path / "house"


def found(question: str, house: Path) -> list[tuple[str, float]]:
    with open_house(house) as opened:
        return [(hit.text, hit.score) for hit in opened.search(question).hits]


def points(stand_in: StandIn) -> set[str]:
    names = [one.name for one in stand_in.client.get_collections().collections]
    return {str(record.id) for name in names for record in stand_in.client.scroll(name, limit=10_000)[0]}


def faulty(house: Path, *arguments: str) -> dict[str, Any]:
    """The error with which a command ends."""
    result = freehold(*arguments, "--json", house=house)
    assert result.returncode == 70, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    error: dict[str, Any] = json.loads(result.stdout or result.stderr)["error"]
    assert error["hint"]
    return error


def test_the_setting_is_all_that_changes(made: Path, house: Path, stand_in: StandIn) -> None:
    assert not (house / "index").exists()
    assert told("search", QUESTIONS[0], house=house)["hits"][0]["text"] == found(QUESTIONS[0], made)[0][0]
    for question in QUESTIONS:
        here, there = found(question, house), found(question, made)
        assert [text for text, _ in here] == [text for text, _ in there]
        assert [score for _, score in here] == pytest.approx([score for _, score in there], abs=1e-3)
    with open_house(house) as opened:
        assert points(stand_in) == opened.shelf.chunk_ids()
    stored = json.dumps([r.model_dump() for n in stand_in.client.get_collections().collections
                         for r in stand_in.client.scroll(n.name, limit=100)[0]], default=str).lower()  # fmt: skip
    assert not [word for word in (*TRACES, "windscreen", "papers") if word in stored]  # no word of any text


def test_a_person_is_erased_and_the_certificate_says_how_far(house: Path, stand_in: StandIn) -> None:
    with open_house(house) as opened:
        before = opened.shelf.chunk_ids()
    outcome = told("erase", *SUBJECT, "--yes", house=house)
    assert outcome["verdict"] == "COMPLETE"
    path = next(house.glob("requests/*/certificate.json"))
    certificate = offline.verify(json.loads(path.read_bytes()))
    levels = {store["holder"]: (store["level"], store["action"]) for store in certificate["stores"]}
    assert levels["index"] == ("logical", "deleted")
    assert levels["catalog"] == ("physical", "deleted")
    assert "index-server" in certificate["notReached"]
    probe = next(probe for probe in certificate["probes"] if probe["id"] == "served-vectors")
    assert probe["controlHits"] > 0
    assert (probe["hits"], probe["verdict"]) == (0, "pass")
    with open_house(house) as opened:
        assert points(stand_in) == opened.shelf.chunk_ids() != before
    assert len(stand_in.client.get_collections().collections) == 1
    assert not practice.residue(house, *TRACES)
    assert not [text for text, _ in found("kettle exploded at noon", house) if "kettle" in text]


def test_what_a_server_still_gives_back_fails_the_certificate(house: Path, stand_in: StandIn) -> None:
    name = json.loads((house / "qdrant" / "current.json").read_bytes())["name"]
    kept = stand_in.client.scroll(name, limit=100, with_vectors=True)[0]
    told("erase", *SUBJECT, "--yes", house=house)
    left = stand_in.client.get_collections().collections[0].name
    here = points(stand_in)
    gone = [record for record in kept if str(record.id) not in here]
    assert gone
    with open_house(house) as opened:
        (request,) = requests_of(opened).all()

        def hits() -> int:
            probes = verify(opened, request, lambda *_: None).probes
            return next(probe for probe in probes if probe.id == "served-vectors").hits

        assert hits() == 0
        for id in (str(gone[0].id), new_id()):  # as it was, and its vector under another id
            back = models.PointStruct(id=id, vector=gone[0].vector, payload={})
            stand_in.client.upsert(left, [back])
            assert hits() >= 1
            stand_in.client.delete(left, [id])
        assert hits() == 0


def test_a_server_that_is_away_stops_an_erasure_and_the_same_command_goes_on(house: Path, stand_in: StandIn) -> None:
    stand_in.faults = {"status": 503}
    error = faulty(house, "erase", *SUBJECT, "--yes")
    assert error["code"] == "endpoint"
    assert not list(house.glob("requests/*/certificate.json"))
    stand_in.faults = {}
    assert not [text for text, _ in found("kettle exploded at noon", house) if "kettle" in text]
    assert told("erase", *SUBJECT, "--yes", house=house)["verdict"] == "COMPLETE"
    with open_house(house) as opened:
        assert points(stand_in) == opened.shelf.chunk_ids()


@pytest.mark.parametrize("step", ["index.before_swap", "index.dropped"])
def test_killed_on_the_server_an_erasure_is_finished_by_the_same_command(house: Path, stand_in: StandIn, step) -> None:
    assert freehold("erase", *SUBJECT, "--yes", house=house, kill_at=step).returncode == -9
    assert not [text for text, _ in found("kettle exploded at noon", house) if "kettle" in text]
    assert told("erase", *SUBJECT, "--yes", house=house)["verdict"] == "COMPLETE"
    with open_house(house) as opened:
        assert points(stand_in) == opened.shelf.chunk_ids()
    assert len(stand_in.client.get_collections().collections) == 1


def test_trial_houses_of_a_search_over_settings_stay_off_the_server(house: Path, stand_in: StandIn, tmp_path) -> None:
    before = points(stand_in)
    with open_house(house) as opened, ExitStack() as stack:
        trial = _trial_house(opened, {}, "tokens:128", {"chunking.max_tokens": 128}, tmp_path, stack, lambda *_: None)
        assert trial.settings.index.kind == "qdrant-edge"
        assert trial.search("broken window").hits
    assert points(stand_in) == before


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ({"status": 500}, "endpoint"),
        ({"status": 429}, "endpoint"),
        ({"status": 401}, "endpoint"),
        ({"cut": "broken off"}, "endpoint"),
        ({"cut": "short"}, "endpoint"),
        ({"foreign": 7}, "engine"),
    ],
    ids=str,
)
def test_a_failing_server_is_told_of_and_shows_nothing(house: Path, stand_in: StandIn, faults, code) -> None:
    stand_in.faults = dict(faults)
    with open_house(house) as opened, pytest.raises(FreeholdError) as caught:
        opened.search("broken window")
    assert caught.value.code == code
    assert caught.value.hint
    stand_in.faults = {}
    assert found("broken window", house)


def test_what_was_ingested_while_no_server_was_there_is_found_when_it_is(house: Path, url: str, tmp_path: Path) -> None:
    moved(house, on("http://127.0.0.1:9"))
    (tmp_path / "papers" / "new.txt").write_text("Hedges are cut in February, and never in May.")
    for arguments in (("ingest", str(tmp_path / "papers")), ("search", "hedges")):
        assert "cannot be reached" in faulty(house, *arguments)["message"]
    moved(house, on(url))
    assert "Hedges" in found("when are hedges cut", house)[0][0]


def test_points_of_somebody_else_are_never_shown(house: Path, stand_in: StandIn) -> None:
    name = stand_in.client.get_collections().collections[0].name
    (record, *_), _ = stand_in.client.scroll(name, with_vectors=True)
    before = {question: found(question, house) for question in QUESTIONS}
    for _ in range(5):
        stand_in.client.upsert(name, [models.PointStruct(id=new_id(), vector=record.vector, payload=record.payload)])
    for question in QUESTIONS:
        assert {text for text, _ in found(question, house)} == {text for text, _ in before[question]}


def test_an_index_that_the_server_lost_is_built_again_from_the_record(house: Path, stand_in: StandIn) -> None:
    before = [text for text, _ in found("broken window", house)]
    stand_in.client.delete_collection(stand_in.client.get_collections().collections[0].name)
    assert [text for text, _ in found("broken window", house)] == before
    with open_house(house) as opened:
        assert points(stand_in) == opened.shelf.chunk_ids()


def test_a_house_can_move_to_a_server_and_back(own: Path, stand_in: StandIn, url: str) -> None:
    before = [text for text, _ in found("broken window", own)]
    moved(own, on(url))
    assert [text for text, _ in found("broken window", own)] == before
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    assert not (own / "index").exists()  # with the vectors of who was erased
    moved(own, 'kind = "qdrant-edge"\n')
    assert found("excess of the windscreen", own)
    told("erase", "--subject", "name=Bertil Ekholm", "--yes", house=own, code=4 if _asks(own) else 0)
    paths = own.glob("requests/*/certificate.json")
    certificates = [offline.verify(json.loads(path.read_bytes())) for path in paths]
    assert all("index-server" in certificate["notReached"] for certificate in certificates)  # it was never told


def _asks(house: Path) -> bool:
    return "ask" in json.dumps(told("erase", "--subject", "name=Bertil Ekholm", "--plan", house=house))
