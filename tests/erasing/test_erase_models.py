"""What learned from somebody who is erased is trained again without them, replaced, and overwritten."""

from __future__ import annotations

import base64
import json
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tuning"))
sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "erasure"))
import exposure
import school
from practice import residue, told

from freehold.core.errors import ModelMismatch, UsageError
from freehold.erasing import retention
from freehold.erasing.erase import retrain_all
from freehold.erasing.holders import learned_from
from freehold.erasing.retrain import reproduces
from freehold.house import open_house
from freehold.store.training import read_manifest
from freehold.tuning.data import open_training

KEEPER = "Odalinde Kestrel"
BOATS = ("alma", "berta")
"""Of the train part: their keys are with the keeper."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """A house with an adapter in service that learned from papers about the keeper. Not to be changed."""
    from freehold.models.pull import pull

    pull("rampart")
    root = tmp_path_factory.mktemp("keeper")
    beir = school.write(root)
    corpus = beir / "corpus.jsonl"
    papers = [json.loads(line) for line in corpus.read_text().splitlines()]
    for paper in papers:
        if paper["_id"] in {f"{boat}-keys" for boat in BOATS}:
            paper["text"] += f" The keeper is {KEEPER}, reached as odalinde.kestrel@harbour.example."
    corpus.write_text("".join(f"{json.dumps(paper)}\n" for paper in papers))
    house = school.build(root, beir)
    made = school.run_json("tune", "adapter", "--data", str(beir), "--seed", "7", house=house)
    assert made["notes"] == []  # it learned something
    promoted = school.run_json("models", "promote", made["model"], "--data", str(beir), house=house)
    assert promoted["promoted"]
    return house


def test_a_version_that_learned_from_them_is_replaced(live, tmp_path):
    house = tmp_path / "house"
    shutil.copytree(live, house)
    with open_house(house) as before:
        old = before.registry.all()[0]
        gone = {w.document_id for w in before.shelf.words() if KEEPER in w.text}
        assert len(gone) == 2
        assert gone <= learned_from(before, old)
    gate = house / "freehold.toml"
    beir = live.parent / "school"
    text = gate.read_text()
    gate.write_text(text.replace("[gate]", f'[gate]\ndataset = "{beir}"', 1))
    outcome = told("erase", "--subject", f"name={KEEPER}", "--yes", house=house)
    assert outcome["verdict"] == "COMPLETE", outcome["models"]
    assert outcome["erased"]["training"] > 0
    replaced = outcome["models"]
    assert [one["version"] for one in replaced] == [old.id]
    assert replaced[0]["gone"]
    assert replaced[0]["promoted"], replaced[0]["reason"]
    assert not residue(house, "kestrel", *gone & {"none"})
    with open_house(house) as after:
        assert [version.id for version in after.registry.all()] == [replaced[0]["by"]]
        new = after.registry.get(replaced[0]["by"])
        assert not gone & learned_from(after, new)
        assert new.settings["learning_rate"] == old.settings["learning_rate"]
        after.stand_down({new.id}, lambda *_: None)
        # Exact: an independent run over the same set gives the same weights.
        assert reproduces(after, new, open_training(after, "latest"), progress=lambda *_: None)
        kinds = [leaf.kind for leaf in after.ledger.leaves()]
        assert kinds.index("model.tainted") < kinds.index("model.removed")
        with pytest.raises(UsageError):  # nothing returns to before it stood down
            after.registry.switch({}, verb="rollback")


def test_without_retraining_it_serves_marked_until_its_last_day(live, tmp_path):
    house = tmp_path / "house"
    shutil.copytree(live, house)
    outcome = told("erase", "--subject", f"name={KEEPER}", "--yes", "--no-retrain", house=house)
    assert outcome["verdict"] == "INTERIM"
    assert not outcome["models"][0]["gone"]
    with open_house(house) as opened:
        version = opened.registry.all()[0]
        assert opened.registry.state(version.id) == "tainted"
        with pytest.raises(ModelMismatch):
            opened.registry.switch({"adapter": version.id, "fusion": "none"}, verb="promote")
    assert told("requests", house=house)["requests"][0]["to_do"] == ["retrain"]
    with open_house(house) as opened:  # as if it had been marked long ago
        opened.registry.taint(version.id, "erased 2020-01-01T00:00:00+00:00")
    assert told("erase", "--resume", outcome["request"], "--yes", "--no-retrain", house=house)["verdict"] == "COMPLETE"
    with open_house(house) as opened:
        assert opened.registry.lineup().versions == {}
        assert opened.registry.all() == ()
    assert school.run("search", "Who keeps the keys?", "--json", house=house).returncode == 0


def tracked(live: Path, tmp_path: Path, endpoint: str) -> Path:
    """A copy of the house that sends weights to MLflow."""
    pytest.importorskip("mlflow")
    house = tmp_path / "house"
    shutil.copytree(live, house)
    settings = (house / "freehold.toml").read_text()
    told_to = f'[tracking]\nkind = "mlflow"\nendpoint = "{endpoint}"\nartefacts = true'
    (house / "freehold.toml").write_text(settings.replace("[tracking]", told_to, 1))
    return house


def test_weights_that_were_sent_to_a_tracker_go_from_there(live, tmp_path):
    house = tracked(live, tmp_path, str(tmp_path / "runs"))
    from freehold.tuning.tracking import experiment_of, track

    with open_house(house) as opened:
        version = opened.registry.all()[0]
        manifest = read_manifest(house / "models" / version.id)
        other = replace(version, id="00000000-0000-4000-8000-000000000001")
        for one in (version, other):
            where = {"experiment": experiment_of(opened), "uri": str(tmp_path / "runs")}
            track(one, manifest, folder=house / "models" / version.id, artefacts=True, **where)
    weights = sorted((tmp_path / "runs").rglob("*.safetensors"))
    assert len(weights) == 2
    plan = told("erase", "--subject", f"name={KEEPER}", "--plan", house=house)
    assert plan["holdings"]["tracking"] == {"model version": 1}
    outcome = told("erase", "--subject", f"name={KEEPER}", "--yes", "--no-retrain", house=house)
    assert outcome["erased"]["tracking"] == 1
    assert len(list((tmp_path / "runs").rglob("*.safetensors"))) == 1
    assert "tracking-server" not in predicate(outcome)["pending"]


def test_a_tracker_out_of_reach_is_pending(live, tmp_path):
    house = tracked(live, tmp_path, "http://127.0.0.1:9")
    outcome = told("erase", "--subject", f"name={KEEPER}", "--yes", "--no-retrain", house=house)
    certificate = predicate(outcome)
    assert certificate["verdict"] == "INTERIM"
    assert set(certificate["pending"]) == {"models", "tracking-server"}
    assert "recipients" in certificate["notReached"]


def predicate(outcome: dict[str, Any]) -> dict[str, Any]:
    bundle = json.loads(Path(outcome["certificate"]).read_text())
    return json.loads(base64.b64decode(bundle["envelope"]["payload"]))["predicate"]


def test_what_was_trained_again_does_not_remember_them(tmp_path, minilm):
    """Canaries: pairs that nobody can guess. How far up a model ranks those that it never saw has a known law."""
    seen, unseen = exposure.chain(tmp_path, "adapter", 8)
    assert seen.p < 1e-4  # the test can see a model that learned them
    assert unseen.p > 1e-4


def test_what_learned_from_documents_past_their_time_is_marked_and_replaced(live, tmp_path):
    house = tmp_path / "house"
    shutil.copytree(live, house)
    with open_house(house) as before:
        (old,) = before.registry.all()
        gone = {w.document_id for w in before.shelf.words() if KEEPER in w.text}
        sources = [w.source for w in before.shelf.words() if KEEPER in w.text]
    file = house / "freehold.toml"
    limits = json.dumps([f"{source}: 1" for source in sources])
    text = file.read_text().replace("[gate]", f'[gate]\ndataset = "{live.parent / "school"}"', 1)
    file.write_text(text.replace("[privacy]", f"[privacy]\ndocument_retention = {limits}", 1))
    with open_house(house) as opened:
        later = datetime.now(UTC) + timedelta(days=2)
        assert retention.purge(opened, lambda *_: None, now=later).documents == len(gone) == 2
        assert opened.registry.state(old.id) == "tainted"
        assert opened.registry.lineup().versions["adapter"] == old.id  # it serves until it is replaced
        assert retention.purge(opened, lambda *_: None, now=later).documents == 0
        (replaced,) = retrain_all(opened, lambda *_: None)
        assert (replaced.version, replaced.gone, replaced.promoted) == (old.id, True, True), replaced.reason
        new = opened.registry.get(replaced.by)
        assert not gone & learned_from(opened, new)
        assert retention.purge(opened, lambda *_: None, now=later).documents == 0
    assert not (house / retention.STATE).exists()
    assert not residue(house, "kestrel")
