"""The CTC loss: against the sum over all alignments, written out; lengths, blanks, reductions, gradients."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import run

BACKENDS = available_backends()


def log_probabilities(*shape, seed=0):
    x = np.random.default_rng([seed, *shape]).normal(size=shape)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def read(alignment, blank):
    """What an alignment says."""
    return tuple(symbol for symbol, _ in groupby(alignment) if symbol != blank)


def by_enumeration(log_probs, target, blank):
    """The loss of one sequence, and its gradient: all alignments one by one."""
    steps, classes = log_probs.shape
    total, shares = 0.0, np.zeros(log_probs.shape)
    for alignment in product(range(classes), repeat=steps):
        if read(alignment, blank) == tuple(target):
            probability = np.exp(log_probs[np.arange(steps), list(alignment)].sum())
            total += probability
            shares[np.arange(steps), list(alignment)] += probability
    return (-np.log(total), -shares / total) if total else (np.inf, shares)


@settings(max_examples=40)
@given(st.integers(0, 4), st.lists(st.integers(0, 2), max_size=3), st.integers(0, 2), st.integers(0, 100))
def test_it_is_the_sum_over_all_alignments(steps, target, blank, seed):
    target = [label for label in target if label != blank]
    log_probs = log_probabilities(steps, 1, 3, seed=seed)
    expected, slope = by_enumeration(log_probs[:, 0], target, blank)
    g = gf.ExprGraph()
    node = gf.tensor(g, log_probs.shape, value=log_probs, dtype="float64")
    loss = gf.ctc_loss(node, np.array([target], np.int64), blank=blank, reduction="sum")
    gf.grad(loss, node)
    for backend in BACKENDS:
        gf.TapeMachine(g, backend=backend, keep="all").run_all()
        np.testing.assert_allclose(loss.value, expected, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(node.grad[:, 0], slope, rtol=1e-9, atol=1e-12)


LENGTHS = [5, 3, 4, 2], [2, 1, 0, 2]
TARGETS = [[1, 1], [2, 0], [0, 0], [1, 2]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_lengths_and_reductions(backend):
    """What lies beyond a length has no part in it; the mean is that of losses per label, and so is its gradient."""
    log_probs = log_probabilities(5, 4, 3)
    found = [by_enumeration(log_probs[: LENGTHS[0][row], row], TARGETS[row][: LENGTHS[1][row]], 0) for row in range(4)]
    losses = np.array([loss for loss, _ in found])
    counts = np.maximum(LENGTHS[1], 1)
    shares = {"none": np.ones(4), "sum": np.ones(4), "mean": 1.0 / counts / 4}
    for reduction, share in shares.items():
        g = gf.ExprGraph()
        node = gf.tensor(g, log_probs.shape, value=log_probs, dtype="float64")
        loss = gf.ctc_loss(node, TARGETS, *LENGTHS, reduction=reduction)
        gf.grad(gf.sum(loss), node)
        gf.TapeMachine(g, backend=backend, keep="all").run_all()
        expected = losses * share
        np.testing.assert_allclose(loss.value, expected if reduction == "none" else expected.sum(), rtol=1e-10)
        for row, (_, slope) in enumerate(found):
            wanted = np.zeros((5, 3))
            wanted[: len(slope)] = slope * share[row]
            np.testing.assert_allclose(node.grad[:, row], wanted, rtol=1e-9, atol=1e-12)


def test_the_gradient_through_log_softmax_matches_differences():
    logits = np.random.default_rng(0).normal(size=(5, 4, 3))

    def loss(x):
        return gf.ctc_loss(gf.log_softmax(x), TARGETS, *LENGTHS)

    check_gradient(loss, logits)
    check_gradient(lambda x: gf.ctc_loss(x, [1, 2, 1]), log_probabilities(6, 3))


def test_a_single_sequence_needs_no_batch():
    log_probs = log_probabilities(4, 3)
    expected, _ = by_enumeration(log_probs[:3], [2], 0)
    found = run(lambda x: gf.ctc_loss(x, [2, 1], 3, 1, reduction="none"), log_probs)
    assert found.shape == ()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_float32_is_as_good_as_its_numbers():
    log_probs = log_probabilities(60, 2, 5).astype(np.float32)
    targets = np.random.default_rng(0).integers(1, 5, (2, 20))
    found = run(lambda x: gf.ctc_loss(x, targets, reduction="none"), log_probs)
    assert found.dtype == np.float32
    wide = run(lambda x: gf.ctc_loss(x, targets, reduction="none"), log_probs.astype(np.float64))
    np.testing.assert_allclose(found, wide, rtol=1e-6)


def test_what_cannot_be_aligned_costs_infinity_and_moves_nothing():
    g = gf.ExprGraph()
    node = gf.tensor(g, (2, 2, 3), value=log_probabilities(2, 2, 3), dtype="float64")
    loss = gf.ctc_loss(node, [[1, 1], [1, 2]], reduction="none")
    gf.grad(gf.sum(loss), node)
    gf.TapeMachine(g, keep="all").run_all()
    assert np.isinf(loss.value).tolist() == [True, False]
    assert (node.grad[:, 0] == 0.0).all()
    assert (node.grad[:, 1] != 0.0).any()


def test_lengths_and_targets_may_be_inputs():
    g = gf.ExprGraph()
    node = gf.tensor(g, (4, 1, 3), value=log_probabilities(4, 1, 3), dtype="float64")
    targets = gf.matrix(g, (1, 2), dtype="int64", value=[[1, 2]])
    steps, counts = (gf.vector(g, 1, dtype="int64", value=[value]) for value in (4, 2))
    loss = gf.ctc_loss(node, targets, steps, counts, reduction="sum")
    with gf.TapeMachine(g) as machine:
        for used, labels in ((4, [1, 2]), (3, [2]), (2, [])):
            gf.let(steps, [used])
            gf.let(counts, [len(labels)])
            gf.let(targets, [[*labels, 0, 0][:2]])
            machine.run_all()
            expected, _ = by_enumeration(node.value[:used, 0], labels, 0)
            np.testing.assert_allclose(loss.value, expected, rtol=1e-12)
        for wrong, value in ((steps, [5]), (counts, [3]), (targets, [[3, 1]]), (targets, [[0, 1]])):
            gf.let(steps, [4])
            gf.let(counts, [2])
            gf.let(targets, [[1, 2]])
            gf.let(wrong, value)
            with pytest.raises(gf.PositionError, match="ctc_loss"):
                machine.run_all()


def test_a_second_gradient_is_refused_and_says_why():
    g = gf.ExprGraph()
    node = gf.tensor(g, (4, 1, 3), dtype="float64")
    (first,) = gf.grad(gf.ctc_loss(node, [[1, 2]]), node)
    with pytest.raises(gf.GradientError, match="ctc_loss_gradient has no gradient"):
        gf.grad(gf.sum(first * first), node)


def test_what_is_refused():
    g = gf.ExprGraph()
    node = gf.tensor(g, (4, 2, 3))
    before = len(g)
    with pytest.raises(gf.OptionError, match="reduction='all'"):
        gf.ctc_loss(node, [[1], [1]], reduction="all")
    with pytest.raises(gf.OptionError, match="blank=0.5"):
        gf.ctc_loss(node, [[1], [1]], blank=0.5)
    for arguments in (([[1]],), ([1, 1],), ([[1], [1]], [4, 4, 4]), ([[1], [1]], None, 1)):
        with pytest.raises(gf.ShapeError, match="ctc_loss: "):
            gf.ctc_loss(node, *arguments)
    with pytest.raises(gf.ShapeError, match="no such blank"):
        gf.ctc_loss(node, [[1], [1]], blank=3)
    with pytest.raises(gf.DTypeError, match="ctc_loss: the ids are not whole numbers"):
        gf.ctc_loss(node, [[0.5], [1]])
    assert len(g) == before
