"""The chapter's LSTM in small, against numbers that Gorgonia itself computed (golden/gorgonia_lstm.json)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf

GOLDEN = json.loads((Path(__file__).parent / "golden" / "gorgonia_lstm.json").read_text(encoding="utf-8"))
NAMES = list(GOLDEN["shapes"])
SIZES = [math.prod(shape) for shape in GOLDEN["shapes"].values()]
FOLLOWED = [name for name, run in GOLDEN["solvers"].items() if "defect" not in run]


def filled(dtype):
    """The parameters by the fill rule, rounded once."""
    values = {}
    for number, (name, shape) in enumerate(GOLDEN["shapes"].items()):
        flat = [0.3 * math.sin(i + 1 + 10 * number) for i in range(math.prod(shape))]
        values[name] = np.array(flat).reshape(shape).astype(dtype)
    return values


@dataclass
class Model:
    parameters: list[gf.Node]
    probabilities: list[gf.Node]
    cost: gf.Node
    graph: gf.ExprGraph


def lstm(dtype):
    """The model that the golden file describes, in graphflow's public words."""
    g = gf.ExprGraph()
    w = {name: gf.tensor(g, value.shape, name=name, dtype=dtype, value=value) for name, value in filled(dtype).items()}
    hidden = w["bi"].shape[0]
    h = cell = gf.constant(g, np.zeros(hidden), dtype=dtype)
    x = w["embedding"][GOLDEN["start"]]
    probabilities, losses = [], []
    for t, target in enumerate(GOLDEN["targets"]):
        with g.step(t):
            gate = {k: gf.sigmoid(w[f"W{k}x"] @ x + w[f"W{k}h"] @ h + w[f"b{k}"]) for k in "ifo"}
            candidate = gf.tanh(w["Wcx"] @ x + w["Wch"] @ h + w["bc"])
            cell = gate["f"] * cell + gate["i"] * candidate
            h = gate["o"] * gf.tanh(cell)
            p = gf.softmax(w["decoder"] @ h)
            gf.read(p)
            probabilities.append(p)
            losses.append(-gf.log(p[target]))
            x = p @ w["embedding"]
    cost = losses[0]
    for loss in losses[1:]:
        cost = cost + loss
    gf.grad(cost, *w.values())
    return Model(list(w.values()), probabilities, cost, g)


def run(name, dtype, steps=3):
    """The costs before each step, the gradients of each, and the flat parameters after the last."""
    model = lstm(dtype)
    expected = GOLDEN["solvers"][name]
    solver = getattr(gf, expected["solver"])(**expected["options"])
    costs, gradients = [], []
    with gf.TapeMachine(model.graph) as vm:
        for _ in range(steps):
            vm.run_all()
            costs.append(float(model.cost.value))
            gradients.append(flat(node.grad for node in model.parameters))
            solver.step(model.parameters)
    return costs, gradients, flat(node.value for node in model.parameters)


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)


def close(got, wanted, tolerance):
    return np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 2e-5)])
@pytest.mark.parametrize("machine", [gf.TapeMachine, gf.LispMachine])
def test_cost_probabilities_and_gradients(machine, dtype, tolerance):
    model = lstm(dtype)
    machine(model.graph).run_all()
    close(model.cost.value, GOLDEN["cost"], tolerance)
    close([p.value for p in model.probabilities], GOLDEN["probabilities"], tolerance)
    for node in model.parameters:
        close(node.grad.ravel(), GOLDEN["gradients"][node.name], tolerance)


@pytest.mark.parametrize("name", FOLLOWED)
def test_solvers_in_float64(name):
    costs, _, parameters = run(name, "float64")
    expected = GOLDEN["solvers"][name]
    close(costs, expected["costs_before_each_step"], 1e-9)
    close(parameters, flat(expected["parameters_after_3_steps"].values()), 1e-9)


@pytest.mark.parametrize("name", [name for name in FOLLOWED if name != "barzilai_borwein"])
def test_solvers_in_float32(name):
    costs, _, parameters = run(name, "float32")
    expected = GOLDEN["solvers"][name]
    close(costs, expected["costs_before_each_step"], 2e-5)
    close(parameters, flat(expected["parameters_after_3_steps"].values()), 2e-5)


def test_barzilai_borwein_works_in_float32_where_gorgonia_fails():
    # The rate is a quotient of small differences, so it keeps fewer digits than they had.
    costs, _, parameters = run("barzilai_borwein", "float32")
    expected = GOLDEN["solvers"]["barzilai_borwein"]
    close(costs, expected["costs_before_each_step"], 2e-4)
    close(parameters, flat(expected["parameters_after_3_steps"].values()), 2e-4)


def start():
    return flat(filled("float64").values())


def test_momentum_regularises_the_weights_where_gorgonia_regularises_the_velocity():
    costs, gradients, parameters = run("momentum_l2", "float64")
    w, v = start(), np.zeros(sum(SIZES))
    for g in gradients:
        v = 0.9 * v - 0.01 * (g + 1e-3 * np.sign(w) + 1e-2 * w)
        w = w + v
    close(parameters, w, 1e-12)
    gorgonia = GOLDEN["solvers"]["momentum_l2"]
    assert abs(costs[0] - gorgonia["costs_before_each_step"][0]) < 1e-9
    assert np.abs(parameters - flat(gorgonia["parameters_after_3_steps"].values())).max() > 1e-4


def trajectory(solver, steps=3):
    """Weights after the steps of a solver, and the gradients that it was given."""
    model = lstm("float64")
    gradients = []
    with gf.TapeMachine(model.graph) as vm:
        for _ in range(steps):
            vm.run_all()
            gradients.append(flat(node.grad for node in model.parameters))
            solver.step(model.parameters)
    return flat(node.value for node in model.parameters), gradients


def test_adamw_follows_the_published_rule_where_gorgonia_leaves_the_weights_alone():
    parameters, gradients = trajectory(gf.AdamWSolver())
    w, m, v = start(), 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - 0.001 * 0.01 * w - 0.001 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    close(parameters, w, 1e-12)
    assert np.abs(parameters - start()).max() > 1e-3


def test_adagrad_uses_its_options_where_gorgonia_ignores_them():
    parameters, gradients = trajectory(gf.AdaGradSolver(learn_rate=0.1, l2_reg=0.1, clip=0.01))
    w, s = start(), 0.0
    for g in gradients:
        s = s + g * g
        w = w - 0.1 * np.clip(g, -0.01, 0.01) / np.sqrt(s + 1e-8) - 0.1 * w
    close(parameters, w, 1e-12)
    gorgonia = flat(GOLDEN["solvers"]["adagrad"]["parameters_after_3_steps"].values())
    assert np.abs(parameters - gorgonia).max() > 1e-2


def test_rmsprop_divides_by_the_batch_size_where_gorgonia_ignores_it():
    parameters, gradients = trajectory(gf.RMSPropSolver(learn_rate=0.01, l2_reg=1e-6, clip=5.0, batch_size=606))
    w, s = start(), 0.0
    for g in gradients:
        s = 0.999 * s + 0.001 * (g / 606) ** 2
        w = w - 0.01 * np.clip(g / 606, -5, 5) / np.sqrt(s + 1e-8) - 1e-6 * w
    close(parameters, w, 1e-12)
    gorgonia = flat(GOLDEN["solvers"]["rmsprop_book"]["parameters_after_3_steps"].values())
    assert np.abs(parameters - gorgonia).max() > 1e-3
