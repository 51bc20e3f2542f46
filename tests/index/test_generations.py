from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from freehold.core.errors import EngineFault, HouseBusy, HouseMismatch, StorageFault
from freehold.core.ids import new_id
from freehold.core.types import Point, SparseVector
from freehold.index.files import copy_tree
from freehold.index.generations import Builder, GenerationInfo, Generations
from freehold.testing.vector_index import DIM, VectorIndexCase, make_point, marked_point, terms, unit

OLD = [make_point(seed) for seed in range(40)]
VICTIM = marked_point(1)
NEW = make_point(100)
BEFORE = sorted(point.chunk_id for point in [*OLD, VICTIM])
AFTER = sorted(point.chunk_id for point in [*OLD, NEW])


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("seeded") / "root"
    with Generations(root).build(base=None, dim=DIM, embedder_digest="digest") as builder:
        builder.add(OLD)
        builder.add([VICTIM])
        builder.commit(1)
    return root


@pytest.fixture
def root(seeded: Path, tmp_path: Path) -> Path:
    copy_tree(seeded, tmp_path / "root", skip_prefix=".")
    return tmp_path / "root"


@pytest.fixture
def generations(root: Path) -> Generations:
    return Generations(root)


def replace_victim(generations: Generations) -> GenerationInfo:
    with generations.build(base=generations.current(), dim=DIM, embedder_digest="digest") as builder:
        builder.delete([VICTIM.chunk_id])
        builder.add([NEW])
        return builder.commit(2)


def ids(generations: Generations) -> list[str]:
    index = generations.open_current()
    found = sorted(index.ids())
    index.close()
    return found


def directories(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.is_dir()}


PRELUDE = """
import os, resource, signal, sys, time
sys.path.insert(0, sys.argv[2])
from test_generations import *
generations = Generations(Path(sys.argv[1]))
"""


def start(script: str, root: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script), str(root), str(Path(__file__).parent)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(script: str, root: Path, **environment: str) -> tuple[int, str, str]:
    with start(script, root, **environment) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_nothing_is_current_at_first(tmp_path: Path) -> None:
    generations = Generations(tmp_path / "root")
    assert generations.current() is None
    with pytest.raises(StorageFault, match="no index") as caught:
        generations.open_current()
    assert caught.value.hint


def test_a_commit_is_the_current_generation(generations: Generations, root: Path) -> None:
    first = generations.current()
    assert first is not None
    assert (first.revision, first.embedder_digest, first.dim, first.points) == (1, "digest", DIM, 41)
    assert ids(generations) == BEFORE
    second = replace_victim(generations)
    assert second == generations.current() != first
    assert (second.revision, second.points) == (2, 41)
    assert ids(generations) == AFTER
    assert directories(root) == {second.name}


def test_a_generation_answers_like_an_index_built_in_place(generations: Generations) -> None:
    replace_victim(generations)
    index = generations.open_current()
    reference = {point.chunk_id: float(point.dense @ unit(5)) for point in [*OLD, NEW]}
    hits = index.search(dense=unit(5), sparse=terms(5), limit=50)
    assert {hit.chunk_id: pytest.approx(hit.score, abs=1e-4) for hit in hits["dense"]} == reference
    assert hits["lexical"]
    index.close()


def test_a_build_without_a_base_begins_empty(generations: Generations) -> None:
    with generations.build(base=None, dim=3, embedder_digest="other") as builder:
        builder.add([make_point(1, dense=np.float32([1, 0, 0]))])
        info = builder.commit(7)
    assert (info.dim, info.points, info.embedder_digest) == (3, 1, "other")
    assert ids(generations) == [make_point(1).chunk_id]


def test_leaving_without_commit_leaves_nothing(generations: Generations, root: Path) -> None:
    before = generations.current()
    assert before is not None
    with contextlib.suppress(KeyError), generations.build(base=before, dim=DIM, embedder_digest="digest") as builder:
        builder.add([NEW])
        raise KeyError
    assert generations.current() == before
    assert directories(root) == {before.name}
    assert ids(generations) == BEFORE


def test_what_began_ahead_is_like_what_did_not(generations: Generations, root: Path) -> None:
    before = generations.current()
    with generations.build(base=before, dim=DIM, embedder_digest="digest") as builder:
        builder.begin()
    assert generations.current() == before
    with generations.build(base=before, dim=DIM, embedder_digest="digest") as builder:
        builder.begin()
        builder.begin()
        assert sorted(builder.ids()) == sorted(builder.ids()) == BEFORE
        builder.add([NEW])
        info = builder.commit(2)
    assert info.points == 42
    assert ids(generations) == sorted([*BEFORE, NEW.chunk_id])
    assert directories(root) == {info.name}


def test_a_builder_lists_its_base(generations: Generations) -> None:
    with generations.build(base=generations.current(), dim=DIM, embedder_digest="digest") as builder:
        assert sorted(builder.ids()) == BEFORE
    with generations.build(base=None, dim=DIM, embedder_digest="digest") as builder:
        builder.begin()
        assert builder.ids() == set()
    with generations.build(base=generations.current(), dim=DIM, embedder_digest="digest") as builder:
        builder.begin()  # and nobody asks for the list
        builder.delete([VICTIM.chunk_id])
        assert builder.commit(2).points == len(OLD)


def test_a_committed_builder_takes_no_more(generations: Generations) -> None:
    with generations.build(base=None, dim=DIM, embedder_digest="digest") as builder:
        builder.commit(1)
        with pytest.raises(EngineFault, match="committed"):
            builder.add([NEW])


def test_a_base_of_another_embedder_is_refused(generations: Generations) -> None:
    base = generations.current()
    for dim, digest in ((DIM + 1, "digest"), (DIM, "other")):
        with pytest.raises(HouseMismatch), generations.build(base=base, dim=dim, embedder_digest=digest):
            pass


def test_the_childs_error_reaches_the_caller(generations: Generations) -> None:
    before = generations.current()
    with generations.build(base=before, dim=DIM, embedder_digest="digest") as builder:
        builder.add([make_point(1, dense=np.full(DIM, np.nan, np.float32))])
        with pytest.raises(EngineFault, match="not finite") as caught:
            builder.commit(2)
    assert caught.value.refs == (make_point(1).chunk_id,)
    assert generations.current() == before


def test_a_deleted_point_leaves_no_byte_under_the_root(generations: Generations, root: Path) -> None:
    probe = VectorIndexCase()
    assert all(probe.residue(root, VICTIM).values())
    replace_victim(generations)
    assert not any(probe.residue(root, VICTIM).values())
    assert probe.residue(root, NEW)["dense"]


def test_a_reader_goes_on_during_a_build_and_holds_its_generation(generations: Generations, root: Path) -> None:
    before = generations.current()
    assert before is not None
    reader = generations.open_current()
    with generations.build(base=before, dim=DIM, embedder_digest="digest") as builder:
        builder.delete([VICTIM.chunk_id])
        assert reader.count() == 41
        assert ids(generations) == BEFORE
        after = builder.commit(2)
    assert sorted(reader.ids()) == BEFORE
    assert reader.search(dense=VICTIM.dense, limit=1)["dense"][0].chunk_id == VICTIM.chunk_id
    assert VICTIM.chunk_id not in ids(generations)
    assert directories(root) == {before.name, after.name}
    assert generations.sweep() == (before.name,)
    reader.close()
    assert generations.sweep() == ()
    assert directories(root) == {after.name}
    assert not any(VectorIndexCase().residue(root, VICTIM).values())


def test_readers_in_other_processes_never_see_a_gap(generations: Generations, root: Path) -> None:
    script = """
        until_s = time.monotonic() + 5
        while time.monotonic() < until_s:
            assert ids(generations) in (BEFORE, AFTER)
        print("done")
    """
    with start(script, root) as reader:
        for _ in range(2):
            replace_victim(generations)
        out, err = reader.communicate(timeout=60)
    assert out == "done\n", err


def test_a_second_builder_is_told_who_is_building(generations: Generations) -> None:
    base = generations.current()
    with generations.build(base=base, dim=DIM, embedder_digest="digest"):
        began_s = time.monotonic()
        with (
            pytest.raises(HouseBusy, match=f"process {os.getpid()} is writing"),
            generations.build(base=base, dim=DIM, embedder_digest="digest"),
        ):
            pass
        assert time.monotonic() - began_s < 1
        with pytest.raises(HouseBusy):
            generations.sweep()


@pytest.mark.parametrize(
    ("step", "dies_in", "content"),
    [
        ("index.copied", "child", BEFORE),
        ("index.inserted", "child", BEFORE),
        ("index.optimized", "child", BEFORE),
        ("index.before_swap", "parent", BEFORE),
        ("index.after_swap", "parent", AFTER),
    ],
)
def test_death_at_any_step_leaves_a_whole_generation(
    generations: Generations, root: Path, step: str, dies_in: str, content: list[str]
) -> None:
    status, _, err = run("replace_victim(generations)", root, FREEHOLD_KILL_AT=step)
    if dies_in == "parent":
        assert status == -signal.SIGKILL
    else:
        assert status == 1
        assert "EngineFault: the index builder was killed by signal 9" in err
    assert ids(generations) == content
    info = replace_victim(generations)
    assert directories(root) == {info.name}
    assert ids(generations) == AFTER


def test_a_killed_parent_takes_its_child_along(generations: Generations, root: Path) -> None:
    script = """
        with generations.build(base=generations.current(), dim=DIM, embedder_digest="digest") as builder:
            points = [make_point(seed) for seed in range(2_000)]
            builder.add(points)
            builder._put("commit", None)
            print(builder._child._process.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    status, out, _ = run(script, root)
    assert status == -signal.SIGKILL
    child = Path("/proc") / out.strip()
    deadline_s = time.monotonic() + 10
    while child.exists() and "\nState:\tZ" not in child.joinpath("status").read_text():
        assert time.monotonic() < deadline_s, "the child outlived its parent"
        time.sleep(0.05)
    assert ids(generations) == BEFORE
    assert generations.sweep() == ()
    assert len(directories(root)) == 1


@pytest.mark.parametrize("limit_bytes", [1 << 10, 1 << 20])
def test_files_that_may_not_grow_are_a_storage_fault(generations: Generations, root: Path, limit_bytes: int) -> None:
    script = f"""
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))
        try:
            replace_victim(generations)
        except StorageFault as fault:
            print(fault.hint)
    """
    before = generations.current()
    assert before is not None
    _, out, err = run(script, root)
    assert "make room" in out, err
    assert generations.current() == before
    assert ids(generations) == BEFORE
    assert directories(root) == {before.name}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    image, mount = tmp_path / "disk.img", tmp_path / "disk"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(40 << 20)
    for command in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(mount)]):
        if not shutil.which(command[0]) or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("may not make and mount a small disk here")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk_is_a_storage_fault(seeded: Path, small_disk: Path) -> None:
    root = small_disk / "root"
    copy_tree(seeded, root, skip_prefix=".")
    generations = Generations(root)
    before = generations.current()
    assert before is not None
    points = [Point(new_id(), "d", unit(1, dim=512), SparseVector([], [])) for _ in range(20_000)]
    with (
        generations.build(base=None, dim=512, embedder_digest="digest") as builder,
        pytest.raises(StorageFault) as caught,
    ):
        add_and_commit(builder, points)
    assert "make room" in caught.value.hint
    assert generations.current() == before
    assert ids(generations) == BEFORE
    assert directories(root) - {"lost+found"} == {before.name}
    replace_victim(generations)
    assert ids(generations) == AFTER


def add_and_commit(builder: Builder, points: list[Point]) -> None:
    for begin in range(0, len(points), 500):
        builder.add(points[begin : begin + 500])
    builder.commit(2)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"{}", b'{"format": 1}', b'{"format": "x", "name": "n"}']
)
def test_a_damaged_pointer_is_a_storage_fault_and_costs_no_generation(
    generations: Generations, root: Path, content: bytes
) -> None:
    kept = directories(root)
    (root / "current.json").write_bytes(content)
    for call in (generations.current, generations.open_current, generations.sweep, lambda: replace_victim(generations)):
        with pytest.raises(StorageFault, match="damaged") as caught:
            call()
        assert caught.value.hint
    assert directories(root) == kept


def test_a_pointer_of_a_newer_freehold_is_told_apart(generations: Generations, root: Path) -> None:
    (root / "current.json").write_text(json.dumps({"format": 2, "name": "n"}))
    with pytest.raises(HouseMismatch, match="newer"):
        generations.current()


def test_a_missing_generation_is_a_storage_fault(generations: Generations, root: Path) -> None:
    current = root / "current.json"
    written = json.loads(current.read_text())
    current.write_text(json.dumps({**written, "name": "generation-lost"}))
    with pytest.raises(StorageFault, match="no index"):
        generations.open_current()
