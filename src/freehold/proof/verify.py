"""Check an erasure certificate on any machine: ``python verify.py CERTIFICATE.json [--key KEY] [--log-key KEY]``.

This file stands alone: standard library and ``cryptography``, nothing of Freehold. It checks the signature, that the
certificate says nothing but what its form allows, that its verdict goes with what it says, and that it stands in the
house's log (RFC 6962, under a C2SP checkpoint). What was not reached is printed first, and what no certificate can
prove last. Exit 0: all holds; 1: it does not.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import re
import sys
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://freehold.dev/attestations/erasure/v1"

UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
HEX = re.compile(r"[0-9a-f]{64}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)")
WORD = re.compile(r"[a-z][a-z0-9-]{0,31}")
PLACES = {
    "source-files", "labelled-sets", "reports-handed-out", "recipients", "base-models", "block-devices", "index-server",
}  # fmt: skip
LEVELS = {"physical", "crypto", "logical"}
PENDING = {"decisions", "models", "backups", "tracking-server"}
GROUNDS = {*(f"17(1)({letter})" for letter in "abcdef"), "retention-expiry", "controller-initiative"}
EXEMPTIONS = {f"17(3)({letter})" for letter in "abcde"}
VERDICTS = {"COMPLETE", "PARTIAL_EXEMPT", "INTERIM", "FAILED"}
NEVER_PROVEN = (
    "that no mention was missed: how many are found is measured, and stands under identity.recall",
    "that nobody kept a copy outside the places that this house keeps",
    "that no magnetic or electric trace is left below the files",
)


class Invalid(Exception):
    """What does not hold."""


def verify(bundle: Any, key: bytes | None = None, log_key: bytes | None = None) -> dict[str, Any]:
    """The certificate in a bundle ``{"envelope": ..., "publicKey": ..., "log": ...}``, if it holds. Raises Invalid.

    ``key``: the 32 bytes of the house's public key as they are known from elsewhere, ``log_key`` those of its log; None
    takes the bundle's own, and then shows only that whoever has that key signed.
    """
    fields(bundle, "the bundle", {"envelope", "publicKey", "log"})
    known = decoded(bundle["publicKey"], "publicKey") if key is None else key
    need(len(known) == 32, "the public key is none")
    need(decoded(bundle["publicKey"], "publicKey") == known, "the certificate names another key than the one expected")
    statement = opened(bundle["envelope"], known)
    fields(statement, "the statement", {"_type", "subject", "predicateType", "predicate"})
    need(statement["_type"] == STATEMENT_TYPE and statement["predicateType"] == PREDICATE_TYPE, "it is no certificate")
    certificate = statement["predicate"]
    check(certificate)
    subject = [{"name": f"erasure-request:{certificate['request']}", "digest": {"sha256": certificate["commitment"]}}]
    need(statement["subject"] == subject, "it speaks of another request than it is about")
    check_log(bundle["log"], certificate, decoded(bundle["envelope"]["payload"], "payload"), log_key)
    return certificate  # type: ignore[no-any-return]


def check_log(log: Any, certificate: Any, payload: bytes, log_key: bytes | None) -> None:
    """Whether a leaf of the log speaks of this certificate, and a signed checkpoint covers that leaf."""
    fields(log, "the log's part", {"leaf", "index", "path", "checkpoint", "publicKey"})
    leaf = decoded(log["leaf"], "the leaf")
    told = json.loads(leaf)
    right = {"certificate": sha256(payload).hexdigest()}
    need(isinstance(told, dict) and told.get("kind") == "erasure.certified", "the log's leaf is of something else")
    need(told.get("digests") == right, "the log's leaf is of another certificate")
    need(told.get("ids") == {"request": certificate["request"]}, "the log's leaf is of another request")
    public = decoded(log["publicKey"], "the log's key")
    need(log_key is None or public == log_key, "the log has another key than the one expected")
    size, root = checkpoint(log["checkpoint"], public)
    path = [decoded(part, "the path") for part in listed(log["path"])]
    need(type(log["index"]) is int and included(leaf, log["index"], size, path) == root, "it does not stand in the log")


def checkpoint(note: Any, public: bytes) -> tuple[int, bytes]:
    """Size and root of a log in its signed note (c2sp.org/tlog-checkpoint)."""
    need(isinstance(note, str) and note.count("\n\n") == 1 and note.endswith("\n"), "the checkpoint is no signed note")
    text, _, signature = note.partition("\n\n")
    origin, *lines = text.split("\n")
    need(len(lines) == 2 and lines[0].isdecimal(), "the checkpoint is not of its form")
    words = signature.removesuffix("\n").split(" ")
    need(len(words) == 3, "the checkpoint's signature is not of its form")
    dash, name, coded = words
    need((dash, name) == ("\u2014", origin), "the checkpoint is signed by another log")
    signed = decoded(coded, "the checkpoint's signature")
    need(signed[:4] == sha256(origin.encode() + b"\n\x01" + public).digest()[:4], "the log has another key")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signed[4:], f"{text}\n".encode())
    except (InvalidSignature, ValueError):
        raise Invalid("the checkpoint's signature does not fit") from None
    return int(lines[0]), decoded(lines[1], "the root")


def included(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root that a leaf and its audit path lead to (RFC 9162 2.1.3.2); None where they lead nowhere."""
    if not 0 <= index < size:
        return None
    at, last, found = index, size - 1, sha256(b"\x00" + leaf).digest()
    for beside in path:
        if last == 0:
            return None
        if at % 2 or at == last:
            found = sha256(b"\x01" + beside + found).digest()
            while at % 2 == 0 and at:
                at, last = at // 2, last // 2
        else:
            found = sha256(b"\x01" + found + beside).digest()
        at, last = at // 2, last // 2
    return found if last == 0 else None


def canonical(bundle: Any) -> bytes:
    """The one form in which a bundle is written, so that no byte of the file can be another."""
    text = json.dumps(bundle, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"{text}\n".encode()


def opened(envelope: Any, key: bytes) -> Any:
    """What is in a signed envelope (DSSE v1)."""
    fields(envelope, "the envelope", {"payloadType", "payload", "signatures"})
    need(envelope["payloadType"] == PAYLOAD_TYPE, "the envelope holds something else")
    payload = decoded(envelope["payload"], "payload")
    signatures = envelope["signatures"]
    need(isinstance(signatures, list) and len(signatures) == 1, "there is not one signature")
    fields(signatures[0], "the signature", {"keyid", "sig"})
    need(signatures[0]["keyid"] == sha256(key).hexdigest(), "it was signed with another key")
    kind = PAYLOAD_TYPE.encode()
    signed = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(decoded(signatures[0]["sig"], "sig"), signed)
    except (InvalidSignature, ValueError):
        raise Invalid("the signature does not fit: something was changed, or another key signed") from None
    return json.loads(payload)


def check(it: Any) -> None:
    """Whether a certificate says only what it may, and nothing that its verdict denies."""
    names = {
        "notReached", "pending", "exempt", "verdict", "request", "supersedes", "ground", "received", "due", "issued",
        "identity", "stores", "models", "backups", "fence", "commitment", "probes", "seconds", "software",
    }  # fmt: skip
    fields(it, "the certificate", names)
    need(all(place in PLACES for place in listed(it["notReached"])) and it["notReached"], "notReached")
    need(all(part in PENDING for part in listed(it["pending"])), "pending")
    counts(it["exempt"], EXEMPTIONS)
    need(it["verdict"] in VERDICTS and it["ground"] in GROUNDS, "verdict or ground")
    fits(it["request"], UUID)
    need(it["supersedes"] == "" or HEX.fullmatch(it["supersedes"]), "supersedes")
    for name in ("received", "due", "issued"):
        fits(it[name], TIME)
    need(it["received"][:19] <= it["issued"][:19], "it was issued before the request was received")
    check_identity(it["identity"])
    check_parts(it)
    fits(it["commitment"], HEX)
    need(isinstance(it["fence"], int) and it["fence"] >= 0, "fence")
    numbers = it["seconds"]
    need(
        isinstance(numbers, dict) and all(WORD.fullmatch(k) and type(v) in {int, float} for k, v in numbers.items()),
        "seconds",
    )
    fits(it["software"], re.compile(r"freehold \d[\w.+-]{0,31}"))
    check_honesty(it)


def check_identity(identity: Any) -> None:
    """Who was found, in counts."""
    fields(identity, "identity", {"identifiers", "deleted", "redacted", "confirmed", "refused", "unresolved", "recall"})
    counts(identity["identifiers"], None)
    counts({k: v for k, v in identity.items() if k not in {"identifiers", "recall"}}, None)
    recall = identity["recall"]
    fields(recall, "recall", {"value", "lower95", "sample"})
    need(all(type(recall[k]) in {int, float} and 0 <= recall[k] <= 1 for k in ("value", "lower95")), "recall")
    fits(recall["sample"], WORD)


def check_parts(it: Any) -> None:
    """Stores, models, backups and probes, each by itself."""
    for store in listed(it["stores"]):
        fields(store, "a store", {"holder", "items", "action", "level"})
        fits(store["holder"], WORD)
        counts({"items": store["items"]}, None)
        need(store["action"] in {"deleted", "none-found"} and store["level"] in LEVELS, "a store")
        need((store["action"] == "deleted") == (store["items"] > 0), "a store's action does not go with its items")
    need(it["stores"], "no store is named")
    for model in listed(it["models"]):
        fields(model, "a model", {"version", "action", "replacement", "digest", "manifest", "due"})
        fits(model["version"], UUID)
        need(model["action"] in {"replaced", "removed", "pending"}, "a model's action")
        replaced = model["action"] == "replaced"
        need(not replaced or (UUID.fullmatch(model["replacement"]) and HEX.fullmatch(model["digest"])), "a replacement")
        need(all(model[k] == "" or HEX.fullmatch(model[k]) for k in ("digest", "manifest")), "a model's digests")
        need(model["replacement"] == "" or UUID.fullmatch(model["replacement"]), "a replacement")
        need(TIME.fullmatch(model["due"]) if model["action"] == "pending" else model["due"] == "", "a model's due date")
    fields(it["backups"], "backups", {"cleared", "pending"})
    counts(it["backups"], None)
    for probe in listed(it["probes"]):
        fields(probe, "a probe", {"id", "kind", "target", "controlHits", "hits", "unread", "verdict"})
        for name in ("id", "kind", "target"):
            fits(probe[name], WORD)
        counts({name: probe[name] for name in ("hits", "controlHits", "unread")}, None)


def check_honesty(it: Any) -> None:
    """A verdict that leaves anything out is none."""
    unseen = {store["holder"] for store in it["stores"] if store["level"] == "logical"}
    need(unseen <= {"index"}, "a store other than the index was not looked into")
    need(not unseen or "index-server" in it["notReached"], "a server's files are not named as unreached")
    for probe in it["probes"]:
        looked = probe["controlHits"] and not probe["unread"]
        right = "fail" if probe["hits"] else "pass" if looked else "inconclusive"
        need(probe["verdict"] == right, f"probe {probe['id']} says {probe['verdict']} and found otherwise")
    verdict = it["verdict"]
    if verdict == "FAILED":
        return
    need(
        it["probes"] and all(p["verdict"] == "pass" for p in it["probes"]), f"{verdict} with a probe that did not pass"
    )
    if verdict != "INTERIM":
        models = any(model["action"] == "pending" for model in it["models"])
        need(not (it["pending"] or models or it["backups"]["pending"]), f"{verdict} with something pending")
        need(not it["identity"]["unresolved"], f"{verdict} with documents that nobody decided on")
        need((verdict == "PARTIAL_EXEMPT") == bool(it["exempt"]), f"{verdict} does not go with what is kept")


def need(holds: object, problem: str) -> None:
    """Raise Invalid where something does not hold."""
    if not holds:
        raise Invalid(problem)


def fields(value: Any, what: str, names: set[str]) -> None:
    """It is an object with exactly these fields."""
    need(isinstance(value, dict) and set(value) == names, f"{what} has other fields than it may")


def listed(value: Any) -> list[Any]:
    """It is a list."""
    need(isinstance(value, list), "something is no list")
    return value  # type: ignore[no-any-return]


def counts(value: Any, allowed: set[str] | None) -> None:
    """It is a table of counts, under these names or (None) under any short one."""
    need(isinstance(value, dict), "something is no table of counts")
    for key, count in value.items():
        need(
            key in allowed if allowed is not None else re.fullmatch(r"[a-zA-Z0-9_]{1,24}", key),
            "a count has no such name",
        )
        need(type(count) is int and count >= 0, "a count is no number")


def fits(value: Any, pattern: re.Pattern[str]) -> None:
    """It is text of this form."""
    need(isinstance(value, str) and pattern.fullmatch(value), "a value is not of its form")


def decoded(value: Any, what: str) -> bytes:
    """The bytes of base64 in its one form."""
    need(isinstance(value, str), f"{what} is no text")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(f"{what} is not base64") from None
    need(base64.b64encode(data).decode() == value, f"{what} is not base64 in its one form")
    return data


def told(it: dict[str, Any]) -> str:
    """A certificate in words, what was not reached first."""
    lines = [f"verdict        {it['verdict']}", f"not reached    {', '.join(it['notReached'])}"]
    lines += [f"pending        {', '.join(it['pending'])}"] if it["pending"] else []
    lines += [f"kept           {count} under Art. {basis}" for basis, count in it["exempt"].items()]
    who = it["identity"]
    lines.append(f"request        {it['request']}, received {it['received']}, due {it['due']}, issued {it['issued']}")
    lines.append(f"documents      {who['deleted']} deleted, {who['redacted']} redacted, {who['unresolved']} undecided")
    lines += [f"store          {s['holder']}: {s['items']} {s['action']}, {s['level']}" for s in it["stores"]]
    lines += [f"model          {m['version']}: {m['action']} {m['due']}".rstrip() for m in it["models"]]
    passed = sum(probe["verdict"] == "pass" for probe in it["probes"])
    lines.append(f"probes         {passed} of {len(it['probes'])} passed, each with a living control")
    recall = who["recall"]
    share = f"{recall['value']:.3f} of labelled mentions, at least {recall['lower95']:.3f}"
    lines.append(f"found          {share} ({recall['sample']})")
    lines += [f"not proven     {what}" for what in NEVER_PROVEN]
    return "\n".join(lines)


def unknown(key: bytes | None, log_key: bytes | None) -> list[str]:
    """Lines that say whose keys were taken from the file itself, and so were not checked."""
    taken = [f"the {what}'s key" for what, one in (("signer", key), ("log", log_key)) if one is None]
    return [f"not checked    {what} against one known from elsewhere" for what in taken]


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Check an erasure certificate.")
    parser.add_argument("certificate")
    parser.add_argument(
        "--key", type=public_key, help="the house's public key in base64, as it is known from elsewhere"
    )
    parser.add_argument("--log-key", type=public_key, help="the public key of the house's log, likewise")
    given = parser.parse_args(arguments)
    try:
        with open(given.certificate, "rb") as file:  # noqa: PTH123 - stands alone
            written = file.read()
        bundle = json.loads(written)
        need(written == canonical(bundle), "the file is not as it was written")
        certificate = verify(bundle, given.key, given.log_key)
    except (OSError, ValueError, Invalid) as problem:
        print(f"invalid: {problem}", file=sys.stderr)  # noqa: T201
        return 1
    print("\n".join([told(certificate), *unknown(given.key, given.log_key)]))  # noqa: T201
    return 0


def public_key(text: str) -> bytes:
    """The key in base64. Raises ValueError for anything else; the empty text of a variable that is not set is none."""
    key = base64.b64decode(text, validate=True)
    if len(key) != 32:
        raise ValueError("it is no public key: 32 bytes in base64")
    return key


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
