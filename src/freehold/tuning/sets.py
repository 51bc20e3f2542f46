"""A training set, opened in its house: examples, their words, and what its dev part is measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from freehold.core.errors import StorageFault, UsageError
from freehold.core.experiment import Unit
from freehold.core.shelf import ChunkView
from freehold.core.training import Example, ExampleTexts, Part
from freehold.house import House
from freehold.journeys.examples import root_of
from freehold.journeys.ingest import in_context
from freehold.measure.answers import Evidence
from freehold.measure.labels import LabelledQuery, Labels, part_of, read_labels
from freehold.store.training import Kept

TRAINING = "training"
"""Folder of the training sets in a house."""

DEV_SPLIT = "dev_split"
"""Key in the manifest's settings: the split of the labelled set that the dev part is from."""
DIGESTS = "digests"
"""Key in the manifest's settings: split of the labelled set, or kind of file -> digest."""


class TrainingSet:
    """A training set of a house. Words are looked up in the house when asked for: the set holds none of a document."""

    def __init__(self, house: House, kept: Kept) -> None:
        self._house = house
        self.name = kept.name
        self.folder = kept.folder
        self.manifest = kept.manifest
        self.examples = kept.examples
        """Of both parts, in the order of their ids."""
        self.epoch = house.shelf.fence.epoch
        """How often somebody had been fenced out when the set was opened."""
        self.gone: dict[Part, int] = {}
        """Part -> examples that ``texts`` left out, since none of their positives is in the house any more."""

    def part(self, part: Part) -> list[Example]:
        """The examples of one part, in the order of their ids."""
        return [example for example in self.examples if example.part == part]

    def texts(self, part: Part) -> list[ExampleTexts]:
        """The examples of one part in words, passages as the embedder reads them, in the order of their ids.

        A passage that is gone from the house is left out, and so is an example without a positive.
        """
        examples = self.part(part)
        views = self._house.shelf.views({id for example in examples for id in example.positives + example.negatives})
        texts = {chunk_id: in_context(view.chunk) for chunk_id, view in views.items()}

        def here(chunk_ids: Sequence[str]) -> tuple[str, ...]:
            return tuple(texts[chunk_id] for chunk_id in chunk_ids if chunk_id in texts)

        read = [ExampleTexts(e.id, e.query, here(e.positives), here(e.negatives)) for e in examples]
        present = [example for example in read if example.positives]
        self.gone[part] = len(read) - len(present)
        return present

    def dev_labels(self) -> Labels:
        """What the dev part is measured by, its queries worded as in the examples.

        For a part of a labelled set these are its own labels. Else they are the positives: as passages where all was
        imported or written for them, as documents where feedback spoke of documents. Raises UsageError where the
        labelled set has changed or is gone.
        """
        examples = self.part("dev")
        split = str(self.manifest.settings.get(DEV_SPLIT) or "")
        if split and all(example.query_id for example in examples):
            return self._original(split, {example.query_id: example.query for example in examples})
        return self._positives(examples)

    def _original(self, split: str, queries: Mapping[str, str]) -> Labels:
        labels = read_labels(Path(self.manifest.dataset), split)
        digests = self.manifest.settings.get(DIGESTS)
        if isinstance(digests, Mapping) and digests.get(split) != labels.digest:
            hint = "put it back as it was, or make the training set anew with freehold tune data"
            raise UsageError(f"{labels.path} has changed since the training set {self.name} was made of it", hint=hint)
        dev = part_of(labels, queries, "dev" if split == "dev" else f"{split} (dev)")
        return replace(dev, queries={id: replace(labelled, text=queries[id]) for id, labelled in dev.queries.items()})

    def _positives(self, examples: Sequence[Example]) -> Labels:
        by_passage = all(example.origin in {"import", "synthetic"} for example in examples)
        views = self._house.shelf.views({id for example in examples for id in example.positives})
        queries: dict[str, LabelledQuery] = {}
        qrels: dict[str, dict[str, int]] = {}
        at: dict[str, str] = {}
        spans: dict[str, Evidence] = {}
        for example in examples:
            found = [views[id] for id in example.positives if id in views]
            if not found:
                continue
            place = f"{self.folder / 'examples.jsonl'}: {example.id}"
            queries[example.id] = LabelledQuery(example.id, example.query, {}, place)
            for view in found:
                unit = _span_name(view) if by_passage else view.source
                qrels.setdefault(example.id, {})[unit] = 1
                at.setdefault(unit, place)
                if by_passage:
                    spans[unit] = Evidence(view.source, view.chunk.start, view.chunk.end)
        unit_of: Unit = "passage" if by_passage else "document"
        return Labels(self.name, self.folder, "dev", self.manifest.root, unit_of, queries, qrels, at, spans)


def opened(house: House, kept: Kept) -> TrainingSet:
    """The set in its house. Raises StorageFault where the examples are not those that its manifest was sealed over."""
    if root_of(kept.examples) != kept.manifest.root:
        hint = "restore its folder from a backup, or remove it and make the set again"
        raise StorageFault(f"the training set {kept.name} does not fit its seal", hint=hint, refs=(str(kept.folder),))
    return TrainingSet(house, kept)


def _span_name(view: ChunkView) -> str:
    return f"{view.source}[{view.chunk.start}:{view.chunk.end}]"
