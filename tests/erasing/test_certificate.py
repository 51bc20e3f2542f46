"""A certificate can say only what is so: every dishonest one is refused where it is made and where it is read."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime

import pytest

from freehold.core.deadline import due_after
from freehold.proof import verify
from freehold.proof.certificate import Certificate, Finding, Model, Store
from freehold.proof.signing import PAYLOAD_TYPE, Signer, pae

UUID, DIGEST, NOW = "00000000-0000-4000-8000-000000000000", "ab" * 32, "2026-11-26T12:00:00+00:00"
HONEST = Certificate(
    notReached=("source-files",),
    pending=(),
    exempt={},
    verdict="COMPLETE",
    request=UUID,
    supersedes="",
    ground="17(1)(b)",
    received=NOW,
    due="2026-12-26T23:59:59+00:00",
    issued=NOW,
    identity={
        "identifiers": {"email": 1}, "deleted": 1, "redacted": 2, "confirmed": 0, "refused": 1, "unresolved": 0,
        "recall": {"value": 0.99, "lower95": 0.98, "sample": "town"},
    },
    stores=(Store("catalog", 3, "deleted", "physical"), Store("models", 0, "none-found", "physical")),
    models=(Model(UUID, "replaced", UUID, DIGEST, DIGEST, ""),),
    backups={"cleared": 3, "pending": 0},
    fence=5,
    commitment=DIGEST,
    probes=(Finding("raw-text", "raw-bytes", "house", 4, 0, "pass"),),
    seconds={"erased": 1.5},
    software="freehold 0.1.0",
)  # fmt: skip
WHO = HONEST.identity
DISHONEST = {
    "something pending": {"pending": ("models",)},
    "a pending model": {"models": (Model(UUID, "pending", "", "", "", NOW),)},
    "a pending backup": {"backups": {"cleared": 0, "pending": 1}},
    "an undecided document": {"identity": {**WHO, "unresolved": 1}},
    "a failed probe": {"probes": (Finding("raw-text", "raw-bytes", "house", 4, 2, "fail"),)},
    "a probe that could not look": {"probes": (Finding("raw-text", "raw-bytes", "house", 0, 0, "inconclusive"),)},
    "a probe that says pass and found something": {"probes": (Finding("x", "raw-bytes", "house", 4, 2, "pass"),)},
    "a probe that says pass without control": {"probes": (Finding("x", "raw-bytes", "house", 0, 0, "pass"),)},
    "no probe": {"probes": ()},
    "no store": {"stores": ()},
    "a kept document": {"exempt": {"17(3)(b)": 1}},
    "an exemption without a document": {"verdict": "PARTIAL_EXEMPT"},
    "nothing that was not reached": {"notReached": ()},
    "a place that there is not": {"notReached": ("Anna Keller's house",)},
    "a name for a store": {"stores": (Store("Anna Keller", 1, "deleted", "physical"),)},
    "a name among the counts": {"identity": {**WHO, "identifiers": {"anna keller": 1}}},
    "a name for a request": {"request": "anna"},
    "an action that does not go with its items": {"stores": (Store("catalog", 0, "deleted", "physical"),)},
    "issued before it was received": {"issued": "2026-11-25T12:00:00+00:00"},
    "a logical delete": {"stores": (Store("catalog", 3, "deleted", "logical"),)},  # type: ignore[arg-type]
}


def bundle(statement: dict) -> dict:
    import base64

    signer = Signer.new()
    return {"envelope": signer.envelope(statement), "publicKey": base64.b64encode(signer.public).decode()}


def test_an_honest_one_is_read_as_it_was_made():
    assert verify.verify(bundle(HONEST.statement())) == HONEST.predicate()
    told = verify.told(HONEST.predicate()).splitlines()
    assert told[1].split() == ["not", "reached", "source-files"]


@pytest.mark.parametrize("what", DISHONEST)
def test_a_dishonest_one_is_refused_where_it_is_made_and_where_it_is_read(what):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever of it is noticed first
        dataclasses.replace(HONEST, **DISHONEST[what])
    statement = HONEST.statement()
    changes = DISHONEST[what]
    plain = json.loads(json.dumps({k: _plain(v) for k, v in changes.items()}))
    statement["predicate"] = {**statement["predicate"], **plain}
    if "request" in changes:
        statement["subject"][0]["name"] = f"erasure-request:{changes['request']}"
    with pytest.raises(verify.Invalid):
        verify.verify(bundle(statement))


def _plain(value):
    if isinstance(value, tuple):
        return [dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for v in value]
    return value


def test_unknown_fields_and_other_keys_are_refused():
    statement = HONEST.statement()
    statement["predicate"]["subjectName"] = "Anna Keller"
    with pytest.raises(verify.Invalid, match="other fields"):
        verify.verify(bundle(statement))
    with pytest.raises(verify.Invalid, match="another key"):
        verify.verify(bundle(HONEST.statement()), Signer.new().public)


def test_what_is_signed_is_as_dsse_says():
    # The example of the specification's protocol page.
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert PAYLOAD_TYPE == "application/vnd.in-toto+json"


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-01-31", "2026-02-28"), ("2028-01-31", "2028-02-29"), ("2026-12-15", "2027-01-15"),
        ("2026-05-31", "2026-06-30"), ("2026-02-28", "2026-03-28"), ("2026-11-26", "2026-12-26"),
    ],
)  # fmt: skip
def test_a_month_is_a_month_of_the_calendar(received, due):
    assert due_after(datetime.fromisoformat(received).replace(hour=9, tzinfo=UTC)).date().isoformat() == due
    with pytest.raises(ValueError, match="time zone"):
        due_after(datetime.fromisoformat(received))
