"""The conformance suite on every detector, and what the model's detector does beyond it."""

from __future__ import annotations

import shutil
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.errors import ModelMismatch, ModelNotFound
from freehold.core.types import Mention
from freehold.privacy.detect import CombinedDetector, RampartDetector
from freehold.privacy.patterns import PatternDetector
from freehold.privacy.rampart import WordTagger
from freehold.privacy.spans import resolved
from freehold.privacy.words import ordinary_words
from freehold.testing.detector import DetectorCase


class TestPatterns(DetectorCase):
    @pytest.fixture
    def detector(self):
        return PatternDetector()


class TestRampart(DetectorCase):
    example = ("My client {} was dismissed.", "Mehmet Yilmaz")

    @pytest.fixture
    def detector(self, names):
        return names


@pytest.fixture(scope="module")
def names(rampart):
    return RampartDetector(rampart)


class TestCombined(DetectorCase):
    @pytest.fixture
    def detector(self, combined):
        return combined


def test_no_detectors_find_nothing():
    assert CombinedDetector(()).detect(["anna@example.com", ""]) == [(), ()]


def test_names_tell_what_finds_otherwise_apart(rampart, names):
    others = [RampartDetector(rampart, ordinary=words) for words in (["jaundice"], ["cholera"])]
    assert len({names.name, *(other.name for other in others)}) == 3


# --- names ---


def people(detector, text, language=""):
    (mentions,) = detector.detect([text], language=language)
    return [text[m.start : m.end] for m in mentions if m.kind == "person"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Can Anna Keller be dismissed?", ["Anna Keller"]),
        ("Hat Frau Dr. Anna-Lena Keller-Schmidt Anspruch auf Elternzeit?", ["Anna-Lena Keller-Schmidt"]),
        ("Zahlt die Versicherung von Herrn O'Rourke?", ["O'Rourke"]),
        ("Is J. T. Kowalczyk insured?", ["J. T. Kowalczyk"]),
        ("Anna Keller is ill. Does Keller's policy pay?", ["Anna Keller", "Keller"]),
        ("anna keller wants her file", ["anna keller"]),
        ("Ist das Testament von Walburga von Trostheim gültig?", ["Walburga von Trostheim"]),
        ("Mi vecina Remedios tiene una cámara.", ["Remedios"]),
        ("Anna Keller und Mehmet Yilmaz erben.", ["Anna Keller", "Mehmet Yilmaz"]),
        ("Elle s'appelle Élodie Marchand.", ["Élodie Marchand"]),
    ],
)
def test_people_are_found_whole(combined, text, wanted):
    assert people(combined, text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "What is (are) Crohn's disease?",
        "Is Parkinson hereditary, and what are the treatments for Hodgkin lymphoma?",
        "Was ist die Basedow-Krankheit, und was Morbus Bechterew?",
        "Le syndrome de Gougerot-Sjögren et la maladie de Charcot",
        "¿La enfermedad de Alzheimer y el síndrome de Down?",
        "Does the Sarbanes-Oxley Act apply?",
        "What did the court hold in Donoghue v Stevenson?",
        "Que prévoit la loi Sapin II ?",
        "Does the Elsa app store data, and the Clara software?",
        "Is Wayne Fueling Systems bound by the Morgan Stanley agreement?",
        "Muss die Anna Keller Versicherungsmakler GmbH die Provision offenlegen?",
        "What is (are) Wilms Tumor and Other Childhood Kidney Tumors ?",
        "FATCA and FIJAISV: c'est quoi ?",
        "Is a Shari'a Supervisory Board needed in Abu Dhabi?",
        "What is the rule under paragraphs 139 - 145 or 166(b) of the London handbook?",
    ],
)
def test_what_bears_a_name_is_no_person(combined, text):
    assert combined.detect([text]) == [()]


def test_a_town_alone_stays_and_an_address_goes(combined):
    town, address = combined.detect(["Is the rent cap in Berlin valid?", "He lives at Lindenstraße 12, 10969 Berlin."])
    assert town == ()
    assert [m.kind for m in address] == ["address"]


def test_words_of_the_collection_are_no_names(rampart):
    documents = ["Children with spina bifida walk late.", "A spina bifida.", "In Spina Bifida, spina bifida occulta."]
    ordinary = ordinary_words(documents)
    assert {"spina", "bifida"} <= ordinary
    assert "late" not in ordinary  # one document alone
    text = "What are the treatments for Spina Bifida ?"
    assert people(RampartDetector(rampart), text) == ["Spina Bifida"]
    assert people(RampartDetector(rampart, ordinary=ordinary), text) == []


def test_a_name_on_the_seam_of_two_windows_is_found(rampart):
    detector = RampartDetector(rampart)
    for filler in range(180, 200, 3):
        text = "word " * filler + "my client Mehmet Yilmaz was dismissed " + "word " * 150
        assert people(detector, text) == ["Mehmet Yilmaz"]


def test_a_folder_that_is_not_the_model_is_refused(rampart, tmp_path):
    with pytest.raises(ModelNotFound) as absent:
        RampartDetector(tmp_path)
    assert "pull rampart" in absent.value.hint
    damaged = tmp_path / "damaged"
    shutil.copytree(rampart, damaged)
    (damaged / "config.json").write_text('{"id2label": {"0": "O"}}')
    with pytest.raises(ModelMismatch):
        RampartDetector(damaged)
    (damaged / "onnx" / "model_q4.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelMismatch):
        RampartDetector(damaged)


@given(st.text(max_size=60), st.text(max_size=60))
def test_words_are_whole_words_of_the_text(rampart_tagger, before, after):
    text = f"{before} Anna Keller {after}"
    (words,) = rampart_tagger.tagged([text])
    for word in words:
        assert text[word.start : word.end] == word.text
        assert word.start == 0 or not text[word.start - 1].isalnum()
        assert word.end == len(text) or not text[word.end].isalnum()


@pytest.fixture(scope="module")
def rampart_tagger(rampart):
    return WordTagger(rampart)


FRAGMENTS = [
    "Anna", "Keller", "Kellers", "O'", "Dr.", "Mrs", "von", "de la", "J. T.", "'s", "wife", "mon mari",
    "Mein Sohn", "GmbH", "disease", "loi", "v", "III", "-", ", ", "\n", "Lindenstraße", "12", "10969",
    "Berlin", "030 23125417", "+49 (0)30 1", "§ 5", "DE89 3704 0044 0532 0130 00", "a@b.de", "12.3.4.5", "::",
    "1900-01-01", "geb.", "policy", "X1", "\u0301", "İ", "ß", "🙂", " ", ".", "(", "SHOUT", "und", "y",
    "zu Hause",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14), st.sampled_from(["", "en", "de", "fr", "es"]))
def test_any_mixture_keeps_the_contract(combined, fragments, language):
    text = " ".join(fragments)
    (mentions,) = combined.detect([text], language=language)
    assert all(one.end <= other.start for one, other in pairwise(mentions))
    assert all(0 <= m.start < m.end <= len(text) and 0 < m.score <= 1 for m in mentions)
    assert resolved(text, mentions) == mentions


# --- overlap ---

TEXT = "Anna Keller, 12 Rose Street; 030 23125 417"
mentions = st.lists(
    st.builds(
        lambda start, length, score, kind: Mention(start, min(start + length, len(TEXT)), kind, score, "t"),
        st.integers(0, len(TEXT) - 1),
        st.integers(1, 20),
        st.sampled_from([0.5, 0.9, 1.0]),
        st.sampled_from(["person", "address", "phone"]),
    ),
    max_size=8,
)


def covered(found):
    return {i for m in found for i in range(m.start, m.end) if TEXT[i].isalnum()}


@given(mentions, mentions)
def test_resolving_covers_the_same_without_overlap(first, second):
    found = resolved(TEXT, first, second)
    assert covered(found) == covered([*first, *second])
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert resolved(TEXT, found) == found


def test_the_earlier_group_says_what_it_is():
    phone, account = Mention(29, 42, "phone", 0.5, "a"), Mention(29, 42, "account", 1.0, "b")
    assert resolved(TEXT, [phone], [account]) == (phone,)
    assert resolved(TEXT, [phone, account]) == (account,)
