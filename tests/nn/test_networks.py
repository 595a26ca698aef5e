"""Layers of feed-forward networks: the functions that they stand for, with parameters of their own."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from tests.ops import plain_loops


def run(node, **options):
    with gf.TapeMachine(node.graph, outputs=[node], **options) as vm:
        vm.run_all()
        return node.value


def test_conv_in_two_axes_and_in_one():
    g = gf.ExprGraph(seed=3)
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 5))
    layer = gf.nn.Conv(g, 4, 6, (3, 2), pad=1, stride=2, groups=2, dtype="float64")
    gf.let(layer.b, np.arange(6.0))
    found = run(layer(gf.constant(g, x)))
    expected = plain_loops.convolution(x, layer.w.value, [(1, 1)] * 2, (2, 2), (1, 1), 2)
    np.testing.assert_allclose(found, expected + np.arange(6.0)[:, None, None], rtol=1e-10)
    signal = gf.nn.Conv(g, 4, 3, (5,), bias=False, name="signal", dtype="float64")
    assert (signal.w.shape, len(signal.parameters)) == ((3, 4, 5), 1)
    found = run(signal(gf.constant(g, x[..., 0])))
    expected = plain_loops.convolution(x[..., 0], signal.w.value, [(0, 0)], (1,), (1,), 1)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    with pytest.raises(gf.OptionError):
        gf.nn.Conv(g, 1, 1, (3, 3, 3))
    assert gf.nn.Conv(g, 1, 2, 3, name="square").w.shape == (2, 1, 3, 3)
    with pytest.raises(gf.OptionError, match="kernel is not usable"):
        gf.nn.Conv(g, 1, 1, "3")


def test_norms_begin_as_plain_normalisation():
    g = gf.ExprGraph()
    x = np.random.default_rng(0).normal(3.0, 2.0, (4, 6, 5))
    given = gf.constant(g, x)
    found = run(gf.nn.LayerNorm(g, (6, 5), dtype="float64")(given))
    np.testing.assert_allclose([found.mean((1, 2)), found.std((1, 2))], [np.zeros(4), np.ones(4)], atol=1e-4)
    found = run(gf.nn.GroupNorm(g, 2, 6, dtype="float64")(given)).reshape(4, 2, -1)
    np.testing.assert_allclose([found.mean(2), found.std(2)], [np.zeros((4, 2)), np.ones((4, 2))], atol=1e-4)
    norm = gf.nn.BatchNorm(g, 6, momentum=1.0, dtype="float64")
    y = norm(given)
    found = run(y)
    np.testing.assert_allclose([found.mean((0, 2)), found.std((0, 2))], [np.zeros(6), np.ones(6)], atol=1e-4)
    np.testing.assert_allclose(norm.mean.value, x.mean((0, 2)), rtol=1e-10)
    # With momentum 1 the running statistics are those of the batch, up to the unbiased variance.
    np.testing.assert_allclose(run(y, eval_mode=True), found * np.sqrt(19 / 20), atol=1e-4)


def test_layers_one_after_the_other():
    g = gf.ExprGraph(seed=1)
    shared = gf.nn.Linear(g, 4, 4, name="shared")
    norm = gf.nn.BatchNorm(g, 4)
    net = gf.nn.Sequential(shared, norm, gf.tanh, gf.nn.Dropout(0.5), shared, lambda x: x * 2.0)
    assert net.parameters == (*shared.parameters, *norm.parameters)
    assert net.statistics == norm.statistics
    x = gf.constant(g, np.random.default_rng(0).normal(size=(3, 4)).astype("float32"))
    y = net(x)
    by_hand = 2.0 * shared(gf.tanh(norm(shared(x))))
    np.testing.assert_allclose(run(y, eval_mode=True), run(by_hand, eval_mode=True), rtol=1e-6)
    assert not np.allclose(run(y), run(by_hand))
