"""Nodes, a solver and documents for the tests of checkpoints."""

from __future__ import annotations

import copy
import hashlib

import numpy as np

from graphflow.binding import let
from graphflow.dtypes import as_dtype
from graphflow.graph import ExprGraph
from graphflow.tensortype import TensorType


class CountingSolver:
    """A solver with a state: a step counter and one array for each parameter. Refuses a state of another form."""

    def __init__(self, steps=0, cache=()):
        self.steps = steps
        self.cache = [np.array(array) for array in cache]

    def state_dict(self):
        return {"steps": self.steps, "cache": self.cache}

    def load_state_dict(self, state):
        if set(state) != {"steps", "cache"}:
            raise ValueError(f"a state of {sorted(state)}")
        self.steps, self.cache = state["steps"], state["cache"]


class OtherSolver(CountingSolver):
    """Another kind of solver with a state of the same form."""


def parameter(graph, name, value, dtype="float32"):
    """An input node with a value."""
    array = np.asarray(value, dtype)
    node = unbound(graph, name, array.shape, dtype)
    let(node, array)
    return node


def unbound(graph, name, shape, dtype="float32"):
    """An input node without a value."""
    return graph.leaf(TensorType(as_dtype(dtype), tuple(shape)), name)


def small_model(scale=1.0):
    """Parameters of all dtypes, a scalar and an empty one among them."""
    graph = ExprGraph()
    return [
        parameter(graph, "w", scale * np.arange(6).reshape(2, 3) / 7),
        parameter(graph, "bias/ü", scale * np.array([0.1, -0.0, 1e-45])),
        parameter(graph, "wide", scale * np.array([[np.pi]]), "float64"),
        parameter(graph, "ids", [int(scale), -(2**63)], "int64"),
        parameter(graph, "mask", [True, scale > 1], "bool"),
        parameter(graph, "scalar", scale),
        parameter(graph, "empty", np.zeros((0, 3))),
    ]


def snapshot(nodes, solver=None):
    """Everything that a failing restore must leave as it was, comparable with ==."""
    values = [(node.name, node.is_bound, node.value.tobytes() if node.is_bound else None) for node in nodes]
    return values, copy.deepcopy(solver.__dict__) if solver is not None else None


def sealed(body):
    """A document with the right digest, whatever it says."""
    return body + b'"digest":"sha256:%s"}\n' % hashlib.sha256(body).hexdigest().encode("ascii")


def document(tensors=b"[]", solver=b"null", extra=b"{}", version=b"1"):
    """A document put together by hand, with the right digest."""
    parts = (version, tensors, solver, extra)
    return sealed(b'{"format":"graphflow-checkpoint","version":%s,\n"tensors":%s,\n"solver":%s,\n"extra":%s,\n' % parts)
