"""Ids and canonical JSON."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable

# One for all: making an encoder costs more than a digest of a document does.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def new_id() -> str:
    """A fresh random id (UUID version 4, canonical text): never reused, without content or order."""
    return str(uuid.uuid4())


def sha256_hex(data: bytes) -> str:
    """SHA-256 of ``data`` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces and unescaped text: equal values give equal strings."""
    return _CANONICAL.encode(value)


def keyed_order(ids: Iterable[str], key: str) -> list[str]:
    """The ids in an order that looks random and is settled by ``key``: by a keyed hash (BLAKE2b) of each.

    The place of an id among the others depends on nothing but the two of them: taking one away, or adding one, leaves
    the order of the rest.
    """
    digest = hashlib.blake2b(key.encode(), digest_size=32).digest()

    def place(id: str) -> tuple[bytes, str]:
        return hashlib.blake2b(id.encode(), key=digest, digest_size=16).digest(), id

    return sorted(ids, key=place)
