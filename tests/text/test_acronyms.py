"""Acronyms: which definitions are found, which meanings are one, and time that grows with the text alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.text.acronyms import Acronyms, definitions


@pytest.mark.parametrize(
    ("text", "acronym", "expansion"),
    [
        # long form (SF)
        ("under the Datenschutz-Grundverordnung (DSGVO), wherever", "DSGVO", "Datenschutz-Grundverordnung"),
        (
            "le règlement général sur la protection des données (RGPD) prévoit",
            "RGPD",
            "règlement général sur la protection des données",
        ),
        (
            "la Commission nationale de l'informatique et des libertés (CNIL)",
            "CNIL",
            "Commission nationale de l'informatique et des libertés",
        ),
        ("the US Department of Defense (DoD)", "DoD", "Department of Defense"),
        ("methicillin-resistant Staphylococcus aureus (MRSA)", "MRSA", "methicillin-resistant Staphylococcus aureus"),
        ("das Versicherungsvertragsgesetz (VVG)", "VVG", "Versicherungsvertragsgesetz"),
        ("ein Kraftfahrzeug (Kfz)", "Kfz", "Kraftfahrzeug"),
        ("die Versicherungs-Vermittlungs-Verordnung (VersVermV)", "VersVermV", "Versicherungs-Vermittlungs-Verordnung"),
        (
            "Allgemeine Bedingungen für die Kraftfahrtversicherung (AKB)",
            "AKB",
            "Allgemeine Bedingungen für die Kraftfahrtversicherung",
        ),
        ("the Data Protection Act 2018 (DPA)", "DPA", "Data Protection Act 2018"),
        ("our Service Level Agreements (SLAs)", "SLA", "Service Level Agreements"),
        ("une société à responsabilité limitée (S.A.R.L.)", "SARL", "société à responsabilité limitée"),
        ("a third-party\nadministrator (TPA)", "TPA", "third-party administrator"),
        ("Établissement public (EP)", "EP", "Établissement public"),
        ("hydroxychloroquine (HCQ)", "HCQ", "hydroxychloroquine"),
        ("human immunodeficiency virus (HIV, type 1)", "HIV", "human immunodeficiency virus"),
        ("mergers and acquisitions (M&A)", "M&A", "mergers and acquisitions"),
        # defined terms
        ('disclosed to the Receiving Party ("RP") by', "RP", "Receiving Party"),
        ("the Receiving Party (the “RP”) and", "RP", "Receiving Party"),
        ('"Receiving Party" (hereinafter "RP")', "RP", "Receiving Party"),
        ("Allgemeine Geschäftsbedingungen („AGB“)", "AGB", "Allgemeine Geschäftsbedingungen"),
        ('Allgemeine Geschäftsbedingungen („AGB")', "AGB", "Allgemeine Geschäftsbedingungen"),
        ("Bürgerliches Gesetzbuch (im Folgenden: BGB)", "BGB", "Bürgerliches Gesetzbuch"),
        ("la police d'assurance (ci-après « PA »)", "PA", "police d'assurance"),
        ("“DPA” means the Data Protection Act", "DPA", "Data Protection Act"),
        # SF (long form)
        ("nach der DSGVO (Datenschutz-Grundverordnung) ist", "DSGVO", "Datenschutz-Grundverordnung"),
        (
            "le RGPD (le règlement général sur la protection des données, UE 2016/679)",
            "RGPD",
            "règlement général sur la protection des données",
        ),
        ('the "RP" (Receiving Party as defined below)', "RP", "Receiving Party"),
        ("VVG (Versicherungsvertragsgesetz)", "VVG", "Versicherungsvertragsgesetz"),
        # glossaries
        ("- DOC: driving of other cars. An extension", "DOC", "driving of other cars"),
        ("| UWL | underwriting licence |", "UWL", "underwriting licence"),
        ("**TPA** – Temporary Premium Adjustment\n", "TPA", "Temporary Premium Adjustment"),
        ("1.1 PAS bezeichnet in der IT das Policy Administration System, also", "PAS", "Policy Administration System"),
        ("TPA désigne le tiers payant administrateur.", "TPA", "tiers payant administrateur"),
    ],
)
def test_found(text: str, acronym: str, expansion: str) -> None:
    assert list(definitions(text)) == [(acronym, expansion)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "der Verordnung (EU) 2016/679",
        "in the cases (II) and (III)",
        "a large dog (Hund)",
        "assurance tous risques chantier (CAR)",  # a translation; "chantier" itself holds c, a and r
        "ajustement temporaire de prime (TPA)",
        "personal data and other sensitive data (PD)",  # long form too far from the letters' words
        "the RP (RP)",
        "the Receiving Party. (RP)",
        "the Receiving Party\n\n(RP)",
        "Receiving (old) Party (RP)",
        "Class: R01; Kept for: 7 years",
        "Note: no table entry",
        "SLA: signed and paid",
    ],
)
def test_not_found(text: str) -> None:
    assert list(definitions(text)) == []


def test_definitions_come_in_the_order_of_the_text_and_as_often() -> None:
    text = "RP: Receiving Party\nThe Disclosing Party (DP) and the Receiving Party (RP).\n"
    assert list(definitions(text)) == [
        ("RP", "Receiving Party"),
        ("DP", "Disclosing Party"),
        ("RP", "Receiving Party"),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Service Level Agreement (SLA)", "service level agreements (SLA)"),
        ("Third-Party Administrator (TPA)", "Third Party Administrator (TPA)"),
        ("Datenschutz-Grundverordnung (DSGVO)", "Datenschutzgrundverordnung (DSGVO)"),
        ("das Bürgerliche Gesetzbuch (BGB)", "des Bürgerlichen Gesetzbuches (BGB)"),
        (
            "règlement général sur la protection des données (RGPD)",
            "règlement général de protection des données (RGPD)",
        ),
        (
            "Règlement européen sur la protection des données (RGPD)",
            "règlement général sur la protection des données (RGPD)",
        ),
        ("Data Protection Act 1998 (DPA)", "Data Protection Act 2018 (DPA)"),
        ("computed tomography (CT)", "computerized tomography (CT)"),
        ("amyotrophic lateral sclerosis (ALS)", "amyotrophic laterial sclerosis (ALS)"),
        ("electromyography (EMG)", "electromyogram (EMG)"),
    ],
)
def test_one_meaning(one: str, other: str) -> None:
    acronyms = Acronyms()
    acronyms.add(one)
    acronyms.add(other)
    assert len(acronyms) == 1
    assert acronyms.ambiguous() == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Data Processing Agreement (DPA)", "Data Protection Act (DPA)"),
        ("Data Processing Agreement (DPA)", "Data Protection Agreement (DPA)"),
        ("Delegated Payment Authority (DPA)", "Data Protection Authority (DPA)"),
        ("Service Level Agreement (SLA)", "Subrogation Letter of Authority (SLA)"),
        ("Vollmacht der Gläubiger (VG)", "Verwaltungsgericht (VG)"),
        ("hypertension (HT)", "hyperthyroidism (HT)"),
        ("caisse de retraite (CR)", "compte rendu (CR)"),
    ],
)
def test_two_meanings(one: str, other: str) -> None:
    acronyms = Acronyms()
    acronyms.add(one)
    acronyms.add(other)
    [spellings] = acronyms.ambiguous().values()
    assert sorted(spellings) == sorted(expansion for text in (one, other) for _, expansion in definitions(text))


PAPERS = (
    "The Corrective Action Request (CAR) is filed.",
    "Corrective Action Requests (CARs) are closed in 30 days.",
    "- CAR: Contractors' All Risks. Cover for building works.",
    "the Capital Adequacy Ratio (CAR)",
    "terms of business agreement (TOBA)",
    "Terms Of Bad Art (TOBA)",
    "the loss ratio (LR)",
)


@pytest.fixture
def acronyms() -> Acronyms:
    known = Acronyms()
    for paper in PAPERS:
        known.add(paper)
    return known


def test_meanings_are_named_by_their_most_frequent_spelling(acronyms: Acronyms) -> None:
    assert acronyms.ambiguous() == {
        "CAR": ("Corrective Action Request", "Capital Adequacy Ratio", "Contractors' All Risks"),
        "TOBA": ("Terms Of Bad Art", "terms of business agreement"),
    }


def test_the_order_of_texts_makes_no_difference(acronyms: Acronyms) -> None:
    papers = list(PAPERS)
    for seed in range(5):
        random.Random(seed).shuffle(papers)
        other = Acronyms()
        for paper in papers:
            other.add(paper)
        assert list(other.ambiguous().items()) == list(acronyms.ambiguous().items())


def test_what_is_added_later_counts(acronyms: Acronyms) -> None:
    assert "LR" not in acronyms.ambiguous()
    acronyms.add("the Land Register (LR)")
    assert acronyms.ambiguous()["LR"] == ("Land Register", "loss ratio")


@pytest.mark.parametrize(
    ("query", "mentioned"),
    [
        ("CAR year end figure", ("CAR",)),
        ("How many CARs are open?", ("CAR",)),
        ("CAR-25-07 and the LR", ("CAR", "LR")),
        ("the C.A.R.", ("CAR",)),
        ("my car has a scar", ()),
        ("toba for brokers", ("TOBA",)),
        ("the tobacco levy", ()),
        ("CAR, LR, CAR", ("CAR", "LR")),
        ("", ()),
    ],
)
def test_in_query(acronyms: Acronyms, query: str, mentioned: tuple[str, ...]) -> None:
    assert acronyms.in_query(query) == mentioned


@pytest.mark.parametrize(
    ("query", "unsettled"),
    [
        ("CAR year end figure", {"CAR": 3}),
        ("capital adequacy ratios (CAR) at year end", {}),
        ("is a contractors all-risks CAR cover indexed, and which TOBA?", {"TOBA": 2}),
        ("what is a good LR?", {}),
        ("no acronym", {}),
    ],
)
def test_an_acronym_is_settled_where_the_query_spells_it_out(
    acronyms: Acronyms, query: str, unsettled: dict[str, int]
) -> None:
    assert acronyms.unsettled(query) == unsettled


def test_no_texts_no_acronyms() -> None:
    assert len(Acronyms()) == 0
    assert Acronyms().ambiguous() == {}
    assert Acronyms().unsettled("CAR") == {}


_PIECES = st.sampled_from(
    [
        "(",
        ")",
        '"',
        "„",
        "«",
        " ",
        "\n",
        "SLA",
        "AB",
        "Service Level Agreement",
        "means ",
        ": ",
        "- ",
        "§",
        "ß",
        "İ",
        "é",
    ]
)


@given(st.lists(st.one_of(_PIECES, st.text(max_size=8)), max_size=30).map("".join))
def test_definitions_are_words_of_the_text(text: str) -> None:
    folded = " ".join(text.split())
    for acronym, expansion in definitions(text):
        assert expansion in folded
        assert 2 <= len(acronym) < len(expansion)
        assert acronym.replace(".", "") == acronym
    acronyms = Acronyms()
    acronyms.add(text)
    assert all(len(set(spellings)) > 1 for spellings in acronyms.ambiguous().values())
    assert set(acronyms.unsettled(text)) <= set(acronyms.in_query(text))


@pytest.mark.parametrize(
    "piece",
    ["(", ")", "()", "(A", "A", "a.", "A&", " ", "\n", "-*", '"', '("A', "(the ", "AB (", "A\n", "means ", "x(AB) "],
)
def test_a_megabyte_of_hostile_text_comes_to_an_end(piece: str) -> None:
    for _ in definitions(piece * (1_000_000 // len(piece))):  # in a second or two; a quadratic scan would take hours
        pass


def test_of_endless_meanings_the_most_frequent_are_compared() -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghij", k=12)) for _ in range(40_000)]
    acronyms = Acronyms()
    acronyms.add("\n\n".join(f"x{one} y{other} (XY)" for one, other in zip(words[::2], words[1::2], strict=True)))
    assert 1 < len(acronyms.ambiguous()["XY"]) <= 64
