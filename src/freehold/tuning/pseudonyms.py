"""Questions without people: the privacy room's surrogates, under a key of the house, for training sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from freehold.core.ids import sha256_hex
from freehold.core.ports import Detector
from freehold.core.training import PseudonymCheck
from freehold.detectors import engine_for, open_detector_for
from freehold.house import House
from freehold.privacy.check import check, read_sample
from freehold.privacy.pseudonymise import kinds, pseudonymise
from freehold.privacy.words import ordinary_words
from freehold.store.training import TrainingFolder
from freehold.tuning.sets import TRAINING

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Disguised:
    """Texts in which people and identifiers are replaced, in their order."""

    texts: tuple[str, ...]
    people: tuple[frozenset[str], ...]
    """Per text the surrogates of the persons that it speaks of: the same for the same person in every text."""
    replaced: Mapping[str, int]
    """Kind of mention -> how many were replaced."""


class Pseudonymiser(Protocol):
    """Puts surrogates in the place of people, the same for the same person in all texts that it is ever given."""

    @property
    def name(self) -> str:
        """With version: two of one name do the same to the same texts of one house."""
        ...

    def disguise(self, texts: Sequence[str], *, progress: Callable[[int], None]) -> Disguised:
        """Replace what is found; ``progress`` is called with the number of texts done."""
        ...

    def check(self, replaced: Mapping[str, int]) -> PseudonymCheck:
        """How much it misses on labelled text; ``replaced`` is what it replaced in the set at hand."""
        ...


class HousePseudonymiser:
    """The house's detector, told which words are ordinary in the house, and surrogates under the house's own key.

    The model is opened when it is first needed. Raises ModelNotFound where it is not here, SettingsError
    where its engine is not installed.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._engine = engine_for(house.settings)
        languages = house.settings.house.languages
        self._language = languages[0] if len(languages) == 1 else ""

    @cached_property
    def name(self) -> str:
        """Its rules and its key, by their digests."""
        return f"{self._engine}/key-{sha256_hex(self._key)[:8]}"

    @cached_property
    def _key(self) -> bytes:
        return TrainingFolder(self._house.root / TRAINING).key()

    @cached_property
    def _detector(self) -> Detector:
        return open_detector_for(self._house.settings, ordinary=ordinary_words(self._house.shelf.texts()))

    def disguise(self, texts: Sequence[str], *, progress: Callable[[int], None]) -> Disguised:
        """See ``Pseudonymiser``."""
        done = []
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            done += pseudonymise(batch, self._detector, self._key, language=self._language)
            progress(len(done))
        people = (
            frozenset(one.text[m.start : m.end].casefold() for m in one.mentions if m.kind == "person") for one in done
        )
        return Disguised(tuple(one.text for one in done), tuple(people), kinds(done))

    def check(self, replaced: Mapping[str, int]) -> PseudonymCheck:
        """On the packaged sample."""
        return replace(check(self._detector, read_sample()), replaced=dict(replaced))
