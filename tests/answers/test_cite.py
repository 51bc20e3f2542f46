from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.types import Passage
from freehold.journeys.cite import ABSTENTION, cite
from freehold.journeys.figures import figures, names
from freehold.models.generate import NOT_FOUND

DOCUMENT = (
    "Section 3. Excess\n\n"
    "The standard excess is EUR 250 for each event. For escape of water it is EUR 500, and for subsidence EUR 1,500. "
    "Where buildings and contents are damaged in one event only one excess is taken.\n\n"
    "Section 4. Notification\n\n"
    "Report damage to Meridian within thirty days. Theft must be reported to An Garda Síochána within 24 hours. "
    "Emergency work up to EUR 1,000 may be ordered by the policyholder without asking Aoife Brennan."
)
CUT = DOCUMENT.index("Section 4.")
PASSAGES = [
    Passage("home", "home.pdf", "HomeGuard", 0, CUT - 2, DOCUMENT[: CUT - 2], ("Section 3. Excess",)),
    Passage("home", "home.pdf", "HomeGuard", CUT, len(DOCUMENT), DOCUMENT[CUT:], ("Section 4. Notification",)),
]
QUESTION = "What is the excess?"
SENTENCES = [
    "The standard excess is EUR 250 for each event.",
    "For escape of water the excess is EUR 500.",
    "Theft must be reported to An Garda Síochána within 24 hours.",
    "Damage has to be reported to Meridian within 30 days.",
    "Emergency work up to EUR 1000 may be ordered without asking.",
    "The policyholder may paint the roof green.",
    "Yes.",
    "The moon is made of 17 cheeses [3].",
]


def check(answer) -> None:
    """What holds of every answer."""
    assert all(c.quote == DOCUMENT[c.start : c.end] for c in answer.citations)
    used = [int(n) for n in re.findall(r"\[(\d+)\]", answer.text)]
    assert sorted(set(used)) == list(range(1, len(answer.citations) + 1))
    assert [c.marker for c in answer.citations] == list(range(1, len(answer.citations) + 1))
    assert len({(c.document_id, c.start, c.end) for c in answer.citations}) == len(answer.citations)
    assert answer.supported
    assert answer.abstained == (answer.text in ABSTENTION.values())
    assert answer.abstained == (not answer.citations)


@given(
    st.lists(st.sampled_from(SENTENCES), max_size=6),
    st.sampled_from([" ", "\n"]),
    st.sampled_from(["", " [1]", "[2, 3]"]),
)
def test_laws(sentences, gap, marker):
    answer = cite(gap.join(s + marker for s in sentences), PASSAGES, question=QUESTION)
    check(answer)
    again = cite(answer.text, PASSAGES, question=QUESTION)
    assert (again.text, again.citations) == (answer.text, answer.citations)
    assert "green" not in answer.text
    assert "cheese" not in answer.text


@given(st.text(max_size=200))
def test_any_text_at_all(text):
    check(cite(text, PASSAGES, question=QUESTION))


@given(st.integers(0, 99_999))
def test_a_number_that_no_cited_span_holds_is_caught(number):
    answer = cite(f"For escape of water the excess is EUR {number}.", PASSAGES, question=QUESTION)
    assert answer.abstained == (number not in {1, 3, 250, 500, 1500})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The standard excess is EUR 250 for each event.", "The standard excess is EUR 250 for each event. [1]"),
        ("The standard excess is EUR 250.00 [7].", "The standard excess is EUR 250.00. [1]"),
        ("Report damage within 30 days. The roof is green.", "Report damage within 30 days. [1]"),
        ("Yes. Report damage to Meridian within 30 days.", "Yes. Report damage to Meridian within 30 days. [1]"),
        (
            "HomeGuard, Section 3 Excess: For escape of water it is EUR 500, and for subsidence EUR 1,500.",
            "HomeGuard, Section 3 Excess: For escape of water it is EUR 500, and for subsidence EUR 1,500. [1]",
        ),
        (
            "- The standard excess is EUR 250.\n- Theft must be reported within 24 hours.",
            "- The standard excess is EUR 250. [1]\n- Theft must be reported within 24 hours. [2]",
        ),
    ],
)
def test_what_is_kept(text, said):
    assert cite(text, PASSAGES, question=QUESTION).text == said


@pytest.mark.parametrize(
    "text",
    [
        "",
        NOT_FOUND,
        "Not in these documents.",
        "The standard excess is EUR 300 for each event.",
        "Report damage to Meridian within forty days.",
        "Emergency work up to EUR 1,000 may be ordered without asking Padraig Conaill.",
        "Theft must be reported to Scotland Yard within 24 hours.",
        "The Treaty of Rome was signed by six countries.",
    ],
)
def test_what_is_not(text):
    assert cite(text, PASSAGES, question=QUESTION).text == ABSTENTION["en"]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Wie hoch ist die Selbstbeteiligung bei einem Sturm?", "Nicht in diesen Dokumenten."),
        ("Quelle est la franchise pour le vol ?", "Pas dans ces documents."),
        ("What is the excess for storms?", "Not in these documents."),
    ],
)
def test_abstention_speaks_the_language_of_the_question(question, said):
    answer = cite("", PASSAGES, question=question)
    assert (answer.text, answer.abstained, answer.citations) == (said, True, ())


def test_removed_sentences_are_counted():
    text = "The roof is green. The standard excess is EUR 250. Cheese is made of 17 moons."
    assert cite(text, PASSAGES, question=QUESTION).trace.tokens["removed_sentences"] == 2


def test_a_label_chooses_between_equal_clauses():
    text = "The standard excess is EUR 250 for each event."
    old, new = (Passage(d, d, f"HomeGuard {d}", 0, len(text), text, ()) for d in ("2023", "2025"))
    (citation,) = cite(f"HomeGuard 2025: {text}", [old, new], question=QUESTION).citations
    assert citation.document_id == "2025"


def test_no_passages():
    assert cite("The standard excess is EUR 250.", [], question=QUESTION).abstained


def test_a_paraphrase_may_be_vouched_for_by_the_embedder(embedder):
    text = "You must tell Meridian about any damage inside thirty days."
    plain, helped = (cite(text, PASSAGES, question=QUESTION, embedder=e) for e in (None, embedder))
    check(helped)
    assert helped.citations
    assert len(plain.citations) <= len(helped.citations)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EUR 5,000 and EUR 5.000 and 5 000 €", {"5000"}),
        ("2,5 % or 2.50 %", {"2.5"}),
        ("1.234.567,80 Euro", {"1234567.8"}),
        ("thirty days, vierzehn Tage, quinze jours", {"30", "14", "15"}),
        ("seventy-five", {"5"}),
        ("clause 007", {"7"}),
        ("no number", set()),
    ],
)
def test_figures(text, expected):
    assert figures(text) == expected


@given(st.integers(0, 10**9))
def test_every_grouping_is_the_same_figure(number):
    spellings = {f"{number:,}", f"{number:,}".replace(",", "."), f"{number:,}".replace(",", " "), str(number)}
    assert {figures(spelling) for spelling in spellings} == {frozenset({str(number)})}


def test_names():
    assert names("The form goes to Aoife Brennan. Then EUR 5 is due.", "en") == {"Aoife", "Brennan"}
    assert names("Der Schaden geht an das BKA in Köln.", "de") == {"BKA"}
