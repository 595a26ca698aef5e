"""A run as a table, and a run up to a node."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing import random_network
from graphflow.vm.tracing import aligned, shortened


def network(g, steps=3):
    """A small recurrent network with gradients, and an input that a run assigns."""
    w = gf.matrix(g, (2, 2), name="w", value=[[0.5, -1.0], [0.25, 2.0]])
    h = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    for t in range(steps):
        with g.step(t):
            h = gf.tanh(w @ h)
    cost = gf.sum(h)
    cost.name = "cost"
    gf.grad(cost, w)
    counted = gf.scalar(g, name="counted", value=0.0)
    gf.set_(counted, counted + 1.0)
    return w, h, cost, counted


# --- trace ------------------------------------------------------------------------------------------------------------


def test_each_instruction_is_a_row(backend):
    g = gf.ExprGraph()
    network(g)
    machine = gf.TapeMachine(g, backend=backend, keep="all")
    trace = machine.trace()
    assert trace.backend == backend
    assert [row.number for row in trace.rows] == list(range(len(machine.program)))
    for row, instruction in zip(trace.rows, machine.program, strict=True):
        assert (row.loop, row.node, row.line) == (str(instruction.loop), instruction.node, instruction.node.origin)
        assert row.value.type == instruction.output.type
        assert row.microseconds > 0.0
        if machine.program.computed_at.get(row.node.id) == row.number:
            value = row.node.value
            assert (row.value.least, row.value.largest) == (value.min(), value.max())
            assert row.value.mean == pytest.approx(value.mean(), rel=1e-5, abs=1e-6)
    assert repr(trace) == f"<Trace of {len(trace.rows)} instructions, {backend}>"


def test_the_table_is_aligned(backend):
    g = gf.ExprGraph()
    _, _, cost, _ = network(g)
    cost.name = "a name that is much too long for a table"
    lines = str(gf.TapeMachine(g, backend=backend).trace()).splitlines()
    head = lines[0]
    assert head.split() == ["number", "loop", "node", "step", "type", "value", "us", "line"]
    for column in ("loop", "node", "type", "value", "line"):
        start = head.index(column)
        assert all(line[start] != " " and line[start - 2 : start] == "  " for line in lines), column
    assert any("a name that i..." in line for line in lines)
    assert all(line.split()[-1].startswith("test_tracing.py:") for line in lines[1:])
    assert max(map(len, lines)) <= 160


def test_a_trace_is_a_run(backend):
    """Values, gradients, random numbers, what is set, and what is seen: those of `run_all`."""
    found = []
    for is_traced in (False, True):
        case = random_network(5, 4)
        g = case.graph
        counted = gf.scalar(g, name="counted", value=0.0)
        gf.set_(counted, counted + 1.0)
        noise = gf.gaussian(g, (3,))
        machine = gf.TapeMachine(g, backend=backend, seed=4)
        for _ in range(3):
            machine.trace() if is_traced else machine.run_all()
        values = {number: g[number].value.tobytes() for number in machine.program.results}
        found.append((values, machine.runs, counted.value.item(), noise.value.tobytes()))
    assert found[0] == found[1]
    assert found[0][1:3] == (3, 3.0)


def test_watched_nodes_are_logged_while_it_is_traced(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x", value=-1.0)
    gf.log(x)
    lines = []
    machine = gf.TapeMachine(g, backend=backend, watch=x, logger=lines.append)
    assert str(machine.trace()).endswith(str(g.nodes[1].origin))
    assert lines == ["x = -1"]
    with pytest.raises(gf.NumericalError):
        gf.TapeMachine(g, backend=backend, watch_nan=True).trace()


def test_an_empty_program_is_a_head_alone(backend):
    g = gf.ExprGraph()
    gf.scalar(g, name="x", value=1.0)
    assert (
        " ".join(str(gf.TapeMachine(g, backend=backend).trace()).split()) == "number loop node step type value us line"
    )


def test_columns():
    assert aligned([("a", "b"), ("long", "7")], right=(1,)) == "a     b\nlong  7"
    assert (shortened("12345", 5), shortened("123456", 5)) == ("12345", "12...")


# --- run_until --------------------------------------------------------------------------------------------------------


def test_it_stops_behind_a_node_and_goes_on(backend):
    g = gf.ExprGraph()
    w, h, cost, counted = network(g)
    machine = gf.TapeMachine(g, backend=backend, keep="all")
    instruction = machine.run_until(h)
    assert instruction is machine.program.instructions[machine.program.computed_at[h.id]]
    expected = np.array([1.0, 2.0], np.float32)
    for _ in range(3):
        expected = np.tanh(w.value @ expected)
    np.testing.assert_allclose(h.value, expected, rtol=1e-6)
    with pytest.raises(gf.ValueNotKept, match="has not come to it"):
        cost.value  # noqa: B018 - reading is what is tested
    assert machine.run_until(h) is None
    assert machine.run_until(h.inputs[0]) is None
    assert machine.step() is machine.program.instructions[machine.program.computed_at[h.id] + 1]
    gf.unsafe_let(g.by_name("x")[0], [0.0, 0.0])
    assert machine.run_until(cost) is None
    np.testing.assert_allclose(cost.value, expected.sum(), rtol=1e-6)
    assert counted.value == 0.0
    assert machine.run_until() is machine.program.instructions[-1]
    assert (counted.value, machine.runs) == (1.0, 1)
    assert w.grad.shape == (2, 2)
    assert machine.step() is None
    machine.run_until(h)
    machine.run_all()
    assert (counted.value, machine.runs) == (2.0, 3)


def test_what_has_its_value_before_the_first_instruction_is_no_run(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    y = gf.tanh(x)
    machine = gf.TapeMachine(g, backend=backend)
    assert machine.run_until(x) is None
    assert machine.runs == 0
    gf.unsafe_let(y, [5.0, 6.0])
    assert machine.run_until(y) is None
    gf.unsafe_let(y, None)
    assert machine.run_until(y).node is y
    assert machine.runs == 1


def test_it_sees_what_was_rebound(backend):
    g = gf.ExprGraph()
    row = gf.matrix(g, (3, 2), value=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])[0]
    total = gf.sum(row)
    gf.exp(total)
    machine = gf.TapeMachine(g, backend=backend, keep=total)
    for position, expected in ((0, 3.0), (2, 11.0), (1, 7.0)):
        gf.unsafe_let(row, position)
        machine.reset()
        machine.run_until(total)
        assert total.value == expected


def test_a_node_that_is_not_kept_is_refused_before_anything_runs(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    y = gf.tanh(x)
    gf.exp(y * 2.0)
    machine = gf.TapeMachine(g, backend=backend)
    with pytest.raises(gf.ValueNotKept, match="this machine does not keep %1"):
        machine.run_until(y)
    with pytest.raises(gf.GraphError, match="another graph"):
        machine.run_until(gf.scalar(gf.ExprGraph()))
    with pytest.raises(gf.GraphError, match="is no node"):
        machine.run_until("y")
    assert machine.runs == 0
