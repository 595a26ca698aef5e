"""Sums, means and extremes: values against numpy in float64, empty axes, ties, refusals, gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.dtypes import bool_, int64
from graphflow.ops.reductions import min as smallest
from graphflow.ops.reductions import sum_to
from graphflow.ops.sampling import numbers
from tests.ops.elementwise import assert_gradients_match_differences, gradients, run

FUNCTIONS = {
    "sum": (gf.sum, np.sum), "mean": (gf.mean, np.mean), "max": (gf.max, np.max), "min": (smallest, np.min),
    "prod": (gf.prod, np.prod), "var": (gf.var, np.var), "std": (gf.std, np.std),
}  # fmt: skip
every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_extreme = pytest.mark.parametrize("name", ["max", "min"])
few = settings(max_examples=40)


@st.composite
def reductions(draw):
    """A shape, axes of it as a user may write them, and whether they are kept."""
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    axes = draw(st.none() | st.lists(st.sampled_from(range(len(shape))), unique=True) if shape else st.none())
    if axes is not None:
        axes = tuple(axis - len(shape) if draw(st.booleans()) else axis for axis in axes)
        if len(axes) == 1 and draw(st.booleans()):
            axes = axes[0]
    return shape, axes, draw(st.booleans())


@every_function
@few
@given(reductions())
def test_values_are_those_of_numpy(name, case):
    shape, axes, keepdims = case
    function, expected = FUNCTIONS[name]
    x = numbers(*(shape if name in ("sum", "prod") else [size + 1 for size in shape]))
    found = run(lambda x: function(x, axes, keepdims=keepdims), x)
    np.testing.assert_allclose(found, expected(x, axis=axes, keepdims=keepdims), rtol=1e-14, atol=1e-14)
    assert found.shape == expected(x, axis=axes, keepdims=keepdims).shape


@every_function
def test_float32_stays_float32(name):
    function, expected = FUNCTIONS[name]
    x = numbers(50, 30).astype(np.float32)
    found = run(lambda x: function(x, 1), x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(x.astype(np.float64), axis=1), rtol=1e-5, atol=1e-6)


def test_whole_numbers_have_sums_and_extremes_but_no_mean():
    x = np.array([[2**40, 3], [5, -7]])
    assert run(gf.sum, x) == 2**40 + 1
    assert run(lambda x: gf.max(x, 0), x).tolist() == [2**40, 3]
    assert run(lambda x: smallest(x, 0), x).dtype == np.int64
    g = gf.ExprGraph()
    with pytest.raises(gf.DTypeError, match=r"mean: not defined for n: int64\[2\]"):
        gf.mean(gf.vector(g, 2, dtype=int64, name="n"))


def test_the_operator_method_is_the_function():
    x = numbers(2, 3)
    np.testing.assert_allclose(run(lambda x: x.sum(1, keepdims=True), x), x.sum(1, keepdims=True))


def test_sums_of_nothing_are_zero():
    assert run(lambda x: gf.sum(x, 0), np.zeros((0, 3))).tolist() == [0.0, 0.0, 0.0]
    assert run(gf.sum, np.zeros((2, 0))) == 0.0


@pytest.mark.parametrize("name", ["mean", "max", "min"])
@pytest.mark.parametrize(("shape", "axis"), [((0,), None), ((0, 3), 0), ((3, 0), -1), ((0, 0), 0)])
def test_of_nothing_there_is_no_mean_and_no_extreme(name, shape, axis):
    g = gf.ExprGraph()
    x = gf.tensor(g, shape, name="x")
    with pytest.raises(gf.ShapeError, match=f"{name}: not defined for x: float32"):
        FUNCTIONS[name][0](x, axis)
    assert len(g) == 1
    assert FUNCTIONS[name][0](gf.matrix(g, (0, 3)), 1).shape == (0,)


@every_extreme
@pytest.mark.parametrize(
    "numbers_of_row", [[1.0, np.nan, 3.0], [np.nan, np.inf], [-np.inf, np.inf], [-np.inf, -np.inf]]
)
def test_special_numbers_travel_as_in_numpy(name, numbers_of_row):
    function, expected = FUNCTIONS[name]
    found = run(function, np.array(numbers_of_row))
    np.testing.assert_array_equal(found, expected(np.array(numbers_of_row)))


@every_function
@few
@given(reductions())
def test_types_are_known_before_anything_runs(name, case):
    shape, axes, keepdims = case
    x = gf.tensor(gf.ExprGraph(), tuple(size + 1 for size in shape))
    found = FUNCTIONS[name][0](x, axes, keepdims=keepdims)
    assert found.shape == np.sum(np.zeros(x.shape), axis=axes, keepdims=keepdims).shape
    assert found.dtype == x.dtype


# --- refusals ---------------------------------------------------------------------------------------------------------


@every_function
@pytest.mark.parametrize("axis", [2, -3, (0, 5), (0, 0), (1, -1), 1.5, "0", [[0]]])
def test_axes_that_do_not_exist_are_refused(name, axis):
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3))
    with pytest.raises(gf.ShapeError, match=f"^{name}: "):
        FUNCTIONS[name][0](x, axis)
    assert len(g) == 1


@every_function
def test_bool_is_refused(name):
    g = gf.ExprGraph()
    flags = gf.vector(g, 3, dtype=bool_, name="flags")
    with pytest.raises(gf.DTypeError, match=r"gf\.cast\(flags, "):
        FUNCTIONS[name][0](flags)
    assert len(g) == 1


@every_function
def test_what_is_no_node_is_refused(name):
    with pytest.raises(gf.GraphflowError, match=rf"{name}: \[1, 2\] is no node"):
        FUNCTIONS[name][0]([1, 2])


def test_the_text_of_an_error():
    x = gf.matrix(gf.ExprGraph(), (2, 3), name="x")
    with pytest.raises(gf.ShapeError) as caught:
        gf.sum(x, 2)
    lines = str(caught.value).splitlines()
    assert lines[:3] == ["sum: there is no axis 2", "  got     2 axes", "  needs   an axis from -2 to 1"]
    assert lines[3].startswith("  node    made at test_reductions.py:")
    assert lines[4].startswith("  line    test_reductions.py:")


# --- gradients --------------------------------------------------------------------------------------------------------


@every_function
@pytest.mark.parametrize(
    ("shape", "axes", "keepdims"),
    [((), None, False), ((4,), 0, False), ((2, 3), None, True), ((2, 3), 1, False), ((2, 3), 0, False),
     ((2, 3, 2), (0, 2), False), ((2, 3, 2), (1, 2), True), ((2, 1, 3), 1, False), ((2, 3), (), False)],
)  # fmt: skip
def test_gradients_match_differences(name, shape, axes, keepdims):
    assert_gradients_match_differences(lambda x: FUNCTIONS[name][0](x, axes, keepdims=keepdims), numbers(*shape))


@every_function
def test_the_gradient_of_the_gradient_matches_differences(name):
    def gradient_of_square(x):
        reduced = FUNCTIONS[name][0](x, 1)
        return gf.grad(gf.sum(reduced * reduced * reduced), x)[0]

    assert_gradients_match_differences(gradient_of_square, numbers(2, 3))


@every_extreme
def test_ties_share_the_gradient_which_is_passed_once_in_total(name):
    sign = 1.0 if name == "max" else -1.0
    x = sign * np.array([[2.0, 1.0, 2.0, -3.0], [5.0, 5.0, 5.0, 5.0], [0.0, 1.0, 2.0, 3.0]])
    (found,), weights = gradients(lambda x: FUNCTIONS[name][0](x, 1), x)
    shares = np.array([[0.5, 0.0, 0.5, 0.0], [0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(found, shares * weights[:, None])


@every_extreme
def test_ties_between_infinities_and_zeros_of_both_signs_share_too(name):
    (found,), weights = gradients(lambda x: FUNCTIONS[name][0](x, 1), np.array([[-np.inf, -np.inf], [0.0, -0.0]]))
    np.testing.assert_array_equal(found, np.array([[0.5, 0.5], [0.5, 0.5]]) * weights[:, None])


@every_extreme
def test_the_gradient_of_nan_is_nan_and_stays_in_its_row(name):
    (found,), _ = gradients(lambda x: FUNCTIONS[name][0](x, 1), np.array([[1.0, np.nan], [3.0, 3.0]]))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_the_gradient_of_a_mean_over_everything():
    (found,), weights = gradients(gf.mean, numbers(4, 5))
    np.testing.assert_allclose(found, np.full((4, 5), weights / 20), rtol=1e-15)


# --- sum_to -----------------------------------------------------------------------------------------------------------


@st.composite
def broadcasts(draw):
    """A shape, and one that broadcasts to it."""
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    dropped = draw(st.integers(0, len(shape)))
    return shape, tuple(1 if draw(st.booleans()) else size for size in shape[dropped:])


@few
@given(broadcasts())
def test_sum_to_is_the_adjoint_of_broadcasting(case):
    shape, smaller = case
    x, y = numbers(*shape), numbers(*smaller, seed=1)
    found = run(lambda x, y: sum_to(x, y) + 0.0 * y, x, y)
    assert found.shape == smaller
    np.testing.assert_allclose((found * y).sum(), (x * np.broadcast_to(y, shape)).sum(), rtol=1e-12, atol=1e-12)


def test_sum_to_adds_nothing_where_the_shapes_agree():
    g = gf.ExprGraph()
    x, y = gf.matrix(g, (2, 3)), gf.matrix(g, (2, 3))
    assert sum_to(x, y) is x
    assert len(g) == 2


@pytest.mark.parametrize(("shape", "nodes"), [((3,), 1), ((1, 3), 1), ((2, 1), 1), ((), 1), ((1,), 2)])
def test_sum_to_adds_as_few_nodes_as_it_can(shape, nodes):
    g = gf.ExprGraph()
    x, y = gf.matrix(g, (2, 3)), gf.tensor(g, shape)
    assert sum_to(x, y).shape == shape
    assert len(g) == 2 + nodes
