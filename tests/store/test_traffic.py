"""The query log: what the settings switch on is kept, what is too old leaves no byte, and nobody erased comes in."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.core.errors import HouseBusy
from freehold.core.faults import KILL_AT
from freehold.core.fence import Print
from freehold.core.ids import new_id
from freehold.core.shelf import Changes, Entry
from freehold.core.traffic import Asked, Feedback, Shown
from freehold.core.types import Document
from freehold.privacy.subjects import parse_subject
from freehold.store.shelf import HouseShelf
from freehold.store.traffic import FILE, TrafficLog

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[HouseShelf]:
    shelf = HouseShelf(tmp_path)
    yield shelf
    shelf.close()


@pytest.fixture
def log(tmp_path: Path, shelf: HouseShelf) -> Iterator[TrafficLog]:
    log = TrafficLog(tmp_path, shelf, queries=True, answers=True)
    yield log
    log.close()


def papers(shelf: HouseShelf, *names: str) -> Mapping[str, Shown]:
    """Documents, as they would be shown."""
    documents = {name: Document(new_id(), name, name, f"what {name} says", "en") for name in names}
    shelf.commit(Changes(add=[Entry(d, "00" * 32, "r", b"", (), (), (), "") for d in documents.values()]))
    return {name: Shown(1, document.id, new_id()) for name, document in documents.items()}


def asked(text: str, *shown: Shown, kind="search", at: datetime = NOON, **more) -> Asked:
    ranked = tuple(Shown(rank, hit.document_id, hit.chunk_id) for rank, hit in enumerate(shown, 1))
    return Asked(new_id(), at, kind, text, ranked, **more)


def residue(root: Path, trace: str) -> list[str]:
    return [path.name for path in root.glob(f"{FILE}*") if trace.encode() in path.read_bytes()]


def texts(log: TrafficLog) -> list[str]:
    return [one.text for one in log.all()]


def test_what_is_put_comes_back(log, shelf):
    roof, boat = papers(shelf, "roof", "boat").values()
    one = asked("who mends the roof", roof, boat, key=new_id(), filter={"year": "2026"}, latency_ms=12.5, revision=3)
    two = asked(
        "is the boat insured", boat, kind="ask", at=NOON + timedelta(minutes=1), answer="It is. [1]", abstained=False,
        models={"generator": "m 1"}, lineup=4,
    )  # fmt: skip
    click = Feedback(one.id, "click", NOON, roof.chunk_id, "a key")
    assert log.put([click, one, two, Feedback(two.id, "up", NOON)]) == 4
    assert list(log.all()) == [one, two]
    assert log.get([two.id, "another"]) == [two]
    assert log.feedback() == [{"query": one.text, "chunk_id": roof.chunk_id, "signal": "click", "person": "a key"}]
    volume = log.volume()
    assert (volume.questions, volume.shown, volume.on_answers) == ({"ask": 1, "search": 1}, 3, 1)
    assert (volume.answered, volume.abstention_rate, volume.feedback) == (1, 0.0, {"click": 1, "up": 1})
    assert volume.oldest < volume.newest
    assert log.put([one]) == 1  # again, as after a failure
    assert len(list(log.all())) == 2


def test_nothing_is_kept_unless_the_settings_say_so(tmp_path, shelf):
    (roof,) = papers(shelf, "roof").values()
    off = TrafficLog(tmp_path, shelf, queries=False, answers=True)
    assert off.put([asked("who mends the roof", roof)]) == 0
    assert not (tmp_path / FILE).exists()
    assert (list(off.all()), off.feedback(), off.shown_at([roof.document_id]), off.forget_before(NOON)) == (
        [],
        [],
        [],
        0,
    )
    assert off.volume().abstention_rate is None
    assert off.volume().oldest == ""
    assert not (tmp_path / FILE).exists()  # looking makes no file
    without = TrafficLog(tmp_path, shelf, queries=True, answers=False)
    without.put([asked("who mends the roof", roof, kind="ask", answer="The landlord does.", abstained=False)])
    assert [one.answer for one in without.all()] == [None]
    assert not residue(tmp_path, "landlord")
    without.close()


def test_feedback_on_what_was_not_shown_is_let_go(log, shelf):
    roof, boat = papers(shelf, "roof", "boat").values()
    one = asked("who mends the roof", roof)
    votes = [Feedback(one.id, "up", NOON, boat.chunk_id), Feedback("nothing", "up", NOON, roof.chunk_id)]
    assert log.put([one, *votes, Feedback(one.id, "down", NOON, roof.chunk_id)]) == 2
    assert [event["signal"] for event in log.feedback()] == ["down"]


def test_what_was_erased_while_it_was_answered_is_not_logged(log, shelf):
    roof, gone = papers(shelf, "roof", "gone").values()
    shelf.commit(Changes(remove=[gone.document_id]))
    search, answer = asked("roof", gone, roof), asked("gone?", gone, roof, kind="ask", answer="It says so.")
    assert log.put([search, answer, Feedback(answer.id, "up", NOON)]) == 1
    assert [(one.text, [hit.rank for hit in one.shown]) for one in log.all()] == [("roof", [2])]
    shelf.fence.put_subject("request", parse_subject([("name", "Anna Keller")]))
    assert shelf.fence.refusal(Print("", "about Anna Keller", "", b""))
    naming = [
        asked("what did anna keller want", roof),
        asked("and who wanted it?", roof, kind="chat", answer="It was Keller, Anna."),
        asked("claims", roof, filter={"customer": "Anna Keller"}),
    ]
    assert log.put([*naming, asked("who mends it", roof)]) == 1
    assert texts(log) == ["roof", "who mends it"]


def test_half_a_surrogate_spoils_no_batch(log):
    assert log.put([asked("what \ud83d is"), asked("fine")]) == 2
    assert texts(log) == ["what ? is", "fine"]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=st.lists(st.integers(0, 80), min_size=1, max_size=300), long=st.integers(1, 3_000))
def test_what_is_too_old_leaves_no_byte(tmp_path, ages, long):
    root = tmp_path / new_id()
    root.mkdir()
    shelf = HouseShelf(root)
    shown = list(papers(shelf, *(f"paper {at}" for at in range(6))).values())
    log = TrafficLog(root, shelf, queries=True, answers=True)
    for start in range(0, len(ages), 50):
        batch = [
            asked(f"question{days:02} {'x' * (long * at % 997)}", *shown[: at % 6], kind=("search", "ask")[at % 2],
                  at=NOON - timedelta(days=days), answer=f"answer{days:02}")
            for at, days in enumerate(ages[start : start + 50])
        ]  # fmt: skip
        log.put([*batch, *(Feedback(one.id, "up", NOON, voter=f"voter{one.answer}") for one in batch)])
    old = {days for days in ages if days > 30}
    assert log.forget_before(NOON - timedelta(days=30)) == sum(days > 30 for days in ages)
    for days in old:
        assert not residue(root, f"question{days:02}")
        assert not residue(root, f"answer{days:02}")
    assert sorted(text[:10] for text in texts(log)) == sorted(f"question{days:02}" for days in ages if days <= 30)
    assert log.volume().feedback == ({"up": sum(days <= 30 for days in ages)} if min(ages) <= 30 else {})
    log.close()
    shelf.close()


def test_a_reader_in_the_way_is_told_of_and_the_next_call_finishes(tmp_path, log):
    log.put([asked("the kettle exploded", at=NOON - timedelta(days=9)), asked("stays")])
    reader = sqlite3.connect(tmp_path / FILE)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM questions").fetchone()
    with pytest.raises(HouseBusy, match="reader"):
        log.forget_before(NOON)
    reader.close()
    assert log.forget_before(NOON) == 0
    assert not residue(tmp_path, "kettle")
    assert texts(log) == ["stays"]


CHILD = """
import sys
from datetime import timedelta
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_traffic import NOON, HouseShelf, TrafficLog, asked
root = Path({root!r})
log = TrafficLog(root, HouseShelf(root), queries=True, answers=True)
log.put([asked("second batch, one"), asked("second batch, two")])
log.forget_before(NOON - timedelta(days=1))
"""


@pytest.mark.parametrize(
    ("kill_at", "kept", "old"),
    [
        ("traffic.before_put", 2, True),
        ("traffic.put", 4, True),
        ("traffic.before_expired", 4, True),
        ("traffic.expired", 3, False),
    ],
)
def test_kill(tmp_path, shelf, log, kill_at, kept, old):
    """What was acknowledged is there, a batch is whole or not there, and the next call ends what was begun."""
    log.put([asked("the kettle exploded", at=NOON - timedelta(days=9)), asked("first batch")])
    log.close()
    script = CHILD.format(folder=str(Path(__file__).parent), root=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", script], env={**os.environ, KILL_AT: kill_at}, check=False)
    assert killed.returncode == -signal.SIGKILL
    anew = TrafficLog(tmp_path, shelf, queries=True, answers=True)
    assert len(texts(anew)) == kept
    assert ("the kettle exploded" in texts(anew)) is old
    assert anew.forget_before(NOON - timedelta(days=1)) == int(old)
    assert not residue(tmp_path, "kettle")
    assert anew.put([asked("and on")]) == 1
    anew.close()
