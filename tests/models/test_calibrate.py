"""int8 weights rounded for their inputs: laws of the rounding, its reference, and what it is worth on a graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoders import Maker

from freehold.models.calibrate import DAMPING, compensated
from freehold.models.compiled import build_record, calibrate, compiled
from freehold.models.facts import ModelFacts
from freehold.models.onnx import _quantized

LEVELS = 63


def drawn(seed: int, rows: int, columns: int, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A weight, inputs that lie mostly in a few directions, and their second moment."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 1, (rows, columns)).astype(np.float32)
    inputs = rng.normal(0, 1, (samples, max(2, rows // 8))) @ rng.normal(0, 1, (max(2, rows // 8), rows))
    inputs += 0.1 * rng.normal(0, 1, inputs.shape)
    return weight, inputs, inputs.T @ inputs / samples


def plainly(weight: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Column by column and row by row, with the inverse of what is left worked out anew each time (OBQ's recursion)."""
    scales = np.abs(weight).max(axis=0) / LEVELS
    left, codes = weight.astype(np.float64), np.zeros(weight.shape, dtype=np.int8)
    inverse = np.linalg.inv(moment + np.eye(len(moment)) * DAMPING * np.mean(np.diag(moment)))
    for row in range(len(weight)):
        codes[row] = np.clip(np.rint(left[row] / scales), -LEVELS, LEVELS)
        error = (left[row] - codes[row] * scales) / inverse[0, 0]
        left[row + 1 :] -= np.outer(inverse[1:, 0], error)
        inverse = inverse[1:, 1:] - np.outer(inverse[1:, 0], inverse[0, 1:]) / inverse[0, 0]
    return codes


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 6))
@settings(deadline=None, max_examples=40)
def test_inputs_that_have_nothing_in_common_change_nothing(seed: int, rows: int, columns: int) -> None:
    weight, _, _ = drawn(seed, rows, columns, 10)
    codes, scales = compensated(weight, np.eye(rows), levels=LEVELS)
    plain, plain_scales = _quantized(weight, levels=LEVELS, axis=0)
    np.testing.assert_allclose(scales, plain_scales, rtol=1e-6)
    assert np.abs(codes.astype(int) - plain).max() <= 1  # halves may be rounded either way in float32 and float64
    assert (codes != plain).mean() < 0.02


@pytest.mark.parametrize("rows", [5, 127, 128, 129, 300])
def test_blocks_give_what_one_row_after_another_does(rows: int) -> None:
    weight, _, moment = drawn(rows, rows, 4, 4 * rows)
    codes, scales = compensated(weight, moment, levels=LEVELS)
    assert np.abs(codes).max() <= LEVELS
    assert scales.shape == (1, 4)
    assert (codes == plainly(weight, moment)).mean() > 0.999


@given(st.integers(0, 10**6), st.integers(16, 64))
@settings(deadline=None, max_examples=20)
def test_errors_on_other_inputs_of_the_kind_are_smaller(seed: int, rows: int) -> None:
    weight, inputs, _ = drawn(seed, rows, 8, 800)
    seen, others = inputs[:400], inputs[400:]

    def error(codes: np.ndarray, scales: np.ndarray) -> float:
        return float(np.square(others @ (weight - codes * scales)).mean())

    ours = error(*compensated(weight, seen.T @ seen / 400, levels=LEVELS))
    assert ours < 0.7 * error(*_quantized(weight, levels=LEVELS, axis=0))


def test_a_calibrated_graph_is_kept_and_serves(tiny: Maker) -> None:
    folder, facts = tiny("bert"), ModelFacts(max_tokens=40)
    plain = compiled(folder, facts, "int8")
    calibrate(folder, facts, ["harbour dues", "a boat on the slipway", "winter"])
    kept = compiled(folder, facts, "int8")
    assert kept.graph != plain.graph
    record = build_record(folder)
    assert record is not None
    assert record.settings["calibrated"] == 3
    calibrate(folder, facts, ["harbour dues", "a boat on the slipway", "winter"])
    assert compiled(folder, facts, "int8") == kept
