"""Numbers at the edges of a format, and loops that must treat them as numpy does."""

from __future__ import annotations

import numpy as np

from graphflow import loops
from graphflow.dtypes import float32, float64
from graphflow.tensortype import TensorType
from graphflow.testing.contract import arrays_of, describe, evaluated, is_float_input
from graphflow.testing.loops_alone import LoopAlone

# The infinities come last: what they do to their neighbours is numpy's business as well.
KINDS = ("nan", "inf", "-inf", "0", "-0", "subnormal", "-subnormal", "max", "-max")


def check_special_numbers(sample, backends, dtypes=(float64, float32)):
    """One special number among ordinary ones, in each input, then in all of them at once."""
    floats = [index for index in range(len(sample.inputs)) if is_float_input(sample, index)]
    for dtype in dtypes:
        types = [TensorType(array.dtype, array.shape) for array in arrays_of(sample, dtype)]
        output, loop = sample.op.infer(*types), sample.op.lower(*types)
        if output.dtype.kind == "i" and isinstance(loop, loops.Map):
            # A cast: of NaN and of numbers beyond it, int64 has no defined value.
            continue
        # Compiled once, for all that follows.
        loops_alone = {backend: LoopAlone(loop, types, output, backend=backend) for backend in backends}
        for kind in KINDS:
            for where in [*([index] for index in floats), floats]:
                arrays = [array.copy() for array in arrays_of(sample, dtype)]
                for index in where:
                    if arrays[index].size:
                        arrays[index].flat[arrays[index].size // 2] = special(kind, dtype, room_of(loop))
                expected = evaluated(sample.op, arrays)
                for backend, alone in loops_alone.items():
                    assert_same_class(alone.run(arrays), expected, f"{describe(sample)}, {kind}, {backend}")


def special(kind, dtype, room):
    """A number of this kind; the largest ones divided by `room`."""
    info = np.finfo(dtype)
    sign = -1.0 if kind.startswith("-") else 1.0
    size = {"nan": np.nan, "inf": np.inf, "0": 0.0, "subnormal": info.smallest_subnormal, "max": info.max / room}
    return dtype.type(sign) * dtype.type(size[kind.removeprefix("-")])


def room_of(loop):
    """Where products or their sums overflow on the way depends on their order, with numpy as with anybody."""
    if isinstance(loop, loops.Reduce) and loop.kind == "prod":
        return 2**12
    return 16 if isinstance(loop, loops.Contract) else 1


def kinds_of(values):
    """The class of each number: NaN, an infinity of a sign, or finite."""
    return np.where(np.isnan(values), 2.0, np.where(np.isinf(values), np.sign(values), 0.0))


def assert_same_class(found, expected, what):
    if expected.dtype.kind in "bi":
        np.testing.assert_array_equal(found, expected, err_msg=what)
        return
    np.testing.assert_array_equal(kinds_of(found), kinds_of(expected), err_msg=what)
    finite = np.isfinite(expected)
    scale = 1e-4 if expected.dtype == float32 else 1e-7
    np.testing.assert_allclose(found[finite], expected[finite], rtol=scale, atol=scale, err_msg=what)
