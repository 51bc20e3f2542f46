from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.types import Passage
from freehold.journeys.cite import ABSTENTION, cite
from freehold.journeys.figures import Figure, figures, missing, names
from freehold.journeys.language import language_tools
from freehold.models.generate import NOT_FOUND
from freehold.text.terms import TermAnalyzer

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
    assert answer.abstained == (number not in {1, 3, 4, 250, 500, 1000, 1500})


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
        ("EUR 5,000 and EUR 5.000 and 5 000 €", {"5000 eur"}),
        ("2,5 % or 2.50 %", {"2.5 percent"}),
        ("1.234.567,80 Euro", {"1234567.8 eur"}),
        ("thirty days, vierzehn Tage, quinze jours", {"30 day", "14 day", "15 day"}),
        ("seventy-five, and twenty five", {"75", "25"}),
        ("thirteen, sixteen or nineteen", {"13", "16", "19"}),
        ("between twenty and thirty", {"20", "30"}),
        ("one hundred and twenty days, two hundred", {"120 day", "200"}),
        ("10 per cent, dix pour cent, zehn Prozent", {"10 percent"}),
        ("cent vingt euros, deux cents euros", {"120 eur", "200 eur"}),
        ("five cents", {"5"}),
        ("vingt-quatre heures, vingt et un, dix-sept", {"24 hour", "21", "17"}),
        ("soixante-dix, soixante et onze, quatre-vingts, quatre-vingt-dix-sept", {"70", "71", "80", "97"}),
        ("vierundzwanzig Stunden, einundzwanzig, einunddreißig", {"24 hour", "21", "31"}),
        ("dreizehn, siebzehn, zweihundert; im Jahrhundert", {"13", "17", "200"}),
        ("un contrat neuf, one of them, eine Frist", set()),
        ("EUR 2 million, 2 Mio. EUR, zwei Millionen Euro, deux millions d'euros", {"2000000 eur"}),
        ("EUR 2.5 billion, 2,5 Milliarden Euro, 2,5 milliards d’euros", {"2500000000 eur"}),
        ("one million, eine Million", {"1000000"}),
        ("a 24-hour helpline, US$ 5, £3, on 12.05.2025", {"24 hour", "5 usd", "3 gbp", "12", "5", "2025"}),
        ("clause 007", {"7"}),
        ("no number", set()),
    ],
)
def test_figures(text, expected):
    assert {f"{value} {unit}".strip() for value, unit in figures(text)} == expected


@pytest.mark.parametrize(
    ("claimed", "given", "agree"),
    [
        ("500 months", "500 euros", False),
        ("500 months", "a premium of 500", True),
        ("an excess of 500", "EUR 500", True),
        ("24 hours", "vierundzwanzig Stunden", True),
        ("EUR 2 billion", "EUR 2 million", False),
        ("EUR 2,000,000", "EUR 2 million", True),
    ],
)
def test_figures_agree_in_value_and_in_unit_where_both_have_one(claimed, given, agree):
    assert (not missing(figures(claimed), figures(given, lenient=True))) == agree


@given(st.integers(0, 10**9))
def test_every_grouping_is_the_same_figure(number):
    spellings = {f"{number:,}", f"{number:,}".replace(",", "."), f"{number:,}".replace(",", " "), str(number)}
    assert {figures(spelling) for spelling in spellings} == {frozenset({Figure(str(number))})}


def test_names():
    assert names("The form goes to Aoife Brennan. Then EUR 5 is due.", "en") == {"Aoife", "Brennan"}
    assert names("Der Schaden geht an das BKA in Köln.", "de") == {"BKA"}
    assert names("Frau Weiß und Herr Dr. Meier prüfen den Schaden.", "de") == {"Weiß", "Meier"}


def carried(claim, source, language="und"):
    passage = Passage("d", "d.txt", "", 0, len(source), source)
    return not cite(claim, [passage], question="?", language=language).abstained


@pytest.mark.parametrize(
    ("claim", "source", "language", "stays"),
    [
        ("The fleet is insured by Lee.", "The fleet is insured by Brown.", "en", False),
        ("The fleet is insured by Lee.", "The fleet is insured on Lee's behalf.", "en", True),
        ("Den Antrag prüft Frau Weiß.", "Den Antrag prüft Frau Schwarz.", "de", False),
        ("Den Antrag prüft Herr Dr. Meier.", "Den Antrag prüft Frau Dr. Meiering.", "de", False),
        ("Herr Meier prüft den Antrag.", "Den Antrag prüft Meiers Vertreter.", "de", True),
        ("The limit is EUR 2 billion.", "The limit is EUR 2 million.", "en", False),
        ("The limit is EUR 2,000,000.", "The limit is EUR 2 million.", "en", True),
        (
            "The deductible for damage by storms and floods is 10 per cent.",
            "The deductible for damage by storms and floods is 10 %.",
            "en",
            True,
        ),
        ("Le vol doit être déclaré sous 24 heures.", "Le vol doit être déclaré sous vingt-quatre heures.", "fr", True),
        ("The cover lasts 500 months.", "The cover costs 500 euros and lasts for years.", "en", False),
    ],
)
def test_figures_and_names_decide(claim, source, language, stays):
    assert carried(claim, source, language) == stays


def test_the_callers_tools_are_used():
    tools = language_tools(TermAnalyzer(("en", "de", "fr")))
    seen = []

    def terms(text, language):
        seen.append(text)
        return tools.terms(text, language)

    answer = cite(SENTENCES[0], PASSAGES, question=QUESTION, tools=replace(tools, terms=terms))
    assert SENTENCES[0] in seen
    assert answer == cite(SENTENCES[0], PASSAGES, question=QUESTION)
