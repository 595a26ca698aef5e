"""What `set_` hands on from row to row in one call of the native backend: the same bits as row by row."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from tests.vm.test_rows_ahead import ROWS, assert_same_state, by_hand, counted

__all__ = ["counted"]

SIZE = 5


def recurrent(size=SIZE, dtype="float32", seed=2):
    """Rows of data, a state that each row hands to the next, parameters."""
    g = gf.ExprGraph(seed=seed)
    numbers = np.random.default_rng(seed).normal(size=(ROWS, 3, size)).astype(dtype)
    x = gf.tensor(g, numbers.shape, dtype=dtype, value=numbers)[0]
    cell = gf.nn.LSTM(g, size, size, dtype=dtype)
    state = gf.nn.LSTMState(*(gf.matrix(g, (3, size), dtype=dtype, init=gf.zeroes()) for _ in range(2)))
    after = cell(x, state)
    gf.grad(gf.sum(after.hidden * x), *cell.parameters)
    for before, new in zip(state, after, strict=True):
        gf.set_(before, new)
    return g, cell.parameters, (x,), tuple(state)


def assert_same_as_row_by_row(build, make_solver, *, backend="native", rows=ROWS):
    results = []
    for run in (by_hand, gf.TapeMachine.run_over):
        g, parameters, slices, states = build()
        machine, solver = gf.TapeMachine(g, backend=backend, seed=7), make_solver()
        arguments = [parameters] if run is by_hand else []
        costs = run(machine, slices, np.arange(rows)[:, None], solver, *arguments)
        assert machine.runs == rows
        values = [node.value for node in (*parameters, *states, g.cost)]
        results.append((costs, values, solver.state_dict()))
    (costs, values, state), (wanted_costs, wanted, wanted_state) = results
    np.testing.assert_array_equal(costs, wanted_costs)
    for one, other in zip(values, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert_same_state(state, wanted_state)
    assert len(set(costs.tolist())) > 2


@pytest.mark.parametrize("size", [1, 5, 16, 33])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_states_of_any_size_to_the_last_bit(counted, size, dtype):
    assert_same_as_row_by_row(lambda: recurrent(size, dtype), lambda: gf.AdamSolver(learn_rate=0.01))
    assert sum(counted) == ROWS - 1


def test_the_numpy_backend_gives_the_same_as_its_loop():
    assert_same_as_row_by_row(recurrent, lambda: gf.AdamSolver(learn_rate=0.01), backend="numpy")


def test_counts_and_truth_values_are_carried_too(counted):
    def build():
        g = gf.ExprGraph()
        x = gf.vector(g, ROWS, dtype="float32", value=np.random.default_rng(1).normal(size=ROWS))[0]
        count = gf.scalar(g, dtype="int64", name="count", value=0)
        was_high = gf.vector(g, 3, dtype="bool", name="was high", value=[False] * 3)
        total = gf.scalar(g, dtype="float32", value=0.0)
        w = gf.vector(g, 3, dtype="float32", name="w", value=[1.0, 2.0, 3.0])
        gf.grad(gf.sum(w * w) * x + gf.sum(gf.cast(was_high, "float32")) + gf.cast(count, "float32"), w)
        gf.set_(count, count + 1)
        gf.set_(was_high, w * x > 0.5)
        gf.set_(total, total + g.cost)
        return g, (w,), (x,), (count, was_high, total)

    assert_same_as_row_by_row(build, lambda: gf.VanillaSolver(learn_rate=0.01))
    assert sum(counted) == ROWS - 1


@pytest.mark.parametrize("kind", ["swapped", "part", "transposed"])
def test_a_source_that_lies_in_an_input_goes_row_by_row(counted, kind):
    def build():
        g = gf.ExprGraph()
        x = gf.vector(g, ROWS, dtype="float32", value=np.random.default_rng(1).normal(size=ROWS))[0]
        a, b = (gf.matrix(g, (2, 2), dtype="float32", value=[[1.0, 2.0], [3.0, last]]) for last in (4.0, 9.0))
        w = gf.matrix(g, (2, 2), name="w", dtype="float32", value=[[1.0, 2.0], [3.0, 4.0]])
        gf.grad(gf.sum(w * w * a) * x, w)
        gf.set_(a, {"swapped": b, "part": gf.reshape(b, (2, 2))[:, ::-1], "transposed": b.T}[kind])
        gf.set_(b, a)
        return g, (w,), (x,), (a, b)

    assert_same_as_row_by_row(build, lambda: gf.VanillaSolver(learn_rate=0.01))
    assert sum(counted) == 0


@pytest.mark.parametrize("bad_row", [0, 1, 9])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_row_that_is_not_finite_carries_nothing_over(backend, bad_row):
    def run(rows, *, is_spoilt):
        g, parameters, slices, states = recurrent()
        source = slices[0].inputs[0]
        if is_spoilt:
            numbers = source.value
            numbers[bad_row] = np.nan
            gf.let(source, numbers)
        machine = gf.TapeMachine(g, backend=backend)
        solver = gf.VanillaSolver(learn_rate=0.1)
        costs = machine.run_over(slices, np.arange(rows)[:, None], solver, stop_unless_finite=True)
        return costs, [node.value for node in (*states, *parameters)], machine

    costs, values, machine = run(ROWS, is_spoilt=True)
    assert len(costs) == bad_row + 1
    assert np.isnan(costs[-1])
    if bad_row:
        before, wanted, _ = run(bad_row, is_spoilt=False)
        np.testing.assert_array_equal(costs[:-1], before)
        for one, other in zip(values, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    machine.run_all()  # the same again: and now the states are taken
    assert np.isnan(machine._graph.cost.value)


def test_what_is_set_and_read_by_nothing_has_a_value_afterwards(counted):
    g, parameters, slices, _ = recurrent()
    last = gf.scalar(g, name="last")
    gf.set_(last, g.cost)
    costs = gf.TapeMachine(g, backend="native").run_over(slices, np.arange(ROWS)[:, None])
    assert sum(counted) == ROWS
    assert float(last.value) == costs[-1]
    assert len(parameters) == 12
