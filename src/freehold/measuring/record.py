"""The record of an experiment, made in one place: runs, house, models, settings, versions, machine."""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from freehold import __version__
from freehold.config import Secret, Settings
from freehold.core.experiment import (
    Ambiguity,
    AnswerResult,
    Comparison,
    DatasetInfo,
    Experiment,
    HouseInfo,
    Load,
    Quantiles,
    RunResult,
    Study,
    Verdict,
)
from freehold.core.ids import new_id, sha256_hex
from freehold.core.machine import cores
from freehold.core.records import to_json
from freehold.house import House
from freehold.journeys.locate import Located
from freehold.journeys.search import Plan
from freehold.measure.assess import Assessment
from freehold.measure.labels import Labels
from freehold.measure.latency import quantiles
from freehold.measure.runs import write_run
from freehold.text.acronyms import Acronyms

PACKAGES = (
    "numpy", "onnxruntime", "onnx", "tokenizers", "qdrant-edge-py", "PyStemmer", "SQLAlchemy", "optuna",
    "sentence-transformers", "transformers", "torch", "peft", "xllamacpp",
)  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """Runs on labels, and what they were made of."""

    labels: Labels
    located: Located
    assessment: Assessment
    chunks: Mapping[str, Mapping[str, str]]
    """Query id -> document or passage -> chunk that stood for it."""
    acronyms: Acronyms | None = None

    def run_files(self) -> Mapping[str, bytes]:
        """Run name -> TREC run file."""
        return {name: write_run(run, tag=name) for name, run in self.assessment.runs.items()}


@dataclass(frozen=True)
class Kept:
    """An experiment as it was kept, with what it was computed from."""

    experiment: Experiment
    evaluation: Evaluation


def keep(
    kind: Literal["eval", "compare", "gate", "tune", "train"],
    house: House,
    evaluation: Evaluation,
    *,
    plans: Mapping[str, Plan],
    timings: Mapping[str, Sequence[Mapping[str, float]]],
    served: str,
    call: Mapping[str, object],
    comparisons: tuple[Comparison, ...],
    started: float,
    generator: bool = False,
    load: Mapping[str, tuple[Load, ...]] | None = None,
    ambiguity: Ambiguity | None = None,
    answers: AnswerResult | None = None,
    verdict: Verdict | None = None,
    study: Study | None = None,
) -> Kept:
    """Make the record and keep it in the house. ``started``: ``time.perf_counter()`` when the work began."""
    assessment = evaluation.assessment
    experiment = Experiment(
        id=new_id(),
        kind=kind,
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        dataset=_dataset(evaluation.labels, evaluation.located),
        house=_house(house),
        models=_models(house, generator=generator),
        settings=in_force(house.settings),
        settings_passed=_passed(house.settings, call),
        versions=versions(),
        machine=_machine(),
        seed=assessment.seed,
        resamples=assessment.resamples,
        runs=_run_results(assessment, plans, timings, served=served, load=load or {}),
        comparisons=comparisons,
        ambiguity=ambiguity,
        answers=answers,
        verdict=verdict,
        study=study,
        seconds=round(time.perf_counter() - started, 3),
    )
    house.experiments.put(experiment, evaluation.run_files())
    return Kept(experiment, evaluation)


def _run_results(
    assessment: Assessment,
    plans: Mapping[str, Plan],
    timings: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    served: str,
    load: Mapping[str, tuple[Load, ...]],
) -> tuple[RunResult, ...]:
    """A result for each run, in order."""
    results = []
    for name, (whole, *parts) in assessment.estimates().items():
        own = timings.get(name, ())
        results.append(
            RunResult(
                name=name,
                plan=to_json(plans[name]) if name in plans else {},
                served=name == served,
                measures=whole.measures,
                slices=tuple(parts),
                latency_ms=_stages(own),
                timings_ms=tuple(one["total"] for one in own),
                load=load.get(name, ()),
            )
        )
    return tuple(results)


def _stages(timings: Sequence[Mapping[str, float]]) -> Mapping[str, Quantiles]:
    """Quantiles of each stage's milliseconds."""
    names = dict.fromkeys(name for one in timings for name in one)
    return {name: quantiles([one[name] for one in timings if name in one]) for name in names}


def _dataset(labels: Labels, located: Located) -> DatasetInfo:
    """Which labels, exactly."""
    return DatasetInfo(
        name=labels.name,
        path=str(labels.path.resolve()),
        split=labels.split,
        digest=labels.digest,
        unit=labels.unit,
        queries=len(labels.qrels),
        missing=len(located.missing),
    )


def _house(house: House) -> HouseInfo:
    """Which documents and index, exactly."""
    stats, generation = house.stats(), house.generation()
    return HouseInfo(
        name=house.settings.house.name,
        documents=stats.documents,
        chunks=stats.chunks,
        revision=house.shelf.revision,
        generation=generation.name if generation else "",
    )


def _models(house: House, *, generator: bool) -> Mapping[str, str]:
    """Role and name -> digest; for what is code rather than weights, the name says its version."""
    info = house.embedder.info
    found = {f"embedder {info.name}": info.digest, f"terms {house.terms.name}": sha256_hex(house.terms.name.encode())}
    if house.reranker:
        found[f"reranker {house.reranker.name}"] = house.reranker.digest
    found |= {f"version {made.id} ({role})": made.digest for role, made in house.crew.versions.items()}
    if generator:
        found[f"generator {house.generator.name}"] = ""
    return found


def in_force(settings: Settings) -> Mapping[str, object]:
    """Every setting; secrets as where they are kept."""
    return {key: _plain(value) for key, value, _ in settings.items()}


def _passed(settings: Settings, call: Mapping[str, object]) -> Mapping[str, object]:
    """The settings that somebody chose, and what the call asked for."""
    chosen = {key: _plain(value) for key, value, origin in settings.items() if origin != "default"}
    return {**chosen, **{f"--{name}": value for name, value in call.items() if value is not None}}


def differences(house: House, other: House) -> Mapping[str, object]:
    """What another house has otherwise than this one: settings, index, documents."""
    own, theirs = in_force(house.settings), in_force(other.settings)
    found = {key: value for key, value in theirs.items() if value != own[key]}
    info = _house(other)
    return {**found, "generation": info.generation, "documents": info.documents, "chunks": info.chunks}


def _plain(value: object) -> object:
    if isinstance(value, Secret):
        return f"a secret in {value.env or value.file}"
    return list(value) if isinstance(value, tuple) else value


def versions() -> Mapping[str, str]:
    """Python's, Freehold's, and those of the packages that figures depend on."""
    found = {"python": platform.python_version(), "freehold": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> Mapping[str, object]:
    """Cores, processor, system, and the most memory that this process ever held."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, 1),
    }
