"""Parameters with gradients of the test's own choosing, and how to draw solvers with options."""

from __future__ import annotations

import contextlib
import math
from unittest import mock

import numpy as np
from hypothesis import strategies as st

import graphflow as gf
from graphflow.solvers import rules
from tests.solvers.reference import OWN_OPTIONS, SHARED_OPTIONS

SOLVERS = tuple(OWN_OPTIONS)


class Situation:
    """Inputs of the given shapes in parameter blocks; `give` writes their gradients as a run of a machine would."""

    def __init__(self, shapes, dtype="float64", *, values=None, names=True):
        self.graph = gf.ExprGraph()
        self.nodes = [
            gf.tensor(self.graph, shape, dtype=dtype, name=f"w{i}" if names else None, value=np.zeros(shape, dtype))
            for i, shape in enumerate(shapes)
        ]
        self.shapes = shapes
        self.sizes = [math.prod(shape) for shape in shapes]
        cost = gf.sum(gf.stack([gf.sum(node * node) for node in self.nodes]))
        gf.grad(cost, *self.nodes)
        gf.TapeMachine(self.graph).run_all()
        (self.block,) = self.graph.blocks
        if values is not None:
            self.bind(values)

    def bind(self, values):
        for node, part in zip(self.nodes, self.split(values), strict=True):
            gf.let(node, part)

    def give(self, gradients):
        for node, part in zip(self.nodes, self.split(gradients), strict=True):
            self.block.gradient_of(node)[...] = part

    def split(self, flat):
        """One array for each node, in its shape, out of one list of all numbers."""
        parts = np.split(np.asarray(flat, self.nodes[0].dtype), np.cumsum(self.sizes)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def values(self):
        return np.concatenate([node.value.ravel() for node in self.nodes])


@contextlib.contextmanager
def solving_on(backend):
    """Solvers that take their first step in here run on this backend ever after."""
    with mock.patch.object(rules, "choose_backend", return_value=(None, backend)):
        yield


def small(low, high):
    """A number between two powers of ten."""
    return st.floats(math.log10(low), math.log10(high)).map(lambda exponent: 10.0**exponent)


DRAWN = {
    "learn_rate": small(1e-4, 0.1),
    "batch_size": st.integers(1, 700),
    "clip_norm": small(0.01, 10),
    "clip": small(1e-3, 5),
    "l1_reg": small(1e-5, 1e-2),
    "l2_reg": small(1e-6, 1e-2),
    "momentum": st.floats(0, 0.99),
    "rho": st.floats(0, 0.9999),
    "eps": small(1e-10, 1e-2),
    "beta1": st.floats(0, 0.99),
    "beta2": st.floats(0, 0.9999),
    "weight_decay": small(1e-4, 0.1),
}


@st.composite
def kinds_with_options(draw):
    """A solver's name with some of its options."""
    kind = draw(st.sampled_from(SOLVERS))
    optional = {name: DRAWN[name] for name in (*OWN_OPTIONS[kind], *SHARED_OPTIONS)}
    return kind, draw(st.fixed_dictionaries({}, optional=optional))


def random_gradients(seed, steps, size):
    """Gradients of very different sizes, some of them exactly zero."""
    generator = np.random.default_rng(seed)
    scale = 10.0 ** generator.uniform(-3, 1, size)
    return generator.normal(size=(steps, size)) * scale * (generator.random((steps, size)) > 0.05)


def random_weights(seed, size):
    """Weights around 0, some exactly there."""
    generator = np.random.default_rng(seed + 1)
    return generator.normal(size=size) * (generator.random(size) > 0.2)
