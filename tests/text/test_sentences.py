"""Sentence boundaries: tables of cases per language, and the law of the spans over any text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.text.sentences import sentence_spans

# The expected boundaries are marked with a bar.
ENGLISH = [
    "Mr. J. A. Smith signed on 3. May 2024.| It ended.",
    "See Art. 5 No. 3 (i.e. The Act) at 3.5 p.m.| The fee is EUR 1.50 per item, e.g. Coffee.| No more.",
    "Acme Inc. of Delaware pays.| Acme Inc.| The rest is void.",
    'He said "Stop."| Then he left…| Why?| No.| The end!',
    "Pay under Sec. 4 and cl. 5.2.| Interest runs from 2024.| It is 4.5 per cent.",
    "Is it covered (see p. 4)?| Yes.",
    "The limit is 3.| Further claims are void.",
    "the U.S. Army and the U.K. Government agree.| They do.",
]
GERMAN = [
    "Nach Art. 5 Abs. 2 S. 1 DSGVO gilt z. B. Folgendes.| Am 3. Mai und im 3. Quartal zahlt die SE.| Das war's.",
    "Der Beitrag beträgt 3.500,00 EUR.| Vgl. Nr. 4 Buchst. a.| Das gilt i. d. R. Immer.",
    "Die Frist endet am 14. Tag.| Sie beginnt am 2.| Die Zahlung folgt bzw. Dr. Weiß zahlt.",
    "Der 1. Absatz und der 2. Satz gelten.| „Nein.“| Er ging.",
]
FRENCH = [
    "Selon l'art. L. 113-2 du Code, M. Dupont, p. ex. Paul, paie 3 000 €.| « Oui. »| Il part.",
    "Voir le n° 5 et l'al. 2.| La clause 1.1.| L'assureur paie etc.| Le contrat cesse.",
    "Mme Vasseur a-t-elle payé ?| Oui !| C.-à-d. Rien.",
]
LINES = [
    "# Heading|\nText goes on|\n\n1. Definitions|\n1.1 Foo means bar.|\n(a) one;|\n(b) two",
    "This is a wrapped line that is long enough to have been wrapped and\ncontinues here.| And more.",
    "as set out in the provisions that are mentioned further above in\nArticle 5 of this contract.",
    "Article 5. Security|\n\n5.1 Foo.| Bar is this.|\nSection 3.2. Keys.| Pay up.",
    "1 INTERPRETATION ..... 3|\n2 TERM ..... 4|\n1 INTERPRETATION|\n1.1 The notes are for reference.",
    "- one|\n- two|\n• three",
]


def _bars(text: str, language: str) -> str:
    spans = sentence_spans(text, language)
    pieces = [text[: spans[0][1]]] + [text[left[1] : right[1]] for left, right in pairwise(spans)]
    return "|".join([*pieces[:-1], pieces[-1] + text[spans[-1][1] :]])


@pytest.mark.parametrize(
    ("language", "marked"),
    [*(("en", case) for case in ENGLISH), *(("de", case) for case in GERMAN), *(("fr", case) for case in FRENCH)],
)
def test_prose(language: str, marked: str) -> None:
    assert _bars(marked.replace("|", ""), language) == marked


@pytest.mark.parametrize("marked", LINES)
@pytest.mark.parametrize("language", ["en", "de", "fr", "und"])
def test_lines(language: str, marked: str) -> None:
    assert _bars(marked.replace("|", ""), language) == marked


def test_table_rows_stand_alone() -> None:
    assert len(sentence_spans("| Code | Fee |\n| --- | --- |\n| F01 | EUR 5 |", "en")) == 3


@pytest.mark.parametrize("text", ["", " ", "\n\t\u2028"])
def test_blank_text_has_no_sentence(text: str) -> None:
    assert sentence_spans(text) == []


@given(
    st.lists(
        st.one_of(st.text(max_size=30), st.sampled_from([". ", "\n", "\n\n", "1. ", "(a) ", "z. B. ", "… ", "»", "| "]))
    ).map("".join),
    st.sampled_from(["en", "de", "fr", "und"]),
)
def test_spans_are_trimmed_ascending_and_complete(text: str, language: str) -> None:
    spans = sentence_spans(text, language)
    assert all(text[start:end] and text[start:end] == text[start:end].strip() for start, end in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    edges = [0, *(offset for span in spans for offset in span), len(text)]
    assert all(not text[start:end].strip() for start, end in zip(edges[::2], edges[1::2], strict=True))


def test_a_table_row_with_its_headers_is_a_sentence() -> None:
    rows = "Class: R01; Record: Motor claim files without bodily injury; Kept for: 7 years after the claim is closed"
    text = f"{rows}\n{rows.replace('R01', 'R02')}"
    assert [text[start:end] for start, end in sentence_spans(text)] == text.split("\n")
