"""softmax and its kind: values and gradients at every size of logits, infinities, NaN, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.dtypes import int64
from graphflow.ops.sampling import numbers
from tests.ops.elementwise import assert_gradients_match_differences, gradients, run

INF, NAN = np.inf, np.nan
FUNCTIONS = {"softmax": gf.softmax, "log_softmax": gf.log_softmax, "log_sum_exp": gf.log_sum_exp}
SIZES = [1.0, 30.0, 100.0, 1e3, 1e4]
every_function = pytest.mark.parametrize("name", FUNCTIONS)
few = settings(max_examples=40)


def expected_log_sum_exp(x, axis=-1):
    """By extended precision, in which nothing here overflows that is shifted."""
    wide = np.asarray(x, np.longdouble)
    largest = wide.max(axis, keepdims=True)
    return np.log(np.exp(wide - largest).sum(axis, keepdims=True)) + largest


def expected(name, x, axis=-1):
    wide = np.asarray(x, np.longdouble)
    total = expected_log_sum_exp(wide, axis)
    values = {"softmax": np.exp(wide - total), "log_softmax": wide - total, "log_sum_exp": np.squeeze(total, axis)}
    return values[name].astype(np.float64)


@st.composite
def rows(draw):
    """A shape with at least one axis, and one of its axes as a user may write it."""
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    return shape, draw(st.integers(-len(shape), len(shape) - 1))


@every_function
@few
@given(rows())
def test_values_along_any_axis(name, case):
    shape, axis = case
    x = numbers(*shape)
    found = run(lambda x: FUNCTIONS[name](x, axis), x)
    if shape[axis] == 0:
        remaining = np.delete(shape, axis)
        assert found.shape == (tuple(remaining) if name == "log_sum_exp" else shape)
        assert (found == -INF).all()  # of no numbers at all this holds for any function
    else:
        np.testing.assert_allclose(found, expected(name, x, axis), rtol=1e-13, atol=1e-13)


@every_function
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(65,), (7, 65)])
def test_float32_is_right_for_logits_of_any_size(name, size, shape):
    x = (size * numbers(*shape, low=-1.0, high=1.0)).astype(np.float32)
    found = run(FUNCTIONS[name], x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(name, x), rtol=2e-6, atol=1e-6)


def test_equal_large_logits_lose_no_digit():
    x = np.full((2, 4), 1e4, np.float32)
    x[1] = -1e4
    np.testing.assert_allclose(run(gf.log_softmax, x), np.full((2, 4), -np.log(4.0)), rtol=1e-6)
    np.testing.assert_array_equal(run(gf.softmax, x), np.full((2, 4), 0.25, np.float32))
    np.testing.assert_allclose(run(gf.log_sum_exp, x), [1e4 + np.log(4.0), -1e4 + np.log(4.0)], rtol=1e-7)


def test_probabilities_add_up_to_one():
    x = 20.0 * numbers(40, 65)
    np.testing.assert_allclose(run(gf.softmax, x).sum(-1), np.ones(40), rtol=1e-14)
    np.testing.assert_allclose(np.exp(run(gf.log_softmax, x)).sum(-1), np.ones(40), rtol=1e-13)


@pytest.mark.parametrize(
    ("x", "probabilities", "logarithms", "total"),
    [
        ([0.0, -INF, 0.0], [0.5, 0.0, 0.5], [-np.log(2), -INF, -np.log(2)], np.log(2)),
        ([3.0, -INF], [1.0, 0.0], [0.0, -INF], 3.0),
        ([-INF, -INF], [NAN, NAN], [NAN, NAN], -INF),
        ([0.0, INF], [NAN, NAN], [NAN, NAN], INF),
        ([INF, INF], [NAN, NAN], [NAN, NAN], INF),
        ([-INF, INF], [NAN, NAN], [NAN, NAN], INF),
        ([0.0, NAN], [NAN, NAN], [NAN, NAN], NAN),
        ([-INF, NAN], [NAN, NAN], [NAN, NAN], NAN),
        ([INF, NAN], [NAN, NAN], [NAN, NAN], NAN),
    ],
)
def test_infinities_and_nan(x, probabilities, logarithms, total):
    beside = [0.0] * len(x)  # a row that must not notice
    x = np.array([x, beside])
    found = run(gf.softmax, x), run(gf.log_softmax, x), run(gf.log_sum_exp, x)
    for mine, wanted in zip(found, (probabilities, logarithms, total), strict=True):
        np.testing.assert_allclose(mine[0], wanted, rtol=1e-15)
        assert np.isfinite(mine[1]).all()


def test_log_sum_exp_may_keep_the_axis():
    x = numbers(2, 3, 4)
    kept = run(lambda x: gf.log_sum_exp(x, 1, keepdims=True), x)
    np.testing.assert_array_equal(kept, run(lambda x: gf.log_sum_exp(x, 1), x)[:, None, :])
    assert run(lambda x: gf.log_sum_exp(x, 0, keepdims=True), np.zeros(0)).tolist() == [-INF]


def test_types():
    g = gf.ExprGraph()
    x = gf.tensor(g, (2, 3, 4))
    assert gf.softmax(x).shape == gf.log_softmax(x, 0).shape == (2, 3, 4)
    assert gf.log_sum_exp(x).shape == (2, 3)
    assert gf.log_sum_exp(x, 1, keepdims=True).shape == (2, 1, 4)
    assert gf.softmax(gf.vector(g, 3, dtype="float64")).dtype == np.float64


# --- refusals ---------------------------------------------------------------------------------------------------------


@every_function
@pytest.mark.parametrize("axis", [2, -3, 0.5, None, (0, 1)])
def test_axes_that_do_not_exist_are_refused(name, axis):
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3))
    with pytest.raises(gf.ShapeError, match=f"^{name}: "):
        FUNCTIONS[name](x, axis)
    assert len(g) == 1


@every_function
def test_scalars_whole_numbers_and_strangers_are_refused(name):
    g = gf.ExprGraph()
    with pytest.raises(gf.ShapeError, match=rf"{name}: c: float32\[\] has too few axes"):
        FUNCTIONS[name](gf.scalar(g, name="c"))
    with pytest.raises(gf.DTypeError, match=rf"{name}: not defined for n: int64\[3\]"):
        FUNCTIONS[name](gf.vector(g, 3, dtype=int64, name="n"))
    with pytest.raises(gf.GraphflowError, match=rf"{name}: \[1.0\] is no node"):
        FUNCTIONS[name]([1.0])
    assert len(g) == 2


# --- gradients --------------------------------------------------------------------------------------------------------


@every_function
@pytest.mark.parametrize(("shape", "axis"), [((5,), 0), ((3, 4), -1), ((3, 4), 0), ((2, 3, 2), 1), ((3, 1), 1)])
def test_gradients_match_differences(name, shape, axis):
    assert_gradients_match_differences(lambda x: FUNCTIONS[name](x, axis), numbers(*shape))


def test_the_gradient_of_log_sum_exp_with_the_axis_kept():
    assert_gradients_match_differences(lambda x: gf.log_sum_exp(x, 0, keepdims=True), numbers(3, 2))


@every_function
def test_the_gradient_of_the_gradient_matches_differences(name):
    def gradient(x, w):
        y = FUNCTIONS[name](x, 0)
        return gf.grad(gf.sum(w * y * y), x)[0]

    weights = numbers(4, seed=3) if name != "log_sum_exp" else numbers(seed=3)
    assert_gradients_match_differences(gradient, numbers(4), weights)


def test_the_third_derivative_matches_differences():
    def second(x):
        (first,) = gf.grad(gf.log_sum_exp(x), x)
        return gf.grad(gf.sum(first * first), x)[0]

    assert_gradients_match_differences(second, numbers(4))


@pytest.mark.parametrize("size", SIZES)
def test_float32_gradients_are_right_for_logits_of_any_size(size):
    x = (size * numbers(7, 65, low=-1.0, high=1.0)).astype(np.float32)
    p = expected("softmax", x)
    for name, function in FUNCTIONS.items():
        (found,), weights = gradients(function, x)
        w = weights.astype(np.float64)
        wanted = {
            "softmax": lambda w: p * (w - (w * p).sum(-1, keepdims=True)),
            "log_softmax": lambda w: w - p * w.sum(-1, keepdims=True),
            "log_sum_exp": lambda w: p * w[:, None],
        }[name](w)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_the_gradient_of_log_sum_exp_loses_no_digit_where_logits_are_large_and_close():
    x = (1e4 + numbers(7, 5)).astype(np.float32)
    (found,), weights = gradients(gf.log_sum_exp, x)
    np.testing.assert_allclose(found, expected("softmax", x) * weights[:, None], rtol=1e-6)


def test_masked_logits_get_no_gradient():
    x = np.array([1.0, -INF, 2.0])
    for function in (gf.softmax, gf.log_sum_exp):
        (found,), _ = gradients(function, x)
        assert found[1] == 0.0
        assert np.isfinite(found).all()
