"""The last vector of a row is seldom full. What its empty lanes give (0/0, log 0) must not get into a fold."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.dtypes import float32, float64
from graphflow.loops import Reduce, Rows
from graphflow.scalars import trace
from graphflow.tensortype import TensorType
from graphflow.testing.loops_alone import run_loop

PROGRAMS = {
    "quotient": (lambda x, y: x / y, lambda x, y: x / y),
    "quotient of logarithms": (lambda x, y: x.log() / y.log(), lambda x, y: np.log(x) / np.log(y)),
    "logarithm of quotient": (lambda x, y: (x / y + 1.0).log(), lambda x, y: np.log(x / y + 1.0)),
    "one over": (lambda x, y: 1.0 / (x * y), lambda x, y: 1.0 / (x * y)),
    "root of difference": (lambda x, y: (x + y - 1.0).sqrt(), lambda x, y: np.sqrt(x + y - 1.0)),
}
FOLDS = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}
SIZES = [*range(1, 20), 31, 33]


def numbers(size, dtype):
    """Three rows, and one that is taken with each of them; all away from zero and one."""
    generator = np.random.default_rng(size)
    return [generator.uniform(1.5, 2.5, shape).astype(dtype) for shape in ((3, size), (size,))]


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_reduction_of_any_size(name, dtype):
    scalars, arrays_of = PROGRAMS[name]
    program = trace(scalars, [dtype, dtype])
    output = TensorType(dtype, (3,))
    for kind, fold in FOLDS.items():
        for size in SIZES:
            arrays = numbers(size, dtype)
            found = run_loop(Reduce(kind, (1,), before=program), arrays, output, backend="native")
            wanted = fold(arrays_of(*[array.astype(float64) for array in arrays]), axis=1)
            np.testing.assert_allclose(
                found, wanted, rtol=1e-5 if dtype == float32 else 1e-13, err_msg=f"{kind}, {size}"
            )


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_sum_inside_a_row_of_any_size(name, dtype):
    scalars, arrays_of = PROGRAMS[name]
    for size in SIZES:
        arrays = [np.broadcast_to(array, (3, size)).copy() for array in numbers(size, dtype)]
        types = [TensorType(array.dtype, array.shape) for array in arrays]
        loop = Rows.of(1, lambda x, y: scalars(x, y) / scalars(x, y).row_sum(), *types)
        found = run_loop(loop, arrays, types[0], backend="native")
        inner = arrays_of(*[array.astype(float64) for array in arrays])
        wanted = inner / inner.sum(1, keepdims=True)
        np.testing.assert_allclose(found, wanted, rtol=1e-5 if dtype == float32 else 1e-13, err_msg=str(size))
