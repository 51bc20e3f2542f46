"""The command line as its users and their programs meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from freehold.store.lock import writer_lock

LEASE = """# Lease of the boathouse

## 1. Term

1.1 The lease runs for five years from 1 March 2025.

## 2. Rent

2.1 The rent is 840 euros a month, due on the third working day.

2.2 If the rent is more than fourteen days late, the landlord may charge interest of four percent a year.

## 3. Ending the lease

3.1 Either party may end the lease with six months' notice in writing.
"""


def run(*arguments: str, house: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from freehold.cli.main import main; main()"]
    if house:
        command += ["--house", str(house)]
    return subprocess.run(
        [*command, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def run_json(*arguments: str, house: Path) -> Any:
    result = run(*arguments, "--json", house=house)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    (folder / "lease.md").write_text(LEASE, encoding="utf-8")
    (folder / "menu.txt").write_text("The canteen serves lentil soup on Mondays and fish on Fridays.\n")
    (folder / "empty.txt").write_text("")
    (folder / "broken.docx").write_bytes(b"PK\x03\x04 not really a document")
    return folder


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, papers: Path, minilm: Path) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "house"
    assert run("init", str(folder)).returncode == 0
    report = run_json("ingest", str(papers), house=folder)
    assert report["documents"] == 2
    assert report["chunks"] >= 2
    assert {Path(q["path"]).name for q in report["quarantined"]} == {"empty.txt", "broken.docx"}
    assert all(q["reason"] for q in report["quarantined"])
    return folder


def test_a_second_ingest_has_nothing_to_do(house: Path, papers: Path) -> None:
    report = run_json("ingest", str(papers), house=house)
    assert report["documents"] == 0
    assert report["skipped"] == 2
    assert len(report["quarantined"]) == 2


def test_search_gives_exact_slices(house: Path, papers: Path) -> None:
    found = run_json("search", "interest when the rent is late", "--explain", house=house)
    best = found["hits"][0]
    assert Path(best["source"]).name == "lease.md"
    assert "fourteen days late" in best["text"]
    assert best["rank"] == 1
    assert set(best["legs"]) <= {"dense", "lexical"}
    assert found["timings_ms"]["total"] > 0
    assert [h["score"] for h in found["hits"]] == sorted((h["score"] for h in found["hits"]), reverse=True)


@pytest.mark.parametrize("mode", ["lexical", "dense", "hybrid"])
def test_every_mode_answers(house: Path, mode: str) -> None:
    found = run_json("search", "lentil soup", "--mode", mode, "-k", "1", house=house)
    assert "lentil soup" in found["hits"][0]["text"]


def test_filters_restrict(house: Path, papers: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("Soup is also served in the other canteen, says this note.")
    run_json("ingest", str(tmp_path), "--field", "site=harbour", house=house)
    found = run_json("search", "soup", "--filter", "site=harbour", house=house)
    assert {Path(h["source"]).name for h in found["hits"]} == {"note.txt"}
    assert not run_json("search", "soup", "--filter", "site=moon", house=house)["hits"]
    (tmp_path / "note.txt").unlink()
    assert run_json("ingest", str(tmp_path), "--prune", "--yes", house=house)["removed"] == 1
    assert not run_json("search", "soup", "--filter", "site=harbour", house=house)["hits"]


def test_ask_cites_exactly(house: Path) -> None:
    answer = run_json("ask", "How much is the rent of the boathouse per month?", house=house)
    assert not answer["abstained"]
    assert answer["supported"]
    assert "840" in answer["text"]
    quote = answer["citations"][0]
    assert LEASE[quote["start"] : quote["end"]] == quote["quote"]


def test_ask_abstains(house: Path) -> None:
    answer = run_json("ask", "Who won the chess championship of 1972?", house=house)
    assert answer["abstained"]
    assert not answer["citations"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["search", "   "], 2, "no letter or digit"),
        (["search", "\x07\x1b\u200b"], 2, "no letter or digit"),
        (["search", "x" * 100_000], 2, "at most 10,000"),
        (["search", "word " * 1_500], 2, "tokens"),
        (["search", "soup", "--filter", "site"], 2, "KEY=VALUE"),
        (["ingest", "/no/such/place"], 2, "does not exist"),
        (["ingest"], 2, "nothing to ingest"),
        (["frobnicate"], 2, "No such command"),
        (["models", "pull", "no-such-model"], 3, "no-such-model"),
    ],
)
def test_misuse_is_told(house: Path, arguments: list[str], exit_code: int, says: str) -> None:
    result = run(*arguments, house=house)
    assert result.returncode == exit_code, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_errors_have_a_json_shape(house: Path) -> None:
    result = run("search", " ", "--json", house=house)
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "invalid_query"
    assert error["hint"]


def test_no_house_here(tmp_path: Path) -> None:
    result = run("search", "soup", house=tmp_path)
    assert result.returncode == 3
    assert "freehold init" in result.stderr
    assert not list(tmp_path.iterdir())  # looking leaves nothing behind


def test_an_empty_house_says_what_to_do(tmp_path: Path, minilm: Path) -> None:
    run("init", str(tmp_path / "h"))
    result = run("search", "soup", house=tmp_path / "h")
    assert result.returncode == 2
    assert "ingest" in result.stderr


def test_a_house_is_made_once(house: Path) -> None:
    result = run("init", str(house))
    assert result.returncode == 2
    assert "a house already" in result.stderr


def test_two_writers(house: Path, papers: Path) -> None:
    with writer_lock(house):
        result = run("ingest", str(papers), house=house)
        assert result.returncode == 4
        assert "is writing" in result.stderr
        assert run_json("search", "soup", house=house)["hits"]  # readers go on


def test_a_house_made_by_another_embedder(house: Path, tmp_path: Path) -> None:
    import shutil

    from freehold.models.pull import pull

    pull("multilingual-e5-small")  # whatever other tests have run before
    copy = tmp_path / "house"
    shutil.copytree(house, copy)
    with (copy / "freehold.toml").open("a") as settings:
        settings.write('\n[embedder]\nmodel = "multilingual-e5-small"\n')
    text = (copy / "freehold.toml").read_text()
    (copy / "freehold.toml").write_text(text.replace("[embedder]\n", "", 1))
    result = run("search", "soup", house=copy)
    assert result.returncode == 3
    assert "embedder" in result.stderr


def test_doctor_names_every_setting_and_its_source(house: Path) -> None:
    report = run_json("doctor", house=house)
    assert report["settings"]["house.name"]["origin"].startswith("freehold.toml:")
    assert report["settings"]["retrieval.fusion"]["origin"] == "default"
    assert report["stats"]["documents"] >= 2
    assert not report["index_behind"]


def test_disk_full_while_ingesting(house: Path, tmp_path: Path) -> None:
    """A limit on file size stands for a full disk: the ingest fails with a hint, and what was there still answers."""
    import shutil

    copy = tmp_path / "house"
    shutil.copytree(house, copy)
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "long.txt").write_text("Nothing but a long story about harbours. " * 20_000)
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000));"
        "from freehold.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "--house", str(copy), "ingest", str(tmp_path / "papers")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert result.returncode == 70, result.stderr
    assert "hint" in result.stderr
    assert run_json("search", "lentil soup", house=copy)["hits"]
    assert run_json("ingest", str(tmp_path / "papers"), house=copy)["documents"] == 1
