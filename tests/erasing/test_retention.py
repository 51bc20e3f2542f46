"""Documents whose time is over leave to the last byte; what must stay stays; nothing comes back by itself."""

from __future__ import annotations

import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import practice
import pytest
from practice import freehold, residue, told

from freehold.auditing.facts import HouseFacts
from freehold.auditing.finding import Seen
from freehold.auditing.rules import people
from freehold.core.errors import SettingsError
from freehold.core.retention import Retention, date_of
from freehold.erasing import retention
from freehold.house import open_house
from freehold.proof.scan import scan
from freehold.proof.writings import plain_patterns, raw_vector_patterns, text_patterns
from freehold.schedule import planned, run_due

NOW = datetime.now(UTC)
OLD = ("letter-keller.txt", "minutes.txt")
TRACES = ("HH-4471-09823", "disagree about the hedge", "letter-keller", "minutes.txt")
STEPS = (
    "purge.noted", "fence.before_commit", "catalog.before_commit", "catalog.committed", "vault.destroyed",
    "purge.tainted", "erase.catalog", "index.before_swap", "erase.experiments", "purge.told",
)  # fmt: skip


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def aged(house: Path, *names: str, days: int = 400) -> Path:
    """The house, with these documents as if they had come in so long ago, and a year as the time to stay."""
    at = (NOW - timedelta(days=days)).isoformat(timespec="microseconds")
    with closing(sqlite3.connect(house / "catalog.sqlite")) as catalog, catalog:
        for name in names:
            changed = catalog.execute("UPDATE documents SET ingested_at = ? WHERE source LIKE ?", (at, f"%/{name}"))
            assert changed.rowcount == 1
    return configured(house, "document_retention_days = 365")


def configured(house: Path, *lines: str) -> Path:
    file = house / "freehold.toml"
    file.write_text(file.read_text().replace("[privacy]", "\n".join(["[privacy]", *lines]), 1))
    return house


def names(house: Path) -> set[str]:
    return set(practice.texts(house))


def purged(house: Path) -> dict[str, object]:
    result: dict[str, object] = told("purge", "--yes", house=house)
    return result


@pytest.fixture
def old(own: Path) -> Path:
    return aged(own, *OLD)


def test_no_byte_is_left_of_what_went_and_all_of_what_did_not(old, tmp_path):
    keys = tmp_path / "keys.json"
    told("backup", str(tmp_path / "backup"), "--keys", str(keys), house=old)
    with open_house(old) as house:
        documents = {Path(one.source).name: one.id for one in house.shelf.dated("")}
        gone = [documents[name] for name in OLD]
        chunks = house.shelf.chunks_of(gone)
        vectors = house.shelf.vectors_of(chunks)
        living = house.shelf.vectors_of(house.shelf.chunks_of([documents["wording.txt"]]))
    with closing(sqlite3.connect(old / "vault.sqlite")) as vault:
        sealed = [vault.execute("SELECT wrapped FROM keys WHERE document_id = ?", (id,)).fetchone()[0] for id in gone]
    patterns = [
        *(pattern for trace in TRACES for pattern in text_patterns(trace, "text")),
        *(pattern for id in (*gone, *chunks) for pattern in plain_patterns(id, "id")),
        *(pattern for vector in vectors for pattern in raw_vector_patterns(np.frombuffer(vector, "<f4"), "vector")),
        *(pattern for vector in living for pattern in raw_vector_patterns(np.frombuffer(vector, "<f4"), "living")),
    ]
    assert scan(old, patterns).found.keys() == {"text", "id", "vector", "living"}  # the scan can find them
    assert all(id.encode() in keys.read_bytes() for id in gone)
    assert all(any(key in path.read_bytes() for path in old.glob("vault.*")) for key in sealed)
    kept = {name: text for name, text in practice.texts(old).items() if name not in OLD}

    assert purged(old) == {"documents": 2, "stay": []}

    after = scan(old, patterns)
    assert not after.unread
    assert after.found.keys() == {"living"}
    assert not any(key in path.read_bytes() for key in sealed for path in old.glob("vault.*"))
    assert not any(id.encode() in keys.read_bytes() for id in gone)  # the backup's units of them are noise
    assert practice.texts(old) == kept
    assert not (old / retention.STATE).exists()
    leaves = [leaf for leaf in told("audit", "log", house=old)["leaves"] if leaf["kind"] == "retention.purged"]
    assert [leaf["counts"] for leaf in leaves] == [{"deleted": 2, "held": 0}]
    assert purged(old) == {"documents": 0, "stay": []}
    assert told("restore", str(tmp_path / "backup"), "--keys", str(keys), house=tmp_path / "back")["erased"] == 2
    assert names(tmp_path / "back") == kept.keys()


def test_the_plan_says_what_would_go_and_changes_nothing(old):
    before = practice.texts(old)
    plan = told("purge", "--plan", house=old)
    assert {Path(one["source"]).name for one in plan["documents"]} == set(OLD)
    assert {(one["days"], one["stays"]) for one in plan["documents"]} == {(365, "")}
    assert plan["holdings"]["originals"] == 2
    assert plan["holdings"]["index"] >= 2
    later = (NOW + timedelta(days=367)).date().isoformat()
    assert len(told("purge", "--plan", "--on", later, house=old)["documents"]) == len(before)
    assert practice.texts(old) == before


def test_what_is_under_a_hold_or_restricted_stays_and_is_told_of(old):
    with open_house(old) as house:
        documents = {Path(one.source).name: one.id for one in house.shelf.dated("")}
    told("hold", "add", documents["minutes.txt"], "--basis", "17(3)(e)", "--review", "2099-01-01", house=old)
    restriction = told("subject", "restrict", "--subject", "reference=HH-4471-09823", house=old)["restriction"]
    assert {(Path(one["source"]).name, one["stays"]) for one in told("purge", "--plan", house=old)["stay"]} == {
        ("minutes.txt", "hold 17(3)(e) until 2099-01-01"),
        ("letter-keller.txt", "restricted"),
    }
    assert purged(old)["documents"] == 0
    assert names(old) >= set(OLD)
    told("hold", "remove", documents["minutes.txt"], house=old)
    told("subject", "lift", restriction, house=old)
    assert purged(old)["documents"] == 2


def test_the_same_file_does_not_come_back_and_another_does(old, tmp_path):
    purged(old)
    papers = tmp_path / "inbox"
    practice.write(papers / "moved", {"hedge.txt": practice.SHARED["minutes.txt"]})  # the same, filed elsewhere
    practice.write(papers, practice.ANNA, {"minutes.txt": "Minutes of another meeting, about the car park alone.\n"})
    refused = told("ingest", str(papers), house=old)["refused"]
    assert [one["reason"] for one in refused] == ["it went because its time was over"] * 2
    assert not {"hedge.txt", "letter-keller.txt"} & names(old)
    assert "minutes.txt" in names(old)
    told("ingest", str(papers / "moved"), "--allow-erased", "legal-obligation", house=old)
    assert "hedge.txt" in names(old)
    assert purged(old)["documents"] == 0  # it came in today


def test_what_is_only_made_anew_keeps_its_day_also_where_a_copy_of_it_went(old):
    """Another chunking makes every document anew, and so does putting a statement right; a backup brings it along."""
    with open_house(old) as house:
        (papers,) = {Path(one.source).parent for one in house.shelf.dated("")}
        copy = practice.write(old.parent / "copies", {"copy.txt": practice.SHARED["minutes.txt"]})
        house.ingest([copy])
        since = {one.source: (one.entered, one.id) for one in house.shelf.dated("")}
    assert purged(old)["documents"] == 2
    file = old / "freehold.toml"
    file.write_text(re.sub(r"^(# )?max_tokens = 256", "max_tokens = 128", file.read_text(), flags=re.MULTILINE))
    with open_house(old) as house:
        report = house.ingest([papers, copy])
        assert {Path(one.source).name for one in report.refused} == set(OLD)
        anew = {one.source: (one.entered, one.id) for one in house.shelf.dated("")}
        assert {source: at for source, (at, _) in anew.items()} == {source: since[source][0] for source in anew}
        assert not {id for _, id in anew.values()} & {id for _, id in since.values()}
        document = next(id for source, (_, id) in anew.items() if source.endswith("copy.txt"))
    told("subject", "rectify", document, "--wrong", "Naas", "--right", "Newbridge", house=old)
    told("backup", str(old.parent / "backup"), "--keys", str(old.parent / "keys.json"), house=old)
    told("restore", str(old.parent / "backup"), "--keys", str(old.parent / "keys.json"), house=old.parent / "back")
    with open_house(old.parent / "back") as house:
        assert {one.source: one.entered for one in house.shelf.dated("")} == {s: at for s, (at, _) in anew.items()}


@pytest.mark.parametrize("kill_at", STEPS)
def test_kill(old, kill_at):
    killed = freehold("purge", "--yes", house=old, kill_at=kill_at)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    ran = told("schedule", "run", "--task", "purge", house=old)["purge"]
    assert (ran["outcome"], names(old)) == ("done", {"mail.txt", *practice.OTHERS})
    assert not residue(old, *TRACES)
    assert not (old / retention.STATE).exists()
    kinds = [leaf["kind"] for leaf in told("audit", "log", house=old)["leaves"]]
    assert kinds.count("retention.purged") == 1


def test_the_schedule_purges_but_asks_before_half_of_the_house_goes(old):
    with open_house(old) as house:
        assert run_due(house, silent, among=["purge"])["purge"].items == 2
        later = NOW + timedelta(days=366)
        refused = run_due(house, silent, among=["purge"], now=later)["purge"]
        assert (refused.outcome, refused.items) == ("failed", 0)
        assert "more than half" in refused.problem
        assert next(one for one in planned(house, later) if one.task == "purge").is_due(later)
        assert retention.purge(house, silent, now=later, confirmed=True).documents == 3


def test_no_limit_no_purge(own):
    with open_house(own) as house:
        assert next(one for one in planned(house) if one.task == "purge").every_days == 0
        assert retention.past(house, NOW + timedelta(days=36500)) == []


def test_patterns_and_dates_of_the_documents_own_decide(old, tmp_path):
    papers = practice.write(tmp_path / "claims", {"claim.txt": "The shed at Ballyduff burned down to its posts.\n"})
    told("ingest", str(papers), "--field", "settled=2020-02-01", house=old)
    configured(old, 'document_retention = ["*/minutes.*: 0", "*/claims/*: 2000"]', 'document_date = "settled"')
    plan = told("purge", "--plan", house=old)
    assert {(Path(one["source"]).name, one["days"]) for one in plan["documents"]} == {
        ("letter-keller.txt", 365),
        ("claim.txt", 2000),
    }
    assert next(one["since"] for one in plan["documents"] if one["days"] == 2000) == "2020-02-01T00:00:00+00:00"


@pytest.mark.parametrize("line", ["*/claims/*", "*/claims/*: soon", ": 7", "*: -1"])
def test_a_pattern_without_days_is_refused(own, line):
    with pytest.raises(SettingsError, match="document_retention"):
        open_house(configured(own, f'document_retention = ["{line}"]'))


def test_the_first_pattern_that_fits_decides():
    limits = Retention.read(["*/claims/2020/*: 10", "*/claims/*:0"], 30)
    assert [limits.days(source) for source in ("/a/claims/2020/x", "/a/claims/x", "/a/x")] == [10, 0, 30]
    assert bool(limits)
    assert not Retention.read(["*/claims/*: 0"], 0)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2024-05-03", datetime(2024, 5, 3, tzinfo=UTC)),
        ("2024-05-03T10:00:00+02:00", datetime(2024, 5, 3, 8, tzinfo=UTC)),
        ("Fri, 03 May 2024 10:00:00 +0200", datetime(2024, 5, 3, 8, tzinfo=UTC)),
        ("", None),
        ("in spring", None),
        ("2024-13-41", None),
    ],
)
def test_dates(said, meant):
    assert date_of(said) == meant


def test_the_audit_sees_what_is_past_its_time_and_that_a_limit_is_set(old):
    with open_house(old) as house:

        def seen(rule: Callable[[HouseFacts], Iterator[Seen]], days: int = 0) -> list[str]:
            facts = HouseFacts(house, now=NOW + timedelta(days=days), questions=None, progress=silent)
            return [one.told for one in rule(facts) if one.outcome == "fault"]

        (told,) = seen(people.expired)
        assert told.startswith("the time of 2 documents is over")
        assert not seen(people.undeclared)  # a limit that is carried out is one that is stated
        retention.purge(house, silent, now=NOW)
        assert not seen(people.expired)
        assert seen(people.expired, days=366) == []  # a day of grace
        assert len(seen(people.expired, days=367)) == 1
        house.settings = house.settings.with_values({"privacy.document_retention_days": 0}, origin="test")
        assert seen(people.undeclared)
