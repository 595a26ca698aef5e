"""sparsemax: the nearest probabilities, found without sorting; against sorting and against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.ops.sampling import numbers
from graphflow.ops.simplex import Sparsemax
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import run

BACKENDS = available_backends()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 100.0, 1e4])
@pytest.mark.parametrize("size", [1, 2, 7, 200])
def test_it_is_the_nearest_point_of_the_simplex(size, scale, dtype, backend):
    """It adds up to 1, x - y is the same number wherever y is above 0, and smaller elsewhere."""
    x = (scale * numbers(20, size)).astype(dtype)
    y = run(gf.sparsemax, x, backend=backend)
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    exact = Sparsemax(1).evaluate(x.astype(np.float64))
    np.testing.assert_allclose(y, exact, rtol=0, atol=4 * tolerance)
    assert y.min() >= 0.0
    np.testing.assert_allclose(y.sum(1), 1.0, atol=20 * tolerance)
    slack = 1e-9 + 2 * np.abs(exact).max() * 1e-6
    threshold = np.where(exact > 0, x - exact, -np.inf).max(1, keepdims=True)
    assert ((x <= threshold + slack * scale) | (exact > 0)).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_numbers_that_drop_out_one_at_a_time(backend):
    """The slowest case: each step of the search leaves out few."""
    for size in (10, 64, 300):
        x = -np.cumsum(np.geomspace(1e-7, 0.5, size))
        for dtype, tolerance in ((np.float64, 1e-14), (np.float32, 2e-7)):
            found = run(gf.sparsemax, x.astype(dtype), backend=backend)
            np.testing.assert_allclose(found, Sparsemax(0).evaluate(x.astype(dtype).astype(np.float64)), atol=tolerance)


@settings(max_examples=60)
@given(st.lists(st.sampled_from([-np.inf, -1e30, -2.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 3.0]), min_size=1, max_size=9))
def test_ties_and_the_impossible(values):
    x = np.array(values)
    if np.isinf(x).all():
        return
    expected = Sparsemax(0).evaluate(x)
    assert expected.sum() == pytest.approx(1.0)
    for backend in BACKENDS:
        np.testing.assert_allclose(run(gf.sparsemax, x, backend=backend), expected, atol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_any_axis_and_gradients(axis):
    x = numbers(3, 4, 2)
    expected = np.apply_along_axis(Sparsemax(0).evaluate, axis, x)
    np.testing.assert_allclose(run(lambda x: gf.sparsemax(x, axis), x), expected, atol=1e-14)
    check_gradient(lambda x: gf.sparsemax(x, axis), x, order=2)


def test_what_is_refused():
    g = gf.ExprGraph()
    with pytest.raises(gf.ShapeError, match="sparsemax: there is no axis 1"):
        gf.sparsemax(gf.vector(g, 3), axis=1)
    with pytest.raises(gf.DTypeError):
        gf.sparsemax(gf.vector(g, 3, dtype="int64"))
