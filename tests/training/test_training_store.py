"""Training sets are kept whole or not at all, found by any of their names, and their damage is told."""

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
from freehold.core.faults import KILL_AT
from freehold.core.records import to_json
from freehold.core.training import Example, Manifest, PseudonymCheck
from freehold.journeys.examples import commitment, root_of
from freehold.proof.merkle import proof, root, verify
from freehold.store.training import IDENTITY, TrainingFolder


def example(n: int) -> Example:
    return Example(
        id=f"{n:02}-id",
        query=f"question {n} …\u2028 \ud800",
        positives=("c1",),
        negatives=("c2", "c3"),
        documents=("d1", "d2"),
        origin="qrels",
        part="train" if n % 5 else "dev",
        salt=f"{n:032x}",
        query_id=f"q{n}",
        salience=1.0,
    )


EXAMPLES = [example(n) for n in (3, 1, 2, 0)]
MANIFEST = Manifest(
    root=root_of(EXAMPLES),
    examples={"train": 3, "dev": 1},
    documents=("d1", "d2"),
    origins={"qrels": 4},
    dataset="/data/rules",
    dataset_digest="ab" * 32,
    splits=("train",),
    revision=3,
    embedder="cd" * 32,
    seed=0,
    created="2026-11-26T10:00:00+00:00",
    left_out={"asked in test as well": 2},
    pseudonyms=PseudonymCheck("rules 1", {"person": 2}, "sample", 10, 1, (0.0, 0.4)),
    settings={IDENTITY: "i1", "mining": {"negatives": 8, "margin": 0.5}},
)


@pytest.fixture
def store(tmp_path: Path) -> TrainingFolder:
    kept = TrainingFolder(tmp_path / "training")
    kept.put("rules-one", MANIFEST, EXAMPLES)
    return kept


def test_what_is_kept_is_what_was_put(store: TrainingFolder, tmp_path: Path) -> None:
    kept = store.get("rules-one")
    assert kept.manifest == MANIFEST
    assert kept.examples == tuple(sorted(EXAMPLES, key=lambda e: e.id))
    assert root_of(kept.examples) == MANIFEST.root
    assert store.put("rules-one", MANIFEST, EXAMPLES[:1]) == kept  # the same identity: what is there stays
    with pytest.raises(UsageError, match="something else"):
        store.put("rules-one", replace(MANIFEST, settings={IDENTITY: "i2"}), EXAMPLES)
    store.remove("rules-one")
    assert store.names() == []
    assert not (tmp_path / "training" / "rules-one").exists()


def test_references(store: TrainingFolder) -> None:
    later = replace(MANIFEST, root="ee" * 32, created="2026-11-27T10:00:00+00:00", settings={IDENTITY: "i2"})
    store.put("rules-two", later, EXAMPLES)
    assert store.find("latest").name == "rules-two"
    assert store.find("rules-one").name == store.find("rules-o").name == store.find(MANIFEST.root[:8]).name
    for reference, told in (("rules", "2 training sets begin"), ("none", "no training set"), ("ru", "no training set")):
        with pytest.raises(UsageError, match=told) as error:
            store.find(reference)
        assert error.value.hint
    with pytest.raises(UsageError, match="no training set"):
        TrainingFolder(Path("/no/such")).find("latest")


@pytest.mark.parametrize("name", ["manifest.json", "examples.jsonl"])
def test_damage_is_told(store: TrainingFolder, tmp_path: Path, name: str) -> None:
    path = tmp_path / "training" / "rules-one" / name
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"{}" + whole, whole.replace(b'"train"', b'"trian"')):
        path.write_bytes(damaged)
        if name == "manifest.json" and b"trian" in damaged:
            continue
        with pytest.raises(StorageFault, match="damaged") as error:
            store.get("rules-one")
        assert "question" not in error.value.message
    path.unlink()
    with pytest.raises((StorageFault, UsageError)):
        store.get("rules-one")


def test_a_newer_format_is_refused(store: TrainingFolder, tmp_path: Path) -> None:
    path = tmp_path / "training" / "rules-one" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(HouseMismatch, match="newer"):
        store.get("rules-one")


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_training_store import EXAMPLES, MANIFEST
from freehold.store.training import TrainingFolder
TrainingFolder(Path({root!r})).put("rules-one", MANIFEST, EXAMPLES)
"""


@pytest.mark.parametrize(("step", "there"), [("training.before_rename", False), ("training.kept", True)])
def test_a_kill_leaves_all_or_nothing(tmp_path: Path, step: str, *, there: bool) -> None:
    root_folder = tmp_path / "training"
    code = KILLED.format(tests=str(Path(__file__).parent), root=str(root_folder))
    killed = subprocess.run([sys.executable, "-c", code], env={**os.environ, KILL_AT: step}, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    store = TrainingFolder(root_folder)
    assert store.names() == (["rules-one"] if there else [])
    assert store.put("rules-one", MANIFEST, EXAMPLES).manifest == MANIFEST
    assert [path.name for path in root_folder.iterdir()] == ["rules-one"]


def test_a_kill_in_a_removal_leaves_it_out_of_sight_until_the_next_write(tmp_path: Path) -> None:
    root_folder = tmp_path / "training"
    code = KILLED.format(tests=str(Path(__file__).parent), root=str(root_folder))
    code += f"TrainingFolder(Path({str(root_folder)!r})).remove('rules-one')"
    environment = {**os.environ, KILL_AT: "training.out_of_sight"}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    store = TrainingFolder(root_folder)
    assert store.names() == []
    assert (root_folder / ".rules-one").exists()
    store.put("rules-two", MANIFEST, EXAMPLES)
    assert [path.name for path in root_folder.iterdir()] == ["rules-two"]


def test_several_at_once(tmp_path: Path) -> None:
    store = TrainingFolder(tmp_path / "training")
    names = [f"set-{n % 3}" for n in range(12)]
    with ThreadPoolExecutor(6) as pool:
        kept = list(pool.map(lambda name: store.put(name, MANIFEST, EXAMPLES), names))
    assert [one.name for one in kept] == names
    assert store.names() == ["set-0", "set-1", "set-2"]


# -- the seal --------------------------------------------------------------------------------------------------------


def test_every_part_of_an_example_is_sealed() -> None:
    one = example(1)
    others = {"positives": ("c9",), "negatives": ("c3", "c2"), "documents": ("d1",), "salience": 0.5, "part": "dev"}
    others |= {"id": "x", "query": "q", "origin": "import", "salt": "f" * 32, "query_id": "q2"}
    assert set(others) == set(to_json(one))
    leaves = {commitment(one), *(commitment(replace(one, **{name: value})) for name, value in others.items())}
    assert len(leaves) == len(others) + 1


def test_a_member_is_shown_to_be_one_without_the_others() -> None:
    ordered = sorted(EXAMPLES, key=lambda e: e.id)
    leaves = [commitment(one) for one in ordered]
    assert root(leaves).hex() == root_of(EXAMPLES) == root_of(ordered)
    for at, one in enumerate(ordered):
        assert verify(commitment(one), at, len(leaves), proof(leaves, at), bytes.fromhex(root_of(EXAMPLES)))
    forged = replace(ordered[0], positives=("c7",))
    assert not verify(commitment(forged), 0, len(leaves), proof(leaves, 0), root(leaves))
