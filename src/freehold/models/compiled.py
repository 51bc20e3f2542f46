"""A model folder to the graph that runs: built once, checked against float32, kept beside the weights.

The int8 file is derived data. It is used when its record names these weights and these settings and its hash is the
recorded one; else it is built again, which takes seconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort
from threadpoolctl import threadpool_limits

from freehold.core.errors import EngineFault, ModelMismatch, ModelNotFound
from freehold.core.files import storage_fault
from freehold.core.ids import canonical_json, sha256_hex
from freehold.models.facts import ModelFacts, check_modules
from freehold.models.manifest import file_sha256
from freehold.models.onnx import EncoderShape, Moments, Precision, Tensors, build_encoder, build_probe, position_limit
from freehold.models.safetensors import read_tensors
from freehold.models.samples import SAMPLES
from freehold.models.tokens import ModelTokenizer

LOWEST_COSINE = 0.985
"""Mean cosine to float32 on the built-in samples below which an int8 graph is refused."""

_BUILDER = 1  # raise it when the graph that onnx.py builds changes
_FOLDER = "onnx"
_CALIBRATED = "calibrated"
"""Key in a record's settings: on how many texts. A graph that was calibrated serves where any int8 graph does."""
_CALIBRATION_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Compiled:
    """A graph ready to run. ``digest`` is of the graph itself, the tokenizer and the facts."""

    graph: bytes
    digest: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """What made an int8 file, and how near it is to float32."""

    sha256: str
    weights_sha256: str
    settings: dict[str, object]
    checks: dict[str, float]
    """On the built-in samples: ``cosine_mean`` and ``cosine_min`` of an embedder's vectors, ``correlation`` and
    ``order`` of a cross-encoder's scores."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a folder's graphs are built from."""

    folder: Path
    tensors: Tensors
    shape: EncoderShape
    weights_sha256: str

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Raises ModelNotFound for missing files, ModelMismatch for broken ones and for other architectures."""
        weights = folder / "model.safetensors"
        tensors = read_tensors(weights)
        return cls(folder, tensors, EncoderShape.of(_config(folder)), file_sha256(weights))

    @property
    def position_limit(self) -> int:
        """The longest input, special tokens included."""
        return position_limit(self.tensors, self.shape)

    def digest(self, graph: bytes, facts: object) -> str:
        """Of a graph, the tokenizer before it, and what else decides how texts reach it."""
        tokenizer = file_sha256(self.folder / "tokenizer.json")
        return sha256_hex(canonical_json({"graph": sha256_hex(graph), "tokenizer": tokenizer, "facts": facts}).encode())


def compiled(folder: Path, facts: ModelFacts, precision: Precision) -> Compiled:
    """The graph of the model in ``folder``, built if need be.

    Raises ModelNotFound for missing files, and ModelMismatch for modules or weights no graph is built for and for an
    int8 form further from float32 than ``LOWEST_COSINE``.
    """
    check_modules(folder)
    source = Source.of(folder)

    def build(as_precision: Precision) -> bytes:
        return build_encoder(source.tensors, source.shape, pooling=facts.pooling, precision=as_precision)

    graph = graph_of(source, {"pooling": facts.pooling}, precision, build=build, check=_cosines(source))
    return Compiled(
        graph=graph,
        digest=source.digest(graph, asdict(facts)),
        max_tokens=min(facts.max_tokens, source.position_limit),
    )


def calibrate(folder: Path, facts: ModelFacts, texts: Sequence[str]) -> None:
    """Keep an int8 form beside the weights that is rounded for passages like ``texts``.

    Raises as ``compiled`` does, which then takes it; StorageFault where it cannot be kept.
    """
    check_modules(folder)
    source = Source.of(folder)
    moments = _moments(source, facts, texts)
    build = partial(build_encoder, source.tensors, source.shape, pooling=facts.pooling)
    graph = build(precision="int8", moments=moments)
    checks = _cosines(source)(graph, build(precision="float32"))
    recorded: dict[str, object] = {
        "builder": _BUILDER,
        "pooling": facts.pooling,
        "precision": "int8",
        _CALIBRATED: len(texts),
    }
    record = BuildRecord(sha256_hex(graph), source.weights_sha256, recorded, checks)
    try:
        _write(folder / _FOLDER, graph, record)
    except OSError as error:
        raise storage_fault(error, folder / _FOLDER) from None


def _moments(source: Source, facts: ModelFacts, texts: Sequence[str]) -> Moments:
    """Of the inputs of each linear map, over all tokens of ``texts`` as documents."""
    graph, taken = build_probe(source.tensors, source.shape)
    session, tokenizer = open_session(graph, threads=1), ModelTokenizer.of(source.folder)
    head = [*tokenizer.head, *tokenizer.ids(facts.document_prefix.strip())]
    room = min(facts.max_tokens, source.position_limit, _CALIBRATION_TOKENS) - len(head) - len(tokenizer.tail)
    sums: dict[str, Any] = {}
    tokens = 0
    with threadpool_limits(limits=1, user_api="blas"):  # in one order, so that equal weights give equal graphs
        for text in texts:
            row = np.array([[*head, *tokenizer.ids(text)[:room], *tokenizer.tail]], dtype=np.int64)
            feed = {"input_ids": row, "lengths": np.array([row.size], np.int32)}
            for output, found in zip(taken.values(), session.run(list(taken.values()), feed), strict=True):
                inputs = found[0].astype(np.float64)
                sums[output] = sums.get(output, 0.0) + inputs.T @ inputs
            tokens += row.size
    return {name: sums[output] / tokens for name, output in taken.items()}


def graph_of(
    source: Source,
    settings: dict[str, object],
    precision: Precision,
    *,
    build: Callable[[Precision], bytes],
    check: Callable[[bytes, bytes], dict[str, float]],
) -> bytes:
    """The graph in ``precision``. The int8 form is kept beside the weights, under the ``settings`` that it is built by.

    ``check`` takes a new int8 graph and the float32 one and measures how near they are; it raises ModelMismatch where
    that is not near enough.
    """
    if precision == "float32":
        return build(precision)
    recorded = {"builder": _BUILDER, **settings, "precision": precision}
    kept = _kept(source, recorded)
    if kept is not None:
        return kept
    graph = build(precision)
    checks = check(graph, build("float32"))
    record = BuildRecord(sha256_hex(graph), source.weights_sha256, recorded, checks)
    _keep(source.folder / _FOLDER, graph, record)
    return graph


def build_record(folder: Path) -> BuildRecord | None:
    """The record of the int8 file beside the weights, None where there is none or it cannot be read."""
    try:
        return BuildRecord(**json.loads((folder / _FOLDER / "int8.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def open_session(graph: bytes, threads: int) -> ort.InferenceSession:
    """A CPU session with ``threads`` threads per run. Raises EngineFault when the runtime refuses the graph."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the core alone
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions share no base class
        raise EngineFault(
            "ONNX Runtime refused a graph", hint="upgrade onnxruntime; 1.22 is the oldest tried"
        ) from error


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelNotFound(f"no model at {folder}", hint="a model folder holds config.json beside its weights")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ModelMismatch(f"{path} is not JSON", hint="pull or export the model again") from error


def _kept(source: Source, settings: dict[str, object]) -> bytes | None:
    record = build_record(source.folder)
    if record is None or record.weights_sha256 != source.weights_sha256:
        return None
    if {key: value for key, value in record.settings.items() if key != _CALIBRATED} != settings:
        return None
    try:
        graph = (source.folder / _FOLDER / "int8.onnx").read_bytes()
    except OSError:
        return None
    return graph if sha256_hex(graph) == record.sha256 else None


def _cosines(source: Source) -> Callable[[bytes, bytes], dict[str, float]]:
    """The check of an embedder: cosines of its vectors of the samples."""

    def check(graph: bytes, exact: bytes) -> dict[str, float]:
        tokenizer, limit = ModelTokenizer.of(source.folder), source.position_limit
        cosines = np.sum(_sample_vectors(graph, tokenizer, limit) * _sample_vectors(exact, tokenizer, limit), axis=1)
        mean, worst = (round(float(value), 5) for value in (cosines.mean(), cosines.min()))
        if not mean >= LOWEST_COSINE:
            raise ModelMismatch(
                f"the int8 form of {source.folder} has cosine {mean} to float32, below {LOWEST_COSINE}",
                hint='set precision = "float32" for this model',
            )
        return {"cosine_mean": mean, "cosine_min": worst}

    return check


def _sample_vectors(graph: bytes, tokenizer: ModelTokenizer, limit: int) -> Any:
    session = open_session(graph, threads=1)
    room = limit - len(tokenizer.head) - len(tokenizer.tail)
    bodies = [tokenizer.ids(text)[:room] for text in SAMPLES]
    rows = [np.array([[*tokenizer.head, *body, *tokenizer.tail]], dtype=np.int64) for body in bodies]
    return np.concatenate(
        [session.run(["embedding"], {"input_ids": r, "lengths": np.array([r.size], np.int32)})[0] for r in rows]
    )


def _keep(folder: Path, graph: bytes, record: BuildRecord) -> None:
    """A folder that cannot be written to only costs the build each time."""
    with suppress(OSError):
        _write(folder, graph, record)


def _write(folder: Path, graph: bytes, record: BuildRecord) -> None:
    """Both files, each whole or not at all; between the two, the record does not fit the graph, which is built anew."""
    folder.mkdir(exist_ok=True)
    for name, data in (("int8.onnx", graph), ("int8.json", (json.dumps(asdict(record), indent=2) + "\n").encode())):
        temporary = folder / f".{name}.{os.getpid()}"
        temporary.write_bytes(data)
        temporary.replace(folder / name)
