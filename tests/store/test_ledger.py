"""The ledger: append-only, signed, whole after any kill, damaged by any byte that is changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.errors import StorageFault
from freehold.core.faults import KILL_AT
from freehold.core.ids import new_id
from freehold.core.ledger import _CODES, _COUNTS, Kind, Leaf
from freehold.proof import merkle
from freehold.proof.note import opened
from freehold.store.ledger import WIDTH, HouseLedger

NOW = "2026-11-26T12:00:00.000+00:00"


def filled(root: Path, count: int) -> HouseLedger:
    ledger = HouseLedger(root)
    for number in range(count):
        ledger.append("erasure.received", ids={"request": new_id()}, counts={"items": number})
    return ledger


def test_leaves_come_back_in_order_behind_the_opening(tmp_path):
    ledger = filled(tmp_path, 5)
    kinds = [leaf.kind for leaf in HouseLedger(tmp_path).leaves()]
    assert kinds == ["house.opened"] + ["erasure.received"] * 5
    assert [leaf.counts["items"] for leaf in ledger.leaves(1)] == list(range(5))
    assert ledger.verify() == []
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("leaves", [0, 5, 300])
def test_the_newest_first_is_the_other_way_round(tmp_path, leaves):
    ledger = filled(tmp_path, leaves)
    assert list(ledger.newest_first()) == list(ledger.leaves())[::-1]


@pytest.mark.parametrize("count", [1, 2, WIDTH - 1, WIDTH, WIDTH + 3])
def test_the_root_is_that_of_rfc_6962_over_whole_tiles(tmp_path, count):
    ledger = filled(tmp_path, count)
    checkpoint = ledger.checkpoint()
    assert checkpoint.size == count + 1
    assert checkpoint.root == merkle.root([merkle.leaf(data) for data in ledger.entries()])
    assert ledger.hashes() == [merkle.leaf(data) for data in ledger.entries()]
    assert ledger.verify() == []
    assert opened((tmp_path / "checkpoint").read_text(), ledger.public) == checkpoint


def test_a_changed_byte_is_found_wherever_it_is(tmp_path):
    ledger = filled(tmp_path, 6)
    for path in sorted(tmp_path.rglob("*")):
        if path.is_file():
            data = bytearray(path.read_bytes())
            for at in range(0, len(data), 11):
                data[at] ^= 1
                path.write_bytes(data)
                assert ledger.verify(), f"{path.name} at {at}"
                data[at] ^= 1
            path.write_bytes(data)
    assert ledger.verify() == []


@pytest.mark.parametrize("kill_at", ["ledger.tiles", "ledger.checkpoint"])
def test_a_kill_leaves_all_that_was_there(tmp_path, kill_at):
    filled(tmp_path, WIDTH - 2)
    assert killed(tmp_path, kill_at, "ledger.append('rectified', counts={'items': 1})") == -signal.SIGKILL
    ledger = HouseLedger(tmp_path)
    assert ledger.verify() == []
    before = ledger.checkpoint().size
    assert before == (WIDTH if kill_at == "ledger.checkpoint" else WIDTH - 1)
    ledger.append("rectified", counts={"items": 2})
    assert ledger.verify() == []
    assert ledger.checkpoint().size == before + 1


def test_a_clock_that_goes_back_is_told_of(tmp_path, monkeypatch):
    ledger = filled(tmp_path, 1)
    monkeypatch.setattr("freehold.store.ledger._now", lambda: "2001-01-01T00:00:00.000+00:00")
    ledger.append("rectified", counts={"items": 1})
    last = list(ledger.leaves())[-1]
    assert last.codes == {"clock": "went-back"}
    assert ledger.verify() == []


KNOWN = {*get_args(Kind), *_COUNTS, *(code for codes in _CODES.values() for code in codes)}


@given(words=st.text(min_size=1).filter(lambda t: not t.isspace() and t not in KNOWN))
def test_no_word_gets_into_a_leaf(words):
    for field in ("ids", "digests", "codes"):
        for name in ("request", "certificate", "reason", words):
            with pytest.raises(ValueError, match="schema"):
                Leaf("rectified", NOW, **{field: {name: words}})
    with pytest.raises(ValueError, match="schema"):
        Leaf(words, NOW)
    with pytest.raises(ValueError, match="schema"):
        Leaf("rectified", words)
    with pytest.raises(ValueError, match="schema"):
        Leaf("rectified", NOW, counts={words: 1})


def test_another_key_or_a_truncated_log_is_refused(tmp_path):
    ledger = filled(tmp_path, 3)
    kept = (tmp_path / "checkpoint").read_bytes()
    ledger.append("rectified", counts={"items": 1})
    newer = (tmp_path / "checkpoint").read_bytes()
    (tmp_path / "checkpoint").write_bytes(kept)  # what it was signed for is there no more
    assert ledger.verify()
    (tmp_path / "checkpoint").write_bytes(newer)
    (tmp_path / "key").write_bytes(bytes(range(32)))
    with pytest.raises(StorageFault):
        ledger.checkpoint()


def test_without_its_checkpoint_it_is_damaged_and_takes_no_leaf(tmp_path):
    filled(tmp_path, 3)
    (tmp_path / "checkpoint").unlink()
    assert HouseLedger(tmp_path).verify()
    with pytest.raises(StorageFault, match="checkpoint is missing") as told:
        HouseLedger(tmp_path).append("rectified", counts={"items": 1})
    assert told.value.hint


def test_a_first_append_that_was_killed_is_no_damage(tmp_path):
    assert killed(tmp_path, "ledger.tiles", "ledger.append('rectified')") == -signal.SIGKILL
    ledger = HouseLedger(tmp_path)
    assert ledger.verify() == []
    ledger.append("rectified", counts={"items": 1})
    assert ledger.verify() == []
    assert [leaf.kind for leaf in ledger.leaves()] == ["house.opened", "rectified"]


def test_a_kill_at_the_end_of_a_later_tile_leaves_it_to_be_done_again(tmp_path):
    filled(tmp_path, 2 * WIDTH - 2)
    assert killed(tmp_path, "ledger.tiles", "ledger.append('rectified')") == -signal.SIGKILL
    ledger = HouseLedger(tmp_path)
    ledger.append("rectified", counts={"items": 1})
    assert ledger.verify() == []
    assert ledger.checkpoint().size == 2 * WIDTH


def test_it_is_read_while_another_process_adds_to_it(tmp_path):
    ledger = filled(tmp_path, WIDTH - 20)
    adding = "[ledger.append('rectified', counts={'items': number}) for number in range(60)]"
    process = subprocess.Popen([sys.executable, "-c", script(tmp_path, adding)])
    rounds = 0
    while process.poll() is None:
        assert ledger.verify() == []
        there = [leaf.at for leaf in ledger.leaves()]
        assert [leaf.at for leaf in ledger.newest_first()][-len(there) :] == there[::-1]
        assert len(ledger.hashes()) >= len(there)
        rounds += 1
    assert process.returncode == 0
    assert rounds > 1


def script(root: Path, call: str) -> str:
    head = f"from pathlib import Path\nfrom freehold.store.ledger import HouseLedger\nroot = Path({str(root)!r})\n"
    return f"{head}ledger = HouseLedger(root)\n{call}"


def killed(root: Path, kill_at: str, call: str) -> int:
    command = [sys.executable, "-c", script(root, call)]
    return subprocess.run(command, env={**os.environ, KILL_AT: kill_at}, check=False).returncode
