"""The questions of the claims desk: labels of papers that exist, and test questions that train does not give away."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from freehold.demo.walk import DESK, MERIDIAN
from freehold.measure.labels import Labels, read_labels, splits_of

SPLITS = ("train", "dev", "test")
LABELS = {split: read_labels(DESK, split) for split in SPLITS}
ROWS = [json.loads(line) for line in (DESK / "queries.jsonl").read_text(encoding="utf-8").splitlines()]


def words_of(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def desk_words(split: str) -> Counter[str]:
    return Counter(word for row in ROWS if row["metadata"]["split"] == split for word in row["metadata"]["desk_words"])


def combinations(split: str) -> set[tuple[str, str]]:
    """The desk's words of a question, with each document that answers it."""
    words = {row["_id"]: ", ".join(row["metadata"]["desk_words"]) for row in ROWS}
    return {(words[query], doc) for query, grades in LABELS[split].qrels.items() for doc in grades}


def documents(labels: Labels) -> set[str]:
    return {doc for grades in labels.qrels.values() for doc in grades}


def test_the_splits_are_train_dev_and_test() -> None:
    assert set(splits_of(DESK)) == set(SPLITS)


def test_every_id_is_there_once_and_labelled_in_its_own_split_alone() -> None:
    ids = [row["_id"] for row in ROWS]
    assert len(set(ids)) == len(ids)
    for split in SPLITS:
        assert set(LABELS[split].qrels) == {row["_id"] for row in ROWS if row["metadata"]["split"] == split}


@pytest.mark.parametrize("split", SPLITS)
def test_every_labelled_document_exists_and_every_question_has_an_answer(split: str) -> None:
    stems = {path.stem for path in (MERIDIAN / "documents").iterdir()}
    assert documents(LABELS[split]) <= stems
    assert all(max(grades.values()) == 2 for grades in LABELS[split].qrels.values())


def test_no_question_is_asked_twice() -> None:
    asked = Counter(words_of(row["text"]) for row in ROWS)
    assert not [text for text, count in asked.items() if count > 1]


def test_no_question_is_one_of_the_other_set() -> None:
    lines = (MERIDIAN / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    other = {words_of(json.loads(line)["text"]) for line in lines}
    assert other.isdisjoint(words_of(row["text"]) for row in ROWS)


def test_the_words_named_are_in_the_question() -> None:
    for row in ROWS:
        assert row["metadata"]["desk_words"], row["_id"]
        for word in row["metadata"]["desk_words"]:
            assert re.search(rf"(?<!\w){re.escape(word)}s?(?!\w)", row["text"], re.IGNORECASE), row["_id"]


def test_every_word_of_dev_and_test_can_be_learned_from_four_questions() -> None:
    learned = desk_words("train")
    asked = set(desk_words("dev")) | set(desk_words("test"))
    assert not {word for word in asked | set(learned) if learned[word] < 4}


@pytest.mark.parametrize("split", ["dev", "test"])
def test_what_is_held_out_asks_for_new_combinations(split: str) -> None:
    assert combinations(split).isdisjoint(combinations("train"))


def test_train_and_dev_share_no_document() -> None:
    """Training would leave such questions out."""
    assert documents(LABELS["train"]).isdisjoint(documents(LABELS["dev"]))


def test_no_plain_text_paper_uses_the_shorthand() -> None:
    words = set(desk_words("train"))
    plain = [path for path in (MERIDIAN / "documents").iterdir() if path.suffix in {".txt", ".md", ".html", ".csv"}]
    assert plain
    for path in plain:
        found = {word for word in words if is_in(word, path)}
        assert not found, path.name


def is_in(word: str, path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None
