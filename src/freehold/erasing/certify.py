"""Certify: what a request came to, signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from freehold import __version__
from freehold.core.erasure import ErasureRequest
from freehold.core.files import write_durably
from freehold.core.ids import canonical_json
from freehold.core.records import to_json
from freehold.erasing.holders import holders_of
from freehold.erasing.retrain import off_at
from freehold.erasing.verify import Verified
from freehold.erasing.walk import is_tracked, requests_of
from freehold.house import House
from freehold.key_files import export_keys
from freehold.proof import verify as offline
from freehold.proof.certificate import Certificate, Finding, Model, Pending, Place, Store, Verdict
from freehold.proof.signing import Signer
from freehold.tuning.tracking import own_folder

KEY = "certificate.key"
_STAGES = ("verified", "certified")


@dataclass(frozen=True, slots=True)
class Certified:
    """A request with its certificate, and where that lies."""

    request: ErasureRequest
    certificate: Certificate
    path: Path


def certify(house: House, request: ErasureRequest, verified: Verified) -> Certified:
    """Write, sign and keep what can be said now: interim while something is pending, failed where something is left."""
    requests = requests_of(house)
    # Where the clock was put back, a certificate is as old as its request: none is issued before that was received.
    now = max(datetime.now(UTC).isoformat(timespec="seconds"), request.received)
    reached = {stage: now for stage in _STAGES if stage not in request.reached}
    request = requests.update(replace(request, stage="certified", reached={**request.reached, **reached}))
    certificate = _written(house, request, verified, issued=now)
    signer = signer_of(house)
    envelope = signer.envelope(certificate.statement())
    digests, codes = {"certificate": _digest(envelope)}, {"verdict": certificate.verdict}
    index = house.ledger.append("erasure.certified", ids={"request": request.id}, digests=digests, codes=codes)
    logged = house.ledger.inclusion(index)
    bundle = {
        "envelope": envelope,
        "publicKey": _coded(signer.public),
        "log": {
            "leaf": _coded(logged.leaf),
            "index": logged.index,
            "path": [_coded(part) for part in logged.path],
            "checkpoint": logged.checkpoint,
            "publicKey": _coded(logged.public),
        },
    }
    offline.verify(bundle, signer.public)
    path = requests.put_certificate(request.id, offline.canonical(bundle))
    return Certified(requests.update(replace(request, certificate=certificate.verdict)), certificate, path)


def _digest(envelope: Mapping[str, Any]) -> str:
    """Of the statement that was signed: what the ledger and the next certificate name it by."""
    return hashlib.sha256(base64.b64decode(envelope["payload"])).hexdigest()


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _written(house: House, request: ErasureRequest, verified: Verified, *, issued: str) -> Certificate:
    models = _models(house, request)
    pending: list[Pending] = []
    if request.asked:
        pending.append("decisions")
    if any(model.action == "pending" for model in models):
        pending.append("models")
    left = export_keys(house)
    if left:
        pending.append("backups")
    if is_tracked(house, request):
        pending.append("tracking-server")
    exempt: dict[str, int] = {}
    for basis in request.held.values():
        exempt[basis] = exempt.get(basis, 0) + 1
    verdict: Verdict = "PARTIAL_EXEMPT" if exempt else "COMPLETE"
    if pending:
        verdict = "INTERIM"
    if not verified.passed:
        verdict = "FAILED"
    actions = list(request.documents.values())
    return Certificate(
        notReached=_not_reached(house),
        pending=pending,
        exempt=exempt,
        verdict=verdict,
        request=request.id,
        supersedes=_digest_of_latest(house, request),
        ground=request.ground,
        received=request.received,
        due=request.due,
        issued=issued,
        identity={
            "identifiers": dict(request.identifiers),
            "deleted": actions.count("delete"),
            "redacted": actions.count("redact"),
            "confirmed": request.confirmed,
            "refused": len(request.refused),
            "unresolved": len(request.asked),
            "recall": measured_recall(),
        },
        stores=[
            Store(holder.name, count, "deleted" if count else "none-found", holder.level)
            for holder in holders_of(house, _silent)
            if (count := request.erased.get(holder.name, 0)) >= 0
        ],
        models=models,
        backups={"cleared": request.erased.get("backups", 0), "pending": len(left)},
        fence=house.shelf.fence.counts().get(request.id, 0),
        commitment=_commitment(house, request),
        probes=[
            Finding(
                probe.id, probe.kind, probe.target, probe.control_hits, probe.hits, len(probe.unread), probe.verdict
            )
            for probe in verified.probes
        ],
        seconds=dict(request.seconds),
        software=f"freehold {__version__}",
    )


def _not_reached(house: House) -> tuple[Place, ...]:
    """What the house has no hand on. A server that weights were sent to is a recipient (Art. 19); of one that keeps
    vectors the files are meant, and its snapshots.
    """
    always: tuple[Place, ...] = ("source-files", "labelled-sets", "reports-handed-out", "base-models", "block-devices")
    remote = house.settings.tracking.kind != "none" and own_folder(house.settings.tracking.endpoint) is None
    recipients: tuple[Place, ...] = ("recipients",) if remote or house.settings.privacy.recipients else ()
    server: tuple[Place, ...] = ("index-server",) if house.indexes.served else ()
    return (*always, *recipients, *server)


def _models(house: House, request: ErasureRequest) -> list[Model]:
    here = {version.id: version for version in house.registry.all()}
    models = []
    for version_id in sorted(request.sets):
        if version_id in here:
            due = off_at(house, here[version_id]).isoformat(timespec="seconds")
            models.append(Model(version_id, "pending", "", "", "", due))
            continue
        by = here.get(request.replaced.get(version_id, ""))
        if by is None:
            models.append(Model(version_id, "removed", "", "", "", ""))
        else:
            models.append(Model(version_id, "replaced", by.id, by.digest, by.manifest, ""))
    return models


def _digest_of_latest(house: House, request: ErasureRequest) -> str:
    latest = requests_of(house).certificate(request.id)
    return _digest(json.loads(latest)["envelope"]) if latest else ""


def _commitment(house: House, request: ErasureRequest) -> str:
    """HMAC-SHA-256 (RFC 2104) over what the person gave, under the key that goes when the request is closed."""
    subject = requests_of(house).subject(request.id)
    key = house.shelf.vault.key(f"request:{request.id}")
    return hmac.new(key, canonical_json(to_json(subject.identifiers)).encode(), hashlib.sha256).hexdigest()


def signer_of(house: House) -> Signer:
    """The house's key for certificates, made when first needed and readable for its owner alone."""
    path = house.root / KEY
    if not path.exists():
        write_durably(path, Signer.new().private, mode=0o600)
    return Signer.read(path.read_bytes())


def measured_recall() -> dict[str, Any]:
    """How many labelled mentions the finder found, with the lower end of the exact 95 % interval, as last measured."""
    text = resources.files("freehold.privacy").joinpath("recall.json").read_text(encoding="utf-8")
    measured = json.loads(text)
    return {key: measured[key] for key in ("value", "lower95", "sample")}


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass
