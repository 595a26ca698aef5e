"""LispMachine: the oracle. It evaluates every node as it was written, and gradients as it goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import graphflow as gf


def test_every_value_can_be_read():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, value=[1.0, 2.0, 3.0])
    nodes = [x * 2.0]
    for _ in range(3):
        nodes.append(gf.tanh(nodes[-1]))
    gf.LispMachine(g).run_all()
    expected = np.array([2.0, 4.0, 6.0], np.float32)
    for node in nodes:
        np.testing.assert_allclose(node.value, expected, rtol=1e-6)
        expected = np.tanh(expected)


def test_gradients_without_grad():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    hidden = x * x
    cost = gf.sum(hidden * 3.0)
    before = len(g)
    machine = gf.LispMachine(g, cost)
    machine.run_all()
    assert len(g) == before
    assert x.grad.tolist() == [6.0, 12.0]
    assert machine.gradient(hidden).tolist() == [3.0, 3.0]
    assert machine.gradient(cost) == 1.0
    for node in (x, hidden, cost):
        assert isinstance(machine.gradient(node), np.ndarray)
    gf.let(x, [2.0, 2.0])
    machine.run_all()
    assert x.grad.tolist() == [12.0, 12.0]


def test_gradients_do_not_grow_from_run_to_run():
    """In Gorgonia a second run gives 12 where the first gave 6."""
    g = gf.ExprGraph()
    x = gf.scalar(g, value=3.0)
    machine = gf.LispMachine(g, x * x)
    for _ in range(3):
        machine.run_all()
        assert x.grad == 6.0


def test_the_gradient_of_what_the_cost_does_not_feel_is_zero():
    g = gf.ExprGraph()
    x, y = gf.scalar(g, value=3.0), gf.vector(g, 2, value=[1.0, 2.0])
    machine = gf.LispMachine(g, x * x)
    machine.run_all()
    assert machine.gradient(y).tolist() == [0.0, 0.0]


def test_a_cost_outside_the_part_is_computed_as_well():
    g = gf.ExprGraph()
    x = gf.scalar(g, value=3.0)
    small, cost = x * 2.0, x * x
    machine = gf.LispMachine(g.subgraph(small), cost)
    machine.run_all()
    assert (small.value, cost.value, machine.gradient(x)) == (6.0, 9.0, 6.0)


def test_gradients_agree_with_grad_for_slices_gathers_maxima_and_overrides():
    g = gf.ExprGraph()
    table = gf.matrix(g, (4, 3), dtype="float64", init=gf.gaussian_init(0.0, 1.0))
    row = table[1]
    middle = gf.tanh(gf.gather(table, [0, 2, 0])) * row
    cost = gf.sum(gf.max(middle, axis=1)) + gf.sum(gf.concat([row, table[:, 0]]) ** 2.0)
    (symbolic,) = gf.grad(cost, table)
    machine = gf.LispMachine(g, cost)
    for position in (1, 3):
        gf.unsafe_let(row, position)
        machine.run_all()
        np.testing.assert_allclose(machine.gradient(table), symbolic.value, rtol=1e-12)
    gf.unsafe_let(middle, np.ones((3, 3)))
    machine.run_all()
    np.testing.assert_allclose(machine.gradient(table), symbolic.value, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda x: x * 2.0, gf.GradientError),
        (lambda x: gf.sum(x).astype("int64"), gf.GradientError),
        (lambda x: gf.scalar(gf.ExprGraph(), dtype=x.dtype), gf.GraphError),
        (str, gf.GraphError),
    ],
)
def test_what_is_no_cost_is_refused(make, error):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, value=[1.0, 2.0])
    with pytest.raises(error):
        gf.LispMachine(g, make(x))


def test_gradients_need_a_cost_and_a_run():
    g = gf.ExprGraph()
    x = gf.scalar(g, value=1.0)
    with pytest.raises(gf.MachineError, match="no gradients"):
        gf.LispMachine(g).gradient(x)
    with pytest.raises(gf.MachineError, match="no gradients"):
        gf.LispMachine(g, x * x).gradient(x)
    with pytest.raises(gf.OptionError, match="seed"):
        gf.LispMachine(g, seed=-1)


def test_unbound_inputs_are_refused():
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    y = x * 2.0
    with pytest.raises(gf.UnboundError, match="x: float32"):
        gf.LispMachine(g).run_all()
    with pytest.raises(gf.ValueNotKept):
        y.value  # noqa: B018 - reading is what is tested


def test_gradients_reach_the_parameter_block():
    g = gf.ExprGraph()
    w = gf.vector(g, 2, value=[1.0, 2.0])
    gf.grad(gf.sum(w * w), w)
    gf.LispMachine(g).run_all()
    gf.VanillaSolver(learn_rate=0.5).step([w])
    assert w.value.tolist() == [0.0, 0.0]


@dataclass(frozen=True)
class Wrong(gf.Op):
    """Promises one shape and gives another, or fails."""

    how: str
    symbol = "wrong"

    def infer(self, x):
        return x

    def evaluate(self, x):
        if self.how == "shape":
            return x.sum()
        if self.how == "numpy error":
            return x.reshape(5)
        raise KeyError("inside")

    def gradient(self, dy, y, x):
        return (dy,)


@pytest.mark.parametrize(
    ("how", "error"), [("shape", gf.OpContractError), ("numpy error", gf.MachineError), ("other", gf.MachineError)]
)
def test_ops_that_break_their_promise_are_named(how, error, backend):
    g = gf.ExprGraph()
    y = gf.apply(Wrong(how), gf.vector(g, 3, value=[1.0, 2.0, 3.0]))
    for machine in (gf.LispMachine(g), gf.TapeMachine(g, backend=backend)):
        with pytest.raises(error) as caught:
            machine.run_all()
        assert "made at test_lisp_machine.py:" in str(caught.value)
        with pytest.raises(gf.ValueNotKept):
            y.value  # noqa: B018 - reading is what is tested
