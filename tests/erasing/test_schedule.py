"""What is due is done and written down; what comes back is noticed; what was missed is told of."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta

import practice
import pytest

from freehold import schedule
from freehold.core.errors import HouseBusy, SettingsError, StorageFault
from freehold.house import open_house
from freehold.schedule import HISTORY, STATE, history, planned, run_due
from freehold.store.lock import writer_lock

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAILY = {"retrain", "reprobe", "expire", "watch", "checkpoint"}
"""What is due where nothing was ever done, by the default settings."""


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
        "checkpoint": ("done", ran["checkpoint"]["items"]),
    }
    assert ran["checkpoint"]["items"] > 5
    assert 0.01 < ran["reprobe"]["seconds"] < 60  # it reads every byte
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
    assert kinds.count("schedule.ran") == 6


def test_when_a_task_is_due_and_what_was_missed(house):
    with open_house(house) as opened:
        plan = {one.task: one for one in planned(opened, NOW)}
        assert {task for task, one in plan.items() if one.is_due(NOW)} == DAILY
        assert not any(one.missed for one in plan.values())
        assert set(run_due(opened, silent, now=NOW)) == DAILY
        retrain = planned(opened, NOW)[0]
        assert (retrain.next, retrain.is_due(NOW)) == (NOW + timedelta(days=7), False)
        later = NOW + timedelta(days=22)
        retrain = planned(opened, later)[0]
        assert (retrain.is_due(later), retrain.missed) == (True, 2)
        assert set(run_due(opened, silent, now=later)) == DAILY - {"reprobe"}  # once, however often it was missed
        before = NOW - timedelta(days=400)  # the clock was wrong, or is
        assert all(one.is_due(before) for one in planned(opened, before) if one.task in DAILY)


def test_a_record_that_is_damaged_is_told_of(house):
    (house / STATE).write_text('{"retrain": {"at": 5}}')
    with open_house(house) as opened, pytest.raises(StorageFault, match="damaged"):
        planned(opened)


def test_every_run_is_told_of_the_last_first(house):
    (house / STATE).write_text(
        '{"watch": {"at": "2026-11-01T03:17:00+00:00", "items": 0, "outcome": "done", "problem": ""}}'
    )
    with open_house(house) as opened, writer_lock(house):
        assert history(opened) == []  # a house of before has the last run of each task alone
        assert run_due(opened, silent, among=["expire", "watch"], now=NOW).keys() == {"expire", "watch"}
    told = practice.told("schedule", "--history", house=house)["runs"]
    assert [(run["task"], run["outcome"]) for run in told] == [("watch", "failed"), ("expire", "done")]
    assert all(0 <= run["seconds"] < 60 and run["at"] == NOW.isoformat(timespec="seconds") for run in told)
    assert "is in use" in told[0]["problem"]
    shown = practice.freehold("schedule", "--history", house=house).stdout
    assert "0 old questions" in shown
    assert "failed" in shown


def test_the_history_stays_small_and_a_cut_line_costs_itself_alone(house, monkeypatch):
    monkeypatch.setattr(schedule, "_HISTORY_BYTES", 400)
    with open_house(house) as opened:
        for day in range(12):
            run_due(opened, silent, among=["expire"], now=NOW + timedelta(days=day))
            if day == 10:  # a power cut in the middle of a line
                data = (house / HISTORY).read_bytes()
                (house / HISTORY).write_bytes(data[:-20])
        days = [datetime.fromisoformat(one.run.at).day for one in history(opened)]
    last = [(NOW + timedelta(days=day)).day for day in (11, 9, 8, 7)]
    assert days[:4] == last
    assert sum(path.stat().st_size for path in house.glob("schedule*.jsonl")) < 1500


def test_never(house):
    settings = (house / "freehold.toml").read_text()
    never = re.sub(
        r"^(# *)?(retrain|reprobe|expire|watch|checkpoint)_days = \d+", r"\2_days = 0", settings, flags=re.MULTILINE
    )
    (house / "freehold.toml").write_text(never)
    assert practice.told("schedule", "run", house=house) == {}


def test_the_ledger_is_held_against_a_witness(house, tmp_path):
    settings = house / "freehold.toml"
    told = re.sub(r"^# witness = .*$", 'witness = "../witness.json"', settings.read_text(), flags=re.MULTILINE)
    settings.write_text(told)
    assert practice.told("schedule", "run", "--task", "checkpoint", house=house)["checkpoint"]["outcome"] == "done"
    seen = json.loads((tmp_path / "witness.json").read_text())
    assert seen["checkpoint"].splitlines()[1] != "0"
    shutil.rmtree(house / "ledger")  # and begun anew, as if nothing had been
    failed = practice.told("schedule", "run", "--task", "checkpoint", house=house, code=1)["checkpoint"]
    assert (failed["outcome"], "witness" in failed["problem"]) == ("failed", True)
    assert json.loads((tmp_path / "witness.json").read_text()) == seen


def test_a_writer_at_work_is_a_failure_to_cron_and_waited_for_by_the_service(house):
    with open_house(house) as opened, writer_lock(house):
        with pytest.raises(HouseBusy):
            run_due(opened, silent, among=["watch"], patient=True, now=NOW)
        assert not (house / STATE).exists()
        assert run_due(opened, silent, among=["watch"], now=NOW)["watch"].outcome == "failed"
        assert all(one.is_due(NOW) for one in planned(opened, NOW) if one.task == "watch")


@pytest.mark.parametrize(
    ("section", "line", "hint"),
    [("schedule", "backup_days = 1", "backup_folder"), ("watch", 'retrain = "run"', "gate.dataset")],
)
def test_what_cannot_be_done_is_refused_when_the_house_is_opened(house, section, line, hint):
    settings = house / "freehold.toml"
    settings.write_text(settings.read_text().replace(f"[{section}]", f"[{section}]\n{line}"))
    with pytest.raises(SettingsError, match=hint):
        open_house(house)
