"""What an evaluation ranks is what the house serves, and what it says can be checked with other tools."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import ir_measures
import pytest
from harbour import Town, run, run_json

from freehold.core.errors import UsageError
from freehold.house import open_house
from freehold.journeys.evaluate import checked_queries, retrieve
from freehold.journeys.locate import locate
from freehold.journeys.search import Plan, search
from freehold.measure.labels import read_labels


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def test_an_evaluation_ranks_as_the_search_does(town: Town) -> None:
    labels = read_labels(town.beir, "test")
    with open_house(town.house) as house:
        engines = house.engines()
        live = house.plan()
        plans = {
            "live": live,
            "shallow": replace(live, rerank_depth=5),
            "rrf": replace(live, fusion="rrf", rerank_depth=0, candidates=20),
            "dense": Plan(mode="dense", rerank_depth=0),
            "lexical": Plan(mode="lexical", rerank_depth=0),
        }
        queries = checked_queries(labels, engines, sorted(labels.qrels))
        found = retrieve(
            queries, plans, engines=engines, located=locate(labels, house.shelf), qrels=labels.qrels, judged="live",
            progress=silent,
        )  # fmt: skip
        for name, plan in plans.items():
            for query in queries:
                hits = search(query, k=15, plan=plan, engines=engines).hits
                expected = {hit.source: hit.score for hit in reversed(hits)}
                ranked = dict(list(found.runs[name][query.id].items())[: len(expected)])
                assert ranked == pytest.approx(expected), (name, query.id)


def test_more_hits_do_not_change_the_first(town: Town) -> None:
    with open_house(town.house) as house:
        plan = replace(house.plan(), rerank_depth=5)
        few, many = (house.search("who keeps the keys?", k=k, plan=plan).hits for k in (5, 40))
        assert [hit.chunk_id for hit in many[:5]] == [hit.chunk_id for hit in few]
        assert [hit.score for hit in many] == sorted((hit.score for hit in many), reverse=True)
        assert many[5].score < 0 <= many[4].score


def test_eval_tells_all_there_is_to_tell(town: Town, tmp_path: Path) -> None:
    told = run_json(
        "eval", str(town.beir), "--modes", "lexical,dense,hybrid", "--runs", str(tmp_path / "runs"),
        "--report", str(tmp_path / "report.html"), "--searches", "25", "--answers", house=town.house,
    )  # fmt: skip
    assert [run["name"] for run in told["runs"]] == ["lexical", "dense", "hybrid", "hybrid+rerank"]
    served = next(run for run in told["runs"] if run["served"])
    assert served["name"] == "hybrid+rerank"
    first = served["measures"][0]
    assert set(first) >= {"measure", "value", "ci95", "queries", "judged"}
    assert first["ci95"][0] <= first["value"] <= first["ci95"][1]
    assert served["latency_ms"]["total"]["n"] == 25
    assert served["latency_ms"]["total"]["p99"] is None  # of 25 searches there is none
    assert told["dataset"]["queries"] == first["queries"]
    assert {"embedder all-minilm-l6-v2"} <= set(told["models"])
    assert told["settings"]["retrieval.fusion"] == "weighted"
    assert told["settings_passed"]["--searches"] == 25
    assert told["versions"]["numpy"]
    assert {row["run"] for row in told["comparisons"]} >= {"hybrid+rerank"}
    assert any(part["slice"] == "topic=rent" for part in served["slices"])
    answers = {row["measure"]: row for row in told["answers"]["measures"]}
    assert answers["abstention-R"]["queries"] == 4
    assert 0 < answers["citation-R"]["value"] <= 1
    assert told["answers"]["judges"][0]["agreement"] is not None

    page = (tmp_path / "report.html").read_text()
    assert "boathouse" in page  # words of queries and documents are looked up for it
    qrels = [
        ir_measures.Qrel(*line.split("\t")[:2], int(line.split("\t")[2]))
        for line in (town.beir / "qrels" / "test.tsv").read_text().splitlines()[1:]
    ]
    for own in told["runs"]:
        written = list(ir_measures.read_trec_run(str(tmp_path / "runs" / f"{own['name']}.run")))
        for row in own["measures"]:
            if not row["measure"].startswith("FPR"):
                measure = ir_measures.parse_measure(row["measure"])
                assert ir_measures.calc_aggregate([measure], qrels, written)[measure] == pytest.approx(row["value"])

    kept = run_json("experiments", "show", told["id"][:8], house=town.house)
    assert kept == told
    assert told["id"] in {row["id"] for row in run_json("experiments", "list", house=town.house)["experiments"]}
    record = (town.house / "experiments" / told["id"] / "record.json").read_text()
    assert "boathouse" not in record  # what is kept names things by id


def test_the_same_seed_gives_the_same_figures(town: Town) -> None:
    one, two = (run_json("eval", str(town.beir), "--searches", "0", "--seed", "5", house=town.house) for _ in range(2))
    assert one["runs"][0]["measures"] == two["runs"][0]["measures"]
    assert one["runs"][0]["latency_ms"] == {}


def test_passages_count_by_overlap(town: Town) -> None:
    told = run_json("eval", str(town.passages), "--split", "dev", "--searches", "0", house=town.house)
    assert told["dataset"]["unit"] == "passage"
    values = {row["measure"]: row["value"] for row in told["runs"][0]["measures"]}
    assert values["R@50"] == 1.0


def test_throughput(town: Town) -> None:
    told = run_json("eval", str(town.beir), "--searches", "0", "--clients", "1,2", house=town.house)
    loads = told["runs"][0]["load"]
    assert [load["clients"] for load in loads] == [1, 2]
    assert all(load["queries_per_s"] > 0 and load["memory_mb"] > 50 for load in loads)


def test_compare_two_experiments_and_two_run_files(town: Town, tmp_path: Path) -> None:
    told = run_json(
        "eval", str(town.beir), "--modes", "lexical,dense", "--searches", "0", "--runs", str(tmp_path), house=town.house
    )
    ids = run_json("eval", "--compare", f"{told['id']}:dense", f"{told['id']}:lexical", house=town.house)
    files = run_json(
        "eval",
        "--compare",
        str(tmp_path / "dense.run"),
        str(tmp_path / "lexical.run"),
        str(town.beir),
        house=town.house,
    )
    assert ids["kind"] == files["kind"] == "compare"
    for one, two in zip(ids["comparisons"], files["comparisons"], strict=True):
        assert one["difference"] == pytest.approx(two["difference"])
        assert one["queries"] == two["queries"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["eval"], 2, "nothing to measure on"),
        (["eval", "/no/such/set"], 2, "does not exist"),
        (["eval", "{beir}", "--split", "tset"], 2, "dev, test, train"),
        (["eval", "{beir}", "--modes", "fuzzy"], 2, "no mode"),
        (["eval", "{beir}", "--measures", "nDCG@ten"], 2, "no measure"),
        (["eval", "{beir}", "--clients", "many"], 2, "numbers parted by commas"),
        (["eval", "--compare", "feed", "beef"], 2, "no experiment begins"),
        (["eval", "--compare", "rrf", "dense"], 2, "no file, no house and no experiment"),
        (["gate", "latest"], 3, "no dataset"),
        (["gate", "/no/such.toml", "--data", "{beir}"], 2, "no file, no house and no experiment"),
        (["eval", "{beir}", "--report", "/proc/none/report.html"], 2, "cannot be written"),
        (["tune", "retrieval", "--data", "{beir}", "--chunkers", "pages:9"], 2, "no way of chunking"),
        (["tune", "retrieval", "--data", "{beir}", "--held-out", "train", "--split", "train"], 2, "held out"),
    ],
)
def test_misuse_is_told(town: Town, arguments: list[str], code: int, says: str) -> None:
    result = run(*(part.format(beir=town.beir) for part in arguments), house=town.house)
    assert result.returncode == code, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_corpus_that_is_not_in_the_house(town: Town, tmp_path: Path) -> None:
    other = shutil.copytree(town.beir, tmp_path / "other")
    rows = [json.loads(line) for line in (other / "corpus.jsonl").read_text().splitlines()]
    moved = {row["_id"]: f"x{number}" for number, row in enumerate(rows)}
    (other / "corpus.jsonl").write_text("".join(json.dumps({**row, "_id": moved[row["_id"]]}) + "\n" for row in rows))
    path = other / "qrels" / "test.tsv"
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    path.write_text("".join("\t".join((q, moved.get(d, d), s)) + "\n" for q, d, s in lines))
    result = run("eval", str(other), house=town.house)
    assert result.returncode == 2
    assert "is not in this house" in result.stderr
    assert "freehold ingest --beir" in result.stderr


def test_labels_on_unknown_documents(town: Town, tmp_path: Path) -> None:
    other = shutil.copytree(town.beir, tmp_path / "other")
    path = other / "qrels" / "test.tsv"
    path.write_text(path.read_text() + "q00\tatlantis\t1\n")
    result = run("eval", str(other), house=town.house)
    assert result.returncode == 2
    assert f"{path}:{len(path.read_text().splitlines())}" in result.stderr
    assert "not in corpus.jsonl" in result.stderr
    with (other / "corpus.jsonl").open("a") as corpus:
        corpus.write('{"_id": "atlantis", "text": "sunk"}\n')
    result = run("eval", str(other), house=town.house)
    assert "--allow-missing" in result.stderr
    told = run_json("eval", str(other), "--allow-missing", "--searches", "0", house=town.house)
    assert told["dataset"]["missing"] == 1


def test_names_find_documents_by_the_ends_of_their_paths(town: Town, tmp_path: Path, minilm: Path) -> None:
    from freehold.house import House

    folder = tmp_path / "papers"
    for place in ("east", "west"):
        (folder / place).mkdir(parents=True)
        (folder / place / "lease.md").write_text(f"The {place} pier is let for ten years to the ferry company.")
    (folder / "menu.txt").write_text("The canteen serves lentil soup on Mondays.")
    with House.create(tmp_path / "house", {"house.name": "piers"}) as house:
        house.ingest([folder])

        def labels(source: str) -> str:
            line = {"id": "q", "query": "who rents the pier?", "relevant": [{"source": source}]}
            (tmp_path / "set.jsonl").write_text(json.dumps(line))
            located = locate(read_labels(tmp_path / "set.jsonl"), house.shelf)
            return next(iter(located.names))

        assert labels("menu").endswith("menu.txt")
        assert labels("east/lease.md").endswith("east/lease.md")
        assert labels(str(folder / "west" / "lease.md")).endswith("west/lease.md")
        with pytest.raises(UsageError, match="fits 2 documents"):
            labels("lease.md")
        with pytest.raises(UsageError, match="not in"):
            labels("moon.txt")


def test_a_passage_labelled_for_another_question_takes_no_place(town: Town, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in town.passages.read_text().splitlines()[:12]]
    again = [{**row, "id": f"{row['id']}b"} for row in rows]
    for name, own in (("once", rows), ("twice", [*rows, *again])):
        lines = ({key: value for key, value in row.items() if key != "split"} for row in own)
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    once, twice = (
        run_json("eval", str(tmp_path / f"{name}.jsonl"), "--searches", "0", house=town.house)["runs"][0]["measures"]
        for name in ("once", "twice")
    )
    assert [row["value"] for row in once] == pytest.approx([row["value"] for row in twice])
