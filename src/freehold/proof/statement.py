"""Signed statements of a house other than certificates: bundled with their place in its log, and checked offline."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from freehold.proof import verify as offline

STATEMENT_TYPE = offline.STATEMENT_TYPE
RESIDENCY = "https://freehold.dev/attestations/residency/v1"
_NAMES = {"house", "issued", "software", "regions", "operator", "leaves", "stopped", "unseen", "notSeen"}


def coded(data: bytes) -> str:
    """In base64, as bundles have bytes."""
    return base64.b64encode(data).decode()


def payload_digest(envelope: dict[str, Any]) -> str:
    """Of what was signed: the ledger names a statement by it."""
    return hashlib.sha256(base64.b64decode(envelope["payload"])).hexdigest()


def is_residency(bundle: Any) -> bool:
    """Whether a bundle says that it holds a residency statement; nothing is checked."""
    try:
        return json.loads(base64.b64decode(bundle["envelope"]["payload"]))["predicateType"] == RESIDENCY  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError):
        return False


def verify(bundle: Any, key: bytes | None = None, log_key: bytes | None = None) -> dict[str, Any]:
    """The residency statement in a bundle, if it holds: signature, form, place in the log. Raises ``offline.Invalid``.

    Keys as in ``freehold.proof.verify.verify``.
    """
    need = offline.need
    offline.fields(bundle, "the bundle", {"envelope", "publicKey", "log"})
    known = offline.decoded(bundle["publicKey"], "publicKey") if key is None else key
    need(len(known) == 32, "the public key is none")
    need(offline.decoded(bundle["publicKey"], "publicKey") == known, "it names another key than the one expected")
    said = offline.opened(bundle["envelope"], known)
    offline.fields(said, "the statement", {"_type", "subject", "predicateType", "predicate"})
    need(said["_type"] == STATEMENT_TYPE and said["predicateType"] == RESIDENCY, "it is no residency statement")
    found = said["predicate"]
    offline.fields(found, "the residency statement", _NAMES)
    need(all(way["region"] in found["regions"] for way in found["leaves"]), "a region that the house does not allow")
    need(all(way["operator"] for way in found["leaves"]), "an endpoint without an operator")
    need(bool(found["notSeen"]), "it does not say what was not seen")
    log = bundle["log"]
    offline.fields(log, "the log's part", {"leaf", "index", "path", "checkpoint", "publicKey"})
    leaf = offline.decoded(log["leaf"], "the leaf")
    told = json.loads(leaf)
    right = {"statement": payload_digest(bundle["envelope"])}
    need(isinstance(told, dict) and told.get("kind") == "residency.stated", "the log's leaf is of something else")
    need(told.get("digests") == right, "the log's leaf is of another statement")
    public = offline.decoded(log["publicKey"], "the log's key")
    need(log_key is None or public == log_key, "the log has another key than the one expected")
    size, root = offline.checkpoint(log["checkpoint"], public)
    path = [offline.decoded(part, "the path") for part in offline.listed(log["path"])]
    stands = type(log["index"]) is int and offline.included(leaf, log["index"], size, path) == root
    need(stands, "it does not stand in the log")
    return found  # type: ignore[no-any-return]
