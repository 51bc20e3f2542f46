"""Rules on models: which they are exactly, and what they learned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from freehold.auditing.facts import HouseFacts
from freehold.auditing.finding import Seen, fault, sound
from freehold.auditing.rules import house_rules
from freehold.core.errors import FreeholdError
from freehold.core.training import ModelVersion
from freehold.models.manifest import HUB_PREFIX, cards
from freehold.records.facts import many


@house_rules.rule(
    "models-unpinned",
    theme="models",
    severity="medium",
    basis=("AI Act Art. 15(5): model poisoning", "SLSA 1.0: what runs is pinned by its digest"),
)
def unpinned(facts: HouseFacts) -> Iterator[Seen]:
    """Weights are the ones that were chosen."""
    settings = facts.settings
    used = {"embedder.model": settings.embedder_model if settings.embedder.kind != "openai" else ""}
    used["reranker.model"] = settings.reranker.model if settings.reranker.kind != "none" else ""
    used["generator.model"] = settings.generator.model if settings.generator.kind == "llama-cpp" else ""
    loose = {key: model for key, model in used.items() if model and not _is_pinned(model)}
    figures = {key: _called(model) for key, model in used.items() if model}
    if loose:
        told = f"nothing pins the weights of {', '.join(loose)}: whoever can write to the folder changes the model"
        fix = "name a packaged model, or hf:NAME@REVISION: `freehold models pull` pins every file"
        yield fault(told, figures, fix=fix, refs=loose)
    else:
        yield sound(f"{len(figures)} models, every file pinned by its sha256", figures)


@house_rules.rule(
    "models-damaged",
    theme="models",
    severity="high",
    basis=("AI Act Art. 15(5): model poisoning",),
)
def damaged(facts: HouseFacts) -> Iterator[Seen]:
    """Weights on disk are those pinned."""
    house, wrong = facts.house, []
    for version in facts.records.versions:
        try:
            house.registry.folder(version.id)
        except FreeholdError:
            wrong.append(version.id)
    figures = {"embedder": facts.health.model_state, "versions": len(facts.records.versions), "changed": len(wrong)}
    good = ("weights match", "served by", "a local folder")
    if wrong:
        told = f"files of {many(len(wrong), 'version')} are not as they were recorded"
        yield fault(told, figures, fix="restore them from a backup, or `freehold models rollback`", refs=wrong)
    elif not facts.health.model_state.startswith(good):
        yield fault(facts.health.model_state, figures, fix=f"`freehold models pull {facts.settings.embedder_model}`")
    else:
        yield sound(f"{facts.health.model_state}; {len(facts.records.versions)} versions are as recorded", figures)


@house_rules.rule(
    "models-lineage",
    theme="models",
    severity="high",
    basis=("AI Act Annex IV 2(d): provenance of training data", "GDPR Art. 17(1): an erasure must reach models"),
)
def lineage(facts: HouseFacts) -> Iterator[Seen]:
    """It is known what every model learned from."""
    versions = facts.records.versions
    lost = [version.id for version in versions if not _has_lineage(facts, version)]
    figures = {"versions": len(versions), "without lineage": len(lost)}
    if lost:
        told = f"of {many(len(lost), 'version')} nothing that was sealed says what they learned from"
        fix = "restore manifest.json from a backup, or `freehold models rollback` and train again"
        yield fault(told, figures, fix=fix, refs=lost)
    else:
        yield sound(f"each of {len(versions)} versions carries the manifest that its record names", figures)


@house_rules.rule(
    "models-tainted",
    theme="models",
    severity="high",
    basis=("GDPR Art. 17(1)", "EDPB Opinion 28/2024: models trained on personal data"),
)
def tainted(facts: HouseFacts) -> Iterator[Seen]:
    """No model that must forget serves on."""
    serving = set(facts.house.registry.lineup().versions.values())
    marked = [version.id for version in facts.records.versions if version.tainted and version.id in serving]
    figures = {"serving": len(serving), "tainted": len(marked)}
    if marked:
        told = f"{many(len(marked), 'version')} in service learned from what was erased"
        yield fault(told, figures, fix="`freehold retrain`", refs=marked)
    else:
        yield sound(f"{len(serving)} trained versions serve, none learned from what was erased", figures)


def _is_pinned(model: str) -> bool:
    return model in cards() or (model.startswith(HUB_PREFIX) and "@" in model)


def _called(model: str) -> str:
    """A model as a report names it: of a folder its last part alone."""
    return model if _is_pinned(model) else f"a folder, {Path(model).name}"


def _has_lineage(facts: HouseFacts, version: ModelVersion) -> bool:
    try:
        return facts.records.manifest(version).root == version.manifest
    except FreeholdError:
        return False
