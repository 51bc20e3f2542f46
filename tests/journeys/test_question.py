"""What may be asked, and what becomes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.errors import InvalidQuery
from freehold.core.types import ModelInfo
from freehold.journeys.search import MAX_QUERY_CHARS, question


class Counter:
    """As much of an embedder as a question needs: its token count and its limit."""

    info = ModelInfo("words", "0", 4, 66)
    overhead_tokens = 2

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [(0, 1)] * len(text.split())


@pytest.mark.parametrize("text", ["", "   ", "\t\n", "\x00\x1b[0m", "\u200b\u200d", "?!", "—"])
def test_nothing_to_ask(text: str) -> None:
    with pytest.raises(InvalidQuery):
        question(text.replace("[0m", ""), embedder=Counter())  # type: ignore[arg-type]


def test_limits() -> None:
    with pytest.raises(InvalidQuery, match="64"):
        question("word " * 65, embedder=Counter())  # type: ignore[arg-type]
    with pytest.raises(InvalidQuery, match="characters"):
        question("x" * (MAX_QUERY_CHARS + 1), embedder=Counter())  # type: ignore[arg-type]


def test_normalised() -> None:
    asked = question("  Gro\u0308\u00dfe\u00ad \x07und\n\u200bGewicht ", embedder=Counter())  # type: ignore[arg-type]
    assert asked.text == "Gr\u00f6\u00dfe und Gewicht"


@given(st.text(max_size=200))
def test_asking_twice_changes_nothing(text: str) -> None:
    try:
        once = question(text, embedder=Counter()).text  # type: ignore[arg-type]
    except InvalidQuery:
        return
    assert question(once, embedder=Counter()).text == once  # type: ignore[arg-type]
    assert once == once.strip()
    assert once.isprintable()
