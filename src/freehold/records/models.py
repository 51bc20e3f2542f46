"""The models of a house: what works here, by which files; and the sheets that say of each what it is good for.

Sheets follow the model cards of Mitchell et al. (2019, arXiv 1810.03993): details, intended use, factors, measures,
evaluation data, training data, considerations, caveats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from freehold.core.errors import ModelMismatch
from freehold.core.training import Manifest, ModelVersion
from freehold.detectors import RAMPART
from freehold.measure.report.figures import flat, percent
from freehold.models.manifest import HUB_PREFIX, ModelCard, cards, file_sha256, folder_of, pinned_files
from freehold.records.facts import Facts, many, page
from freehold.records.lines import Evidence, Line, Record, Section
from freehold.records.measured import comparison, estimate, measures_of, verdict_of

Part = Literal["embedder", "reranker", "generator", "detector"]

_USE: Mapping[str, str] = {
    "embedder": "turns questions and passages into vectors, by whose nearness passages are found",
    "adapter": "turns the vectors of questions, beside the embedder it was trained for; passages stay as they are",
    "reranker": "looks again at the best passages, and orders them anew",
    "fusion": "weights by which the lists of the legs become one",
    "generator": "words answers from the passages that were found; citations are not its own",
    "detector": "finds where texts name people, for surrogates, redaction and bars",
}
_NOT_FOR = "not for decisions about people: it orders passages, and somebody reads them"
_HANDBOOK: Mapping[str, str] = {
    "embedder": "models", "adapter": "adapter", "reranker": "search#reranking", "fusion": "search#fusion",
    "generator": "answers#generators", "detector": "privacy#what-slips-through",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model that others made, as it works here."""

    part: Part
    name: str
    """Packaged name, folder or id at an endpoint."""
    setting: str
    """Key that chooses it."""
    where: str
    card: ModelCard | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """Path -> sha256, as pinned or, for a folder of one's own, as read; empty where it is not on this machine."""


def base_models(facts: Facts) -> tuple[BaseModel, ...]:
    """Those that the settings name, each once."""
    return tuple(_base_models(facts))


def _base_models(facts: Facts) -> Iterator[BaseModel]:
    settings = facts.settings
    yield _base("embedder", settings.embedder.kind, settings.embedder_model, "embedder.model")
    if settings.reranker.kind != "none" and settings.reranker.model:
        yield _base("reranker", "onnx", settings.reranker.model, "reranker.model")
    if settings.generator.kind != "extractive":
        yield _base("generator", settings.generator.kind, settings.generator.model, "generator.model")
    if settings.privacy.detector == RAMPART:
        yield _base("detector", "onnx", RAMPART, "privacy.detector")
    else:
        for name in settings.privacy.presidio_models:
            yield BaseModel("detector", name, "privacy.presidio_models", "a spaCy model, pinned by nothing here")


def _base(part: Part, kind: str, name: str, setting: str) -> BaseModel:
    if kind == "openai":
        return BaseModel(part, name, setting, "at an endpoint: nobody here can tell which weights answer")
    card = cards().get(name)
    if card is not None or name.startswith(HUB_PREFIX):
        return BaseModel(part, name, setting, "on this machine, every file pinned by its digest", card, _pinned(name))
    path = Path(name).expanduser()
    if path.is_file():
        return BaseModel(part, path.name, setting, "a file of one's own", files={path.name: file_sha256(path)})
    if path.is_dir():
        files = {
            file.relative_to(path).as_posix(): file_sha256(file) for file in sorted(path.rglob("*")) if file.is_file()
        }
        return BaseModel(part, path.name, setting, "a folder of one's own", files=files)
    return BaseModel(part, name, setting, "not on this machine")


def _pinned(name: str) -> Mapping[str, str]:
    try:
        return {file.path: file.sha256 for file in pinned_files(name, folder_of(name))}
    except ModelMismatch:  # from a hub, and its list is gone
        return {}


def weights_of(files: Mapping[str, str]) -> str:
    """The file that holds the weights; empty where none does."""
    names = [name for name in files if name.endswith((".safetensors", ".onnx", ".gguf"))]
    return min(names, key=lambda name: (name.count("/"), name), default="")


def model_sheets(facts: Facts) -> Record:
    """A sheet for each model that works here, and each that was trained here."""
    sections = [_base_sheet(facts, model) for model in base_models(facts)]
    sections += [_version_sheet(facts, version) for version in facts.versions]
    return Record(
        kind="models",
        title="Model sheets",
        law="Model cards after Mitchell et al. 2019",
        about="What each model is, what it learned from, how good it was measured to be, and what it is not for. A "
        "measure stands with its interval and its questions; what was not measured here says so.",
        house=facts.settings.house.name,
        made=facts.made,
        sections=(*sections, _whole(facts)),
    )


def _base_sheet(facts: Facts, model: BaseModel) -> Section:
    card = model.card
    evidence = (Evidence("model", model.name, card.revision if card else ""), *facts.setting(model.setting))
    details = [model.where]
    training = "what its makers say: the house did not train it, and cannot look"
    if card is not None:
        details = [f"{card.upstream}, revision {card.revision or 'not stated'}", f"licence {card.licence}", *details]
        details += [f"made by {card.attribution}", f"languages: {', '.join(card.languages)}"]
        training = f"what its makers say of {card.upstream}: the house did not train it, and cannot look"
    weights = weights_of(model.files)
    if weights:
        details.append(f"sha256 of {weights}: {model.files[weights]}")
    measures = _base_measures(facts, model.part)
    return Section(
        f"{model.part.capitalize()} {model.name}",
        (
            Line("details", "Model", tuple(details), evidence),
            Line("intended use", "What it is for", (_USE[model.part], _NOT_FOR), page(_HANDBOOK[model.part])),
            Line("factors", "Factors", (_factors(facts, card),), facts.setting("house.languages")),
            Line("measures", "How good it is here", measures[0], measures[1]),
            Line("training data", "What it learned from", (training,), page("models")),
            facts.own("considerations", "Ethical considerations", "records.risks"),
            Line("caveats", "Limits", _base_limits(facts, model), page(_HANDBOOK[model.part])),
        ),
    )


def _factors(facts: Facts, card: ModelCard | None) -> str:
    wanted = facts.settings.house.languages
    if card is None or "multilingual" in card.languages:
        return f"language, length and kind of question; the house's languages: {', '.join(wanted)}"
    foreign = [language for language in wanted if language not in card.languages]
    if foreign:
        return f"it was not made for {', '.join(foreign)}, which the house's documents are in"
    return f"language, length and kind of question; it was made for {', '.join(card.languages)}"


def _base_measures(facts: Facts, part: Part) -> tuple[tuple[str, ...], tuple[Evidence, ...]]:
    if part == "detector":
        checks = [(name, found.pseudonyms) for name, found in facts.sets.items() if found.pseudonyms]
        if not checks:
            return ("not measured here: see the handbook for the packaged sample",), page("privacy#what-slips-through")
        name, check = checks[-1]
        assert check is not None
        ends = check.miss_rate_ci95
        told = f"{check.missed} of {check.labelled} labelled mentions left in clear, on {check.sample}"
        told += f", 95 % interval {percent(ends[0])} to {percent(ends[1])}" if ends else ""
        return (told,), (_set_evidence(name, facts.sets[name]),)
    if part == "generator":
        found = next((one for one in reversed(facts.experiments) if one.answers), None)
        if found is None or found.answers is None:
            return ("answers were not measured: freehold eval --answers",), facts.setting("generator.kind")
        return tuple(map(estimate, found.answers.measures)), facts.experiment(found)
    return ("of the whole search that it is a part of:", *measures_of(facts)), facts.experiment(facts.latest("eval"))


def _base_limits(facts: Facts, model: BaseModel) -> tuple[str, ...]:
    known = {
        "embedder": f"it reads {facts.settings.chunking.max_tokens} tokens of a passage; longer texts are cut before",
        "reranker": f"it sees the first {facts.settings.retrieval.rerank_depth} passages, and no others",
        "generator": "what it says beyond the passages is not supported, and is told apart as such",
        "detector": "some mentions slip through: rare given names alone, surnames without a title, small letters",
    }
    unpinned = () if model.files else ("its weights are not pinned: it may change without a trace",)
    return (known[model.part], *unpinned)


def _version_sheet(facts: Facts, version: ModelVersion) -> Section:
    manifest = facts.manifest(version)
    state = facts.house.registry.state(version.id)
    told = Evidence("version", version.id, version.digest)
    weights = ", ".join(f"{key}={value}" for key, value in flat(version.settings))
    trained = facts.leaf("training.finished", version=version.id)
    figures = (
        *map(estimate, version.metrics),
        *(comparison(one) for one in version.comparisons if not one.slice),
    )
    checks = tuple(f"{name}: {value:.4g}" for name, value in sorted(version.checks.items()))
    experiment = (Evidence("experiment", version.experiment, "train"),) if version.experiment else ()
    since = next((one for one in reversed(facts.house.registry.lineups()) if version.id in one.versions.values()), None)
    return Section(
        f"{version.role.capitalize()} {version.id[:8]}",
        (
            Line(
                "details",
                "Version",
                (
                    f"{version.kind}, made from {version.base} on {version.created[:10]}, {state}",
                    f"digest {version.digest}",
                    f"by freehold {version.versions.get('freehold', 'of no stated version')}, seed {version.seed}",
                    *((f"training settings: {weights}",) if weights else ()),
                    *((f"may not serve: {version.tainted}",) if version.tainted else ()),
                ),
                (told, *trained),
            ),
            Line("intended use", "What it is for", (_USE[version.role], _NOT_FOR), page(_HANDBOOK[version.role])),
            Line(
                "factors",
                "Factors",
                (
                    f"it only works beside embedder {version.base_digest[:12]}" if version.bound else "it stands alone",
                    *(f"comes with {key} = {value}" for key, value in flat(version.serving)),
                ),
                (told,),
            ),
            Line("measures", "How good it was on the dev part", figures or ("not measured",), experiment or (told,)),
            Line(
                "measures",
                "How it came into service",
                (f"lineup {since.number} by {since.verb} on {since.since[:10]}",) if since else ("it never served",),
                (
                    *(facts.switched(since.number) if since else ()),
                    *((Evidence("experiment", since.experiment, "gate"),) if since and since.experiment else ()),
                    *page("versions#promotion"),
                ),
            ),
            Line("training data", "What it learned from", learned(manifest), (_manifest_evidence(version, facts),)),
            facts.own("considerations", "Ethical considerations", "records.risks"),
            Line(
                "caveats",
                "Limits",
                ("its dev part chose it: what the gate says of it counts", *checks),
                (told, *page("gate#what-it-does-not-see")),
            ),
        ),
    )


def learned(manifest: Manifest) -> tuple[str, ...]:
    """What a training set was made of, in words."""
    examples = ", ".join(f"{count:,} {part}" for part, count in manifest.examples.items())
    origins = ", ".join(f"{origin} {count:,}" for origin, count in manifest.origins.items())
    check = manifest.pseudonyms
    replaced = ", ".join(f"{kind} {count:,}" for kind, count in sorted(check.replaced.items())) if check else ""
    people = "people in questions were not replaced" if check is None else f"surrogates put in: {replaced or 'none'}"
    return (
        f"{examples} examples from {many(len(manifest.documents), 'document')}",
        f"origins: {origins}",
        f"manifest root {manifest.root}",
        people,
    )


def _manifest_evidence(version: ModelVersion, facts: Facts) -> Evidence:
    name = next((name for name, manifest in facts.sets.items() if manifest.root == version.manifest), "")
    return (
        Evidence("training set", name, version.manifest) if name else Evidence("version", version.id, "manifest.json")
    )


def _set_evidence(name: str, manifest: Manifest) -> Evidence:
    return Evidence("training set", name, manifest.root)


def _whole(facts: Facts) -> Section:
    """What the models do together."""
    lineup = facts.house.registry.lineup()
    serving = tuple(f"{role}: version {version_id}" for role, version_id in sorted(lineup.versions.items()))
    return Section(
        "All of them together",
        (
            Line(
                "details",
                "What serves",
                (f"lineup {lineup.number}", *(serving or ("every model as the settings say",))),
                (*facts.switched(lineup.number), *page("versions")),
            ),
            Line("measures", "The search", measures_of(facts), facts.experiment(facts.latest("eval"))),
            Line("measures", "The gate", verdict_of(facts), facts.experiment(facts.latest("gate"))),
        ),
    )
