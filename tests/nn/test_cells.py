"""Cells with all their options against plain numpy, step by step; gradients against central differences."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends

BACKENDS = available_backends()
INPUTS, HIDDEN, STEPS = 3, 4, 5


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def drawn(cell, seed=0):
    """Random values for the parameters of a cell, by the part of the name behind its own."""
    generator = np.random.default_rng(seed)
    values = {}
    for node in cell.parameters:
        gf.let(node, generator.normal(size=node.shape))
        values[node.name.partition(".")[2]] = node.value
    return values


def gate(values, name, x, h):
    """wx x + wh h, and the biases that there are."""
    y = x @ values[f"{name}.wx"].T + h @ values[f"{name}.wh"].T
    return y + sum(values.get(f"{name}.{bias}", 0.0) for bias in ("b", "bh"))


def run(outputs, backend):
    with gf.TapeMachine(outputs[0].graph, outputs=outputs, backend=backend) as vm:
        vm.run_all()
        return [node.value for node in outputs]


def sequence(shape):
    g = gf.ExprGraph()
    values = np.random.default_rng(9).normal(size=(STEPS, *shape, INPUTS))
    return g, values, [gf.constant(g, each) for each in values]


def start(g, shape, seed):
    value = np.random.default_rng(seed).normal(size=(*shape, HIDDEN))
    return value, gf.constant(g, value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(), (2,)])
@pytest.mark.parametrize(("bias_sets", "peepholes", "coupled"), list(product((0, 1, 2), (False, True), (False, True))))
def test_lstm(backend, shape, bias_sets, peepholes, coupled):
    g, xs, inputs = sequence(shape)
    options = {"bias_sets": bias_sets, "peepholes": peepholes, "coupled": coupled}
    cell = gf.nn.LSTM(g, INPUTS, HIDDEN, dtype="float64", output_activation=gf.softplus, **options)
    values = drawn(cell)
    (h, first), (c, second) = start(g, shape, 1), start(g, shape, 2)
    hidden, last = gf.nn.unroll(cell, inputs, gf.nn.LSTMState(first, second))
    expected = []
    for x in xs:
        seen = {name: values.get(f"{name}.peephole", 0.0) for name in ("input", "forget", "output")}
        i = sigmoid(gate(values, "input", x, h) + seen["input"] * c)
        f = 1 - i if coupled else sigmoid(gate(values, "forget", x, h) + seen["forget"] * c)
        c = f * c + i * np.tanh(gate(values, "candidate", x, h))
        h = sigmoid(gate(values, "output", x, h) + seen["output"] * c) * np.log1p(np.exp(c))
        expected.append(h)
    found = run([*hidden, last.cell], backend)
    np.testing.assert_allclose(found, [*expected, c], rtol=1e-10)
    count = 8 - 2 * coupled + bias_sets * (4 - coupled) + peepholes * (3 - coupled)
    assert len(cell.parameters) == count


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("bias_sets", "reset_after", "update_keeps"), list(product((0, 1, 2), (False, True), (False, True)))
)
def test_gru(backend, bias_sets, reset_after, update_keeps):
    g, xs, inputs = sequence((2,))
    options = {"bias_sets": bias_sets, "reset_after": reset_after, "update_keeps": update_keeps}
    cell = gf.nn.GRU(g, INPUTS, HIDDEN, dtype="float64", **options)
    values = drawn(cell)
    h, first = start(g, (2,), 1)
    hidden, _ = gf.nn.unroll(cell, inputs, first)
    expected = []
    for x in xs:
        z, r = sigmoid(gate(values, "update", x, h)), sigmoid(gate(values, "reset", x, h))
        if reset_after:
            inner = h @ values["memory.wh"].T + values.get("memory.bh", 0.0)
            memory = np.tanh(x @ values["memory.wx"].T + values.get("memory.b", 0.0) + r * inner)
        else:
            memory = np.tanh(gate(values, "memory", x, r * h))
        h = z * h + (1 - z) * memory if update_keeps else z * memory + (1 - z) * h
        expected.append(h)
    np.testing.assert_allclose(run(hidden, backend), expected, rtol=1e-10)


def test_rnn_from_both_ends():
    g, xs, inputs = sequence((2,))
    cells = [
        gf.nn.RNN(g, INPUTS, HIDDEN, name=name, activation=gf.rectify, bias_sets=2, dtype="float64")
        for name in ("there", "back")
    ]
    values = [drawn(cell, seed) for seed, cell in enumerate(cells)]
    states = [start(g, (2,), seed) for seed in (3, 4)]
    both, last = gf.nn.bidirectional(*cells, inputs, (states[0][1], states[1][1]))
    expected = np.zeros((STEPS, 2, 2 * HIDDEN))
    for side, order in enumerate((range(STEPS), reversed(range(STEPS)))):
        h = states[side][0]
        for t in order:
            parts = {f"gate.{name}": value for name, value in values[side].items()}
            h = np.maximum(gate(parts, "gate", xs[t], h), 0)
            expected[t, :, side * HIDDEN : (side + 1) * HIDDEN] = h
        np.testing.assert_allclose(run([last[side]], "numpy")[0], h, rtol=1e-10)
    np.testing.assert_allclose(run(both, "numpy"), expected, rtol=1e-10)
    assert [node.step for node in both] == list(range(STEPS))


def test_what_a_gate_lets_through():
    g, _, inputs = sequence(())
    state = gf.nn.LSTMState(start(g, (), 1)[1], start(g, (), 2)[1])
    cell = gf.nn.LSTM(g, INPUTS, HIDDEN, dtype="float64", peepholes=True, coupled=True)
    drawn(cell)
    after, gates = cell(inputs[0], state), cell.activations(inputs[0], state)
    assert set(gates) == {"input", "output", "candidate"}
    rebuilt = (1.0 - gates["input"]) * state.cell + gates["input"] * gates["candidate"]
    found = run([after.cell, rebuilt, after.hidden, gates["output"] * gf.tanh(rebuilt)], "numpy")
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    np.testing.assert_allclose(found[2], found[3], rtol=1e-12)


def test_gradients():
    def function(x, h, c, *parameters):
        cell = gf.nn.LSTM(x.graph, 2, 3, dtype="float64", peepholes=True, bias_sets=2)
        stand_ins = dict(zip((node.name for node in cell.parameters), parameters, strict=True))
        for name in ("input", "forget", "output", "candidate"):
            part = getattr(cell, name)
            part.wx, part.wh, part.b, part.bh = (stand_ins[f"lstm.{name}.{each}"] for each in ("wx", "wh", "b", "bh"))
        cell.peepholes = {name: stand_ins[f"lstm.{name}.peephole"] for name in cell.peepholes}
        return cell(x, gf.nn.LSTMState(h, c)).hidden

    cell = gf.nn.LSTM(gf.ExprGraph(), 2, 3, dtype="float64", peepholes=True, bias_sets=2)
    generator = np.random.default_rng(0)
    shapes = [(2,), (3,), (3,), *[node.shape for node in cell.parameters]]
    check_gradient(function, *[generator.normal(size=shape) for shape in shapes])


def test_refusals():
    g = gf.ExprGraph()
    with pytest.raises(gf.OptionError):
        gf.nn.LSTM(g, 2, 3, bias_sets=3)
    with pytest.raises(gf.ShapeError):
        gf.nn.unroll(gf.nn.RNN(g, 2, 3), [], gf.vector(g, 3))


@pytest.mark.parametrize("call", [lambda cell, x, h: cell(x, h), lambda cell, x, h: cell(x, (h, h))])
def test_the_state_of_an_lstm_is_a_pair_with_names(call):
    g = gf.ExprGraph()
    cell, x, h = gf.nn.LSTM(g, 3, 2), gf.vector(g, 3), gf.vector(g, 2)
    before = len(g)
    with pytest.raises(gf.GraphError, match=r"try     gf.nn.LSTMState\(hidden, cell\)"):
        call(cell, x, h)
    assert len(g) == before


@pytest.mark.parametrize("value", [[1.0, 2.0, 3.0], np.ones(3), None, gf.nn.LSTMState])
def test_layers_are_applied_to_nodes(value):
    g = gf.ExprGraph()
    layer, cell, h = gf.nn.Linear(g, 3, 2), gf.nn.GRU(g, 3, 2), gf.vector(g, 2)
    before = len(g)
    for act in (lambda: layer(value), lambda: cell(value, h)):
        with pytest.raises(gf.GraphError, match=r"a layer of [\w.]+ is applied to what is no node"):
            act()
    assert len(g) == before
