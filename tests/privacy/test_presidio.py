"""Presidio behind the same port: the conformance suite, what is taken over, and what is refused."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from freehold.config import Settings
from freehold.core.errors import ModelMismatch, ModelNotFound, SettingsError
from freehold.detectors import engine_for, open_detector_for
from freehold.privacy.presidio import PresidioDetector
from freehold.testing.detector import DetectorCase

NAMES = ("Anna Keller", "Mehmet Yilmaz", "Spina Bifida")


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    settings = Settings().with_values({"privacy.detector": "presidio"}, origin="test")
    for call in (open_detector_for, engine_for):
        with pytest.raises(SettingsError) as absent:
            call(settings)
        assert absent.value.hint == 'pip install "freehold[presidio]"'


def test_an_unknown_engine_is_refused():
    with pytest.raises(SettingsError) as unknown:
        Settings().with_values({"privacy.detector": "presido"}, origin="test")
    assert "presidio" in unknown.value.hint


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory) -> dict[str, str]:
    """spaCy pipelines on disk, one a language, that know a few names; and one that knows none."""
    pytest.importorskip("presidio_analyzer")
    import spacy

    folder = tmp_path_factory.mktemp("spacy")
    for code, label in (("en", "PERSON"), ("de", "PER"), ("xx", "PER"), ("fr", "ORG")):
        nlp = spacy.blank(code)
        ruler = nlp.add_pipe("entity_ruler")
        ruler.add_patterns([{"label": label, "pattern": name} for name in NAMES])
        ruler.add_patterns([{"label": "GPE", "pattern": "Berlin"}])
        nlp.to_disk(folder / code)
    return {code: str(folder / code) for code in ("en", "de", "xx", "fr")}


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("something asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


class TestPresidio(DetectorCase):
    example = ("My client {} was dismissed.", "Mehmet Yilmaz")

    @pytest.fixture
    def detector(self, pipelines, no_network):
        return PresidioDetector([pipelines["en"], pipelines["de"]])


class TestWithShapes(DetectorCase):
    @pytest.fixture
    def detector(self, pipelines, no_network):
        return open_detector_for(settings_of(pipelines["en"]))


def settings_of(*models: str, languages: tuple[str, ...] = ("en",)) -> Settings:
    values = {"privacy.detector": "presidio", "privacy.presidio_models": models, "house.languages": languages}
    return Settings().with_values(values, origin="test")


def found(detector, text, language=""):
    (mentions,) = detector.detect([text], language=language)
    return [(text[m.start : m.end], m.kind) for m in mentions]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Anna Keller lives in Berlin.", [("Anna Keller", "person")]),
        ("Pay with 4111 1111 1111 1111.", [("4111 1111 1111 1111", "card")]),
        ("IBAN DE89 3704 0044 0532 0130 00", [("DE89 3704 0044 0532 0130 00", "iban")]),
        ("His social security number is 536-90-4399.", [("536-90-4399", "national_id")]),
        ("Clause 123456789 holds, and so does 01.02.2003.", []),
        ("Write to anna.keller@example.com.", []),  # ``PatternDetector`` finds those, without asking the network
    ],
)
def test_what_is_taken_over(pipelines, no_network, text, wanted):
    assert found(PresidioDetector([pipelines["en"]]), text, "en") == wanted


def test_names_in_every_part_of_a_long_text(pipelines):
    detector = PresidioDetector([pipelines["en"]])
    for at in range(19_480, 19_520, 7):
        text = "x" * at + " Anna Keller " + "word " * 5_000 + "Mehmet Yilmaz"
        assert found(detector, text) == [("Anna Keller", "person"), ("Mehmet Yilmaz", "person")]


def test_words_of_the_collection_are_no_names(pipelines):
    model = [pipelines["en"]]
    plain, told = PresidioDetector(model), PresidioDetector(model, ordinary=["spina", "bifida"])
    text = "Spina Bifida of Anna Keller"
    assert found(plain, text) == [("Spina Bifida", "person"), ("Anna Keller", "person")]
    assert found(told, text) == [("Anna Keller", "person")]
    assert plain.name != told.name


def test_its_name_tells_models_apart_and_needs_none_opened(pipelines):
    english, german = (settings_of(pipelines[code], languages=(code,)) for code in ("en", "de"))
    assert engine_for(english) != engine_for(german)
    assert open_detector_for(english).name == f"patterns-1+{engine_for(english)}"


def test_every_language_of_the_house_needs_a_model(pipelines):
    with pytest.raises(SettingsError, match=r"house\.languages de"):
        open_detector_for(settings_of(pipelines["en"], languages=("en", "de")))
    with pytest.raises(SettingsError, match="two models for 'en'"):
        open_detector_for(settings_of(pipelines["en"], pipelines["en"]))
    with pytest.raises(SettingsError, match="is empty"):
        open_detector_for(settings_of())
    multilingual = open_detector_for(settings_of(pipelines["xx"], languages=("en", "de")))
    assert found(multilingual, "Anna Keller klagt.", "de") == [("Anna Keller", "person")]


def test_a_missing_model_is_not_downloaded(pipelines, no_network, monkeypatch):
    import spacy

    monkeypatch.setattr(spacy.cli, "download", lambda *a, **k: pytest.fail("downloads"))
    with pytest.raises(ModelNotFound) as absent:
        PresidioDetector(["en_core_web_none"])
    assert "presidio_models" in absent.value.hint


def test_what_is_no_model_of_people_is_refused(pipelines, tmp_path: Path):
    with pytest.raises(ModelMismatch, match="no label for people"):
        PresidioDetector([pipelines["fr"]])
    (tmp_path / "config.cfg").write_text("[nlp]\nlang = 3")
    with pytest.raises(ModelMismatch, match="cannot be read"):
        PresidioDetector([str(tmp_path)])
