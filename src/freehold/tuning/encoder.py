"""``freehold tune embedder`` and ``tune reranker``: encoders fine-tuned, exported, checked and measured."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from freehold.core.errors import ModelMismatch, SettingsError, UsageError
from freehold.core.experiment import Study
from freehold.core.files import shred_tree, write_durably
from freehold.core.ids import canonical_json, sha256_hex
from freehold.core.records import from_json, to_json
from freehold.core.training import ExampleTexts
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.models.facts import ModelFacts, facts_for
from freehold.models.manifest import locate
from freehold.train.search import Outcome, Report
from freehold.train.settings import CrossEncoderTraining, EmbedderTraining, LateInteractionTraining, TrainingOutcome
from freehold.tuning.candidate import Making, Tuned, admit, at_work, workplace
from freehold.tuning.hyper import Hyper, settings_of, study_of
from freehold.tuning.pool import Pool
from freehold.tuning.sets import TrainingSet

Kind = Literal["embedder", "late-interaction", "cross-encoder"]
Settings: TypeAlias = EmbedderTraining | LateInteractionTraining | CrossEncoderTraining

SETTINGS: Mapping[Kind, type[Settings]] = {
    "embedder": EmbedderTraining,
    "late-interaction": LateInteractionTraining,
    "cross-encoder": CrossEncoderTraining,
}
SPACES: Mapping[Kind, tuple[str, ...]] = {
    "embedder": ("learning_rate=2e-5..3e-4:log", "epochs=1|2|3", "temperature=0.02..0.1:log", "negatives=1|2|4"),
    "late-interaction": ("learning_rate=2e-5..3e-4:log", "epochs=1|2|3", "temperature=0.02..0.1:log"),
    "cross-encoder": ("learning_rate=2e-5..3e-4:log", "epochs=2|4|8", "negatives=3|7"),
}
"""What is searched where nothing else is asked for."""
CALIBRATION_TEXTS = 64
"""Passages learnt from that the int8 weights are rounded for; more changed nothing."""
LOWEST_COSINE = 0.985
"""Mean, between the vectors of the int8 graph and of the trained weights."""
MOST_LOSS = 0.01
"""Of nDCG@10 on the dev pool, by the int8 graph against the trained weights, beyond one standard error."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to train, and how."""

    kind: Kind
    settings: Settings
    base: Path | None = None
    """Folder to start from; None: the house's embedder as it was before any tuning, or what serves, for a reranker."""
    hyper: Hyper = field(default_factory=Hyper)
    call: Mapping[str, object] = field(default_factory=dict)


def settings_for(kind: Kind, texts: Sequence[str], given: Mapping[str, Any]) -> Settings:
    """Training settings of a kind from ``key=value`` and from options, of which None says nothing."""
    found = {**settings_of(SETTINGS[kind], texts), **{key: value for key, value in given.items() if value is not None}}
    return SETTINGS[kind](**found)


def tune_encoder(house: House, data: TrainingSet, request: Request, *, progress: Progress) -> Tuned:
    """Train, export to int8, compare with the trained weights, measure as it would be served, keep as a candidate.

    What was interrupted goes on where it was. Raises SettingsError without sentence-transformers, or where the house's
    embedder is no folder; UsageError for too few examples; ModelMismatch where the export is too far from the weights;
    what ``freehold.train`` raises where training fails. Whatever happens, nothing that serves is touched.
    """
    started = time.perf_counter()
    base, facts = _base(house, request)
    task = Task(
        kind=request.kind,
        base=base,
        facts=facts,
        settings=request.settings,
        examples=tuple(data.texts("train")),
        pool=Pool.of(house, data, seed=request.settings.seed),
    )
    study: Study | None = None
    if request.hyper.trials:
        task, study = _searched(house, data, task, request, progress)
    work = workplace(house, f"{request.kind}-{task.digest[:12]}", data)
    with at_work(work):
        tuned = _tuned(house, data, request, task, work, study, started, progress)
    shred_tree(work)
    return tuned


def _tuned(
    house: House,
    data: TrainingSet,
    request: Request,
    task: Task,
    work: Path,
    study: Study | None,
    started: float,
    progress: Progress,
) -> Tuned:
    outcome = task.train(work, progress)
    made = work / "model"
    checks = task.check(made, outcome)
    making = Making(
        role="embedder" if request.kind == "embedder" else "reranker",
        kind=("lora" if task.settings.lora_rank else "full") if request.kind == "embedder" else request.kind,
        base=str(request.base) if request.base else house.settings.embedder_model,
        bound=False,
        seed=task.settings.seed,
        settings=_plain(asdict(task.settings)),
        call=request.call,
        started=started,
        checks=checks,
        study=study,
        serving={} if request.kind == "embedder" else {"reranker.kind": request.kind},
        notes=_notes(outcome),
    )
    return admit(house, data, made, making, progress=progress)


def _base(house: House, request: Request) -> tuple[Path, ModelFacts]:
    if request.base is not None:
        return request.base, facts_for(str(request.base), request.base)
    if house.settings.embedder.kind == "openai":
        hint = "give the folder of a model to start from with --base; a query adapter needs none: freehold tune adapter"
        raise SettingsError("the house's embedder is an endpoint, which cannot be fine-tuned from here", hint=hint)
    name = house.settings.embedder_model
    if request.kind == "embedder":
        folder = locate(name)
        return folder, facts_for(name, folder)
    folder = locate(house.crew.model)
    return folder, facts_for(name, folder)


def _searched(house: House, data: TrainingSet, task: Task, request: Request, progress: Progress) -> tuple[Task, Study]:
    space = request.hyper.space or SPACES[request.kind]
    objective = Objective(task, workplace(house, f"trials-{task.digest[:12]}", data))
    with at_work(objective.work):
        found = request.hyper.run(
            house,
            objective,
            space,
            default=asdict(task.settings),
            identity=[task.digest, data.manifest.root],
            training=data,
            seed=request.settings.seed,
            progress=progress,
        )
    default = asdict(task.settings)
    told = "nDCG@10 on the dev pool"
    study = study_of(found, request.hyper, data, default=default, measure=told, seed=request.settings.seed)
    shred_tree(objective.work)
    return task.with_settings(found.best), study


@dataclass(frozen=True)
class Task:
    """A training with all that it takes, so that it can be sent to another process."""

    kind: Kind
    base: Path
    facts: ModelFacts
    settings: Settings
    examples: tuple[ExampleTexts, ...]
    pool: Pool

    @property
    def digest(self) -> str:
        """Of all that decides the weights."""
        what = [self.kind, str(self.base), asdict(self.facts), _plain(asdict(self.settings)), self.pool.digest]
        examples = [sha256_hex(canonical_json(asdict(example)).encode()) for example in self.examples]
        return sha256_hex(canonical_json([*what, examples]).encode())

    def with_settings(self, values: Mapping[str, Any]) -> Task:
        """The same with other settings. Raises UsageError for a name that this kind of training does not have."""
        try:
            return replace(self, settings=replace(self.settings, **values))
        except TypeError:
            hint = f"a {self.kind} has: {', '.join(asdict(self.settings))}"
            raise UsageError(f"{', '.join(values)} cannot all be searched", hint=hint) from None

    def train(self, work: Path, progress: Progress, report: Report | None = None) -> TrainingOutcome:
        """Train into ``work/model``, or take what an earlier call left there whole."""
        record = work / "outcome.json"
        if record.exists() and (work / "model").is_dir():
            return from_json(TrainingOutcome, json.loads(record.read_bytes()))
        shred_tree(work / "model")
        outcome = self._train(work, progress, report)
        write_durably(record, canonical_json(to_json(outcome)).encode())
        return outcome

    def _train(self, work: Path, progress: Progress, report: Report | None) -> TrainingOutcome:
        from freehold.train.embedder import train_embedder
        from freehold.train.reranker import train_cross_encoder, train_late_interaction

        places: dict[str, Any] = {"out": work / "model", "checkpoints": work / "checkpoints"}
        shared: dict[str, Any] = {**places, "progress": progress, "report": report}
        pool = self.pool
        if isinstance(self.settings, EmbedderTraining):
            shared["dev"] = lambda encode: float(pool.by_vectors(encode).mean())
            return train_embedder(self.base, self.examples, self.settings, facts=self.facts, **shared)
        if isinstance(self.settings, LateInteractionTraining):
            shared["dev"] = lambda encode: float(pool.by_tokens(encode).mean())
            return train_late_interaction(self.base, self.examples, self.settings, facts=self.facts, **shared)
        shared["dev"] = lambda score: float(pool.by_pairs(score).mean())
        usable = [example for example in self.examples if set(example.negatives) - set(example.positives)]
        return train_cross_encoder(self.base, usable, self.settings, max_tokens=self.facts.max_tokens, **shared)

    def check(self, made: Path, outcome: TrainingOutcome) -> Mapping[str, float]:
        """How far the int8 graph is from the trained weights. Raises ModelMismatch where it is too far."""
        from freehold.tuning import export

        if self.kind == "cross-encoder":
            checks = export.compare_pairs(made, self.pool)
        else:
            learnt = [example.positives[0] for example in self.examples[:CALIBRATION_TEXTS]]
            tokens = self.kind == "late-interaction"
            checks = export.compare_encoders(made, self.facts, self.pool, learnt, tokens=tokens)
        if checks["cosine"] < LOWEST_COSINE or checks["ndcg_loss"] - checks["ndcg_loss_error"] > MOST_LOSS:
            raise ModelMismatch(
                f"the int8 form of what was trained has cosine {checks['cosine']:.4f} to its weights and loses "
                f"{checks['ndcg_loss']:.4f} ± {checks['ndcg_loss_error']:.4f} of nDCG@10",
                hint=f"at least {LOWEST_COSINE} and at most {MOST_LOSS} are taken: train with a lower learning rate",
            )
        told = {"dev_before": outcome.dev_before, "dev_after": outcome.dev}
        figures = {"steps": outcome.steps, "steps_per_s": outcome.steps_per_s, "peak_memory_mb": outcome.peak_memory_mb}
        return {**checks, **{key: float(value) for key, value in {**told, **figures}.items() if value is not None}}


@dataclass
class Objective:
    """A trial: the best dev score of a training with these settings. Its weights are not kept."""

    task: Task
    work: Path

    def __call__(self, settings: Mapping[str, Any], report: Report) -> Outcome:
        """See ``freehold.train.search.search``."""
        task = self.task.with_settings(settings)
        place = self.work / task.digest[:12]
        with at_work(self.work):
            place.mkdir(exist_ok=True)
            try:
                outcome = task.train(place, lambda _stage, _done, _total: None, report)
            finally:
                shred_tree(place / "model")
        return Outcome(outcome.dev or 0.0, queries=len(task.pool.queries))


def _notes(outcome: TrainingOutcome) -> tuple[str, ...]:
    notes = []
    if outcome.best_step == 0:
        notes.append("no evaluation was better than the model it started from, whose weights were kept")
    if outcome.stopped_early:
        notes.append(f"stopped after {outcome.steps} of {outcome.planned_steps} steps: dev no longer rose")
    if outcome.retried_with_caching:
        notes.append("memory ran out: gradients were cached by small batches")
    return tuple(notes)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it."""
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain
