"""What is due is done and written down; what comes back is noticed; what was missed is told of."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta

import practice
import pytest

from freehold.core.errors import StorageFault
from freehold.house import open_house
from freehold.schedule import STATE, planned, run_due

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture
def house(erased, tmp_path):
    shutil.copytree(erased, tmp_path / "house")
    return tmp_path / "house"


def test_a_certificate_is_held_against_the_house_again_and_again(house):
    ran = practice.told("schedule", "run", house=house)
    assert {name: (run["outcome"], run["items"]) for name, run in ran.items()} == {
        "retrain": ("done", 0),
        "reprobe": ("done", 1),
        "expire": ("done", 0),
        "watch": ("done", 0),
    }
    assert practice.told("schedule", "run", house=house) == {}
    (house / "forgotten.log").write_text("answered anna.keller@example.com at noon")
    found = practice.told("schedule", "run", "--task", "reprobe", house=house, code=1)["reprobe"]
    assert found["outcome"] == "failed"
    (request,) = practice.told("requests", house=house)["requests"]
    assert request["certificate"] == "FAILED"
    assert "freehold erase --resume" in request["to_do"]
    (house / "forgotten.log").unlink()
    assert practice.told("erase", "--resume", request["id"], "--yes", house=house)["verdict"] == "COMPLETE"
    kinds = [leaf["kind"] for leaf in practice.told("audit", "log", house=house)["leaves"]]
    assert kinds.count("schedule.ran") == 5


def test_when_a_task_is_due_and_what_was_missed(house):
    with open_house(house) as opened:
        plan = {one.task: one for one in planned(opened, NOW)}
        assert all(one.is_due(NOW) and not one.missed for one in plan.values())
        assert set(run_due(opened, silent, now=NOW)) == {"retrain", "reprobe", "expire", "watch"}
        retrain = planned(opened, NOW)[0]
        assert (retrain.next, retrain.is_due(NOW)) == (NOW + timedelta(days=7), False)
        later = NOW + timedelta(days=22)
        retrain = planned(opened, later)[0]
        assert (retrain.is_due(later), retrain.missed) == (True, 2)
        assert set(run_due(opened, silent, now=later)) == {
            "retrain",
            "expire",
            "watch",
        }  # once, however often it was missed
        before = NOW - timedelta(days=400)  # the clock was wrong, or is
        assert all(one.is_due(before) for one in planned(opened, before))


def test_a_record_that_is_damaged_is_told_of(house):
    (house / STATE).write_text('{"retrain": {"at": 5}}')
    with open_house(house) as opened, pytest.raises(StorageFault, match="damaged"):
        planned(opened)


def test_never(house):
    settings = (house / "freehold.toml").read_text()
    never = re.sub(
        r"^(# *)?(retrain_days|reprobe_days|expire_days|watch_days) = \d+", r"\2 = 0", settings, flags=re.MULTILINE
    )
    (house / "freehold.toml").write_text(never)
    assert practice.told("schedule", "run", house=house) == {}
