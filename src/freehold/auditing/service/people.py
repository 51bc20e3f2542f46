"""People in what a service says."""

from __future__ import annotations

from collections.abc import Mapping

from freehold.config import Settings
from freehold.core.types import Mention
from freehold.detectors import open_detector_for


def mentions_in(told: Mapping[str, str], given: Mapping[str, str]) -> dict[str, tuple[Mention, ...]]:
    """Key -> mentions in its text that its given words do not hold. Raises ModelNotFound without the detector."""
    if not told:
        return {}
    found = open_detector_for(Settings()).detect(list(told.values()))
    kept = {}
    for (key, text), mentions in zip(told.items(), found, strict=True):
        own = tuple(m for m in mentions if text[m.start : m.end].casefold() not in given[key].casefold())
        if own:
            kept[key] = own
    return kept
