"""What is known of a house for its audit: each fact gathered once, when a rule first asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from freehold.auditing.asked import Answers, Asked, answers_of, asked_of
from freehold.auditing.passages import Passages, passages_of
from freehold.config import FILE_NAME
from freehold.core.ids import keyed_order
from freehold.core.shelf import Hold
from freehold.core.traffic import Volume
from freehold.core.training import PseudonymCheck
from freehold.core.watch import Watch
from freehold.detectors import open_detector_for
from freehold.house import Health, House
from freehold.journeys.ingest import Progress, in_context
from freehold.measuring import watch as watching
from freehold.measuring.canaries import canaries_of, found
from freehold.privacy.check import check, read_sample
from freehold.records.facts import Facts as Records
from freehold.schedule import Planned, planned
from freehold.store.ledger import Damage

RECHECKED = 32
"""Passages that are embedded again, to see whether their vectors are the live embedder's."""
PROBED = 50
"""Passages by which the search in the index is held against the exact one."""
NEIGHBOURS = 10
_AT_A_TIME = 1_000


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of the house, held against the embedder that serves."""

    made: int
    """Passages that have one by it."""
    unmade: int
    checked: int
    """Embedded again."""
    changed: tuple[str, ...]
    """Ids of documents of those that came out otherwise."""
    lowest: float | None
    """Cosine between what is kept and what came out."""


@dataclass(frozen=True, slots=True)
class Recall:
    """How many of the ten nearest passages the index finds."""

    value: float
    """Mean share, in [0, 1]."""
    probes: int


class HouseFacts:
    """The facts of one house at one time. Reading them changes nothing. Raises as the stores and models do."""

    def __init__(self, house: House, *, now: datetime, questions: Path | None, progress: Progress) -> None:
        """``questions``: a labelled set to measure by; None: the one that ``gate.dataset`` names, if it does."""
        self.house, self.settings, self.now = house, house.settings, now
        self.records = Records(house, now)
        """What the officer's records are made from: endpoints, requests, versions."""
        self._questions, self._progress = questions, progress

    # -- what is asked, and answered ---------------------------------------------------------------------------------

    @cached_property
    def asked(self) -> Asked | None:
        """Labelled questions and what the search made of them; None where there are none."""
        part = self.settings.gate
        path = self._questions or (self.house.root / part.dataset if part.dataset else None)
        split = None if self._questions else part.split or None
        return asked_of(self.house, path, split, self._progress) if path else None

    @cached_property
    def answers(self) -> Answers | None:
        """Labelled answers and what was answered; None where there are none."""
        return answers_of(self.house, self.asked, self._progress) if self.asked and self.asked.labels.gold else None

    @cached_property
    def canaries(self) -> tuple[int, tuple[str, ...]]:
        """How many there are, and the ids of those whose answer is not found."""
        all_of_them = canaries_of(self.house) if self.settings.watch.canaries else []
        here = found(self.house, all_of_them)
        return len(all_of_them), tuple(one.id for one in all_of_them if one.id not in here)

    @cached_property
    def volume(self) -> Volume:
        return self.house.traffic.volume()

    # -- what is held ------------------------------------------------------------------------------------------------

    @cached_property
    def health(self) -> Health:
        return self.house.health()

    @cached_property
    def passages(self) -> Passages:
        return passages_of(self.house, self._progress)

    @cached_property
    def vectors(self) -> Vectors:
        encoder, shelf = self.house.crew.encoder, self.house.shelf
        made = shelf.chunk_ids(encoder.info.digest)
        some = keyed_order(made, "audit")[:RECHECKED]
        kept = list(shelf.indexable(some, encoder.info.digest))
        again = encoder.embed_documents([in_context(one.view.chunk) for one in kept]).vectors if kept else ()
        cosines = [float(one.dense @ vector) for one, vector in zip(kept, again, strict=True)]
        changed = {
            one.view.chunk.document_id
            for one, cosine in zip(kept, cosines, strict=True)
            if cosine < watching.SAME  # the watch's own limit
        }
        unmade = shelf.unmade(encoder.info.digest, dense=True, codes=False)
        return Vectors(len(made), len(unmade), len(kept), tuple(sorted(changed)), min(cosines, default=None))

    @cached_property
    def recall(self) -> Recall:
        """Of the search in the index, held against an exact one over the catalog's vectors of all passages."""
        shelf, digest = self.house.shelf, self.house.crew.encoder.info.digest
        ids = sorted(shelf.chunk_ids(digest))
        probes = [one.dense for one in shelf.indexable(keyed_order(ids, "recall")[:PROBED], digest)]
        if not probes:
            return Recall(0.0, 0)
        index, asked = self.house.engines(level=False).index, np.stack(probes)
        nearest = np.empty((len(probes), 0), np.float32)
        for start in range(0, len(ids), _AT_A_TIME):
            kept = np.stack([one.dense for one in shelf.indexable(ids[start : start + _AT_A_TIME], digest)])
            nearest = np.sort(np.hstack([nearest, asked @ kept.T]), axis=1)[:, -NEIGHBOURS:]
            self._progress("exact search", min(start + _AT_A_TIME, len(ids)), len(ids))
        shares = []
        for probe, true in zip(probes, nearest, strict=True):
            hits = [hit.chunk_id for hit in index.search(dense=probe, limit=NEIGHBOURS)["dense"]]
            worst = true[0] - 1e-5  # passages as near as the last are as good
            found = sum(float(one.dense @ probe) >= worst for one in shelf.indexable(hits, digest))
            shares.append(found / len(true))
        return Recall(float(np.mean(shares)), len(shares))

    @cached_property
    def languages(self) -> Counter[str]:
        """Language that a document seems to be in, of any -> documents."""
        from freehold.text.language import detect

        return Counter(detect(words.text) for words in self.house.shelf.words())

    # -- what is owed to people --------------------------------------------------------------------------------------

    @cached_property
    def surveyed(self) -> tuple[int, Mapping[str, int]]:
        """Documents that were read for people, and kind -> mentions."""
        return self.house.shelf.surveyed()

    @cached_property
    def detector(self) -> PseudonymCheck:
        """What the detector misses on the packaged sample. Raises ModelNotFound where it is not here."""
        return check(open_detector_for(self.settings), read_sample())

    @cached_property
    def holds(self) -> Mapping[str, Hold]:
        return self.house.shelf.holds()

    # -- what is promised --------------------------------------------------------------------------------------------

    @cached_property
    def damages(self) -> Sequence[Damage]:
        return self.house.ledger.verify()

    @cached_property
    def schedule(self) -> Sequence[Planned]:
        return planned(self.house, self.now)

    @cached_property
    def watch(self) -> Watch:
        return watching.last(self.house)

    @cached_property
    def settings_text(self) -> str:
        return (self.house.root / FILE_NAME).read_text(encoding="utf-8")

    def told(self) -> Mapping[str, str]:
        """What was audited, in a few lines; nothing is asked for its sake."""
        stats = self.house.stats()
        languages = ", ".join(f"{code} {count:,}" for code, count in sorted(stats.languages.items()))
        told = {
            "documents": f"{stats.documents:,}" + (f" ({languages})" if languages else ""),
            "passages": f"{stats.chunks:,}",
            "embedder": self.settings.embedder_model,
            "generator": self.settings.generator.kind,
        }
        if asked := self.__dict__.get("asked"):
            told["labelled questions"] = f"{asked.questions:,}"
        return told
