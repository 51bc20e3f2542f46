"""After an alarm: nothing without leave; with it an adapter, the gate's word, a record of both, and once is enough."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harbour import Town, run, run_json
from test_watch import BEGIN, elsewhere, put, questions

from freehold.core.errors import HouseBusy, SettingsError
from freehold.core.ids import new_id
from freehold.core.traffic import Asked, Feedback, Shown
from freehold.core.watch import Alarm, Watch
from freehold.house import House, open_house
from freehold.records.facts import Facts
from freehold.remedy import _split as split_of
from freehold.remedy import is_wanted, remedy
from freehold.schedule import planned, run_due
from freehold.store import watch as store
from freehold.store.lock import writer_lock
from freehold.store.traffic import TrafficLog

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
FIRST, SECOND = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def alarm(id: str = FIRST, signal: str = "questions") -> Alarm:
    return Alarm(id, signal, NOW.isoformat(), NOW.isoformat(), "they moved", (), ("freehold tune adapter",))  # type: ignore[arg-type]


def raise_alarm(root: Path, *alarms: Alarm) -> None:
    store.write(root, Watch(NOW.isoformat(), alarms=alarms))


def settings(root: Path, **values: str) -> None:
    path = root / "freehold.toml"
    text = path.read_text()
    for key, value in values.items():
        section, _, name = key.partition("__")
        start = text.index(f"[{section}]")
        line = re.compile(rf"^(# )?{name} = .*$", re.MULTILINE)
        text = text[:start] + line.sub(f"{name} = {value}", text[start:], count=1)
    path.write_text(text)


def labelled(town: Town) -> list[dict[str, object]]:
    """Enough to learn from, and enough for the gate to see: each question that it asks is asked in five ways."""
    rows: list[dict[str, object]] = [json.loads(line) for line in town.passages.read_text().splitlines()]
    found: list[dict[str, object]] = []
    for number, row in enumerate(rows):
        row["split"] = ("train", "train", "train", "dev", "test")[number % 5]
        ways = (
            ("{}", "Please say: {}", "In short: {}", "I wonder: {}", "To settle it: {}")
            if row["split"] == "test"
            else ("{}",)
        )
        for way, words in enumerate(ways):
            found.append({**row, "id": f"{row['id']}-{way}", "query": words.format(row["query"])})
    return found


@pytest.fixture(scope="module")
def learned(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The town with leave to train, and a gate that lets in whatever is not far worse. Not to be changed."""
    root = tmp_path_factory.mktemp("remedy") / "house"
    shutil.copytree(town.house, root)
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled(town)))
    settings(
        root, watch__retrain='"run"', gate__dataset='"questions.jsonl"', gate__margin="0.5", gate__slice_margin="0.5",
        gate__searches="0", schedule__retrain_days="0", schedule__reprobe_days="0", schedule__checkpoint_days="0",
        schedule__expire_days="0",
    )  # fmt: skip
    return root


@pytest.fixture
def root(learned: Path, tmp_path: Path) -> Path:
    shutil.copytree(learned, tmp_path / "house")
    raise_alarm(tmp_path / "house", alarm(), alarm(SECOND, "canaries"))
    return tmp_path / "house"


@pytest.fixture
def house(root: Path) -> Iterator[House]:
    with open_house(root) as opened:
        yield opened


def tried(house: House) -> list[tuple[dict[str, str], str]]:
    return [(dict(one.ids), one.codes["outcome"]) for one in house.ledger.leaves() if one.kind == "remedy.tried"]


def test_without_leave_nothing_is_trained(root: Path) -> None:
    settings(root, watch__retrain='"propose"')
    with open_house(root) as house:
        assert not is_wanted(house)
        assert "remedy" not in run_due(house, silent, now=NOW)
        with pytest.raises(SettingsError, match="nobody allowed"):
            remedy(house, silent, now=NOW)
        assert not house.registry.all()
        assert not tried(house)


def test_what_passes_the_gate_serves_and_all_of_it_is_on_record(house: House) -> None:
    (done,) = remedy(house, silent, now=NOW)
    assert done.id == FIRST  # of canaries nothing is to be learned
    assert done.remedy is not None
    assert (done.remedy.outcome, done.remedy.at) == ("promoted", "2026-11-27T12:00:00.000+00:00")
    lineup = house.registry.lineup()
    assert (lineup.number, lineup.versions) == (1, {"adapter": done.remedy.version})
    gate = house.experiments.get(done.remedy.experiment)
    assert gate.kind == "gate"
    assert gate.verdict is not None
    assert gate.verdict.decision == "passed"
    assert tried(house) == [
        ({"alarm": FIRST, "version": done.remedy.version, "experiment": done.remedy.experiment}, "promoted")
    ]
    kinds = [leaf.kind for leaf in house.ledger.leaves()]
    assert kinds.index("training.finished") < kinds.index("model.promoted") < kinds.index("remedy.tried")
    assert not house.ledger.verify()
    assert house.search("How much does one pay each month for the boathouse Alma?").hits


def test_what_the_gate_refuses_leaves_what_serves(root: Path) -> None:
    settings(root, gate__searches="60", gate__p95_ms="0.01")
    with open_house(root) as house:
        (done,) = remedy(house, silent, now=NOW)
        assert done.remedy is not None
        assert done.remedy.outcome == "refused"
        assert done.remedy.told.startswith("refused: what serves stays")
        assert house.registry.lineup().number == 0
        assert [version.id for version in house.registry.all()] == [done.remedy.version]
        assert tried(house)[0][1] == "refused"
    told = run("watch", "--last", house=root)
    assert told.returncode == 1
    assert "refused: what serves stays" in " ".join(told.stdout.split())


def test_what_the_gate_asks_is_not_learned_from(root: Path, town: Town) -> None:
    rows = [{**row, "split": "all"} for row in labelled(town)]
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open_house(root) as house:
        views = sorted(house.shelf.views(house.shelf.chunk_ids()).values(), key=lambda view: view.source)
        words = [str(row["query"]) for row in rows[:20]] + [f"{view.chunk.text[:60]}?" for view in views[:50]]
        log = TrafficLog(house.root, house.shelf, queries=True, answers=False)
        for text, view in zip(words, [*views[:20], *views[:50]], strict=True):
            one = Asked(new_id(), BEGIN, "ask", text, (Shown(1, view.chunk.document_id, view.chunk.id),))
            log.put([one, Feedback(one.id, "up", BEGIN, view.chunk.id)])
        log.close()
        remedy(house, silent, now=NOW)
        (manifest,) = Facts(house, NOW).sets.values()
        assert manifest.left_out["asked in all as well"] >= 20
        assert "qrels" not in manifest.origins
        asked = {str(row["query"]) for row in rows}
        (folder,) = [path for path in (root / "training").iterdir() if path.is_dir()]
        learned = [json.loads(line)["query"] for line in (folder / "examples.jsonl").read_text().splitlines()]
        assert learned
        assert not asked & set(learned)


@pytest.mark.parametrize(
    ("splits", "asked", "taken"),
    [
        (("train", "dev", "test"), "", "train"),
        (("train", "dev", "test"), "dev", "none"),
        (("train", "dev"), "dev", "train"),
        (("train", "test"), "train", "none"),
        (("test",), "", "none"),
        (("train",), "", "none"),
    ],
)
def test_which_split_may_be_learned_from(
    house: House, splits: tuple[str, ...], asked: str, taken: str, town: Town
) -> None:
    rows = [{**row, "split": splits[number % len(splits)]} for number, row in enumerate(labelled(town))]
    (house.root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    house.settings = house.settings.with_values({"gate.split": asked}, origin="test")
    assert split_of(house) == taken


def test_what_gains_nothing_is_not_even_asked_about(root: Path, town: Town) -> None:
    rows = [{**row, "query": row["relevant"][0]["quote"]} for row in labelled(town) if row["split"] != "test"]  # type: ignore[index]
    asked = [row for row in labelled(town) if row["split"] == "test"]
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (*rows, *asked)))
    with open_house(root) as house:
        asked_before = [one.id for one in house.experiments.all() if one.kind == "gate"]
        (done,) = remedy(house, silent, now=NOW)
        assert done.remedy is not None
        assert done.remedy.outcome == "no-gain"
        assert house.registry.lineup().number == 0
        assert [one.id for one in house.experiments.all() if one.kind == "gate"] == asked_before


def test_what_fails_is_said_and_not_tried_again(root: Path) -> None:
    rows = (root / "questions.jsonl").read_text().splitlines()
    (root / "questions.jsonl").write_text("".join(f"{row}\n" for row in rows if '"train"' not in row))
    with open_house(root) as house:
        (done,) = remedy(house, silent, now=NOW)
        assert done.remedy is not None
        assert (done.remedy.outcome, done.remedy.version) == ("failed", "")
        assert "examples" in done.remedy.told
        assert remedy(house, silent, now=NOW) == ()
        assert tried(house) == [({"alarm": FIRST}, "failed")]


def test_once_for_an_alarm_and_a_pause_before_the_next(house: House) -> None:
    assert run_due(house, silent, among=["remedy"], now=NOW)["remedy"].items == 1
    (plan,) = [one for one in planned(house, NOW) if one.task == "remedy"]
    assert (plan.wanted, plan.is_due(NOW + timedelta(days=60)), plan.missed) == (False, False, 0)
    raise_alarm(house.root, alarm(SECOND))
    for days, due in ((13, False), (14, True)):
        (plan,) = [one for one in planned(house, NOW + timedelta(days=days)) if one.task == "remedy"]
        assert plan.is_due(NOW + timedelta(days=days)) is due


def test_while_another_writes_nothing_is_remembered_against_it(house: House) -> None:
    with writer_lock(house.root), pytest.raises(HouseBusy):
        remedy(house, silent, now=NOW)
    assert is_wanted(house)
    assert not tried(house)


def test_from_shifted_traffic_to_another_model_by_the_schedule_alone(learned: Path, tmp_path: Path) -> None:
    root = tmp_path / "house"
    shutil.copytree(learned, root)
    settings(root, traffic__query_log="true", traffic__answers="false")
    with open_house(root) as house:
        outcomes = []
        for day in range(8):
            put(house, day, questions(50, day) if day < 4 else elsewhere(50))
            ran = run_due(house, silent, now=BEGIN + timedelta(days=day, hours=8))
            outcomes.append({task: (run.outcome, run.items) for task, run in ran.items()})
        assert outcomes[2] == {"watch": ("done", 0)}
        (at,) = [day for day, ran in enumerate(outcomes) if "remedy" in ran]
        assert at > 3
        alarms = store.read(root).alarms
        assert {one.remedy.outcome for one in alarms if one.remedy} <= {"promoted", "refused", "no-gain"}
        assert len(tried(house)) == outcomes[at]["remedy"][1] >= 1
        (made,) = house.registry.all()
        assert house.registry.lineup().number == (tried(house)[0][1] == "promoted")
        assert tried(house)[0][0]["version"] == made.id
    shown = run_json("watch", "--last", house=root, code=1)
    assert any(one["remedy"] and one["remedy"]["version"] == made.id for one in shown["alarms"])
