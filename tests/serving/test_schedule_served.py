"""What is due is done by the service, as jobs of the least priority; what fails is not tried at once again."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from freehold.house import open_house
from freehold.schedule import STATE
from freehold.serving import service as serving
from freehold.serving.service import Service
from freehold.store.jobs import Job, Jobs

DUE = {"retrain", "reprobe", "expire", "watch", "checkpoint"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_FIRST_LOOK_S", 0.0)
    monkeypatch.setattr(serving, "_SCHEDULE_S", 0.2)


def serve(root: Path, until: Callable[[list[Job]], bool], *, at_least_s: float = 0.0) -> list[Job]:
    """The house in service until its jobs are as wanted; what they are."""

    async def running() -> list[Job]:
        service = Service(root, engines=1)
        await service.start()
        began = time.monotonic()
        try:
            while not until(service.jobs.all()) or time.monotonic() - began < at_least_s:
                assert time.monotonic() - began < 300
                await asyncio.sleep(0.2)
            return service.jobs.all()
        finally:
            await service.stop()

    return asyncio.run(running())


def over(jobs: list[Job]) -> bool:
    return {job.given["task"] for job in jobs if job.is_over} >= DUE


def give_leave(root: Path, more: str = "") -> None:
    settings = root / "freehold.toml"
    settings.write_text(settings.read_text().replace("service = false", f"service = true\n{more}"))


def test_each_due_task_is_a_job_once(own: Path) -> None:
    give_leave(own)
    jobs = serve(own, over, at_least_s=2.0)
    assert sorted(job.given["task"] for job in jobs) == sorted(DUE)
    assert {job.kind for job in jobs} == {"schedule"}
    assert {(job.state, job.result["outcome"]) for job in jobs} == {("done", "done")}
    assert {task: run["outcome"] for task, run in json.loads((own / STATE).read_text()).items()} == dict.fromkeys(
        DUE, "done"
    )
    with open_house(own) as house:
        assert [leaf.kind for leaf in house.ledger.leaves()].count("schedule.ran") == len(DUE)
    assert len(serve(own, over, at_least_s=2.0)) == len(DUE)  # after a restart nothing is due


def test_what_fails_waits_before_it_is_tried_again(own: Path) -> None:
    give_leave(own, 'witness = "papers.txt"')
    (own / "papers.txt").write_text("not a witness's file")
    jobs = serve(own, over, at_least_s=3.0)
    (failed,) = [job for job in jobs if job.given["task"] == "checkpoint"]
    assert failed.state == "failed"
    assert "witness" in failed.error["message"]
    assert len(jobs) == len(DUE)


def test_the_settings_may_leave_it_to_others(own: Path) -> None:
    assert serve(own, lambda _: True, at_least_s=3.0) == []


def test_what_somebody_asked_for_comes_first(own: Path) -> None:
    with open_house(own) as house:
        jobs = Jobs(own, house.shelf.vault)
        jobs.add("schedule", {"task": "expire"})
        asked = jobs.add("eval", {})
        following = jobs.next()
        assert following is not None
        assert following.id == asked.id


def test_what_is_past_its_time_goes_while_engines_read(own: Path) -> None:
    """An engine lets go of the generation that holds it, and what goes is in no file and no answer."""
    with open_house(own) as house:
        old = house.shelf.dated("")[0]
        words = house.shelf.text(old.id)[:60]
        held = len(house.shelf.document_ids())
    with closing(sqlite3.connect(own / "catalog.sqlite")) as catalog, catalog:
        catalog.execute("UPDATE documents SET ingested_at = '2020-01-01T00:00:00+00:00' WHERE id = ?", (old.id,))
    give_leave(own)
    settings = own / "freehold.toml"
    settings.write_text(settings.read_text().replace("[privacy]", "[privacy]\ndocument_retention_days = 365"))
    jobs = serve(own, lambda jobs: any(job.given["task"] == "purge" and job.is_over for job in jobs))
    (purge,) = [job for job in jobs if job.given["task"] == "purge"]
    assert (purge.state, purge.result["items"]) == ("done", 1), purge.error
    with open_house(own) as house:
        assert len(house.shelf.document_ids()) == held - 1
        assert old.id not in [hit.document_id for hit in house.search(words, k=50).hits]
    assert words.encode() not in b"".join(path.read_bytes() for path in own.rglob("*") if path.is_file())
    assert not (own / "retention.json").exists()
