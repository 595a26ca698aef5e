"""Rows that the native backend runs many at a time: the same bits as one by one, whatever stops or changes them."""

from __future__ import annotations

import os
import signal
from functools import partial

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends.llvm.native import NativeExecutable
from graphflow.solvers.rules import RuleSolver
from graphflow.vm.rows import RowsInterrupted

KINDS = ("VanillaSolver", "MomentumSolver", "RMSPropSolver", "AdamSolver", "AdamWSolver", "AdaGradSolver")
OPTIONS = {"l1_reg": 1e-3, "l2_reg": 1e-3, "clip": 0.5, "batch_size": 3, "clip_norm": 0.5}
ROWS, SYMBOLS, SIZE = 40, 6, 5


def recurrent(cell_name, dtype="float32", steps=4):
    """The chapter's network, small; the cost, the parameters and the slices that a row rebinds."""
    g = gf.ExprGraph(seed=2)
    embedding = gf.nn.Embedding(g, SYMBOLS, 3, dtype=dtype)
    cell = (gf.nn.LSTM if cell_name == "lstm" else gf.nn.GRU)(g, 3, SIZE, dtype=dtype)
    decoder = gf.nn.Linear(g, SIZE, SYMBOLS, bias=False, name="decoder", dtype=dtype)
    zeros = gf.constant(g, np.zeros(SIZE, dtype))
    state = gf.nn.LSTMState(zeros, zeros) if cell_name == "lstm" else zeros
    x = embedding.row()
    slices, losses = [x], []
    for t in range(steps):
        with g.step(t):
            state = cell(x, state)
            probabilities = gf.softmax(decoder(state.hidden if cell_name == "lstm" else state))
            slices.append(probabilities[0])
            losses.append(-gf.log(slices[-1]))
            x = probabilities @ embedding.table
    gf.grad(gf.sum(gf.stack(losses)), *cell.parameters, *embedding.parameters, *decoder.parameters)
    return g, (*cell.parameters, *embedding.parameters, *decoder.parameters), tuple(slices)


def table_of(slices, seed=1, rows=ROWS):
    return np.random.default_rng(seed).integers(-SYMBOLS, SYMBOLS, (rows, len(slices)))


def by_hand(machine, slices, positions, solver, parameters):
    costs = []
    for row in positions:
        gf.unsafe_let_all(slices, row)
        machine.run_all()
        costs.append(float(machine.value_of(machine._graph.cost)))
        if solver is not None:
            solver.step(parameters)
    return np.array(costs)


@pytest.fixture
def counted(monkeypatch):
    """How many rows each call of the native backend did."""
    done = []
    run_rows = NativeExecutable.run_rows

    def counting(self, rows, number):
        done.append(run_rows(self, rows, number))
        return done[-1]

    monkeypatch.setattr(NativeExecutable, "run_rows", counting)
    return done


def assert_same_state(one, other):
    assert one["step"] == other["step"]
    for name, state in one["state"].items():
        for key, value in state.items():
            np.testing.assert_array_equal(value, other["state"][name][key], err_msg=f"{key} of {name}")


def assert_same_as_by_hand(build, positions_of, make_solver):
    """Costs, parameters, all moments, the cells and the count of runs, to the last bit; the machines, for more."""
    results = []
    for way in ("by hand", "in one go"):
        g, parameters, slices = build()
        machine = gf.TapeMachine(g, backend="native", seed=7)
        solver = make_solver()
        positions = positions_of(slices)
        if way == "by hand":
            costs = by_hand(machine, slices, positions, solver, parameters)
        else:
            costs = machine.run_over(slices, positions, solver)
        assert machine.runs == len(positions)
        values = [each.value for each in parameters] + [each.grad for each in parameters] + [g.cost.value]
        results.append((costs, *values, g.positions.cells.copy()))
        results.append(solver.state_dict() if solver is not None else {"step": 0, "state": {}})
    for one, other in zip(results[0], results[2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert_same_state(results[1], results[3])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [*KINDS, None])
def test_every_rule_to_the_last_bit(counted, cell, dtype, kind):
    for options in ({}, OPTIONS)[: 1 if kind is None else 2]:
        counted.clear()
        make_solver = partial(solver_of, kind, options)
        assert_same_as_by_hand(lambda: recurrent(cell, dtype), table_of, make_solver)
        # All but the first row, in which the solver looks at its parameters.
        # Squares of float64 can be out of its range, so their length is found by numpy.
        is_by_numpy = dtype == "float64" and "clip_norm" in options
        assert sum(counted) == (0 if is_by_numpy else ROWS - (kind is not None))


def solver_of(kind, options):
    if kind is None:
        return None
    own = getattr(gf, kind)
    return own(learn_rate=0.05, **{name: value for name, value in options.items() if hasattr(own, name)})


def test_slices_whose_cells_lie_apart_and_parameters_of_two_dtypes(counted):
    def build():
        g = gf.ExprGraph(seed=4)
        table = gf.matrix(g, (SYMBOLS, 3), name="table", init=gf.glorot_u())
        wide = gf.matrix(g, (SYMBOLS, 3), name="wide", dtype="float64", init=gf.glorot_u())
        made = [(table[0], wide[0])[number % 2] for number in range(7)]
        chosen = (made[5], made[0], made[2], made[1])
        parts = [gf.sum(gf.tanh(gf.cast(one, "float64")) * gf.cast(made[3], "float64")) for one in chosen]
        gf.grad(gf.sum(gf.stack(parts)), table, wide)
        return g, (table, wide), chosen

    assert_same_as_by_hand(build, table_of, lambda: gf.AdamSolver(learn_rate=0.1))
    assert sum(counted) == ROWS - 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_a_bound_of_the_length_of_gradients_that_have_none(counted, bad):
    """Infinite, undefined, and so large that their squares are beyond float32."""

    def build():
        g = gf.ExprGraph()
        numbers = np.linspace(0.5, 1.5, 3 * ROWS).reshape(ROWS, 3)
        numbers[5, 1] = bad
        row = gf.matrix(g, numbers.shape, dtype="float32", name="data", value=numbers)[0]
        w = gf.vector(g, 3, dtype="float32", name="w", value=np.ones(3))
        gf.grad(gf.sum(w * row), w)
        return g, (w,), (row,)

    rows = np.arange(ROWS)[:, None]
    assert_same_as_by_hand(build, lambda _: rows, lambda: gf.MomentumSolver(learn_rate=0.01, clip_norm=0.5))
    assert sum(counted) == ROWS - 1


def test_members_that_have_taken_unequal_numbers_of_steps(counted):
    def build():
        g, parameters, slices = recurrent("gru")
        with gf.TapeMachine(g, backend="native") as machine:
            machine.run_all()
        return g, parameters, slices

    def solved(is_by_hand):
        g, parameters, slices = build()
        machine = gf.TapeMachine(g, backend="native")
        machine.run_all()
        solver = gf.AdamSolver(learn_rate=0.1)
        solver.step(parameters[:3])
        solver.step(parameters[:1])
        positions = table_of(slices)
        run = by_hand if is_by_hand else gf.TapeMachine.run_over
        costs = run(machine, slices, positions, solver, *[parameters] * is_by_hand)
        return costs, solver.state_dict()

    (costs, state), (wanted, wanted_state) = solved(False), solved(True)
    np.testing.assert_array_equal(costs, wanted)
    assert_same_state(state, wanted_state)
    assert sum(counted) == ROWS - 1


def looked_up(bad_row):
    """Ids looked up row by row; one of them is wrong."""
    g = gf.ExprGraph(seed=5)
    table = gf.matrix(g, (SYMBOLS, 3), name="table", init=gf.glorot_u())
    numbers = np.random.default_rng(3).integers(0, SYMBOLS, (ROWS, 4))
    numbers[bad_row, 2] = SYMBOLS
    ids = gf.matrix(g, numbers.shape, dtype="int64", name="ids", value=numbers)[0]
    gf.grad(gf.sum(gf.tanh(gf.gather(table, ids))), table)
    return g, (table,), (ids,)


@pytest.mark.parametrize("bad_row", [0, 1, 7, 23, ROWS - 1])
def test_a_wrong_id_in_the_middle(counted, bad_row):
    ends = []
    for is_by_hand in (True, False):
        g, parameters, slices = looked_up(bad_row)
        machine = gf.TapeMachine(g, backend="native")
        solver = gf.AdamSolver(learn_rate=0.1)
        rows = np.arange(ROWS)[:, None]
        run = by_hand if is_by_hand else gf.TapeMachine.run_over
        with pytest.raises(gf.PositionError, match="gather") as caught:
            run(machine, slices, rows, solver, *[parameters] * is_by_hand)
        ends.append((machine.runs, parameters[0].value, g.positions.cells.copy()))
        assert solver.state_dict()["step"] == bad_row
    assert caught.value.__notes__ == [f"run_over: in row {bad_row} of {ROWS}; the rows before it are done"]
    assert ends[0][0] == ends[1][0] == bad_row + 1
    np.testing.assert_array_equal(ends[0][1], ends[1][1])
    np.testing.assert_array_equal(ends[0][2], ends[1][2])
    assert sum(counted) == max(bad_row - 1, 0)
    with pytest.raises(gf.ValueNotKept):
        _ = g.cost.value
    # And the machine goes on.
    assert machine.run_over(slices, [[each] for each in range(ROWS) if each != bad_row], solver).shape == (ROWS - 1,)


class PressingSolver(RuleSolver):
    """Vanilla; Ctrl-C is pressed when the numbers of one of its steps are asked for."""

    moments = ()

    def coefficients(self, step):
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return {"learn_rate": self.learn_rate}

    def rule(self, weights, gradients, state, coefficients):
        return weights - gradients * coefficients["learn_rate"], {}


def test_ctrl_c_while_many_rows_are_run(counted):
    g, parameters, slices = recurrent("lstm")
    positions = table_of(slices)
    undisturbed = gf.TapeMachine(g, backend="native").run_over(slices, positions, gf.VanillaSolver(learn_rate=0.1))
    wanted = [each.value for each in parameters]

    g, parameters, slices = recurrent("lstm")
    machine = gf.TapeMachine(g, backend="native")
    solver = PressingSolver(learn_rate=0.1)
    with pytest.raises(RowsInterrupted) as caught:
        machine.run_over(slices, positions, solver)
    done = len(caught.value.costs)
    assert 5 <= done <= 9
    assert machine.runs == done == solver.state_dict()["step"]
    assert g.cost.value == np.float32(caught.value.costs[-1])
    rest = machine.run_over(slices, positions[done:], gf.VanillaSolver(learn_rate=0.1))
    np.testing.assert_array_equal([*caught.value.costs, *rest], undisturbed)
    for each, value in zip(parameters, wanted, strict=True):
        np.testing.assert_array_equal(each.value, value)


def test_stop_is_asked_before_each_row_and_sees_what_the_last_one_did(counted):
    g, parameters, slices = recurrent("lstm")
    positions = table_of(slices)
    wanted = by_hand(gf.TapeMachine(g, backend="native"), slices, positions, gf.RMSPropSolver(), parameters)
    g, _, slices = recurrent("lstm")
    machine = gf.TapeMachine(g, backend="native")
    seen = []

    def stop():
        seen.append(float(g.cost.value) if seen else None)
        return len(seen) > 20

    costs = machine.run_over(slices, positions, gf.RMSPropSolver(), stop=stop)
    np.testing.assert_array_equal(costs, wanted[:20])
    assert seen[1:] == costs.tolist()


def test_a_solver_whose_class_has_a_way_of_its_own_is_asked_each_time(counted):
    class Counting(RuleSolver):
        moments = ()
        steps = 0

        def coefficients(self, step):
            return {"learn_rate": self.learn_rate}

        def rule(self, weights, gradients, state, coefficients):
            return weights - gradients * coefficients["learn_rate"], {}

        def step(self, nodes):
            self.steps += 1
            self.learn_rate *= 0.9
            super().step(nodes)

    g, _, slices = recurrent("gru")
    solver = Counting(learn_rate=0.1)
    gf.TapeMachine(g, backend="native").run_over(slices, table_of(slices), solver)
    assert solver.steps == ROWS
    assert counted == []


class LateSolver(RuleSolver):
    """Its rule gets a second part in the tenth step."""

    moments = ()

    def coefficients(self, step):
        return {"learn_rate": self.learn_rate} | ({"decay": 0.9} if step >= 10 else {})

    def rule(self, weights, gradients, state, coefficients):
        left = weights * coefficients["decay"] if "decay" in coefficients else weights
        return left - gradients * coefficients["learn_rate"], {}


def test_a_rule_that_changes_between_steps():
    assert_same_as_by_hand(lambda: recurrent("gru"), table_of, lambda: LateSolver(learn_rate=0.1))


@pytest.mark.parametrize("kind", ["set_", "random"])
def test_what_is_run_row_by_row_gives_the_same(counted, kind):
    def build():
        g, parameters, slices = recurrent("gru")
        if kind == "set_":
            total = gf.scalar(g, name="total", value=0.0)
            gf.set_(total, total + g.cost)
        if kind == "random":
            noise = gf.uniform(g, (3,), -1.0, 1.0)
            gf.grad(g.cost + gf.sum(slices[0] * noise), *parameters)
        return g, parameters, slices

    assert_same_as_by_hand(build, table_of, lambda: gf.AdamSolver(clip_norm=0.5))


def test_another_graph_version_between_two_epochs(counted):
    g, _, slices = recurrent("lstm")
    positions = table_of(slices)
    machine = gf.TapeMachine(g, backend="native")
    solver = gf.AdamSolver(learn_rate=0.1)
    first = machine.run_over(slices, positions[:20], solver)
    others = [slices[1].inputs[0][0] for _ in range(100)]  # moves the table of positions
    second = machine.run_over(slices, positions[20:], solver)
    assert len(others) == 100
    g, parameters, slices = recurrent("lstm")
    wanted = by_hand(gf.TapeMachine(g, backend="native"), slices, positions, gf.AdamSolver(learn_rate=0.1), parameters)
    np.testing.assert_array_equal([*first, *second], wanted)
    assert sum(counted) == ROWS - 1


# --- on both backends -------------------------------------------------------------------------------------------------


def test_another_node_may_be_recorded(backend):
    g, parameters, slices = recurrent("lstm", steps=3)
    double = gf.cast(g.cost, "float64") * 2.0
    double.name = "double"
    costs = gf.TapeMachine(g, backend=backend).run_over(slices, table_of(slices, rows=9), record=double)
    wanted = gf.TapeMachine(g, backend=backend).run_over(slices, table_of(slices, rows=9))
    np.testing.assert_array_equal(costs, 2.0 * wanted)
    machine = gf.TapeMachine(g, backend=backend)
    with pytest.raises(gf.OptionError, match="cannot be recorded"):
        machine.run_over(slices, table_of(slices), record=g.gradients[parameters[0].id])
    with pytest.raises(gf.MachineError, match="computes no"):
        machine.run_over(slices, table_of(slices), record=slices[0].inputs[0][0])
    with pytest.raises(gf.GraphError):
        machine.run_over(slices, table_of(slices), record=recurrent("gru")[0].cost)
    assert machine.runs == 0


@pytest.mark.parametrize("bad_row", [0, 1, 9, 39])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_ends_it_before_the_solver_steps(backend, bad_row, bad):
    g = gf.ExprGraph()
    numbers = np.linspace(0.5, 1.5, 3 * ROWS).reshape(ROWS, 3)
    numbers[bad_row, 1] = bad
    row = gf.matrix(g, numbers.shape, dtype="float64", name="data", value=numbers)[0]
    w = gf.vector(g, 3, dtype="float64", name="w", value=np.ones(3))
    gf.grad(gf.sum(w * row), w)
    solver = gf.MomentumSolver(learn_rate=0.01)
    machine = gf.TapeMachine(g, backend=backend)
    rows = np.arange(ROWS)[:, None]
    costs = machine.run_over((row,), rows, solver, stop_unless_finite=True)
    assert len(costs) == bad_row + 1 == machine.runs
    assert np.isfinite(costs[:-1]).all()
    np.testing.assert_array_equal(costs[-1], g.cost.value)
    assert not np.isfinite(costs[-1])
    assert np.isfinite(w.value).all()
    assert solver.state_dict()["step"] == bad_row
    others = machine.run_over((row,), rows, solver)
    assert len(others) == ROWS
    assert not np.isfinite(w.value).all()
