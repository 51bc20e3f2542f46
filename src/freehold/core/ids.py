"""Ids and canonical JSON."""

from __future__ import annotations

import hashlib
import json
import uuid


def new_id() -> str:
    """A fresh random id (UUID version 4, canonical text): never reused, without content or order."""
    return str(uuid.uuid4())


def sha256_hex(data: bytes) -> str:
    """SHA-256 of ``data`` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces and unescaped text: equal values give equal strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
