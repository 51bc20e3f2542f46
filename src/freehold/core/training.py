"""What models learn from, and what comes of it: the nouns of training and the port of the store that keeps versions.

An example names passages by chunk id and holds no word of a document, only its query, in which people stand under
surrogates. A model version names the manifest it was trained on, and by it every document that it learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from freehold.core.experiment import Comparison, Estimate

Role = Literal["embedder", "adapter", "reranker", "fusion"]
"""What a version does in the search. At most one version of each role is live."""

Origin = Literal["qrels", "feedback", "import", "synthetic"]
"""Where a query and its relevant passages were taken from."""

Part = Literal["train", "dev"]
"""``dev`` is never trained on: it decides when to stop and which setting is best."""

State = Literal["candidate", "live", "retired", "tainted"]

LineupVerb = Literal["made", "promote", "rollback", "stand down"]
"""How a lineup came into service. ``stand down``: versions had to leave, since they may not serve any more."""


@dataclass(frozen=True, slots=True)
class Example:
    """A query with passages that answer it and passages that look as if they did."""

    id: str
    """Random. The order in training is by a keyed hash of it: taking one away does not reorder the others."""
    query: str
    """People and identifiers in it are surrogates."""
    positives: tuple[str, ...]
    """Chunk ids, the best known first."""
    negatives: tuple[str, ...]
    """Chunk ids of hard negatives, the hardest first."""
    documents: tuple[str, ...]
    """Ids of all documents that a passage of it is from. A changed document gets a new id: an id names a version."""
    origin: Origin
    part: Part
    salt: str
    """Hex, 16 random bytes: hides what the commitment in the manifest is of, and goes when the example goes."""
    query_id: str = ""
    """Of the labelled set, where it comes from one."""
    salience: float = 1.0
    """Weight among the examples: 1 for a label, less for a click."""


@dataclass(frozen=True, slots=True)
class ExampleTexts:
    """An example in words, as a trainer takes it."""

    id: str
    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PseudonymCheck:
    """How well people are found, counted on labelled text: what slipped through there will slip through here."""

    detector: str
    """Name and version."""
    replaced: Mapping[str, int]
    """Kind of mention -> how many were replaced in the queries of this set."""
    sample: str
    """Which labelled text."""
    labelled: int
    """Mentions labelled in the sample."""
    missed: int
    """Mentions of which some part was left in clear."""
    miss_rate_ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a training set was made of, sealed: its root commits to every example and to their number."""

    root: str
    """Hex Merkle tree hash (RFC 6962 2.1, SHA-256) over the examples' salted commitments in the order of their ids."""
    examples: Mapping[str, int]
    """Part -> number of examples."""
    documents: tuple[str, ...]
    """Ids of all documents that any example, of either part, is from; sorted."""
    origins: Mapping[str, int]
    dataset: str
    """Path or name of what it was made from."""
    dataset_digest: str
    splits: tuple[str, ...]
    revision: int
    """The catalog's revision that it was made at."""
    embedder: str
    """Digest of the embedder that mined the negatives."""
    seed: int
    created: str
    """ISO 8601 in UTC."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason -> queries that are in no part: near-duplicates across parts, positives that are not here, and so on."""
    false_negatives: int = 0
    """Mined passages that were left out because they scored too near to a positive."""
    pseudonyms: PseudonymCheck | None = None
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A trained model, or fitted weights, as the registry keeps them: everything needed to make it again."""

    id: str
    role: Role
    kind: str
    """How it was made: ``full``, ``lora``, ``residual``, ``late-interaction``, ``cross-encoder``, ``weights``."""
    base: str
    """Name of the model it started from, or beside which it works."""
    base_digest: str
    """Digest of the embedder that was live when it was trained."""
    bound: bool
    """Whether it only works beside that embedder: true of all but embedders, late interaction and cross-encoders."""
    manifest: str
    """Root of the training set's manifest, a copy of which lies in the version's folder as ``manifest.json``."""
    seed: int
    settings: Mapping[str, object]
    """Of the training: learning rate, epochs, and so on."""
    serving: Mapping[str, object]
    """Settings (dotted keys of freehold.toml) that go into force with it: fusion weights fitted for it."""
    metrics: tuple[Estimate, ...]
    """On the dev part, of the search as it would be served: fused and reranked."""
    baseline: tuple[Estimate, ...]
    """The same of what was live."""
    comparisons: tuple[Comparison, ...]
    """``candidate`` minus ``live``, paired, on the dev part."""
    checks: Mapping[str, float]
    """Of the export: cosine between the ONNX int8 form and the torch weights, loss of nDCG, and the like."""
    files: Mapping[str, str]
    """Path in the version's folder -> sha256."""
    digest: str
    """sha256 over ``files`` that decide what it computes: equal training gives an equal digest."""
    created: str
    """ISO 8601 in UTC."""
    seconds: float
    experiment: str = ""
    """Id of the experiment that holds its dev figures, runs and search over settings."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the packages that it was made with."""
    tainted: str = ""
    """Why it may never be live again; empty: it may."""


@dataclass(frozen=True, slots=True)
class Lineup:
    """Which versions serve together. A role without a version is as the settings say."""

    number: int
    versions: Mapping[Role, str]
    """Role -> version id."""
    since: str
    """ISO 8601 in UTC."""
    verb: LineupVerb
    before: int | None
    """Number of the lineup that a rollback returns to; None for the first."""
    experiment: str = ""
    """The gate's experiment that let it in."""


class Registry(Protocol):
    """The store of model versions and of the lineup that serves.

    Every method raises StorageFault when the disk or the files fail.
    """

    def put(self, version: ModelVersion, made: Path) -> None:
        """Keep a version: ``made`` is a folder with exactly its files, which is moved; whole or not at all, durable."""
        ...

    def get(self, reference: str) -> ModelVersion:
        """By id, by the beginning of an id, or ``latest``. Raises UsageError where none or several fit."""
        ...

    def all(self) -> tuple[ModelVersion, ...]:
        """All, the oldest first."""
        ...

    def state(self, version_id: str) -> State: ...

    def folder(self, version_id: str) -> Path:
        """Where its files lie, each checked against its digest. Raises ModelMismatch where one is not as recorded."""
        ...

    def taint(self, version_id: str, reason: str) -> None:
        """Mark a version that may never be live again; durable on return."""
        ...

    def remove(self, version_id: str) -> None:
        """Overwrite and remove a version. Raises UsageError while it is live."""
        ...

    def clear(self) -> None:
        """Overwrite what crashes left of versions that were being kept or removed."""
        ...

    def lineup(self) -> Lineup:
        """What serves. Read anew each time; costs a stat while nothing changed."""
        ...

    def lineups(self) -> tuple[Lineup, ...]:
        """All there were, the oldest first."""
        ...

    def before(self, lineup: Lineup) -> Lineup:
        """The lineup that a rollback of this one returns to. Raises UsageError where there is none."""
        ...

    def switch(self, versions: Mapping[Role, str], *, verb: LineupVerb, experiment: str = "") -> Lineup:
        """Put a lineup into service by replacing one file. ``rollback`` returns to the one before, whatever is given,
        and nothing returns to before a ``stand down``.

        Raises UsageError where there is nothing to return to, ModelMismatch for a tainted version.
        """
        ...
