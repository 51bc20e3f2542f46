"""Generations on a Qdrant server: which collection answers, whatever is killed, fails or is read meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.core.errors import EndpointFault, EngineFault, HouseBusy, HouseMismatch, StorageFault
from freehold.core.faults import KILL_AT
from freehold.core.types import GenerationInfo
from freehold.index import qdrant_server
from freehold.index.qdrant_server import Server
from freehold.testing.vector_index import DIM, make_point, terms, unit

pytest.importorskip("qdrant_client")
from freehold.index.qdrant_generations import ServerGenerations
from qdrant_stand_in import StandIn, served

OLD = [make_point(seed) for seed in range(40)]
VICTIM, NEW = make_point(90), make_point(100)
BEFORE = sorted(point.chunk_id for point in [*OLD, VICTIM])
AFTER = sorted(point.chunk_id for point in [*OLD, NEW])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setattr(qdrant_server, "FIRST_PAUSE_S", 0.01)
    return StandIn()


@pytest.fixture
def url(stand_in: StandIn) -> Iterator[str]:
    with served(stand_in) as address:
        yield address


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "qdrant"


@pytest.fixture
def generations(root: Path, url: str) -> ServerGenerations:
    made = at(root, url)
    with made.build(base=None, dim=DIM, embedder_digest="digest") as builder:
        builder.add(OLD)
        builder.add([VICTIM])
        builder.commit(1)
    return made


def at(root: Path, url: str) -> ServerGenerations:
    return ServerGenerations(root, Server.connect(url, api_key=None, timeout_s=5), house="Meridian: contracts!")


def replace_victim(generations: ServerGenerations) -> GenerationInfo:
    with generations.build(base=generations.current(), dim=DIM, embedder_digest="digest") as builder:
        builder.delete([VICTIM.chunk_id])
        builder.add([NEW])
        return builder.commit(2)


def ids(generations: ServerGenerations) -> list[str]:
    with contextlib.closing(generations.open_current()) as index:
        return sorted(index.ids())


def collections(stand_in: StandIn) -> set[str]:
    return {one.name for one in stand_in.client.get_collections().collections}


def test_nothing_is_current_at_first(root: Path, url: str) -> None:
    assert at(root, url).current() is None
    with pytest.raises(StorageFault, match="no index") as caught:
        at(root, url).open_current()
    assert caught.value.hint


def test_a_commit_is_the_current_generation_and_the_one_before_is_dropped(generations, stand_in) -> None:
    first = generations.current()
    assert (first.revision, first.embedder_digest, first.dim, first.points) == (1, "digest", DIM, 41)
    assert first.name.startswith("freehold-meridian-contracts-")
    assert ids(generations) == BEFORE
    second = replace_victim(generations)
    assert second == generations.current() != first
    assert (second.revision, second.points) == (2, 41)
    assert ids(generations) == AFTER
    assert collections(stand_in) == {second.name} == set(generations.names())


def test_a_copied_point_is_the_one_that_was_copied(generations) -> None:
    asked = {"dense": unit(5), "sparse": terms(5), "limit": 50}
    with contextlib.closing(generations.open_current()) as index:
        before = {leg: {hit.chunk_id: hit.score for hit in hits} for leg, hits in index.search(**asked).items()}
    replace_victim(generations)
    with contextlib.closing(generations.open_current()) as index:
        after = {leg: {hit.chunk_id: hit.score for hit in hits} for leg, hits in index.search(**asked).items()}
        assert index.count({"language": "de"}) == sum(p.fields["language"] == "de" for p in [*OLD, NEW])
    for point in OLD:
        assert after["dense"][point.chunk_id] == pytest.approx(before["dense"][point.chunk_id], abs=1e-5)
    assert after["lexical"].keys() - {NEW.chunk_id} == before["lexical"].keys() - {VICTIM.chunk_id}


def test_a_committed_collection_never_changes(generations, stand_in) -> None:
    """What is deleted was never in the collection that answers."""
    replace_victim(generations)
    name = generations.current().name
    assert not [call for call in stand_in.calls if call.startswith(f"POST /collections/{name}/points/delete")]
    committed = len(stand_in.calls)
    with generations.build(base=generations.current(), dim=DIM, embedder_digest="digest") as builder:
        builder.add([VICTIM])
        builder.delete([VICTIM.chunk_id])
        builder.add([make_point(0)])
        info = builder.commit(3)
    assert not [c for c in stand_in.calls[committed:] if name in c and c.startswith("PUT")]
    assert not [c for c in stand_in.calls[committed:] if info.name in c and "delete" in c]
    assert (ids(generations), info.points) == (AFTER, 41)


def test_a_new_revision_without_a_change_costs_no_copy(generations, stand_in) -> None:
    before = generations.current()
    with generations.build(base=before, dim=DIM, embedder_digest="digest") as builder:
        builder.delete([])
        info = builder.commit(7)
    assert (info.name, info.revision, info.points) == (before.name, 7, 41)
    assert collections(stand_in) == {before.name}
    assert ids(generations) == BEFORE


def test_leaving_without_commit_leaves_nothing(generations, stand_in) -> None:
    before = generations.current()
    with contextlib.suppress(KeyError), generations.build(base=before, dim=DIM, embedder_digest="digest") as builder:
        builder.delete([VICTIM.chunk_id])
        builder.add([NEW])
        raise KeyError
    assert generations.current() == before
    assert collections(stand_in) == {before.name}
    assert ids(generations) == BEFORE


def test_what_cannot_be_built_on_is_refused(generations) -> None:
    base = generations.current()
    for dim, digest in ((DIM + 1, "digest"), (DIM, "other")):
        with pytest.raises(HouseMismatch), generations.build(base=base, dim=dim, embedder_digest=digest):
            pass
    with generations.build(base=base, dim=DIM, embedder_digest="digest") as builder:
        builder.commit(2)
        for call in (lambda: builder.add([NEW]), lambda: builder.delete([]), lambda: builder.commit(3)):
            with pytest.raises(EngineFault, match="committed"):
                call()


def test_a_reader_keeps_its_generation_until_it_closes(generations, stand_in) -> None:
    reader = generations.open_current()
    before = generations.current().name
    replace_victim(generations)
    assert sorted(reader.ids()) == BEFORE
    assert generations.sweep() == (before,)
    with pytest.raises(HouseBusy, match="reader"):
        generations.remove()
    reader.close()
    assert generations.sweep() == ()
    assert before not in collections(stand_in)


def test_one_builder_at_a_time(generations, root: Path, url: str) -> None:
    with generations.build(base=None, dim=DIM, embedder_digest="digest"):
        for call in (at(root, url).sweep, at(root, url).build(base=None, dim=DIM, embedder_digest="d").__enter__):
            with pytest.raises(HouseBusy):
                call()


def test_removing_drops_all(generations, stand_in, root: Path) -> None:
    replace_victim(generations)
    generations.remove()
    assert collections(stand_in) == set()
    assert not root.exists()


def test_houses_on_one_server_do_not_meet(generations, tmp_path: Path, url: str) -> None:
    other = at(tmp_path / "other", url)
    with other.build(base=None, dim=DIM, embedder_digest="digest") as builder:
        builder.add([NEW])
        builder.commit(1)
    replace_victim(generations)
    other.sweep()
    assert (ids(generations), ids(other)) == (AFTER, [NEW.chunk_id])
    other.remove()
    assert ids(generations) == AFTER


def test_a_collection_that_the_server_lost_is_a_storage_fault(generations, stand_in) -> None:
    stand_in.client.delete_collection(generations.current().name)
    with pytest.raises(StorageFault, match="not on"):
        generations.open_current()


def test_a_server_that_fails_in_the_midst_leaves_what_answers(generations, stand_in) -> None:
    before = generations.current()
    for verb in ("PUT /collections/freehold", "GET /collections/freehold", "POST /collections/freehold"):
        answer, failed = stand_in.answer, []

        def fail(method: str, path: str, body: bytes, verb: str = verb, answer=answer, failed=failed) -> object:
            if f"{method} {path}".startswith(verb) and before.name not in path:
                failed.append(path)
                raise RuntimeError("no")
            return answer(method, path, body)

        stand_in.answer = fail
        with pytest.raises(EndpointFault):
            replace_victim(generations)
        stand_in.answer = answer
        assert failed
        assert generations.current() == before
        assert ids(generations) == BEFORE
        assert generations.sweep() == ()
        assert collections(stand_in) == {before.name}


def test_points_that_somebody_else_put_there_stop_a_commit(generations, stand_in) -> None:
    before = generations.current()
    with generations.build(base=before, dim=DIM, embedder_digest="digest") as builder:
        builder.delete([VICTIM.chunk_id])
        builder.add([NEW])
        (name,) = collections(stand_in) - {before.name}
        (point, *_), _ = stand_in.client.scroll(before.name, with_vectors=True)
        stand_in.client.upsert(name, [point.model_copy(update={"id": 7})])
        with pytest.raises(EngineFault, match="42 points where 41"):
            builder.commit(2)
    assert generations.current() == before


CHILD = """
import sys
sys.path[:0] = sys.argv[3:]
from test_qdrant_generations import *
replace_victim(at(Path(sys.argv[1]), sys.argv[2]))
"""
STEPS = (
    "index.noted",
    "index.copied",
    "index.inserted",
    "index.optimized",
    "index.before_swap",
    "index.after_swap",
    "index.dropped",
)


@pytest.mark.parametrize("step", STEPS)
def test_killed_anywhere_it_is_one_or_the_other_and_the_next_clears_up(generations, stand_in, root, url, step) -> None:
    before = generations.current()
    command = [sys.executable, "-c", CHILD, str(root), url, *map(str, Path(__file__).parents[:2])]
    done = subprocess.run(command, env={**os.environ, KILL_AT: step}, capture_output=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr
    swapped = step in {"index.after_swap", "index.dropped"}
    assert ids(generations) == (AFTER if swapped else BEFORE)
    assert (generations.current() == before) != swapped
    assert collections(stand_in) <= set(generations.names()) | {before.name}
    assert generations.sweep() == ()
    assert collections(stand_in) == {generations.current().name} == set(generations.names())
    replace_victim(generations)
    assert ids(generations) == AFTER
