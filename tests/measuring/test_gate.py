"""The gate as CI meets it: what passes, what is refused, what the queries at hand cannot tell."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from harbour import Town, run, run_json

from freehold.house import House


def evaluated(town: Town, folder: Path) -> None:
    run_json(
        "eval", str(town.beir), "--split", "train+dev+test", "--modes", "hybrid,lexical", "--searches", "0",
        "--runs", str(folder), house=town.house,
    )  # fmt: skip


def without_dense(folder: Path, *, share: int) -> Path:
    """The hybrid run with every ``share``-th query answered at random: worse than any leg off."""
    lines = (folder / "hybrid.run").read_text().splitlines()
    queries = sorted({line.split()[0] for line in lines})
    broken = set(queries[::share])
    kept = [line for line in lines if line.split()[0] not in broken]
    path = folder / "broken.run"
    path.write_text("\n".join([*kept, ""]))
    return path


def test_an_identical_candidate_passes(town: Town, tmp_path: Path) -> None:
    told = run_json(
        "gate", "live", "--data", str(town.beir), "--split", "train+dev+test", "--junit", str(tmp_path / "junit.xml"),
        house=town.house,
    )  # fmt: skip
    assert told["verdict"]["decision"] == "passed"
    assert told["verdict"]["rules"]["gate.margin"] == 0.01
    assert all(check["difference"] == 0 for check in told["verdict"]["checks"])
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "0")


def test_a_broken_candidate_is_refused(town: Town, tmp_path: Path) -> None:
    evaluated(town, tmp_path)
    told = run_json(
        "gate", str(without_dense(tmp_path, share=3)), "--data", str(town.beir), "--split", "train+dev+test",
        "--junit", str(tmp_path / "junit.xml"), "--report", str(tmp_path / "gate.html"), house=town.house, code=1,
    )  # fmt: skip
    assert told["verdict"]["decision"] == "refused"
    assert "worse" in told["verdict"]["reasons"][0]
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert int(suite.get("failures", 0)) >= 1
    assert "Refused" in (tmp_path / "gate.html").read_text() or "refused" in (tmp_path / "gate.html").read_text()


def test_too_few_queries_are_said_to_be(town: Town) -> None:
    result = run("gate", "live", "--data", str(town.beir), "--split", "dev", house=town.house)
    assert result.returncode == 1
    assert "UNDERPOWERED" in result.stdout
    assert "at least 30 are needed" in result.stdout


def test_settings_files_are_candidates(town: Town, tmp_path: Path) -> None:
    (tmp_path / "candidate.toml").write_text('[retrieval]\nfusion = "rrf"\n[reranker]\nkind = "none"\n')
    told = run_json(
        "gate", str(tmp_path / "candidate.toml"), "--data", str(town.beir), "--split", "train+test", house=town.house,
        code=0 if _passes(town, tmp_path) else 1,
    )  # fmt: skip
    plan = next(run["plan"] for run in told["runs"] if run["name"] == "candidate")
    assert (plan["fusion"], plan["rerank_depth"]) == ("rrf", 0)
    (tmp_path / "chunks.toml").write_text("[chunking]\nmax_tokens = 128\n")
    result = run("gate", str(tmp_path / "chunks.toml"), "--data", str(town.beir), house=town.house)
    assert result.returncode == 3
    assert "chunking.max_tokens at chunks.toml:2 cannot be tried on this house" in result.stderr


def _passes(town: Town, tmp_path: Path) -> bool:
    arguments = ["gate", str(tmp_path / "candidate.toml"), "--data", str(town.beir), "--split", "train+test"]
    return run(*arguments, house=town.house).returncode == 0


def test_rules_slices_and_latency_come_from_the_settings(town: Town, tmp_path: Path) -> None:
    values = {
        "house.name": "ruled",
        "gate.dataset": str(town.beir),
        "gate.split": "train+dev+test",
        "gate.measures": ("Success@5",),
        "gate.slices": ("topic",),
        "gate.p95_ms": 0.1,
        "gate.searches": 120,
    }
    with House.create(tmp_path / "house", values) as house:
        house.ingest_beir(town.beir)
    told = run_json("gate", "live", house=tmp_path / "house", code=1)
    checks = {check["name"]: check for check in told["verdict"]["checks"]}
    assert set(checks) == {"Success@5", "p95 latency", *(f"Success@5 on topic={t}" for t in
                           ("insurance", "keys", "notice", "rent", "winter"))}  # fmt: skip
    assert checks["p95 latency"]["decision"] == "refused"
    assert checks["Success@5 on topic=rent"]["decision"] == "underpowered"  # twelve queries
    assert told["verdict"]["decision"] == "refused"
    result = run("gate", str(town.house), "--against", "live", house=tmp_path / "house")
    assert result.returncode == 1
    assert "p95 latency" in result.stdout


def test_experiments_are_candidates_on_the_labels_they_were_measured_on(town: Town) -> None:
    told = run_json("eval", str(town.beir), "--split", "train", "--searches", "30", house=town.house)
    again = run("gate", told["id"][:8], "--data", str(town.beir), "--split", "train", house=town.house)
    assert again.returncode in {0, 1}, again.stderr
    other = run("gate", told["id"][:8], "--data", str(town.beir), "--split", "test", house=town.house)
    assert other.returncode == 2
    assert "measured on other labels" in other.stderr


@pytest.mark.parametrize("text", ["q00 Q0 alma-rent 1 nan t\n", "q00 Q0 alma-rent\n", "q00 Q0 a 1 high t\n"])
def test_run_files_that_are_none(town: Town, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.run").write_text(text)
    result = run("gate", str(tmp_path / "bad.run"), "--data", str(town.beir), house=town.house)
    assert result.returncode == 2
    assert f"{tmp_path / 'bad.run'}:1" in result.stderr


def test_a_reranker_that_the_house_cannot_run_is_no_candidate(town: Town, tmp_path: Path) -> None:
    with House.create(tmp_path / "house", {"house.name": "bare", "reranker.kind": "none"}) as house:
        house.ingest_beir(town.beir)
    (tmp_path / "rerank.toml").write_text('[reranker]\nkind = "late-interaction"\n')
    result = run("gate", str(tmp_path / "rerank.toml"), "--data", str(town.beir), house=tmp_path / "house")
    assert result.returncode == 3
    assert "keeps no token vectors" in result.stderr


@pytest.mark.parametrize(("measures", "says"), [("[]", "gate.measures is empty"), ('["nDGC@10"]', "is no measure")])
def test_rules_that_are_none(town: Town, tmp_path: Path, measures: str, says: str) -> None:
    with House.create(tmp_path / "house", {"house.name": "ruled"}) as house:
        house.ingest_beir(town.beir)
    with (tmp_path / "house" / "freehold.toml").open("a") as file:
        file.write(f"\n[gate]\nmeasures = {measures}\n")
    text = (tmp_path / "house" / "freehold.toml").read_text().replace("[gate]\n", "", 1)
    (tmp_path / "house" / "freehold.toml").write_text(text)
    result = run("gate", "live", "--data", str(town.beir), house=tmp_path / "house")
    assert result.returncode == 3
    assert says in result.stderr


def test_a_comparison_has_a_report(town: Town, tmp_path: Path) -> None:
    evaluated(town, tmp_path)
    told = run_json(
        "eval", "--compare", str(tmp_path / "hybrid.run"), "live", str(town.beir), "--split", "train+dev+test",
        "--report", str(tmp_path / "page.html"), house=town.house,
    )  # fmt: skip
    assert [entry["served"] for entry in told["runs"]] == [False, True]
    assert "Comparison" in (tmp_path / "page.html").read_text()
    assert (
        run("experiments", "show", told["id"], "--report", str(tmp_path / "bare.html"), house=town.house).returncode
        == 0
    )
    result = run("eval", "--compare", "live", "live", str(town.beir), "--searches", "0", house=town.house)
    assert result.returncode == 2
    assert "takes no --searches" in result.stderr
