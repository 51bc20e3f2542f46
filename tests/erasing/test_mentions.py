"""Mentions are found once, kept with the version of what found them, and go with their document."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import practice

from freehold.core.types import Mention
from freehold.house import open_house
from freehold.journeys.mentions import Mentions


class Counting:
    """Finds the first word of each text to be somebody."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.read = 0

    def detect(self, texts: Sequence[str], *, language: str = "") -> list[tuple[Mention, ...]]:
        self.read += len(texts)
        return [(Mention(0, len(text.split()[0]), "person", 0.5, self.name),) for text in texts]


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def test_a_document_is_read_once_by_each_version(own):
    with open_house(own) as house:
        documents = [house.shelf.document(words.document_id) for words in house.shelf.words()]
        one, other = Counting("one-1"), Counting("one-2")
        found = Mentions(house.shelf, one).of(documents)
        assert Mentions(house.shelf, one).of(documents[::-1]) == found[::-1]
        assert one.read == len(documents)
        assert Mentions(house.shelf, other).of(documents[:1])[0][0].detector == "one-2"
        assert other.read == 1
        survey = Mentions(house.shelf, one).survey(silent)
        assert one.read == len(documents) + 1  # the other version's was put aside
        assert (survey.documents, survey.with_mentions, survey.mentions) == (5, 5, {"person": 5})


def test_they_go_with_their_document(own):
    survey = practice.told("survey", house=own)
    assert survey["with_mentions"] == 5 - 1  # the wording of the policy names nobody
    assert survey["mentions"]["person"] > 4
    count = "SELECT count(*) FROM mentions"
    assert rows(own, count) == 5
    outcome = practice.told("erase", *practice.SUBJECT, "--yes", house=own)
    assert outcome["verdict"] == "COMPLETE"
    assert rows(own, count) == 5 - 3
    assert not rows(own, f"{count} WHERE document_id NOT IN (SELECT id FROM documents)")


def test_of_a_document_that_is_gone_nothing_is_kept(own):
    with open_house(own) as house:
        house.shelf.put_mentions("one-1", {"00000000-0000-4000-8000-000000000000": ()})
        assert house.shelf.mentions(["00000000-0000-4000-8000-000000000000"], "one-1") == {}


def rows(house, query: str) -> int:
    connection = sqlite3.connect(house / "catalog.sqlite")
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()
