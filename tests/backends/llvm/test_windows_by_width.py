"""Windows in machine code at every vector width: products of them, and elements that lie apart or are repeated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.dtypes import float32, float64
from graphflow.ops.convolution import Convolution, ConvolutionFilter
from graphflow.ops.windows import Sweep
from graphflow.tensortype import TensorType
from graphflow.testing.loops_alone import run_loop
from tests.backends.llvm.test_forms_by_width import FEW, by_width, compare, drawn
from tests.backends.llvm.widths import kernels_of_width


@by_width
@FEW
@given(data=st.data())
def test_products_of_windows(width, data):
    """Forward, and towards the filters: panels that begin and end anywhere, runs of any length, groups."""
    dtype = data.draw(st.sampled_from([float32, float64]))
    batch, outer, inner = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4))
    groups = data.draw(st.sampled_from([0, 0, 2]))
    sweeps = []
    lengths = []
    for _ in range(data.draw(st.integers(1, 3))):
        size, stride, dilation = (data.draw(st.integers(1, most)) for most in (4, 2, 2))
        sweeps.append(Sweep(size, stride, dilation))
        lengths.append(
            sweeps[-1].span + data.draw(st.sampled_from([0, 1, 4, 9, 18] if len(lengths) < 2 else [0, 1, 4]))
        )
    lead = (groups,) if groups else ()
    x = drawn((batch, *lead, inner, *lengths), dtype)
    filters = drawn((*lead, outer, inner, *[sweep.size for sweep in sweeps]), dtype, 1)
    op = Convolution(tuple(sweeps))
    types = [TensorType(dtype, x.shape), TensorType(dtype, filters.shape)]
    output = op.infer(*types)
    is_strided = data.draw(st.booleans())
    compare(width, op.lower(*types), [x, filters], dtype, output.shape, is_strided=is_strided)
    dy = drawn(output.shape, dtype, 2)
    back = ConvolutionFilter(tuple(sweeps))
    loop = back.lower(types[0], output)
    found = compare(width, loop, [x, dy], dtype, filters.shape, is_strided=is_strided)
    np.testing.assert_allclose(found, back.evaluate(x, dy), rtol=1e-3, atol=1e-3)


@by_width
@pytest.mark.parametrize("dtype", [float32, float64])
def test_long_sums_of_products_of_windows(width, dtype):
    """More summed steps than a panel holds, in one axis and in several."""
    for channels, sizes, lengths in ((700, (1, 2), (3, 5)), (3, (23, 24), (25, 30)), (40, (4, 5), (7, 70))):
        x, filters = drawn((2, channels, *lengths), dtype), drawn((5, channels, *sizes), dtype, 1)
        op = Convolution(tuple(Sweep(size) for size in sizes))
        types = [TensorType(dtype, x.shape), TensorType(dtype, filters.shape)]
        output = op.infer(*types)
        run = {"rtol": 1e-4 if dtype == float32 else 1e-12}
        with kernels_of_width(width):
            found = run_loop(op.lower(*types), [x, filters], output, backend="native")
        expected = op.evaluate(x.astype(float64), filters.astype(float64))
        np.testing.assert_allclose(found, expected, atol=run["rtol"] * np.abs(expected).max(), **run)


@by_width
@FEW
@given(
    dtype=st.sampled_from(["float32", "float64", "int64"]),
    rows=st.integers(1, 3),
    length=st.integers(1, 40),
    step=st.sampled_from([1, 2, 3, 4, 5]),
    times=st.sampled_from([1, 2, 3, 4, 8]),
)
def test_elements_that_lie_apart_or_are_repeated(width, dtype, rows, length, step, times):
    """Maps, copies and folds that read every second or third element, or each one twice or three times."""
    x = np.random.default_rng(length).integers(-50, 50, (rows, length * step)).astype(dtype)
    blocks = x.reshape(rows, length, step)
    g = gf.ExprGraph()
    node = gf.matrix(g, x.shape, dtype=dtype, value=x)
    apart = gf.reshape(node, blocks.shape)
    some = node[:, step - 1 :: step]
    repeated = gf.broadcast_to(gf.expand_dims(some, 2), (rows, length, times))
    given = np.repeat(blocks[:, :, -1], times, axis=1).reshape(rows, length, times)
    wide = np.random.default_rng(1).integers(-50, 50, given.shape).astype(dtype)
    other = gf.tensor(g, wide.shape, dtype=dtype, value=wide)
    expected = {
        some + 1: blocks[:, :, -1] + 1,
        gf.sum(apart, 2): blocks.sum(2),
        gf.max(apart, 2): blocks.max(2),
        gf.sum(apart, 0): blocks.sum(0),
        gf.reshape(repeated, (rows, length * times)): given.reshape(rows, -1),
        repeated * other: given * wide,
        repeated * other + gf.sum(node): given * wide + x.sum(),
    }
    with kernels_of_width(width), gf.TapeMachine(g, outputs=list(expected), backend="native") as vm:
        vm.run_all()
        for found, value in expected.items():
            np.testing.assert_allclose(found.value, value, rtol=1e-5)
