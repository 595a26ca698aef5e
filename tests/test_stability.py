"""Naive spellings on numbers of any size, and ties: right values and gradients in float32, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing.agreement import available_backends

SCALES = (1.0, 10.0, 100.0, 1e3, 1e4)
DRAWS = range(10)
CLASSES = 7


class Spelling(NamedTuple):
    """An expression as one writes it first, and what it is, in float64: values, and gradients of their sum."""

    write: Callable
    values: Callable
    gradients: Callable


def log_sum_exp(x):
    return x.max() + np.log(np.exp(x - x.max()).sum())


def softmax(x):
    return np.exp(x - log_sum_exp(x))


def sigmoid(x):
    return np.exp(-np.logaddexp(0.0, -x))


def chosen(x):
    return np.eye(CLASSES)[2]


SPELLINGS = {
    "log softmax": Spelling(
        lambda x: gf.log(gf.softmax(x)), lambda x: x - log_sum_exp(x), lambda x: 1.0 - CLASSES * softmax(x)
    ),
    "log sum exp": Spelling(lambda x: gf.log(gf.sum(gf.exp(x))), log_sum_exp, softmax),
    "cross entropy": Spelling(
        lambda x: -gf.log(gf.softmax(x)[2]), lambda x: log_sum_exp(x) - x[2], lambda x: softmax(x) - chosen(x)
    ),
    "minus log sigmoid": Spelling(
        lambda x: -gf.log(gf.sigmoid(x)), lambda x: np.logaddexp(0.0, -x), lambda x: -sigmoid(-x)
    ),
    "log one plus": Spelling(
        lambda x: gf.log(1.0 + x * x), lambda x: np.log1p(x * x), lambda x: 2.0 * x / (1.0 + x * x)
    ),
    "exp minus one": Spelling(lambda x: gf.exp(x) - 1.0, np.expm1, np.exp),
}


# What these are for is that tiny numbers keep their digits.
SMALL_NUMBERS = {"log one plus", "exp minus one"}


def logits(name, scale, draw):
    """Numbers of a scale; where the result grows as fast as exp does, small ones: there precision is lost."""
    x = np.random.default_rng([draw, int(scale)]).normal(size=CLASSES)
    if name == "exp minus one":
        return (x / scale).astype(np.float32)
    return (x * (scale if draw % 2 or name != "log one plus" else 1.0 / scale)).astype(np.float32)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", SPELLINGS)
def test_fifty_of_fifty_are_right(backend, name):
    """Six spellings, five scales, ten draws: 300 on each backend; relative to the largest number of each."""
    spelling = SPELLINGS[name]
    g = gf.ExprGraph()
    x = gf.vector(g, CLASSES, name="x", dtype="float32")
    y = spelling.write(x)
    y.name = "y"
    (dx,) = gf.grad(gf.sum(y), x)
    machine = gf.TapeMachine(g, backend=backend)
    tried = 0
    for scale in SCALES:
        for draw in DRAWS:
            value = logits(name, scale, draw)
            gf.let(x, value)
            machine.run_all()
            wide = value.astype(np.float64)
            for found, wanted in ((y.value, spelling.values(wide)), (dx.value, spelling.gradients(wide))):
                # A loss near zero is the logarithm of a sum near one, and as exact as that sum.
                slack = 1e-37 if name in SMALL_NUMBERS else 2e-7
                allowed = 2e-6 * np.abs(wanted).max() + slack
                np.testing.assert_allclose(found, wanted, rtol=0, atol=allowed, err_msg=f"{scale}, {draw}")
            tried += 1
    assert tried == 50


# --- ties -------------------------------------------------------------------------------------------------------------

TIES = {
    "max": lambda x: gf.max(x, 1),
    "min": lambda x: gf.min(x, 1),
    "max of all": gf.max,
    "max, axis kept": lambda x: gf.max(x, 0, keepdims=True),
}


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TIES)
def test_a_tied_extreme_passes_its_gradient_once_in_total(backend, dtype, name):
    """Exactly: the numbers that are tied are 1, 2 or 4, so that their shares have no rounding."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (4, 4), name="x", dtype=dtype)
    y = TIES[name](x)
    weights = gf.constant(g, np.linspace(1.0, 4.0, y.size).reshape(y.shape), dtype=dtype)
    (dx,) = gf.grad(gf.sum(y * weights), x)
    machine = gf.TapeMachine(g, backend=backend)
    for value in (np.eye(4), np.ones((4, 4)), -np.eye(4), np.kron(np.eye(2), np.ones((2, 2)))):
        gf.let(x, value)
        machine.run_all()
        axes = {"max of all": (0, 1), "max, axis kept": (0,)}.get(name, (1,))
        extreme = (value.min if name == "min" else value.max)(axes, keepdims=True)
        is_tied = value == extreme
        if is_tied.sum(axes).max() in {3, 12}:
            continue
        shares = is_tied / is_tied.sum(axes, keepdims=True)
        np.testing.assert_array_equal(dx.value, shares * np.reshape(weights.value, extreme.shape))
