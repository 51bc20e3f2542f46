"""A document laid out for a page: nothing of it is lost, and what is cited is marked where it stands."""

from __future__ import annotations

from freehold.console.text import STRETCH_CHARS, Stretch, stretch
from freehold.core.types import Document, Heading, Page


def document(text: str, *, pages: tuple[Page, ...] = (), headings: tuple[Heading, ...] = ()) -> Document:
    return Document("id", "paper.txt", "", text, "en", pages=pages, headings=headings)


def words(shown: Stretch) -> str:
    return "".join(p.text for leaf in shown.leaves for block in leaf.blocks for p in block.pieces)


def marked(shown: Stretch) -> str:
    return "".join(p.text for leaf in shown.leaves for block in leaf.blocks for p in block.pieces if p.marked)


def test_pages_and_headings_stand_where_they_are() -> None:
    text = "# One\n\nalpha beta\n\n## Two\n\ngamma"
    headings = (Heading(1, 2, 5), Heading(2, 22, 25))
    shown = stretch(document(text, pages=(Page(1, 0, 19), Page(2, 19, len(text))), headings=headings), at=0, mark=None)
    told = [(leaf.number, [(block.level, block.pieces[0].text) for block in leaf.blocks]) for leaf in shown.leaves]
    assert told == [(1, [(1, "One"), (0, "alpha beta")]), (2, [(2, "Two"), (0, "gamma")])]


def test_a_number_before_a_heading_stays() -> None:
    shown = stretch(document("7. Frost\ntext", headings=(Heading(1, 3, 8),)), at=0, mark=None)
    assert [block.level for block in shown.leaves[0].blocks] == [0, 1, 0]
    assert words(shown) == "7.Frosttext"


def test_a_mark_runs_over_pages_and_begins_once() -> None:
    text = "one two three four"
    pages = (Page(1, 0, 8), Page(2, 8, len(text)))
    shown = stretch(document(text, pages=pages), at=4, mark=(4, 13))
    assert marked(shown) == "twothree"  # what stands between pages is the layout's
    firsts = [p.first for leaf in shown.leaves for block in leaf.blocks for p in block.pieces if p.marked]
    assert firsts == [True, False]


def test_a_long_document_comes_in_parts_that_leave_nothing_out() -> None:
    line = "a line of eighty characters or so, which says nothing but is counted all the same\n"
    text = line * (7 * STRETCH_CHARS // 2 // len(line))
    whole = document(text)
    at: int | None = 0
    parts = []
    while at is not None:
        shown = stretch(whole, at=at, mark=None)
        assert shown.start == at
        assert shown.end - shown.start <= STRETCH_CHARS
        parts.append(text[shown.start : shown.end])
        at = shown.after
    assert "".join(parts) == text
    assert len(parts) == 4
    last = stretch(whole, at=len(text), mark=None)
    assert last.after is None
    assert last.before is not None
    middle = len(text) // 2
    assert marked(stretch(whole, at=middle, mark=(middle, middle + 20))) == text[middle : middle + 20]


def test_an_empty_document_has_a_page_all_the_same() -> None:
    assert stretch(document(""), at=0, mark=None).after is None
