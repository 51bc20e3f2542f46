"""Backups by generation: each whole, each restorable until it is too old, and none with anybody who was erased."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import practice
import pytest

from freehold.core.errors import UsageError
from freehold.house import House, open_house
from freehold.key_files import KEYS
from freehold.restore import restore
from freehold.rotation import MAKING, Rotated, generations, rotate

NOW = datetime(2026, 11, 27, 3, 17, tzinfo=UTC)


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture
def house(made: Path, tmp_path: Path):
    with open_house(practice.copied(made, tmp_path)) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def turn(house: House, folder: Path, day: int, kept_days: int = 30) -> Rotated:
    keys = folder.parent / "safe" / "house.keys"
    return rotate(house, folder, keys, kept_days=kept_days, progress=silent, now=NOW + timedelta(days=day))


def restored(folder: Path, name: str, to: Path) -> dict[str, str]:
    restore(folder / name, folder.parent / "safe" / "house.keys", to, check=lambda _: None, progress=silent)
    return practice.texts(to)


def remove(house: House, source: str) -> str:
    (document,) = [k.document_id for s, k in house.shelf.known().items() if Path(s).name == source]
    house.remove([document])
    return document


def test_each_is_whole_and_holds_what_was_there_on_its_day(house: House, folder: Path, tmp_path: Path) -> None:
    before = practice.texts(house.root)
    first = turn(house, folder, 0)
    remove(house, "wording.txt")
    second = turn(house, folder, 1)
    assert generations(folder) == [first.name, second.name] == ["2026-11-27T031700Z", "2026-11-28T031700Z"]
    assert not (folder / MAKING).exists()
    assert restored(folder, first.name, tmp_path / "one") == before
    assert set(restored(folder, second.name, tmp_path / "two")) == set(before) - {"wording.txt"}


def test_what_did_not_change_is_linked(house: House, folder: Path) -> None:
    first = turn(house, folder, 0)
    second = turn(house, folder, 1)
    units = [path.name for path in (folder / first.name / "documents").iterdir()]
    assert len(units) == 5
    for name in units:
        one, two = (folder / made.name / "documents" / name for made in (first, second))
        assert one.stat().st_ino == two.stat().st_ino
    assert second.made.written < first.made.written


def test_one_past_its_days_is_gone_and_copies_of_it_are_noise(house: House, folder: Path, tmp_path: Path) -> None:
    first = turn(house, folder, 0)
    shutil.copytree(folder / first.name, tmp_path / "copy" / first.name)
    document = remove(house, "wording.txt")
    turn(house, folder, 20)
    assert f"{KEYS}documents/{document}" in house.shelf.vault.named(KEYS)
    third = turn(house, folder, 31)
    assert third.removed == (first.name,)
    assert len(generations(folder)) == 2
    assert f"{KEYS}documents/{document}" not in house.shelf.vault.named(KEYS)
    keys = tmp_path / "safe" / "house.keys"
    restore(tmp_path / "copy" / first.name, keys, tmp_path / "old", check=lambda _: None, progress=silent)
    assert "wording.txt" not in practice.texts(tmp_path / "old")
    leaf = list(house.ledger.leaves())[-1]
    assert (leaf.kind, leaf.ids["backup"]) == ("backup.removed", first.made.id)


def test_the_newest_stays_however_old(house: House, folder: Path) -> None:
    turn(house, folder, 0)
    assert generations(folder) == ["2026-11-27T031700Z"]
    last = turn(house, folder, 400)
    assert generations(folder) == [last.name]


def test_whoever_is_erased_is_in_none_of_them(house: House, folder: Path, tmp_path: Path) -> None:
    first = turn(house, folder, 0)
    root = house.root
    house.close()
    assert practice.told("erase", *practice.SUBJECT, "--yes", house=root)["verdict"] == "COMPLETE"
    with open_house(root) as opened:
        second = turn(opened, folder, 1)
    for name in (first.name, second.name):
        texts = restored(folder, name, tmp_path / name)
        assert not any("keller" in text.lower() for text in texts.values())
        assert "letter-ekholm.txt" in texts


@pytest.mark.parametrize("step", ["backup.unit", "rotation.made", "rotation.keys"])
def test_a_kill_leaves_whole_ones(house: House, folder: Path, tmp_path: Path, step: str) -> None:
    turn(house, folder, 0)
    root = house.root
    house.close()
    code = (
        "import sys; from datetime import datetime; from pathlib import Path; from freehold.house import open_house;"
        "from freehold.rotation import rotate\n"
        "with open_house(sys.argv[1]) as h: rotate(h, Path(sys.argv[2]), Path(sys.argv[3]), kept_days=30,"
        " progress=lambda *_: None, now=datetime.fromisoformat(sys.argv[4]))"
    )
    at = (NOW + timedelta(days=40)).isoformat()
    arguments = [str(root), str(folder), str(tmp_path / "safe" / "house.keys"), at]
    environment = {**os.environ, practice.KILL_AT: step}
    killed = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, check=False)
    assert killed.returncode < 0
    for name in generations(folder):
        assert len(restored(folder, name, tmp_path / f"restored-{name}")) == 5
    with open_house(root) as opened:
        last = turn(opened, folder, 41)
    assert generations(folder)[-1] == last.name
    assert not (folder / MAKING).exists()
    assert "2026-11-27T031700Z" not in generations(folder)


def test_keys_and_backups_lie_apart_and_both_outside(house: House, folder: Path) -> None:
    with pytest.raises(UsageError, match="key file"):
        rotate(house, folder, folder / "house.keys", kept_days=1, progress=silent)
    with pytest.raises(UsageError, match="in the house"):
        rotate(house, house.root / "backups", folder / "k", kept_days=1, progress=silent)


def test_the_schedule_makes_them_where_the_settings_say(made: Path, tmp_path: Path) -> None:
    root = practice.copied(made, tmp_path)
    settings = root / "freehold.toml"
    own = 'backup_days = 1\nbackup_folder = "../disk/house"\nbackup_keys = "../safe/house.keys"'
    settings.write_text(settings.read_text().replace("[schedule]", f"[schedule]\n{own}"))
    ran = practice.told("schedule", "run", house=root)
    assert ran["backup"]["outcome"] == "done"
    assert ran["backup"]["items"] > 5
    assert len(generations(tmp_path / "disk" / "house")) == 1
    assert (tmp_path / "safe" / "house.keys").exists()
