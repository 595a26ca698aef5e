"""Pooling with all options against loops in plain Python, values and gradients."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends
from tests.ops import plain_loops

BACKENDS = available_backends()
MAXIMA = {1: gf.max_pool1d, 2: gf.max_pool2d}
MEANS = {1: gf.average_pool1d, 2: gf.average_pool2d}


@st.composite
def cases(draw):
    """A shape, and size, stride, dilation and padding of windows, none of which sees padding alone."""
    axes, lengths, sizes, strides, dilations, pads = draw(st.sampled_from([1, 2, 2])), [], [], [], [], []
    is_plain = draw(st.booleans())
    for _ in range(axes):
        sizes.append(draw(st.integers(1, 3)))
        strides.append(sizes[-1] if is_plain else draw(st.integers(1, 3)))
        dilations.append(1 if is_plain else draw(st.integers(1, 2)))
        most = sizes[-1] // 2 if dilations[-1] == 1 else 0
        pads.append((draw(st.integers(0, most)), draw(st.integers(0, most))))
        least = dilations[-1] * (sizes[-1] - 1) + 1
        lengths.append(draw(st.integers(least, least + 6)))
    return (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *lengths), sizes, pads, strides, dilations


def value_and_gradient(function, x, weights, backend, dtype="float64"):
    g = gf.ExprGraph()
    node = gf.tensor(g, x.shape, dtype=dtype, value=x)
    y = function(node)
    y.name = "y"
    gf.grad(gf.sum(y * weights(y.shape).astype(dtype)), node)
    with gf.TapeMachine(g, backend=backend) as vm:
        vm.run_all()
        return y.value, node.grad


def weights(shape):
    return np.random.default_rng(5).normal(size=shape)


def by_differences(function, x, step=1e-6):
    """The gradient of sum(weights * function(x)) where function is plain numpy."""
    result = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * step
            found = function(moved)
            sides.append(np.sum(weights(found.shape) * found))
        result[index] = (sides[0] - sides[1]) / (2 * step)
    return result


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25)
@given(case=cases(), dtype=st.sampled_from(["float64", "float32"]))
def test_max_pool_with_all_options(backend, case, dtype):
    shape, sizes, pads, strides, dilations = case
    # All numbers differ, so that there is a gradient everywhere.
    x = np.random.default_rng(1).permutation(np.prod(shape)).reshape(shape) / 8.0 - 20.0

    def plain(x):
        return plain_loops.pool(lambda _, real: max(real), x, sizes, pads, strides, dilations, -np.inf)

    y, dx = value_and_gradient(
        lambda x: MAXIMA[len(sizes)](x, tuple(sizes), tuple(pads), tuple(strides), tuple(dilations)),
        x, weights, backend, dtype,
    )  # fmt: skip
    np.testing.assert_array_equal(y, plain(x))
    np.testing.assert_allclose(dx, by_differences(plain, x), atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count_include_pad", [True, False])
@settings(max_examples=25)
@given(case=cases(), dtype=st.sampled_from(["float64", "float32"]))
def test_average_pool_with_all_options(backend, count_include_pad, case, dtype):
    shape, sizes, pads, strides, _ = case
    x = np.random.default_rng(1).normal(size=shape)

    def plain(x):
        def fold(elements, real):
            return sum(elements) / (len(elements) if count_include_pad else len(real))

        return plain_loops.pool(fold, x, sizes, pads, strides, [1] * len(sizes), 0.0)

    y, dx = value_and_gradient(
        lambda x: MEANS[len(sizes)](
            x, tuple(sizes), tuple(pads), tuple(strides), count_include_pad=count_include_pad
        ),
        x, weights, backend, dtype,
    )  # fmt: skip
    bound = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(y, plain(x), rtol=bound, atol=bound)
    np.testing.assert_allclose(dx, by_differences(plain, x), atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"pad": 1}, {"stride": 1, "pad": 1}])
def test_ties_pass_the_gradient_once_in_total(backend, options):
    x = np.round(np.random.default_rng(2).normal(size=(2, 2, 6, 6)))

    def ones(shape):
        return np.ones(shape)

    y, dx = value_and_gradient(lambda x: gf.max_pool2d(x, 2, **options), x, ones, backend)
    np.testing.assert_allclose(dx.sum(), y.size)
    if not options:
        # Each window shares its gradient equally among its largest.
        blocks = x.reshape(2, 2, 3, 2, 3, 2)
        largest = blocks == blocks.max((3, 5), keepdims=True)
        np.testing.assert_allclose(dx.reshape(blocks.shape), largest / largest.sum((3, 5), keepdims=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((2, 3, 40, 46), 2, {}),
        ((2, 3, 41, 47), 2, {}),
        ((2, 2, 30, 66), 3, {}),
        ((1, 2, 33, 70), (1, 4), {}),
        ((1, 2, 33, 70), (3, 5), {}),
        ((2, 3, 21, 50), 3, {"stride": 2, "pad": 1}),
        ((2, 3, 21, 50), 3, {"stride": 1}),
        ((2, 3, 14, 14), 2, {}),
        ((2, 3, 7, 9), 2, {"stride": 2}),
    ],
    ids=str,
)
def test_sizes_that_fill_registers(backend, dtype, shape, kernel, options):
    """Against the evaluation of the ops in float64."""
    x = np.random.default_rng(3).permutation(np.prod(shape)).reshape(shape) / 64.0
    for pool in (gf.max_pool2d, gf.average_pool2d):
        g = gf.ExprGraph()
        node = gf.tensor(g, x.shape, dtype="float64", value=x)
        y = pool(node, kernel, **options)
        y.name = "y"
        lisp = gf.LispMachine(g, gf.sum(y * weights(y.shape)))
        lisp.run_all()
        found, dx = value_and_gradient(lambda x, pool=pool: pool(x, kernel, **options), x, weights, backend, dtype)
        bound = 1e-12 if dtype == "float64" else 1e-5
        np.testing.assert_allclose(found, y.value, rtol=bound, atol=bound)
        np.testing.assert_allclose(dx, lisp.gradient(node), rtol=bound, atol=bound)


def test_gradients_of_second_order():
    x = np.random.default_rng(4).normal(size=(1, 2, 5, 5))
    check_gradient(lambda x: gf.max_pool2d(x * x, 3, pad=1, stride=2) * 2.0, x, order=2)
    check_gradient(lambda x: gf.average_pool2d(x * x, 2), x, order=2)
    check_gradient(lambda x: gf.average_pool2d(x * x, 3, pad=1, stride=1, count_include_pad=False), x, order=2)
    check_gradient(lambda x: gf.global_average_pool2d(x * x), x, order=2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_and_infinity_in_a_window(backend):
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 0, 0], x[0, 0, 0, 3], x[0, 0, 3, 3] = np.nan, np.inf, -np.inf
    y, _ = value_and_gradient(lambda x: gf.max_pool2d(x, 2), x, weights, backend)
    np.testing.assert_array_equal(y[0, 0], [[np.nan, np.inf], [0.0, 0.0]])
    y, _ = value_and_gradient(lambda x: gf.average_pool2d(x, 2), x, weights, backend)
    np.testing.assert_array_equal(y[0, 0], [[np.nan, np.inf], [0.0, -np.inf]])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda t: gf.max_pool2d(t.x, 0), gf.OptionError),
        (lambda t: gf.max_pool2d(t.x, (2, 2, 2)), gf.OptionError),
        (lambda t: gf.max_pool2d(t.x, 2, stride=-1), gf.OptionError),
        (lambda t: gf.max_pool2d(t.x, 2, dilation=0), gf.OptionError),
        (lambda t: gf.max_pool2d(t.x, 2, pad=2), gf.ShapeError),
        (lambda t: gf.max_pool2d(t.x, 9), gf.ShapeError),
        (lambda t: gf.max_pool1d(t.x, 2), gf.ShapeError),
        (lambda t: gf.max_pool2d(t.ids, 2), gf.DTypeError),
        (lambda t: gf.average_pool2d(t.x, 2, pad=2, count_include_pad=False), gf.ShapeError),
        (lambda t: gf.average_pool2d(t.ids, 2, pad=1), gf.DTypeError),
        (lambda t: gf.average_pool1d(t.x, 2), gf.ShapeError),
        (lambda t: gf.global_average_pool2d(t.image), gf.ShapeError),
        (lambda t: gf.global_average_pool2d(t.x.shape), gf.GraphError),
    ],
)
def test_refusals_change_nothing(call, error):
    g = gf.ExprGraph()
    tensors = SimpleNamespace(
        x=gf.tensor(g, (2, 4, 7, 7)), ids=gf.tensor(g, (2, 4, 7, 7), dtype="int64"), image=gf.tensor(g, (4, 7, 7))
    )
    before = len(g.nodes)
    with pytest.raises(error) as caught:
        call(tensors)
    assert "test_pooling.py" in str(caught.value)
    assert len(g.nodes) == before
