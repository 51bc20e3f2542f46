"""Values of the house as Qdrant Edge takes them; and what the engine raises as errors of the house."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as engine

from freehold.core.errors import EngineFault, FreeholdError
from freehold.core.files import FULL_ERRNOS
from freehold.core.types import Filter, Point, SparseVector
from freehold.index.files import storage_fault
from freehold.index.values import TAGS, checked_id, dense_list, sparse_lists, tags_of, wanted_tags


def engine_point(point: Point, *, dim: int) -> engine.Point:
    """Raises EngineFault for a wrong dimension, a number that is not finite, a malformed id or sparse vector."""
    tags = tags_of(point)
    # The engine reads a list twice as fast as an array, which it takes element by element.
    dense = dense_list(point.dense, point.chunk_id, dim=dim)
    vectors: dict[str, engine.NamedVector] = {"dense": dense, "bm25": engine_sparse(point.sparse, point.chunk_id)}
    return engine.Point(checked_id(point.chunk_id), vectors, {TAGS: tags})


def engine_sparse(vector: SparseVector, *refs: str) -> engine.SparseVector:
    """Raises EngineFault unless indices ascend within 32 bits and values are finite."""
    return engine.SparseVector(*sparse_lists(vector, *refs))


def engine_filter(condition: Filter | None) -> engine.Filter | None:
    """None for a filter that lets everything pass. Raises EngineFault for text that is not valid Unicode."""
    wanted = wanted_tags(condition)
    if not wanted:
        return None
    return engine.Filter(must=[_any_of(tags) for tags in wanted])


def _any_of(tags: Sequence[str]) -> engine.FieldCondition:
    match = engine.MatchValue(tags[0]) if len(tags) == 1 else engine.MatchAny(list(tags))
    return engine.FieldCondition(key=TAGS, match=match)


@contextmanager
def engine_faults(path: Path, verb: str) -> Iterator[None]:
    """Turn whatever the engine raises into EngineFault, or StorageFault where the disk is to blame."""
    try:
        yield
    except (FreeholdError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of the engine derives from BaseException
        number = re.search(r"os error (\d+)", str(error))
        if number:
            raise storage_fault(path, str(error)[:200], full=int(number[1]) in FULL_ERRNOS) from error
        raise EngineFault(
            f"the engine failed to {verb} {path}: {str(error)[:200]}",
            hint="build the index again from the catalog if it happens again",
            refs=(str(path),),
        ) from error
