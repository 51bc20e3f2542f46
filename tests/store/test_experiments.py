"""Experiments are kept whole or not at all, found again by any of their names, and their damage is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from freehold.core.errors import HouseMismatch, StorageFault, UsageError
from freehold.core.experiment import DatasetInfo, Estimate, Experiment, HouseInfo, RunResult
from freehold.core.faults import KILL_AT
from freehold.store.experiments import ExperimentFolder

RUN = b"q1 Q0 d1 1 0.5 hybrid\n"


def experiment(identifier: str, created: str = "2026-11-26T10:00:00+00:00") -> Experiment:
    return Experiment(
        id=identifier,
        kind="eval",
        created=created,
        dataset=DatasetInfo("rules", "/data/rules", "test", "ab" * 32, "document", 1),
        house=HouseInfo("haus", 3, 9, 2, "g1"),
        models={"embedder": "cd" * 32},
        settings={"retrieval.mode": "hybrid"},
        settings_passed={},
        versions={"freehold": "0"},
        machine={"cores": 2},
        seed=0,
        resamples=1_000,
        runs=(RunResult("hybrid", {"mode": "hybrid"}, True, (Estimate("nDCG@10", 0.5, (0.25, 0.75), 40),)),),
        seconds=1.5,
    )


FIRST, SECOND, THIRD = (
    experiment("aaaa1111", "2026-11-26T10:00:00+00:00"),
    experiment("aaaa2222", "2026-11-26T12:00:00+00:00"),
    experiment("bbbb3333", "2026-11-26T11:00:00+00:00"),
)


@pytest.fixture
def store(tmp_path: Path) -> ExperimentFolder:
    kept = ExperimentFolder(tmp_path / "experiments")
    for one in (SECOND, THIRD, FIRST):
        kept.put(one, {"hybrid": RUN, "hybrid+rerank": RUN * 2})
    return kept


@pytest.mark.parametrize(
    ("reference", "found"),
    [("aaaa1111", FIRST), ("aaaa2", SECOND), ("bbbb", THIRD), ("latest", SECOND)],
)
def test_found_by_any_name(store: ExperimentFolder, reference: str, found: Experiment) -> None:
    assert store.get(reference) == found


def test_all_are_the_oldest_first(store: ExperimentFolder) -> None:
    assert store.all() == (FIRST, THIRD, SECOND)


@pytest.mark.parametrize(
    ("reference", "told", "refs"),
    [
        ("aaaa", "2 experiments begin with 'aaaa'", ("aaaa1111", "aaaa2222")),
        ("cccc", "no experiment begins with 'cccc'", ()),
        ("aa", "no experiment begins with 'aa'", ()),
        ("", "no experiment begins with ''", ()),
        ("../experiments/aaaa1111", "no experiment begins", ()),
    ],
)
def test_what_names_none_or_several(store: ExperimentFolder, reference: str, told: str, refs: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        store.get(reference)
    assert caught.value.refs == refs
    assert caught.value.hint


def test_a_store_that_is_empty(tmp_path: Path) -> None:
    empty = ExperimentFolder(tmp_path / "none")
    assert empty.all() == ()
    with pytest.raises(UsageError, match="latest"):
        empty.get("latest")
    assert not (tmp_path / "none").exists()


def test_run_files(store: ExperimentFolder) -> None:
    assert store.run_file("aaaa1111", "hybrid+rerank").read_bytes() == RUN * 2
    with pytest.raises(UsageError, match="has no run 'dense'") as caught:
        store.run_file("aaaa1111", "dense")
    assert caught.value.hint == "it has: hybrid, hybrid+rerank"


def test_the_record_is_readable_json(store: ExperimentFolder, tmp_path: Path) -> None:
    record = json.loads((tmp_path / "experiments" / "aaaa1111" / "record.json").read_text())
    assert record["format"] == 1
    assert record["runs"][0]["measures"][0]["ci95"] == [0.25, 0.75]


def test_paths_that_are_no_text_are_kept(store: ExperimentFolder) -> None:
    odd = replace(experiment("dddd4444"), dataset=replace(FIRST.dataset, path=os.fsdecode(b"/data/r\xe8gles")))
    store.put(odd, {})
    assert store.get("dddd") == odd


def test_an_id_is_used_once(store: ExperimentFolder) -> None:
    with pytest.raises(StorageFault):
        store.put(replace(FIRST, seed=9), {"hybrid": b""})
    assert store.get("aaaa1111") == FIRST
    assert store.run_file("aaaa1111", "hybrid").read_bytes() == RUN


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"format": 1}', b'{"format": "new"}', b"\xff\xfe\xff"])
def test_a_damaged_record_is_told(store: ExperimentFolder, tmp_path: Path, damage: bytes) -> None:
    record = tmp_path / "experiments" / "aaaa1111" / "record.json"
    record.write_bytes(damage)
    for read in (lambda: store.get("aaaa1111"), store.all):
        with pytest.raises(StorageFault, match="is damaged") as caught:
            read()
        assert caught.value.refs == (str(record),)
    assert store.get("bbbb") == THIRD


def test_a_record_that_lacks_a_field_names_it(store: ExperimentFolder, tmp_path: Path) -> None:
    path = tmp_path / "experiments" / "aaaa1111" / "record.json"
    record = json.loads(path.read_text())
    del record["runs"][0]["served"]
    path.write_text(json.dumps(record))
    with pytest.raises(StorageFault, match=r"Experiment\.runs\[0\]\.served"):
        store.get("aaaa1111")


def test_a_record_of_a_newer_freehold(store: ExperimentFolder, tmp_path: Path) -> None:
    (tmp_path / "experiments" / "aaaa1111" / "record.json").write_text('{"format": 99}')
    with pytest.raises(HouseMismatch, match="newer"):
        store.get("aaaa1111")


def test_a_folder_without_a_record_is_none(store: ExperimentFolder, tmp_path: Path) -> None:
    (tmp_path / "experiments" / "eeee5555").mkdir()
    (tmp_path / "experiments" / "notes.txt").write_text("mine")
    assert len(store.all()) == 3


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFault):
        ExperimentFolder(tmp_path / "file").put(FIRST, {})


# The child imports what this module makes; a killed process runs no handler, so nothing tidies up after it.
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_experiments import ExperimentFolder, RUN, experiment
ExperimentFolder(Path(sys.argv[2])).put(experiment("ffff6666", "2026-11-27T10:00:00+00:00"), {"hybrid": RUN})
"""


def put_in_child(root: Path, *, kill_at: str) -> int:
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(root)]
    environment = {**os.environ, KILL_AT: kill_at}
    return subprocess.run(command, env=environment, timeout=60, capture_output=True, check=False).returncode


def test_killed_before_it_is_whole(store: ExperimentFolder, tmp_path: Path) -> None:
    root = tmp_path / "experiments"
    assert put_in_child(root, kill_at="experiment.before_rename") == -signal.SIGKILL
    assert [path.name for path in root.glob(".*")] == [".ffff6666"]
    assert store.get("latest") == SECOND
    assert len(store.all()) == 3
    with pytest.raises(UsageError):
        store.get("ffff")
    store.put(experiment("ffff6666"), {"hybrid": RUN})  # the same again: what was left is no hindrance
    assert list(root.glob(".*")) == []
    assert store.get("ffff") == experiment("ffff6666")


def test_killed_once_it_is_kept(store: ExperimentFolder, tmp_path: Path) -> None:
    assert put_in_child(tmp_path / "experiments", kill_at="experiment.kept") == -signal.SIGKILL
    assert store.get("latest").id == "ffff6666"
    assert store.run_file("ffff6666", "hybrid").read_bytes() == RUN


def test_several_at_once_leave_each_other_be(tmp_path: Path) -> None:
    """Each sweeps what a crash left, and may not take another's unfinished folder for that."""
    folders = [ExperimentFolder(tmp_path / "experiments") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: folders[i % 4].put(experiment(f"{i:08d}"), {"a": RUN, "b": RUN}), range(24)))
    assert [e.id for e in folders[0].all()] == [f"{i:08d}" for i in range(24)]
    assert all((tmp_path / "experiments" / f"{i:08d}" / "runs" / "b.run").exists() for i in range(24))
