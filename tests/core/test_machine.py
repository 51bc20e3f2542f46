"""How much of the machine a process takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from freehold.core import machine


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of control groups, of which this process's own is ``a/b``."""
    own = (tmp_path / "cgroup", tmp_path / "groups")
    own[0].write_text("4:memory:/elsewhere\n0::/a/b\n")
    (own[1] / "a" / "b").mkdir(parents=True)
    monkeypatch.setattr(machine, "_OWN", own[0])
    monkeypatch.setattr(machine, "_GROUPS", own[1])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    return own[1]


def test_affinity_where_there_is_no_quota(groups: Path) -> None:
    assert machine.cores() == 8
    (groups / "a" / "cpu.max").write_text("max 100000\n")
    assert machine.cores() == 8


def test_the_least_quota_on_the_way_up(groups: Path) -> None:
    (groups / "a" / "b" / "cpu.max").write_text("600000 100000\n")
    (groups / "a" / "cpu.max").write_text("250000 100000\n")
    assert machine.cores() == 3


def test_a_part_of_a_core_is_one(groups: Path) -> None:
    (groups / "a" / "b" / "cpu.max").write_text("20000 100000\n")
    assert machine.cores() == 1


@pytest.mark.parametrize(("told", "taken"), [("", 8), ("2", 2), ("99", 8), ("0", 8), ("some", 8)])
def test_a_share(groups: Path, monkeypatch: pytest.MonkeyPatch, told: str, taken: int) -> None:
    monkeypatch.setenv(machine.SHARE, told)
    assert machine.share() == taken
