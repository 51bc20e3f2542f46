"""What people give: feedback is weighed, imports are found in the documents, and what is wrong is told by its line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from allotments import TOPICS, asked, section, write_lines

from freehold.core.errors import UsageError
from freehold.house import House
from freehold.journeys.examples import Chunks, Pair, Tally
from freehold.journeys.given import (
    CLICK,
    CONTRADICTORY,
    NOT_HERE,
    REFUSED_ONLY,
    feedback_pairs,
    find_quotes,
    imported_pairs,
)

RENT = asked("Alder", "rent")


def chunk_of(house: House, plot: str, topic: str) -> str:
    """Id of the chunk that begins with that section."""
    chunks = Chunks(house.shelf)
    source = next(s for s in house.shelf.known() if s.endswith(f"/{plot.lower()}.md"))
    views = house.shelf.views(chunks.of(source))
    begin = section(plot, topic)[:30]
    return next(id for id, view in views.items() if begin in view.chunk.text)


def read(house: House, folder: Path, events: Sequence[object]) -> tuple[list[Pair], Tally]:
    tally = Tally()
    return feedback_pairs(write_lines(folder / "log.jsonl", events), house.shelf, Chunks(house.shelf), tally), tally


def test_thumbs_go_before_clicks(house: House, tmp_path: Path) -> None:
    rent, water, shed = (chunk_of(house, "Alder", topic) for topic in ("rent", "water", "shed"))
    events = [
        {"query": RENT, "chunk_id": rent, "signal": "up", "person": "p1"},
        {"query": RENT.upper(), "chunk_id": rent, "signal": "click", "person": "p2"},
        {"query": RENT, "chunk_id": shed, "signal": "click", "person": "p2"},
        {"query": RENT, "chunk_id": water, "signal": "click", "person": "p2"},
        {"query": RENT, "chunk_id": water, "signal": "down", "person": "p3"},
    ]
    (pair,), tally = read(house, tmp_path, events)
    assert (pair.query, pair.relevant, pair.refused) == (RENT, (rent,), (water,))
    assert shed in pair.spared  # clicked: no positive beside a thumb, and no negative
    assert (pair.salience, pair.origin) == (1.0, "feedback")
    assert len(pair.people) == 3
    assert not tally.counts


def test_a_click_is_worth_less_and_more_people_make_it_more(house: House, tmp_path: Path) -> None:
    rent = chunk_of(house, "Alder", "rent")
    click = {"query": RENT, "chunk_id": rent, "signal": "click"}
    (one,), _ = read(house, tmp_path, [{**click, "person": "p1"}, {**click, "person": "p1"}])
    assert one.salience == pytest.approx(CLICK)
    (two,), _ = read(house, tmp_path, [{**click, "person": "p1"}, {**click, "person": "p2"}])
    assert CLICK < two.salience < 1


def test_the_last_word_of_everybody_counts(house: House, tmp_path: Path) -> None:
    rent, water = chunk_of(house, "Alder", "rent"), chunk_of(house, "Alder", "water")
    events = [
        {"query": RENT, "chunk_id": rent, "signal": "down", "person": "p1"},
        {"query": RENT, "chunk_id": rent, "signal": "up", "person": "p1"},
        {"query": RENT, "chunk_id": water, "signal": "up", "person": "p1"},
        {"query": RENT, "chunk_id": water, "signal": "down", "person": "p2"},
    ]
    (pair,), _ = read(house, tmp_path, events)
    assert pair.relevant == (rent,)
    assert water in pair.spared  # as many for it as against it
    assert water not in pair.refused


@pytest.mark.parametrize(
    ("signals", "reason"), [(["down"], REFUSED_ONLY), (["up", "down"], CONTRADICTORY), (["gone"], NOT_HERE)]
)
def test_what_no_example_can_be_made_of_is_counted(
    house: House, tmp_path: Path, signals: list[str], reason: str
) -> None:
    rent = chunk_of(house, "Alder", "rent")
    events = [
        {"query": RENT, "chunk_id": "no-such" if s == "gone" else rent, "signal": "up" if s == "gone" else s}
        for s in signals
    ]
    pairs, tally = read(house, tmp_path, events)
    assert not pairs
    assert tally.counts == {reason: 1}


def test_feedback_about_documents_and_about_a_chunk_of_one(house: House, tmp_path: Path) -> None:
    water = chunk_of(house, "Alder", "water")
    events = [
        {"query": RENT, "source": "alder.md", "signal": "up"},
        {"query": RENT, "chunk_id": water, "signal": "down"},
        {"query": RENT, "source": "birch", "signal": "down"},
        {"query": asked("Ash", "rent"), "source": "ash", "signal": "click"},
        {"query": asked("Ash", "rent"), "source": "leases/ash.md", "signal": "click"},
    ]
    (alder, ash), _ = read(house, tmp_path, events)
    chunks = Chunks(house.shelf)
    sources = {id: chunks.places[id].source.rpartition("/")[2] for id in chunks.places}
    assert {sources[id] for id in alder.relevant} == {"alder.md"}
    assert water in alder.refused
    assert water not in alder.relevant
    assert {sources[id] for id in alder.refused} == {"alder.md", "birch.md"}
    assert {sources[id] for id in ash.relevant} == {"ash.md"}
    assert len(ash.spared_documents) == 1


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([""], "is empty"),
        (['{"query": "a b", "source": "x", "signal": "up"}', "{broken"], ":2: is no JSON"),
        (["[1]"], ":1: is no JSON object"),
        (['{"query": "?!", "source": "x", "signal": "up"}'], ':1: needs a "query"'),
        (['{"query": "a b", "source": "x", "signal": "like"}'], ':1: "signal" is none of'),
        (['{"query": "a b", "signal": "up"}'], ":1: names what it is about neither"),
    ],
)
def test_a_wrong_line_is_told(house: House, tmp_path: Path, lines: list[str], told: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(UsageError, match=told) as error:
        feedback_pairs(path, house.shelf, Chunks(house.shelf), Tally())
    assert error.value.hint
    with pytest.raises(UsageError):
        imported_pairs(path, house.shelf, Chunks(house.shelf))


def test_bytes_that_are_no_text_are_told_by_line(house: House, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"query": "a b", "source": "x", "signal": "up"}\n{"query": "\xff"}\n')
    with pytest.raises(UsageError, match=":2: is not UTF-8"):
        feedback_pairs(path, house.shelf, Chunks(house.shelf), Tally())
    with pytest.raises(UsageError, match="cannot be read"):
        feedback_pairs(tmp_path / "none.jsonl", house.shelf, Chunks(house.shelf), Tally())


# -- imports ---------------------------------------------------------------------------------------------------------


def test_positives_are_found_by_their_words(house: House, tmp_path: Path) -> None:
    rows = [
        {
            "query": RENT,
            "positive": section("Alder", "rent").replace(" ", "\n "),
            "negatives": [section("Ash", "rent")],
        },
        {
            "query": asked("Ash", "water"),
            "positive": {"source": "ash.md", "quote": "Hoses may run on plot Ash before nine"},
            "negatives": ["This stands nowhere in the house."],
        },
        {"query": RENT, "positive": ["pays 20 pounds a year"]},
    ]
    pairs = imported_pairs(write_lines(tmp_path / "p.jsonl", rows), house.shelf, Chunks(house.shelf))
    alder, ash = sorted(pairs, key=lambda pair: pair.query != RENT)
    assert alder.relevant == (chunk_of(house, "Alder", "rent"),)
    assert alder.refused == (chunk_of(house, "Ash", "rent"),)
    assert ash.relevant == (chunk_of(house, "Ash", "water"),)
    assert ash.refused == ()
    assert (alder.origin, alder.query_id) == ("import", "")


@pytest.mark.parametrize(
    "positive",
    [
        "This stands nowhere in the whole house at all.",
        "nowhere",
        {"source": "ash.md", "quote": section("Alder", "rent")},
        {"source": "no-such.md", "quote": section("Alder", "rent")},
    ],
)
def test_a_positive_that_is_not_in_the_corpus_is_told_by_line(house: House, tmp_path: Path, positive: object) -> None:
    rows = [{"query": RENT, "positive": section("Alder", "rent")}, {"query": "What is this?", "positive": positive}]
    with pytest.raises(UsageError, match=r"p\.jsonl:2: the positive is not in the corpus") as error:
        imported_pairs(write_lines(tmp_path / "p.jsonl", rows), house.shelf, Chunks(house.shelf))
    assert error.value.hint
    assert "nowhere" not in error.value.message


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"query": RENT}, 'no "positive"'),
        ({"query": RENT, "positive": []}, 'no "positive"'),
        ({"query": RENT, "positive": " | "}, '"positive" is neither'),
        ({"query": RENT, "positive": {"quote": "x"}}, '"positive" is neither'),
        ({"query": RENT, "positive": "pays 20 pounds a year", "negatives": [3]}, '"negatives" is neither'),
        ({"positive": "pays 20 pounds a year"}, 'needs a "query"'),
    ],
)
def test_a_wrong_pair_is_told(house: House, tmp_path: Path, row: object, told: str) -> None:
    with pytest.raises(UsageError, match=f":1: .*{told}"):
        imported_pairs(write_lines(tmp_path / "p.jsonl", [row]), house.shelf, Chunks(house.shelf))


def test_quotes_are_found_in_all_documents_that_have_them(house: House) -> None:
    for plot in ("Alder", "Oak"):
        for topic in TOPICS:
            whole = section(plot, topic)
            for part in (whole, whole[3:-3], whole[len(whole) // 3 :], whole[:22]):
                expected = [s for s in sorted(house.shelf.known()) if part.replace(" ", "") in _bare(house, s)]
                assert find_quotes([part], house.shelf).get(part, []) == expected
                assert any(source.endswith(f"{plot.lower()}.md") for source in expected)
    assert len(find_quotes(["is painted green or brown"], house.shelf)["is painted green or brown"]) == 30


def _bare(house: House, source: str) -> str:
    return "".join(house.shelf.text(house.shelf.known()[source].document_id).split())
