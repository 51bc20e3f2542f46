"""Values of the house as Qdrant Edge takes them, checked first; and what the engine raises as errors of the house."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import qdrant_edge as engine

from freehold.core.errors import EngineFault, FreeholdError
from freehold.core.files import FULL_ERRNOS
from freehold.core.types import Filter, Point, SparseVector
from freehold.index.files import storage_fault

if TYPE_CHECKING:
    from freehold.core.types import Float32

TAGS = "f"
"""The one payload key: an array of filter fields as tags, so that any key can be filtered by without a schema."""


def engine_point(point: Point, *, dim: int) -> engine.Point:
    """Raises EngineFault for a wrong dimension, a number that is not finite, a malformed id or sparse vector."""
    tags = [_tag(key, value) for key, value in {**point.fields, "document_id": point.document_id}.items()]
    dense = engine_dense(point.dense, point.chunk_id, dim=dim)
    vectors: dict[str, engine.NamedVector] = {"dense": dense, "bm25": engine_sparse(point.sparse, point.chunk_id)}
    return engine.Point(checked_id(point.chunk_id), vectors, {TAGS: tags})


def engine_dense(vector: Float32, *refs: str, dim: int) -> list[float]:
    """Raises EngineFault for a wrong dimension or a number that is not finite."""
    vector = np.asarray(vector, dtype=np.float32)
    if vector.shape != (dim,):
        raise EngineFault(
            f"a dense vector of shape {vector.shape} for an index of dimension {dim}",
            hint="embed with the model that the index was built with",
            refs=refs,
        )
    with np.errstate(over="ignore", invalid="ignore"):
        norm2 = np.dot(vector, vector)
    if not np.isfinite(norm2):
        raise EngineFault("a dense vector that is not finite", hint="check the embedder's output", refs=refs)
    # The engine reads a list twice as fast as an array, which it takes element by element.
    return vector.tolist()  # type: ignore[no-any-return]


def engine_sparse(vector: SparseVector, *refs: str) -> engine.SparseVector:
    """Raises EngineFault unless indices ascend within 32 bits and values are finite."""
    try:
        indices = np.asarray(vector.indices, dtype=np.int64)
        values = np.asarray(vector.values, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        raise _bad_sparse(refs) from None
    if indices.ndim != 1 or indices.shape != values.shape or not np.isfinite(values).all():
        raise _bad_sparse(refs)
    if indices.size and (indices[0] < 0 or indices[-1] >= 2**32 or (np.diff(indices) <= 0).any()):
        raise _bad_sparse(refs)
    return engine.SparseVector(indices.tolist(), values.tolist())


def _bad_sparse(refs: tuple[str, ...]) -> EngineFault:
    return EngineFault(
        "a sparse vector whose indices are not ascending unsigned 32-bit numbers, or whose values are not finite",
        hint="check the term analyzer's output",
        refs=refs,
    )


def engine_filter(condition: Filter | None) -> engine.Filter | None:
    """None for a filter that lets everything pass. Raises EngineFault for text that is not valid Unicode."""
    if not condition:
        return None
    return engine.Filter(must=[_condition(key, value) for key, value in condition.items()])


def _condition(key: str, value: str | Collection[str]) -> engine.FieldCondition:
    if isinstance(value, str):
        return engine.FieldCondition(key=TAGS, match=engine.MatchValue(_tag(key, value)))
    return engine.FieldCondition(key=TAGS, match=engine.MatchAny([_tag(key, one) for one in sorted(value)]))


def checked_id(chunk_id: str) -> str:
    """The id, a UUID in canonical text. Raises EngineFault for anything else: the engine would give it back changed."""
    try:
        canonical = str(uuid.UUID(chunk_id)) == chunk_id
    except (ValueError, AttributeError, TypeError):
        canonical = False
    if not canonical:
        raise EngineFault("a chunk id that is not a canonical UUID", hint="make ids with freehold.core.ids.new_id")
    return chunk_id


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


def _tag(key: str, value: str) -> str:
    # The key's length comes first, so that no two pairs of key and value give one tag.
    tag = f"{len(key)}:{key}={value}"
    try:
        tag.encode()
    except UnicodeEncodeError:
        raise EngineFault(
            "a filter field that is not valid Unicode", hint="clean metadata before indexing it"
        ) from None
    return tag
