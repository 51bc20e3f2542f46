from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from freehold.core.errors import ModelMismatch, ModelNotFound
from freehold.models.safetensors import read_tensors, write_tensors

_DTYPES = st.sampled_from([np.float64, np.float32, np.float16, np.int64, np.int32, np.int8, np.uint8, np.bool_])
_ARRAYS = _DTYPES.flatmap(lambda dtype: st_numpy.arrays(dtype, st_numpy.array_shapes(min_dims=0, min_side=0)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(tensors=st.dictionaries(st.text(max_size=8).filter(lambda name: name != "__metadata__"), _ARRAYS, max_size=4))
def test_what_is_written_is_read(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    path = tmp_path / "model.safetensors"
    write_tensors(path, tensors)
    read = read_tensors(path)
    assert list(read) == list(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        np.testing.assert_array_equal(read[name], tensor)


def test_bfloat16_comes_as_float32(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 0.0, 3e38], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "w").write_bytes(struct.pack("<Q", len(header)) + header + halves)
    np.testing.assert_allclose(read_tensors(tmp_path / "w")["w"].ravel(), values, rtol=0.01)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{x",
        struct.pack("<Q", 52) + b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'[:52],
        struct.pack("<Q", 54) + b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'[:54],
        struct.pack("<Q", 54) + b'{"w":{"dtype":"F9","shape":[1],"data_offsets":[0,4]}} ' + b"1234",
        struct.pack("<Q", 54) + b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}' + b"1234",
    ],
)
def test_what_is_not_well_formed_is_a_mismatch(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(ModelMismatch):
        read_tensors(tmp_path / "w")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        read_tensors(tmp_path / "w")
