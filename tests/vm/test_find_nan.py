"""`find_nan` lays the first bad number at the right door, and touches nothing."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing import random_graph, random_network
from tests.refusing import picture


def here():
    """The line of the caller."""
    return inspect.currentframe().f_back.f_lineno


def named(node, name):
    node.name = name
    return node


def found(g, backend, **options):
    """The report of a machine that has run, and of one that has not: they are alike."""
    fresh = gf.TapeMachine(g, backend=backend).find_nan(**options)
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    report = machine.find_nan(**options)
    assert str(report) == str(fresh)
    return report


# --- seeded bugs ------------------------------------------------------------------------------------------------------


def test_a_logarithm_of_a_negative_number(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 4, name="x", value=[1.0, 2.0, -0.5, 4.0])
    shifted = x * 2.0
    logs = gf.log(shifted)
    line = here() - 1
    cost = named(gf.sum(gf.tanh(logs)), "cost")
    gf.exp(x)
    report = found(g, backend)
    assert (report.kind, report.node, report.first, report.line.line) == ("NaN", logs, (2,), line)
    assert (report.value.nans, report.value.infinities, report.value.largest) == (1, 0, pytest.approx(np.log(8.0)))
    ((name, numbers),) = report.inputs
    assert (name, numbers.least, numbers.largest, numbers.mean) == (shifted.label, -1.0, 8.0, 3.25)
    assert [node.label for node in report.path] == [logs.label, "%4", "cost"]
    assert report.path[-1] is cost
    assert (report.reached, report.outputs, report.spread, report.values) == ((cost,), 2, 3, 5)
    lines = str(report).splitlines()
    assert lines[0] == f"NaN in {logs}, computed by instruction {report.number}: map log(x)"
    assert lines[1:] == [
        f"  line    test_find_nan.py:{line}",
        "  op      %3 = log",
        "  value   1 of 4 elements, the first at (2,); 0.6931 to 2.079, mean 1.386, 1 NaN",
        "  inputs  %2: float32[4] -1 to 8, mean 3.25",
        "  path    %3 = log -> %4 = tanh -> cost = sum",
        "  spread  3 of 5 computed values; outputs reached: cost (1 of 2)",
    ]


def test_zero_by_zero(backend):
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 2), name="x", value=[[1.0, 2.0], [0.0, 0.0]])
    share = x / gf.sum(x, axis=1, keepdims=True)
    line = here() - 1
    gf.sum(share).name = "total"
    report = found(g, backend)
    assert (report.kind, report.node, report.first, report.line.line) == ("NaN", share, (1, 0), line)
    assert [numbers.least for _, numbers in report.inputs] == [0.0, 0.0]
    assert [node.label for node in report.reached] == ["total"]


def test_an_overflow(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, 200.0, 3.0])
    grown = gf.exp(x)
    line = here() - 1
    share = grown / (gf.sum(grown) + 1.0)
    named(gf.sum(share), "cost")
    report = found(g, backend)
    assert (report.kind, report.node, report.first, report.line.line) == ("infinity", grown, (1,), line)
    assert report.value.infinities == 1
    assert report.inputs[0][1].largest == 200.0
    only_nan = found(g, backend, inf=False)
    assert (only_nan.kind, only_nan.node) == ("NaN", share)


def test_nan_fed_in(backend):
    g = gf.ExprGraph()
    w = gf.vector(g, 2, name="w", value=[1.0, 2.0])
    x = gf.vector(g, 2, name="x", value=[1.0, np.nan])
    line = here() - 1
    cost = named(gf.sum(w * x), "cost")
    gf.grad(cost, w)
    report = found(g, backend)
    assert (report.kind, report.node, report.number, report.inputs) == ("NaN", x, None, ())
    assert report.line.line == line
    assert str(report).startswith("NaN in x: float32[2], bound to it\n")
    assert report.path[0] is x
    assert report.path[-1] is cost
    assert len(report.reached) == report.outputs == 2
    assert "outputs reached: cost, the gradient of w (2 of 2)" in str(report)


def test_nan_in_the_backward_pass_alone(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[0.0, 0.0, 0.0])
    length = gf.sum(x * x) ** 0.5
    line = here() - 1
    cost = gf.log(length + 1.0)
    cost.name = "cost"
    (dx,) = gf.grad(cost, x)
    grad_line = here() - 1
    report = found(g, backend)
    assert np.isnan(dx.value).all()
    assert cost.value == 0.0
    assert report.node.gradient_of is length
    assert (report.line.line, report.node.origin.line) == (line, grad_line)
    assert (report.reached, report.path[-1]) == ((dx,), dx)
    assert (
        f"line    test_find_nan.py:{line}: in the gradient of {length}, taken at test_find_nan.py:{grad_line}"
        in str(report)
    )
    nan = found(g, backend, inf=False)
    assert nan.kind == "NaN"
    assert nan.reached == (dx,)


def test_the_other_branch_of_a_where(backend):
    """Forward, the bad branch is not chosen and harms nobody; backward, zero times infinity is NaN."""
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[0.0, 2.0])
    inverses = x**-1.0
    line = here() - 1
    cost = gf.sum(gf.where(x > 0.0, inverses, 0.0))
    report = found(g, backend)
    assert (report.node, report.reached) == (inverses, ())
    assert "outputs reached: none (0 of 1)" in str(report)
    (dx,) = gf.grad(cost, x)
    report = found(g, backend)
    assert report.node.gradient_of is inverses
    assert (report.line.line, report.reached, report.path[-1]) == (line, (dx,), dx)


def test_a_step_and_a_scope_are_told(backend):
    g = gf.ExprGraph()
    h = gf.vector(g, 2, name="x", value=[0.5, 3.0])
    for t in range(12):
        with g.step(t), g.scope("cell"):
            h = gf.log(h - 1.0) if t == 7 else gf.tanh(h)
            line = here() - 1
    named(gf.sum(h), "cost")
    report = found(g, backend)
    assert (report.node.step, report.line.line) == (7, line)
    assert f"  line    test_find_nan.py:{line}, step 7, scope cell\n" in str(report)
    assert [node.step for node in report.path] == [7, 8, 9, 10, 11, None]


def test_the_first_of_several_is_named(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[-1.0, 1.0])
    first = gf.log(x)
    second = gf.sqrt(x)
    gf.sum(second * 2.0) + gf.sum(first)
    assert found(g, backend).node is first
    h = gf.ExprGraph()
    x = gf.vector(h, 2, name="x", value=[-1.0, 1.0])
    gf.where(x > 0.0, gf.log(x), 0.0)
    harmful = gf.sqrt(x)
    gf.sum(harmful)
    assert found(h, backend).node is harmful


def test_constants(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    mask = gf.constant(g, [0.0, -np.inf])
    named(gf.sum(gf.softmax(x + mask)), "cost")
    assert found(g, backend) is None
    worse = gf.constant(g, [np.nan, 1.0], name="worse")
    line = here() - 1
    gf.sum(x * worse)
    report = found(g, backend)
    assert (report.node, report.number, report.line.line) == (worse, None, line)
    assert str(report).startswith("NaN in worse: float32[2], a constant\n")


def test_what_is_finite_has_no_report(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, value=[1e4, -1e4])
    cost = gf.sum(gf.log(gf.softmax(x)))
    gf.grad(cost, x)
    ids = gf.vector(g, 2, dtype="int64", value=[0, 1])
    gf.where(gf.gather(x, ids) > 0.0, 1.0, 0.0)
    gf.vector(g, 0, value=[]) * 2.0
    assert found(g, backend) is None


def test_many_steps_are_fast_to_look_through(backend):
    g = gf.ExprGraph()
    w = gf.vector(g, 4, name="w", value=[0.5, 1.0, 1.5, 2.0])
    h = w
    for t in range(400):
        with g.step(t):
            h = gf.log(h) if t == 300 else gf.tanh(w + h)
    cost = named(gf.sum(h), "cost")
    gf.grad(cost, w)
    assert found(g, backend) is None
    gf.let(w, [-0.5, 1.0, 1.5, 2.0])
    report = found(g, backend)
    assert report.node.step == 300
    assert report.path[-1] is cost
    assert len(str(report).splitlines()) == 7
    assert max(map(len, str(report).splitlines())) < 300
    assert " -> 193 more -> " in str(report)
    assert repr(report) == f"<NanReport: NaN in {report.node}>"
    # A long sum is no single loop, which would take long to compile.
    assert max(len(instruction.inputs) for instruction in gf.TapeMachine(g, backend=backend)._inspected().program) < 4


# --- rebinding, overrides, random numbers -----------------------------------------------------------------------------


def test_slices_are_read_where_they_are_bound_now(backend):
    g = gf.ExprGraph()
    table = gf.matrix(g, (3, 2), name="table", value=[[1.0, 2.0], [3.0, -1.0], [5.0, 6.0]])
    row = table[0]
    logs = gf.log(row)
    gf.sum(logs)
    machine = gf.TapeMachine(g, backend=backend)
    assert machine.find_nan() is None
    gf.unsafe_let(row, 1)
    assert machine.find_nan().node is logs
    gf.unsafe_let(row, 2)
    assert machine.find_nan() is None
    gf.unsafe_let(logs, [np.nan, 0.0])
    report = machine.find_nan()
    assert (report.node, report.number) == (logs, None)


def test_random_numbers_are_those_of_the_latest_run(backend):
    g = gf.ExprGraph()
    noise = gf.gaussian(g, (3,))
    logs = gf.log(noise)
    machine = gf.TapeMachine(g, backend=backend, seed=3, keep=[noise, logs])
    for _ in range(6):
        machine.run_all()
        report = machine.find_nan()
        bad = np.flatnonzero(~np.isfinite(logs.value))
        assert (None if report is None else report.first) == (None if not bad.size else (bad[0],))
    assert gf.TapeMachine(g, backend=backend, eval_mode=True, seed=3).find_nan() is not None


def test_a_row_at_which_training_has_ended_is_looked_into(backend):
    """`run_over` leaves weights and positions as they were when the cost was no number."""
    g = gf.ExprGraph()
    table = gf.matrix(g, (4, 2), name="table", value=[[1.0, 2.0], [3.0, 4.0], [-9.0, 1.0], [5.0, 6.0]])
    w = gf.vector(g, 2, name="w", value=[1.0, 1.0])
    row = table[0]
    logs = gf.log(row @ w)
    cost = named(logs * logs, "cost")
    gf.grad(cost, w)
    machine = gf.TapeMachine(g, backend=backend)
    solver = gf.VanillaSolver(learn_rate=0.01)
    costs = machine.run_over((row,), [[0], [1], [3], [2], [0]], solver, stop_unless_finite=True)
    assert len(costs) == 4
    report = machine.find_nan()
    assert (report.node, report.path[-1]) == (logs, cost)
    assert report.inputs[0][1].largest == pytest.approx(table.value[2] @ w.value, rel=1e-5)


def test_paranoid_machines_find_the_same(backend, monkeypatch):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[0.0, 0.0, 0.0])
    gf.grad(gf.sqrt(gf.sum(gf.concat([x, x], axis=0) * 2.0)), x)
    expected = str(found(g, backend))
    monkeypatch.setenv("GRAPHFLOW_PARANOID", "1")
    assert str(found(g, backend)) == expected


def test_evaluation_mode_is_kept(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 50, name="x", init=gf.ones())
    dropped = gf.dropout(x, 0.5)
    gf.sum(x / dropped)
    assert gf.TapeMachine(g, backend=backend).find_nan().kind == "infinity"
    assert gf.TapeMachine(g, backend=backend, eval_mode=True).find_nan() is None


def test_what_is_set_is_not_set_again(backend):
    g = gf.ExprGraph()
    counter = gf.scalar(g, name="counter", value=1.0)
    gf.set_(counter, counter - 1.0)
    logs = gf.log(counter)
    machine = gf.TapeMachine(g, backend=backend)
    machine.find_nan()
    assert counter.value == 1.0
    machine.run_all()
    assert machine.find_nan().node is logs
    assert counter.value == 0.0


# --- nothing is touched -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_changed(backend, seed):
    """Values, gradients, runs, the program, and what comes next, on graphs of all kinds."""
    case = random_network(seed, 3) if seed % 2 else random_graph(seed, 10)
    g = case.graph
    machine = gf.TapeMachine(g, backend=backend, seed=2)

    def everything():
        values = {number: g[number].value.tobytes() for number in machine.program.results}
        gradients = {number: g[number].grad.tobytes() for number, node in g.gradients.items() if node.holder}
        return values, gradients, machine.runs, picture(g), g.last_run

    machine.run_all()
    before, program = everything(), machine.program
    report = machine.find_nan()
    assert everything() == before
    assert machine.program is program
    assert str(machine.find_nan()) == str(report)
    other = gf.TapeMachine(g, backend=backend, seed=2)
    for each in (other, other, machine):
        each.run_all()
    after = everything()
    machine.runs = 1
    machine.run_all()
    assert everything()[0] == after[0]


def test_a_run_in_steps_goes_on(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    y = gf.sum(gf.tanh(x))
    z = gf.exp(y)
    machine = gf.TapeMachine(g, backend=backend, keep="all")
    machine.step()
    assert machine.find_nan() is None
    with pytest.raises(gf.ValueNotKept):
        z.value  # noqa: B018 - reading is what is tested
    machine.run_until(z)
    assert machine.runs == 1
    assert z.value == pytest.approx(np.exp(np.tanh([1.0, 2.0]).sum()))


# --- errors -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refuses(gf.Op):
    """Fails whenever it is evaluated."""

    symbol = "refuses"

    def infer(self, x):
        return x

    def evaluate(self, x):
        raise ValueError("no")

    def gradient(self, dy, y, x):
        return (dy,)


def test_what_a_run_refuses_is_refused(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x")
    middle = gf.apply(Refuses(), gf.tanh(x), name="middle")
    gf.exp(middle)
    machine = gf.TapeMachine(g, backend=backend)
    with pytest.raises(gf.UnboundError, match="x: float32.2. has no value"):
        machine.find_nan()
    gf.let(x, [1.0, 2.0])
    with pytest.raises(gf.MachineError, match="failed: middle"):
        machine.find_nan()
    machine.close()
    with pytest.raises(gf.MachineError, match="closed"):
        machine.find_nan()


# --- any graph --------------------------------------------------------------------------------------------------------


def poisoned(seed):
    """A random graph, some of its inputs' numbers infinite or zero."""
    case = random_network(seed, 4) if seed % 3 == 2 else random_graph(seed, 8 + seed)
    generator = np.random.default_rng(seed)
    for node in case.inputs:
        if node.dtype in {gf.float32, gf.float64}:
            with np.errstate(invalid="ignore"):
                value = node.value * generator.choice([1.0, 1.0, 1.0, np.inf, 0.0], node.shape)
            gf.let(node, np.nan_to_num(value, posinf=np.inf, neginf=-np.inf))
    return case.graph


def test_what_is_named_has_read_nothing_bad_and_has_reached_what_is_bad(backend):
    """On random graphs: compared with the values of a run, and with a machine that watches."""
    count = 0
    for seed in range(14):
        g = poisoned(seed)
        machine = gf.TapeMachine(g, backend=backend)
        machine.run_all()
        report = machine.find_nan(inf=False)
        values = {g[number]: machine.value_of(g[number]) for number in machine.program.results}
        bad = {node for node, value in values.items() if value.dtype.kind == "f" and np.isnan(value).any()}
        watched = gf.TapeMachine(g, backend=backend, watch_nan=True)
        try:
            watched.run_all()
            is_found = False
        except gf.NumericalError:
            is_found = True
        assert (report is not None) == is_found, seed
        if report is None:
            assert not bad
            continue
        count += 1
        assert all(not summary.nans for _, summary in report.inputs)
        assert report.value.nans
        assert set(report.reached) <= bad
        assert bool(report.reached) == bool(bad), seed
        for one, other in zip(report.path, report.path[1:], strict=False):
            assert any(operand is one for operand in other.inputs) or g.form_owners
    assert count >= 6
