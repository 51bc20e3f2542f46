"""``freehold tune retrieval``: better retrieval settings for a house, found on some labelled queries, told on others.

A study is a folder under ``tuning/`` in the house: the journal of its trials, a trial house for every way of chunking
but the house's own (removed at the end but for the best one's), and what was found, as ``best.toml``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from freehold import config
from freehold.core.errors import SettingsError, UsageError
from freehold.core.experiment import Study
from freehold.core.files import shred_tree, write_durably
from freehold.core.ids import canonical_json, sha256_hex
from freehold.house import TUNING, House, open_house
from freehold.journeys.evaluate import RUN_DEPTH, checked_queries, retrieve, time_searches
from freehold.journeys.ingest import Progress
from freehold.journeys.locate import locate
from freehold.journeys.search import Plan
from freehold.journeys.tune import Ground, Sampler, Target, tune
from freehold.journeys.tune_space import plan_of, values_of
from freehold.measure.assess import Assessment
from freehold.measure.labels import Labels, part_of, read_labels, splits_of
from freehold.measure.ranking import Measure
from freehold.measure.slices import make_slices
from freehold.measure.stats import RESAMPLES
from freehold.measuring import record
from freehold.measuring.evaluate import MEASURES, SEARCHES, fields_of
from freehold.store.lock import writer_lock
from freehold.store.made_from import note_documents
from freehold.text.chunk import ChunkKind

DEFAULT, TUNED = "default", "tuned"
TRIAL_SEARCHES = 100
HELD_OUT_SHARE = 3
"""Where a set has a single split, one query in three is held out."""
FEWEST_QUERIES = 20
_SIZES = (128, 256)
_STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Request:
    """What to search, on what, for how long."""

    dataset: Path
    trials: int
    sampler: Sampler = "tpe"
    split: str | None = None
    """Searched on; None: train and dev, as far as there are, and not the one held out."""
    held_out: str | None = None
    """Told on; None: test, else dev, else a third of the only split."""
    measure: str = MEASURES[0]
    p95_limit_ms: float | None = None
    chunkers: tuple[str, ...] | None = None
    """``structure:256`` and the like, besides the house's own; None: every kind at 128 and 256 tokens."""
    study: str = ""
    """Name under which it goes on; empty: one made of what is searched."""
    keep: bool = False
    """Keep all trial houses, so that more trials can follow at once."""
    seed: int = 0
    call: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What a search found: the comparison with the default on held-out queries, and where the settings lie."""

    kept: record.Kept
    settings: Mapping[str, object]
    """Those that differ from the house's."""
    folder: Path
    candidate: Path
    """What ``freehold gate`` takes: ``best.toml``, or the folder of a house where chunks differ."""


def tune_retrieval(house: House, request: Request, *, progress: Progress) -> Found:
    """Search, then compare the best with the house's own settings on queries that the search never saw.

    Killed, it goes on where it was when called again with the same request; a larger number of trials adds to it.
    Raises UsageError for a set that is not as it must be or too small, HouseBusy while the study runs elsewhere.
    """
    started = time.perf_counter()
    measure = Measure.parse(request.measure)
    if measure.sign < 0:
        raise UsageError(f"less is better in {measure}", hint="search for a measure of which more is, P@5 for instance")
    if request.study and not _STUDY_NAME.fullmatch(request.study):
        raise UsageError(f"{request.study!r} is no name for a study", hint="use letters, digits, dots, - and _")
    seen, unseen = _splits(request)
    if len(seen.qrels) < FEWEST_QUERIES:
        raise UsageError(
            f"{len(seen.qrels)} labelled queries to search on, at least {FEWEST_QUERIES} are needed",
            hint="label more, or search on several splits: --split train+dev",
        )
    engines = house.engines()
    chunkers = _chunkers(house, request.chunkers)
    own = next(iter(chunkers))
    default = values_of(house.plan(), own)
    identity: dict[str, object] = {
        "default": default,
        "languages": list(house.settings.house.languages),
        "dataset": seen.digest,
        "queries": sha256_hex(canonical_json(sorted(seen.qrels)).encode()),
        "measure": str(measure),
        "p95_limit_ms": request.p95_limit_ms,
        "revision": house.shelf.revision,
        "embedder": house.embedder.info.digest,
    }
    name = request.study or sha256_hex(canonical_json([identity, list(chunkers), request.sampler]).encode())[:8]
    folder = house.root / TUNING / name
    folder.mkdir(parents=True, exist_ok=True)
    with writer_lock(folder), ExitStack() as stack:
        grounds: dict[str, Callable[[], Ground]] = {
            own: lambda: Ground(engines, locate(seen, house.shelf)),
        }
        houses: dict[str, House] = {own: house}
        for chunker in chunkers:
            if chunker != own:
                trial_house = partial(_trial_house, house, houses, chunker, chunkers[chunker], folder, stack, progress)
                grounds[chunker] = partial(_trial_ground, trial_house, seen)
        found = tune(
            folder / "journal.log",
            name,
            queries=checked_queries(seen, engines, sorted(seen.qrels)),
            qrels=seen.qrels,
            grounds=grounds,
            default=default,
            target=Target(measure, request.p95_limit_ms, TRIAL_SEARCHES, house.reranker is not None),
            trials=request.trials,
            sampler=request.sampler,
            seed=request.seed,
            identity=identity,
            progress=progress,
        )
        study = Study(
            name=name,
            sampler=request.sampler,
            seed=request.seed,
            measure=str(measure),
            p95_limit_ms=request.p95_limit_ms,
            splits=tuple(seen.split.split("+")),
            queries=len(seen.qrels),
            trials=found.trials,
            best=found.best,
            default=found.default,
            pareto=found.pareto,
            importance=found.importance,
        )
        values = next(trial.settings for trial in found.trials if trial.number == found.best)
        chunker = str(values["chunking"])
        if chunker not in houses:  # all its trials were run by earlier calls
            grounds[chunker]()
        best_house = houses[chunker]
        tuned = replace(plan_of(values), rerank_budget_ms=house.plan().rerank_budget_ms)
        sides = {DEFAULT: (house, house.plan()), TUNED: (best_house, tuned)}
        kept = _tell_apart(sides, unseen, study, request, started=started, progress=progress)
        settings = _settings(house, values, chunkers[chunker]) if found.best != found.default else {}
        candidate = _write(folder, house, settings, best_house)
        for other in houses.values():
            if other is not house:
                other.close()
        if not request.keep:
            _sweep(folder, keep=best_house.root)
    return Found(kept, settings, folder, candidate)


def _splits(request: Request) -> tuple[Labels, Labels]:
    """The labels searched on and those told on; no query of one has the words of a query of the other."""
    known = splits_of(request.dataset)
    held_out = request.held_out or next((s for s in ("test", "dev") if s in known and s != request.split), None)
    if request.split is None and request.held_out is None and len(known) == 1:
        return _parted(read_labels(request.dataset, known[0]))
    if held_out is None:
        raise UsageError(f"{request.dataset} leaves no split to hold out", hint="name one with --held-out")
    split = request.split or "+".join(s for s in ("train", "dev") if s in known and s != held_out)
    if not split:
        raise UsageError(f"nothing to search on beside {held_out}", hint=f"--split takes of {', '.join(known)}")
    if set(split.split("+")) & set(held_out.split("+")):
        raise UsageError(f"{held_out} is searched on and held out", hint="choose different splits")
    seen, unseen = read_labels(request.dataset, split), read_labels(request.dataset, held_out)
    words = {_words(unseen, query) for query in unseen.qrels}
    fresh = {query for query in seen.qrels if _words(seen, query) not in words}
    return (seen if len(fresh) == len(seen.qrels) else part_of(seen, fresh, seen.split)), unseen


def _parted(labels: Labels) -> tuple[Labels, Labels]:
    """By a hash of the question's words: the same question is always on the same side."""
    unseen = {q for q in labels.qrels if sha256(_words(labels, q).encode()).digest()[0] % HELD_OUT_SHARE == 0}
    seen = set(labels.qrels) - unseen
    return part_of(labels, seen, f"{labels.split} (seen)"), part_of(labels, unseen, f"{labels.split} (held out)")


def _words(labels: Labels, query: str) -> str:
    return " ".join(labels.queries[query].text.casefold().split())


def _chunkers(house: House, asked: Sequence[str] | None) -> dict[str, Mapping[str, object]]:
    """Name -> chunking settings; the house's own first."""
    part, limit = house.settings.chunking, house.embedder.info.max_tokens
    found: dict[str, Mapping[str, object]] = {f"{part.kind}:{part.max_tokens}": {}}
    kinds = get_args(ChunkKind)
    if asked is None:
        asked = [f"{kind}:{size}" for kind in kinds for size in _SIZES if size <= limit]
    for name in asked:
        kind, _, size = name.partition(":")
        if kind not in kinds or not size.isdigit() or not 64 <= int(size) <= limit:
            raise UsageError(
                f"{name!r} is no way of chunking", hint=f"KIND:TOKENS with {', '.join(kinds)} and 64 to {limit} tokens"
            )
        if name not in found:
            overlap = min(part.overlap_tokens, (int(size) - house.embedder.overhead_tokens) // 2)
            found[name] = {
                "chunking.kind": kind,
                "chunking.max_tokens": int(size),
                "chunking.overlap_tokens": overlap,
            }
    return found


def _trial_house(
    house: House,
    houses: dict[str, House],
    name: str,
    chunking: Mapping[str, object],
    folder: Path,
    stack: ExitStack,
    progress: Progress,
) -> House:
    """The house's documents cut another way, in a house of their own; what an earlier call ingested is used again."""
    root = folder / "houses" / name.replace(":", "-")
    root.parent.mkdir(parents=True, exist_ok=True)
    note_documents(root.parent, house.shelf.document_ids())
    chosen = {key: value for key, value, origin in house.settings.items() if origin != "default"}
    # A folder that goes with the search: nothing of it may lie on a server.
    chosen = {key: value for key, value in chosen.items() if key == "index.hnsw_ef" or not key.startswith("index.")}
    if (root / config.FILE_NAME).exists():
        # An earlier call may have left what it found there: trials run on the settings of the house.
        write_durably(root / config.FILE_NAME, config.render({**chosen, **chunking}).encode())
        other = stack.enter_context(open_house(root))
    else:
        other = stack.enter_context(House.create(root, {**chosen, **chunking}))
    other.use_models_of(house)
    other.ingest_house(house, lenders=tuple(h for h in houses.values() if h is not house), progress=progress)
    houses[name] = other
    return other


def _trial_ground(trial_house: Callable[[], House], labels: Labels) -> Ground:
    other = trial_house()
    # Restricted documents are not in there: they count as missed, as in the house itself.
    return Ground(other.engines(), locate(labels, other.shelf, allow_missing=True))


def _tell_apart(
    sides: Mapping[str, tuple[House, Plan]],
    labels: Labels,
    study: Study,
    request: Request,
    *,
    started: float,
    progress: Progress,
) -> record.Kept:
    """Default and best on the held-out queries, paired."""
    house, _ = sides[DEFAULT]
    measures = tuple(dict.fromkeys(map(Measure.parse, [request.measure, *MEASURES])))
    queries = checked_queries(labels, house.engines(), sorted(labels.qrels))
    found = {
        name: retrieve(
            queries,
            {name: plan},
            engines=side.engines(),
            located=locate(labels, side.shelf, allow_missing=side is not house),
            qrels=labels.qrels,
            depth=max([RUN_DEPTH, *(m.cutoff or 0 for m in measures)]),
            judged=name,
            progress=progress,
        )
        for name, (side, plan) in sides.items()
    }
    arms = {name: (plan, side.engines()) for name, (side, plan) in sides.items()}
    timings = time_searches(queries, arms, searches=SEARCHES, progress=progress)
    runs = {name: got.runs[name] for name, got in found.items()}
    slices = make_slices(fields_of(labels, found[DEFAULT], house.settings.house.languages))
    assessment = Assessment(runs, labels.qrels, measures, slices, RESAMPLES, request.seed)
    return record.keep(
        "tune",
        house,
        record.Evaluation(labels, locate(labels, house.shelf), assessment, found[DEFAULT].chunks),
        plans={name: plan for name, (_, plan) in sides.items()},
        timings=timings,
        served=DEFAULT,
        call=request.call,
        comparisons=assessment.compare(TUNED, DEFAULT),
        study=study,
        started=started,
    )


def _settings(house: House, values: Mapping[str, Any], chunking: Mapping[str, object]) -> Mapping[str, object]:
    """What of the house's settings would change."""
    wanted: dict[str, object] = {key: value for key, value in values.items() if key != "chunking"}
    if not wanted["retrieval.rerank_depth"]:
        del wanted["retrieval.rerank_depth"]
        if house.reranker is not None:
            wanted["reranker.kind"] = "none"
    own = {key: value for key, value, _ in house.settings.items()}
    wanted = {"retrieval.mode": "hybrid", **chunking, **wanted}
    return {key: value for key, value in wanted.items() if own[key] != value}


def _write(folder: Path, house: House, settings: Mapping[str, object], best_house: House) -> Path:
    """Put ``best.toml`` down, and the settings into the best house where that is one of its own."""
    chosen = {key: value for key, value, origin in house.settings.items() if origin != "default"}
    try:
        house.settings.with_values(settings, origin="the search")
    except SettingsError as error:  # a setting that the search may choose must be one that a house may have
        raise SettingsError(f"what was found is no setting: {error.message}", hint=error.hint) from None
    write_durably(folder / "best.toml", config.render(settings, comments=False).encode())
    if best_house is house:
        return folder / "best.toml"
    write_durably(best_house.root / config.FILE_NAME, config.render({**chosen, **settings}).encode())
    return best_house.root


def _sweep(folder: Path, *, keep: Path) -> None:
    for root in (folder / "houses").glob("*/"):
        if root != keep:
            shred_tree(root)
