"""One person found in texts, whatever way they are written, and nobody else."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.errors import UsageError
from freehold.privacy import sketch, subjects, words
from freehold.privacy.subjects import identifier_forms, open_finder, parse_subject, text_forms

JUERGEN = parse_subject(
    [
        ("name", "Jürgen Straßburger"),
        ("email", "j.strassburger@postkasten.example"),
        ("policy", "MRD-MOT-2024-131877"),
        ("born", "1961-04-03"),
        ("phone", "+49 221 4710362"),
        ("iban", "DE53 3759 9962 0007 7355 18"),
    ]
)
FINDER = open_finder(JUERGEN)


def found(text: str, finder=FINDER) -> list[tuple[str, str]]:
    return [(text[f.start : f.end], f.band) for f in finder.find(text)]


CERTAIN = [
    "Jürgen Straßburger", "JÜRGEN STRASSBURGER", "Juergen Strassburger", "Jurgen Straßburger", "Straßburger, Jürgen",
    "Jürgen Karl Straßburger", "Jürgen\nStraßburger", "Jürgen Straß-\nburger", "Jürgen Straßburgers",
    "0221 4710-362", "(0221) 47 10 362", "+49 (0)221 4710362", "0049 221 4710362", "DE53375999620007735518",
    "DE53 3759 9962 0007 7355 18", "mrd mot 2024 131877", "J.Strassburger@Postkasten.example",
]  # fmt: skip
ASKED = [
    "Herr Straßburger", "J. Straßburger", "Jürgen Strassbruger", "Jürgen und Anna Straßburger", "Jogi Straßburger",
    "Jürgen Straßburger, geb. 5.6.1970", "Jürgen Straßburger, MRD-MOT-2024-999999",
    "Jürgen Straßburger <juergen.strassburger@other.example>",
]  # fmt: skip
NOT_THEM = [
    "Peter Straßburger", "MRD-MOT-2024-1318779", "xj.strassburger@postkasten.example.com", "0221 47103629",
    "born 3.4.1961", "Jürgen Müller", "DE53 3759 9962 0007 7355 19", "the notice period is three months",
]  # fmt: skip


@pytest.mark.parametrize("mention", CERTAIN)
def test_theirs_for_certain(mention):
    text = f"On Tuesday {mention} wrote."
    assert "certain" in {band for _, band in found(text)}, found(text)


@pytest.mark.parametrize("mention", ASKED)
def test_what_may_be_theirs(mention):
    bands = {band for _, band in found(f"On Tuesday {mention} wrote.")}
    assert bands == {"ask"}


WORDS = st.sampled_from(
    [*CERTAIN, *ASKED, *NOT_THEM, "Straß", "burger", "-\n", "\u00ad", "Jürgen", "0221", "471", "\u2011\n", "İstanbul"]
)


@given(st.lists(st.lists(WORDS, max_size=4).map(" ".join), max_size=6), st.integers(1, 60))
def test_nothing_is_found_where_a_screen_saw_nothing(texts, batch_chars):
    with mock.patch.object(subjects, "_BATCH_CHARS", batch_chars):
        passed = FINDER.screen(texts)
    assert list(passed) == sorted(set(passed))
    assert {at for at, text in enumerate(texts) if FINDER.find(text)} <= set(passed)


@given(st.lists(st.lists(WORDS, max_size=4).map(" ".join), max_size=6))
def test_nothing_is_found_where_a_sketch_told_nothing(texts):
    passed = sketch.passing([sketch.sketch(text) for text in texts], FINDER.clues())
    assert passed == sorted(set(passed))
    assert {at for at, text in enumerate(texts) if FINDER.find(text)} <= set(passed)


def test_sketches_let_few_others_through():
    others = [f"On day {n} Peter Müller wrote of the notice period, case MRD-MOT-2024-{n:06d}." for n in range(500)]
    long = " ".join(others[:50])
    texts = [*others, long, f"{long} Then {CERTAIN[0]} wrote.", f"Then {CERTAIN[0]} wrote."]
    assert sketch.passing([sketch.sketch(text) for text in texts], FINDER.clues()) == [501, 502]


def test_a_clue_too_short_for_a_sketch_lets_everything_through():
    finder = open_finder(parse_subject([("name", "Bo Li")]))
    texts = ["Bo Li wrote.", "Nobody wrote."]
    assert sketch.passing([sketch.sketch(text) for text in texts], finder.clues()) == [0, 1]


def test_a_screen_lets_few_others_through():
    others = [f"On day {n} Peter Müller wrote of the notice period, case MRD-MOT-2024-{n:06d}." for n in range(500)]
    assert FINDER.screen([*others, f"Then {CERTAIN[0]} wrote."]) == [500]


@given(st.text(st.characters(max_codepoint=0x2FFFF), max_size=30))
def test_long_texts_are_flattened_as_short_ones(text):
    long = text * (words._LONG // max(len(text), 1) + 1) if text else ""
    pieces = "".join(words.flat(character) for character in long)
    assert words.flat(long) == pieces
    assert len(words.flat(long)) == len(long)


@pytest.mark.parametrize("mention", NOT_THEM)
def test_what_is_not(mention):
    assert "certain" not in {band for _, band in found(f"On Tuesday {mention} wrote.")}


def test_a_part_of_the_name_is_certain_beside_the_whole():
    bands = dict(found("Jürgen Straßburger called. Herr Straßburger will call again."))
    assert set(bands.values()) == {"certain"}
    namesakes = found("Jürgen Straßburger, MRD-MOT-2024-131877.\nStraßburger, Jürgen, MRD-MOT-2024-999999.")
    assert namesakes == [
        ("Jürgen Straßburger", "certain"), ("MRD-MOT-2024-131877", "certain"), ("Straßburger, Jürgen", "ask"),
    ]  # fmt: skip
    relatives = dict(found("Jürgen Straßburger and Anna Straßburger called. Frau Straßburger will call again."))
    assert relatives["Jürgen Straßburger"] == "certain"
    assert relatives["Straßburger"] == "ask"


def test_a_relative_written_family_name_first_is_not_theirs():
    text = "Jürgen Straßburger called.\nStraßburger, Annegret (MRD-MOT-2019-550012) did not."
    assert found(text) == [("Jürgen Straßburger", "certain")]
    rare = "Jürgen Straßburger called.\n{}Straßburger, Wunnibald (MRD-MOT-2019-550012) did not."
    assert "wunnibald" not in words.given_names()
    for bullet in ("", "- ", "12. "):
        assert found(rare.format(bullet)) == [("Jürgen Straßburger", "certain")]
    assert ("Straßburger", "certain") in found("Jürgen Straßburger called. Frau Straßburger, Berlin, did not.")
    listed = found("Jürgen Straßburger called. Straßburger, Anna Schmidt and others came.")
    assert ("Straßburger", "certain") in listed


def test_a_doubled_name_behind_another_given_name_is_not_theirs():
    assert found("Jürgen Straßburger has a niece, Aisling Straßburger-Moran.") == [("Jürgen Straßburger", "certain")]
    assert found("Jürgen Straßburger has a niece, Aisling Straßburger-Moran. Dear Herr Straßburger,") == [
        ("Jürgen Straßburger", "certain"), ("Straßburger", "certain"),
    ]  # fmt: skip
    # Without a given name before it, it may be they.
    assert ("Straßburger", "certain") in found("Jürgen Straßburger wrote. The customer Straßburger-Moran called.")
    married = found("Jürgen Straßburger called. Jürgen Straßburger-Moran will call again.")
    assert [text for text, _ in married] == ["Jürgen Straßburger", "Jürgen Straßburger"]


def test_an_address_with_the_letters_of_theirs_is_a_namesakes():
    finder = open_finder(
        parse_subject([("name", "Elfriede Cramer-Voß"), ("email", "elfriede.cramervo.7@town.example")])
    )
    assert found("Elfriede Cramer-Voß\nelfriede.cramervo.4@town.example", finder) == [("Elfriede Cramer-Voß", "ask")]
    assert found("Elfriede Cramer-Voß\nanna.keller@town.example", finder) == [("Elfriede Cramer-Voß", "certain")]


@given(before=st.text(alphabet="abc .,;\n", max_size=40), after=st.text(alphabet="abc .,;\n", max_size=40))
def test_offsets_are_those_of_the_text_around(before, after):
    text = f"{before} Jürgen Straßburger {after}"
    findings = FINDER.find(text)
    assert [text[f.start : f.end] for f in findings if f.how == "exact"] == ["Jürgen Straßburger"]
    ends = 0
    for finding in findings:
        assert ends <= finding.start < finding.end <= len(text)
        ends = finding.end


@pytest.mark.parametrize("mention", CERTAIN)
def test_the_fence_knows_what_is_certain(mention):
    if mention == "Jürgen Straß-\nburger":
        pytest.skip("a fence reads words as they stand")
    lengths = (1, 2)
    known = {form for i in JUERGEN.identifiers for form in identifier_forms(i)}
    assert known & set(text_forms(f"On Tuesday {mention} wrote.", lengths))


@pytest.mark.parametrize("text", NOT_THEM)
def test_the_fence_lets_others_in(text):
    known = {form for i in JUERGEN.identifiers for form in identifier_forms(i)}
    assert not known & set(text_forms(f"On Tuesday {text} wrote.", (1, 2)))


@pytest.mark.parametrize(
    "pairs",
    [
        [("shoe", "44")],
        [("name", "Anna")],
        [("policy", "12")],
        [("born", "1985-03-12")],
        [("email", "x")],
        [],
        [("name", "")],
    ],
)
def test_what_is_nobodys_alone_is_refused(pairs):
    with pytest.raises(UsageError) as refused:
        parse_subject(pairs)
    assert refused.value.hint
