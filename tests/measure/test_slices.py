"""Slices: which fields part the queries, and into what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.measure.slices import FEWEST_QUERIES, MOST_VALUES, length_of, make_slices, metadata_fields

QUERIES = [f"q{i:02d}" for i in range(4 * FEWEST_QUERIES)]


def dealt(*values: str) -> dict[str, str]:
    """The values to the queries, in turns."""
    return {query: values[place % len(values)] for place, query in enumerate(QUERIES)}


def test_a_field_parts_the_queries() -> None:
    slices = make_slices({"language": dealt("de", "fr"), "length": dealt("long")})
    assert list(slices) == ["language=de", "language=fr"]  # one value alone parts nothing
    assert slices["language=de"] == frozenset(QUERIES[::2])


def test_small_slices_are_left_out() -> None:
    values = dealt("de", "fr") | dict.fromkeys(QUERIES[: FEWEST_QUERIES - 1], "en")
    assert list(make_slices({"language": values})) == ["language=de", "language=fr"]
    values |= dict.fromkeys(QUERIES[:FEWEST_QUERIES], "en")
    assert list(make_slices({"language": values})) == ["language=de", "language=en", "language=fr"]
    rare = {query: "de" if place else "fr" for place, query in enumerate(QUERIES)}
    assert make_slices({"language": rare}) == {}
    assert list(make_slices({"language": rare}, only=["language"])) == ["language=de", "language=fr"]


def test_many_values_part_nothing_unless_asked_for() -> None:
    values = dealt("a", "b") | {query: f"v{i}" for i, query in enumerate(QUERIES[: MOST_VALUES - 1])}
    assert make_slices({"kind": values}) == {}
    asked = make_slices({"kind": values, "language": dealt("de", "fr")}, only=["kind"])
    assert set(asked) == {f"kind={value}" for value in values.values()}
    assert make_slices({"kind": values}, only=[]) == {}


@given(st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from(QUERIES), st.sampled_from("xyz"))))
def test_slices_of_a_field_are_apart_and_large(fields: dict[str, dict[str, str]]) -> None:
    slices = make_slices(fields)
    assert all(len(queries) >= FEWEST_QUERIES for queries in slices.values())
    for field, values in fields.items():
        parts = {name.partition("=")[2]: own for name, own in slices.items() if name.startswith(f"{field}=")}
        assert all(values[query] == value for value, own in parts.items() for query in own)


@pytest.mark.parametrize(
    ("words", "length"), [(0, "short"), (1, "short"), (6, "short"), (7, "medium"), (14, "medium"), (15, "long")]
)
def test_length(words: int, length: str) -> None:
    assert length_of(" ".join(["word"] * words)) == length


def test_metadata_fields_are_plain_values() -> None:
    metadata = {
        "q1": {"language": "de", "year": 2024, "public": True, "split": "test", "tags": ["a"], "share": 0.5},
        "q2": {"language": "fr", "note": None},
    }
    assert metadata_fields(metadata) == {
        "language": {"q1": "de", "q2": "fr"},
        "year": {"q1": "2024"},
        "public": {"q1": "True"},
    }
