"""TREC run files: what is written is read back, and every tool scores it as we do."""

from __future__ import annotations

from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from freehold.core.errors import UsageError
from freehold.measure.ranking import Measure, ranked, score
from freehold.measure.runs import read_run, write_run

MEASURES = [
    "nDCG", "nDCG@1", "nDCG@10", "AP", "AP@5", "AP(rel=2)@5", "RR", "RR@1", "RR@3", "RR(rel=2)@10",
    "P@1", "P@5", "R@1", "R@5", "Success@3", "Judged@1", "Judged@5", "Judged@10",
]  # fmt: skip

queries = st.text("abcäßñ文0-9_./|", min_size=1, max_size=4)
documents = st.text(min_size=1, max_size=5) | st.sampled_from(
    ["a b", "50%", "%41", "A", "\t", "\u2028", "ä", "a\u00a0b"]
)
# Few distinct scores make ties, and ones that float32 cannot tell apart.
scores = st.one_of(st.sampled_from([0.0, -0.0, 1.0, 1.00000001, -2.5]), st.floats(-1e30, 1e30))
runs = st.dictionaries(queries, st.dictionaries(documents, scores, min_size=1, max_size=8), max_size=4)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "a.run"


@given(runs)
@example({"q": {"a b": 1.0, "a%20b": 1.0, "%": 0.5, "文": 0.0}})
@example({"q": dict.fromkeys("abcdef", 1e-45)})
def test_what_is_written_is_read(place: Path, run: dict[str, dict[str, float]]) -> None:
    place.write_bytes(write_run(run, tag="test"))
    again = read_run(place)
    assert list(again) == sorted(run)
    for query, given_scores in run.items():
        assert ranked(again[query]) == ranked(given_scores)
        values = np.array(list(again[query].values()))
        assert (np.diff(values.astype(np.float32)) < 0).all()
    assert write_run(again, tag="test") == place.read_bytes()


@given(st.lists(st.floats(-1e6, 1e6, width=32), unique=True, min_size=1, max_size=8))
def test_scores_that_differ_are_kept(place: Path, values: list[float]) -> None:
    run = {"q": {f"d{i}": value for i, value in enumerate(values)}}
    place.write_bytes(write_run(run, tag="test"))
    again = read_run(place)["q"]
    assert {document: np.float32(value) for document, value in again.items()} == run["q"]


def test_lines_are_trecs() -> None:
    run = {"q2": {"d1": 0.25}, "q1": {"d one": 1.0, "dß": 2.0, "d3": 1.0}}
    assert write_run(run, tag="hybrid").decode().splitlines() == [
        "q1 Q0 d%C3%9F 1 2 hybrid",
        "q1 Q0 d3 2 1 hybrid",
        "q1 Q0 d%20one 3 0.99999994 hybrid",
        "q2 Q0 d1 1 0.25 hybrid",
    ]


plain = st.sampled_from([*"abcdefgh", "Z", "10", "9", "a.b-c_d"])
qrels = st.dictionaries(
    st.sampled_from(["q1", "q2", "ü"]), st.dictionaries(plain, st.integers(-1, 3), min_size=1), min_size=1
)
plain_runs = st.dictionaries(st.sampled_from(["q1", "q2", "ü"]), st.dictionaries(plain, scores, min_size=1))


@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink], max_examples=60)
@given(plain_runs, qrels)
def test_other_tools_score_the_file_as_we_do(
    place: Path, run: dict[str, dict[str, float]], labels: dict[str, dict[str, int]]
) -> None:
    """All shared measures, and the tool reads the file itself: no ties are left that it could break in its own way."""
    place.write_bytes(write_run(run, tag="test"))
    measures = [Measure.parse(name) for name in MEASURES]
    ours = {
        (query, str(measure)): value
        for query, row in zip(sorted(labels), score(run, labels, measures).tolist(), strict=True)
        for measure, value in zip(measures, row, strict=True)
    }
    theirs = {
        (metric.query_id, str(metric.measure)): metric.value
        for metric in ir_measures.iter_calc(
            [ir_measures.parse_measure(name) for name in MEASURES], labels, list(ir_measures.read_trec_run(str(place)))
        )
    }
    assert ours == pytest.approx({key: theirs.get(key, 0.0) for key in ours}, abs=1e-9)
    again = score(read_run(place), labels, measures)
    assert again.tolist() == score(run, labels, measures).tolist()


def test_files_of_others_are_read(place: Path) -> None:
    """Ranks that say otherwise, blank lines, tabs, Windows line ends, a byte order mark: the score decides."""
    place.write_bytes("\ufeffq1\tQ0\td1\t1\t0.5\tBM25\r\n\r\nq1 Q0 d2 9 1e1 BM25\r\n".encode())
    assert read_run(place) == {"q1": {"d1": 0.5, "d2": 10.0}}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("q1 Q0 d2 2 nan x", "the score is nan"),
        ("q1 Q0 d2 2 inf x", "the score is inf"),
        ("q1 Q0 d2 2 -Infinity x", "the score is -Infinity"),
        ("q1 Q0 d2 2 1e999 x", "the score is 1e999"),
        ("q1 Q0 d2 2 high x", "the score is no number"),
        ("q1 Q0 d1 2 0.5 x", "the query has this document already"),
        ("q1 Q0 %641 2 0.5 x", "the query has this document already"),
        ("q1 Q0 d2 2 0.5", "has not the six columns"),
        ("q1 Q0 d 2 2 0.5 x", "has not the six columns"),
        ("q1 0 d2 1", "has not the six columns"),
    ],
)
def test_faults_are_told_with_file_and_line(place: Path, line: str, told: str) -> None:
    place.write_text(f"q1 Q0 d1 1 1.0 x\n\n{line}\n")
    with pytest.raises(UsageError, match=told) as caught:
        read_run(place)
    assert str(caught.value).startswith(f"{place}:3: ")
    assert caught.value.refs == (f"{place}:3",)


@pytest.mark.parametrize("data", [None, b"q1 Q0 d\xff 1 1.0 x\n"])
def test_what_cannot_be_read(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "b.run"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UsageError, match="cannot be read"):
        read_run(path)


@given(st.binary(max_size=80))
def test_any_file_is_read_or_refused(place: Path, data: bytes) -> None:
    place.write_bytes(data)
    try:
        run = read_run(place)
    except UsageError:
        return
    assert all(scores for scores in run.values())
