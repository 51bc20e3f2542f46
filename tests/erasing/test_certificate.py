"""A certificate can say only what is so: every dishonest one is refused where it is made and where it is read."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from importlib import resources

import pytest
from jsonschema import Draft202012Validator

from freehold.core.deadline import due_after
from freehold.proof import verify
from freehold.proof.certificate import Certificate, Finding, Model, Store
from freehold.proof.signing import PAYLOAD_TYPE, Signer, pae
from freehold.store.ledger import HouseLedger

UUID, DIGEST, NOW = "00000000-0000-4000-8000-000000000000", "ab" * 32, "2026-11-26T12:00:00+00:00"
FREEHOLD = [sys.executable, "-c", "from freehold.cli.main import main; main()"]
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
    probes=(Finding("raw-text", "raw-bytes", "house", 4, 0, 0, "pass"),),
    seconds={"erased": 1.5},
    software="freehold 0.1.0",
)  # fmt: skip
WHO = HONEST.identity
DISHONEST = {
    "something pending": {"pending": ("models",)},
    "a pending model": {"models": (Model(UUID, "pending", "", "", "", NOW),)},
    "a pending backup": {"backups": {"cleared": 0, "pending": 1}},
    "an undecided document": {"identity": {**WHO, "unresolved": 1}},
    "a failed probe": {"probes": (Finding("raw-text", "raw-bytes", "house", 4, 2, 0, "fail"),)},
    "a probe that could not look": {"probes": (Finding("raw-text", "raw-bytes", "house", 0, 0, 0, "inconclusive"),)},
    "a probe that says pass and found something": {"probes": (Finding("x", "raw-bytes", "house", 4, 2, 0, "pass"),)},
    "a probe that says pass without control": {"probes": (Finding("x", "raw-bytes", "house", 0, 0, 0, "pass"),)},
    "a probe that could not read all": {"probes": (Finding("x", "raw-bytes", "house", 4, 0, 1, "inconclusive"),)},
    "a probe that says pass and could not read all": {"probes": (Finding("x", "raw-bytes", "house", 4, 0, 1, "pass"),)},
    "no probe": {"probes": ()},
    "no store": {"stores": ()},
    "a server's files passed over": {"stores": (Store("index", 3, "deleted", "logical"),)},
    "a kept document": {"exempt": {"17(3)(b)": 1}},
    "an exemption without a document": {"verdict": "PARTIAL_EXEMPT"},
    "nothing that was not reached": {"notReached": ()},
    "a place that there is not": {"notReached": ("Anna Keller's house",)},
    "a name for a store": {"stores": (Store("Anna Keller", 1, "deleted", "physical"),)},
    "a name among the counts": {"identity": {**WHO, "identifiers": {"anna keller": 1}}},
    "a name for a request": {"request": "anna"},
    "an action that does not go with its items": {"stores": (Store("catalog", 0, "deleted", "physical"),)},
    "issued before it was received": {"issued": "2026-11-25T12:00:00+00:00"},
    "a logical delete": {
        "stores": (Store("catalog", 3, "deleted", "logical"),),
        "notReached": ("source-files", "index-server"),
    },
}


SCHEMA = Draft202012Validator(
    json.loads(resources.files("freehold.proof").joinpath("certificate.schema.json").read_text(encoding="utf-8"))
)
BEYOND_A_SCHEMA = {"issued before it was received"}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    made = HouseLedger(tmp_path_factory.mktemp("ledger"))
    for _ in range(5):
        made.append("access.shown", counts={"documents": 1})
    return made


@pytest.fixture
def bundle(ledger):
    def make(statement: dict) -> dict:
        signer = Signer.new()
        envelope = signer.envelope(statement)
        digest = sha256(base64.b64decode(envelope["payload"])).hexdigest()
        codes = {"verdict": "COMPLETE"}
        index = ledger.append("erasure.certified", ids={"request": UUID}, digests={"certificate": digest}, codes=codes)
        logged = ledger.inclusion(index)
        return {
            "envelope": envelope,
            "publicKey": base64.b64encode(signer.public).decode(),
            "log": {
                "leaf": base64.b64encode(logged.leaf).decode(),
                "index": index,
                "path": [base64.b64encode(part).decode() for part in logged.path],
                "checkpoint": logged.checkpoint,
                "publicKey": base64.b64encode(logged.public).decode(),
            },
        }

    return make


def test_an_honest_one_is_read_as_it_was_made(bundle):
    SCHEMA.validate(HONEST.statement())
    assert verify.verify(bundle(HONEST.statement())) == HONEST.predicate()
    told = verify.told(HONEST.predicate()).splitlines()
    assert told[1].split() == ["not", "reached", "source-files"]


def test_a_server_that_is_named_as_unreached_may_have_dropped_the_index(bundle):
    stores = (*HONEST.stores, Store("index", 3, "deleted", "logical"))
    served = dataclasses.replace(HONEST, stores=stores, notReached=("source-files", "index-server"))
    assert verify.verify(bundle(served.statement())) == served.predicate()
    assert SCHEMA.is_valid(served.statement())
    assert "index: 3 deleted, logical" in verify.told(served.predicate())


@pytest.mark.parametrize("what", DISHONEST)
def test_a_dishonest_one_is_refused_where_it_is_made_and_where_it_is_read(what, bundle):
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
    assert SCHEMA.is_valid(statement) == (what in BEYOND_A_SCHEMA)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("index", lambda at: at - 1),
        ("index", lambda _: True),
        ("path", lambda path: path[::-1]),
        ("path", lambda path: path[:-1]),
        ("path", lambda path: [*path, path[0]]),
        ("checkpoint", lambda note: note.replace("\n6\n", "\n7\n", 1) + "x"),
        ("checkpoint", lambda note: note.replace("freehold", "another")),
        ("checkpoint", lambda note: note.rstrip("\n") + " anything at all\n"),
        ("leaf", lambda leaf: base64.b64encode(base64.b64decode(leaf) + b" ").decode()),
        ("publicKey", lambda _: base64.b64encode(Signer.new().public).decode()),
    ],
)
def test_a_certificate_that_is_not_in_the_log_is_refused(bundle, part, change):
    whole = bundle(HONEST.statement())
    assert verify.verify(whole)
    with pytest.raises(verify.Invalid):
        verify.verify({**whole, "log": {**whole["log"], part: change(whole["log"][part])}})


def test_the_leaf_of_another_certificate_does_not_do(bundle):
    one, other = bundle(HONEST.statement()), bundle(dataclasses.replace(HONEST, fence=6).statement())
    with pytest.raises(verify.Invalid, match="another certificate"):
        verify.verify({**one, "log": other["log"]})
    with pytest.raises(verify.Invalid, match="expected"):
        verify.verify(one, log_key=Signer.new().public)


def test_a_key_that_is_empty_is_no_key(bundle):
    for keys in ((b"", None), (None, b"")):
        with pytest.raises(verify.Invalid):
            verify.verify(bundle(HONEST.statement()), *keys)


@pytest.mark.parametrize("alone", [True, False])
def test_an_empty_option_is_an_error_and_a_key_that_was_not_given_is_told_of(erased, alone):
    (path,) = erased.glob("requests/*/certificate.json")
    bundle = json.loads(path.read_bytes())

    def checked(*options: str) -> tuple[int, str]:
        command = [sys.executable, verify.__file__] if alone else [*FREEHOLD, "--house", str(erased), "verify"]
        done = subprocess.run([*command, str(path), *options], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    right = ("--key", bundle["publicKey"]), ("--log-key", bundle["log"]["publicKey"])
    for option, _ in right:
        assert checked(option, "") == (2, "")
        assert checked(option, "AAAA") == (2, "")
    code, told = checked()
    assert code == 0
    assert "not checked    the signer's key against one known from elsewhere" in told
    assert "not checked    the log's key" in told
    code, told = checked(*right[0], *right[1])
    assert code == 0
    assert "not checked" not in told


def _plain(value):
    if isinstance(value, tuple):
        return [dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for v in value]
    return value


def test_unknown_fields_and_other_keys_are_refused(bundle):
    statement = HONEST.statement()
    statement["predicate"]["subjectName"] = "Anna Keller"
    assert not SCHEMA.is_valid(statement)
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
