"""The scanner on real shards of Qdrant Edge: a delete alone is caught, and so is the write-ahead log in CBOR."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as engine

from freehold.core.types import Point, SparseVector
from freehold.index.qdrant_edge import QdrantEdgeIndex
from freehold.proof.scan import scan
from freehold.proof.writings import raw_vector_patterns, text_patterns, vector_patterns

RNG = np.random.default_rng(5)
COUNT, DIM = 400, 64
VECTORS = RNG.standard_normal((COUNT, DIM)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
GONE, ALIVE = [3, 200, 399], 7


def look(folder: Path) -> tuple[set[str], bool]:
    """Files in which the deleted are, and whether the living one is found."""
    gone = [pattern for i in GONE for pattern in vector_patterns(VECTORS[i], "gone")]
    found = scan(folder, [*gone, *raw_vector_patterns(VECTORS[ALIVE], "live")]).found
    return set(found.get("gone", ())), "live" in found


def shard(folder: Path, *, wal: bool, vacuum: bool) -> engine.EdgeShard:
    """Three deleted of 400: with the engine's own thresholds nothing is vacuumed."""
    folder.mkdir()
    tight = {"deleted_threshold": 1e-7, "vacuum_min_vector_number": 1} if vacuum else {}
    config = engine.EdgeConfig(
        vectors=engine.EdgeVectorParams(size=DIM, distance=engine.Distance.Cosine),
        optimizers=engine.EdgeOptimizersConfig(**tight),
        wal_enabled=wal,
    )
    made = engine.EdgeShard.create(str(folder), config)
    points = [engine.Point(i, VECTORS[i].tolist(), {"text": f"person-{i:04d} asked about pumps"}) for i in range(COUNT)]
    made.update(engine.UpdateOperation.upsert_points(points))
    made.flush()
    return made


@pytest.mark.parametrize("wal", [False, True])
@pytest.mark.parametrize("vacuum", [False, True])
def test_what_a_delete_leaves_is_found(tmp_path: Path, wal: bool, vacuum: bool) -> None:
    made = shard(tmp_path / "shard", wal=wal, vacuum=vacuum)
    assert look(tmp_path)[1]
    made.update(engine.UpdateOperation.delete_points(GONE))
    made.flush()
    assert made.retrieve(GONE, True, True) == []
    assert look(tmp_path)[0], "the engine says not found, and the vectors are in its files"
    made.optimize()
    made.flush()
    made.close()
    files, lives = look(tmp_path)
    assert lives
    if not vacuum:
        assert files
    elif wal:
        assert files, "the log keeps floats in CBOR"
        assert all("wal" in file for file in files)
    else:
        assert not files


def test_text_in_payloads_is_found(tmp_path: Path) -> None:
    made = shard(tmp_path / "shard", wal=True, vacuum=False)
    made.update(engine.UpdateOperation.delete_points(GONE))
    made.flush()
    made.optimize()
    made.close()
    wanted = [*text_patterns("person-0200 asked", "gone"), *text_patterns("person-0007 asked", "live")]
    assert set(scan(tmp_path, wanted).found) == {"gone", "live"}


def index(folder: Path) -> tuple[QdrantEdgeIndex, list[str]]:
    ids = [str(uuid.UUID(int=n + 1, version=4)) for n in range(COUNT)]
    made = QdrantEdgeIndex.create(folder, dim=DIM)
    words = SparseVector(np.array([1], np.uint32), np.array([1.0], np.float32))
    made.upsert([Point(id, id, v, words) for id, v in zip(ids, VECTORS, strict=True)])
    made.optimize()
    return made, ids


def test_the_houses_index_is_clean_once_optimized_and_not_before(tmp_path: Path) -> None:
    made, ids = index(tmp_path / "index")
    assert look(tmp_path)[0]
    made.delete([ids[i] for i in GONE])
    assert look(tmp_path)[0]
    made.optimize()
    made.close()
    assert look(tmp_path) == (set(), True)
