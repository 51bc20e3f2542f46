"""Orders to tune, as jobs of the service carry them out."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from school import School

from freehold.house import open_house
from freehold.store.jobs import Jobs


def run(own: School, **given: Any) -> dict[str, Any]:
    """What the process of such a job says last."""
    with open_house(own.house) as house:
        job = Jobs(house.root, house.shelf.vault).add("tune", given, key="somebody", files=())
    command = [sys.executable, "-m", "freehold.serving.job", str(own.house), job.id]
    # It ends with its parent, who holds the other end of its standard input.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    said: dict[str, Any] = json.loads(lines[-1])
    return said


def test_a_job_trains_a_candidate(own: School) -> None:
    before = {version.id for version in versions(own)}
    result = run(own, role="adapter", settings={"epochs": "5"}, seed=3)["result"]
    (made,) = [version for version in versions(own) if version.id not in before]
    assert result["version"] == made.id
    assert made.role == "adapter"
    assert made.settings["epochs"] == 5
    assert result["candidate"]


def test_weights_of_fusion(own: School) -> None:
    result = run(own, role="fusion")["result"]
    assert next(v for v in versions(own) if v.id == result["version"]).role == "fusion"


def test_what_cannot_be_trained_says_why(own: School) -> None:
    for given in (
        {"role": "adapter", "training": "no-such-set"},
        {"role": "adapter", "settings": {"epoch": "5"}},
        {"role": "fusion", "trials": 3},
    ):
        error = run(own, **given)["error"]
        assert error["code"] == "usage", error
        assert error["hint"]


def versions(own: School) -> list[Any]:
    with open_house(own.house) as house:
        return list(house.registry.all())
