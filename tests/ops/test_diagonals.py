"""Diagonals read and written: against numpy on every backend, gradients, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.ops.sampling import numbers
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import run

SIZE, OFFSET = st.integers(0, 4), st.integers(-5, 5)


@given(st.lists(SIZE, min_size=2, max_size=4), OFFSET, st.data())
def test_diagonals_are_numpys(shape, offset, data):
    first = data.draw(st.integers(0, len(shape) - 1))
    second = data.draw(st.integers(0, len(shape) - 1).filter(lambda axis: axis != first))
    x = numbers(*shape)
    for backend in available_backends():
        found = run(lambda x: gf.diagonal(x, offset, first, second - len(shape)), x, backend=backend)
        np.testing.assert_array_equal(found, np.diagonal(x, offset, first, second))
        found = run(lambda x: gf.trace(x, offset, first, second), x, backend=backend)
        np.testing.assert_allclose(found, np.trace(x, offset, first, second), rtol=1e-12, atol=1e-14)


@given(st.lists(SIZE, min_size=1, max_size=2), OFFSET)
def test_diag_and_diag_flat_are_numpys(shape, offset):
    x = numbers(*shape)
    for backend in available_backends():
        np.testing.assert_array_equal(run(lambda x: gf.diag(x, offset), x, backend=backend), np.diag(x, offset))
        found = run(lambda x: gf.diag_flat(x, offset), x, backend=backend)
        np.testing.assert_array_equal(found, np.diagflat(x, offset))


@pytest.mark.parametrize("offset", [0, 1, -1])
def test_gradients(offset):
    check_gradient(lambda x: gf.diag(x, offset), numbers(3, 4), order=2)
    check_gradient(lambda x: gf.diag(x, offset), numbers(3), order=2)
    check_gradient(lambda x: gf.diag_flat(x, offset), numbers(2, 2), order=2)
    check_gradient(lambda x: gf.trace(x * x, offset, 2, 0), numbers(3, 2, 4), order=2)


def test_whole_numbers_and_bool():
    assert run(gf.diag, np.array([1, 2])).tolist() == [[1, 0], [0, 2]]
    assert run(gf.trace, np.array([[1, 2], [3, 4]])) == 5
    assert run(gf.diag, np.array([[True, False], [False, False]])).tolist() == [True, False]


def test_a_diagonal_is_no_slice_that_could_be_moved():
    g = gf.ExprGraph()
    with pytest.raises(gf.GraphflowError):
        gf.unsafe_let(gf.diag(gf.matrix(g, (3, 3))), 1)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (gf.diag, "try     gf.diagonal(x)"),
        (lambda x: gf.diag(x[0, 0], 0.5), "offset=0.5"),
        (lambda x: gf.diag_flat(x, None), "offset=None"),
        (lambda x: gf.diagonal(x[0, 0]), "got     1 axes"),
        (lambda x: gf.diagonal(x, 0, 1, -2), "axis 1 twice"),
        (lambda x: gf.trace(x, 0, 0, 3), "no axis 3"),
    ],
)
def test_what_is_refused(function, words):
    g = gf.ExprGraph()
    with pytest.raises(gf.ShapeError) as caught:
        function(gf.tensor(g, (2, 3, 4), name="x"))
    assert words in str(caught.value)
