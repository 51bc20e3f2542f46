"""Data sheets after Gebru et al. (2021, arXiv 1803.09010): motivation, composition, collection, preparation, uses,
distribution, maintenance; of the documents, of every training set, and of what is measured on.
"""

from __future__ import annotations

from freehold.core.experiment import DatasetInfo
from freehold.core.training import Manifest
from freehold.records.facts import Facts, many, page
from freehold.records.house import documents_stay
from freehold.records.lines import Evidence, Line, Record, Section
from freehold.records.models import learned


def data_sheets(facts: Facts) -> Record:
    """A sheet for the documents, for each training set, and for each labelled set that something was measured on."""
    return Record(
        kind="data",
        title="Data sheets",
        law="Datasheets for datasets after Gebru et al. 2021",
        about="What the house holds, what its models learn from and what they are measured on: counts and digests, no "
        "word of a document.",
        house=facts.settings.house.name,
        made=facts.made,
        sections=(
            _documents(facts),
            *(_training(facts, name, manifest) for name, manifest in facts.sets.items()),
            *(_labelled(facts, info, experiment) for info, experiment in measured_on(facts)),
        ),
    )


def measured_on(facts: Facts) -> list[tuple[DatasetInfo, str]]:
    """Labelled sets that something was measured on, each split once, with the last experiment on it."""
    found: dict[str, tuple[DatasetInfo, str]] = {}
    for experiment in facts.experiments:
        if experiment.kind != "train":  # on the dev part of a training set, which has a sheet of its own
            found[experiment.dataset.digest] = (experiment.dataset, experiment.id)
    return [found[digest] for digest in sorted(found)]


def _documents(facts: Facts) -> Section:
    settings, stats = facts.settings, facts.house.stats()
    committed = facts.leaf("ingest.committed")
    languages = ", ".join(f"{language} {count:,}" for language, count in sorted(stats.languages.items())) or "none"
    read, kinds = facts.house.shelf.surveyed()
    people = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items())
    return Section(
        "The documents",
        (
            facts.own("motivation", "What they are here for", "records.purposes"),
            Line(
                "composition",
                "How many",
                (
                    f"{many(stats.documents, 'document')}, {many(stats.chunks, 'passage')}; languages: {languages}",
                    f"{stats.near_duplicates:,} nearly the same as another, {stats.quarantined:,} refused",
                ),
                (*committed, *page("ingest")),
            ),
            Line(
                "composition",
                "People in them",
                (
                    f"{read:,} read for people: {people or 'nobody is mentioned'}"
                    if read
                    else "not read for people yet",
                ),
                (*facts.setting("privacy.detector"), *page("erasure#who-is-in-there-at-all")),
            ),
            facts.own("collection", "Whose, and how they came to be", "records.subjects", "records.data"),
            Line(
                "preparation",
                "How they are made ready",
                (
                    f"cut by {settings.chunking.kind} into {settings.chunking.max_tokens} tokens at most, "
                    f"{settings.chunking.overlap_tokens} shared; every passage is an exact stretch of its document",
                ),
                (*facts.setting("chunking.kind", "chunking.max_tokens", "chunking.overlap_tokens"), *page("chunking")),
            ),
            Line(
                "uses",
                "What is done with them",
                ("searched, quoted, and learned from by the sets below",),
                page("search"),
            ),
            Line(
                "distribution",
                "Who gets them",
                ("whoever may see them, and whom the record of processing names as a recipient",),
                (*facts.setting("privacy.recipients"), *page("search#who-sees-what")),
            ),
            documents_stay(facts, "maintenance", "How long they stay"),
        ),
    )


def _training(facts: Facts, name: str, manifest: Manifest) -> Section:
    told = Evidence("training set", name, manifest.root)
    made = [version.id for version in facts.versions if version.manifest == manifest.root]
    left = tuple(f"left out, {reason}: {count:,}" for reason, count in sorted(manifest.left_out.items()))
    return Section(
        f"Training set {name}",
        (
            Line(
                "motivation",
                "What it is for",
                ("teaching the search the house's own questions",),
                page("training-data"),
            ),
            Line("composition", "What it holds", learned(manifest), (told,)),
            Line(
                "collection",
                "Where it is from",
                (
                    *((f"labelled set of digest {manifest.dataset_digest}",) if manifest.dataset_digest else ()),
                    *((f"splits {', '.join(manifest.splits)}",) if manifest.splits else ()),
                    f"made on {manifest.created[:10]} at catalog revision {manifest.revision}, seed {manifest.seed}",
                ),
                (told, *page("training-data#where-examples-come-from")),
            ),
            Line(
                "preparation",
                "How it was made ready",
                (
                    f"hard negatives mined by embedder {manifest.embedder[:12]}, "
                    f"{manifest.false_negatives:,} left out as too near to an answer",
                    *left,
                ),
                (told, *page("training-data#hard-negatives", "training-data#what-is-kept-apart")),
            ),
            Line(
                "uses",
                "What learned from it",
                tuple(f"version {version_id}" for version_id in made) or ("no version that is here",),
                tuple(Evidence("version", version_id) for version_id in made) or (told,),
            ),
            Line(
                "distribution", "Who gets it", ("it stays in the house, and in its backups",), page("operations#backup")
            ),
            Line(
                "maintenance",
                "When it changes",
                ("an example goes with the document or person that it is from; what learned from it is trained again",),
                page("erasure#models"),
            ),
        ),
    )


def _labelled(facts: Facts, info: DatasetInfo, experiment: str) -> Section:
    evidence = (Evidence("experiment", experiment, info.digest),)
    missing = (
        (f"{info.missing:,} labelled documents are not in the house, and count as missed",) if info.missing else ()
    )
    judges = facts.settings.gate.dataset != "" and facts.latest("gate") is not None
    return Section(
        f"Labelled set {info.name}" + (f", split {info.split}" if info.split else ""),
        (
            Line(
                "motivation",
                "What it is for",
                ("measuring the search" + ", and judging candidates" * judges,),
                page("evaluation"),
            ),
            Line(
                "composition",
                "What it holds",
                (f"{info.queries:,} questions with labels of a {info.unit}", *missing, f"digest {info.digest}"),
                evidence,
            ),
            Line(
                "collection",
                "Who labelled it",
                ("not known to the house",),
                page("evaluation#labelled-questions"),
            ),
            Line(
                "maintenance",
                "Where it lies",
                ("outside of the house, whose erasures do not reach it",),
                page("erasure#what-is-not-reached"),
            ),
        ),
    )
