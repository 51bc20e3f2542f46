"""The query log and a person who is forgotten: what speaks of them goes, all else stays; they may read it before."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from practice import SUBJECT, TRACES, freehold, residue, told

from freehold.core.erasure import Target
from freehold.core.ids import new_id
from freehold.core.shelf import Changes, Entry
from freehold.core.traffic import Asked, Feedback, Shown
from freehold.core.types import Document
from freehold.erasing.holders import TrafficHolder
from freehold.erasing.logged import speaking
from freehold.house import House, open_house
from freehold.privacy.subjects import open_finder, parse_subject
from freehold.store.traffic import FILE, TrafficLog

NOW = datetime.now(UTC).replace(microsecond=0)


def logging(house: House) -> TrafficLog:
    return TrafficLog(house.root, house.shelf, queries=True, answers=True)


def chunks(house: House) -> dict[str, Shown]:
    """Name of a paper -> its first chunk."""
    views = house.shelf.views(house.shelf.chunk_ids()).values()
    return {Path(v.source).name: Shown(1, v.chunk.document_id, v.chunk.id) for v in views}


def asked(text: str, *shown: Shown, kind="search", answer=None) -> Asked:
    ranked = tuple(Shown(rank, hit.document_id, hit.chunk_id) for rank, hit in enumerate(shown, 1))
    return Asked(new_id(), NOW, kind, text, ranked, answer=answer, abstained=None if kind == "search" else False)


def furnish(root: Path) -> dict[str, Asked]:
    with open_house(root) as house:
        here = chunks(house)
        letter, minutes, boat = here["letter-keller.txt"], here["minutes.txt"], here["letter-ekholm.txt"]
        entries = {
            "naming": asked("what does Anna Keller want", boat),
            "family name": asked("keller window?", minutes),
            "answer names": asked("who wants a window?", boat, kind="ask", answer="Anna Keller wants hers paid. [1]"),
            "answer from": asked("which window is paid?", letter, kind="chat", answer="The broken one. [1]"),
            "hit": asked("when does the committee meet", minutes, boat, letter),
            "other": asked("is the boat insured", boat, kind="ask", answer="From 1 June. [1]"),
        }
        votes = [Feedback(one.id, "up", NOW, voter="somebody") for one in entries.values()]
        votes += [Feedback(entries["hit"].id, "click", NOW, hit.chunk_id) for hit in entries["hit"].shown]
        log = logging(house)
        assert log.put([*entries.values(), *votes]) == len(entries) + len(votes)
        log.close()
    return entries


def test_what_speaks_of_them_goes_and_the_rest_stays(own):
    entries = furnish(own)
    outcome = told("erase", *SUBJECT, "--yes", house=own)
    assert outcome["verdict"] == "COMPLETE"
    assert not residue(own, *TRACES, "keller", entries["answer from"].id)
    with open_house(own) as house:
        (hit, other) = house.traffic.all()
        assert other == entries["other"]
        assert (hit.id, [shown.rank for shown in hit.shown]) == (entries["hit"].id, [2])  # the minutes were redacted
        assert [event["chunk_id"] for event in house.traffic.feedback()] == [hit.shown[0].chunk_id]
        assert house.traffic.volume().feedback == {"click": 1, "up": 2}
    certificate = told("verify", outcome["certificate"], house=own)["certificate"]
    assert {"holder": "traffic", "items": 6, "action": "deleted", "level": "physical"} in certificate["stores"]
    assert "read-traffic" in {probe["id"] for probe in certificate["probes"]}


@pytest.mark.parametrize("kill_at", ["traffic.before_forget", "traffic.forgotten", "erase.traffic"])
def test_kill(own, kill_at):
    entries = furnish(own)
    killed = freehold("erase", *SUBJECT, "--yes", house=own, kill_at=kill_at)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    assert not residue(own, *TRACES)
    with open_house(own) as house:
        assert [one.id for one in house.traffic.all()] == [entries["hit"].id, entries["other"].id]


def test_a_hit_left_behind_is_noticed(own, monkeypatch):
    furnish(own)
    monkeypatch.setattr(TrafficHolder, "erase", lambda *_: None)
    from freehold.erasing import walk
    from freehold.erasing.verify import verify

    with open_house(own) as house:
        request = walk.receive(house, parse_subject([("name", "Anna Keller")]), "17(1)(b)")
        request = walk.carry_out(house, request, walk.Orders(wait_s=0), lambda *_: None)
        failed = {probe.id for probe in verify(house, request, lambda *_: None).probes if probe.verdict != "pass"}
    assert {"read-traffic", "raw-text", "raw-ids"} <= failed


def test_what_the_database_kept_behind_its_rows_is_written_over(own):
    furnish(own)
    with closing(sqlite3.connect(own / FILE)) as behind, behind:
        behind.execute("PRAGMA secure_delete = OFF")
        columns = "number, id, at, kind, text, filter, key, lineup, models, revision"
        row = "1000, 'x', '2026', 'search', 'my dear Anna Keller, as we said', '{}', '', 0, '{}', 0"
        behind.execute(f"INSERT INTO questions ({columns}) VALUES ({row})")
        behind.execute("DELETE FROM questions WHERE number = 1000")
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    assert not residue(own, *TRACES)


def test_of_whom_is_erased_nothing_is_logged_afterwards(own):
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    with open_house(own) as house:
        log = logging(house)
        boat = chunks(house)["letter-ekholm.txt"]
        assert log.put([asked("what did Anna Keller want", boat), asked("who is insured", boat)]) == 1
        log.close()
    assert not residue(own, "keller")
    assert told("schedule", "run", "--task", "reprobe", house=own)["reprobe"]["outcome"] == "done"


def test_they_may_read_what_is_logged_of_them(own, tmp_path):
    furnish(own)
    with open_house(own) as house:
        log = logging(house)
        log.put([asked("Did Bertil Ekholm quarrel with Anna Keller? What is the excess?")])
        log.close()
    shown = told("subject", "show", *SUBJECT, house=own)
    words = [sentence for question in shown["questions"] for sentence in question["sentences"]]
    assert {"what does Anna Keller want", "keller window?"} <= set(words)
    assert "Did [another person] quarrel with Anna Keller?" in words
    assert {question["band"] for question in shown["questions"]} == {"certain", "ask"}
    assert shown["holdings"]["traffic"] == 7
    page = tmp_path / "letter.html"
    assert freehold("subject", "show", *SUBJECT, "--out", str(page), house=own).returncode == 0
    assert "What was asked and answered" in page.read_text()
    assert "Ekholm quarrel" not in page.read_text()


def test_a_backup_has_no_log(own, tmp_path):
    furnish(own)
    told("backup", str(tmp_path / "backup"), "--keys", str(tmp_path / "keys.json"), house=own)
    told("restore", str(tmp_path / "backup"), "--keys", str(tmp_path / "keys.json"), house=tmp_path / "new")
    assert not (tmp_path / "new" / FILE).exists()


def test_what_is_too_old_goes_by_the_schedule(own):
    entries = furnish(own)
    with open_house(own) as house:
        log = logging(house)
        log.put([Asked(new_id(), NOW - timedelta(days=31), "search", "the kettle of last month")])
        log.close()
    assert b"of last month" in b"".join(path.read_bytes() for path in own.glob(f"{FILE}*"))
    assert told("schedule", "run", "--task", "expire", house=own)["expire"]["items"] == 1
    assert not residue(own, "of last month")
    with open_house(own) as house:
        assert len(list(house.traffic.all())) == len(entries)


def test_the_command(own, tmp_path):
    empty = told("traffic", "stats", house=own)
    assert (empty["questions"], empty["abstention_rate"], empty["is_kept"]) == ({}, None, False)
    entries = furnish(own)
    stats = told("traffic", "stats", house=own)
    assert stats["questions"] == {"ask": 2, "chat": 1, "search": 3}
    assert (stats["answered"], stats["abstention_rate"], stats["on_answers"]) == (3, 0.0, 6)
    assert "abstained: 0.000 of 3 answers" in freehold("traffic", "stats", house=own).stdout
    file = tmp_path / "feedback.jsonl"
    assert told("traffic", "export", str(file), house=own)["events"] == 3
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert {event["query"] for event in events} == {entries["hit"].text}
    assert file.stat().st_mode & 0o777 == 0o600


PEOPLE = ("Odalys Quintero", "Thaddeus Brackenridge", "Ingeborg Vestergaard")
NOBODY = len(PEOPLE)
spoken = st.integers(0, NOBODY)
questions = st.lists(
    st.tuples(spoken, spoken, st.sampled_from(["search", "ask", "chat"]), st.lists(st.integers(0, 3), max_size=4)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(questions=questions, person=st.integers(0, NOBODY - 1), gone=st.sets(st.integers(0, 3), max_size=2))
def test_after_erasing_no_row_speaks_of_them_and_all_others_stay(tmp_path, questions, person, gone):
    root = tmp_path / new_id()
    with House.create(root, {"house.name": "t"}) as house:
        documents = [Document(new_id(), f"{at}", "", "words", "en") for at in range(4)]
        house.shelf.commit(Changes(add=[Entry(d, "00" * 32, "r", b"", (), (), (), "") for d in documents]))
        shown = [Shown(1, document.id, new_id()) for document in documents]
        log = logging(house)
        entries = []
        for number, (about, answered, kind, places) in enumerate(questions):
            text = f"q{number} what of {PEOPLE[about] if about < NOBODY else 'the roof'}"
            answer = None if kind == "search" else f"It is {PEOPLE[answered] if answered < NOBODY else 'a roof'}."
            entries.append(asked(text, *(shown[at] for at in dict.fromkeys(places)), kind=kind, answer=answer))
        votes = [Feedback(one.id, "click", NOW, hit.chunk_id) for one in entries for hit in one.shown]
        log.put([*entries, *votes])
        finder = open_finder(parse_subject([("name", PEOPLE[person])]))
        ids = frozenset(shown[at].document_id for at in gone)
        target = Target(ids, frozenset(shown[at].chunk_id for at in gone), frozenset(), finder)
        holder = TrafficHolder(house)
        holder.erase(target)
        assert not holder.holdings(target)
        assert not speaking(log, finder)
        name = PEOPLE[person]
        stay = [
            one
            for one in entries
            if not any(name in text for text in one.words)
            and (one.kind == "search" or not any(hit.document_id in ids for hit in one.shown))
        ]
        kept = list(log.all())
        left = {one.id: tuple(hit for hit in one.shown if hit.document_id not in ids) for one in stay}
        assert [(one.id, one.text, one.answer, one.shown) for one in kept] == [
            (one.id, one.text, one.answer, left[one.id]) for one in stay
        ]
        assert len(log.feedback()) == sum(map(len, left.values()))
        log.close()
    found = b"".join(path.read_bytes() for path in root.glob(f"{FILE}*"))
    assert name.encode() not in found
    assert not any(id.encode() in found for id in ids)
