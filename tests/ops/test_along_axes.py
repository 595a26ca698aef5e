"""Products, truth, spread, positions and running sums along axes: against numpy, and where there are zeros and ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.ops.sampling import integers, numbers
from graphflow.testing import assert_backends_agree, check_gradient
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import assert_gradients_match_differences, gradients, run, same_bits

few = settings(max_examples=30)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


@pytest.fixture(params=available_backends())
def backend(request):
    return request.param


def value(function, backend, array):
    g = gf.ExprGraph()
    y = function(gf.tensor(g, array.shape, value=array))
    with gf.TapeMachine(g, outputs=y, backend=backend) as machine:
        machine.run_all()
        return y.value


# --- products ---------------------------------------------------------------------------------------------------------


def test_products_of_nothing_are_one():
    assert run(lambda x: gf.prod(x, 0), np.zeros((0, 3))).tolist() == [1.0, 1.0, 1.0]
    assert run(gf.prod, np.array([[2, 3], [4, -1]])) == -24


@pytest.mark.parametrize(
    ("x", "slopes"),
    [
        ([2.0, 3.0, 4.0], [12.0, 8.0, 6.0]),
        ([2.0, 0.0, 4.0], [0.0, 8.0, 0.0]),
        ([0.0, 0.0, 4.0], [0.0, 0.0, 0.0]),
        ([5.0], [1.0]),
        ([0.0], [1.0]),
    ],
)
def test_the_gradient_of_a_product_is_right_for_zeros(x, slopes, backend):
    """A division by the element would give NaN, and skipping zeros would give 0 where the others are not."""
    found = value(lambda x: gf.grad(gf.prod(x), x)[0], backend, np.array(x))
    assert found.tolist() == slopes


@pytest.mark.parametrize("axes", [None, 0, 1, (0, 2), (1, 2)])
def test_gradients_of_products_of_every_order_with_zeros(axes):
    x = numbers(2, 3, 2)
    x[0, 1, 0] = x[1, 1, 1] = x[0, 0, 0] = 0.0
    check_gradient(lambda x: gf.prod(x, axes), x, order=3)


# --- truth ------------------------------------------------------------------------------------------------------------


@few
@given(shape=st.lists(st.integers(0, 3), max_size=4).map(tuple), data=st.data())
def test_all_and_any_are_numpys(shape, data):
    axes = tuple(axis for axis in range(len(shape)) if data.draw(st.booleans())) or None
    keepdims = data.draw(st.booleans())
    x = numbers(*shape) < data.draw(st.sampled_from([-1.0, 0.0, 1.0]))
    for function, by_numpy in ((gf.all, np.all), (gf.any, np.any)):
        found = run(lambda x, function=function: function(x, axes, keepdims=keepdims), x)
        assert same_bits(found, np.asarray(by_numpy(x, axis=axes, keepdims=keepdims)))


# --- spread -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ddof", [0, 1, 2])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_var_and_std_are_numpys(ddof, axis):
    x = numbers(4, 5)
    for name in ("var", "std"):
        found = run(lambda x, name=name: getattr(gf, name)(x, axis, ddof=ddof), x)
        np.testing.assert_allclose(found, getattr(np, name)(x, axis=axis, ddof=ddof), rtol=1e-13)


def test_the_spread_of_large_equal_numbers_is_exactly_nothing():
    assert run(gf.var, np.full(7, 1e8)) == 0.0


def test_the_gradient_of_std_where_all_are_equal_is_zero():
    (found,), _ = gradients(lambda x: gf.std(x, 1), np.array([[2.0, 2.0], [1.0, 3.0]]))
    assert found[0].tolist() == [0.0, 0.0]
    assert np.isfinite(found[1]).all()
    assert np.isnan(run(gf.std, np.array([1.0, np.nan])))


# --- positions --------------------------------------------------------------------------------------------------------


@few
@given(shape=shapes, data=st.data())
def test_argmax_and_argmin_are_numpys(shape, data):
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    keepdims = data.draw(st.booleans())
    # Few different numbers: ties, and now and then NaN.
    palette = data.draw(
        st.sampled_from([[0.0, -0.0, 1.0], [1.0, 2.0, np.nan], [np.inf, -np.inf, np.nan], [-1.0, -2.0]])
    )
    x = np.random.default_rng(0).choice(palette, shape)
    for name in ("argmax", "argmin"):
        found = run(lambda x, name=name: getattr(gf, name)(x, axis, keepdims=keepdims), x)
        assert same_bits(found, np.asarray(getattr(np, name)(x, axis=axis, keepdims=keepdims)))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("size", [1, 7, 16, 33, 1000])
def test_positions_in_long_rows(name, size, backend):
    for x in (numbers(3, size).astype(np.float32), numbers(3, size), integers(3, size, high=3), numbers(3, size) < 0):
        for axis, array in ((1, x), (0, x.T.copy()), (0, x)):
            found = value(lambda x, axis=axis: getattr(gf, name)(x, axis), backend, array)
            assert same_bits(found, getattr(np, name)(array, axis=axis))


def test_positions_choose_rows():
    """What a prediction is made of: the largest logit, and the row that belongs to it."""
    g = gf.ExprGraph()
    logits = gf.matrix(g, (2, 3), value=[[0.0, 3.0, 1.0], [5.0, 4.0, 5.0]])
    rows = gf.gather(gf.matrix(g, (3, 2), init=gf.ranged_from(0)), gf.argmax(logits, -1))
    gf.read(rows)
    assert_backends_agree(g)
    with gf.TapeMachine(g) as machine:
        machine.run_all()
        assert rows.value.tolist() == [[2.0, 3.0], [0.0, 1.0]]


def test_positions_are_not_differentiable():
    g = gf.ExprGraph()
    x = gf.vector(g, 3)
    with pytest.raises(gf.GradientError):
        gf.grad(gf.cast(gf.argmax(x), "float32"), x)


# --- running sums -----------------------------------------------------------------------------------------------------


@few
@given(shape=st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple), data=st.data())
def test_running_sums_are_numpys(shape, data):
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    x = integers(*shape, low=-5)
    assert same_bits(run(lambda x: gf.cumsum(x, axis), x), np.cumsum(x, axis))
    backwards = np.cumsum(x.ravel()[::-1])[::-1] if axis is None else np.flip(np.cumsum(np.flip(x, axis), axis), axis)
    assert same_bits(run(lambda x: gf.cumsum(x, axis, reverse=True), x), backwards)


def test_running_sums_of_both_dtypes_and_their_gradients(backend):
    for dtype, bound in ((np.float32, 1e-5), (np.float64, 1e-13)):
        x = numbers(4, 300).astype(dtype)
        for axis in (0, 1):
            np.testing.assert_allclose(
                value(lambda x, axis=axis: gf.cumsum(x, axis), backend, x), np.cumsum(x, axis), rtol=bound, atol=bound
            )
    assert_gradients_match_differences(lambda x: gf.cumsum(x, 1) ** 2.0, numbers(2, 3))


# --- methods and misuse -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "var", "std", "argmax", "argmin", "cumsum"])
def test_nodes_have_the_method(name):
    x = numbers(3, 4)
    np.testing.assert_allclose(run(lambda x: getattr(x, name)(1), x), getattr(x, name)(1), rtol=1e-13)
    np.testing.assert_allclose(run(lambda x: getattr(x, name)(), x), getattr(x, name)(), rtol=1e-13)


def test_nodes_have_the_methods_of_truth():
    x = np.array([[True, False], [True, True]])
    assert same_bits(run(lambda x: x.all(0), x), x.all(0))
    assert same_bits(run(lambda x: x.any(1, keepdims=True), x), x.any(1, keepdims=True))


G = gf.ExprGraph()
X, B = gf.matrix(G, (2, 3), name="x"), gf.vector(G, 3, name="b", dtype="bool")
EMPTY = gf.matrix(G, (0, 3), name="empty")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gf.prod(X, 2), gf.ShapeError, "^prod: there is no axis 2"),
        (lambda: gf.prod(B), gf.DTypeError, "^prod: not defined for b: bool"),
        (lambda: gf.sum(B), gf.DTypeError, r"(?s)^sum: not defined for b: bool.*gf\.any\(b\)"),
        (lambda: gf.all(X), gf.DTypeError, r"(?s)^all: not defined for x: float32.*gf\.ne\(x, 0\)"),
        (lambda: gf.argmax(X, (0, 1)), gf.ShapeError, "^argmax: axis .0, 1. is no whole number"),
        (lambda: gf.argmax(X, 2), gf.ShapeError, "^argmax: there is no axis 2"),
        (lambda: gf.argmin(EMPTY, 0), gf.ShapeError, "^argmin: not defined for empty: float32.0, 3."),
        (lambda: gf.cumsum(X, -3), gf.ShapeError, "^cumsum: there is no axis -3"),
        (lambda: gf.cumsum(B), gf.DTypeError, "^cumsum: not defined for b"),
        (lambda: gf.var(X, 0, ddof=2), gf.ShapeError, "^var: not defined for x: .*\n  got     2 elements"),
        (lambda: gf.std(X, ddof=-1), gf.OptionError, "^std: ddof=-1"),
        (lambda: gf.std(EMPTY, 0), gf.ShapeError, "^std: not defined for empty"),
        (lambda: gf.var([1.0, 2.0]), gf.GraphError, "^var: "),
    ],
)  # fmt: skip
def test_misuse_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
    assert len(G) == 3
