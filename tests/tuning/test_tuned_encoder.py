"""Fine-tuned encoders from examples to service: real weights, real vectors beside those that serve, one swap."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import school
from school import School

from freehold.core.erasure import Target
from freehold.core.errors import HouseBusy, ModelMismatch, UsageError
from freehold.core.shelf import Changes
from freehold.erasing.holders import SearchesHolder
from freehold.house import House, open_house
from freehold.tuning import encoder
from freehold.tuning.data import Request, prepare

pytest.importorskip("sentence_transformers")

QUICK = (
    "--epochs", "2", "--learning-rate", "2e-4", "--batch-size", "16", "--seed", "7",
    "--set", "negatives=1", "--set", "max_tokens=64", "--set", "evaluations_per_epoch=1", "--set", "threads=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def embedder(made: School, tmp_path_factory: pytest.TempPathFactory) -> School:
    """A house with a fine-tuned embedder as a candidate. Not to be changed."""
    house = tmp_path_factory.mktemp("embedder") / "house"
    shutil.copytree(made.house, house)
    told = school.run_json("tune", "embedder", "--data", str(made.beir), *QUICK, house=house)
    candidate, live = (told["metrics"][side][0]["value"] for side in ("candidate", "live"))
    assert candidate > live + 0.1
    assert told["checks"]["cosine"] > 0.98
    assert told["checks"]["ndcg_loss"] <= 0.01 + told["checks"]["ndcg_loss_error"]
    assert not list((house / "tuning" / "work").glob("embedder-*"))  # checkpoints hold what was learned
    return School(made.beir, house)


@pytest.fixture
def own(embedder: School, tmp_path: Path) -> School:
    shutil.copytree(embedder.house, tmp_path / "house")
    return School(embedder.beir, tmp_path / "house")


def search(house: House) -> list[tuple[str, float]]:
    return [(hit.source, hit.score) for hit in house.search("What of the snalp of Thea?", k=5).hits]


def test_promotion_ingest_and_the_way_back(own: School, tmp_path: Path) -> None:
    with open_house(own.house) as house:
        before, founding = search(house), house.crew.encoder.info.digest
        raw_before = index_bytes(own.house)
        school.run_json("models", "promote", "latest", house=own.house)
        after = search(house)  # the same open house notices
        assert after != before
        assert "thea-winter" in [source for source, _ in after[:3]]
        assert house.crew.encoder.info.digest != founding
        # What is ingested now has the vectors of what serves, and is found.
        paper = tmp_path / "papers" / "new.txt"
        paper.parent.mkdir()
        paper.write_text("The slipway of the boathouse Zenobia has SENTINELWORD heaters in winter.")
        house.ingest([paper.parent])
        assert "new.txt" in house.search("SENTINELWORD heaters", k=1).hits[0].source
        school.run_json("models", "rollback", house=own.house)
        assert search(house)[0] == before[0]
        assert "new.txt" in house.search("SENTINELWORD heaters", k=1).hits[0].source
        assert index_bytes(own.house) >= raw_before
        # What is removed is gone from the index that does not serve as well.
        paper.unlink()
        house.ingest([paper.parent], prune=True, emptied=True)
        for digest in house.shelf.makers():
            generations = house.indexes.of(digest)
            index = generations.open_current()
            assert set(index.ids()) <= house.shelf.chunk_ids()
            index.close()


def index_bytes(house: Path) -> int:
    return sum(path.stat().st_size for path in (house / "index").rglob("*") if path.is_file())


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
        deadline = time.monotonic() + 60
        while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        school.run_json("models", "promote", "latest", house=own.house)
        seen = len(told.read_text().splitlines())
        while len(told.read_text().splitlines()) < seen + 3 and time.monotonic() < deadline + 60:
            time.sleep(0.1)
    finally:
        stop.touch()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    rows = [tuple(map(int, line.split())) for line in told.read_text().splitlines()]
    assert {0, 1} <= {number for number, _ in rows}
    assert all(count == 3 for _, count in rows)


def test_an_adapter_leaves_with_the_embedder_that_it_was_trained_for(own: School) -> None:
    first = school.run_json("tune", "adapter", "--data", str(own.beir), house=own.house)["model"]
    school.run_json("models", "promote", first, house=own.house)
    with open_house(own.house) as house:
        tuned = next(version.id for version in house.registry.all() if version.role == "embedder")
    settings = own.house / "freehold.toml"  # both answer nearly everything: thirty questions cannot tell them apart
    settings.write_text(settings.read_text().replace("margin = 0.1", "margin = 0.3"))
    done = school.run_json("models", "promote", tuned, house=own.house)
    assert done["left"] == [first]
    error = school.run_json("models", "promote", first, house=own.house, code=3)["error"]
    assert "another embedder" in error["message"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_digest(own: School) -> None:
    again = school.run_json("tune", "embedder", "--data", str(own.beir), *QUICK, house=own.house)
    with open_house(own.house) as house:
        first, second = house.registry.all()
        assert first.id != second.id == again["model"]
        assert first.digest == second.digest


@pytest.mark.slow
def test_what_was_trained_is_kept_where_its_export_is_refused(
    made: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made.house, tmp_path / "house")
    settings = encoder.settings_for(
        "embedder", ["negatives=1", "max_tokens=64", "threads=1"], {"epochs": 1, "batch_size": 16}
    )
    stages: list[str] = []
    with open_house(tmp_path / "house") as house:
        data = prepare(house, Request(dataset=made.beir), progress=lambda *_: None)

        def tune() -> encoder.Tuned:
            stages.clear()
            return encoder.tune_encoder(
                house, data, encoder.Request("embedder", settings), progress=lambda stage, *_: stages.append(stage)
            )

        monkeypatch.setattr(encoder, "LOWEST_COSINE", 1.5)
        with pytest.raises(ModelMismatch, match="int8"):
            tune()
        assert "training" in stages
        assert not house.registry.all()
        monkeypatch.undo()
        monkeypatch.setattr(encoder, "MOST_LOSS", 1.0)  # what so small a school tells of it is noise
        tuned = tune()
        assert "training" not in stages
        assert house.registry.get("latest") == tuned.version


@pytest.mark.parametrize("moment", ["training", "saving"])
def test_work_that_an_erasure_takes_away_does_not_come_back(made: School, tmp_path: Path, moment: str) -> None:
    shutil.copytree(made.house, tmp_path / "house")
    settings = encoder.settings_for(
        "embedder", ["negatives=1", "max_tokens=64", "threads=1"], {"epochs": 1, "batch_size": 16}
    )
    with open_house(tmp_path / "house") as house:
        data = prepare(house, Request(dataset=made.beir), progress=lambda *_: None)
        target = Target(frozenset(data.manifest.documents[:1]), frozenset(), frozenset())
        holder, taken = SearchesHolder(house), []

        def progress(stage: str, *_: int) -> None:
            if stage == moment and not taken:
                holder.erase(target)
                house.shelf.fence.put_documents("a request", [])
                house.shelf.commit(Changes(remove=target.documents))
                taken.append(stage)

        with pytest.raises(HouseBusy, match="erased"):
            encoder.tune_encoder(house, data, encoder.Request("embedder", settings), progress=progress)
        assert taken
        assert not [path for path in (house.root / "tuning" / "work").iterdir() if path.is_dir()]
        assert house.registry.all() == ()
        # Nor does anything begin with a set from before.
        with pytest.raises(HouseBusy, match="erased"):
            encoder.tune_encoder(house, data, encoder.Request("embedder", settings), progress=lambda *_: None)
        assert not [path for path in (house.root / "tuning" / "work").iterdir() if path.is_dir()]


def test_a_late_interaction_reranker(made: School, tmp_path: Path) -> None:
    house = tmp_path / "house"
    shutil.copytree(made.house, house)
    slower = ("--epochs", "3", "--learning-rate", "1e-4")
    told = school.run_json("tune", "reranker", "--data", str(made.beir), *QUICK, *slower, house=house)
    assert told["kind"] == "late-interaction"
    candidate, live = (told["metrics"][side][0]["value"] for side in ("candidate", "live"))
    assert candidate > live + 0.1
    done = school.run_json("models", "promote", told["model"], house=house)
    assert done["promoted"]
    with open_house(house) as opened:
        found = opened.search("What of the snalp of Thea?", k=3)
        assert "thea-winter" in [hit.source for hit in found.hits]  # of one question in thirty no more is certain
        assert found.hits[0].unit.endswith("+maxsim")


def test_settings_that_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match="nothing"):
        encoder.settings_for("embedder", ["learning_rat=1"], {})
    assert encoder.settings_for("embedder", ["dropout=none"], {}).dropout is None
    assert encoder.settings_for("embedder", ["matryoshka=128+64"], {}).matryoshka == (128, 64)  # type: ignore[union-attr]
