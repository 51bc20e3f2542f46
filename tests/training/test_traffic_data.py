"""A training set of what was logged: the same examples as of the exported file, people under surrogates."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from allotments import PLOTS, TOPICS, asked, section

from freehold.core.errors import HouseBusy, UsageError
from freehold.core.ids import new_id
from freehold.core.traffic import Asked, Feedback, Shown
from freehold.house import House
from freehold.journeys.examples import Chunks
from freehold.store.traffic import TrafficLog
from freehold.tuning import data as preparing
from freehold.tuning.data import Request, prepare
from freehold.tuning.sets import TrainingSet

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def own(built: Path, tmp_path: Path) -> Iterator[House]:
    """A house with a log: every question about the first plots, its answer liked and another passage not."""
    shutil.copytree(built, tmp_path / "own", ignore=shutil.ignore_patterns("training", "traffic*"))
    with House(tmp_path / "own") as house:
        log = TrafficLog(house.root, house.shelf, queries=True, answers=False)
        views = house.shelf.views(Chunks(house.shelf).places)
        for plot in PLOTS[:12]:
            for topic in TOPICS:
                begin = section(plot, topic)[:30]
                right = next(view.chunk for view in views.values() if begin in view.chunk.text)
                wrong = next(v.chunk for v in views.values() if section("Willow", topic)[:30] in v.chunk.text)
                hits = tuple(Shown(at, c.document_id, c.id) for at, c in enumerate((wrong, right), 1))
                one = Asked(new_id(), NOON, "search", asked(plot, topic), hits)
                signals = zip(("down", "up"), hits, strict=True)
                log.put([one, *(Feedback(one.id, signal, NOON, hit.chunk_id, "k") for signal, hit in signals)])
        odd = Asked(new_id(), NOON, "search", "???", hits)
        log.put([odd, Feedback(odd.id, "up", NOON, hits[0].chunk_id)])
        log.close()
        yield house


def made(house: House, request: Request, *, pseudonymise: bool = False) -> TrainingSet:
    return prepare(house, request, progress=lambda *_: None, pseudonymise=pseudonymise)


def shape(training: TrainingSet) -> set[tuple[object, ...]]:
    return {(e.query, e.part, e.positives, e.negatives, e.origin) for e in training.examples}


def test_the_log_and_its_export_make_the_same_examples(own: House, tmp_path: Path) -> None:
    logged = made(own, Request(traffic=True))
    assert set(logged.manifest.origins) == {"feedback"}
    assert sum(logged.manifest.examples.values()) == 48
    assert logged.manifest.dataset == "traffic"
    assert logged.manifest.documents == tuple(sorted({id for e in logged.examples for id in e.documents}))
    assert all(e.negatives[0] not in e.positives for e in logged.examples)
    file = tmp_path / "feedback.jsonl"
    events = [event for event in own.traffic.feedback() if event["query"] != "???"]
    file.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    exported = made(own, Request(feedback=file))
    assert shape(exported) == shape(logged)
    both = made(own, Request(feedback=file, traffic=True))  # the same people, who vote once
    assert shape(both) == shape(logged)
    assert made(own, Request(traffic=True)).name == logged.name  # made once, opened again


def test_more_in_the_log_is_another_set(own: House) -> None:
    first = made(own, Request(traffic=True))
    log = TrafficLog(own.root, own.shelf, queries=True, answers=False)
    chunk = next(iter(Chunks(own.shelf).places))
    hit = Shown(1, str(Chunks(own.shelf).document(chunk)), chunk)
    one = Asked(new_id(), NOON, "search", "What would Anna Keller of anna.keller@example.com like to know?", (hit,))
    log.put([one, Feedback(one.id, "up", NOON, chunk)])
    log.close()
    second = made(own, Request(traffic=True), pseudonymise=True)
    assert second.name != first.name
    assert not any("Keller" in example.query or "anna.keller" in example.query for example in second.examples)
    assert second.manifest.pseudonyms is not None
    assert b"Keller" not in b"".join(path.read_bytes() for path in second.folder.iterdir())


def test_a_log_without_feedback_is_told_of(house: House) -> None:
    with pytest.raises(UsageError, match="no feedback"):
        made(house, Request(traffic=True))


def test_somebody_is_erased_meanwhile(own: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from freehold.privacy.subjects import parse_subject

    def slowly(*arguments, **options):
        own.shelf.fence.put_subject("request", parse_subject([("name", "Anna Keller")]))
        return mine(*arguments, **options)

    mine = preparing.mine
    monkeypatch.setattr(preparing, "mine", slowly)
    with pytest.raises(HouseBusy, match="erased"):
        made(own, Request(traffic=True))
    assert not list((own.root / "training").glob("*/manifest.json"))
