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
from freehold.core.experiment import Ambiguity, AnswerResult, Load
from freehold.core.machine import share
from freehold.core.ports import SupportJudge
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
from freehold.journeys.load import Search, under_load
from freehold.journeys.locate import Located, locate
from freehold.journeys.search import Plan
from freehold.journeys.support import AlignmentJudge, calibrate, read_sample
from freehold.measure import ambiguity as ambiguous
from freehold.measure.assess import Assessment
from freehold.measure.gate import parse_measures
from freehold.measure.labels import Labels, read_labels
from freehold.measure.slices import length_of, make_slices, metadata_fields
from freehold.measuring import record
from freehold.text.acronyms import Acronyms
from freehold.text.language import UNDETERMINED, detect

MEASURES = ("nDCG@10", "RR@10", "P@5", "R@10", "R@50", "FPR@5", "Success@5")
SEARCHES = 200
LOAD_SECONDS = 5.0
RERANKED = "+rerank"


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


def evaluate(house: House, request: Request, *, progress: Progress) -> record.Kept:
    """Measure a house on a labelled set and keep the experiment in it.

    Raises UsageError, with file and line, for a set that is not as it must be or whose corpus is not in the house;
    SettingsError for reranking that the house cannot do.
    """
    started = time.perf_counter()
    measures = parse_measures(request.measures)
    labels = read_labels(request.dataset, request.split)
    if not labels.qrels:
        hint = "label what is relevant to at least some of the questions"
        raise UsageError(f"split {labels.split} of {labels.name} labels no document as relevant", hint=hint)
    if request.answers and not labels.gold:
        hint = "answers stand in answers.jsonl, or under answers and answerable in the house's own format"
        raise UsageError(f"{labels.name} has no labelled answers in split {labels.split}", hint=hint)
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
        qrels=labels.qrels,
        depth=max([RUN_DEPTH, *(m.cutoff or 0 for m in measures)]),
        acronyms=acronyms,
        judged=judged,
        progress=progress,
    )
    slices = make_slices(fields_of(labels, retrieved, house.settings.house.languages))
    assessment = Assessment(retrieved.runs, labels.qrels, measures, slices, request.resamples, request.seed)
    arms = {name: (plan, engines) for name, plan in plans.items()}
    timings = time_searches(queries, arms, searches=request.searches, progress=progress)
    load: tuple[Load, ...] = ()
    if request.clients:
        opener = partial(_open_search, house.root, plans[judged])
        texts = [query.text for query in queries]
        load = under_load(
            opener, texts, clients=request.clients, cores=_cores(house), seconds=LOAD_SECONDS, progress=progress
        )
    answers = _answers(house, labels, located, plans[judged], judged, request, progress) if request.answers else None
    return record.keep(
        "eval",
        house,
        record.Evaluation(labels, located, assessment, retrieved.chunks, acronyms),
        plans=plans,
        timings=timings,
        served=served,
        call=request.call,
        generator=request.answers,
        comparisons=tuple(row for run, base in _pairs(list(plans), judged) for row in assessment.compare(run, base)),
        load={judged: load},
        ambiguity=_ambiguity(assessment, retrieved, judged, acronyms),
        answers=answers,
        started=started,
    )


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


def fields_of(labels: Labels, retrieved: Retrieved | None, languages: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """What queries can be sliced by: their metadata, language, length and, where it was measured, ambiguity.

    ``languages``: those of the house, among which a query's is told where its metadata does not say.
    """
    texts = {query: labels.queries[query].text for query in labels.qrels}
    fields = metadata_fields({query: labels.queries[query].metadata for query in labels.qrels})
    for name in ("lang", "language"):
        if name in fields:
            fields["language"] = fields.pop(name)
    if "language" not in fields:
        fields["language"] = {query: _language(text, languages) for query, text in texts.items()}
    fields["length"] = {query: length_of(text) for query, text in texts.items()}
    if retrieved and retrieved.evidence:
        fields["ambiguity"] = dict(ambiguous.bands(ambiguous.combined(retrieved.evidence)))
    return fields


def _language(text: str, languages: Sequence[str]) -> str:
    code = detect(text, languages)
    return languages[0] if code == UNDETERMINED else code


def _pairs(names: Sequence[str], served: str) -> list[tuple[str, str]]:
    """What is compared: what is served against each other run, then hybrids against single legs."""
    pairs = [(served, name) for name in names if name != served]
    singles = [name for name in names if name in {"dense", "lexical"} and name != served]
    pairs += [(name, single) for name in names if name == "hybrid" != served for single in singles]
    return pairs


def _ambiguity(assessment: Assessment, retrieved: Retrieved, served: str, acronyms: Acronyms) -> Ambiguity | None:
    headline = next((measure for measure in assessment.measures if measure.sign > 0), None)
    if headline is None or not retrieved.evidence:
        return None
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
    engines, voice = house.engines(), house.voice()
    queries = checked_queries(labels, engines, sorted(labels.gold))
    local, model = AlignmentJudge(embedder=voice.judge), support_model(house.settings)
    own_sample = house.settings.judge.sample
    sample = read_sample(house.root / own_sample) if own_sample else read_sample()
    calibration = calibrate([local, model] if model else [local], sample)  # first: a judge that fails fails here
    told = ask_all(queries, plan=plan, engines=engines, voice=voice, located=located, judge=model, progress=progress)
    spoken = house.settings.house.languages
    languages = {q.id: _language(q.text, spoken) for q in queries}
    lengths = {q.id: length_of(q.text) for q in queries}
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
def _open_search(root: Path, plan: Plan, threads: int) -> Iterator[Search]:
    """A client's own house, on so many threads."""
    with open_house(root) as house:
        house.settings = house.settings.with_values({"embedder.threads": threads}, origin="the load test")
        yield partial(house.search, plan=plan)


def _cores(house: House) -> int:
    return house.settings.embedder.threads or share()
