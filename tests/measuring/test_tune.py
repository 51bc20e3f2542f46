"""A search over settings: what it reports, that it goes on after a kill, and that it does not peek."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from harbour import Town, run, run_json

from freehold.core.faults import KILL_AT
from freehold.house import House
from freehold.journeys.search import Plan
from freehold.journeys.tune_space import grid, plan_of, values_of


@pytest.fixture
def own_house(town: Town, tmp_path: Path) -> Path:
    with House.create(tmp_path / "house", {"house.name": "tuned"}) as house:
        house.ingest_beir(town.beir)
    return tmp_path / "house"


def tune(house: Path, town: Town, *more: str) -> Any:
    return run_json("tune", "retrieval", "--data", str(town.beir), "--trials", "6", *more, house=house)


def test_a_search_reports_on_what_it_never_saw(town: Town, own_house: Path, tmp_path: Path) -> None:
    report = tmp_path / "tune.html"
    told = tune(own_house, town, "--chunkers", "sentences:64", "--report", str(report))
    study = told["study"]
    assert (study["splits"], told["dataset"]["split"]) == (["train", "dev"], "test")
    assert len(study["trials"]) == 6
    first = next(trial for trial in study["trials"] if trial["number"] == study["default"])
    assert first["settings"]["retrieval.dense_weight"] == 0.5
    assert [run["name"] for run in told["runs"]] == ["default", "tuned"]
    assert {row["run"] for row in told["comparisons"]} == {"tuned"}
    assert set(study["pareto"]) <= {trial["number"] for trial in study["trials"]}
    folder = own_house / "tuning" / study["name"]
    assert (folder / "best.toml").exists()
    assert "svg" in report.read_text()
    # What was found can go to the gate as it is.
    gated = run("gate", told["candidate"], "--data", str(town.beir), "--split", "train+dev+test", house=own_house)
    assert gated.returncode in {0, 1}, gated.stderr
    # More trials go on from there; another task under the same name is refused.
    more = run_json(
        "tune", "retrieval", "--data", str(town.beir), "--trials", "8", "--chunkers", "sentences:64", house=own_house
    )
    assert [t["quality"] for t in more["study"]["trials"]][:6] == [t["quality"] for t in study["trials"]]
    assert len(more["study"]["trials"]) == 8
    other = run(
        "tune", "retrieval", "--data", str(town.beir), "--study", study["name"], "--measure", "RR@10", house=own_house
    )
    assert other.returncode == 2
    assert "begun otherwise" in other.stderr


@pytest.mark.parametrize("step", ["tune.measured", "tune.told"])
def test_killed_it_goes_on(town: Town, own_house: Path, step: str) -> None:
    arguments = ["tune", "retrieval", "--data", str(town.beir), "--trials", "3", "--chunkers", "none", "--study", "s"]
    killed = run(*arguments, house=own_house, **{KILL_AT: step})
    assert killed.returncode == -signal.SIGKILL
    journal = own_house / "tuning" / "s" / "journal.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 5, "half a li')  # as a kill within a write leaves it
    told = run_json(*arguments, house=own_house)
    assert len(told["study"]["trials"]) == 3
    assert told["study"]["trials"][0]["settings"]["retrieval.dense_weight"] == 0.5


def test_one_search_at_a_time(town: Town, own_house: Path) -> None:
    arguments = ["tune", "retrieval", "--data", str(town.beir), "--trials", "2", "--chunkers", "none", "--study", "s"]
    from freehold.store.lock import writer_lock

    (own_house / "tuning" / "s").mkdir(parents=True)
    with writer_lock(own_house / "tuning" / "s"):
        assert run(*arguments, house=own_house).returncode == 4


def test_a_limit_on_latency_is_kept(town: Town, own_house: Path) -> None:
    told = tune(own_house, town, "--chunkers", "none", "--p95-ms", "0.1")
    states = {trial["state"] for trial in told["study"]["trials"]}
    assert states <= {"over budget", "stopped"}
    assert told["study"]["best"] == told["study"]["default"]
    assert not told["best_settings"]


def test_the_grid_is_tried_cell_by_cell(town: Town, own_house: Path) -> None:
    told = tune(own_house, town, "--chunkers", "none", "--sampler", "grid")
    tried = [json.dumps(trial["settings"], sort_keys=True) for trial in told["study"]["trials"]]
    assert len(set(tried)) == len(tried)
    assert len(grid(["a"], can_rerank=True, seed=0)) == (5 + 5 * 2) * (1 + 2 * 3)


def test_a_set_with_one_split_is_parted(town: Town, own_house: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in town.passages.read_text().splitlines()]
    for row in rows:
        del row["split"]
    (tmp_path / "one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = run_json(
        "tune", "retrieval", "--data", str(tmp_path / "one.jsonl"), "--trials", "2", "--chunkers", "none",
        house=own_house,
    )  # fmt: skip
    assert told["study"]["queries"] + told["dataset"]["queries"] == len(rows)
    assert "held out" in told["dataset"]["split"]


def test_too_few_queries(town: Town, own_house: Path) -> None:
    result = run("tune", "retrieval", "--data", str(town.beir), "--split", "dev", "--trials", "2", house=own_house)
    assert result.returncode == 2
    assert "at least 20 are needed" in result.stderr


@pytest.mark.parametrize(
    "plan",
    [
        Plan(),
        Plan(fusion="rrf", rrf_k=20, dense_weight=0.3, rerank_depth=0),
        Plan(fusion="dbsf", rerank_weight=0.7),
    ],
)
def test_values_and_plans_are_two_ways_to_say_it(plan: Plan) -> None:
    again = plan_of(values_of(plan, "structure:256"))
    assert values_of(again, "x") == values_of(plan, "x")


def test_a_single_leg_is_a_fusion_without_the_other() -> None:
    assert plan_of(values_of(Plan(mode="dense", rerank_depth=0), "x")).dense_weight == 1.0
    assert plan_of(values_of(Plan(mode="lexical", rerank_depth=0), "x")).dense_weight == 0.0


def test_what_the_house_forgets_its_trial_houses_forget(town: Town, own_house: Path, tmp_path: Path) -> None:
    told = tune(own_house, town, "--chunkers", "sentences:64", "--keep")
    houses = own_house / "tuning" / told["study"]["name"] / "houses"
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "note.txt").write_text("The lighthouse keeper leaves in June.")
    assert run("ingest", str(tmp_path / "papers"), house=own_house).returncode == 0
    assert any(houses.rglob("catalog.sqlite"))  # a new paper takes nothing away
    (tmp_path / "papers" / "note.txt").unlink()
    assert run("ingest", str(tmp_path / "papers"), "--prune", "--yes", house=own_house).returncode == 0
    assert not houses.exists()


def test_settings_between_the_steps_are_searched_around(town: Town, tmp_path: Path) -> None:
    values = {"house.name": "odd", "retrieval.candidates": 150, "retrieval.rerank_depth": 30, "retrieval.rrf_k": 33}
    with House.create(tmp_path / "house", {**values, "retrieval.fusion": "rrf"}) as house:
        house.ingest_beir(town.beir)
    told = run_json(
        "tune", "retrieval", "--data", str(town.beir), "--trials", "22", "--chunkers", "none", house=tmp_path / "house"
    )
    assert len(told["study"]["trials"]) == 22


def test_a_resumed_study_reranks_as_it_did(town: Town, own_house: Path) -> None:
    told = tune(own_house, town, "--chunkers", "sentences:64", "--keep", "--study", "s")
    (root,) = (own_house / "tuning" / "s" / "houses").glob("*/")
    settings = root / "freehold.toml"
    settings.write_text(settings.read_text() + '\n[reranker]\nkind = "none"\n')  # as a best trial without it leaves it
    before = {path.name for path in (root / "index").glob("generation-*")}
    more = run_json(
        "tune", "retrieval", "--data", str(town.beir), "--trials", "7", "--chunkers", "sentences:64", "--keep",
        "--study", "s", house=own_house,
    )  # fmt: skip
    assert len(more["study"]["trials"]) == len(told["study"]["trials"]) + 1
    assert {path.name for path in (root / "index").glob("generation-*")} == before  # nothing was cut again


@pytest.mark.parametrize("name", ["..", "team/legal", "", " x"])
def test_names_of_studies(town: Town, own_house: Path, name: str) -> None:
    result = run(
        "tune", "retrieval", "--data", str(town.beir), "--trials", "1", "--study", name or "/", house=own_house
    )
    assert result.returncode == 2
    assert "no name for a study" in result.stderr


def test_the_best_is_surely_better_than_the_default(town: Town, own_house: Path) -> None:
    told = tune(own_house, town, "--chunkers", "none", "--trials", "12")["study"]
    default, best = (
        next(trial for trial in told["trials"] if trial["number"] == told[role]) for role in ("default", "best")
    )
    assert (default["gain"], default["gain_error"]) == (0, 0)
    assert best["number"] == default["number"] or best["gain"] > best["gain_error"]
    assert all(t["gain"] == pytest.approx(t["quality"] - default["quality"]) for t in told["trials"] if t["p95_ms"])
