"""Sine, cosine and angles: every size of angle, the places where they are 0, special numbers, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.ops.sampling import numbers
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import assert_gradients_match_differences, extremes, run, same_bits

FUNCTIONS = {
    "sin": (gf.sin, np.sin), "cos": (gf.cos, np.cos), "tan": (gf.tan, np.tan), "arcsin": (gf.arcsin, np.arcsin),
    "arccos": (gf.arccos, np.arccos), "arctan": (gf.arctan, np.arctan),
}  # fmt: skip
both_floats = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
WIDER = {np.float32: np.float64, np.float64: np.longdouble}
# The float64 that lies nearest to a multiple of pi / 2 of all.
NEAREST = 6381956970095103 * 2.0**797


@pytest.fixture(params=available_backends())
def backend(request):
    return request.param


def angles(dtype):
    """Angles of all sizes, and what lies next to multiples of pi / 2, where sine or cosine nearly vanish."""
    random = np.random.default_rng(4)
    multiples = np.concatenate([np.arange(-60, 61), random.integers(1, 2**40, 300)]) * (np.pi / 2)
    sizes = 10.0 ** random.uniform(-30, 38 if dtype == np.float32 else 308, 600)
    return np.concatenate([multiples, sizes, -sizes, random.uniform(-10, 10, 600)]).astype(dtype)


@both_floats
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_every_size_of_angle(name, dtype, backend):
    function, by_numpy = FUNCTIONS[name]
    x = angles(dtype)
    y = value(function, backend, x)
    expected = by_numpy(x.astype(WIDER[dtype])).astype(dtype)
    np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps)


def value(function, backend, *arrays):
    g = gf.ExprGraph()
    y = function(*[gf.tensor(g, array.shape, value=array) for array in arrays])
    with gf.TapeMachine(g, outputs=y, backend=backend) as machine:
        machine.run_all()
        return y.value


def test_the_hardest_angle_of_all(backend):
    x = np.array([NEAREST])
    np.testing.assert_allclose(value(gf.cos, backend, x), [-4.68716592425462761112e-19], rtol=1e-9)
    assert value(gf.sin, backend, x).tolist() == [1.0]


@both_floats
@pytest.mark.parametrize("name", ["arcsin", "arccos", "arctan"])
def test_angles_back(name, dtype, backend):
    function, by_numpy = FUNCTIONS[name]
    x = np.concatenate([np.linspace(-1, 1, 401), 1 - 10.0 ** np.arange(-15, 0), 10.0 ** np.arange(-30, 0)])
    x = x.astype(dtype)
    expected = by_numpy(x.astype(WIDER[dtype])).astype(dtype)
    # At 1 minus very little numpy's own float32 is as coarse as this.
    np.testing.assert_allclose(value(function, backend, x), expected, rtol=8 * np.finfo(dtype).eps, atol=1e-30)


@both_floats
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_numbers(name, dtype):
    function, by_numpy = FUNCTIONS[name]
    x = np.concatenate([extremes(dtype), np.array([1.5, -1.5], dtype)])
    with np.errstate(all="ignore"):
        expected = by_numpy(x)
    y = run(function, x)
    np.testing.assert_allclose(y, expected, rtol=8 * np.finfo(dtype).eps)
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(y[zeros]), np.signbit(expected[zeros]))


@both_floats
def test_the_angle_of_every_point(dtype, backend):
    """Zeros and infinities of both signs, NaN, and sizes of every ratio: each with each."""
    sizes = np.array([0.0, 1.0, 2.5, 1e-30, 1e30, np.inf, np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal])
    axis = np.concatenate([sizes, -sizes, [np.nan]]).astype(dtype)
    y, x = (each.ravel() for each in np.meshgrid(axis, axis))
    with np.errstate(all="ignore"):
        expected = np.arctan2(y, x)
    found = value(gf.arctan2, backend, y, x)
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps)
    numbers_only = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[numbers_only]), np.signbit(expected[numbers_only]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_first_and_second_order(name):
    function, _ = FUNCTIONS[name]
    x = numbers(3, 4, low=-0.9, high=0.9)
    assert_gradients_match_differences(function, x)
    assert_gradients_match_differences(lambda x: gf.grad(gf.sum(function(x) * x), x)[0], x)


def test_gradients_of_the_angle_broadcast():
    assert_gradients_match_differences(gf.arctan2, numbers(3, 1), numbers(4, low=0.5, seed=1))


def test_whole_numbers_are_refused():
    g = gf.ExprGraph()
    i = gf.vector(g, 3, name="i", dtype="int64")
    with pytest.raises(gf.DTypeError, match=r"^sin: not defined for i: int64\[3\]"):
        gf.sin(i)
    with pytest.raises(gf.DTypeError, match="^arctan2: not defined for i"):
        gf.arctan2(i, i)


@both_floats
def test_roundings(dtype, backend):
    x = np.array(
        [-2.5, -1.5, -0.7, -0.5, -0.2, -0.0, 0.0, 0.2, 0.5, 0.7, 1.5, 2.5, 1e30, np.inf, -np.inf, np.nan], dtype
    )
    for function, by_numpy in ((gf.ceil, np.ceil), (gf.floor, np.floor), (gf.round, np.rint)):
        assert same_bits(value(function, backend, x), by_numpy(x))
