"""Microseconds per instruction: everything is there, nothing is disturbed, and what looking costs is left out."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np
import pytest

import graphflow as gf
from graphflow.vm.profiling import LOOP_WIDTH, MOST_ROWS

CALLS = {}


def here():
    """The line of the caller."""
    return inspect.currentframe().f_back.f_lineno


@dataclass(frozen=True)
class FailsLater(gf.Op):
    """Hands its input through some times, then fails."""

    key: str
    symbol = "fails"

    def infer(self, x):
        return x

    def evaluate(self, x):
        CALLS[self.key] -= 1
        if CALLS[self.key] < 0:
            raise ValueError("enough")
        return x

    def gradient(self, dy, y, x):
        return (dy,)


def network(g, steps=5):
    """A small recurrent network with a random mask, which numpy draws, and an input that a run assigns."""
    w = gf.matrix(g, (4, 4), name="w", init=gf.glorot_n())
    x = gf.vector(g, 4, name="x", value=[0.1, 0.2, 0.3, 0.4])
    h = x
    for t in range(steps):
        with g.step(t):
            h = gf.tanh(w @ h)
    cost = gf.sum(gf.dropout(h, 0.5) * h)
    gf.grad(cost, w)
    counted = gf.scalar(g, name="counted", value=0.0)
    gf.set_(counted, counted + 1.0)
    return x, w, cost, counted


def test_each_instruction_is_there_with_what_it_is(backend):
    g = gf.ExprGraph()
    network(g)
    machine = gf.TapeMachine(g, backend=backend)
    profile = machine.profile(runs=3)
    assert sorted(row.number for row in profile.rows) == list(range(len(machine.program)))
    for row in profile.rows:
        instruction = machine.program.instructions[row.number]
        assert (row.loop, row.node) == (str(instruction.loop), instruction.node)
        node = instruction.node
        made = node if node.gradient_of is None else node.gradient_of
        assert (row.step, row.line) == (node.step, made.origin)
        assert row.is_gradient == (node.gradient_of is not None)
        assert str(row.line).startswith("test_profile.py:")
        assert row.calls == profile.runs == 3
        assert row.microseconds >= 0.0
    times = [row.microseconds for row in profile.rows]
    assert times == sorted(times, reverse=True)
    assert sum(row.share for row in profile.rows) == pytest.approx(1.0)
    assert profile.microseconds == pytest.approx(sum(times))
    assert profile.run_microseconds > 0.0
    assert profile.backend == backend


@pytest.mark.parametrize("by", ["by_line", "by_loop", "by_step"])
def test_groups_hold_every_instruction_once(backend, by):
    g = gf.ExprGraph()
    network(g)
    profile = gf.TapeMachine(g, backend=backend).profile(runs=2)
    groups = getattr(profile, by)
    assert sum(group.instructions for group in groups) == len(profile.rows)
    assert sum(group.microseconds for group in groups) == pytest.approx(profile.microseconds)
    assert sum(group.share for group in groups) == pytest.approx(1.0)
    assert len({group.name for group in groups}) == len(groups) > 1
    assert [group.microseconds for group in groups] == sorted((each.microseconds for each in groups), reverse=True)


def test_groups_are_named_by_line_loop_and_step():
    g = gf.ExprGraph()
    network(g)
    profile = gf.TapeMachine(g).profile(runs=1)
    assert all(group.name.startswith("test_profile.py:") for group in profile.by_line)
    assert {"map", "contract", "random"} <= {group.name for group in profile.by_loop}
    assert {"none", "0", "4"} <= {group.name for group in profile.by_step}


def test_gradients_belong_to_the_line_of_what_they_are_gradients_of():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", init=gf.ones())
    y = gf.tanh(x) @ gf.constant(g, np.ones(3, np.float32))
    line = here() - 1
    gf.grad(y, x)
    names = {group.name for group in gf.TapeMachine(g).profile(runs=1).by_line}
    assert names == {f"test_profile.py:{line}", f"test_profile.py:{line}, gradient"}


def test_the_text_shows_the_slowest_and_sums_up_the_rest():
    g = gf.ExprGraph()
    network(g, steps=12)
    profile = gf.TapeMachine(g, backend="numpy").profile(runs=2)
    count = len(profile.rows)
    assert count > MOST_ROWS
    lines = str(profile).splitlines()
    assert lines[0].startswith(f"{count} instructions take ")
    assert lines[0].endswith(" in one go (medians of 2 runs, numpy)")
    heads = [number for number, line in enumerate(lines) if line.startswith("       us  share")]
    assert len(heads) == 3
    assert lines[heads[0] + 1].split()[2] == str(profile.rows[0].number)
    assert profile.rows[0].loop[: LOOP_WIDTH - 3] in lines[heads[0] + 1]
    assert lines[heads[0] + 1 + MOST_ROWS].endswith(f"{count - MOST_ROWS} more")
    assert max(map(len, lines)) <= 120
    assert repr(profile).startswith(f"<Profile of {count} instructions, ")


def test_an_empty_program_takes_no_time(backend):
    g = gf.ExprGraph()
    gf.scalar(g, name="x", value=1.0)
    profile = gf.TapeMachine(g, backend=backend).profile(runs=2)
    assert (profile.rows, profile.microseconds, profile.by_line) == ((), 0.0, ())
    assert str(profile).startswith("0 instructions take 0.0 us")


# --- nothing is disturbed ---------------------------------------------------------------------------------------------


def everything(g, machine):
    return {number: g[number].value.tobytes() for number in machine.program.results}


def test_it_leaves_what_one_run_leaves(backend):
    """Values, random numbers, gradients, assigned inputs and the number of runs; before, in between and afterwards."""
    found = []
    for is_profiled in (False, True):
        g = gf.ExprGraph(seed=1)
        _, w, cost, counted = network(g)
        machine = gf.TapeMachine(g, backend=backend, seed=7)
        seen = []
        for round_number in range(4):
            if is_profiled and round_number in (0, 2):
                machine.profile(runs=3)
            else:
                machine.run_all()
            gradient = w.grad.tobytes()
            seen.append((everything(g, machine), gradient, cost.value.item(), counted.value.item(), machine.runs))
        found.append(seen)
    assert found[0] == found[1]
    assert [each[3] for each in found[0]] == [1.0, 2.0, 3.0, 4.0]
    assert len({each[2] for each in found[0]}) > 1


def test_watched_values_are_logged_once(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x", value=0.5)
    y = gf.tanh(x)
    lines = []
    gf.TapeMachine(g, backend=backend, watch=[x, y], logger=lines.append).profile(runs=5)
    assert len(lines) == 2


def test_a_profile_does_not_move_a_machine_that_is_stepped(backend):
    g = gf.ExprGraph()
    network(g)
    machine = gf.TapeMachine(g, backend=backend)
    machine.step()
    machine.profile(runs=1)
    assert machine.step() is machine.program.instructions[0]


# --- errors are those of a run ----------------------------------------------------------------------------------------


def test_what_a_run_refuses_is_refused(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x")
    y = gf.log(x)
    machine = gf.TapeMachine(g, backend=backend, watch_nan=True)
    with pytest.raises(gf.UnboundError, match="x: float32.2. has no value"):
        machine.profile()
    gf.let(x, [1.0, -1.0])
    with pytest.raises(gf.NumericalError, match="NaN in %1"):
        machine.profile()
    gf.let(x, [1.0, 1.0])
    machine.profile(runs=1)
    assert y.value.tolist() == [0.0, 0.0]
    machine.close()
    with pytest.raises(gf.MachineError, match="closed"):
        machine.profile()


@pytest.mark.parametrize("runs", [0, -1, 2.0, "3", None, True])
def test_a_number_of_runs_that_is_none_is_refused(runs):
    g = gf.ExprGraph()
    gf.tanh(gf.scalar(g, value=1.0))
    machine = gf.TapeMachine(g)
    with pytest.raises(gf.OptionError, match="profile: runs is not usable"):
        machine.profile(runs)
    assert machine.runs == 0


def test_an_id_out_of_range_is_named(backend):
    g = gf.ExprGraph()
    table = gf.matrix(g, (3, 2), init=gf.ones())
    ids = gf.vector(g, 2, name="ids", dtype="int64", value=[0, 3])
    gf.gather(table, ids)
    machine = gf.TapeMachine(g, backend=backend)
    with pytest.raises(gf.PositionError, match="the id 3 is out of range"):
        machine.profile()
    gf.let(ids, [0, 2])
    machine.profile(runs=1)


@pytest.mark.parametrize("fails_at", range(6))
def test_an_op_that_fails_later_is_named_whenever_it_fails(backend, fails_at):
    """The first run, the whole runs and the timed ones in turn: two of each after the first."""
    g = gf.ExprGraph()
    before = gf.tanh(gf.vector(g, 3, name="x", init=gf.ones()))
    before.name = "before"
    middle = gf.apply(FailsLater("x"), before, name="middle")
    after = gf.exp(middle)
    machine = gf.TapeMachine(g, backend=backend)
    CALLS["x"] = fails_at
    if fails_at == 5:
        machine.profile(runs=2)
        return
    with pytest.raises(gf.MachineError, match="instruction 1 failed: middle") as caught:
        machine.profile(runs=2)
    assert "made at test_profile.py:" in str(caught.value)
    assert before.value.shape == (3,)
    with pytest.raises(gf.ValueNotKept):
        after.value  # noqa: B018 - reading is what is tested
    CALLS["x"] = 100
    machine.profile(runs=2)
    assert after.value.shape == (3,)


def test_paranoid_machines_are_timed_by_stepping(monkeypatch, backend):
    monkeypatch.setenv("GRAPHFLOW_PARANOID", "1")
    g = gf.ExprGraph()
    _, _, cost, _ = network(g)
    machine = gf.TapeMachine(g, backend=backend)
    profile = machine.profile(runs=1)
    assert len(profile.rows) == len(machine.program)
    assert np.isfinite(cost.value)
