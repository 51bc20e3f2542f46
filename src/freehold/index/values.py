"""Values of the house as any Qdrant takes them, in plain lists and checked first: what both back ends share."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np

from freehold.core.errors import EngineFault
from freehold.core.types import Filter, Point, SparseVector

if TYPE_CHECKING:
    from freehold.core.types import Float32

TAGS = "f"
"""The one payload key: an array of filter fields as tags, so that any key can be filtered by without a schema."""
EXACT_BELOW = 10_000
"""Up to this many points a scan of all of them takes about a millisecond, so that a graph would only lose recall."""
SEGMENT_POINTS = 32_000
"""Erasing one point rewrites its segment: this bounds the cost of an erasure."""
WRITE_BATCH = 500
IDS_PAGE = 5_000
HNSW_EF = 256


def tags_of(point: Point) -> list[str]:
    """The point's filter fields and its document's id. Raises EngineFault for text that is not valid Unicode."""
    return [_tag(key, value) for key, value in {**point.fields, "document_id": point.document_id}.items()]


def wanted_tags(condition: Filter | None) -> list[list[str]]:
    """Of each of these a point must have one; none for a filter that lets everything pass. Raises as ``tags_of``."""
    wanted = (condition or {}).items()
    return [
        [_tag(key, value)] if isinstance(value, str) else [_tag(key, v) for v in sorted(value)] for key, value in wanted
    ]


def dense_list(vector: Float32, *refs: str, dim: int) -> list[float]:
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
    return vector.tolist()  # type: ignore[no-any-return]


def sparse_lists(vector: SparseVector, *refs: str) -> tuple[list[int], list[float]]:
    """Indices and values. Raises EngineFault unless indices ascend within 32 bits and values are finite."""
    try:
        indices = np.asarray(vector.indices, dtype=np.int64)
        values = np.asarray(vector.values, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        raise _bad_sparse(refs) from None
    if indices.ndim != 1 or indices.shape != values.shape or not np.isfinite(values).all():
        raise _bad_sparse(refs)
    if indices.size and (indices[0] < 0 or indices[-1] >= 2**32 or (np.diff(indices) <= 0).any()):
        raise _bad_sparse(refs)
    return indices.tolist(), values.tolist()


def _bad_sparse(refs: tuple[str, ...]) -> EngineFault:
    return EngineFault(
        "a sparse vector whose indices are not ascending unsigned 32-bit numbers, or whose values are not finite",
        hint="check the term analyzer's output",
        refs=refs,
    )


def is_chunk_id(value: object) -> bool:
    """Whether it is a UUID in canonical text: engines give anything else back changed."""
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def checked_id(chunk_id: str) -> str:
    """The id. Raises EngineFault for one that is not a canonical UUID."""
    if not is_chunk_id(chunk_id):
        raise EngineFault("a chunk id that is not a canonical UUID", hint="make ids with freehold.core.ids.new_id")
    return chunk_id


def kilobytes(points: int, *, dim: int) -> int:
    """Size of so many dense vectors, the unit in which Qdrant has its thresholds."""
    return max(1, points * dim * 4 // 1024)


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
