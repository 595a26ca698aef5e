"""Naive spellings on numbers of any size, and ties: right values and gradients in float32, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends

SCALES = (1.0, 10.0, 100.0, 1e3, 1e4)
DRAWS = range(10)
CLASSES = 7


class Spelling(NamedTuple):
    """An expression as one writes it first, and what it is, in float64: values, and gradients of their sum.

    Attributes:
        write: the expression of a vector of logits.
        values, gradients: what it is.
        domain: "any" numbers; "growing" results, for which small numbers are what matters; "below" 0; "both" large and
            small numbers.
    """

    write: Callable
    values: Callable
    gradients: Callable
    domain: str = "any"


def log_sum_exp(x):
    return x.max() + np.log(np.exp(x - x.max()).sum())


def softmax(x):
    return np.exp(x - log_sum_exp(x))


def sigmoid(x):
    return np.exp(-np.logaddexp(0.0, -x))


CHOSEN = np.eye(CLASSES)[2]
TARGETS = np.linspace(0.0, 2.0, CLASSES) / CLASSES
LOG_SOFTMAX = lambda x: x - log_sum_exp(x), lambda x: 1.0 - CLASSES * softmax(x)
CROSS_ENTROPY = lambda x: log_sum_exp(x) - x[2], lambda x: softmax(x) - CHOSEN
LOG_SUM_EXP = log_sum_exp, softmax
LOG_SIGMOID = lambda x: -np.logaddexp(0.0, -x), lambda x: sigmoid(-x)
LOG_NOT = lambda x: -np.logaddexp(0.0, x), lambda x: -sigmoid(x)
SOFTPLUS = lambda x: np.logaddexp(0.0, x), sigmoid
PLUS_SQUARE = lambda x: np.log1p(x * x), lambda x: 2.0 * x / (1.0 + x * x)


def expected_share(x):
    """-sum of t log(softmax(x)) over the classes, with targets that add up to 1."""
    return -(TARGETS * (x - log_sum_exp(x))).sum()


def binary(x):
    return (TARGETS * np.logaddexp(0.0, -x) + (1.0 - TARGETS) * np.logaddexp(0.0, x)).sum()


def as_matrix(x):
    return gf.reshape(x, (CLASSES, 1))


def column(x, function):
    """A function of a matrix that has the vector as its only column, as a vector again."""
    return gf.reshape(function(as_matrix(x)), (CLASSES,))


def two_columns(x, function):
    """A function of a matrix whose columns are the vector and zeros, its first column."""
    return function(gf.stack([x, 0.0 * x], 1))[:, 0]


SPELLINGS = {
    "log softmax": Spelling(lambda x: gf.log(gf.softmax(x)), *LOG_SOFTMAX),
    "log softmax along columns": Spelling(lambda x: column(x, lambda m: gf.log(gf.softmax(m, 0))), *LOG_SOFTMAX),
    "log softmax, transposed": Spelling(
        lambda x: gf.reshape(gf.log(gf.transpose(gf.softmax(as_matrix(x), 0))), (CLASSES,)), *LOG_SOFTMAX
    ),
    "log of a quotient": Spelling(lambda x: gf.log(gf.exp(x) / gf.sum(gf.exp(x))), *LOG_SOFTMAX),
    "log of a quotient, axis kept": Spelling(
        lambda x: column(x, lambda m: gf.log(gf.exp(m) / gf.sum(gf.exp(m), 0, keepdims=True))), *LOG_SOFTMAX
    ),
    "log of a quotient, two columns": Spelling(
        lambda x: two_columns(x, lambda m: gf.log(gf.exp(m) / gf.sum(gf.exp(m), 0))), *LOG_SOFTMAX
    ),
    "log of a quotient, axis put back": Spelling(
        lambda x: column(x, lambda m: gf.log(gf.exp(m.T) / gf.expand_dims(gf.sum(gf.exp(m.T), 1), 1)).T), *LOG_SOFTMAX
    ),
    "log of a quotient of all": Spelling(
        lambda x: column(x, lambda m: gf.log(gf.exp(m) / gf.sum(gf.exp(m)))), *LOG_SOFTMAX
    ),
    "log of a quotient, shifted": Spelling(
        lambda x: gf.log(gf.exp(x - gf.max(x)) / gf.sum(gf.exp(x - gf.max(x)))), *LOG_SOFTMAX
    ),
    "difference of logs": Spelling(lambda x: gf.log(gf.exp(x)) - gf.log(gf.sum(gf.exp(x))), *LOG_SOFTMAX),
    "x minus log sum exp": Spelling(lambda x: x - gf.log(gf.sum(gf.exp(x))), *LOG_SOFTMAX),
    "log sum exp": Spelling(lambda x: gf.log(gf.sum(gf.exp(x))), *LOG_SUM_EXP),
    "log sum exp, axis kept": Spelling(
        lambda x: gf.log(gf.sum(gf.exp(as_matrix(x)), 0, keepdims=True))[0, 0], *LOG_SUM_EXP
    ),
    "log sum exp of both axes": Spelling(lambda x: gf.log(gf.sum(gf.exp(as_matrix(x)))), *LOG_SUM_EXP),
    "log of two exponentials": Spelling(
        lambda x: gf.log(gf.exp(x) + gf.exp(-x)), lambda x: np.logaddexp(x, -x), np.tanh
    ),
    "cross entropy": Spelling(lambda x: -gf.log(gf.softmax(x)[2]), *CROSS_ENTROPY),
    "cross entropy by ids": Spelling(lambda x: -gf.log(gf.gather(gf.softmax(x), [2]))[0], *CROSS_ENTROPY),
    "cross entropy of one hot": Spelling(lambda x: -gf.sum(CHOSEN * gf.log(gf.softmax(x))), *CROSS_ENTROPY),
    "cross entropy of targets": Spelling(
        lambda x: -gf.sum(TARGETS * gf.log(gf.softmax(x))), expected_share, lambda x: softmax(x) - TARGETS
    ),
    "log of a weighted softmax": Spelling(
        lambda x: gf.log(3.0 * gf.softmax(x)), lambda x: np.log(3.0) + x - log_sum_exp(x), LOG_SOFTMAX[1]
    ),
    "log sigmoid": Spelling(lambda x: gf.log(gf.sigmoid(x)), *LOG_SIGMOID),
    "log sigmoid, written out": Spelling(lambda x: gf.log(1.0 / (1.0 + gf.exp(-x))), *LOG_SIGMOID),
    "log sigmoid, part by part": Spelling(lambda x: gf.log(gf.reshape(gf.sigmoid(x), (1, CLASSES))[0]), *LOG_SIGMOID),
    "log sigmoid as a quotient": Spelling(lambda x: gf.log(gf.exp(x) / (gf.exp(x) + 1.0)), *LOG_SIGMOID),
    "minus log of one plus exp": Spelling(lambda x: -gf.log(1.0 + gf.exp(-x)), *LOG_SIGMOID),
    "log one minus sigmoid": Spelling(lambda x: gf.log(1.0 - gf.sigmoid(x)), *LOG_NOT),
    "log one minus sigmoid, written out": Spelling(lambda x: gf.log(1.0 - 1.0 / (1.0 + gf.exp(-x))), *LOG_NOT),
    "log1p of minus sigmoid": Spelling(lambda x: gf.log1p(-gf.sigmoid(x)), *LOG_NOT),
    "softplus": Spelling(lambda x: gf.log(gf.exp(x) + 1.0), *SOFTPLUS),
    "log1p of exp": Spelling(lambda x: gf.log1p(gf.exp(x)), *SOFTPLUS),
    "binary cross entropy": Spelling(
        lambda x: -gf.sum(TARGETS * gf.log(gf.sigmoid(x)) + (1.0 - TARGETS) * gf.log(1.0 - gf.sigmoid(x))),
        binary,
        lambda x: sigmoid(x) - TARGETS,
    ),
    "binary_xent of a sigmoid": Spelling(
        lambda x: gf.sum(gf.binary_xent(gf.sigmoid(x), TARGETS)), binary, lambda x: sigmoid(x) - TARGETS
    ),
    "sigmoid, written out": Spelling(lambda x: 1.0 / (1.0 + gf.exp(-x)), sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "a swish, written out": Spelling(
        lambda x: x / (1.0 + gf.exp(-x)),
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) * (1.0 + x * sigmoid(-x)),
    ),
    "softmax, written out": Spelling(
        lambda x: gf.sum(TARGETS * (gf.exp(x) / gf.sum(gf.exp(x)))),
        lambda x: (TARGETS * softmax(x)).sum(),
        lambda x: softmax(x) * (TARGETS - (TARGETS * softmax(x)).sum()),
    ),
    "log one plus": Spelling(lambda x: gf.log(1.0 + x * x), *PLUS_SQUARE, "both"),
    "log plus one": Spelling(lambda x: gf.log(x * x + 1.0), *PLUS_SQUARE, "both"),
    "log one plus ones": Spelling(lambda x: gf.log(np.ones(CLASSES) + x * x), *PLUS_SQUARE, "both"),
    "log one minus": Spelling(lambda x: gf.log(1.0 - x), lambda x: np.log1p(-x), lambda x: -1.0 / (1.0 - x), "below"),
    "log one minus exp": Spelling(
        lambda x: gf.log(1.0 - gf.exp(x)),
        lambda x: np.where(x > -0.7, np.log(-np.expm1(x)), np.log1p(-np.exp(x))),
        lambda x: -np.exp(x) / -np.expm1(x),
        "below",
    ),
    "exp minus one": Spelling(lambda x: gf.exp(x) - 1.0, np.expm1, np.exp, "growing"),
    "minus one plus exp": Spelling(lambda x: -1.0 + gf.exp(x), np.expm1, np.exp, "growing"),
    "one minus exp": Spelling(lambda x: 1.0 - gf.exp(x), lambda x: -np.expm1(x), lambda x: -np.exp(x), "growing"),
    "root of a sum of squares": Spelling(
        lambda x: gf.sqrt(gf.sum(x * x)), lambda x: np.sqrt((x * x).sum()), lambda x: x / np.sqrt((x * x).sum())
    ),
}


def logits(domain, scale, draw):
    """Numbers of a scale; where the result grows as fast as exp does, small ones: there precision is lost."""
    x = np.random.default_rng([draw, int(scale)]).normal(size=CLASSES)
    if domain == "growing":
        return (x / scale).astype(np.float32)
    if domain == "below":
        return (-np.abs(x) * (scale if draw % 2 else 1.0 / scale)).astype(np.float32)
    return (x * (scale if draw % 2 or domain != "both" else 1.0 / scale)).astype(np.float32)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", SPELLINGS)
def test_fifty_of_fifty_are_right(backend, name):
    """Each spelling on five scales, ten draws of each; relative to the largest number of each."""
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
            value = logits(spelling.domain, scale, draw)
            gf.let(x, value)
            machine.run_all()
            wide = value.astype(np.float64)
            for found, wanted in ((y.value, spelling.values(wide)), (dx.value, spelling.gradients(wide))):
                # A loss near zero is the logarithm of a sum near one, and as exact as that sum.
                slack = 2e-7 if spelling.domain == "any" else 1e-37
                allowed = 2e-6 * np.abs(wanted).max() + slack
                np.testing.assert_allclose(found, wanted, rtol=0, atol=allowed, err_msg=f"{scale}, {draw}")
            tried += 1
    assert tried == 50


# --- where nothing flows ----------------------------------------------------------------------------------------------

MASKED = {
    "root": lambda x: gf.where(x > 0.0, gf.sqrt(x), 0.0),
    "root of a choice": lambda x: gf.where(x > 0.0, gf.sqrt(gf.where(x > 0.0, x, 0.0)), 0.0),
    "root of squares": lambda x: gf.where(x > 0.0, gf.sqrt(x * x), 0.0),
    "length": lambda x: gf.sqrt(gf.sum(gf.square(gf.stack([x, 0.0 * x], 1)), 1)),
    "logarithm": lambda x: gf.where(x > 0.0, gf.log(x), 0.0),
    "logarithm, multiplied": lambda x: (x > 0.0).astype("float32") * gf.log(gf.where(x > 0.0, x, 1.0)),
}


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", MASKED)
def test_no_nan_flows_back_from_what_is_masked(backend, name):
    """The root and the logarithm have infinite slopes at 0; nothing times that is nothing."""
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[0.0, 4.0, 0.0])
    (dx,) = gf.grad(gf.sum(MASKED[name](x)), x)
    gf.TapeMachine(g, backend=backend).run_all()
    slope = {"root": 0.25, "root of a choice": 0.25, "root of squares": 1.0, "length": 1.0}.get(name, 0.25)
    np.testing.assert_allclose(dx.value, [0.0, slope, 0.0])


def test_what_flows_on_is_still_infinite_at_zero_and_has_a_second_gradient():
    g = gf.ExprGraph()
    x, a = gf.scalar(g, value=0.0), gf.scalar(g, value=0.0)
    (dx,) = gf.grad(gf.sqrt(x) + gf.log(x), x)
    z = gf.scalar(g, value=4.0)
    (dz,) = gf.grad(gf.sqrt(z) * a, z)
    (dzda,) = gf.grad(dz, a)
    gf.TapeMachine(g, keep="all").run_all()
    assert dx.value == np.inf
    assert dzda.value == 0.25


# --- what only looks like it ------------------------------------------------------------------------------------------

LOOKALIKES = {
    "sums of the other axis": lambda x: gf.log(gf.exp(x) / gf.sum(gf.exp(x), 1)),
    "sums of the other axis, repeated": lambda x: gf.exp(x) / gf.broadcast_to(gf.sum(gf.exp(x), 1), (3, 3)),
    "sums turned": lambda x: gf.exp(x) / gf.sum(gf.exp(x), 1, keepdims=True).T,
    "sums moved": lambda x: gf.exp(x) / gf.gather(gf.sum(gf.exp(x), 1, keepdims=True), [2, 0, 1]),
    "sums of something else": lambda x: gf.exp(x) / gf.sum(gf.exp(2.0 * x), 1, keepdims=True),
    "x minus the sums of the other axis": lambda x: x - gf.log(gf.sum(gf.exp(x), 1)),
    "two plus exp": lambda x: gf.log(2.0 + gf.exp(x)),
    "exp minus two": lambda x: gf.exp(x) - 2.0,
    "ones that make it larger": lambda x: gf.log(np.ones((2, 3, 3)) + x * x),
    "sum of products": lambda x: gf.sqrt(gf.sum(x * (x + 3.0))),
    "cubes": lambda x: gf.sqrt(gf.sum((x + 3.0) ** 3.0, 0)),
    "sigmoid of something else": lambda x: gf.exp(x) / (1.0 + gf.exp(2.0 * x)),
    "a product of negative numbers": lambda x: gf.log((-1.0 - x * x) * (-1.0 - x * x)),
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_what_only_looks_like_a_known_form_is_computed_as_written(name):
    g = gf.ExprGraph()
    x = gf.matrix(g, (3, 3), dtype="float64", value=np.random.default_rng(0).normal(size=(3, 3)))
    y = gf.read(LOOKALIKES[name](x))
    (dx,) = gf.grad(gf.sum(LOOKALIKES[name](x)), x)
    gf.TapeMachine(g, keep=[dx]).run_all()
    found, slope = y.value, dx.value
    with gf.TapeMachine(g, keep="all") as machine:
        machine.run_all()
    lisp = gf.LispMachine(g)
    lisp.run_all()
    np.testing.assert_allclose(found, y.value, rtol=1e-12)
    check_gradient(LOOKALIKES[name], x.value)
    assert np.isfinite(slope).all()


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
