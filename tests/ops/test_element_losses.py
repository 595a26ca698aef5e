"""Binary cross entropy, Huber's loss, squared errors: formulas, extremes, gradients, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.ops.sampling import numbers
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import gradients, run

BACKENDS = available_backends()
P, T = numbers(3, 4, low=0.1, high=0.9), numbers(3, 4, low=0.1, high=0.9, seed=1)
X = numbers(3, 4, low=-3.0, high=3.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_formulas(backend):
    expected = -(T * np.log(P) + (1 - T) * np.log(1 - P))
    np.testing.assert_allclose(run(gf.binary_xent, P, T, backend=backend), expected, rtol=1e-12)
    expected = np.log1p(np.exp(X)) - T * X
    np.testing.assert_allclose(run(gf.binary_xent_with_logits, X, T, backend=backend), expected, rtol=1e-12)
    np.testing.assert_allclose(run(gf.mse, X, T, backend=backend), np.mean((X - T) ** 2), rtol=1e-12)
    e = np.abs(X - T)
    expected = np.where(e <= 0.7, e * e / 2, 0.7 * (e - 0.35))
    np.testing.assert_allclose(run(lambda x, t: gf.huber(x, t, 0.7), X, T, backend=backend), expected, rtol=1e-12)


def test_gradients():
    check_gradient(gf.binary_xent, P, T, order=2)
    check_gradient(gf.binary_xent_with_logits, X, T, order=2)
    check_gradient(gf.mse, X, T[0], order=2)
    check_gradient(lambda x, t: gf.huber(x, t, 0.7), X, T)


@pytest.mark.parametrize("backend", BACKENDS)
def test_certainty_that_is_right_costs_nothing_and_certainty_that_is_wrong_everything(backend):
    p, t = np.array([0.0, 1.0, 0.0, 1.0, np.nan]), np.array([0.0, 1.0, 1.0, 0.0, 0.0])
    found = run(gf.binary_xent, p, t, backend=backend)
    np.testing.assert_array_equal(found, [0.0, 0.0, np.inf, np.inf, np.nan])
    g = gf.ExprGraph()
    node = gf.vector(g, 4, value=p[:4], dtype="float64")
    gf.grad(gf.sum(gf.binary_xent(node, t[:4])), node)
    gf.TapeMachine(g, backend=backend, keep="all").run_all()
    np.testing.assert_array_equal(node.grad, [1.0, -1.0, -np.inf, np.inf])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [1.0, 30.0, 100.0, 1e3, 1e4])
def test_logits_of_any_size(size, backend):
    """Written with a sigmoid or with logits, it is right, and so are small gradients."""
    x = (size * numbers(40, low=-1.0, high=1.0)).astype(np.float32)
    t = (numbers(40, seed=1) > 0).astype(np.float32)
    wide = x.astype(np.float64)
    signed = np.where(t == 1, -wide, wide)
    expected = np.logaddexp(0.0, signed)
    slope = np.where(t == 1, -1.0, 1.0) * np.exp(-np.logaddexp(0.0, -signed))
    for build in (gf.binary_xent_with_logits, lambda x, t: gf.binary_xent(gf.sigmoid(x), t)):
        np.testing.assert_allclose(run(build, x, t, backend=backend), expected, rtol=2e-6, atol=1e-37)
        (found, _), weights = gradients(build, x, t)
        np.testing.assert_allclose(found, slope * weights, rtol=4e-6, atol=1e-37)


def test_a_sigmoid_that_somebody_reads_is_read():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, value=[1e3, -1e3])
    p = gf.sigmoid(x)
    loss = gf.binary_xent(p, [0.0, 1.0])
    (dp,) = gf.grad(gf.sum(loss), p)
    with gf.TapeMachine(g, keep=[p, loss]) as machine:
        machine.run_all()
        assert p.value.tolist() == [1.0, 0.0]
        assert loss.value.tolist() == [1e3, 1e3]
        assert dp.value.tolist() == [np.inf, -np.inf]


def test_infinite_errors():
    (found, _), _ = gradients(gf.huber, np.array([np.inf, -np.inf, 0.0]), np.zeros(3))
    assert np.isfinite(found).all()
    assert (run(gf.huber, np.array([np.inf]), np.zeros(1)) == np.inf).all()


def test_what_is_refused():
    g = gf.ExprGraph()
    x = gf.vector(g, 3)
    for delta in (0, -1.0, "1", None, float("nan")):
        with pytest.raises(gf.OptionError, match="huber: delta="):
            gf.huber(x, 0.0, delta)
    with pytest.raises(gf.ShapeError, match="binary_xent: cannot combine"):
        gf.binary_xent(x, gf.vector(g, 4))
    with pytest.raises(gf.DTypeError, match="binary_xent_with_logits"):
        gf.binary_xent_with_logits(gf.vector(g, 3, dtype="int64"), [1, 0, 1])
    with pytest.raises(gf.ShapeError):
        gf.mse(gf.vector(g, 0), gf.vector(g, 0))
