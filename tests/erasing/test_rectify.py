"""A statement is put right, and the old version leaves like an erased document, whatever is killed on the way."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from practice import freehold, residue, told
from test_holders import keep_version

from freehold.core.errors import HouseBusy, UsageError
from freehold.erasing import holds, retention
from freehold.erasing.rectify import STATE, rectify
from freehold.house import House, open_house
from freehold.store.lock import writer_lock

RIGHT = ("--wrong", "kettle exploded", "--right", "pot broke")


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def mail(house: House) -> str:
    return next(known.document_id for source, known in house.shelf.known().items() if Path(source).name == "mail.txt")


@pytest.mark.parametrize("kill_at", ["rectify.noted", "catalog.committed", "rectify.tainted", "rectify.told"])
def test_the_same_command_goes_on_where_it_was_killed(own, tmp_path, kill_at):
    keys = tmp_path / "keys.json"
    told("backup", str(tmp_path / "backup"), "--keys", str(keys), house=own)
    with open_house(own) as house:
        old = mail(house)
        keep_version(house, tmp_path, "mail", [old])
        (version,) = house.registry.all()
    assert f"backup:documents/{old}" in keys.read_text()
    killed = freehold("subject", "rectify", old, *RIGHT, house=own, kill_at=kill_at)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with open_house(own) as house:
        assert rectify(house, old, "kettle exploded", "pot broke", silent) == (mail(house), 1)
        assert "pot broke" in house.shelf.text(mail(house))
        assert not house.shelf.vault.present([old, f"backup:documents/{old}"])
        assert not house.shelf.blobs.present([old])
        assert house.registry.state(version.id) == "tainted"
        assert retention.tainted_sets(house) == {version.id: ""}
        leaves = [leaf.ids["document"] for leaf in house.ledger.leaves() if leaf.kind == "rectified"]
        assert leaves == [mail(house)]
        assert sum(name.startswith("rectification:") for name in house.shelf.fence.counts()) == 1
    assert f"backup:documents/{old}" not in json.loads(keys.read_bytes())["keys"]
    assert not (own / STATE).exists()
    assert not residue(own, "kettle exploded")


def test_other_words_than_those_of_the_call_that_was_killed(own):
    with open_house(own) as house:
        old = mail(house)
        assert freehold("subject", "rectify", old, *RIGHT, house=own, kill_at="catalog.committed").returncode < 0
        with pytest.raises(UsageError, match="something else") as refused:
            rectify(house, old, "kettle exploded", "lid flew off", silent)
        assert mail(house) in refused.value.hint
        assert "pot broke" in house.shelf.text(mail(house))


def test_another_erasure_finishes_it(own):
    with open_house(own) as house:
        old = mail(house)
        assert freehold("subject", "rectify", old, *RIGHT, house=own, kill_at="catalog.committed").returncode < 0
        assert house.shelf.vault.present([old])
    assert told("erase", "--subject", "name=Bertil Ekholm", "--yes", house=own)["verdict"] == "COMPLETE"
    with open_house(own) as house:
        assert not house.shelf.vault.present([old])
    assert not (own / STATE).exists()


def test_what_is_under_a_hold_is_not_put_right(own):
    with open_house(own) as house:
        old = mail(house)
        holds.add(house, old, "17(3)(e)", "2099-01-01")
        with pytest.raises(UsageError, match=r"hold \(17\(3\)\(e\)\)") as refused:
            rectify(house, old, "kettle exploded", "pot broke", silent)
        assert "restrict" in refused.value.hint
        assert "kettle exploded" in house.shelf.text(old)
        holds.remove(house, old)
        assert rectify(house, old, "kettle exploded", "pot broke", silent)[1] == 1


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_nothing_is_no_statement(own, blank):
    with open_house(own) as house:
        text = house.shelf.text(mail(house))
        with pytest.raises(UsageError, match="was not given"):
            rectify(house, mail(house), blank, "x", silent)
        assert house.shelf.text(mail(house)) == text


def test_it_waits_for_another_writer(own):
    with open_house(own) as house, writer_lock(own), pytest.raises(HouseBusy):
        rectify(house, mail(house), "kettle exploded", "pot broke", silent)
