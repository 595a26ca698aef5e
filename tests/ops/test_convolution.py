"""Convolutions of every kind against loops in plain Python, with gradients against the convolution's own linearity."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.ops.windows import Sweep, Windows
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends
from tests.ops import plain_loops

BACKENDS = available_backends()
CONVOLUTIONS = {1: gf.conv1d, 2: gf.conv2d}
TRANSPOSED = {1: gf.conv_transpose1d, 2: gf.conv_transpose2d}


@st.composite
def cases(draw):
    """Options and sizes of a convolution that fit each other."""
    axes, groups = draw(st.sampled_from([1, 2, 2])), draw(st.sampled_from([1, 1, 2, 3]))
    batch, inner, outer = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    sizes, strides, dilations, pads, lengths = [], [], [], [], []
    for _ in range(axes):
        sizes.append(draw(st.integers(1, 3)))
        strides.append(draw(st.integers(1, 3)))
        dilations.append(draw(st.integers(1, 2)))
        pads.append((draw(st.integers(0, 2)), draw(st.integers(0, 2))))
        least = max(1, dilations[-1] * (sizes[-1] - 1) + 1 - sum(pads[-1]))
        lengths.append(draw(st.integers(least, least + 6)))
    shapes = (batch, inner * groups, *lengths), (outer * groups, inner, *sizes)
    return axes, groups, shapes, tuple(strides), tuple(dilations), tuple(pads)


def numbers(shape, seed, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def gradients(function, values, weights, backend, dtype):
    """The value, and the gradients of sum(weights * value)."""
    g = gf.ExprGraph()
    nodes = [gf.tensor(g, value.shape, dtype=dtype, value=value) for value in values]
    y = function(*nodes)
    y.name = "y"
    gf.grad(gf.sum(y * weights.astype(dtype)), *nodes)
    with gf.TapeMachine(g, backend=backend) as vm:
        vm.run_all()
        assert y.value.dtype == dtype
        return y.value, [node.grad for node in nodes]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@settings(max_examples=40)
@given(case=cases())
def test_convolutions_with_all_options(backend, dtype, case):
    """The result against loops; since it is linear in both inputs, the gradients are convolutions of unit arrays."""
    axes, groups, shapes, strides, dilations, pads = case
    x, filters = numbers(shapes[0], 0), numbers(shapes[1], 1)
    options = pads, strides, dilations, groups
    expected = plain_loops.convolution(x, filters, *options)
    weights = numbers(expected.shape, 2)
    y, (dx, df) = gradients(
        lambda x, filters: CONVOLUTIONS[axes](x, filters, *options), (x, filters), weights, backend, dtype
    )
    bound = 1e-11 if dtype == "float64" else 2e-4
    np.testing.assert_allclose(y, expected, rtol=bound, atol=bound)
    # The adjoint by its definition, as the transposed convolution adds up what the convolution reads.
    rest = [
        (length + before + after - d * (k - 1) - 1) % s
        for length, (before, after), d, k, s in zip(shapes[0][2:], pads, dilations, shapes[1][2:], strides, strict=True)
    ]
    expected = plain_loops.transposed_convolution(weights, filters, pads, strides, rest, dilations, groups)
    np.testing.assert_allclose(dx, expected, rtol=bound, atol=bound)
    for index in (0, filters.size // 2, filters.size - 1):
        one = np.zeros(filters.size)
        one[index] = 1.0
        expected = np.sum(weights * plain_loops.convolution(x, one.reshape(filters.shape), *options))
        np.testing.assert_allclose(df.ravel()[index], expected, rtol=10 * bound, atol=10 * bound)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40)
@given(case=cases(), data=st.data())
def test_transposed_convolutions_with_all_options(backend, case, data):
    axes, groups, (shape, filter_shape), strides, dilations, _ = case
    x = numbers((shape[0], filter_shape[0], *[min(length, 4) for length in shape[2:]]), 0)
    filters = numbers(filter_shape, 1)
    extra = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations, strict=True))
    pads = []
    for n, s, d, k, more in zip(x.shape[2:], strides, dilations, filter_shape[2:], extra, strict=True):
        room = (n - 1) * s + d * (k - 1) + more
        before = data.draw(st.integers(0, room))
        pads.append((before, data.draw(st.integers(0, room - before))))
    expected = plain_loops.transposed_convolution(x, filters, pads, strides, extra, dilations, groups)
    weights = numbers(expected.shape, 2)
    y, (dx, _) = gradients(
        lambda x, filters: TRANSPOSED[axes](x, filters, tuple(pads), strides, extra, dilations, groups),
        (x, filters), weights, backend, "float64",
    )  # fmt: skip
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)
    wide = np.pad(weights, ((0, 0), (0, 0), *pads))
    back = plain_loops.convolution(wide, filters, [(0, 0)] * axes, strides, dilations, groups)
    kept = tuple(slice(0, size) for size in x.shape)
    np.testing.assert_allclose(dx, back[kept], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_of_second_order(groups):
    check_gradient(
        lambda x, filters: gf.conv2d(x, filters, pad=(1, 0), stride=(2, 1), dilation=(1, 2), groups=groups),
        numbers((2, 2, 4, 5), 0),
        numbers((2, 2 // groups, 2, 2), 1),
        order=2,
    )
    check_gradient(
        lambda x, filters: gf.conv_transpose2d(x, filters, pad=1, stride=2, output_pad=(1, 0), groups=groups),
        numbers((1, 2, 2, 3), 0),
        numbers((2, 1, 3, 2), 1),
        order=2,
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("images", "filters", "options"),
    [
        ((2, 3, 20, 23), (21, 3, 3, 3), {"pad": 1}),
        ((2, 16, 9, 35), (7, 16, 5, 3), {"pad": 2}),
        ((1, 40, 7, 7), (33, 40, 4, 4), {"pad": 1}),
        ((3, 5, 17, 40), (18, 5, 3, 3), {"stride": 2, "pad": 1}),
        ((2, 6, 12, 19), (8, 3, 3, 3), {"groups": 2, "dilation": 2}),
        ((2, 8, 30, 30), (8, 1, 3, 3), {"groups": 8}),
        ((2, 70, 6, 6), (66, 70, 1, 1), {"stride": 3}),
        ((1, 2, 40, 40), (3, 2, 29, 29), {}),
        ((5, 1, 28, 28), (32, 1, 5, 5), {}),
        ((2, 9, 1, 70), (9, 9, 1, 64), {}),
    ],
    ids=str,
)
def test_sizes_that_fill_registers_and_caches(backend, dtype, images, filters, options):
    """Large enough for every path of the kernels, against the evaluation of the op, which multiplies matrices."""
    x, f = numbers(images, 0), numbers(filters, 1)
    g = gf.ExprGraph()
    y = gf.conv2d(gf.constant(g, x), gf.constant(g, f), **options)
    lisp = gf.LispMachine(g)
    lisp.run_all()
    weights = numbers(y.shape, 2)
    found, (dx, df) = gradients(lambda x, f: gf.conv2d(x, f, **options), (x, f), weights, backend, dtype)
    bound = 1e-11 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(found, y.value, rtol=bound, atol=bound * np.abs(y.value).max())
    h = gf.ExprGraph()
    nodes = [gf.tensor(h, value.shape, dtype="float64", value=value) for value in (x, f)]
    lisp = gf.LispMachine(h, gf.sum(gf.conv2d(*nodes, **options) * weights))
    lisp.run_all()
    for node, gradient in zip(nodes, (dx, df), strict=True):
        expected = lisp.gradient(node)
        np.testing.assert_allclose(gradient, expected, rtol=bound, atol=bound * np.abs(expected).max())


def test_im2col_gives_windows_as_rows():
    x = numbers((2, 3, 6, 5), 0)
    g = gf.ExprGraph()
    rows = gf.im2col(gf.constant(g, x), (2, 3), pad=(1, 0), stride=(2, 1), dilation=(1, 2))
    gf.LispMachine(g).run_all()
    wide = plain_loops.padded(x, ((1, 1), (0, 0)))
    assert rows.shape == (2, 4, 1, 18)
    for n, p, q in np.ndindex(2, 4, 1):
        expected = [wide[n, c, 2 * p + i, q + 2 * j] for c in range(3) for i in range(2) for j in range(3)]
        np.testing.assert_array_equal(rows.value[n, p, q], expected)


def test_a_convolution_is_the_product_of_im2col():
    x, f = numbers((2, 3, 6, 5), 0), numbers((4, 3, 3, 2), 1)
    g = gf.ExprGraph()
    images, filters = gf.constant(g, x), gf.constant(g, f)
    direct = gf.conv2d(images, filters, pad=1)
    product = gf.im2col(images, (3, 2), pad=1) @ gf.reshape(filters, (4, 18)).T
    gf.LispMachine(g).run_all()
    np.testing.assert_allclose(np.moveaxis(product.value, 3, 1), direct.value, rtol=1e-12)


def test_the_compiled_program_makes_no_array_of_windows():
    g = gf.ExprGraph()
    x, f = gf.tensor(g, (4, 3, 8, 8), name="x"), gf.tensor(g, (5, 3, 3, 3), name="f")
    gf.grad(gf.sum(gf.square(gf.conv2d(x, f, pad=1))), x, f)
    program = str(gf.compile_graph(g))
    assert program.count("convolve ") == 3
    largest = max(instruction.output.type.size for instruction in gf.compile_graph(g).instructions)
    assert largest < 4 * 3 * 9 * 64
    assert "call" not in program


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda t: gf.conv2d(t.x, t.f, stride=0), gf.OptionError),
        (lambda t: gf.conv2d(t.x, t.f, stride=(1, 2, 3)), gf.OptionError),
        (lambda t: gf.conv2d(t.x, t.f, dilation=1.5), gf.OptionError),
        (lambda t: gf.conv2d(t.x, t.f, pad=-1), gf.OptionError),
        (lambda t: gf.conv2d(t.x, t.f, pad="same"), gf.OptionError),
        (lambda t: gf.conv2d(t.x, t.f, pad=(1, (1, 2, 3))), gf.OptionError),
        (lambda t: gf.conv2d(t.x, t.f, groups=0), gf.OptionError),
        (lambda t: gf.conv2d(t.x, t.f, groups=2), gf.ShapeError),
        (lambda t: gf.conv2d(t.x, t.f, dilation=4), gf.ShapeError),
        (lambda t: gf.conv2d(t.x, t.f, pad=1, dilation=5), gf.ShapeError),
        (lambda t: gf.conv2d(t.f, t.x), gf.ShapeError),
        (lambda t: gf.conv2d(t.image, t.f), gf.ShapeError),
        (lambda t: gf.conv2d(t.x, t.exact, pad=1), gf.DTypeError),
        (lambda t: gf.conv2d(t.x, t.foreign, pad=1), gf.GraphError),
        (lambda t: gf.conv2d(t.x, 1.0), gf.GraphError),
        (lambda t: gf.conv1d(t.x, t.f), gf.ShapeError),
        (lambda t: gf.conv_transpose2d(t.x, t.f), gf.ShapeError),
        (lambda t: gf.conv_transpose2d(t.six, t.f, output_pad=1), gf.OptionError),
        (lambda t: gf.conv_transpose2d(t.six, t.f, pad=9), gf.ShapeError),
        (lambda t: gf.conv_transpose2d(t.six, t.foreign, pad=1), gf.GraphError),
        (lambda t: gf.im2col(t.x, 8), gf.ShapeError),
        (lambda t: gf.im2col(t.x, 0), gf.OptionError),
        (lambda t: gf.im2col(t.image, 2), gf.ShapeError),
    ],
)
def test_refusals_change_nothing(call, error):
    g = gf.ExprGraph()
    tensors = SimpleNamespace(
        x=gf.tensor(g, (2, 4, 7, 7)),
        f=gf.tensor(g, (6, 4, 3, 3)),
        image=gf.tensor(g, (4, 7, 7)),
        exact=gf.tensor(g, (6, 4, 3, 3), dtype="float64"),
        six=gf.tensor(g, (2, 6, 7, 7)),
        foreign=gf.tensor(gf.ExprGraph(), (6, 4, 3, 3)),
    )
    before = len(g.nodes)
    with pytest.raises(error) as caught:
        call(tensors)
    assert "test_convolution.py" in str(caught.value)
    assert len(g.nodes) == before


def test_windows_read_as_their_sweep_says():
    assert Sweep(3, 2, 2).span == 5
    assert Sweep(3, 2, 2).count(9) == 3
    assert Sweep(3, 2, 2).reads(1, 9) == slice(2, 7, 2)
    found = Windows((Sweep(2, 2),)).evaluate(np.arange(6.0))
    np.testing.assert_array_equal(found, [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]])
