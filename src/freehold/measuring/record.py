"""What every experiment records, so that it can be repeated: house, models, settings, versions, machine."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from freehold import __version__
from freehold.config import Secret, Settings
from freehold.core.experiment import DatasetInfo, HouseInfo
from freehold.core.ids import sha256_hex
from freehold.house import House
from freehold.journeys.locate import Located
from freehold.measure.labels import Labels

PACKAGES = ("numpy", "onnxruntime", "onnx", "tokenizers", "qdrant-edge-py", "PyStemmer", "SQLAlchemy", "optuna")


def now() -> str:
    """ISO 8601 in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def dataset_info(labels: Labels, located: Located) -> DatasetInfo:
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


def house_info(house: House) -> HouseInfo:
    """Which documents and index, exactly."""
    stats, generation = house.stats(), house.generation()
    return HouseInfo(
        name=house.settings.house.name,
        documents=stats.documents,
        chunks=stats.chunks,
        revision=house.shelf.revision,
        generation=generation.name if generation else "",
    )


def models(house: House, *, generator: bool) -> Mapping[str, str]:
    """Role and name -> digest; for what is code rather than weights, the name says its version."""
    info = house.embedder.info
    found = {f"embedder {info.name}": info.digest, f"terms {house.terms.name}": sha256_hex(house.terms.name.encode())}
    if house.reranker:
        found[f"reranker {house.reranker.name}"] = sha256_hex(house.reranker.name.encode())
    if generator:
        found[f"generator {house.generator.name}"] = ""
    return found


def in_force(settings: Settings) -> Mapping[str, object]:
    """Every setting; secrets as where they are kept."""
    return {key: _plain(value) for key, value, _ in settings.items()}


def passed(settings: Settings, call: Mapping[str, object]) -> Mapping[str, object]:
    """The settings that somebody chose, and what the call asked for."""
    chosen = {key: _plain(value) for key, value, origin in settings.items() if origin != "default"}
    return {**chosen, **{f"--{name}": value for name, value in call.items() if value is not None}}


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


def machine() -> Mapping[str, object]:
    """Cores, processor, system, and the most memory that this process ever held."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, 1),
    }
