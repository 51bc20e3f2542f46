"""Models from a hub by ``hf:OWNER/NAME@REVISION``: a full commit hash, and only files that cannot run code."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from freehold.core.errors import EndpointFault, ModelMismatch, UsageError
from freehold.models.fetch import Progress, download, open_url
from freehold.models.manifest import HUB_PREFIX, PINS, ModelFile, file_sha256

_NAME = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")
_PLAIN = {".json", ".txt"}
_WEIGHTS = ".safetensors"


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository at one commit."""

    name: str
    revision: str

    @classmethod
    def parse(cls, text: str) -> HubName:
        """Raises UsageError unless ``text`` is ``hf:OWNER/NAME@`` and 40 hexadecimal digits."""
        match = _NAME.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{text!r} does not name a model at one revision",
                hint=f"{HUB_PREFIX}OWNER/NAME@REVISION, with the full commit hash: branches and tags can change",
            )
        return cls(**match.groupdict())


def fetch_model(model: HubName, folder: Path, progress: Progress) -> None:
    """Fill ``folder`` with the model's weights, tokenizer and configuration, and pin every file in ``files.json``.

    Raises EndpointFault when the hub cannot be reached, and ModelMismatch when there are only weights in formats that
    can run code when loaded (pickles), or a file is not the one the hub lists.
    """
    pins = []
    for entry in _wanted(_listing(model), model):
        path = folder / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        url = f"{_endpoint()}/{model.name}/resolve/{model.revision}/{quote(entry['path'])}"
        digest = download(url, path, name=entry["path"], progress=progress, headers=_token())
        _check(path, digest, entry)
        pins.append(asdict(ModelFile(entry["path"], path.stat().st_size, digest)))
    (folder / PINS).write_text(json.dumps(pins, indent=2) + "\n", encoding="utf-8")


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _token() -> Mapping[str, str]:
    token = os.environ.get("HF_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _listing(model: HubName) -> Sequence[Mapping[str, Any]]:
    url = f"{_endpoint()}/api/models/{model.name}/tree/{model.revision}?recursive=true"
    with open_url(url, headers=_token()) as response:
        try:
            return [entry for entry in json.load(response) if entry["type"] == "file"]
        except (ValueError, KeyError, TypeError) as error:
            raise EndpointFault(f"{url} did not answer with a list of files", hint="look at HF_ENDPOINT") from error


def _wanted(entries: Sequence[Mapping[str, Any]], model: HubName) -> list[Mapping[str, Any]]:
    weights = _WEIGHTS if any(entry["path"].endswith(_WEIGHTS) for entry in entries) else ".onnx"
    plain = [entry for entry in entries if entry["path"] != PINS]  # that place is ours
    wanted = [entry for entry in plain if PurePosixPath(entry["path"]).suffix in _PLAIN | {weights}]
    if not any(entry["path"].endswith(weights) for entry in wanted):
        raise ModelMismatch(
            f"{model.name} has neither safetensors nor ONNX weights",
            hint="pickles (.bin, .pt, .pkl) can run code when loaded and are refused: convert them elsewhere",
        )
    for entry in wanted:
        path = PurePosixPath(entry["path"])
        if path.is_absolute() or ".." in path.parts or "\\" in entry["path"]:
            raise ModelMismatch(f"{model.name} lists a file outside its folder", hint="do not use this repository")
    return wanted


def _check(path: Path, digest: str, entry: Mapping[str, Any]) -> None:
    """Large files are listed with their sha256, small ones with git's hash of the blob."""
    if "lfs" in entry:
        right = digest == entry["lfs"]["oid"] == file_sha256(path)
    else:
        data = path.read_bytes()
        right = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == entry["oid"]
    if not right:
        raise ModelMismatch(f"{entry['path']} is not the file the hub lists", hint="run the same command again")
