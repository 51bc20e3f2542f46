"""Terms: what must match what, the weights of BM25, and retrieval quality on public sets where they are at hand."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.types import SparseVector
from freehold.text.terms import AVERAGE_LENGTH_TERMS, COMPOUND_END_WEIGHT, K1, OTHER_LANGUAGE_WEIGHT, B, TermAnalyzer

HOUSE = ("en", "de", "fr")
DATA = Path(os.environ.get("FREEHOLD_DATA", Path(__file__).parents[3] / "shared" / "data"))


def _shared(query: str, document: str, language: str) -> set[int]:
    analyzer = TermAnalyzer(HOUSE)
    return set(analyzer.query(query, language).indices) & set(analyzer.document(document, language).indices)


@pytest.mark.parametrize(
    ("language", "query", "document"),
    [
        ("en", "MRD-MOT-2024-118204", "Claim MRD-MOT-2024-118204 was paid."),
        ("en", "118204", "Claim MRD-MOT-2024-118204 was paid."),
        ("en", "mrd mot 118204", "Claim MRD-MOT-2024-118204 was paid."),
        ("en", "c-4471902", "Customer C-4471902"),
        ("en", "clause 1.1", "1.1 Market value"),
        ("en", "DE89370400440532013000", "to DE89 3704 0044 0532 0130 00 today"),
        ("en", "GB29 NWBK 6016 1331 9268 19", "account GB29NWBK60161331926819"),
        ("en", "20,000,000", "EUR 20.000.000"),
        ("fr", "20 000 000", "20\u202f000\u202f000 €"),
        ("de", "§ 5", "nach §5 Abs. 2"),
        ("en", "third parties", "a third-party claim"),
        ("en", "insuring", "the insured"),
        ("en", "naïve", "naive"),
        ("en", "ﬁre", "fire"),
        ("de", "Schäden", "Schaeden"),
        ("de", "Straße", "STRASSE"),
        ("de", "Kündigung", "kündigen"),
        ("de", "Schaden", "Wasserschaden"),
        ("de", "Wasserschaden", "Schaden durch Wasser"),
        ("de", "Versicherung", "Haftpflichtversicherungen"),
        ("fr", "vehicule", "l'indemnité du véhicule"),
        ("fr", "assuré", "l’assurée"),
        ("fr", "résiliation", "resiliation"),
        ("es", "coche", "Coche"),
    ],
)
def test_these_find_each_other(language: str, query: str, document: str) -> None:
    assert _shared(query, document, language)


@pytest.mark.parametrize(
    ("language", "query", "document"),
    [
        ("en", "1.1", "1.2"),
        ("en", "the and of", "the and of"),
        ("fr", "l'", "l'assuré"),
        ("en", "118204", "118205"),
        ("en", "car", "Wasserschaden"),
        ("de", "Wasser", "Feuer"),
    ],
)
def test_these_do_not(language: str, query: str, document: str) -> None:
    assert not _shared(query, document, language)


def test_document_weights_are_bm25_without_idf() -> None:
    vector = TermAnalyzer(HOUSE).document("claim claim paid", "en")
    norm = K1 * (1 - B + B * 3 / AVERAGE_LENGTH_TERMS)
    assert sorted(vector.values) == pytest.approx([(K1 + 1) / (1 + norm), 2 * (K1 + 1) / (2 + norm)])


def test_query_weights_say_how_sure_a_reading_is() -> None:
    analyzer = TermAnalyzer(HOUSE)
    assert set(analyzer.query("Schadenfreude", "de").values) == {1.0, COMPOUND_END_WEIGHT}
    question = analyzer.query("what is the treatment of a claim")
    english = analyzer.query("what is the treatment of a claim", "en")
    weights = dict(zip(question.indices, question.values, strict=True))
    assert all(weights[term] == 1.0 for term in english.indices)
    assert {weight for term, weight in weights.items() if term not in english.indices} <= {
        OTHER_LANGUAGE_WEIGHT,
        OTHER_LANGUAGE_WEIGHT * COMPOUND_END_WEIGHT,
    }


def test_a_name_is_found_across_languages() -> None:
    analyzer = TermAnalyzer(HOUSE)
    question = analyzer.query("what did we pay to Schneider for the damage")
    assert set(question.indices) & set(analyzer.document("Herr Schneider", "de").indices)


def test_a_text_of_unknown_language_is_read_in_the_main_one() -> None:
    analyzer = TermAnalyzer(("de", "en"))
    assert analyzer.document("die Kündigungen", "und") == analyzer.document("die Kündigungen", "de")


def test_no_trace_of_other_documents() -> None:
    used, fresh = TermAnalyzer(HOUSE), TermAnalyzer(HOUSE)
    used.document("Quentin Oduya filed a claim " * 50, "en")
    assert used.document("a claim of water damage", "en") == fresh.document("a claim of water damage", "en")
    used.forget()
    assert used.document("a claim of water damage", "en") == fresh.document("a claim of water damage", "en")


@given(st.text(max_size=200), st.sampled_from([*HOUSE, "und", "xx"]))
def test_vectors_are_well_formed(text: str, language: str) -> None:
    analyzer = TermAnalyzer(HOUSE)
    for vector in (analyzer.document(text, language), analyzer.query(text, language)):
        assert all(left < right for left, right in pairwise(vector.indices))
        assert all(0 <= index < 1 << 32 for index in vector.indices)
        assert all(0 < value <= K1 + 1 for value in vector.values)
        assert len(vector.indices) == len(vector.values)


@pytest.mark.parametrize(
    ("name", "splits", "language", "at_least"),
    [
        ("privacyqa", ("train", "dev", "test"), "en", 0.245),
        ("cranfield", ("train", "dev", "test"), "en", 0.365),
        ("cnil-fr", ("train", "dev"), "fr", 0.622),
        ("gdpr-en-de", ("train", "dev", "test"), "", 0.578),
    ],
)
def test_ndcg_on_public_sets(name: str, splits: tuple[str, ...], language: str, at_least: float) -> None:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"no {name} in FREEHOLD_DATA")
    documents = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    queries = {row["_id"]: row["text"] for row in map(json.loads, (folder / "queries.jsonl").read_text().splitlines())}
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for split in splits:
        for line in (folder / "qrels" / f"{split}.tsv").read_text().splitlines()[1:]:
            query_id, document_id, grade = line.split("\t")
            grades[query_id][document_id] = int(grade)
    analyzer = TermAnalyzer(HOUSE)
    vectors = {
        row["_id"]: analyzer.document(f"{row.get('title', '')}\n{row['text']}", language or row["_id"].split("-")[1])
        for row in documents
    }
    search = _Bm25(vectors)
    scores = [_ndcg(search.ten_best(analyzer.query(queries[query_id])), grades[query_id]) for query_id in grades]
    assert sum(scores) / len(scores) >= at_least


class _Bm25:
    """IDF = ln(1 + (N - df + 0.5) / (df + 0.5)) over the present documents, as an engine with an IDF modifier does."""

    def __init__(self, vectors: dict[str, SparseVector]) -> None:
        self._count = len(vectors)
        self._postings: dict[int, list[tuple[str, float]]] = defaultdict(list)
        for document_id, vector in vectors.items():
            for term, value in zip(vector.indices, vector.values, strict=True):
                self._postings[term].append((document_id, value))

    def ten_best(self, query: SparseVector) -> list[str]:
        scores: dict[str, float] = defaultdict(float)
        for term, weight in zip(query.indices, query.values, strict=True):
            postings = self._postings.get(term, [])
            idf = math.log(1 + (self._count - len(postings) + 0.5) / (len(postings) + 0.5))
            for document_id, value in postings:
                scores[document_id] += weight * idf * value
        return sorted(scores, key=lambda document_id: (-scores[document_id], document_id))[:10]


def _ndcg(ranked: list[str], grades: dict[str, int]) -> float:
    gain = sum(grades.get(document_id, 0) / math.log2(rank + 2) for rank, document_id in enumerate(ranked))
    ideal = sorted(grades.values(), reverse=True)[:10]
    return gain / sum(grade / math.log2(rank + 2) for rank, grade in enumerate(ideal))
