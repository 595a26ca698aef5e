"""The larger of two, the smaller of two, and numbers within bounds."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.ops.sampling import numbers
from tests.ops.elementwise import assert_gradients_match_differences, extremes, gradients, run, same_bits

BETWEEN = {"max_between": (gf.max_between, np.maximum), "min_between": (gf.min_between, np.minimum)}
both = pytest.mark.parametrize("name", BETWEEN)


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64], ids=["float32", "float64", "int64"])
def test_all_pairs_of_extreme_numbers(name, dtype):
    function, by_numpy = BETWEEN[name]
    x = extremes(dtype) if dtype != np.int64 else np.array([-(2**63), -1, 0, 1, 2**63 - 1])
    found, expected = run(function, x[:, None], x), by_numpy(x[:, None], x)
    # Which of two zeros is the larger one is left open by numpy.
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == dtype


@both
def test_ties_share_the_gradient(name):
    a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 0.0])
    (of_a, of_b), weights = gradients(BETWEEN[name][0], a, b)
    first = [0.5, 0.0, 1.0] if name == "max_between" else [0.5, 1.0, 0.0]
    assert (of_a / weights).tolist() == first
    assert (of_b / weights).tolist() == [1.0 - each for each in first]


@both
def test_an_infinite_gradient_stays_with_the_one_that_was_taken(name):
    def poisoned(a, b):
        return gf.grad(gf.sum(BETWEEN[name][0](a, b) * np.inf), a, b)[0]

    found = run(poisoned, np.array([1.0, 2.0]), np.array([2.0, 1.0]))
    assert found.tolist() == ([0.0, np.inf] if name == "max_between" else [np.inf, 0.0])


@both
def test_gradients_match_differences(name):
    assert_gradients_match_differences(BETWEEN[name][0], numbers(3, 1), numbers(2, 1, 4, seed=1))


BOUNDS = [(-1.0, 1.0), (None, 0.5), (0.25, None), (-np.inf, np.inf), (0.5, 0.5), (-1, 1)]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_clip_is_numpys(bounds, dtype):
    x = np.concatenate([extremes(dtype), numbers(20).astype(dtype)])
    assert same_bits(run(lambda node: gf.clip(node, *bounds), x) + 0.0, np.clip(x, *bounds) + dtype(0))


def test_clip_of_whole_numbers():
    x = np.array([-(2**63), -3, 0, 2, 2**62 + 1])
    assert same_bits(run(lambda node: gf.clip(node, -1, 2**62), x), np.clip(x, -1, 2**62))
    assert same_bits(run(lambda node: gf.clip(node, low=-1), x), np.clip(x, -1, None))


def test_clip_by_nodes_and_arrays():
    x, low = numbers(3, 4), numbers(4, high=0.0, seed=1)
    expected = np.clip(x, low, 1.0)
    np.testing.assert_allclose(run(lambda node: gf.clip(node, low, 1.0), x), expected)
    np.testing.assert_allclose(run(lambda node, bound: gf.clip(node, bound, 1.0), x, low), expected)
    assert_gradients_match_differences(lambda node, bound: gf.clip(node, bound, 1.0), x, low)


def test_the_gradient_of_clip_passes_at_the_bounds_and_where_it_is_not_a_number():
    (found,), weights = gradients(lambda x: gf.clip(x, -1.0, 1.0), np.array([-2.0, -1.0, 0.0, 1.0, 2.0, np.nan]))
    assert (found / weights).tolist() == [0.0, 1.0, 1.0, 1.0, 0.0, 1.0]


def test_hard_bends():
    x = np.linspace(-5, 5, 21)
    np.testing.assert_allclose(run(gf.hard_tanh, x), np.clip(x, -1, 1))
    np.testing.assert_allclose(run(gf.hard_sigmoid, x), np.clip(x / 6 + 0.5, 0, 1), rtol=1e-15)


G = gf.ExprGraph()
X, IDS = gf.vector(G, 3, name="x"), gf.vector(G, 3, name="i", dtype="int64")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gf.clip(X), gf.OptionError, "^clip: nothing to hold x"),
        (lambda: gf.clip(X, 2.0, 1.0), gf.OptionError, "^clip: no number lies between the bounds\n  got     low=2.0"),
        (lambda: gf.clip(X, float("nan")), gf.OptionError, "^clip: a bound is not a number"),
        (lambda: gf.clip(IDS, 0.5), gf.DTypeError, "^clip: the bounds of i: int64.3. are not whole"),
        (lambda: gf.max_between(X, IDS), gf.DTypeError, "^max_between: cannot combine x"),
        (lambda: gf.min_between(X, np.ones(4)), gf.ShapeError, "^min_between: cannot combine x"),
        (lambda: gf.hard_sigmoid(2.0), gf.GraphError, "hard_sigmoid"),
        (lambda: gf.clip(2.0, 0.0), gf.GraphError, "clip"),
    ],
)
def test_misuse_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
    assert len(G) == 2
