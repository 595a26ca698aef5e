"""Gradients that are sent while others are computed: the same bits as those sent at the end."""

from __future__ import annotations

import numpy as np

import graphflow as gf
from tests.parallel.launch import PROGRAMS, mpiexec


def test_when_they_are_sent_changes_no_bit():
    outcome = mpiexec(2, PROGRAMS / "overlap.py", "300", "10")
    assert outcome.code == 0, outcome.err
    late, early, measured = outcome.out.splitlines()
    assert late == early == measured
    assert late.split()[1] == "3"
    assert "False False 3 parts" in outcome.err
    assert "True True 3 parts" in outcome.err


def test_alone_it_is_a_run():
    g = gf.ExprGraph(seed=1)
    x = gf.vector(g, 3, name="x", value=[1.0, 2.0, 3.0])
    w = gf.vector(g, 3, name="w", init=gf.ones())
    gf.grad(gf.sum(gf.square(w * x)), w)
    with gf.TapeMachine(g) as vm:
        overlapped = gf.parallel.OverlappedRun(gf.parallel.Alone(), [w], vm)
        overlapped.run(0.5)
        assert overlapped.is_early is False
        np.testing.assert_allclose(w.grad, [1.0, 4.0, 9.0])
        overlapped.run(0.0)
        assert not w.grad.any()


def test_parts_come_in_the_order_in_which_they_are_ready_and_small_neighbours_go_together():
    g = gf.ExprGraph(seed=1)
    x = gf.matrix(g, (2, 300), name="x", value=np.ones((2, 300), np.float32))
    layers = [gf.nn.Linear(g, a, b, name=f"layer{a}") for a, b in ((300, 310), (310, 5), (5, 4))]
    y = x
    for layer in layers:
        y = gf.tanh(layer(y))
    weights = [w for layer in layers for w in layer.parameters]
    gf.grad(gf.sum(y), *weights)
    with gf.TapeMachine(g) as vm:
        parts = gf.parallel.OverlappedRun(gf.parallel.Alone(), weights, vm).parts
    sizes = [300 * 310, 310 + 310 * 5 + 5 + 5 * 4 + 4]
    assert sorted(part.gradients.size for part in parts) == sorted(sizes)
    assert [part.ready for part in parts] == sorted(part.ready for part in parts)
