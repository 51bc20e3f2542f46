"""Laws of surrogates."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum import iban, luhn
from stdnum.es import dni

from freehold.core.errors import UsageError
from freehold.core.types import Mention, MentionKind
from freehold.privacy.pseudonymise import kinds, pseudonymise, replaced
from freehold.privacy.surrogates import Surrogates, invented
from freehold.privacy.words import folded, given_names, words

KEY, OTHER = b"k" * 32, b"o" * 32
EXAMPLES = {
    "person": "Anna Keller",
    "address": "Lindenstraße 12, 10969 Berlin",
    "email": "anna.keller77@acme.example",
    "phone": "+49 30 23125417",
    "iban": "DE89 3704 0044 0532 0130 00",
    "account": "12345678",
    "card": "4111 1111 1111 1111",
    "national_id": "12345678Z",
    "document": "L01X00T471",
    "vat": "DE136695976",
    "ip": "203.0.113.77",
    "url": "https://social.example.net/users/tessa",
    "birth_date": "3. Mai 1961",
    "reference": "HH-4471-09823",
}
KINDS = st.sampled_from(get_args(MentionKind))
NAMES = st.from_regex(r"[A-Z][a-zäöüéñ]{2,11}", fullmatch=True)
STREETS = words("address", "streets") | words("names", "titles") | words("names", "particles")


def test_every_kind_has_an_example():
    assert set(EXAMPLES) == set(get_args(MentionKind))


@pytest.mark.parametrize(("kind", "text"), EXAMPLES.items())
def test_one_key_one_surrogate_and_another_key_another(kind, text):
    made = Surrogates(KEY).of(kind, text)
    assert made == Surrogates(KEY).of(kind, text)
    assert made != Surrogates(OTHER).of(kind, text)
    assert folded(made) != folded(text)


@given(KINDS, st.text(min_size=1, max_size=40))
def test_nothing_stands_in_for_itself(kind, text):
    made = Surrogates(KEY).of(kind, text)
    assert made
    assert folded(made) != folded(text)


@given(NAMES, NAMES)
def test_a_name_and_its_parts_agree(given_name, surname):
    assume(not {folded(given_name), folded(surname)} & STREETS)
    surrogates = Surrogates(KEY)
    whole = surrogates.of("person", f"{given_name} {surname}")
    parts = [surrogates.of("person", given_name), surrogates.of("person", surname)]
    assert whole == " ".join(parts)
    assert surrogates.of("person", surname.upper()) == parts[1].upper()
    assert surrogates.of("person", f"{given_name}-{surname}") == "-".join(parts)


def test_inflected_names_are_the_same_person():
    surrogates = Surrogates(KEY)
    keller = surrogates.of("person", "Keller")
    assert surrogates.of("person", "Kellers") == keller + "s"
    assert surrogates.of("person", "JOSÉ") == surrogates.of("person", "jose").upper()
    assert surrogates.of("person", "Anna von Keller").split()[1:] == ["von", keller]
    assert surrogates.of("email", "keller@acme.example") == f"{keller.lower()}@example.org"


def test_identifiers_are_the_same_however_they_are_grouped():
    surrogates = Surrogates(KEY)
    for kind, one, other in [
        ("iban", "DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("card", "4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("reference", "HH-4471-09823", "HH/4471 09823"),
    ]:
        made = [re.sub(r"\W", "", surrogates.of(kind, text)) for text in (one, other)]
        assert made[0] == made[1]


@given(st.from_regex(r"[A-Z]{2}\d{2}( ?[0-9A-Z]{4}){3,7}", fullmatch=True))
def test_account_numbers_are_of_the_same_country_and_never_valid(text):
    made = Surrogates(KEY).of("iban", text)
    assert made[:2] == text[:2]
    assert [len(part) for part in made.split(" ")] == [len(part) for part in text.split(" ")]
    assert not iban.is_valid(made)


@given(st.from_regex(r"\d{13,19}", fullmatch=True))
def test_card_numbers_are_never_valid(text):
    made = Surrogates(KEY).of("card", text)
    assert len(made) == len(text)
    assert made.startswith("9")
    assert not luhn.is_valid(made)


@given(st.from_regex(r"[0-9]{8}[A-Z]", fullmatch=True))
def test_identity_numbers_keep_their_form_and_do_not_fit(text):
    made = Surrogates(KEY).of("national_id", text)
    assert re.fullmatch(r"[0-9]{8}[A-Z]", made)
    assert not dni.is_valid(made)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("+49 171 3920041", r"\+49 000 \d{7}"),
        ("00353 1 234 5678", r"00353 0 00\d \d{4}"),
        ("(020) 7946 0182", r"\(000\) \d{4} \d{4}"),
        ("06 39 98 41 07", r"00 0\d \d\d \d\d \d\d"),
    ],
)
def test_telephones_keep_their_country_and_lead_nowhere(text, form):
    assert re.fullmatch(form, Surrogates(KEY).of("phone", text))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("3. Mai 1961", r"\d\d?\. [A-ZÄÖÜ][a-zä]+ 1961"),
        ("1er mars 1984", r"\d\d?er [a-zéû]+ 1984"),
        ("14 March 1957", r"\d\d [A-Z][a-z]+ 1957"),
        ("7 de febrero de 1972", r"\d\d? de [a-z]+ de 1972"),
        ("02/11/1968", r"(0[1-9]|1[0-2])/(0[1-9]|1[0-2])/1968"),
        ("1961-05-03", r"1961-(0[1-9]|1[0-2])-(0[1-9]|1[0-2])"),
    ],
)
def test_dates_of_birth_keep_their_form_and_year(text, form):
    assert re.fullmatch(form, Surrogates(KEY).of("birth_date", text))


def test_addresses_keep_what_says_street():
    made = Surrogates(KEY).of("address", "Lindenstraße 12, 10969 Berlin")
    assert re.fullmatch(r"[A-Z][a-z]+straße \d\d, \d{5} [A-Z][a-z]+", made)
    assert "Linden" not in made


def test_invented_words_are_nobodys_and_many():
    assert len(set(invented())) == len(invented()) > 5000
    assert not {folded(word) for word in invented()} & (given_names() | words("not_names", "eponyms") | STREETS)


def test_a_short_key_is_refused():
    with pytest.raises(UsageError) as error:
        Surrogates(b"short")
    assert error.value.hint


# --- in texts ---


@st.composite
def marked_texts(draw):
    """A text in pieces, every other one a mention of a kind."""
    pieces = draw(st.lists(st.text(max_size=15), min_size=1, max_size=5))
    texts, mentions, at = [pieces[0]], [], len(pieces[0])
    for piece in pieces[1:]:
        kind = draw(KINDS)
        words_of_it = draw(st.one_of(st.just(EXAMPLES[kind]), st.text(min_size=1, max_size=12)))
        mentions.append(Mention(at, at + len(words_of_it), kind, 1.0, "t"))
        texts += [words_of_it, piece]
        at += len(words_of_it) + len(piece)
    return pieces, "".join(texts), mentions


@given(marked_texts())
def test_only_the_mentions_change(marked):
    pieces, text, mentions = marked
    done = replaced(text, mentions, Surrogates(KEY))
    ends = [0, *(m.end for m in done.mentions)]
    starts = [*(m.start for m in done.mentions), len(done.text)]
    assert [done.text[a:b] for a, b in zip(ends, starts, strict=True)] == pieces
    assert [m.kind for m in done.mentions] == [m.kind for m in mentions]
    for before, after in zip(mentions, done.mentions, strict=True):
        assert folded(text[before.start : before.end]) != folded(done.text[after.start : after.end])


@given(marked_texts(), marked_texts())
def test_the_same_mention_becomes_the_same_in_every_text(one, other):
    seen = {}
    for _, text, mentions in (one, other):
        done = replaced(text, mentions, Surrogates(KEY))
        for before, after in zip(mentions, done.mentions, strict=True):
            surrogate = done.text[after.start : after.end]
            assert seen.setdefault((before.kind, text[before.start : before.end]), surrogate) == surrogate


def test_mentions_that_overlap_or_lie_outside_are_refused():
    for spans in ([(0, 4), (2, 6)], [(5, 99)], [(3, 3)], [(4, 6), (0, 2)]):
        with pytest.raises(UsageError):
            replaced("Anna Keller", [Mention(a, b, "person", 1.0, "t") for a, b in spans], Surrogates(KEY))


def test_queries_end_to_end(combined):
    texts = [
        "My client Anna Keller (anna.keller@acme.example) disputes policy HH-4471-09823.",
        "Has Mrs Keller's claim lapsed, and does Parkinson's disease count?",
        "Wer haftet, wenn Anna Keller verunglückt?",
        "What is the notice period?",
    ]
    done = pseudonymise(texts, combined, KEY)
    text = " ".join(query.text for query in done)
    assert not re.search("Anna|Keller|acme|4471|09823", text, re.IGNORECASE)
    assert "Parkinson's disease" in text
    assert done[3].text == texts[3]
    name = Surrogates(KEY).of("person", "Anna Keller")
    assert name in done[0].text
    assert f"Mrs {name.split()[1]}'s claim" in done[1].text
    assert name in done[2].text
    assert kinds(done) == {"email": 1, "person": 3, "reference": 1}
