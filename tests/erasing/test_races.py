"""Erasing while others are at work, on a full disk, under a wrong clock, of too many: all of it has a defined end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import practice
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tuning"))
import school
from practice import SUBJECT, TRACES, freehold, residue, texts, told

from freehold.core.errors import HouseBusy
from freehold.house import open_house
from freehold.restore import restore
from freehold.store.lock import writer_lock
from freehold.tuning import adapter
from freehold.tuning.data import open_training


def once(action):
    """A progress callback that does something the first time that it is called."""
    done = threading.Event()

    def progress(_stage: str, _done: int, _total: int) -> None:
        if not done.is_set():
            done.set()
            action()

    return progress


class Interrupted:
    """An embedder in whose midst something happens: the lock of the one writer is held."""

    def __init__(self, encoder, progress) -> None:
        self._encoder, self._progress = encoder, progress

    def __getattr__(self, name: str):
        return getattr(self._encoder, name)

    def embed_documents(self, texts, **options):
        self._progress("embed", 0, 0)
        return self._encoder.embed_documents(texts, **options)


def test_during_an_ingest_that_brings_more_of_them(own, tmp_path):
    more = practice.write(tmp_path / "more", {"again.txt": "Anna Keller wrote once more: the kettle exploded again.\n"})
    refused = []

    def erase() -> None:
        result = freehold("erase", *SUBJECT, "--yes", "--wait", "0", "--json", house=own)
        assert result.returncode == 4, result.stdout
        assert "fenced out" in result.stderr
        refused.append(told("search", "kettle exploded", house=own)["hits"])

    with open_house(own) as house:
        house.crew.__dict__["encoder"] = Interrupted(house.crew.encoder, once(erase))
        report = house.ingest([more])
    assert report.documents == 0
    assert len(report.refused) == 1
    assert not any("kettle" in hit["text"] for hit in refused[0])  # hidden by then
    request = told("requests", house=own)["requests"][0]["id"]
    assert told("erase", "--resume", request, "--yes", house=own)["verdict"] == "COMPLETE"
    assert not residue(own, *TRACES)


def test_while_another_writes(own):
    """A promotion, a backup and a retraining hold the same lock."""
    with writer_lock(own):
        result = freehold("erase", *SUBJECT, "--yes", "--wait", "0", "--json", house=own)
    assert result.returncode == 4
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"


def test_during_a_training_that_learns_from_them(tmp_path, minilm):
    beir = school.write(tmp_path)
    corpus = beir / "corpus.jsonl"
    papers = [json.loads(line) for line in corpus.read_text().splitlines()]
    for paper in papers:
        if paper["_id"] in {"alma-keys", "berta-keys"}:
            paper["text"] += " The keeper is Odalinde Kestrel, reached as odalinde.kestrel@harbour.example."
    corpus.write_text("".join(f"{json.dumps(paper)}\n" for paper in papers))
    house = school.build(tmp_path, beir)
    school.run_json("tune", "data", "--data", str(beir), house=house)

    def erase() -> None:
        told("erase", "--subject", "name=Odalinde Kestrel", "--yes", house=house)

    with open_house(house) as opened:
        training = open_training(opened, "latest")
        request = adapter.Request(settings={}, seed=7, call={})
        with pytest.raises(HouseBusy, match="erased"):
            adapter.tune_adapter(opened, training, request, progress=once(erase))
        assert opened.registry.all() == ()
        again = adapter.tune_adapter(opened, open_training(opened, "latest"), request, progress=lambda *_: None)
        assert [version.id for version in opened.registry.all()] == [again.version.id]
    assert not residue(house, "kestrel")


def test_during_a_restore(own, tmp_path):
    folder, keys = tmp_path / "backup", tmp_path / "keys.json"
    told("backup", str(folder), "--keys", str(keys), house=own)

    def erase() -> None:
        assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"

    with pytest.raises(HouseBusy, match="erased"):
        restore(folder, keys, tmp_path / "new", check=lambda _: None, progress=once(erase))
    assert [path.name for path in tmp_path.iterdir() if "new" in path.name] == []
    told("restore", str(folder), "--keys", str(keys), house=tmp_path / "new")
    assert not residue(tmp_path / "new", *TRACES)


def test_a_house_that_holds_what_was_erased_is_not_opened(own, tmp_path):
    """Something that the backup brought back: here, a file that nobody knew of."""
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    folder, keys = tmp_path / "backup", tmp_path / "keys.json"
    (own / "experiments").mkdir(exist_ok=True)
    (own / "experiments" / "notes.txt").write_text("asked by anna.keller@example.com")
    told("backup", str(folder), "--keys", str(keys), house=own)
    result = freehold("restore", str(folder), "--keys", str(keys), house=tmp_path / "new")
    assert result.returncode == 4, result.stdout + result.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("what", ["a key", "a field", "no JSON"])
def test_a_key_file_that_was_changed(own, tmp_path, what):
    folder, keys = tmp_path / "backup", tmp_path / "keys.json"
    told("backup", str(folder), "--keys", str(keys), house=own)
    kept = json.loads(keys.read_text())
    if what == "a key":
        name = next(name for name in kept["keys"] if "documents/" in name)
        kept["keys"][name] = "A" * 42 + "=="
    else:
        kept.pop("keys")
    keys.write_text("{" if what == "no JSON" else json.dumps(kept))
    result = freehold("restore", str(folder), "--keys", str(keys), house=tmp_path / "new")
    assert result.returncode in {2, 70}
    assert "hint" in result.stderr
    assert "internal" not in result.stderr
    assert [path.name for path in tmp_path.iterdir() if "new" in path.name] == []


def test_more_documents_than_are_one_persons(own):
    result = freehold("erase", *SUBJECT, "--yes", "--most", "1", "--json", house=own)
    assert result.returncode == 4
    assert "--most 3" in result.stderr
    assert "kettle" in " ".join(texts(own).values())
    assert told("search", "kettle exploded", house=own)["hits"][0]["source"].endswith("mail.txt")
    assert told("erase", *SUBJECT, "--yes", "--most", "3", house=own)["verdict"] == "COMPLETE"


def test_a_full_disk_stops_it_before_it_begins(own, tmp_path):
    """A limit on the size of files stands for a full disk."""
    before = texts(own)
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, 20_000_000));"
        "from freehold.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "--house", str(own), "erase", *SUBJECT, "--yes"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 70, result.stdout + result.stderr
    assert "hint" in result.stderr
    assert texts(own) == before
    assert not (own / "reserve").exists()
    assert told("search", "kettle exploded", house=own)["hits"]
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"


def test_a_clock_that_was_put_back(own):
    """The request is of the future: it goes on, is not overdue, and no certificate is older than its request."""
    result = freehold("erase", *SUBJECT, "--yes", house=own, kill_at="request.fenced")
    assert result.returncode == -9
    (record,) = (own / "requests").glob("*/request.json")
    future = datetime(2031, 1, 31, tzinfo=UTC)
    kept = json.loads(record.read_text())
    kept |= {"received": future.isoformat(), "due": future.replace(month=3, day=1).isoformat()}
    record.write_text(json.dumps(kept))
    outcome = told("erase", *SUBJECT, "--yes", house=own)
    assert outcome["verdict"] == "COMPLETE"
    certificate = told("verify", outcome["certificate"], house=own)["certificate"]
    assert certificate["issued"] >= certificate["received"]
    assert not told("audit", "log", "--verify", house=own)["problems"]
