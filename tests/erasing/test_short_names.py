"""Documents of a corpus are called by a number: that stands everywhere, and says nothing of anybody."""

from __future__ import annotations

import json

from practice import residue, told

from freehold.house import House


def test_a_person_of_a_corpus_whose_papers_are_numbers(tmp_path, minilm):
    (tmp_path / "qrels").mkdir()
    papers = [
        {"_id": "7", "title": "", "text": "Anna Keller asks for the 2024 policy, anna.keller@example.com."},
        {"_id": "2024", "title": "", "text": "Dear Anna Keller, your policy of 2024 is renewed."},
        {"_id": "8", "title": "", "text": "The excess of 2024 is 75 euros and there is no upper limit."},
    ]
    (tmp_path / "corpus.jsonl").write_text("".join(f"{json.dumps(paper)}\n" for paper in papers))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "excess?"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\t8\t1\n")
    with House.create(tmp_path / "house", {"house.name": "numbers", "house.languages": ("en",)}) as house:
        house.ingest_beir(tmp_path)
    outcome = told("erase", "--subject", "name=Anna Keller", "--yes", house=tmp_path / "house")
    assert outcome["verdict"] == "COMPLETE"
    assert not residue(tmp_path / "house", "keller")
