"""What was measured, and what was decided on it: the nouns of evaluation and the port of the store that keeps them.

No data is not zero: a value that could not be computed is None and carries its reason. Of words a record holds slices'
values and the corpus's acronyms, and its run files the names of documents; texts are looked up when a report is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

P95_LATENCY = "p95 latency"
"""Name of the gate's check of times; all others are of measures."""

Decision = Literal["passed", "refused", "underpowered"]
Unit = Literal["document", "passage"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure's mean over queries."""

    measure: str
    value: float | None
    ci95: tuple[float, float] | None
    """Bootstrap interval over queries; None where there are too few."""
    queries: int
    """Queries that the mean is over."""
    judged: float | None = None
    """Share of the places down to the measure's cutoff (10 where it has none) that hold a labelled document."""
    reason: str = ""
    """Why there is no value or no interval."""


@dataclass(frozen=True, slots=True)
class SliceEstimates:
    """The same measures over a part of the queries. ``slice`` reads ``field=value``."""

    slice: str
    queries: int
    measures: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a sample of times or counts. ``p99`` is None below 100 values: the largest of a few is no 99th percentile."""

    p50: float | None
    p95: float | None
    p99: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Load:
    """Searches under load: each client is a process of its own that asks the next query when it has its answer."""

    clients: int
    queries_per_s: float
    latency_ms: Quantiles
    memory_mb: float
    """Proportional set size of all clients together."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """One way of searching, measured. The ranking itself is kept beside the record, as a TREC run file."""

    name: str
    plan: Mapping[str, object]
    served: bool
    """Whether this is what the house's settings serve."""
    measures: tuple[Estimate, ...]
    slices: tuple[SliceEstimates, ...] = ()
    latency_ms: Mapping[str, Quantiles] = field(default_factory=dict)
    """Per stage, of single searches asked one after another; ``total`` is the whole."""
    timings_ms: tuple[float, ...] = ()
    """Every single search's total, in the order asked."""
    load: tuple[Load, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired difference ``run`` minus ``base`` in one measure over one slice (empty: all queries)."""

    run: str
    base: str
    measure: str
    slice: str
    difference: float | None
    ci95: tuple[float, float] | None
    p: float | None
    """Two-sided, by sign-flip permutation."""
    p_holm: float | None
    """The same, corrected after Holm over all measures and slices of this pair of runs."""
    mde: float | None
    """Smallest true difference that this many queries show with 80 % power at 5 %, uncorrected."""
    queries: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """How well one sign of ambiguity tells the queries that fail: area under its ROC curve, 0.5 being chance."""

    name: str
    auc: float | None
    ci95: tuple[float, float] | None
    queries: int
    failures: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HardQuery:
    """A query whose meaning the corpus does not settle, and how it fared."""

    query_id: str
    ambiguity: float
    """Mean percentile of the signals among the queries at hand, in [0, 1]."""
    signals: Mapping[str, float]
    acronyms: Mapping[str, int]
    """Acronym in the query -> number of different expansions in the corpus."""
    value: float | None
    """Of the measure named in ``Ambiguity.measure``."""


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """Which queries are ambiguous, and whether that is where the search fails."""

    run: str
    measure: str
    failure: str
    """What counts as a failed query, in words."""
    signals: tuple[Signal, ...]
    queries: tuple[HardQuery, ...]
    """The most ambiguous first."""
    acronyms: Mapping[str, int] = field(default_factory=dict)
    """Every acronym of the corpus that has several expansions -> how many."""


@dataclass(frozen=True, slots=True)
class JudgeAgreement:
    """A judge of support held against labelled pairs of sentence and evidence."""

    judge: str
    pairs: int
    agreement: float | None
    ci95: tuple[float, float] | None
    kappa: float | None
    """Cohen's kappa: agreement beyond chance."""
    sensitivity: float | None
    """Share of the supported pairs that it calls supported."""
    specificity: float | None
    sample: str
    """Where the labelled pairs come from."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """Answers, measured on queries with labelled answers or labelled as unanswerable."""

    generator: str
    plan: str
    """Name of the run whose plan found the passages."""
    measures: tuple[Estimate, ...]
    judges: tuple[JudgeAgreement, ...]
    latency_ms: Mapping[str, Quantiles]
    tokens: Mapping[str, Quantiles]
    slices: tuple[SliceEstimates, ...] = ()
    failed: Mapping[str, int] = field(default_factory=dict)
    """Error code -> queries that ended in it; they count as unanswered."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question of the gate: is the candidate in this measure and slice no worse than the margin allows?"""

    name: str
    """``nDCG@10``, ``nDCG@10 on language=de`` or ``p95 latency``."""
    decision: Decision
    reason: str
    margin: float | None
    baseline: float | None
    candidate: float | None
    difference: float | None
    """Mean gain of the candidate: below 0 it does worse, also in a measure of which less is better."""
    ci: tuple[float, float] | None
    """Interval of the difference at level 1 - 2 alpha; its lower end is the one-sided bound that decides."""
    p_worse: float | None
    """Of a drop this large if there were none, one-sided, corrected after Holm over the gate's checks."""
    visible_drop: float | None
    """The smallest true drop that the gate refuses with 80 % power, given these queries."""
    queries: int
    queries_needed: int | None
    """Queries that would settle it with 80 % power if there is no true difference; None where it is settled."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's word. ``passed``: every check is; ``refused``: one is; else ``underpowered``."""

    decision: Decision
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    rules: Mapping[str, object]
    """The [gate] settings that were in force before the run."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting that a search tried."""

    number: int
    settings: Mapping[str, object]
    state: Literal["complete", "stopped", "over budget"]
    """``stopped``: clearly worse than the best on a subset of the queries."""
    quality: float | None
    p95_ms: float | None
    queries: int
    """Queries that ``quality`` is over."""
    seconds: float
    gain: float | None = None
    """Mean paired difference to the default."""
    gain_error: float | None = None
    """Its standard error."""


@dataclass(frozen=True, slots=True)
class Study:
    """A search over settings. What it found is reported on queries that it never saw."""

    name: str
    sampler: str
    seed: int
    measure: str
    p95_limit_ms: float | None
    splits: tuple[str, ...]
    queries: int
    trials: tuple[Trial, ...]
    best: int
    """Number of the trial within the latency limit whose gain, less its standard error, is the largest; the default has
    0 and stays where no other is surely enough above it."""
    default: int
    """Number of the trial that holds the house's own settings."""
    pareto: tuple[int, ...]
    """Numbers of the trials that none beats in both quality and latency, fastest first."""
    importance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """Which questions and labels, exactly."""

    name: str
    path: str
    split: str
    digest: str
    """sha256 over the files that were read."""
    unit: Unit
    queries: int
    """Queries with relevance labels in this split."""
    missing: int = 0
    """Labelled documents that the house does not hold; they count as missed."""


@dataclass(frozen=True, slots=True)
class HouseInfo:
    """Which house, exactly."""

    name: str
    documents: int
    chunks: int
    revision: int
    generation: str


@dataclass(frozen=True, slots=True)
class Experiment:
    """One measurement with everything that is needed to repeat it."""

    id: str
    kind: Literal["eval", "compare", "gate", "tune", "train"]
    created: str
    """ISO 8601 in UTC."""
    dataset: DatasetInfo
    house: HouseInfo
    models: Mapping[str, str]
    """Role and name -> digest."""
    settings: Mapping[str, object]
    """Every setting in force."""
    settings_passed: Mapping[str, object]
    """Those of them that are not defaults, and what the call asked for."""
    versions: Mapping[str, str]
    machine: Mapping[str, object]
    seed: int
    resamples: int
    runs: tuple[RunResult, ...]
    comparisons: tuple[Comparison, ...] = ()
    ambiguity: Ambiguity | None = None
    answers: AnswerResult | None = None
    verdict: Verdict | None = None
    study: Study | None = None
    seconds: float = 0.0


class Experiments(Protocol):
    """The store of experiments. Every method raises StorageFault when the disk or the files fail."""

    def put(self, experiment: Experiment, runs: Mapping[str, bytes]) -> None:
        """Keep it and its TREC run files by run name, whole or not at all; durable on return."""
        ...

    def clear(self) -> None:
        """Overwrite what crashes left of experiments that were being kept."""
        ...

    def get(self, reference: str) -> Experiment:
        """By id, by the beginning of an id, or ``latest``. Raises UsageError where none or several fit."""
        ...

    def run_file(self, experiment_id: str, run: str) -> Path:
        """Where the ranking of a run lies. Raises UsageError, naming those there are, where there is none."""
        ...

    def all(self) -> tuple[Experiment, ...]:
        """All, the oldest first."""
        ...
