"""Backups give a house back as it was, but for whoever was erased since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from practice import ANNA, OTHERS, SUBJECT, TRACES, copied, freehold, residue, texts, told

from freehold.core.shelf import Hold
from freehold.house import open_house


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
