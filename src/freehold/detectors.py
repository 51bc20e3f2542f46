"""The detector of a house: the only place where the settings decide what finds people."""

from __future__ import annotations

from collections.abc import Collection

from freehold.config import Settings
from freehold.core.ports import Detector
from freehold.models.manifest import locate
from freehold.privacy.detect import VERSION, CombinedDetector, open_detector
from freehold.privacy.patterns import PatternDetector
from freehold.privacy.presidio import PresidioDetector, engine_name

RAMPART = "rampart"


def open_detector_for(settings: Settings, *, ordinary: Collection[str] = ()) -> Detector:
    """Identifiers by shape, people by the engine that ``privacy.detector`` names.

    ``ordinary``: words that are no names in the house (``ordinary_words``). Raises ModelNotFound or ModelMismatch, and
    SettingsError where Presidio is not installed or a language of the house has no model.
    """
    part = settings.privacy
    if part.detector == "presidio":
        languages = settings.house.languages
        people = PresidioDetector(part.presidio_models, languages=languages, ordinary=ordinary)
        return CombinedDetector((PatternDetector(), people))
    return open_detector(locate(RAMPART), threads=settings.embedder.threads or 1, ordinary=ordinary)


def engine_for(settings: Settings) -> str:
    """The engine and its rules, with version, without opening it. Raises as ``open_detector_for``."""
    if settings.privacy.detector == "presidio":
        return engine_name(settings.privacy.presidio_models)
    locate(RAMPART)
    return f"{RAMPART}/rules-{VERSION}"
