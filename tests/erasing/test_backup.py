"""Backups give a house back as it was, but for whoever was erased since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from practice import ANNA, OTHERS, SUBJECT, TRACES, copied, freehold, residue, texts, told

from freehold.core.shelf import Hold
from freehold.house import House, open_house


def backed_up(house: Path, to: Path) -> tuple[str, str]:
    folder, keys = str(to / "backup"), str(to / "safe" / "keys.json")
    told("backup", folder, "--keys", keys, house=house)
    return folder, keys


def test_a_restored_house_is_the_house(made, tmp_path):
    house = copied(made, tmp_path)
    folder, keys = backed_up(house, tmp_path)
    restored = told("restore", folder, "--keys", keys, house=tmp_path / "new")
    assert (restored["documents"], restored["erased"]) == (5, 0)
    assert texts(tmp_path / "new") == texts(house)
    before, after = (told("search", "broken window", house=h)["hits"] for h in (house, tmp_path / "new"))
    assert [(h["chunk_id"], round(h["score"], 4)) for h in before] == [
        (h["chunk_id"], round(h["score"], 4)) for h in after
    ]
    with open_house(tmp_path / "new") as new, open_house(house) as old:
        for document_id in old.shelf.sealed_ids():
            assert new.shelf.original(document_id) == old.shelf.original(document_id)
        assert not new.ledger.verify()
        assert [leaf.kind for leaf in new.ledger.leaves()][-2:] == ["backup.restored", "ingest.committed"]


def test_what_was_hidden_or_held_since_the_first_backup_is_so_in_the_restored_house(made, tmp_path):
    house = copied(made, tmp_path)
    folder, keys = backed_up(house, tmp_path)
    with open_house(house) as opened:
        first, second, *_ = sorted(opened.shelf.document_ids())
        opened.shelf.restrict([first], "restriction:one")
        opened.shelf.hold(second, Hold("17(3)(e)", "2030-01-01"))
    backed_up(house, tmp_path)
    told("restore", folder, "--keys", keys, house=tmp_path / "new")
    with open_house(tmp_path / "new") as new:
        assert {id: set(for_whom) for id, for_whom in new.shelf.restricted().items()} == {first: {"restriction:one"}}
        assert new.shelf.holds() == {second: Hold("17(3)(e)", "2030-01-01")}


def test_a_backup_holds_no_word_and_is_noise_without_its_keys(made, tmp_path):
    house = copied(made, tmp_path)
    folder, keys = backed_up(house, tmp_path)
    assert not residue(Path(folder), *TRACES, "windscreen")
    Path(keys).write_text(
        json.dumps({"format": 1, "keys": {}, "fence": {"key": "00" * 32, "prints": [], "signatures": []}})
    )
    refused = freehold("restore", folder, "--keys", keys, house=tmp_path / "new")
    assert refused.returncode == 2
    assert "not this backup's" in refused.stderr
    assert not (tmp_path / "new").exists()


def test_who_was_erased_since_stays_out_of_every_older_copy(made, tmp_path):
    house = copied(made, tmp_path)
    folder, keys = backed_up(house, tmp_path)
    shutil.copytree(folder, tmp_path / "tape")  # a copy that nobody can reach
    outcome = told("erase", *SUBJECT, "--yes", house=house)
    assert outcome["verdict"] == "COMPLETE"
    assert outcome["erased"]["backups"] == 3
    for source in (folder, str(tmp_path / "tape")):
        target = tmp_path / f"from-{Path(source).name}"
        restored = told("restore", source, "--keys", keys, house=target)
        assert restored["erased"] >= 3
        assert set(texts(target)) == set(OTHERS)  # what was redacted since has no unit yet
        assert not residue(target, *TRACES)
        # The fence came along: the house refuses the same people.
        assert told("ingest", str(made.parent / "papers"), house=target)["documents"] == 0
    # The next backup has the redacted document, and its request can be gone on with.
    backed_up(house, tmp_path)
    told("restore", folder, "--keys", keys, house=tmp_path / "again")
    assert texts(tmp_path / "again") == texts(house)
    assert told("erase", "--resume", outcome["request"], "--yes", house=tmp_path / "again")["verdict"] == "COMPLETE"


def test_a_key_file_out_of_reach_is_told_of(made, tmp_path):
    house = copied(made, tmp_path)
    _, keys = backed_up(house, tmp_path)
    shutil.rmtree(tmp_path / "safe")
    (tmp_path / "safe").write_text("a disk that is not mounted")
    outcome = told("erase", *SUBJECT, "--yes", house=house)
    assert outcome["verdict"] == "INTERIM"
    told_of = told("verify", outcome["certificate"], house=house)["certificate"]
    assert told_of["pending"] == ["backups"]
    (tmp_path / "safe").unlink()
    assert told("erase", "--resume", outcome["request"], "--yes", house=house)["verdict"] == "COMPLETE"
    assert Path(keys).exists()


def test_a_backup_goes_on_where_it_was_and_lets_go_of_what_went(made, tmp_path):
    house = copied(made, tmp_path)
    folder, keys = str(tmp_path / "backup"), str(tmp_path / "keys.json")
    assert freehold("backup", folder, "--keys", keys, house=house, kill_at="backup.unit").returncode == -9
    first = told("backup", folder, "--keys", keys, house=house)
    again = told("backup", folder, "--keys", keys, house=house)
    assert again["units"] == first["units"]
    assert again["written"] < first["written"]
    gone = next(iter(ANNA))
    (made.parent / "papers" / gone).rename(tmp_path / gone)
    try:
        told("ingest", str(made.parent / "papers"), "--prune", house=house)
    finally:
        (tmp_path / gone).rename(made.parent / "papers" / gone)
    assert told("backup", folder, "--keys", keys, house=house)["removed"] == 1
    assert set(texts(house)) == set(json_restored(folder, keys, tmp_path / "r"))


def json_restored(folder: str, keys: str, to: Path) -> dict[str, str]:
    told("restore", folder, "--keys", keys, house=to)
    return texts(to)


def test_a_folder_that_holds_something_else_is_left_as_it_is(made, tmp_path):
    house = copied(made, tmp_path)
    disk = tmp_path / "disk"
    (disk / "photos").mkdir(parents=True)
    (disk / "photos" / "a.jpg").write_text("jpg")
    keys = str(tmp_path / "keys.json")
    refused = freehold("backup", str(disk), "--keys", keys, house=house)
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
    assert [path.name for path in disk.rglob("*")] == ["photos", "a.jpg"]
    told("backup", str(disk / "house"), "--keys", keys, house=house)
    (disk / "house" / "read me.txt").write_text("mine")
    (disk / "house" / "documents" / "linked").symlink_to(disk / "photos", target_is_directory=True)
    told("backup", str(disk / "house"), "--keys", keys, house=house)
    assert (disk / "house" / "read me.txt").read_text() == "mine"
    assert (disk / "photos" / "a.jpg").read_text() == "jpg"
    refused = freehold("backup", str(disk), "--keys", keys, house=house)  # what backups lie in is none
    assert refused.returncode == 2
    with House.create(tmp_path / "another", {"house.name": "another", "house.languages": ("en",)}):
        pass
    theirs = str(tmp_path / "others.json")
    refused = freehold("backup", str(disk / "house"), "--keys", theirs, house=tmp_path / "another")
    assert refused.returncode == 2
    assert "another house" in refused.stderr
    assert told("restore", str(disk / "house"), "--keys", keys, house=tmp_path / "new")["documents"] == 5


def test_a_folder_that_names_files_outside_of_it_lets_none_of_them_go(made, tmp_path):
    house = copied(made, tmp_path)
    folder, keys = backed_up(house, tmp_path)
    (tmp_path / "thesis.txt").write_text("mine")
    (Path(folder) / "linked").symlink_to(tmp_path / "thesis.txt")
    about = json.loads((Path(folder) / "backup.json").read_text())
    about["units"] += ["../thesis.txt", str(tmp_path / "thesis.txt"), "linked"]
    (Path(folder) / "backup.json").write_text(json.dumps(about))
    told("backup", folder, "--keys", keys, house=house)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("step", ["backup.unit", "backup.written", "backup.key_file"])
def test_a_second_backup_that_was_cut_off_can_be_restored_and_gone_on_with(made, tmp_path, step):
    house = copied(made, tmp_path)
    folder, keys = backed_up(house, tmp_path)
    with open_house(house) as opened:
        gone = next(w.document_id for w in opened.shelf.words() if w.source.endswith("wording.txt"))
        opened.remove([gone])
        opened.ingest([added(tmp_path)])
    assert freehold("backup", folder, "--keys", keys, house=house, kill_at=step).returncode == -9
    assert told("restore", folder, "--keys", keys, house=tmp_path / "new")["documents"] in {4, 5}
    told("backup", folder, "--keys", keys, house=house)
    assert not (Path(folder) / "documents" / gone).exists()
    assert set(texts(house)) == set(json_restored(folder, keys, tmp_path / "r"))


def added(to: Path) -> Path:
    (to / "more").mkdir()
    (to / "more" / "later.txt").write_text("The tower's clock was mended by a smith from Ghent, for ten pounds.\n")
    return to / "more"


def test_a_backup_without_a_mark_is_gone_on_with(made, tmp_path):
    house = copied(made, tmp_path)
    folder, keys = backed_up(house, tmp_path)
    about = json.loads((Path(folder) / "backup.json").read_text())
    for part in ("house", "keys"):
        del about[part]
    (Path(folder) / "backup.json").write_text(json.dumps(about))
    assert told("restore", folder, "--keys", keys, house=tmp_path / "old")["documents"] == 5
    backed_up(house, tmp_path)
    assert "house" in json.loads((Path(folder) / "backup.json").read_text())


def test_it_is_restored_into_an_empty_folder_and_into_no_other(made, tmp_path, monkeypatch):
    house = copied(made, tmp_path)
    folder, keys = backed_up(house, tmp_path)
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("x")
    refused = freehold("restore", folder, "--keys", keys, house=full)
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert told("restore", folder, "--keys", keys, house=Path())["documents"] == 5
    assert set(texts(tmp_path / "empty")) == set(texts(house))


def test_a_unit_that_was_changed_is_named(made, tmp_path):
    house = copied(made, tmp_path)
    folder, keys = backed_up(house, tmp_path)
    unit = next((Path(folder) / "documents").iterdir())
    unit.write_bytes(unit.read_bytes()[:-1] + b"?")
    refused = freehold("restore", folder, "--keys", keys, house=tmp_path / "new")
    assert refused.returncode != 0
    assert f"documents/{unit.name}" in "".join(refused.stderr.split())
    assert "another copy" in refused.stderr
