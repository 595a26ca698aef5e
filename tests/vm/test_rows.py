"""Running over a table of positions: checked as a whole, the same as the loop by hand, stopped between rows only."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

import graphflow as gf
from graphflow.vm.rows import RowsInterrupted


def model(dtype="float32"):
    """A cost of a few rows of a table, with a random node in it."""
    g = gf.ExprGraph(seed=3)
    table = gf.matrix(g, (5, 4), name="table", dtype=dtype, init=gf.glorot_u())
    w = gf.matrix(g, (4, 4), name="w", dtype=dtype, init=gf.glorot_u())
    rows = tuple(table[0] for _ in range(3))
    hidden = gf.dropout(gf.tanh(rows[0] @ w) + rows[1], 0.3)
    gf.grad(gf.sum(hidden * rows[2]), table, w)
    return g, (table, w), rows


def by_hand(machine, rows, positions, solver, parameters):
    costs = []
    for row in positions:
        gf.unsafe_let_all(rows, row)
        machine.run_all()
        costs.append(float(machine.value_of(machine._graph.cost)))
        if solver is not None:
            solver.step(parameters)
    return np.array(costs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["AdamSolver", "BarzilaiBorweinSolver", None])
def test_the_same_as_the_loop_by_hand_bit_for_bit(backend, dtype, kind):
    positions = np.random.default_rng(1).integers(-5, 5, (20, 3))
    results = []
    for way in ("by hand", "run_over", "run_over in two parts", "by numpy integers of another size"):
        g, parameters, rows = model(dtype)
        machine = gf.TapeMachine(g, backend=backend, seed=7)
        solver = None if kind is None else getattr(gf, kind)(learn_rate=0.1, clip_norm=1.0)
        if way == "by hand":
            costs = by_hand(machine, rows, positions, solver, parameters)
        elif way == "run_over":
            costs = machine.run_over(list(rows), positions.tolist(), solver)
        elif way == "run_over in two parts":
            costs = np.concatenate([machine.run_over(rows, part, solver) for part in np.split(positions, [8])])
        else:
            costs = machine.run_over(rows, positions.astype(np.int8), solver)
        assert machine.runs == 20
        results.append((costs, *[each.value for each in parameters], g.positions.cells.copy()))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_every_kind_of_slice(backend):
    """Slices that run backwards, cut two axes, or are named in the table twice."""
    g = gf.ExprGraph()
    m = gf.matrix(g, (5, 4), name="m", value=np.arange(20.0).reshape(5, 4))
    backwards, row, one = m[4:1:-1], m[0], m[1:2]
    gf.grad(gf.sum(m[3]) + gf.sum(backwards[0]) + gf.sum(row * row) + gf.sum(one), m)
    machine = gf.TapeMachine(g, backend=backend)
    costs = machine.run_over((row, row), [[1, 2], [3, -5]])
    expected = by_hand(machine, (row, row), [[1, 2], [3, -5]], None, ())
    np.testing.assert_array_equal(costs, expected)
    for nodes in ((backwards, row), (row, one)):
        before = g.positions.cells.copy()
        runs = machine.runs
        with pytest.raises(gf.ShapeError):
            gf.unsafe_let_all(nodes, [3, 3])
        with pytest.raises(gf.ShapeError, match="run_over, row 0, node"):
            machine.run_over(nodes, [[3, 3], [2, 2]])
        np.testing.assert_array_equal(g.positions.cells, before)
        assert machine.runs == runs


@pytest.mark.parametrize("wrong", [5, -6, 2**40, -(2**63), np.uint64(2**63)])
def test_a_position_out_of_range_anywhere_in_the_table_is_found_before_anything_runs(backend, wrong):
    g, (table, _), rows = model()
    machine = gf.TapeMachine(g, backend=backend)
    solver = gf.AdamSolver()
    positions = np.zeros((9, 3), np.asarray(wrong).dtype)
    positions[7, 1] = wrong
    before, value = g.positions.cells.copy(), table.value
    with pytest.raises(gf.PositionError, match="run_over, row 7, node 1"):
        machine.run_over(rows, positions, solver)
    assert machine.runs == 0
    assert solver.state_dict()["step"] == 0
    np.testing.assert_array_equal(g.positions.cells, before)
    np.testing.assert_array_equal(table.value, value)
    assert machine.run_over(rows, positions[:7]).shape == (7,)


def test_what_is_no_table_and_what_is_no_slice(backend):
    g, (table, w), rows = model()
    machine = gf.TapeMachine(g, backend=backend)
    for positions in (
        [[0, 1], [0]],
        [[0, 1, 2.0]],
        [],
        {},
        [[True, False, True]],
        [[2**70, 0, 0]],
        np.zeros((2, 2, 3)),
    ):
        with pytest.raises(gf.OptionError, match="no table of positions"):
            machine.run_over(rows, positions)
    with pytest.raises(gf.BindingError, match="has no position"):
        machine.run_over((rows[0], w), [[0, 0]])
    with pytest.raises(gf.GraphError):
        machine.run_over((rows[0], "w"), [[0, 0]])
    with pytest.raises(gf.GraphError):
        machine.run_over(table, [[0]])
    assert machine.runs == 0


class Raising:
    """A solver that does something in its n-th step."""

    def __init__(self, when, act):
        self.when, self.act, self.steps, self.solver = when, act, 0, gf.AdamSolver(learn_rate=0.1)

    def step(self, nodes):
        self.steps += 1
        if self.steps == self.when:
            self.act()
        self.solver.step(nodes)


def press():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("when", [1, 4, 6])
def test_ctrl_c_is_heeded_between_rows_and_training_goes_on_as_if_nothing_had_been(backend, when):
    positions = np.random.default_rng(2).integers(0, 5, (6, 3))
    g, parameters, rows = model()
    undisturbed = gf.TapeMachine(g, backend=backend).run_over(rows, positions, gf.AdamSolver(learn_rate=0.1))
    wanted = [each.value for each in parameters]

    g, parameters, rows = model()
    machine = gf.TapeMachine(g, backend=backend)
    solver = Raising(when, press)
    with pytest.raises(KeyboardInterrupt, match=f"{when} rows are done") as caught:
        machine.run_over(rows, positions, solver)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert isinstance(caught.value, RowsInterrupted)
    assert machine.runs == when == solver.steps
    rest = machine.run_over(rows, positions[when:], solver)
    np.testing.assert_array_equal([*caught.value.costs, *rest], undisturbed)
    for each, value in zip(parameters, wanted, strict=True):
        np.testing.assert_array_equal(each.value, value)


def test_ctrl_c_pressed_twice_interrupts_at_once(backend):
    g, _, rows = model()
    machine = gf.TapeMachine(g, backend=backend)

    def twice():
        press()
        press()

    with pytest.raises(KeyboardInterrupt) as caught:
        machine.run_over(rows, np.zeros((5, 3), int), Raising(3, twice))
    assert not isinstance(caught.value, RowsInterrupted)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    machine.run_all()


def test_a_handler_of_the_program_is_left_alone(backend):
    g, _, rows = model()
    machine = gf.TapeMachine(g, backend=backend)
    noted = []
    before = signal.signal(signal.SIGINT, lambda *arguments: noted.append(arguments[0]))
    try:
        costs = machine.run_over(rows, np.zeros((5, 3), int), Raising(3, press), stop=lambda: bool(noted))
    finally:
        signal.signal(signal.SIGINT, before)
    assert noted == [signal.SIGINT]
    assert costs.shape == (3,)


def test_other_threads_run_over_tables_too(backend):
    g, _, rows = model()
    machine = gf.TapeMachine(g, backend=backend)
    found = []
    thread = threading.Thread(target=lambda: found.append(machine.run_over(rows, np.zeros((5, 3), int))))
    thread.start()
    thread.join(30)
    assert found[0].shape == (5,)


def test_stop_is_asked_before_each_row(backend):
    g, _, rows = model()
    machine = gf.TapeMachine(g, backend=backend)
    answers = iter([False, False, True])
    assert machine.run_over(rows, np.zeros((5, 3), int), stop=lambda: next(answers)).shape == (2,)
    assert machine.runs == 2
    assert machine.run_over(rows, np.zeros((5, 3), int), stop=lambda: True).shape == (0,)


def test_an_error_says_in_which_row_and_the_machine_goes_on(backend):
    g, _, rows = model()
    machine = gf.TapeMachine(g, backend=backend)

    def fail():
        raise gf.GradientError("made up")

    with pytest.raises(gf.GradientError, match="made up") as caught:
        machine.run_over(rows, np.zeros((5, 3), int), Raising(3, fail))
    assert caught.value.__notes__ == ["run_over: in row 2 of 5; the rows before it are done"]
    assert machine.runs == 3
    assert machine.run_over(rows, np.zeros((5, 3), int)).shape == (5,)


@pytest.mark.parametrize("solver", [gf.AdamSolver, "adam", 0.1])
def test_a_solver_is_an_object_that_steps(solver):
    g, _, rows = model()
    machine = gf.TapeMachine(g)
    with pytest.raises(gf.OptionError, match=r"run_over: this is no solver") as caught:
        machine.run_over(rows, np.zeros((5, 3), int), solver)
    assert "test_rows.py:" in str(caught.value)
    assert machine.runs == 0


def test_watching_machines_run_over_tables_as_well(backend):
    g, _, rows = model()
    lines = []
    machine = gf.TapeMachine(g, backend=backend, logger=lines.append, watch=[g.cost])
    costs = machine.run_over(rows, [[0, 1, 2], [1, 2, 3]])
    assert len(lines) >= 2
    assert costs[-1] == g.cost.value
