"""Microsoft Presidio as a detector: people by spaCy's names model, identifiers by Presidio's own recognisers.

spaCy's models are opened here and handed to Presidio: left to itself it downloads those that are missing. Its
recogniser of mail addresses, which fetches a list of domains, is left out: ``PatternDetector`` finds them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from freehold.core.errors import ModelMismatch, ModelNotFound, SettingsError
from freehold.core.types import Mention, MentionKind
from freehold.privacy.spans import resolved, shrunk
from freehold.privacy.words import folded

VERSION = "1"
"""Of what is taken over from Presidio's results."""

KINDS: Mapping[str, MentionKind] = {
    "PERSON": "person", "PHONE_NUMBER": "phone", "IP_ADDRESS": "ip", "CREDIT_CARD": "card", "IBAN_CODE": "iban",
    "US_BANK_NUMBER": "account", "CRYPTO": "account", "US_SSN": "national_id", "US_ITIN": "national_id",
    "UK_NHS": "national_id", "ES_NIF": "national_id", "ES_NIE": "national_id", "IT_FISCAL_CODE": "national_id",
    "PL_PESEL": "national_id", "IT_VAT_CODE": "vat", "US_PASSPORT": "document", "US_DRIVER_LICENSE": "document",
    "IT_PASSPORT": "document", "IT_DRIVER_LICENSE": "document", "IT_IDENTITY_CARD": "document",
    "MEDICAL_LICENSE": "document",
}  # fmt: skip
"""Presidio's entity -> ours. Towns, dates, pages and organisations are nobody and stay."""

_LEAST_SCORE = 0.4
"""What Presidio gives a number by a word beside it or a checksum; shape alone gets less, and so would clauses."""
_PEOPLE = ("PERSON", "PER")
"""What spaCy's models call them."""
_ANY_LANGUAGE = "xx"
_WINDOW_CHARS = 20_000
"""spaCy refuses a million, and needs memory for all it is given."""
_OVERLAP_CHARS = 1_000
_WORD = re.compile(r"[^\W\d_]+")


class PresidioDetector:
    """The ``Detector`` of people and numbers by Presidio. May be called from one thread at a time."""

    def __init__(
        self, models: Sequence[str], *, languages: Collection[str] = (), ordinary: Collection[str] = ()
    ) -> None:
        """``models``: installed spaCy packages or folders, one for each language; a model says itself which is its own.

        ``languages``: ISO 639-1 codes that must have one. ``ordinary``: words that are no names here, in lower case.
        Raises SettingsError without the extra or where a language has no model, ModelNotFound where a model is not
        here, ModelMismatch where one cannot be read or has no label for people. Nothing is downloaded.
        """
        engine = engine_name(models)
        loaded: dict[str, Any] = {}
        for model in models:
            nlp = _loaded(model)
            if nlp.lang in loaded:
                hint = "name one for each language in privacy.presidio_models"
                raise SettingsError(f"privacy.presidio_models has two models for {nlp.lang!r}", hint=hint)
            loaded[nlp.lang] = nlp
        if missing := set(languages) - set(loaded):
            _refuse_unless_any(missing, loaded)
        self._analyzer = _analyzer(loaded)
        self._entities = {code: _entities(self._analyzer, code) for code in loaded}
        self._ordinary = frozenset(ordinary)
        words = f"/words-{sha256(' '.join(sorted(ordinary)).encode()).hexdigest()[:8]}" if ordinary else ""
        self.name = engine + words

    def detect(self, texts: Sequence[str], *, language: str = "") -> list[tuple[Mention, ...]]:
        """See ``freehold.core.ports.Detector``. Without a hint, or a model for it, every model reads every text."""
        codes = [language] if language in self._entities else list(self._entities)
        return [resolved(text, [m for code in codes for m in self._found(text, code)]) for text in texts]

    def _found(self, text: str, code: str) -> Iterator[Mention]:
        for first, start, end in _windows(len(text)):
            for mention in self._in_window(text[first : first + _WINDOW_CHARS], first, code):
                if start <= mention.start < end:
                    yield mention

    def _in_window(self, piece: str, first: int, code: str) -> Iterator[Mention]:
        if not piece.strip():
            return
        found = self._analyzer.analyze(
            piece, language=code, entities=self._entities[code], score_threshold=_LEAST_SCORE
        )
        for hit in found:
            kind, start, end = KINDS[hit.entity_type], hit.start, hit.end
            if kind == "person":
                start, end = shrunk(piece, start, end)
                if self._is_ordinary(piece[start:end]):
                    continue
            if start < end:
                yield Mention(first + start, first + end, kind, min(hit.score, 1.0), f"presidio/{hit.entity_type}")

    def _is_ordinary(self, name: str) -> bool:
        """Whether the collection writes all its words in small letters; so with what has no word at all."""
        return all(folded(word) in self._ordinary for word in _WORD.findall(name))


def engine_name(models: Sequence[str]) -> str:
    """Presidio, spaCy and the models with versions: two of one name find the same. No model is opened.

    Raises SettingsError without the extra or a model, ModelNotFound where one is not here.
    """
    spacy = _spacy()
    if not models:
        raise SettingsError("privacy.presidio_models is empty", hint="name a spaCy model for each language")
    named = "+".join(f"{Path(model).name}-{_digest(_place(spacy, model))[:8]}" for model in models)
    return f"presidio-{metadata.version('presidio-analyzer')}/rules-{VERSION}/spacy-{spacy.__version__}/{named}"


def _spacy() -> Any:
    try:
        import presidio_analyzer  # noqa: F401
        import spacy
    except ImportError as error:
        raise SettingsError("Presidio is not installed", hint='pip install "freehold[presidio]"') from error
    return spacy


def _place(spacy: Any, model: str) -> Path:
    """The folder of a model that is here. spaCy takes a package before a folder of the same name."""
    if spacy.util.is_package(model):
        return Path(spacy.util.get_package_path(model))
    if (Path(model) / "config.cfg").is_file():
        return Path(model)
    hint = f"python -m spacy download {model}, or give its folder in privacy.presidio_models: nothing comes by itself"
    raise ModelNotFound(f"spaCy model {model!r} is not on this machine", hint=hint)


def _digest(folder: Path) -> str:
    """SHA-256 over names and bytes of a model's files."""
    whole = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        whole.update(f"{path.relative_to(folder).as_posix()}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _loaded(model: str) -> Any:
    """The spaCy pipeline without the parser, which Presidio does not use."""
    hint = "give a spaCy model that was made for the installed version"
    try:
        nlp = _spacy().load(model, exclude=["parser", "senter"])
    except Exception as error:  # spaCy raises bare exceptions for whatever is wrong with a file
        raise ModelMismatch(f"spaCy model {model!r} cannot be read", hint=hint) from error
    if not _labels(nlp) & set(_PEOPLE):
        hint = f"it must mark one of {', '.join(_PEOPLE)}"
        raise ModelMismatch(f"spaCy model {model!r} has no label for people", hint=hint)
    return nlp


def _labels(nlp: Any) -> set[str]:
    return {label for labels in nlp.pipe_labels.values() for label in labels}


def _refuse_unless_any(missing: Collection[str], loaded: Mapping[str, Any]) -> None:
    if _ANY_LANGUAGE not in loaded:
        codes = ", ".join(sorted(missing))
        hint = "add one to privacy.presidio_models, or one for all languages"
        raise SettingsError(f"privacy.presidio_models has no model for house.languages {codes}", hint=hint)


def _analyzer(loaded: Mapping[str, Any]) -> Any:
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

    others = sorted({label for nlp in loaded.values() for label in _labels(nlp)} - set(_PEOPLE))
    labels = NerModelConfiguration(
        model_to_presidio_entity_mapping=dict.fromkeys(_PEOPLE, "PERSON"), labels_to_ignore=others
    )
    engine = SpacyNlpEngine(ner_model_configuration=labels)
    engine.nlp = dict(loaded)  # counts as loaded: ``load`` is what downloads
    codes = list(loaded)
    registry = RecognizerRegistryProvider(
        registry_configuration={"supported_languages": codes}
    ).create_recognizer_registry()
    registry.remove_recognizer("EmailRecognizer")
    registry.add_nlp_recognizer(nlp_engine=engine)
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=codes)


def _entities(analyzer: Any, code: str) -> list[str]:
    """Of ``KINDS``, those that the language has recognisers for: Presidio refuses to be asked for others."""
    return sorted(set(analyzer.get_supported_entities(code)) & set(KINDS))


def _windows(length: int) -> Iterator[tuple[int, int, int]]:
    """(where a window begins, the mentions to keep of it begin from here, and before here).

    The windows overlap, and a mention is taken from the one in which it stands farther from the edge.
    """
    step, half = _WINDOW_CHARS - _OVERLAP_CHARS, _OVERLAP_CHARS // 2
    for first in range(0, max(length - _OVERLAP_CHARS, 1), step):
        last = first + _WINDOW_CHARS >= length
        yield first, first + half if first else 0, length if last else first + _WINDOW_CHARS - half
