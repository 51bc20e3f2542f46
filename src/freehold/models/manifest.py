"""The models that install by name: what they are, where they come from, and the sha256 of every file (models.toml).

A model is a folder of data files. A packaged one lies in the models root under its name, and a file counts only when
its hash is the manifest's: who uploaded a package to an index does not matter, what is in it does.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from freehold.core.errors import ModelMismatch, ModelNotFound

ROOT_VARIABLE = "FREEHOLD_MODELS"
HUB_PREFIX = "hf:"
PINS = "files.json"

ModelKind = Literal["embedder", "generator", "detector"]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model. ``path`` is relative to the model's folder, with forward slashes."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """One package on an index. ``member`` names the file in it that is a part of an archive inside, else empty."""

    name: str
    version: str
    sha256: str
    member: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where files can be taken from: ``folder`` of a wheel, or of the zip that the wheels' members make when joined."""

    wheels: tuple[Wheel, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One entry of the manifest. ``sources`` are tried in order; the files are the same from each."""

    name: str
    kind: ModelKind
    upstream: str
    revision: str
    licence: str
    attribution: str
    languages: tuple[str, ...]
    files: tuple[ModelFile, ...]
    sources: tuple[Source, ...]
    derive: str = ""
    """How ``files`` are made from what the source ships (``derived_from``), empty where they are shipped so."""
    derived_from: tuple[ModelFile, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def shipped(self) -> tuple[ModelFile, ...]:
        """The files to take from a source."""
        return self.derived_from or self.files


@cache
def cards() -> Mapping[str, ModelCard]:
    """Every packaged model by name, in the manifest's order."""
    return {name: _card(name, entry) for name, entry in tomllib.loads(_text()).items()}


def _text() -> str:
    return resources.files("freehold.models").joinpath("models.toml").read_text(encoding="utf-8")


def _card(name: str, entry: Mapping[str, Any]) -> ModelCard:
    plain = {key: entry[key] for key in ("kind", "upstream", "revision", "licence", "attribution")}
    return ModelCard(
        name=name,
        **plain,
        languages=tuple(entry["languages"]),
        files=_files(entry["files"]),
        sources=tuple(
            Source(tuple(Wheel(**wheel) for wheel in source["wheels"]), source["folder"]) for source in entry["sources"]
        ),
        derive=entry.get("derive", ""),
        derived_from=_files(entry.get("derived_from", [])),
    )


def _files(entries: list[dict[str, Any]]) -> tuple[ModelFile, ...]:
    return tuple(ModelFile(**entry) for entry in entries)


def card(name: str) -> ModelCard:
    """The card of a packaged model. Raises ModelNotFound, naming those there are."""
    found = cards().get(name)
    if found is None:
        raise ModelNotFound(f"no packaged model {name!r}", hint=f"packaged models: {', '.join(cards())}")
    return found


def models_root() -> Path:
    """FREEHOLD_MODELS where it is set, else ``freehold/models`` in the user's cache directory."""
    stated = os.environ.get(ROOT_VARIABLE)
    if stated:
        return Path(stated).expanduser()
    cache_home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache_home).expanduser() / "freehold" / "models"


def folder_of(model: str, root: Path | None = None) -> Path:
    """Where the files of ``model`` lie or would lie: packaged and ``hf:`` names in the root, else it is a path."""
    root = root or models_root()
    if model in cards():
        return root / model
    if model.startswith(HUB_PREFIX):
        return root / model.replace(":", "--", 1).replace("/", "--")
    return Path(model).expanduser()


def locate(model: str) -> Path:
    """The folder of a model that is here, every pinned file of it verified.

    Raises ModelNotFound when it is not here, and ModelMismatch when a file is not the one pinned, or came from a hub
    and is not pinned any more.
    """
    folder = folder_of(model)
    if not folder.is_dir():
        raise ModelNotFound(f"model {model!r} is not on this machine", hint=_hint(model), refs=(str(folder),))
    if wrong := wrong_files(folder, pinned_files(model, folder)):
        raise ModelMismatch(f"model {model!r} is damaged: {', '.join(wrong)}", hint=_hint(model), refs=(str(folder),))
    return folder


def _hint(model: str) -> str:
    if model in cards() or model.startswith(HUB_PREFIX):
        return f"freehold models pull {model}"
    return f"give an existing folder, or one of: {', '.join(cards())}"


def pinned_files(model: str, folder: Path) -> tuple[ModelFile, ...]:
    """What pins the files of ``model``: the manifest, or the list made when it was pulled from a hub; else nothing.

    Raises ModelMismatch for a model from a hub whose list is missing, empty or unreadable.
    """
    if model in cards():
        return cards()[model].files
    if not model.startswith(HUB_PREFIX):
        return ()
    try:
        pins = _files(json.loads((folder / PINS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        pins = ()
    if not pins:
        raise ModelMismatch(f"nothing pins the files of {model!r}", hint=_hint(model), refs=(str(folder),))
    return pins


def wrong_files(folder: Path, files: tuple[ModelFile, ...]) -> tuple[str, ...]:
    """The paths among ``files`` that are missing or differ in size or sha256."""
    return tuple(file.path for file in files if not _is_right(folder / file.path, file))


def _is_right(path: Path, file: ModelFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size_bytes and file_sha256(path) == file.sha256


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
