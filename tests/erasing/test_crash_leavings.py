"""What killed processes left behind, which no record speaks of: an erasure clears it, and a probe would tell of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import practice
import pytest
from practice import SUBJECT, freehold, told

from freehold.core.faults import KILL_AT
from freehold.core.files import shred
from freehold.erasing import orphans as orphan_probe
from freehold.erasing.orphans import orphans
from freehold.house import open_house
from freehold.store.jobs import Jobs
from freehold.store.made_from import note_documents
from freehold.store.shelf import HouseShelf

SECOND = {
    "second.txt": "Dear Ms Anna Keller,\n\nthe second letter: your pension is 1234 euros, see what is enclosed.\n"
}
HEAD = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from freehold.house import open_house
from freehold.store.jobs import Jobs
with open_house(Path(sys.argv[1])) as house:
    documents = sorted(house.shelf.document_ids())
"""
VERSION = """
    from test_holders import keep_version
    keep_version(house, house.root.parent, "anna", documents)
"""
REMOVED = f"""{VERSION}
    house.registry.remove(house.registry.all()[0].id)
"""
UPLOADED = """
    Jobs(house.root, house.shelf.vault).add("ingest", {}, files=[("a.txt", b"Anna Keller has a second letter")])
"""


def killed(house: Path, kill_at: str, script: str) -> None:
    command = [sys.executable, "-c", HEAD + script, str(house)]
    done = subprocess.run(command, env={**os.environ, KILL_AT: kill_at}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def killed_ingest(house: Path, tmp_path: Path) -> None:
    papers = practice.write(tmp_path / "new", SECOND)
    assert freehold("ingest", str(papers), house=house, kill_at="blobs.written").returncode == -signal.SIGKILL
    with open_house(house) as opened:
        (orphan,) = opened.shelf.vault.ids() - opened.shelf.document_ids()
        assert b"pension" in opened.shelf.original(orphan)


def out_of_sight(house: Path) -> list[str]:
    return sorted(
        path.name for kind in ("models", "training", "experiments", "jobs") for path in house.glob(f"{kind}/.*")
    )


@pytest.mark.parametrize("subject", [SUBJECT, ("--subject", "name=Hildegard Nowhere")], ids=["here", "nowhere"])
def test_an_original_that_a_killed_ingest_left_goes_with_its_key(own, tmp_path, subject):
    killed_ingest(own, tmp_path)
    assert told("erase", *subject, "--yes", house=own)["verdict"] == "COMPLETE"
    with open_house(own) as house:
        assert house.shelf.vault.ids() == house.shelf.sealed_ids() == {path.name for path in own.glob("blobs/*/*")}


def test_one_that_was_not_cleared_fails_the_erasure(own, tmp_path, monkeypatch):
    killed_ingest(own, tmp_path)
    monkeypatch.setattr(orphan_probe, "_LOOKS", 1)
    found = orphans(own)
    assert (found.verdict, found.hits, found.control_hits) == ("fail", 2, 5)
    assert "vault.sqlite" in found.places
    with open_house(own) as house:
        HouseShelf.sweep(house.shelf)
    assert orphans(own).verdict == "pass"


def test_work_of_which_nobody_knows_what_it_was_made_from_is_told_of(own, monkeypatch):
    monkeypatch.setattr(orphan_probe, "_LOOKS", 1)
    place = own / "tuning" / "work" / "embedder-1"
    (place / "checkpoints" / "checkpoint-2").mkdir(parents=True)
    assert orphans(own).verdict == "fail"
    assert orphans(own).places == ("tuning/work/embedder-1",)
    note_documents(place, [])
    assert orphans(own).verdict == "pass"


def test_what_another_process_is_at_work_on_is_none(own):
    being_written = next(own.glob("blobs/*")) / "0a.new"
    being_written.write_bytes(b"sealed")
    done = threading.Timer(0.3, shred, [being_written])
    done.start()
    assert orphans(own).verdict == "pass"
    done.join()


@pytest.mark.parametrize(
    ("kill_at", "script"),
    [
        ("model.before_rename", VERSION),
        ("model.out_of_sight", REMOVED),
        ("job.before_rename", UPLOADED),
    ],
)
def test_a_folder_half_made_or_half_removed(own, kill_at, script):
    killed(own, kill_at, script)
    assert out_of_sight(own)
    outcome = told("erase", *SUBJECT, "--yes", house=own)
    assert outcome["verdict"] == "COMPLETE"
    assert not out_of_sight(own)
    with open_house(own) as house:
        assert house.shelf.vault.named("upload:") == []
        assert house.registry.all() == ()


def test_a_file_that_waits_to_be_read_keeps_its_key(own):
    with open_house(own) as house:
        jobs = Jobs(own, house.shelf.vault)
        job = jobs.add("ingest", {}, files=[("a.txt", b"of somebody")])
    told("erase", *SUBJECT, "--yes", house=own)
    with open_house(own) as house:
        assert next(Jobs(own, house.shelf.vault).open_files(job).iterdir()).read_bytes() == b"of somebody"


def test_an_index_that_cannot_be_read_is_made_anew(own):
    for path in next((own / "index").glob("generation-*")).rglob("*"):
        if path.is_file() and path.stat().st_size and "lock" not in path.name:
            path.write_bytes(path.read_bytes()[: max(1, path.stat().st_size // 3)])
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
