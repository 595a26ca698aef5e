"""Angles of points in machine code, at every vector width, against long doubles."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow import loops
from graphflow.dtypes import float32, float64
from graphflow.scalars import trace
from graphflow.tensortype import TensorType
from graphflow.testing.loops_alone import run_loop
from tests.backends.llvm.widths import WIDTHS, kernels_of_width

WIDER = {float32: np.float64, float64: np.longdouble}


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
@pytest.mark.parametrize("width", WIDTHS)
def test_units_in_the_last_place(dtype, width):
    random = np.random.default_rng(1)
    lengths = [np.exp2(random.uniform(-12, 12, 20_000)) * random.choice([-1.0, 1.0], 20_000) for _ in range(2)]
    y, x = (each.astype(dtype) for each in lengths)
    loop = loops.Map(trace(lambda y, x: y.arctan2(x), [dtype, dtype]))
    with kernels_of_width(width):
        found = run_loop(loop, [y, x], TensorType(dtype, x.shape), backend="native")
    wanted = np.arctan2(y.astype(WIDER[dtype]), x.astype(WIDER[dtype]))
    apart = np.abs(found - wanted) / np.spacing(np.abs(wanted.astype(dtype)))
    assert apart.max() <= 2.0
