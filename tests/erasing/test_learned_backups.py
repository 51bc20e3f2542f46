"""What backups have of training sets and models goes with what was learned, and what serves comes back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from furnished import keep_set, keep_version, keys_in, silent
from practice import SUBJECT, TRACES, residue, told

from freehold.backup import backup
from freehold.erasing.retrain import retrain
from freehold.erasing.verify import verify
from freehold.erasing.walk import requests_of
from freehold.house import House, open_house
from freehold.key_files import KEYS
from freehold.restore import restore
from freehold.rotation import rotate

LONG_AGO = "erased 2020-01-01T00:00:00+00:00"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "safe" / "keys.json"


def back_up(house: House, keys: Path, folder: str = "backup") -> None:
    backup(house, house.root.parent / folder, keys, progress=silent)


def restored(folder: Path, keys: Path, to: Path) -> Path:
    restore(folder, keys, to, check=lambda _: None, progress=silent)
    return to


def test_a_version_that_went_after_it_was_erased_from_is_in_no_backup(own, keys, tmp_path):
    with open_house(own) as house:
        kept = keep_set(
            house, "one", [("who paid for the window?", "letter-keller.txt"), ("premium?", "letter-ekholm.txt")]
        )
        version = keep_version(house, kept.manifest, serves=True)
        back_up(house, keys)
    name = f"{KEYS}models/{version.id}"
    assert name in keys_in(keys)
    outcome = told("erase", *SUBJECT, "--yes", "--no-retrain", house=own)
    assert outcome["verdict"] == "INTERIM"
    with open_house(own) as house:
        back_up(house, keys)  # of a night on which it still serves
        assert name not in keys_in(keys)
        house.registry.taint(version.id, LONG_AGO)
        house.shelf.vault.ensure(name)  # as backups of earlier versions did
        request = requests_of(house).all()[0]
        retrain(house, {}, progress=silent)
        assert not house.shelf.vault.present([name])
        house.shelf.vault.ensure(name)
        (probe,) = [p for p in verify(house, request, silent).probes if p.id == "read-keys"]
        assert probe.hits == 1
    outcome = told("erase", "--resume", outcome["request"], "--yes", "--no-retrain", house=own)
    assert outcome["verdict"] == "COMPLETE"
    with open_house(own) as house:
        assert not house.shelf.vault.present([name])
    with open_house(restored(tmp_path / "backup", keys, tmp_path / "new")) as new:
        assert new.registry.all() == ()
        assert new.registry.lineup().versions == {}
        assert new.search("boat", k=1).hits


def test_a_version_that_was_removed_goes_from_key_files_too(own, keys):
    with open_house(own) as house:
        kept = keep_set(house, "one", [("premium?", "letter-ekholm.txt")])
        version = keep_version(house, kept.manifest)
        back_up(house, keys)
        house.registry.remove(version.id)
        retrain(house, {}, progress=silent)
    assert f"{KEYS}models/{version.id}" not in keys_in(keys)


def test_a_question_that_names_them_over_somebody_elses_paper(own, keys, tmp_path):
    with open_house(own) as house:
        rows = [("is Anna Keller insured for her boat?", "letter-ekholm.txt"), ("windscreen excess", "wording.txt")]
        kept = keep_set(house, "two", rows)
        version = keep_version(house, kept.manifest)
        back_up(house, keys)
    shutil.copytree(tmp_path / "backup", tmp_path / "tape")
    outcome = told("erase", *SUBJECT, "--yes", house=own)
    assert [one["version"] for one in outcome["models"]] == [version.id]
    assert outcome["verdict"] == "COMPLETE"
    assert f"{KEYS}training/two" not in keys_in(keys)
    with open_house(own) as house:
        assert house.registry.all() == ()
        back_up(house, keys)  # under a key of the same name
    for source in ("tape", "backup"):
        new = restored(tmp_path / source, keys, tmp_path / f"from-{source}")
        assert not residue(new / "training", *TRACES) if (new / "training").exists() else source == "tape"
        assert (new / "training" / "two").exists() == (source == "backup")


def test_what_serves_now_serves_in_the_restored_house(own, keys, tmp_path):
    with open_house(own) as house:
        kept = keep_set(house, "one", [("premium?", "letter-ekholm.txt")])
        first = keep_version(house, kept.manifest, serves=True)
        back_up(house, keys)
        rotate(house, tmp_path / "rotated", keys, kept_days=30, progress=silent)
        second = keep_version(house, kept.manifest, serves=True)
        house.registry.remove(first.id)
        back_up(house, keys)
        round = rotate(house, tmp_path / "turned", keys, kept_days=30, progress=silent)
    for at, source in enumerate((tmp_path / "backup", tmp_path / "turned" / round.name)):
        with open_house(restored(source, keys, tmp_path / f"new{at}")) as new:
            assert new.registry.lineup().versions == {"fusion": second.id}


def test_a_unit_under_a_new_key_is_written_anew_in_every_folder(own, keys, tmp_path):
    with open_house(own) as house:
        rows = [("who paid?", "letter-keller.txt"), ("premium?", "letter-ekholm.txt")]
        keep_set(house, "one", rows)
        for folder in ("a", "b"):
            back_up(house, keys, folder)
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    with open_house(own) as house:
        for folder in ("a", "b"):
            back_up(house, keys, folder)
    for folder in ("a", "b"):
        new = restored(tmp_path / folder, keys, tmp_path / f"new-{folder}")
        assert (new / "training" / "one" / "examples.jsonl").read_text().count("\n") == 1


def test_the_key_of_surrogates_stays_when_somebody_is_erased(own, keys, tmp_path):
    from freehold.store.training import TrainingFolder

    key = TrainingFolder(own / "training").key()
    with open_house(own) as house:
        back_up(house, keys)
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    new = restored(tmp_path / "backup", keys, tmp_path / "new")
    assert (new / "training" / "pseudonyms.key").read_bytes() == key
