"""``kill -9`` at every step of an erasure: the same command again ends where an undisturbed one does."""

from __future__ import annotations

import signal

import practice
import pytest
from practice import SUBJECT, TRACES, copied, freehold, residue, texts, told

STEPS = (
    "fence.before_commit",
    "request.fenced",
    "catalog.before_restricted",
    "request.restricted",
    "erase.evidence",
    "vault.created",
    "catalog.before_commit",
    "catalog.committed",
    "vault.destroyed",
    "blobs.removed",
    "erase.catalog",
    "index.before_swap",
    "index.after_swap",
    "erase.index",
    "request.erased",
    "request.certified",
)


@pytest.mark.parametrize("kill_at", STEPS)
def test_kill(made, erased, tmp_path, kill_at):
    house = copied(made, tmp_path)
    killed = freehold("erase", *SUBJECT, "--yes", house=house, kill_at=kill_at)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    # Whatever it was killed at: no certificate says more than is true.
    for certificate in house.glob("requests/*/certificate.json"):
        assert certificate.exists()
        assert not residue(house, *TRACES)
    outcome = told("erase", *SUBJECT, "--yes", house=house)
    assert outcome["verdict"] == "COMPLETE"
    assert not residue(house, *TRACES)
    assert texts(house) == texts(erased)
    assert len(told("requests", house=house)["requests"]) == 1
    hits = told("search", "car park in Naas", "-k", "1", house=house)["hits"]
    assert practice.BYSTANDERS[0] in hits[0]["text"]
