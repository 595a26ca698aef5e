"""Operations on images and batches that are wrong in Gorgonia; what else is: test_gorgonia_issues.py."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing.agreement import available_backends


def machines_agree(function, shape, value_of, gradient_of):
    """Value, and gradient of the weighted sum, on the tapes and the Lisp machine, against numpy."""
    x = np.random.default_rng(0).normal(size=shape)
    expected = value_of(x)
    weights = np.arange(1.0, 1.0 + expected.size).reshape(expected.shape)
    for backend in available_backends():
        g = gf.ExprGraph()
        node = gf.tensor(g, shape, dtype="float64", value=x)
        y = function(node)
        cost = gf.sum(y * weights)
        lisp = gf.LispMachine(g, cost)
        lisp.run_all()
        (gradient,) = gf.grad(cost, node)
        gf.TapeMachine(g, backend=backend, keep=[y]).run_all()
        for found in (gradient.value, lisp.gradient(node)):
            np.testing.assert_allclose(found, gradient_of(x, weights), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(y.value, expected, rtol=1e-12)


def test_average_pool_1d_computes_means():
    """AveragePool1D computed maxima."""
    machines_agree(
        lambda x: gf.average_pool1d(x, 2),
        (2, 3, 6),
        lambda x: x.reshape(2, 3, 3, 2).mean(3),
        lambda _, weights: np.repeat(weights / 2, 2, axis=2),
    )


def test_average_pool_2d_with_stride_2_has_its_gradient():
    """The gradient of AveragePool2D was wrong for a stride of 2."""
    machines_agree(
        lambda x: gf.average_pool2d(x, 2, stride=2),
        (2, 3, 4, 6),
        lambda x: x.reshape(2, 3, 2, 2, 3, 2).mean((3, 5)),
        lambda _, weights: np.repeat(np.repeat(weights / 4, 2, axis=2), 2, axis=3),
    )


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 1, 1)])
def test_global_average_pool_2d_has_a_gradient(shape):
    """The gradient of GlobalAveragePool2D was a panic on the tape machine, and zero on the Lisp machine."""
    machines_agree(
        gf.global_average_pool2d,
        shape,
        lambda x: x.mean((2, 3), keepdims=True),
        lambda _, weights: np.broadcast_to(weights / (shape[2] * shape[3]), shape),
    )


def test_max_pool_2d_has_a_gradient_on_every_machine():
    """The gradient of Max was zero on the Lisp machine, and so was that of all built on it."""

    def gradient_of(x, weights):
        blocks = x.reshape(1, 2, 2, 2, 2, 2)
        is_largest = blocks == blocks.max((3, 5), keepdims=True)
        return (is_largest * weights[:, :, :, None, :, None]).reshape(x.shape)

    machines_agree(
        lambda x: gf.max_pool2d(x, 2), (1, 2, 4, 4), lambda x: x.reshape(1, 2, 2, 2, 2, 2).max((3, 5)), gradient_of
    )


def test_upsample_2d_has_a_gradient_on_every_machine():
    """The gradient of Upsample2D was wrong on the Lisp machine."""
    machines_agree(
        lambda x: gf.upsample2d(x, 2),
        (1, 2, 2, 3),
        lambda x: np.repeat(np.repeat(x, 2, axis=2), 2, axis=3),
        lambda _, weights: weights.reshape(1, 2, 2, 2, 3, 2).sum((3, 5)),
    )


def norm_gradient(x, weights, axes):
    """The derivative of (x - mean) / sqrt(variance + eps)."""
    deviation = np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    y = (x - x.mean(axes, keepdims=True)) / deviation
    return (weights - weights.mean(axes, keepdims=True) - y * (y * weights).mean(axes, keepdims=True)) / deviation


def test_batch_norm_on_the_lisp_machine():
    """BatchNorm ended the whole process there."""
    machines_agree(
        gf.batch_norm,
        (4, 3, 2, 2),
        lambda x: (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-5),
        lambda x, weights: norm_gradient(x, weights, (0, 2, 3)),
    )


def test_group_norm_on_the_lisp_machine():
    """The gradient of GroupNorm was wrong there."""

    def grouped(x):
        return x.reshape(2, 2, -1)

    machines_agree(
        lambda x: gf.group_norm(x, 2),
        (2, 4, 3),
        lambda x: (
            (grouped(x) - grouped(x).mean(2, keepdims=True)) / np.sqrt(grouped(x).var(2, keepdims=True) + 1e-5)
        ).reshape(x.shape),
        lambda x, weights: norm_gradient(grouped(x), grouped(weights), (2,)).reshape(x.shape),
    )
