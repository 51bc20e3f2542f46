"""Cleaning: tables of cases, and the laws that must hold for any text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from freehold.core.types import Heading, Page, ParsedText
from freehold.text.clean import CleaningReport, clean

SPECIAL = "\u00ad\u200b\u200c\u200d\u00a0\u2028\ufeff\u0301\u0308\x02\x0c\ufb01\ufb03-\u2010\r\n\t "
SPECIAL += ".|#²§½ẞüéeuU1259ǎ\u1100\u1161がか\u3099\ud800"
LINE = st.text(st.sampled_from("abcdeuxyzAB -1\u00ad\u0301\ufb01\u00a0\u200b\t-"), max_size=12)
PIECE = st.one_of(LINE, st.text(st.sampled_from(SPECIAL), max_size=6), st.just("\n"), st.text(max_size=5))
TEXT = st.lists(PIECE, max_size=14).map("".join)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("e\u0301te\u0301", "été"),
        ("x² § 12 ½ № ™", "x² § 12 ½ № ™"),
        ("ﬁnal oﬃce", "final office"),
        ("Ver\u00adtrags\u00adpartner", "Vertragspartner"),
        ("Vertrags\u00ad\npartner", "Vertragspartner"),
        ("zero\u200bwidth \u202edisguised\u202c", "zerowidth disguised"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # a non-joiner is spelling in Persian
        ("10\u00a0000\u202f€", "10 000 €"),
        ("a\x00b\x07c\x9fd", "abcd"),
        ("one\r\ntwo\rthree\u2028four\x0cfive", "one\ntwo\nthree\nfour\nfive"),
        ("line   \n\t\nnext\t ", "line\n\nnext"),
        ("a\n\n\n\n\n\nb", "a\n\n\nb"),
        ("half \ud83d of a pair", "half  of a pair"),
        ("a\tb", "a\tb"),
    ],
)
def test_characters_and_white_space(raw: str, cleaned: str) -> None:
    assert clean(ParsedText(raw))[0].text == cleaned


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("the agree-\nment ends", "the agreement ends"),
        ("the agree- \n  ment ends", "the agreement ends"),
        ("an EU-\nwide ban", "an EU-wide ban"),
        ("a 24-\nmonth term", "a 24-month term"),
        ("by e-\nmail", "by e-mail"),
        ("a non-\ndisclosure duty", "a non-disclosure duty"),
        ("long-term and long-\nterm", "long-term and long-term"),
        ("a third-party and a hire-\npurchase, hire-purchase", "a third-party and a hire-purchase, hire-purchase"),
        ("Haftungs-\nbeschränkung", "Haftungsbeschränkung"),
        ("Haupt-\nund Nebenpflichten", "Haupt-\nund Nebenpflichten"),
        ("pre-\nand post-closing", "pre-\nand post-closing"),
        ("Baden-\nWürttemberg", "Baden-\nWürttemberg"),
        ("exploi-\ntation des données", "exploitation des données"),
        ("Rule\n----\ntext", "Rule\n----\ntext"),
        ("a dash -\nthen more", "a dash -\nthen more"),
        ("- item-\n- other", "- item-\n- other"),
    ],
)
def test_words_parted_at_line_ends(raw: str, cleaned: str) -> None:
    assert clean(ParsedText(raw))[0].text == cleaned


def paged(*pages: str, headings: tuple[str, ...] = ()) -> ParsedText:
    text, spans = "", []
    for number, page in enumerate(pages, start=1):
        spans.append(Page(number, len(text), len(text) + len(page)))
        text += page
    at = [text.index(heading) for heading in headings]
    found = tuple(Heading(1, start, start + len(heading)) for start, heading in zip(at, headings, strict=True))
    return ParsedText(text, pages=tuple(spans), headings=found)


def test_running_headers_footers_and_page_numbers_go() -> None:
    words = ["alpha", "beta", "gamma", "delta", "epsilon"]
    pages = [
        f"ACME Confidential\nRef. 77/{n}\n\nBody {w} text\n\nPage {n} of 5\n\n" for n, w in enumerate(words, start=1)
    ]
    cleaned, report = clean(paged(*pages))
    assert [cleaned.text[p.start : p.end].strip() for p in cleaned.pages] == [f"Body {w} text" for w in words]
    assert report.furniture_lines == 15


def test_headers_that_alternate_on_facing_pages_go() -> None:
    pages = [f"{'A. Author' if n % 2 else 'A title'}\nBody {'abcdefgh'[n]}\n{n + 16}\n\n" for n in range(8)]
    cleaned, _ = clean(paged(*pages))
    assert cleaned.text.split() == [word for n in range(8) for word in ("Body", "abcdefgh"[n])]


def test_repeated_pages_of_a_short_document_stay() -> None:
    page = "May 5\nTo whom it may concern\nRegards\n\n"
    assert clean(paged(page, page))[0].text == page + page.rstrip("\n") + "\n\n"


def test_numbers_that_do_not_count_with_the_pages_stay() -> None:
    pages = [f"Total {word}\n{value}\n\n" for word, value in (("one", 17), ("two", 12), ("three", 90), ("four", 3))]
    assert all(str(value) in clean(paged(*pages))[0].text for value in (17, 12, 90, 3))


def test_headings_are_no_furniture() -> None:
    pages = [f"Results\nBody {w}\n\n" for w in ("one", "two", "three", "four")]
    parsed = paged(*pages, headings=("Results",))
    assert clean(parsed)[0].text.startswith("Results")


def test_a_heading_is_never_joined_with_what_follows() -> None:
    parsed = ParsedText("Pre-\nlude of text", headings=(Heading(1, 0, 4),))
    cleaned, _ = clean(parsed)
    assert cleaned.text[cleaned.headings[0].start : cleaned.headings[0].end] == "Pre-"


def test_titles_are_cleaned_too() -> None:
    assert clean(ParsedText("text", title="  The\u00a0ﬁrst\x00 \n title "))[0].title == "The first title"


def test_the_report_counts() -> None:
    _, report = clean(ParsedText("ﬁ agree-\nment  \n\n\n\n\nend"))
    assert report == CleaningReport(characters=1, furniture_lines=0, joined_words=1, white_space=2)


@st.composite
def documents(draw: st.DrawFn, page_end: str = "") -> ParsedText:
    """Pages tile the text; headings are whole lines."""
    pages = [page + page_end for page in draw(st.lists(TEXT, max_size=5))]
    text = "".join(pages)
    ends = [sum(map(len, pages[: n + 1])) for n in range(len(pages))]
    spans = tuple(Page(n + 1, end - len(page), end) for n, (page, end) in enumerate(zip(pages, ends, strict=True)))
    headings, at = [], 0
    for line in text.split("\n"):
        wording = line.strip()
        if wording and draw(st.booleans()):
            start = at + len(line) - len(line.lstrip())
            headings.append(Heading(draw(st.integers(1, 4)), start, start + len(wording)))
        at += len(line) + 1
    return ParsedText(text, pages=spans, headings=tuple(headings))


@given(documents())
@example(ParsedText("e\u200b\u0301"))
@example(paged("a-\n", "b"))
def test_cleaning_twice_changes_nothing(parsed: ParsedText) -> None:
    once, _ = clean(parsed)
    twice, report = clean(once)
    assert twice == once
    assert report == CleaningReport()


@given(documents())
def test_pages_still_tile(parsed: ParsedText) -> None:
    cleaned, _ = clean(parsed)
    assert [p.number for p in cleaned.pages] == [p.number for p in parsed.pages]
    if cleaned.pages:
        bounds = [0, *(p.end for p in cleaned.pages)]
        assert [p.start for p in cleaned.pages] == bounds[:-1]
        assert bounds[-1] == len(cleaned.text)


@given(documents(page_end="\n"))  # no reader lets a heading run over two pages
def test_headings_keep_their_wording(parsed: ParsedText) -> None:
    """Each heading reads as its own line cleaned by itself would; only those without anything visible go."""

    def wording(text: str) -> str:
        return clean(ParsedText(text + "\n"))[0].text.strip()

    # A lone carriage return is a line break as well, and a heading is one line.
    assume(not any("\r" in parsed.text[h.start : h.end] for h in parsed.headings))
    cleaned, _ = clean(parsed)
    before = [wording(parsed.text[h.start : h.end]) for h in parsed.headings]
    after = [cleaned.text[h.start : h.end] for h in cleaned.headings]
    assert after == [text for text in before if text]
    assert [h.level for h in cleaned.headings] == [h.level for h, t in zip(parsed.headings, before, strict=True) if t]


@given(TEXT)
def test_what_comes_out_is_composed_and_storable(text: str) -> None:
    cleaned = clean(ParsedText(text))[0].text
    assert unicodedata.is_normalized("NFC", cleaned)
    cleaned.encode("utf-8")
    assert not {"\x00", "\r", "\u00ad", "\u00a0"} & set(cleaned)


@given(st.text(st.characters(categories=("L", "N", "P", "Sm", "Sc", "So"), exclude_characters="-\u2010"), max_size=40))
def test_letters_are_only_composed(text: str) -> None:
    kept = "".join(
        {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ſt", "ﬆ": "st"}.get(c, c) for c in text
    )
    assert clean(ParsedText(text))[0].text == unicodedata.normalize("NFC", kept)
