"""``freehold watch`` on a small house: what is too little is said, what moved is named by ids, and nothing is kept."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harbour import BOATS, TOPICS, Town, run, run_json

from freehold.core.errors import HouseBusy, StorageFault, UsageError
from freehold.core.ids import new_id
from freehold.core.shelf import Vectors
from freehold.core.traffic import Asked, Feedback, Shown
from freehold.core.watch import Reading, Watch
from freehold.house import House, open_house
from freehold.measuring import watch as watching
from freehold.store import watch as store
from freehold.store.traffic import TrafficLog

BEGIN = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=20)
ELSEWHERE = ("the dosage of insulin for a child", "symptoms of a broken wrist", "side effects of blood thinners")


@pytest.fixture
def root(town: Town, tmp_path: Path) -> Path:
    """A copy that keeps a query log."""
    shutil.copytree(town.house, tmp_path / "house")
    settings = tmp_path / "house" / "freehold.toml"
    settings.write_text(re.sub("# query_log = false", "query_log = true", settings.read_text()))
    return tmp_path / "house"


@pytest.fixture
def house(root: Path) -> Iterator[House]:
    with open_house(root) as opened:
        yield opened


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def put(
    house: House, day: int, texts: Sequence[str], *, abstained: float = 0.1, down: float = 0.1, seed: int = 0
) -> list[Asked]:
    """What was asked on a day, with an answer, a click and a thumb for each."""
    rng = random.Random(f"{seed} {day}")
    views = sorted(house.shelf.views(house.shelf.chunk_ids()).values(), key=lambda view: view.source)
    asked, votes = [], []
    for number, text in enumerate(texts):
        at = BEGIN + timedelta(days=day, minutes=number)
        ranked = tuple(
            Shown(rank, view.chunk.document_id, view.chunk.id) for rank, view in enumerate(rng.sample(views, 3), 1)
        )
        one = Asked(new_id(), at, "ask", text, ranked, abstained=rng.random() < abstained)
        asked.append(one)
        votes.append(Feedback(one.id, "down" if rng.random() < down else "up", at))
        votes.append(Feedback(one.id, "click", at, rng.choice(ranked).chunk_id))
    log = TrafficLog(house.root, house.shelf, queries=True, answers=False)
    log.put([*asked, *votes])
    log.close()
    return asked


def questions(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [rng.choice(list(TOPICS.values()))[1].format(boat=rng.choice(BOATS)) for _ in range(count)]


def elsewhere(count: int) -> list[str]:
    return [f"{ELSEWHERE[number % 3]}, case {number}" for number in range(count)]


def look(house: House, day: int) -> Watch:
    return watching.look(house, progress=silent, now=BEGIN + timedelta(days=day, hours=8))


def turn_vectors(house: House, maker: str) -> None:
    """Vectors as no embedder would make them."""
    made = house.shelf.indexable(sorted(house.shelf.chunk_ids()), maker)
    turned = {one.view.chunk.id: (one.view.chunk.id.encode()[:16], Vectors(-one.dense, None)) for one in made}
    house.shelf.put_vectors(maker, turned)


def of(seen: Watch, signal: str) -> Reading:
    return next(reading for reading in seen.readings if reading.signal == signal)


def test_too_little_is_said_and_how_much_more_is_needed(house: House) -> None:
    put(house, 0, questions(60, 0))
    seen = look(house, 0)
    assert of(seen, "questions").told == "40 more questions are needed to know what is normal"
    assert of(seen, "documents").told == "40 more documents are needed to know what is normal"
    assert of(seen, "canaries").outcome == "not enough"
    assert of(seen, "vectors").outcome == "quiet"
    put(house, 1, questions(60, 1))
    assert of(look(house, 1), "questions").told == "120 questions are known, what comes from now on is compared"
    put(house, 2, questions(5, 2))
    assert of(look(house, 2), "questions").told == "15 more questions are needed for the next look"
    assert not seen.alarms


def test_without_a_log_nothing_is_watched_and_that_is_said(town: Town, tmp_path: Path) -> None:
    shutil.copytree(town.house, tmp_path / "house")
    with open_house(tmp_path / "house") as opened:
        assert of(look(opened, 0), "questions").told == "nothing is kept: traffic.query_log is false"


def test_a_shift_is_found_named_by_ids_and_accepted(house: House) -> None:
    for day in range(3):
        put(house, day, questions(50, day))
    look(house, 2)
    for day in (3, 4):
        put(house, day, questions(40, day))
        seen = look(house, day)
        assert not seen.alarms
        assert {of(seen, s).outcome for s in ("questions", "scores", "clicks", "abstentions", "thumbs down")} == {
            "quiet"
        }
    again = look(house, 4)
    assert again.courses == seen.courses  # a second look on one day tests nothing
    moved: list[str] = []
    for day in range(5, 9):
        moved += [one.id for one in put(house, day, elsewhere(40), abstained=0.8, down=0.7)]
        seen = look(house, day)
    alarms = {alarm.signal: alarm for alarm in seen.alarms}
    assert {"questions", "abstentions", "thumbs down"} <= alarms.keys()
    assert alarms["questions"].since[:10] == (BEGIN + timedelta(days=4)).date().isoformat()
    assert {one.id for one in alarms["questions"].examples} <= set(moved)
    assert alarms["questions"].examples
    assert alarms["questions"].proposal[0].startswith("freehold tune data")
    assert of(seen, "questions").outcome == "alarm"
    assert "insulin" not in (house.root / store.FILE).read_text()
    after = watching.accept(house, ["questions"])
    assert "questions" not in {alarm.signal for alarm in after.alarms}
    assert alarms.keys() - {"questions"} == {alarm.signal for alarm in after.alarms}
    look(house, 9)
    put(house, 10, elsewhere(40), abstained=0.1)
    assert "questions" not in {alarm.signal for alarm in look(house, 10).alarms}


def test_what_the_log_forgot_is_known_no_more(house: House) -> None:
    put(house, 0, questions(130, 0))
    first = look(house, 0)
    begun = next(course.begun for course in first.courses if course.signal == "questions")
    put(house, 20, questions(130, 1))
    put(house, 31, questions(30, 2))
    house.traffic.forget_before(BEGIN + timedelta(days=2))
    seen = look(house, 31)
    course = next(course for course in seen.courses if course.signal == "questions")
    assert course.begun > begun
    assert not course.bets


def test_a_vector_of_another_embedder_is_noticed(house: House) -> None:
    maker = house.crew.encoder.info.digest
    assert not look(house, 0).alarms
    turn_vectors(house, maker)
    (alarm,) = look(house, 1).alarms
    assert alarm.signal == "vectors"
    assert {one.kind for one in alarm.examples} == {"document"}
    assert alarm.examples


def test_a_canary_that_is_not_found_any_more(house: House, root: Path, town: Town) -> None:
    settings = root / "freehold.toml"
    settings.write_text(re.sub('# canaries = ""', 'canaries = "canaries.jsonl"', settings.read_text()))
    _told, asked = TOPICS["winter"]
    canaries = [
        {"id": "rent", "question": TOPICS["rent"][1].format(boat="Alma"), "source": "alma-rent"},
        {"question": asked.format(boat="Dora"), "answer": "the slipway of the boathouse Dora is CLOSED"},
        {"id": "never", "question": "Who won the regatta?", "source": "nowhere"},
    ]
    (root / "canaries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in canaries))
    with open_house(root) as opened:
        seen = look(opened, 0)
        assert (of(seen, "canaries").outcome, of(seen, "canaries").told) == ("quiet", "2 of 3 found")
        opened.remove([opened.shelf.known()["alma-rent"].document_id])
        seen = look(opened, 0)
        assert [(alarm.signal, [one.id for one in alarm.examples]) for alarm in seen.alarms] == [("canaries", ["rent"])]
        assert not watching.accept(opened).alarms
        assert of(look(opened, 0), "canaries").told == "1 of 3 found"
        (root / "canaries.jsonl").write_text('{"question": "without an answer"}\n')
        with pytest.raises(UsageError, match=r"canaries.jsonl:1"):
            look(opened, 0)


def test_the_gates_questions_serve_as_canaries(root: Path, town: Town) -> None:
    settings = root / "freehold.toml"
    settings.write_text(re.sub('# dataset = ""', f'dataset = "{town.passages}"', settings.read_text()))
    with open_house(root) as opened:
        assert of(look(opened, 0), "canaries").told == "36 of 36 found"


def test_the_command(root: Path) -> None:
    assert "nobody has looked" in run("watch", "--last", house=root).stdout
    told = run_json("watch", house=root)
    assert [one["signal"] for one in told["readings"]][:2] == ["questions", "scores"]
    assert run_json("watch", "--last", house=root) == told
    assert "more questions are needed" in run("watch", house=root).stdout
    assert run("watch", "--accept", "moods", house=root).returncode == 2
    with open_house(root) as house:
        turn_vectors(house, house.crew.encoder.info.digest)
    told = run_json("watch", house=root, code=1)
    assert [alarm["signal"] for alarm in told["alarms"]] == ["vectors"]
    shown = run("watch", "--last", house=root)
    assert shown.returncode == 1
    assert "to do: freehold doctor" in shown.stdout


def test_a_look_that_somebody_came_between_is_not_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    look(house, 0)
    whole = watching._asked_canaries

    def meanwhile(opened: House) -> tuple[set[str], set[str]]:
        store.write(opened.root, Watch(looked="2026-01-01T00:00:00.000+00:00"))
        return whole(opened)

    monkeypatch.setattr(watching, "_asked_canaries", meanwhile)
    with pytest.raises(HouseBusy, match="came between"):
        look(house, 1)


def test_a_record_that_is_damaged_is_told_of(house: House) -> None:
    (house.root / store.FILE).write_text('{"looked": 5}')
    with pytest.raises(StorageFault, match="damaged"):
        look(house, 0)
