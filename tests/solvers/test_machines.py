"""Solvers together with machines: whatever computed the gradient, the step uses it."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from tests.solvers.situations import SOLVERS

RATES = {
    "VanillaSolver": 0.1,
    "MomentumSolver": 0.02,
    "RMSPropSolver": 0.01,
    "AdamSolver": 0.05,
    "AdamWSolver": 0.05,
    "AdaGradSolver": 0.5,
    "BarzilaiBorweinSolver": 0.01,
}


def bowl(dtype="float32"):
    """A cost with its minimum 0 where w is (1, -2) and b is 0.5."""
    g = gf.ExprGraph()
    w = gf.vector(g, 2, name="w", dtype=dtype, value=[0.0, 0.0])
    b = gf.scalar(g, name="b", dtype=dtype, value=0.0)
    return w, b, gf.sum(gf.square(w - [1.0, -2.0])) + gf.square(b - 0.5)


@pytest.mark.parametrize("kind", SOLVERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_solver_finds_the_minimum(kind, dtype):
    w, b, cost = bowl(dtype)
    gf.grad(cost, w, b)
    solver = getattr(gf, kind)(learn_rate=RATES[kind])
    with gf.TapeMachine(w.graph) as vm:
        for _ in range(400):
            vm.run_all()
            solver.step([w, b])
        vm.run_all()
    assert cost.value < 1e-3


def test_a_step_is_seen_by_every_machine_over_the_graph():
    w, b, cost = bowl()
    gf.grad(cost, w, b)
    with gf.TapeMachine(w.graph) as training, gf.TapeMachine(w.graph.subgraph(cost)) as predicting:
        training.run_all()
        before = cost.value
        gf.VanillaSolver(learn_rate=0.1).step([w, b])
        predicting.run_all()
        assert cost.value < before


def test_the_gradients_of_a_lisp_machine_with_a_cost():
    walked = []
    for with_grad in (True, False):
        w, b, cost = bowl()
        if with_grad:
            gf.grad(cost, w, b)
        machine = gf.TapeMachine(w.graph) if with_grad else gf.LispMachine(w.graph, cost)
        solver = gf.MomentumSolver(learn_rate=0.02)
        for _ in range(5):
            machine.run_all()
            solver.step([w, b])
        walked.append([*w.value, b.value])
    np.testing.assert_allclose(*walked, rtol=1e-6)


def test_a_gradient_that_is_a_constant():
    g = gf.ExprGraph()
    w = gf.scalar(g, name="w", value=1.0)
    gf.grad(w, w)
    gf.VanillaSolver(learn_rate=0.25).step([w])
    assert w.value == 0.75


def test_a_gradient_that_is_an_input():
    g = gf.ExprGraph()
    w = gf.vector(g, 2, name="w", value=[1.0, 1.0])
    dw = gf.vector(g, 2, name="dw")
    gf.backpropagate([w], [dw], [w])
    solver = gf.VanillaSolver(learn_rate=0.5)
    with pytest.raises(gf.UnboundError, match="dw"):
        solver.step([w])
    assert solver.state_dict()["state"] == {}
    gf.let(dw, [1.0, 2.0])
    solver.step([w])
    gf.let(dw, [0.0, -2.0])
    solver.step([w])
    np.testing.assert_array_equal(w.value, [0.5, 1.0])


def test_a_gradient_that_the_user_overrides_and_gives_back():
    w, b, cost = bowl()
    dw, _ = gf.grad(cost, w, b)
    solver = gf.VanillaSolver(learn_rate=1.0)
    with gf.TapeMachine(w.graph) as vm:
        gf.unsafe_let(dw, [1.0, 0.0])
        for _ in range(2):
            vm.run_all()
            solver.step([w])
        np.testing.assert_array_equal(w.value, [-2.0, 0.0])
        gf.unsafe_let(dw, None)
        vm.run_all()
        solver.step([w])
    np.testing.assert_array_equal(w.value, [4.0, -4.0])


def test_two_costs_take_turns():
    w, _, cost = bowl()
    solver = gf.VanillaSolver(learn_rate=0.5)
    for each, minimum in [(cost, [1.0, -2.0]), (gf.sum(w * w), [0.0, 0.0])]:
        gf.grad(each, w)
        with gf.TapeMachine(w.graph) as vm:
            vm.run_all()
            solver.step([w])
        np.testing.assert_array_equal(w.value, minimum)


def test_run_over_steps_the_solver_after_each_run():
    g = gf.ExprGraph()
    table = gf.constant(g, [[1.0], [10.0]])
    w = gf.vector(g, 1, name="w", value=[0.0])
    row = table[0]
    gf.grad(gf.sum(w * row), w)
    with gf.TapeMachine(g) as vm:
        vm.run_over([row], [[0], [1], [0]], gf.VanillaSolver(learn_rate=1.0))
    np.testing.assert_array_equal(w.value, [-12.0])


def test_a_solver_of_ones_own():
    class SignSolver(gf.Solver):
        """w -= learn_rate * sign(g)."""

        scratch_arrays = 1

        def update(self, weights, gradients, state, scratch, step):
            np.sign(gradients, out=scratch[0])
            np.subtract(weights, self.learn_rate * scratch[0], out=weights)

    w, b, cost = bowl()
    gf.grad(cost, w, b)
    solver = SignSolver(learn_rate=0.25)
    with gf.TapeMachine(w.graph) as vm:
        for _ in range(8):
            vm.run_all()
            solver.step([w, b])
    np.testing.assert_array_equal(w.value, [1.0, -2.0])
    assert solver.state_dict()["solver"] == "SignSolver"
    with pytest.raises(gf.OptionError, match="momentum is an option of MomentumSolver"):
        SignSolver(momentum=0.9)


def test_a_solver_of_ones_own_cannot_spoil_the_gradients():
    class Careless(gf.Solver):
        def update(self, weights, gradients, state, scratch, step):
            gradients *= self.learn_rate

    w, _, cost = bowl()
    gf.grad(cost, w)
    gf.TapeMachine(w.graph).run_all()
    with pytest.raises(ValueError, match="read-only"):
        Careless().step([w])
