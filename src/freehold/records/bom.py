"""The bill of materials of a house: CycloneDX 1.6 with models, data and packages (ECMA-424, ML-BOM).

Models carry the digest of their weights and, as components of theirs, of every file. Data sets carry roots and digests,
never what is in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from freehold import __version__
from freehold.core.experiment import Estimate
from freehold.core.ids import canonical_json, sha256_hex
from freehold.core.training import Manifest, ModelVersion
from freehold.records.data import measured_on
from freehold.records.facts import Facts
from freehold.records.models import BaseModel, base_models, weights_of

SPEC = "1.6"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TASKS: Mapping[str, str] = {
    "embedder": "sentence-similarity", "adapter": "sentence-similarity", "reranker": "text-ranking",
    "fusion": "text-ranking", "generator": "text-generation", "detector": "token-classification",
}  # fmt: skip


def bill(facts: Facts) -> dict[str, Any]:
    """The BOM as JSON has it. The same house has the same serial number: it is made of what the BOM says."""
    bases, packages = base_models(facts), list(packages_of("freehold"))
    components = [
        *map(_base_component, bases),
        *(_version_component(facts, version) for version in facts.versions),
        _documents(facts),
        *(_training_set(name, manifest) for name, manifest in facts.sets.items()),
        *_labelled_sets(facts),
        *(_package(found) for found in packages),
    ]
    house = {
        "type": "application",
        "bom-ref": "house",
        "name": facts.settings.house.name or "house",
        "version": f"lineup {facts.house.registry.lineup().number}",
        "description": "a house of Freehold: documents, the models that search them, and what was learned from them",
    }
    told: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "freehold", "version": __version__}]},
            "component": house,
        },
        "components": components,
        "services": [*_services(facts)],
        "dependencies": [*_dependencies(facts, bases, [one["bom-ref"] for one in components])],
    }
    serial = uuid5(NAMESPACE_URL, sha256_hex(canonical_json(told).encode()))
    told["serialNumber"] = f"urn:uuid:{serial}"
    told["metadata"]["timestamp"] = f"{facts.made}T00:00:00Z"
    return told


# -- models ----------------------------------------------------------------------------------------------------------


def _base_component(model: BaseModel) -> dict[str, Any]:
    card = model.card
    component = {
        "type": "machine-learning-model",
        "bom-ref": _base_ref(model),
        "name": card.upstream if card else model.name,
        "description": model.where,
        **_hashed(model.files),
        "modelCard": {"modelParameters": {"task": _TASKS[model.part]}},
        "properties": _properties(part=model.part, setting=model.setting),
    }
    if card:
        component |= {"version": card.revision or "unstated", "authors": [{"name": card.attribution}]}
        component["licenses"] = [{"license": {"id": card.licence}}]
    return component


def _version_component(facts: Facts, version: ModelVersion) -> dict[str, Any]:
    state = facts.house.registry.state(version.id)
    learned = next((name for name, manifest in facts.sets.items() if manifest.root == version.manifest), "")
    parameters: dict[str, Any] = {"approach": {"type": "supervised"}, "task": _TASKS[version.role]}
    if learned:
        parameters["datasets"] = [{"ref": f"training:{learned}"}]
    card: dict[str, Any] = {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": [*_metrics(version.metrics)]},
    }
    limits = ["works beside the embedder that it was trained for, and no other"] if version.bound else []
    limits += [f"may not serve: {version.tainted}"] if version.tainted else []
    if limits:
        card["considerations"] = {"technicalLimitations": limits}
    return {
        "type": "machine-learning-model",
        "bom-ref": f"version:{version.id}",
        "name": f"{version.role} {version.kind}",
        "version": version.id,
        **_hashed(version.files),
        "pedigree": {"ancestors": [{"type": "machine-learning-model", "name": version.base}]},
        "modelCard": card,
        "properties": _properties(
            digest=version.digest, manifest=version.manifest, experiment=version.experiment, state=state
        ),
    }


def _metrics(measures: Sequence[Estimate]) -> Iterator[dict[str, Any]]:
    for found in measures:
        if found.value is not None:
            metric: dict[str, Any] = {"type": found.measure, "value": f"{found.value:.4f}", "slice": "dev part"}
            if found.ci95:
                low, high = found.ci95
                metric["confidenceInterval"] = {"lowerBound": f"{low:.4f}", "upperBound": f"{high:.4f}"}
            yield metric


def _hashed(files: Mapping[str, str]) -> dict[str, Any]:
    """The weights' digest as the model's own, and every file."""
    weights = weights_of(files)
    listed = [{"type": "file", "name": name, "hashes": [_sha256(digest)]} for name, digest in sorted(files.items())]
    return {
        **({"hashes": [_sha256(files[weights])]} if weights else {}),
        **({"components": listed} if listed else {}),
    }


# -- data ------------------------------------------------------------------------------------------------------------


def _documents(facts: Facts) -> dict[str, Any]:
    stats = facts.house.stats()
    roots = [leaf.digests["commitments"] for leaf in facts.leaves if leaf.kind == "ingest.committed"]
    told = {"documents": str(stats.documents), "passages": str(stats.chunks)}
    if roots:
        told["commitments"] = roots[-1]
    return {
        "type": "data",
        "bom-ref": "documents",
        "name": "documents of the house",
        "data": [{"type": "dataset", "name": "documents", "sensitiveData": ["personal data"]}],
        "properties": _properties(**told),
    }


def _training_set(name: str, manifest: Manifest) -> dict[str, Any]:
    examples = {f"examples.{part}": str(count) for part, count in manifest.examples.items()}
    return {
        "type": "data",
        "bom-ref": f"training:{name}",
        "name": f"training set {name}",
        "data": [{"type": "dataset", "name": name, "sensitiveData": ["questions, people in them under surrogates"]}]
        if manifest.pseudonyms
        else [{"type": "dataset", "name": name, "sensitiveData": ["questions as they were asked"]}],
        "properties": _properties(
            root=manifest.root, documents=str(len(manifest.documents)), seed=str(manifest.seed), **examples
        ),
    }


def _labelled_sets(facts: Facts) -> Iterator[dict[str, Any]]:
    for info, experiment in measured_on(facts):
        yield {
            "type": "data",
            "bom-ref": f"labelled:{info.digest}",
            "name": f"labelled set {info.name}",
            "data": [{"type": "dataset", "name": info.name}],
            "properties": _properties(
                digest=info.digest, split=info.split, questions=str(info.queries), experiment=experiment
            ),
        }


# -- packages --------------------------------------------------------------------------------------------------------


def packages_of(name: str) -> Iterator[Distribution]:
    """The installed packages that one stands on, itself included, by name. Of its extras, what is installed counts."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        key = _normal(waiting.pop())
        if key in found:
            continue
        try:
            found[key] = distribution(key)
        except PackageNotFoundError:  # for another system, or an extra that is not installed
            continue
        for needed in found[key].requires or ():
            own = _NAME.match(needed)
            if own and (key == _normal(name) or "extra ==" not in needed):
                waiting.append(own[0])
    yield from (found[key] for key in sorted(found))


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(found: Distribution) -> dict[str, Any]:
    name = _normal(found.name)
    purl = f"pkg:pypi/{name}@{found.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": found.version,
        "purl": purl,
    }
    if stated := found.metadata.get_all("License-Expression"):
        component["licenses"] = [{"expression": stated[0]}]
    elif named := _licence(found):
        component["licenses"] = [{"license": {"name": named}}]
    return component


def _licence(found: Distribution) -> str:
    """As old metadata have it: a classifier, else the first line of the field."""
    classified = [c for c in found.metadata.get_all("Classifier") or () if c.startswith("License ::")]
    if classified:
        return str(classified[0].rpartition(" :: ")[2])
    stated = found.metadata.get_all("License") or [""]
    return str(stated[0]).strip().partition("\n")[0][:100]


# -- the rest --------------------------------------------------------------------------------------------------------


def _services(facts: Facts) -> Iterator[dict[str, Any]]:
    for end in facts.endpoints:
        yield {
            "bom-ref": f"service:{end.setting}:{end.host}:{end.port}",
            "name": f"{end.purpose}: {end.host}",
            "x-trust-boundary": not end.is_here,
            "data": [{"flow": "outbound", "classification": end.sends}],
            "properties": _properties(setting=end.setting, operator=end.operator, region=end.region or "this machine"),
        }


def _dependencies(facts: Facts, bases: Sequence[BaseModel], refs: Sequence[str]) -> Iterator[dict[str, Any]]:
    services = [one["bom-ref"] for one in _services(facts)]
    yield {"ref": "house", "dependsOn": [*refs, *services]}
    embedder = next((_base_ref(model) for model in bases if model.part == "embedder"), "")
    for version in facts.versions:
        sets = [f"training:{name}" for name, manifest in facts.sets.items() if manifest.root == version.manifest]
        yield {"ref": f"version:{version.id}", "dependsOn": [embedder, *sets]}
    for name in facts.sets:
        yield {"ref": f"training:{name}", "dependsOn": ["documents"]}


def _base_ref(model: BaseModel) -> str:
    return f"model:{model.part}:{model.name}"


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _properties(**values: str) -> list[dict[str, str]]:
    return [{"name": f"freehold:{name}", "value": value} for name, value in values.items() if value]
