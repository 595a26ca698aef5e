"""p-norms: against numpy, gradients also at zeros, ties, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphflow as gf
from graphflow.ops.sampling import numbers
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import gradients, run

POWERS = [0, 0.5, 1, 1.5, 2, 3, 7.5, -1, -2, math.inf, -math.inf]
BACKENDS = available_backends()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize(("axis", "keepdims"), [(1, False), (0, True), (-1, True), (2, False)])
def test_norms_are_numpys(p, axis, keepdims, backend):
    x = numbers(3, 4, 2)
    found = run(lambda x: gf.norm(x, p, axis, keepdims=keepdims), x, backend=backend)
    np.testing.assert_allclose(found, np.linalg.norm(x, p, axis, keepdims), rtol=1e-12)
    found = run(lambda x: gf.norm(x, p, axis, keepdims=keepdims), x.astype(np.float32), backend=backend)
    np.testing.assert_allclose(found, np.linalg.norm(x, p, axis, keepdims), rtol=1e-5)


@pytest.mark.parametrize("p", POWERS)
def test_several_axes_are_one_vector(p):
    x = numbers(3, 4, 2)
    found = run(lambda x: gf.norm(x, p), x)
    np.testing.assert_allclose(found, np.linalg.norm(x.ravel(), p), rtol=1e-12)
    found = run(lambda x: gf.norm(x, p, (0, 2)), x)
    np.testing.assert_allclose(found, np.linalg.norm(x.transpose(1, 0, 2).reshape(4, 6), p, 1), rtol=1e-12)


@pytest.mark.parametrize("p", [p for p in POWERS if p != 0])
def test_gradients(p):
    order = 1 if math.isinf(p) else 2
    check_gradient(lambda x: gf.norm(x, p, 1), numbers(3, 4), order=order)
    check_gradient(lambda x: gf.norm(x, p, keepdims=True), numbers(2, 3), order=order)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, math.inf, -math.inf])
def test_the_gradient_at_zeros_is_zero(p, backend):
    g = gf.ExprGraph()
    x = gf.matrix(g, (3, 2), value=[[0.0, 0.0], [3.0, 0.0], [0.0, -4.0]])
    gf.grad(gf.sum(gf.norm(x, p, 1)), x)
    gf.TapeMachine(g, backend=backend, keep="all").run_all()
    extreme = {0: 0.0, -math.inf: 0.0}.get(p, 1.0)
    np.testing.assert_allclose(x.grad, [[0.0, 0.0], [extreme, 0.0], [0.0, -extreme]], rtol=1e-6)


def test_second_gradients_at_zeros_are_numbers():
    for p in (1.5, 2, 3):
        g = gf.ExprGraph()
        x = gf.vector(g, 2, value=[0.0, 0.0])
        (dx,) = gf.grad(gf.norm(x, p), x)
        (ddx,) = gf.grad(gf.sum(dx), x)
        gf.TapeMachine(g, keep="all").run_all()
        assert np.isfinite(ddx.value).all()


def test_elements_that_tie_share_the_gradient():
    (found,), weights = gradients(lambda x: gf.norm(x, math.inf, 1), np.array([[2.0, -2.0, 1.0], [-3.0, 0.0, 1.0]]))
    np.testing.assert_allclose(found, [[0.5 * weights[0], -0.5 * weights[0], 0.0], [-weights[1], 0.0, 0.0]])


def test_of_nothing():
    assert run(lambda x: gf.norm(x, 2), np.zeros(0)) == 0.0
    with pytest.raises(gf.ShapeError, match="norm: not defined"):
        run(lambda x: gf.norm(x, math.inf), np.zeros(0))


def test_what_is_refused():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    for p in ("fro", None, math.nan):
        with pytest.raises(gf.OptionError, match="norm: p="):
            gf.norm(x, p)
    with pytest.raises(gf.ShapeError, match="norm: there is no axis 1"):
        gf.norm(x, axis=1)
    with pytest.raises(gf.DTypeError):
        gf.norm(gf.vector(g, 3, dtype="int64"))
