"""``freehold eval``: a house measured on labelled questions, and what a report needs to show of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from freehold.config import Settings
from freehold.core.errors import SettingsError, UsageError
from freehold.core.experiment import Ambiguity, AnswerResult, Experiment, Load, Quantiles, RunResult
from freehold.core.ids import new_id
from freehold.core.ports import SupportJudge
from freehold.core.records import to_json
from freehold.core.types import Mode
from freehold.house import House, open_house
from freehold.journeys.answering import ask_all, summarise_answers
from freehold.journeys.evaluate import (
    RUN_DEPTH,
    Retrieved,
    checked_queries,
    corpus_acronyms,
    retrieve,
    time_searches,
)
from freehold.journeys.ingest import Progress
from freehold.journeys.language import likely_language
from freehold.journeys.load import Search, under_load
from freehold.journeys.locate import Located, locate
from freehold.journeys.search import Plan
from freehold.journeys.support import AlignmentJudge, calibrate, read_sample
from freehold.measure import ambiguity as ambiguous
from freehold.measure.assess import Assessment
from freehold.measure.gate import parse_measures
from freehold.measure.labels import Labels, read_labels
from freehold.measure.latency import quantiles
from freehold.measure.report.contest import Detail
from freehold.measure.runs import write_run
from freehold.measure.slices import Slices, length_of, make_slices, metadata_fields
from freehold.measuring import record
from freehold.text.acronyms import Acronyms
from freehold.text.language import UNDETERMINED, detect

MEASURES = ("nDCG@10", "RR@10", "P@5", "R@10", "R@50", "FPR@5", "Success@5")
SEARCHES = 200
LOAD_SECONDS = 5.0
RERANKED = "+rerank"
TOPS = 3
SNIPPET_CHARS = 400


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure, on what. ``call`` is what the caller passed, to be recorded."""

    dataset: Path
    split: str | None = None
    modes: tuple[Mode, ...] = ()
    """Empty: the settings' mode alone."""
    rerank: bool | None = None
    """True: every mode reranked as well; False: none; None: as the settings serve."""
    measures: tuple[str, ...] = MEASURES
    searches: int = SEARCHES
    """Single searches that are timed for each run."""
    clients: tuple[int, ...] = ()
    """Numbers of clients to measure throughput with."""
    answers: bool = False
    allow_missing: bool = False
    resamples: int = 10_000
    seed: int = 0
    call: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """An experiment with what it was computed from."""

    experiment: Experiment
    labels: Labels
    located: Located
    assessment: Assessment
    chunks: Mapping[str, str]
    """Document or passage -> chunk that stood for it."""
    acronyms: Acronyms | None = None

    def run_files(self) -> Mapping[str, bytes]:
        """Run name -> TREC run file."""
        return {name: write_run(run, tag=name) for name, run in self.assessment.runs.items()}


def evaluate(house: House, request: Request, *, progress: Progress) -> Evaluation:
    """Measure a house on a labelled set and keep the experiment in it.

    Raises UsageError, with file and line, for a set that is not as it must be or whose corpus is not in the house;
    SettingsError for reranking that the house cannot do.
    """
    started = time.perf_counter()
    measures = parse_measures(request.measures)
    labels = read_labels(request.dataset, request.split)
    engines = house.engines()
    located = locate(labels, house.shelf, allow_missing=request.allow_missing)
    plans, served = plans_for(house, request.modes, request.rerank)
    judged = served or list(plans)[-1]
    queries = checked_queries(labels, engines, sorted(labels.qrels))
    acronyms = corpus_acronyms(engines, progress=progress)
    retrieved = retrieve(
        queries,
        plans,
        engines=engines,
        located=located,
        depth=max([RUN_DEPTH, *(m.cutoff or 0 for m in measures)]),
        acronyms=acronyms,
        judged=judged,
        progress=progress,
    )
    slices = slices_of(labels, retrieved)
    assessment = Assessment(retrieved.runs, labels.qrels, measures, slices, request.resamples, request.seed)
    arms = {name: (plan, engines) for name, plan in plans.items()}
    timings = time_searches(queries, arms, searches=request.searches, progress=progress)
    load: tuple[Load, ...] = ()
    if request.clients:
        opener = partial(_open_search, house.root)
        texts = [query.text for query in queries]
        load = under_load(
            opener, texts, clients=request.clients, cores=_cores(house), seconds=LOAD_SECONDS, progress=progress
        )
    answers = _answers(house, labels, located, plans[judged], judged, request, progress) if request.answers else None
    experiment = Experiment(
        id=new_id(),
        kind="eval",
        created=record.now(),
        dataset=record.dataset_info(labels, located),
        house=record.house_info(house),
        models=record.models(house, generator=request.answers),
        settings=record.in_force(house.settings),
        settings_passed=record.passed(house.settings, request.call),
        versions=record.versions(),
        machine=record.machine(),
        seed=request.seed,
        resamples=request.resamples,
        runs=run_results(assessment, plans, timings, served=served, judged=judged, load=load),
        comparisons=tuple(row for run, base in _pairs(list(plans), judged) for row in assessment.compare(run, base)),
        ambiguity=_ambiguity(assessment, retrieved, judged, acronyms),
        answers=answers,
        seconds=round(time.perf_counter() - started, 3),
    )
    evaluation = Evaluation(experiment, labels, located, assessment, retrieved.chunks, acronyms)
    house.experiments.put(experiment, evaluation.run_files())
    return evaluation


def plans_for(house: House, modes: Sequence[Mode], rerank: bool | None) -> tuple[dict[str, Plan], str]:
    """Plans by run name, and the name of the one that the settings serve; empty where ``rerank`` leaves it out."""
    if rerank and house.reranker is None:
        raise SettingsError(
            "this house cannot rerank", hint='set reranker.kind = "late-interaction" and an embedder with token vectors'
        )
    live = house.plan()
    wanted = list(dict.fromkeys(modes)) or [live.mode]
    plans: dict[str, Plan] = {}
    for mode in wanted:
        plans[mode] = replace(house.plan(mode), rerank_depth=0)
    for mode in wanted:
        if rerank:
            plans[f"{mode}{RERANKED}"] = replace(live, mode=mode, rerank_depth=house.settings.retrieval.rerank_depth)
    served = next((name for name, plan in plans.items() if plan == live), "")
    if not served and rerank is not False:
        served = f"{live.mode}{RERANKED}" if live.rerank_depth else live.mode
        plans[served] = live
    if not modes and rerank is None:
        plans = {served: live}
    return plans, served


def slices_of(labels: Labels, retrieved: Retrieved | None, *, only: Sequence[str] | None = None) -> Slices:
    """Slices by the queries' metadata, language, length and, where it was measured, ambiguity.

    Raises UsageError for a field in ``only`` that parts no query.
    """
    texts = {query: labels.queries[query].text for query in labels.qrels}
    fields = metadata_fields({query: labels.queries[query].metadata for query in labels.qrels})
    for name in ("lang", "language"):
        if name in fields:
            fields["language"] = fields.pop(name)
    if "language" not in fields:
        fields["language"] = {query: _language(text) for query, text in texts.items()}
    fields["length"] = {query: length_of(text) for query, text in texts.items()}
    if retrieved and retrieved.evidence:
        fields["ambiguity"] = dict(ambiguous.bands(ambiguous.combined(retrieved.evidence)))
    for name in only or ():
        if name not in fields:
            hint = f"known: {', '.join(sorted(fields))}"
            raise UsageError(f"no query of {labels.name} has a field {name!r} to slice by", hint=hint)
    return make_slices(fields, only=only)


def _language(text: str) -> str:
    code = detect(text)
    return likely_language(text) if code == UNDETERMINED else code


def run_results(
    assessment: Assessment,
    plans: Mapping[str, Plan],
    timings: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    served: str,
    judged: str = "",
    load: tuple[Load, ...] = (),
) -> tuple[RunResult, ...]:
    """A result for each run, in order. ``load`` is that of the run ``judged``."""
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
                latency_ms=stages(own),
                timings_ms=tuple(one["total"] for one in own),
                load=load if name == judged else (),
            )
        )
    return tuple(results)


def stages(timings: Sequence[Mapping[str, float]]) -> Mapping[str, Quantiles]:
    """Quantiles of each stage's milliseconds."""
    names = dict.fromkeys(name for one in timings for name in one)
    return {name: quantiles([one[name] for one in timings if name in one]) for name in names}


def _pairs(names: Sequence[str], served: str) -> list[tuple[str, str]]:
    """What is compared: what is served against each other run, then hybrids against single legs."""
    pairs = [(served, name) for name in names if name != served]
    singles = [name for name in names if name in {"dense", "lexical"} and name != served]
    pairs += [(name, single) for name in names if name == "hybrid" != served for single in singles]
    return pairs


def _ambiguity(assessment: Assessment, retrieved: Retrieved, served: str, acronyms: Acronyms) -> Ambiguity | None:
    if not retrieved.evidence:
        return None
    headline = assessment.measures[0]
    return ambiguous.assess(
        retrieved.evidence,
        assessment.by_query(served, headline),
        run=served,
        measure=str(headline),
        seed=assessment.seed,
        resamples=min(assessment.resamples, 2_000),
        acronyms={name: len(meanings) for name, meanings in acronyms.ambiguous().items()},
    )


def _answers(
    house: House, labels: Labels, located: Located, plan: Plan, name: str, request: Request, progress: Progress
) -> AnswerResult:
    if not labels.gold:
        raise UsageError(
            f"{labels.name} has no labelled answers in split {labels.split}",
            hint="answers stand in answers.jsonl, or under answers and answerable in the house's own format",
        )
    engines, voice = house.engines(), house.voice()
    queries = checked_queries(labels, engines, sorted(labels.gold))
    local, model = AlignmentJudge(embedder=voice.judge), support_model(house.settings)
    sample = read_sample(Path(house.settings.judge.sample)) if house.settings.judge.sample else read_sample()
    calibration = calibrate([local, model] if model else [local], sample)  # first: a judge that fails fails here
    told = ask_all(queries, plan=plan, engines=engines, voice=voice, located=located, judge=model, progress=progress)
    languages, lengths = ({q.id: told_of(q.text) for q in queries} for told_of in (_language, length_of))
    return summarise_answers(
        told,
        labels.gold,
        generator=voice.generator.name,
        plan=name,
        slices=make_slices({"language": languages, "length": lengths}),
        calibration=calibration,
        resamples=request.resamples,
        seed=request.seed,
    )


def support_model(settings: Settings) -> SupportJudge | None:
    """The model that judges support, where the settings name one."""
    part = settings.judge
    if part.kind == "alignment":
        return None
    from freehold.models.judge_openai import OpenAIJudge

    key = part.api_key.reveal() if part.api_key else None
    return OpenAIJudge(part.endpoint, part.model, api_key=key, timeout_s=part.timeout_s)


@contextlib.contextmanager
def _open_search(root: Path, threads: int) -> Iterator[Search]:
    """A client's own house, on so many threads."""
    with open_house(root) as house:
        house.settings = house.settings.with_values({"embedder.threads": threads}, origin="the load test")
        yield house.search


def _cores(house: House) -> int:
    import os

    return house.settings.embedder.threads or os.cpu_count() or 1


def detail(evaluation: Evaluation, house: House) -> Detail:
    """The words and the query-by-query values that a report shows, looked up in the house and in the labels."""
    assessment, labels = evaluation.assessment, evaluation.labels
    headline = assessment.measures[0]
    meanings = evaluation.acronyms.ambiguous() if evaluation.acronyms else {}
    return Detail(
        measure=str(headline),
        queries={query: labelled.text for query, labelled in labels.queries.items()},
        values={run: assessment.by_query(run, headline) for run in assessment.runs},
        tops={
            run: {query: tuple(list(scores)[:TOPS]) for query, scores in ranked.items()}
            for run, ranked in assessment.runs.items()
        },
        relevant={q: tuple(u for u, grade in grades.items() if grade > 0) for q, grades in labels.qrels.items()},
        texts=_texts(evaluation, house),
        expansions={name: tuple(spellings) for name, spellings in meanings.items()},
    )


def _texts(evaluation: Evaluation, house: House) -> dict[str, str]:
    """Unit -> the chunk that was found for it; for a labelled one that was not, the beginning of its text."""
    views = house.shelf.views(set(evaluation.chunks.values()))
    texts = {unit: views[chunk].chunk.text for unit, chunk in evaluation.chunks.items() if chunk in views}
    labels, known = evaluation.labels, house.shelf.known()
    sources = {name: source for source, name in evaluation.located.names.items()}
    for unit in labels.at:
        source = sources.get(labels.spans[unit].unit if labels.spans else unit)
        if unit not in texts and source is not None and source in known:
            span = labels.spans.get(unit)
            text = house.shelf.text(known[source].document_id)
            texts[unit] = span.quote or text[span.start : span.end] if span else text[:SNIPPET_CHARS]
    return texts
