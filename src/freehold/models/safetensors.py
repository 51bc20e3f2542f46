"""The safetensors format, read and written without torch: 8 bytes of length, a JSON header, raw little-endian data."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import ModelMismatch, ModelNotFound

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1",
    "BOOL": "|b1",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}
_MAX_HEADER_BYTES = 100_000_000  # the limit of the reference implementation


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor of a file by name, memory-mapped and read-only; BF16 comes as float32.

    Raises ModelNotFound when the file is missing and ModelMismatch when it is not well-formed.
    """
    if not path.is_file():
        raise ModelNotFound(f"no weights at {path}", hint="a model folder holds a model.safetensors file")
    data = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else np.zeros(0, np.uint8)
    try:
        length = struct.unpack("<Q", data[:8].tobytes())[0]
        if length > min(_MAX_HEADER_BYTES, len(data) - 8):
            raise ValueError("header longer than the file")
        header = json.loads(data[8 : 8 + length].tobytes())
        body = data[8 + length :]
        return {name: _tensor(entry, body) for name, entry in header.items() if name != "__metadata__"}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelMismatch(f"{path} is not a safetensors file", hint="pull or export the model again") from error


def _tensor(entry: Mapping[str, Any], body: NDArray[np.uint8]) -> NDArray[Any]:
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= len(body):
        raise ValueError("tensor outside the file")
    raw = body[start:end]
    if entry["dtype"] == "BF16":  # the upper half of a float32
        wide = raw.view("<u2").astype(np.uint32) << 16
        return wide.view(np.float32).reshape(entry["shape"])
    return raw.view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write ``tensors`` in the order given: equal tensors give equal bytes."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}  # transformers refuses a file without it
    offset = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors start aligned
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).data)
