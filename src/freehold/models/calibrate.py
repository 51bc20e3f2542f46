"""int8 weights whose rounding errors cancel out on inputs like those that they will see.

Rounding each weight to its nearest step leaves errors that add up over a column's inputs. GPTQ (Frantar et al. 2023)
rounds a column's weights one after another, and moves those still to come so that they make up for the error so far on
inputs with a given second moment. The graph stays as it is, only the codes are others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Float64 = NDArray[np.float64]

DAMPING = 0.01
"""Added to the moment's diagonal, as a share of its mean: samples are fewer than inputs."""
_BLOCK_ROWS = 128


def compensated(
    weight: NDArray[np.float32], moment: Float64, *, levels: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes int8 (inputs, outputs) within ``levels`` and scales float32 (1, outputs) of ``weight`` (inputs, outputs).

    ``moment`` float64 (inputs, inputs): mean of x x^T over inputs x. Equal input gives equal codes on one kind of
    processor.
    """
    scales = np.maximum(np.abs(weight).max(axis=0, keepdims=True), 1e-12).astype(np.float64) / levels
    left = weight.astype(np.float64)
    codes = np.empty(weight.shape, dtype=np.int8)
    with threadpool_limits(limits=1, user_api="blas"):  # the sums of several threads come in an order of their own
        factor = _factor(moment)
        for start in range(0, len(left), _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, len(left))
            errors = np.empty((stop - start, left.shape[1]))
            for row in range(start, stop):
                rounded = np.clip(np.rint(left[row] / scales[0]), -levels, levels)
                codes[row] = rounded
                error = (left[row] - rounded * scales[0]) / factor[row, row]
                left[row + 1 : stop] -= np.outer(factor[row, row + 1 : stop], error)
                errors[row - start] = error
            left[stop:] -= factor[start:stop, stop:].T @ errors
    return codes, scales.astype(np.float32)


def _factor(moment: Float64) -> Float64:
    """Upper triangular U with U^T U the inverse of the damped moment."""
    mean = float(np.mean(np.diag(moment))) or 1.0
    damped = moment + np.eye(len(moment)) * DAMPING * mean
    factor: Float64 = np.linalg.cholesky(np.linalg.inv(damped)).T
    return factor
