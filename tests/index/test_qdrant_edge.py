from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freehold.core.errors import EngineFault, HouseBusy, HouseMismatch, StorageFault
from freehold.core.ids import new_id
from freehold.core.ports import VectorIndex
from freehold.core.types import Point, SparseVector
from freehold.index.qdrant_edge import QdrantEdgeIndex
from freehold.index.values import EXACT_BELOW
from freehold.testing.vector_index import DIM, VectorIndexCase, make_point, marked_point, unit


class TestQdrantEdge(VectorIndexCase):
    def make_index(self, path: Path, *, dim: int) -> VectorIndex:
        return QdrantEdgeIndex.create(path, dim=dim)

    def reopen(self, path: Path) -> VectorIndex:
        return QdrantEdgeIndex.open(path, read_only=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index"


def clustered(count: int, *, dim: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((count // 50 + 1, dim))
    vectors = centres[generator.integers(0, len(centres), count)] + generator.standard_normal((count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_a_graph_finds_what_a_scan_finds_and_erases_as_well(path: Path) -> None:
    vectors = clustered(EXACT_BELOW + 2_000, dim=48, seed=1)
    index = QdrantEdgeIndex.create(path, dim=48)
    index.upsert([Point(new_id(), "d", vector, SparseVector([], [])) for vector in vectors])
    victim = marked_point(1, dim=48)
    index.upsert([victim])
    index.optimize()
    recalls = []
    for query in clustered(30, dim=48, seed=2):
        exact = {hit.chunk_id for hit in index.search(dense=query, limit=100, exact=True)["dense"]}
        found = {hit.chunk_id for hit in index.search(dense=query, limit=100)["dense"]}
        recalls.append(len(exact & found) / 100)
    assert np.mean(recalls) > 0.95
    probe = TestQdrantEdge()
    assert all(probe.residue(path, victim).values())
    index.delete([victim.chunk_id])
    index.optimize()
    assert not any(probe.residue(path, victim).values())
    index.close()


def test_a_full_segment_is_closed_and_indexed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.index.qdrant_edge.SEGMENT_POINTS", 1_000)
    monkeypatch.setattr("freehold.index.qdrant_edge.EXACT_BELOW", 500)
    index = QdrantEdgeIndex.create(path, dim=DIM)
    index.upsert([make_point(seed) for seed in range(3_000)])
    index.optimize()
    sizes = [file.stat().st_size // (DIM * 4) for file in path.rglob("matrix.dat")]
    index.close()
    assert len(sizes) >= 2
    assert max(sizes) < 2_000


def test_one_writer_or_many_readers(path: Path) -> None:
    writer = QdrantEdgeIndex.create(path, dim=DIM)
    for read_only in (True, False):
        with pytest.raises(HouseBusy, match=r"process \d+ is writing"):
            QdrantEdgeIndex.open(path, read_only=read_only)
    writer.upsert([make_point(1)])
    writer.close()
    first, second = (QdrantEdgeIndex.open(path, read_only=True) for _ in range(2))
    assert first.count() == second.count() == 1
    with pytest.raises(HouseBusy, match="open"):
        QdrantEdgeIndex.open(path, read_only=False)
    first.close()
    second.close()
    QdrantEdgeIndex.open(path, read_only=False).close()


def test_a_reader_refuses_to_write(path: Path) -> None:
    QdrantEdgeIndex.create(path, dim=DIM).close()
    reader = QdrantEdgeIndex.open(path, read_only=True)
    for call in (lambda: reader.upsert([make_point(1)]), lambda: reader.delete([]), reader.optimize, reader.flush):
        with pytest.raises(EngineFault, match="open for reading"):
            call()
    reader.close()


def test_reading_changes_no_content_once_the_first_open_has_cleared_the_journals(path: Path) -> None:
    index = QdrantEdgeIndex.create(path, dim=DIM)
    index.upsert([make_point(seed) for seed in range(100)])
    index.optimize()
    index.close()
    QdrantEdgeIndex.open(path, read_only=False).close()
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    reader = QdrantEdgeIndex.open(path, read_only=True)
    reader.search(dense=unit(1), sparse=SparseVector([0], [1.0]), limit=10)
    reader.close()
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_create_refuses_a_directory_in_use(path: Path) -> None:
    path.mkdir()
    (path / "letter.txt").touch()
    with pytest.raises(StorageFault, match="not empty"):
        QdrantEdgeIndex.create(path, dim=DIM)
    with pytest.raises(StorageFault, match="cannot write"):
        QdrantEdgeIndex.create(path / "letter.txt", dim=DIM)


def test_what_cannot_be_opened_says_why(path: Path) -> None:
    with pytest.raises(StorageFault, match="no index"):
        QdrantEdgeIndex.open(path, read_only=True)
    QdrantEdgeIndex.create(path, dim=DIM).close()
    meta = path / "index.json"
    good = meta.read_text()
    meta.write_text('{"format": 99, "dim": 3}')
    with pytest.raises(HouseMismatch):
        QdrantEdgeIndex.open(path, read_only=True)
    meta.write_text(good[:5])
    with pytest.raises(StorageFault, match="damaged"):
        QdrantEdgeIndex.open(path, read_only=True)
    meta.write_text(good)
    (path / "shard" / "edge_config.json").write_text("{")
    with pytest.raises(EngineFault) as caught:
        QdrantEdgeIndex.open(path, read_only=True)
    assert caught.value.hint


def test_the_zero_vector_has_no_direction_and_does_no_harm(path: Path) -> None:
    index = QdrantEdgeIndex.create(path, dim=DIM)
    zero = np.zeros(DIM, np.float32)
    index.upsert([make_point(1), make_point(2, dense=zero)])
    scores = {hit.chunk_id: hit.score for hit in index.search(dense=unit(1), limit=5)["dense"]}
    assert scores[make_point(2).chunk_id] == 0.0
    assert {hit.score for hit in index.search(dense=zero, limit=5)["dense"]} == {0.0}
    index.close()
