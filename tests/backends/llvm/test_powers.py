"""Powers in machine code against long doubles, and against numpy in every special case, at every vector width."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow import loops
from graphflow.dtypes import float32, float64
from graphflow.scalars import trace
from graphflow.tensortype import TensorType
from graphflow.testing.loops_alone import run_loop
from tests.backends.llvm.widths import WIDTHS, kernels_of_width

both = pytest.mark.parametrize("dtype", [float32, float64], ids=str)
by_width = pytest.mark.parametrize("width", WIDTHS)
WIDER = {float32: np.float64, float64: np.longdouble}
SPECIAL = (0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 7.0, 0.1, 1e19, np.inf, 1 + 1e-7, 2.0**23 + 1, 2.0**24, 2.0**52 + 1, 2.0**53)


def powers(width, x, y):
    loop = loops.Map(trace(lambda x, y: x**y, [x.dtype, y.dtype]))
    with kernels_of_width(width):
        return run_loop(loop, [x, y], TensorType(x.dtype, x.shape), backend="native")


def operands(dtype):
    """Powers all over the range: by ordinary numbers, by numbers near 1, by small ones; subnormal numbers too."""
    random, count = np.random.default_rng(0), 20_000
    logarithms = random.uniform(-1, 1, count) * (80 if dtype == float32 else 700)
    wide = np.exp2(random.uniform(-20, 20, count))
    near_one = 1 + random.uniform(-1, 1, count) * 1e-3
    halves = random.uniform(0.5, 2, count)
    small = random.integers(1, 1 << 22, count) * float(np.finfo(dtype).smallest_subnormal)
    x = np.concatenate([wide, near_one, halves, small])
    y = np.concatenate(
        [*(logarithms / np.log(each) for each in (wide, near_one, halves)), random.uniform(-1, 1, count)]
    )
    return x.astype(dtype), y.astype(dtype)


@both
@by_width
def test_powers_of_positive_numbers(dtype, width):
    x, y = operands(dtype)
    with np.errstate(all="ignore"):
        wanted = np.power(x.astype(WIDER[dtype]), y.astype(WIDER[dtype]))
        nearest = wanted.astype(dtype)
    found = powers(width, x, y)
    inside = np.isfinite(nearest)
    np.testing.assert_array_equal(found[~inside], nearest[~inside])
    apart = np.abs(found[inside] - wanted[inside]) / np.spacing(nearest[inside])
    assert apart.max() <= (0.51 if dtype == float32 else 1.3)


@both
@by_width
def test_special_cases_are_those_of_numpy(dtype, width):
    """Zeros, infinities, NaN, negative bases, whole and odd exponents of all sizes: each with each."""
    numbers = np.array([*SPECIAL, *(-each for each in SPECIAL), np.nan, 1e-40, -1e-310, 3e38, -3e38], dtype)
    x, y = (each.ravel() for each in np.meshgrid(numbers, numbers))
    with np.errstate(all="ignore"):
        wanted = np.power(x, y)
    found = powers(width, x, y)
    np.testing.assert_allclose(found, wanted, rtol=1e-6 if dtype == float32 else 1e-14, atol=0)
    is_number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[is_number]), np.signbit(wanted[is_number]))
