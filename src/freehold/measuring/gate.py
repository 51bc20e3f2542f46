"""``freehold eval --compare`` and ``freehold gate``: two ways of searching on the same questions.

What is compared may be the house as it is (``live``), a settings file, the folder of another house, an experiment's run
(``ID`` or ``ID:RUN``), a model version (``model:ID``), or a TREC run file. Whatever it is becomes a run, and times
where it could be timed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from freehold import config
from freehold.core.errors import SettingsError, UsageError
from freehold.core.experiment import Experiment, Verdict
from freehold.core.types import Query
from freehold.house import House, open_house
from freehold.journeys.evaluate import RUN_DEPTH, Retrieved, checked_queries, retrieve, time_searches
from freehold.journeys.ingest import Progress
from freehold.journeys.locate import Located, locate
from freehold.journeys.search import Engines, Plan
from freehold.measure.assess import Assessment, Run
from freehold.measure.gate import Rules, judge, parse_measures
from freehold.measure.labels import Labels, read_labels
from freehold.measure.ranking import Measure
from freehold.measure.runs import read_run
from freehold.measure.slices import make_slices
from freehold.measure.stats import RESAMPLES
from freehold.measuring import record
from freehold.measuring.evaluate import MEASURES, SEARCHES, fields_of

LIVE = "live"
MODEL = "model:"
"""Before the id of a model version."""
CANDIDATE = "candidate"
_TRIABLE = ("retrieval.", "reranker.")
_REFERENCE = re.compile(r"latest|[0-9a-f-]{4,36}")
_BEYOND = "what changes chunks or vectors needs an index of its own: make a house with it and give its folder"


@dataclass(frozen=True)
class Contender:
    """One side. Either a plan that can be searched on a house, or a ready run."""

    told: str
    """What the caller wrote."""
    plan: Plan | None = None
    house: House | None = None
    """Whose engines the plan is searched with."""
    engines: Engines | None = None
    """Others to search it with than those that serve in ``house``."""
    run: Run | None = None
    timings_ms: tuple[float, ...] = ()
    experiment: Experiment | None = None


@dataclass
class _Match:
    """Both sides, searched."""

    runs: dict[str, Run]
    plans: dict[str, Plan]
    located: Located
    timings: Mapping[str, Sequence[Mapping[str, float]]]
    retrieved: Retrieved | None
    """By the later side that could be searched: what the ambiguity of queries is read from."""
    chunks: dict[str, dict[str, str]]


def contender(house: House, told: str, stack: ExitStack) -> Contender:
    """What ``told`` means; houses opened for it close with ``stack``. Raises UsageError, SettingsError."""
    path = Path(told)
    if told.startswith(MODEL):
        return _version(house, told, stack)
    if told == LIVE:
        return Contender(told, house.plan(), house)
    if path.is_dir():
        other = stack.enter_context(open_house(path))
        return Contender(told, other.plan(), other)
    if path.suffix == ".toml" and path.exists():
        return Contender(told, _plan_of_file(house, path), house)
    if path.exists():
        return Contender(told, run=read_run(path))
    reference, _, name = told.partition(":")
    if not _REFERENCE.fullmatch(reference):
        raise UsageError(
            f"{told} is no file, no house and no experiment",
            hint="give a settings file, a run file, a house, ID or ID:RUN of an experiment, model:ID, or live",
        )
    experiment = house.experiments.get(reference)
    names = [result.name for result in experiment.runs]
    chosen = name or next((r.name for r in experiment.runs if r.served), names[-1])
    run = read_run(house.experiments.run_file(experiment.id, chosen))
    timings = next((r.timings_ms for r in experiment.runs if r.name == chosen), ())[: experiment.dataset.queries]
    return Contender(f"{experiment.id[:8]}:{chosen}", run=run, timings_ms=timings, experiment=experiment)


def _version(house: House, told: str, stack: ExitStack) -> Contender:
    """A model version in its role, beside the others that serve."""
    version = house.registry.get(told.removeprefix(MODEL))
    together, _ = house.lineup_with(version)
    crew = house.crew_of({role: other.id for role, other in together.items()})
    if not house.is_ready(crew):
        hint = f"freehold models promote {version.id[:8]} makes its vectors, judges it, and swaps it in if it passes"
        raise UsageError(f"model version {version.id[:8]} has no vectors of these documents yet", hint=hint)
    engines = stack.enter_context(house.engines_of(crew))
    return Contender(f"{MODEL}{version.id}", house.plan(crew=crew), house, engines)


def _plan_of_file(house: House, path: Path) -> Plan:
    """A plan on this house from the retrieval settings of a file. Raises SettingsError for others that differ."""
    other = config.load(path)
    own = {key: value for key, value, _ in house.settings.items()}
    for key, value, origin in other.items():
        if origin != "default" and not key.startswith(_TRIABLE) and value != own[key]:
            raise SettingsError(f"{key} at {origin} cannot be tried on this house", hint=_BEYOND, refs=(key,))
    chosen = {key: value for key, value, origin in other.items() if key.startswith(_TRIABLE) and origin != "default"}
    if chosen.get("reranker.kind", "none") != "none" and house.reranker is None:
        raise SettingsError("reranker.kind cannot be tried on this house, which keeps no token vectors", hint=_BEYOND)
    return house.plan(settings=house.settings.with_values(chosen, origin=path.name))


def compare(
    house: House,
    one: str,
    other: str,
    *,
    dataset: Path | None = None,
    split: str | None = None,
    measures: Sequence[str] = MEASURES,
    allow_missing: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    call: Mapping[str, object],
    progress: Progress,
) -> record.Kept:
    """``one`` minus ``other``, paired, in every measure over all queries and every slice; kept as an experiment.

    ``dataset``: None takes that of the experiments named. Raises UsageError where there is none or they differ.
    """
    started = time.perf_counter()
    wanted = parse_measures(measures)
    with ExitStack() as stack:
        sides = {"A": contender(house, one, stack), "B": contender(house, other, stack)}
        labels = _labels(list(sides.values()), dataset, split)
        match = _search(house, sides, labels, wanted, searches=SEARCHES, allow_missing=allow_missing, progress=progress)
        slices = make_slices(fields_of(labels, match.retrieved, house.settings.house.languages))
        assessment = Assessment(match.runs, labels.qrels, wanted, slices, resamples, seed)
        return _keep("compare", house, labels, match, assessment, sides=sides, call=call, started=started)


def gate(
    house: House,
    candidate: str,
    against: str = LIVE,
    *,
    dataset: Path | None = None,
    split: str | None = None,
    allow_missing: bool = False,
    call: Mapping[str, object],
    progress: Progress,
) -> record.Kept:
    """The verdict of the house's [gate] on a candidate; kept as an experiment with both runs.

    Raises SettingsError where no dataset is declared or given, UsageError for a candidate that means nothing.
    """
    started = time.perf_counter()
    part = house.settings.gate
    rules = Rules(part.measures, part.slices, part.margin, part.slice_margin, part.alpha, part.p95_ms or None)
    if dataset is None and not part.dataset:
        hint = "declare gate.dataset in freehold.toml, or give --data: rules are worth most when they come first"
        raise SettingsError("the gate has no dataset", hint=hint)
    wanted = _declared(part.measures)
    with ExitStack() as stack:
        sides = {CANDIDATE: contender(house, candidate, stack), LIVE: contender(house, against, stack)}
        labels = _labels(list(sides.values()), dataset or house.root / part.dataset, split or part.split or None)
        match = _search(
            house, sides, labels, wanted, searches=part.searches, allow_missing=allow_missing, progress=progress
        )
        fields = fields_of(labels, match.retrieved, house.settings.house.languages)
        for name in part.slices:
            if name not in fields:
                hint = f"gate.slices may name: {', '.join(sorted(fields))}"
                raise UsageError(f"no query of {labels.name} has a field {name!r} to slice by", hint=hint)
        slices = make_slices(fields, only=part.slices)
        assessment = Assessment(match.runs, labels.qrels, wanted, slices, part.resamples, part.seed)
        timed = match.timings.get(CANDIDATE, ())
        verdict = judge(
            assessment,
            rules,
            candidate=CANDIDATE,
            live=LIVE,
            timings_ms=[one["total"] for one in timed] or sides[CANDIDATE].timings_ms,
            declared={
                **{key: value for key, value in record.in_force(house.settings).items() if key.startswith("gate.")},
                "dataset digest": labels.digest,
            },
        )
        return _keep("gate", house, labels, match, assessment, sides=sides, call=call, verdict=verdict, started=started)


def _declared(names: Sequence[str]) -> tuple[Measure, ...]:
    """The measures of [gate]. Raises SettingsError where they are none or no measures."""
    if not names:
        raise SettingsError("gate.measures is empty", hint='name what may not drop, for example ["nDCG@10"]')
    try:
        return parse_measures(names)
    except UsageError as error:
        raise SettingsError(f"gate.measures: {error.message}", hint=error.hint, refs=("gate.measures",)) from None


def _labels(sides: Sequence[Contender], dataset: Path | None, split: str | None) -> Labels:
    """The labels named, else those of the experiments among the sides, which must have been measured on these."""
    known = [side.experiment for side in sides if side.experiment]
    if dataset is None:
        if not known:
            raise UsageError("nothing says which labels to compare on", hint="name the DATASET as well")
        dataset, split = Path(known[0].dataset.path), split or known[0].dataset.split
    labels = read_labels(dataset, split)
    for side in sides:
        measured = side.experiment.dataset if side.experiment else None
        if measured and (measured.digest, measured.split) != (labels.digest, labels.split):
            raise UsageError(
                f"{side.told} was measured on other labels than those of {labels.name}/{labels.split} as they are now",
                hint="evaluate it again on these",
                refs=(measured.digest[:12], labels.digest[:12]),
            )
    return labels


def _search(
    house: House,
    sides: Mapping[str, Contender],
    labels: Labels,
    measures: Sequence[Measure],
    *,
    searches: int,
    allow_missing: bool,
    progress: Progress,
) -> _Match:
    match = _Match({}, {}, locate(labels, house.shelf, allow_missing=True), {}, None, {})
    arms: dict[str, tuple[Plan, Engines]] = {}
    queries: list[Query] = []
    for name, side in sides.items():
        if side.run is not None:
            _check_queries(side, labels)
            match.runs[name] = side.run
            continue
        assert side.plan is not None
        assert side.house is not None
        engines = side.engines or side.house.engines()
        arms[name], match.plans[name] = (side.plan, engines), side.plan
        queries = checked_queries(labels, engines, sorted(labels.qrels))
        match.retrieved = retrieve(
            queries,
            {name: side.plan},
            engines=engines,
            located=locate(labels, side.house.shelf, allow_missing=allow_missing),
            qrels=labels.qrels,
            depth=max([RUN_DEPTH, *(measure.cutoff or 0 for measure in measures)]),
            judged=name,
            progress=progress,
        )
        match.runs[name] = match.retrieved.runs[name]
        if side.house is house and side.engines is None:
            for query, found in match.retrieved.chunks.items():
                match.chunks.setdefault(query, {}).update(found)
    # Each query once: asked again, it would pass for another one and make the times look surer than they are.
    match.timings = time_searches(queries, arms, searches=min(searches, len(queries)), progress=progress)
    return match


def _check_queries(side: Contender, labels: Labels) -> None:
    if not set(side.run or ()) & set(labels.qrels):
        raise UsageError(
            f"{side.told} answers none of the queries of {labels.name}/{labels.split}",
            hint="choose the split that it was made on with --split",
        )


def _keep(
    kind: Literal["compare", "gate"],
    house: House,
    labels: Labels,
    match: _Match,
    assessment: Assessment,
    *,
    sides: Mapping[str, Contender],
    call: Mapping[str, object],
    verdict: Verdict | None = None,
    started: float,
) -> record.Kept:
    first, second = sides
    told: dict[str, object] = {name: side.told for name, side in sides.items()}
    for name, side in sides.items():
        if side.house is not None and side.house is not house:
            told |= {f"{name} {key}": value for key, value in record.differences(house, side.house).items()}
    return record.keep(
        kind,
        house,
        record.Evaluation(labels, match.located, assessment, match.chunks),
        plans=match.plans,
        timings=match.timings,
        served=next((name for name, side in sides.items() if side.told == LIVE), ""),
        call={**call, **told},
        comparisons=assessment.compare(first, second),
        verdict=verdict,
        started=started,
    )
