"""Labelled sets: what is right is read whole, and what is wrong is told with file and line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from freehold.core.errors import UsageError
from freehold.measure.answers import Evidence, Gold
from freehold.measure.labels import Labels, part_of, read_labels, splits_of

QUERIES = [
    {"_id": "q1", "text": "How long is the notice period?", "metadata": {"language": "en"}},
    {"_id": "q2", "text": "Wann ist die Prämie fällig?", "metadata": {"language": "de", "split": "test"}},
    {"_id": "q3", "text": "Who signs?", "metadata": {"split": "test"}},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td 2\t0\nq2\td1\t1\n"
ANSWERS = [
    {"_id": "q1", "answers": ["three months", " "], "evidence": [{"doc": "d1", "quote": "three months"}]},
    {"_id": "q2", "answer": "am Ersten", "answerable": True},
    {"_id": "q3", "answers": [], "answerability": "UNANSWERABLE"},
]
OWN = [
    {
        "id": "n1",
        "query": "How long is the notice period?",
        "relevant": [{"source": "rules.pdf", "quote": "three months"}, {"source": "rules.pdf", "start": 5, "end": 9}],
        "answers": ["three months"],
        "metadata": {"language": "en"},
    },
    {"id": "n2", "query": "Who signs?", "relevant": [{"source": "b.pdf", "quote": "the board", "grade": 2}]},
    {"id": "n3", "query": "What is the weather?", "answerable": False},
]


def lines(records: object) -> bytes:
    assert isinstance(records, list)
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def beir(folder: Path, **files: bytes | None) -> Path:
    """A good folder, but for what ``files`` puts in the place of: queries, answers or a split. None leaves one out."""
    contents = {"queries": lines(QUERIES), "test": QRELS.encode(), "answers": lines(ANSWERS)} | files
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        place = folder / f"{name}.jsonl" if name in {"queries", "answers"} else folder / "qrels" / f"{name}.tsv"
        if data is None:
            place.unlink(missing_ok=True)
        else:
            place.write_bytes(data)
    return folder


def own(folder: Path, records: object) -> Path:
    path = folder / "questions.jsonl"
    path.write_bytes(records if isinstance(records, bytes) else lines(records))
    return path


def changed(records: list[dict], at: int, **fields: object) -> bytes:
    return lines([record | fields if place == at else record for place, record in enumerate(records)])


# -- what is right ---------------------------------------------------------------------------------------------------


def test_beir_folder(tmp_path: Path) -> None:
    labels = read_labels(beir(tmp_path / "rules"))
    assert (labels.name, labels.split, labels.unit) == ("rules", "test", "document")
    assert labels.qrels == {"q1": {"d1": 2, "d 2": 0}, "q2": {"d1": 1}}
    assert list(labels.queries) == ["q1", "q2", "q3"]
    assert labels.queries["q2"].text == "Wann ist die Prämie fällig?"
    assert labels.queries["q2"].metadata == {"language": "de", "split": "test"}
    assert labels.documents == {"d1": f"{tmp_path}/rules/qrels/test.tsv:2", "d 2": f"{tmp_path}/rules/qrels/test.tsv:3"}
    assert labels.gold == {
        "q1": Gold(("three months",), None, (Evidence("d1", quote="three months"),)),
        "q2": Gold(("am Ersten",), True, (Evidence("d1"),)),
        "q3": Gold((), False, ()),
    }


def test_beir_folder_without_header_or_answers_written_on_windows(tmp_path: Path) -> None:
    bare = QRELS.partition("\n")[2].replace("\n", "\r\n").encode()
    folder = beir(tmp_path, test=b"\xef\xbb\xbf" + bare, answers=None)
    labels = read_labels(folder)
    assert labels.qrels == {"q1": {"d1": 2, "d 2": 0}, "q2": {"d1": 1}}
    assert list(labels.queries) == ["q1", "q2"]
    assert labels.gold == {}


def test_own_format(tmp_path: Path) -> None:
    labels = read_labels(own(tmp_path, OWN))
    assert (labels.name, labels.split, labels.unit) == ("questions", "all", "passage")
    assert labels.qrels == {"n1": {"rules.pdf#1.1": 1, "rules.pdf[5:9]": 1}, "n2": {"b.pdf#2.1": 2}}
    assert labels.spans["rules.pdf[5:9]"] == Evidence("rules.pdf", 5, 9)
    assert labels.spans["b.pdf#2.1"] == Evidence("b.pdf", quote="the board")
    assert set(labels.documents) == {"rules.pdf", "b.pdf"}
    assert labels.gold["n1"].evidence == (Evidence("rules.pdf", quote="three months"), Evidence("rules.pdf", 5, 9))
    assert labels.gold["n3"] == Gold((), False, ())
    assert list(labels.queries) == ["n1", "n2", "n3"]


def test_own_format_that_labels_documents(tmp_path: Path) -> None:
    records = [{"id": "n1", "query": "Who?", "relevant": [{"source": "a.pdf"}, {"source": "b.pdf", "grade": 0}]}]
    labels = read_labels(own(tmp_path, records))
    assert (labels.unit, labels.qrels, labels.spans) == ("document", {"n1": {"a.pdf": 1, "b.pdf": 0}}, {})


@pytest.mark.parametrize(
    ("files", "asked", "expected"),
    [
        ({}, None, "test"),
        ({"dev": QRELS.encode()}, None, "test"),
        ({"dev": QRELS.encode(), "test": None}, None, "dev"),
        ({"other": QRELS.encode(), "test": None}, None, "other"),
        ({"dev": QRELS.encode()}, "dev", "dev"),
    ],
)
def test_which_split(tmp_path: Path, files: Mapping[str, bytes | None], asked: str | None, expected: str) -> None:
    assert read_labels(beir(tmp_path, **files), asked).split == expected


def test_splits_together(tmp_path: Path) -> None:
    folder = beir(tmp_path, dev=b"q3\td9\t1\n")
    labels = read_labels(folder, "test+dev")
    assert splits_of(folder) == ("dev", "test")
    assert labels.split == "test+dev"
    assert labels.qrels == {"q1": {"d1": 2, "d 2": 0}, "q2": {"d1": 1}, "q3": {"d9": 1}}
    assert set(labels.documents) == {"d1", "d 2", "d9"}
    part = part_of(labels, {"q3"}, "held out")
    assert (part.split, part.qrels) == ("held out", {"q3": {"d9": 1}})
    assert (list(part.documents), list(part.queries)) == (["d9"], ["q3"])
    with pytest.raises(UsageError, match="q1 is in split test"):
        read_labels(folder, "test+test")


def test_own_splits(tmp_path: Path) -> None:
    path = own(tmp_path, [record | {"split": split} for record, split in zip(OWN, ("a", "b", "b"), strict=True)])
    assert splits_of(path) == ("a", "b")
    assert list(read_labels(path, "a").queries) == ["n1"]
    assert list(read_labels(path, "b").qrels) == ["n2"]
    with pytest.raises(UsageError) as caught:
        read_labels(path)
    assert "a, b" in caught.value.hint


def test_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    first = read_labels(beir(tmp_path / "a")).digest
    assert read_labels(beir(tmp_path / "b")).digest == first
    assert read_labels(beir(tmp_path / "b", dev=b"q3\td9\t1\n"), "test").digest == first
    assert read_labels(beir(tmp_path / "a", test=QRELS.encode() + b"\n")).digest != first


# -- what is wrong ---------------------------------------------------------------------------------------------------

BAD_BEIR = {
    "unknown query": ({"test": b"q1\td1\t1\nq9\td1\t1\n"}, "qrels/test.tsv:2: there is no query q9"),
    "white space in an id": ({"queries": changed(QUERIES, 1, _id="q 2")}, "queries.jsonl:2: has an id"),
    "control character in an id": ({"queries": changed(QUERIES, 1, _id="q\x00")}, "queries.jsonl:2: has an id"),
    "empty id": ({"queries": changed(QUERIES, 0, _id="")}, "queries.jsonl:1: has an id"),
    "id that is a number": ({"queries": changed(QUERIES, 0, _id=1)}, "queries.jsonl:1: is no query"),
    "query without text": ({"queries": changed(QUERIES, 2, text=" \n")}, "queries.jsonl:3: the query q3 has no text"),
    "query without a text field": ({"queries": b'{"_id": "q1"}\n'}, "queries.jsonl:1: is no query"),
    "metadata that are a list": ({"queries": changed(QUERIES, 0, metadata=[1])}, "queries.jsonl:1: is no query"),
    "duplicate query": ({"queries": changed(QUERIES, 2, _id="q1")}, "queries.jsonl:3: the query id q1 stands in"),
    "not JSON": ({"queries": lines(QUERIES[:1]) + b"\n{q2\n"}, "queries.jsonl:3: is no JSON object"),
    "a list": ({"queries": b"[]\n"}, "queries.jsonl:1: is no JSON object"),
    "nested too deeply": ({"queries": b"[" * 100_000}, "queries.jsonl:1: is no JSON object"),
    "a number of many digits": ({"queries": b"9" * 5_000}, "queries.jsonl:1: is no JSON object"),
    "not UTF-8": ({"queries": lines(QUERIES) + b"\xff\n"}, "queries.jsonl:4: is not UTF-8 text"),
    "labels not UTF-8": ({"test": QRELS.encode() + b"q1\t\xe4\t1\n"}, "qrels/test.tsv:5: is not UTF-8 text"),
    "score in words": ({"test": b"q1\td1\thigh\n"}, "qrels/test.tsv:1: the score is no whole number"),
    "score that is no number": ({"test": b"q1\td1\tnan\n"}, "qrels/test.tsv:1: the score is no whole number"),
    "half a grade": ({"test": b"q1\td1\t0.5\n"}, "qrels/test.tsv:1: the score is no whole number"),
    "endless score": ({"test": b"q1\td1\t1e999\n"}, "qrels/test.tsv:1: the score is no whole number"),
    "two columns": ({"test": b"q1\td1\n"}, "qrels/test.tsv:1: has not the three columns"),
    "TREC qrels": ({"test": b"q1\t0\td1\t1\n"}, "qrels/test.tsv:1: has not the three columns"),
    "spaces for tabs": ({"test": b"q1 d1 1\n"}, "qrels/test.tsv:1: has not the three columns"),
    "no document": ({"test": b"q1\t \t1\n"}, "qrels/test.tsv:1: names no document"),
    "header twice": ({"test": b"query-id\tcorpus-id\tscore\n" * 2}, "qrels/test.tsv:2: there is no query query-id"),
    "label twice": ({"test": b"q1\td1\t1\n\nq1\td1\t1\n"}, "qrels/test.tsv:3: labels a document"),
    "line separator in a document": ({"test": "q1\td\u2028x\t1\nq1\td1\tx\n".encode()}, "qrels/test.tsv:2: the score"),
    "no labels": ({"test": b"query-id\tcorpus-id\tscore\n"}, "qrels/test.tsv holds no labels"),
    "empty split": ({"test": b""}, "qrels/test.tsv holds no labels"),
    "no split": ({"test": None}, "qrels holds no split"),
    "no queries": ({"queries": None}, "queries.jsonl cannot be read"),
    "answer to an unknown query": ({"answers": changed(ANSWERS, 1, _id="q9")}, "answers.jsonl:2: there is no query"),
    "answer without query": ({"answers": b'{"answers": []}\n'}, "answers.jsonl:1: there is no query"),
    "answers twice": ({"answers": changed(ANSWERS, 2, _id="q1")}, "answers.jsonl:3: the query q1 has answers in"),
    "answers in an object": ({"answers": changed(ANSWERS, 0, answers={"a": 1})}, "answers.jsonl:1: the answers are no"),
    "answers in numbers": ({"answers": changed(ANSWERS, 0, answers=[1])}, "answers.jsonl:1: the answers are no list"),
    "answerable in words": ({"answers": changed(ANSWERS, 1, answerable="yes")}, 'answers.jsonl:2: "answerable" is nei'),
    "evidence in words": ({"answers": changed(ANSWERS, 0, evidence="here")}, "answers.jsonl:1: the evidence is no"),
    "evidence without document": ({"answers": changed(ANSWERS, 0, evidence=[{}])}, "answers.jsonl:1: the evidence is"),
    "evidence by number": ({"answers": changed(ANSWERS, 0, evidence=[{"doc": 4}])}, "answers.jsonl:1: the evidence is"),
    "quote by number": (
        {"answers": changed(ANSWERS, 0, evidence=[{"doc": "d1", "quote": 4}])},
        "answers.jsonl:1: the evidence is",
    ),
    "gold passages by number": ({"answers": changed(ANSWERS, 1, gold_passages=5)}, 'answers.jsonl:2: "gold_passages"'),
    "gold passages in a string": ({"answers": changed(ANSWERS, 1, gold_passages="d")}, 'answers.jsonl:2: "gold_pass'),
}


@pytest.mark.parametrize("name", BAD_BEIR)
def test_faults_of_a_beir_folder(tmp_path: Path, name: str) -> None:
    files, told = BAD_BEIR[name]
    with pytest.raises(UsageError) as caught:
        read_labels(beir(tmp_path, **files))
    assert f"{tmp_path}/{told}" in str(caught.value)
    assert caught.value.hint


def relevant(*places: object) -> list[dict]:
    first = {"id": "n1", "query": "Who?", "relevant": [{"source": "a.pdf"}]}
    return [first, {"id": "n2", "query": "Why?", "relevant": list(places)}]


BAD_OWN = {
    "no id": ([{"query": "Who?"}], ":1: is no labelled question"),
    "id that is a number": (changed(OWN, 0, id=7), ":1: is no labelled question"),
    "white space in an id": (changed(OWN, 1, id="n\u00a02"), ":2: has an id"),
    "no text": (changed(OWN, 1, query="\t"), ":2: the query n2 has no text"),
    "duplicate id": (changed(OWN, 2, id="n1"), ":3: the query id n1 stands in"),
    "not JSON": (lines(OWN) + b"nonsense", ":4: is no JSON object"),
    "not UTF-8": (lines(OWN[:1]) + b'{"id": "\xff"}', ":2: is not UTF-8 text"),
    "passages and documents": (relevant({"source": "a.pdf", "quote": "b"}), ":2: a set labels either documents or"),
    "documents and passages": (changed(OWN, 1, relevant=[{"source": "c.pdf"}]), ":2: a set labels either documents or"),
    "relevant in words": (changed(OWN, 0, relevant="rules.pdf"), ':1: "relevant" is no list of objects'),
    "relevant strings": (changed(OWN, 0, relevant=["rules.pdf"]), ':1: "relevant" is no list of objects'),
    "no source": (relevant({"quote": "b"}), ':2: a relevant place names no "source"'),
    "empty source": (relevant({"source": ""}), ':2: a relevant place names no "source"'),
    "empty quote": (relevant({"source": "a.pdf", "quote": " "}), ':2: a "quote" is no text'),
    "quote by number": (relevant({"source": "a.pdf", "quote": 3}), ':2: a "quote" is no text'),
    "start without end": (relevant({"source": "a.pdf", "start": 3}), ':2: "start" and "end" are no span'),
    "end before start": (relevant({"source": "a.pdf", "start": 3, "end": 3}), ':2: "start" and "end" are no span'),
    "start below 0": (relevant({"source": "a.pdf", "start": -1, "end": 3}), ':2: "start" and "end" are no span'),
    "span in words": (relevant({"source": "a.pdf", "start": "1", "end": "3"}), ':2: "start" and "end" are no span'),
    "grade in words": (relevant({"source": "b.pdf", "grade": "high"}), ":2: the score is no whole number"),
    "grade in a list": (relevant({"source": "b.pdf", "grade": []}), ":2: the score is no whole number"),
    "grade beyond floats": (relevant({"source": "b.pdf", "grade": 10**400}), ":2: the score is no whole number"),
    "label twice": (relevant({"source": "b.pdf"}, {"source": "b.pdf"}), ":2: labels a document"),
    "answers by number": (changed(OWN, 0, answers=3), ":1: the answers are no list of strings"),
    "answerable in words": (changed(OWN, 2, answerable="no"), ':3: "answerable" is neither'),
    "nothing": (b"\n \n", " holds no question"),
    "no labels": ([{"id": "n1", "query": "Who?"}], " holds no labels in split all"),
}


@pytest.mark.parametrize("name", BAD_OWN)
def test_faults_of_an_own_set(tmp_path: Path, name: str) -> None:
    records, told = BAD_OWN[name]
    path = own(tmp_path, records)
    with pytest.raises(UsageError) as caught:
        read_labels(path)
    assert f"{path}{told}" in str(caught.value)
    assert caught.value.hint


def test_a_wrong_split_lists_those_there_are(tmp_path: Path) -> None:
    parted = [record | {"split": split} for record, split in zip(OWN, ("test", "dev", "dev"), strict=True)]
    for path in (beir(tmp_path / "a", dev=QRELS.encode()), own(tmp_path, parted)):
        with pytest.raises(UsageError, match="there is no split 'tset'") as caught:
            read_labels(path, "tset")
        assert "dev, test" in caught.value.hint


def test_several_splits_of_other_names_must_be_chosen_from(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds several splits") as caught:
        read_labels(beir(tmp_path, test=None, one=QRELS.encode(), two=QRELS.encode()))
    assert "one, two" in caught.value.hint


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_labels(tmp_path / "missing.jsonl")


def test_faults_never_tell_words_of_a_query(tmp_path: Path) -> None:
    records = changed(OWN, 1, query="SECRETWORD?", relevant="SECRETPLACE")
    with pytest.raises(UsageError) as caught:
        read_labels(own(tmp_path, records))
    assert "SECRET" not in str(caught.value) + caught.value.hint


# -- anything at all -------------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(10**400)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
FIELDS = ["_id", "id", "text", "query", "metadata", "split", "relevant", "answers", "answer", "answerable",
          "answerability", "evidence", "gold_passages"]  # fmt: skip
PLACE_FIELDS = ["source", "quote", "start", "end", "grade", "doc"]
places = st.dictionaries(st.sampled_from(PLACE_FIELDS), scalars, max_size=4)
records = st.dictionaries(
    st.sampled_from(FIELDS), st.sampled_from(["q1", "n1", "all"]) | json_values | st.lists(places, max_size=2)
)


def near(good: list[dict]) -> st.SearchStrategy[bytes]:
    """Bytes that are anything, or records that miss a good set by some fields."""
    spoiled = st.lists(records, min_size=1, max_size=len(good)).map(
        lambda found: lines([*(good[i] | other for i, other in enumerate(found)), *good[len(found) :]])
    )
    return st.binary(max_size=60) | st.lists(records, max_size=3).map(lines) | spoiled


cells = st.sampled_from(["q1", "q2", "d1", "1", "0", "-1", "", " ", "x"]) | st.text(max_size=4)
tables = st.lists(st.lists(cells, max_size=4).map("\t".join), max_size=5).map("\n".join)
qrels = st.binary(max_size=60) | tables.map(lambda text: text.encode(errors="replace"))


def read_or_refused(path: Path) -> bool:
    """Whether it is labels as they must be, or an error that names the place."""
    try:
        labels = read_labels(path)
    except UsageError as e:
        return str(path) in str(e)
    assert isinstance(labels, Labels)
    assert labels.qrels or labels.gold
    assert set(labels.qrels) | set(labels.gold) <= set(labels.queries)
    assert all(isinstance(unit, str) and unit for grades in labels.qrels.values() for unit in grades)
    evidence = [e for gold in labels.gold.values() for e in gold.evidence]
    assert all(isinstance(e.unit, str) and isinstance(e.quote, str | None) for e in evidence)
    return True


@given(near(OWN))
@example(b"\x00")
@settings(max_examples=150)
def test_any_own_set_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    assert read_or_refused(own(tmp_path_factory.getbasetemp(), data))


@given(near(QUERIES), qrels, near(ANSWERS), st.sets(st.sampled_from(["queries", "test", "answers"]), min_size=1))
@settings(max_examples=150)
def test_any_beir_folder_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, queries: bytes, test: bytes, answers: bytes, spoiled: set[str]
) -> None:
    given_files = {"queries": queries, "test": test, "answers": answers}
    files = {name: data for name, data in given_files.items() if name in spoiled}
    assert read_or_refused(beir(tmp_path_factory.getbasetemp() / "folder", **files))
