"""Key files: what is destroyed in a house is destroyed in them, whoever shares them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from furnished import keys_in, silent
from practice import SUBJECT, TRACES, copied, freehold, residue, texts, told

from freehold.backup import backup
from freehold.core.errors import StorageFault, UsageError
from freehold.house import House, open_house
from freehold.key_files import KEYS, export_keys
from freehold.restore import restore


def kept(house: Path, to: Path) -> tuple[Path, Path]:
    folder, keys = to / "backup", to / "safe" / "keys.json"
    with open_house(house) as opened:
        backup(opened, folder, keys, progress=silent)
    return folder, keys


def restored(folder: Path, keys: Path, to: Path) -> Path:
    restore(folder, keys, to, check=lambda _: None, progress=silent)
    return to


def of_documents(keys: Path) -> set[str]:
    return {name for name in keys_in(keys) if name.startswith(f"{KEYS}documents/")}


def test_a_restored_house_takes_the_keys_out_of_the_file_that_it_was_opened_with(own, tmp_path):
    folder, keys = kept(own, tmp_path)
    shutil.rmtree(own)
    new = restored(folder, keys, tmp_path / "new")
    assert told("erase", *SUBJECT, "--yes", house=new)["verdict"] == "COMPLETE"
    assert len(of_documents(keys)) == 2
    again = restored(folder, keys, tmp_path / "again")
    assert not residue(again, *TRACES)
    with open_house(again) as opened:
        assert opened.shelf.fence.counts()


def test_a_restored_house_knows_the_others_too(own, tmp_path):
    folder, keys = kept(own, tmp_path)
    other = tmp_path / "elsewhere" / "keys.json"
    with open_house(own) as opened:
        backup(opened, folder, other, progress=silent)
    new = restored(folder, keys, tmp_path / "new")
    other.unlink()  # maybe on a disk that is not there: whether it still has keys nobody knows
    outcome = told("erase", *SUBJECT, "--yes", house=new)
    assert outcome["verdict"] == "INTERIM"
    assert not other.exists()
    told("backup", str(folder), "--keys", str(keys), house=new)  # from here on it keeps key files by itself
    assert told("erase", "--resume", outcome["request"], "--yes", house=new)["verdict"] == "COMPLETE"
    assert keys_in(other) == keys_in(keys)


def test_one_restored_beside_a_living_house_neither_drops_nor_puts_back_keys(own, tmp_path):
    folder, keys = kept(own, tmp_path)
    beside = restored(folder, keys, tmp_path / "beside")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "later.txt").write_text(
        "The tower's clock was mended by a smith from Ghent, for ten pounds.\n"
    )
    with open_house(own) as opened:
        opened.ingest([tmp_path / "more"])
        backup(opened, folder, keys, progress=silent)
    with open_house(beside) as opened:
        export_keys(opened)
    assert len(of_documents(keys)) == 6
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    assert len(of_documents(keys)) == 3
    with open_house(beside) as opened:  # where the person still is
        assert export_keys(opened) == []
    assert len(of_documents(keys)) == 3


def test_an_older_copy_of_a_key_file_is_brought_up_to_date(own, tmp_path):
    _, keys = kept(own, tmp_path)
    older = keys.read_bytes()
    told("erase", *SUBJECT, "--yes", house=own)
    newer = keys_in(keys)
    keys.write_bytes(older)
    with open_house(own) as opened:
        assert export_keys(opened) == []
    assert keys_in(keys) == newer


def test_a_key_file_of_an_earlier_version_is_written_anew(own, tmp_path):
    _, keys = kept(own, tmp_path)
    whole = json.loads(keys.read_text())
    del whole["joined"]
    whole["keys"]["backup:documents/destroyed before marks were kept"] = next(iter(whole["keys"].values()))
    keys.write_text(json.dumps(whole))
    with open_house(own) as opened:
        assert export_keys(opened) == []
    assert keys_in(keys) == {*whole["keys"]} - {"backup:documents/destroyed before marks were kept"}


def test_a_slow_writer_puts_no_destroyed_key_back(own, tmp_path):
    _, keys = kept(own, tmp_path)
    begun = tmp_path / "begun"
    slow = (
        "import sys, time; from pathlib import Path\n"
        "import freehold.key_files as k; from freehold.house import open_house\n"
        "write = k.put\n"
        "def late(path, data, mode):\n    Path(sys.argv[2]).touch(); time.sleep(3); write(path, data, mode=mode)\n"
        "k.put = late\n"
        "with open_house(Path(sys.argv[1])) as house: k.export_keys(house)"
    )
    other = subprocess.Popen([sys.executable, "-c", slow, str(own), str(begun)])
    while not begun.exists():
        assert other.poll() is None
        time.sleep(0.02)
    with open_house(own) as opened:
        name = min(opened.shelf.vault.named(f"{KEYS}documents/"))
        opened.shelf.vault.destroy([name])
        assert export_keys(opened) == []
    assert other.wait(60) == 0
    assert name not in keys_in(keys)


def test_what_is_no_key_file_of_the_house_is_refused_before_it_is_listed(own, tmp_path):
    with open_house(own) as opened:
        (tmp_path / "folder").mkdir()
        with pytest.raises(UsageError, match="is a folder"):
            backup(opened, tmp_path / "backup", tmp_path / "folder", progress=silent)
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(UsageError, match="not a key file"):
            backup(opened, tmp_path / "backup", tmp_path / "notes.txt", progress=silent)
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageFault):
            backup(opened, tmp_path / "backup", tmp_path / "file" / "keys.json", progress=silent)
        assert opened.shelf.fact("key_files") is None
        backup(opened, tmp_path / "backup", tmp_path / "keys.json", progress=silent)
    with (
        House.create(tmp_path / "another", {"house.name": "another", "house.languages": ("en",)}) as another,
        pytest.raises(UsageError, match="another house"),
    ):
        backup(another, tmp_path / "theirs", tmp_path / "keys.json", progress=silent)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("fence", [None, {}, {"key": "beef", "prints": [], "signatures": []}])
def test_a_key_file_without_its_fence_is_told_of(made, tmp_path, fence):
    folder, keys = kept(copied(made, tmp_path), tmp_path)
    whole = json.loads(keys.read_text())
    keys.write_text(json.dumps({**whole, "fence": fence}))
    refused = freehold("restore", str(folder), "--keys", str(keys), house=tmp_path / "new")
    assert refused.returncode == 2
    assert "not of its form" in refused.stderr


def test_a_closed_request_stays_closed_in_a_restored_house(erased, tmp_path):
    house = copied(erased, tmp_path)
    folder, keys = kept(house, tmp_path)
    (request,) = told("requests", house=house)["requests"]
    assert freehold("requests", "close", request["id"], house=house).returncode == 0
    new = tmp_path / "new"
    told("restore", str(folder), "--keys", str(keys), house=new)
    assert texts(new) == texts(house)
    (request,) = told("requests", house=new)["requests"]
    assert request["stage"] == "closed"
    assert not list(new.rglob("*.sealed"))
