"""A query adapter from examples to service: learned, judged, swapped in, rolled back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import school
from school import School

from freehold.core.errors import HouseBusy, HouseMismatch, ModelMismatch, UsageError
from freehold.core.faults import KILL_AT
from freehold.core.ids import new_id
from freehold.core.training import ModelVersion
from freehold.house import open_house
from freehold.models.adapt import write_adapter
from freehold.store.lock import writer_lock
from freehold.store.registry import digest_of, digests
from freehold.tuning.promote import promote

DIM = 384


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def hits(house: Path, text: str = "What of the snalp of Thea?") -> list[tuple[str, float]]:
    with open_house(house) as opened:
        return [(hit.source, hit.score) for hit in opened.search(text, k=5).hits]


def version_id(house: Path) -> str:
    with open_house(house) as opened:
        return opened.registry.all()[-1].id


def copied_version(house: Path, made: Path, **changes: object) -> ModelVersion:
    """Another version like the trained one, of the files in ``made``."""
    from dataclasses import replace

    with open_house(house) as opened:
        like = opened.registry.all()[0]
        shutil.copy(opened.registry.folder(like.id) / "manifest.json", made / "manifest.json")
        files = digests(made)
        version = replace(like, id=new_id(), files=files, digest=digest_of(files), serving={}, **changes)  # type: ignore[arg-type]
        opened.registry.put(version, made)
        return version


def test_what_comes_out_of_training(made: School, tmp_path: Path) -> None:
    house = tmp_path / "house"
    shutil.copytree(made.house, house)
    told = school.run_json("tune", "adapter", "--data", str(made.beir), "--seed", "7", house=house)
    assert told["kind"] == "residual"
    assert told["seconds"] > 0
    candidate, live = (told["metrics"][side][0] for side in ("candidate", "live"))
    assert candidate["measure"] == "nDCG@10"
    assert candidate["value"] > live["value"] + 0.1  # the slang was learned
    assert candidate["ci95"][0] <= candidate["value"] <= candidate["ci95"][1]
    shown = school.run_json("models", "show", told["model"][:8], house=house)
    assert shown["state"] == "candidate"
    assert shown["manifest"] == told["manifest"]
    again = school.run_json("tune", "adapter", "--data", told["training"], "--seed", "7", house=house)
    assert again["model"] != told["model"]
    assert again["digest"] == told["digest"]
    other = school.run_json("tune", "adapter", "--data", told["training"], "--seed", "8", house=house)
    assert other["digest"] != told["digest"]
    difference = school.run_json("models", "diff", told["model"], other["model"], house=house)
    assert {"seed", "digest"} <= difference["differences"].keys()
    assert difference["documents"]["only_first"] == difference["documents"]["only_second"] == 0


def test_a_search_over_settings(made: School, tmp_path: Path) -> None:
    house, page = tmp_path / "house", tmp_path / "report.html"
    shutil.copytree(made.house, house)
    told = school.run_json(
        "tune", "adapter", "--data", str(made.beir), "--trials", "4", "--seed", "3", "--report", str(page),
        "--space", "learning_rate=1e-4..3e-3:log", "--space", "l2=0.01|0.1", house=house,
    )  # fmt: skip
    assert told["settings"]["l2"] in {0.01, 0.1, 0.03}
    with open_house(house) as opened:
        study = opened.experiments.get(told["experiment"]).study
    assert study is not None
    assert len(study.trials) == 4
    assert "learning_rate" in page.read_text()


def test_promotion_and_the_way_back(own: School) -> None:
    before = hits(own.house)
    done = school.run_json("models", "promote", "latest", house=own.house)
    assert done["promoted"]
    assert done["experiment"]["dataset"]["split"] == "test"  # which training never saw
    assert hits(own.house) != before
    listed = school.run_json("models", "list", house=own.house)
    assert [version["state"] for version in listed["versions"]] == ["live"]
    doctor = school.run_json("doctor", house=own.house)
    assert any(str(s).startswith("model version") for s in json.dumps(doctor).split('"'))
    school.run_json("models", "rollback", house=own.house)
    assert hits(own.house) == before
    listed = school.run_json("models", "list", house=own.house)
    assert [version["state"] for version in listed["versions"]] == ["retired"]
    error = school.run_json("models", "rollback", house=own.house, code=2)
    assert error["error"]["hint"]


def test_a_client_that_searches_meanwhile_sees_no_error(own: School, tmp_path: Path) -> None:
    told, stop = tmp_path / "told", tmp_path / "stop"
    client = f"""
import pathlib, freehold
stop, told = pathlib.Path({str(stop)!r}), pathlib.Path({str(told)!r})
with freehold.open({str(own.house)!r}) as house, told.open("w") as out:
    while not stop.exists():
        found = house.search("What of the snalp of Thea?", k=3)
        print(house.registry.lineup().number, len(found.hits), file=out, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", client], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(told)
        school.run_json("models", "promote", "latest", house=own.house)
        school.run_json("models", "rollback", house=own.house)
        lines = len(told.read_text().splitlines())
        deadline = time.monotonic() + 60
        while len(told.read_text().splitlines()) < lines + 3 and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        stop.touch()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    rows = [tuple(map(int, line.split())) for line in told.read_text().splitlines()]
    assert {number for number, _ in rows} >= {0, 2}
    assert all(count == 3 for _, count in rows)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_that_does_harm_is_refused_and_changes_nothing(own: School, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    rng = np.random.default_rng(0)
    write_adapter(made, rng.normal(size=(DIM, DIM)).astype(np.float32), rng.normal(size=DIM).astype(np.float32))
    harmful = copied_version(own.house, made)
    before = hits(own.house)
    refused = school.run_json("models", "promote", harmful.id, house=own.house, code=1)
    assert not refused["promoted"]
    assert refused["experiment"]["verdict"]["decision"] == "refused"
    assert hits(own.house) == before
    with open_house(own.house) as house:
        assert house.registry.lineup().number == 0


def test_one_for_another_embedder_is_refused(own: School, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    write_adapter(made, np.zeros((DIM, DIM), np.float32), np.zeros(DIM, np.float32))
    foreign = copied_version(own.house, made, base_digest="0" * 64)
    with open_house(own.house) as house, pytest.raises(HouseMismatch, match="another embedder"):
        promote(house, foreign.id, call={}, progress=silent)


def test_promotion_waits_for_no_writer(own: School) -> None:
    with writer_lock(own.house), open_house(own.house) as house, pytest.raises(HouseBusy):
        promote(house, "latest", call={}, progress=silent)


def test_a_changed_file_is_not_loaded(own: School) -> None:
    with open_house(own.house) as house:
        version = house.registry.all()[0]
        path = own.house / "models" / version.id / "adapter.safetensors"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(ModelMismatch, match=r"adapter\.safetensors"):
            promote(house, version.id, call={}, progress=silent)


def test_a_tainted_version_never_serves(own: School) -> None:
    with open_house(own.house) as house:
        version = house.registry.all()[0]
        house.registry.taint(version.id, "a document it learned from was erased")
        with pytest.raises(ModelMismatch, match="tainted"):
            promote(house, version.id, call={}, progress=silent)
        assert house.registry.state(version.id) == "tainted"


@pytest.mark.parametrize("kill_at", ["lineup.before_swap", "lineup.after_swap"])
def test_killed_in_the_swap(own: School, kill_at: str) -> None:
    before = hits(own.house)
    killed = school.run("models", "promote", "latest", house=own.house, **{KILL_AT: kill_at})
    assert killed.returncode == -9
    with open_house(own.house) as house:
        promoted = house.registry.lineup().number == 1
    assert promoted == (kill_at == "lineup.after_swap")
    assert (hits(own.house) != before) == promoted
    if not promoted:
        school.run_json("models", "promote", "latest", house=own.house)
    school.run_json("models", "rollback", house=own.house)
    assert hits(own.house) == before


def test_killed_while_it_is_kept(made: School, tmp_path: Path) -> None:
    house = tmp_path / "house"
    shutil.copytree(made.house, house)
    call = ("tune", "adapter", "--data", str(made.beir), "--seed", "7")
    killed = school.run(*call, house=house, **{KILL_AT: "model.before_rename"})
    assert killed.returncode == -9
    with open_house(house) as opened:
        assert opened.registry.all() == ()
    school.run_json(*call, house=house)
    with open_house(house) as opened:
        assert len(opened.registry.all()) == 1
    assert not list((house / "models").glob(".*"))


def test_too_few_examples(made: School, tmp_path: Path) -> None:
    house, beir = tmp_path / "house", tmp_path / "few"
    shutil.copytree(made.house, house)
    shutil.copytree(made.beir, beir)
    for name, count in {"train": 9, "dev": 30, "test": 30}.items():
        path = beir / "qrels" / f"{name}.tsv"
        path.write_text("\n".join(path.read_text().splitlines()[: count + 1]) + "\n")
    error = school.run_json("tune", "adapter", "--data", str(beir), house=house, code=2)["error"]
    assert "20" in error["message"] + error["hint"]


def test_what_it_is_asked_for_and_is_not(own: School) -> None:
    error = school.run_json(
        "tune", "adapter", "--data", str(own.beir), "--set", "learning_rat=1", house=own.house, code=2
    )
    assert "learning_rate" in error["error"]["hint"]
    error = school.run_json("models", "promote", "ffffffff", house=own.house, code=2)
    assert "models list" in error["error"]["hint"]
    with open_house(own.house) as house, pytest.raises(UsageError):
        house.registry.get("lat")
