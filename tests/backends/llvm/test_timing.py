"""The native tape, timed by the processor's ticks, or record by record where they may not be read."""

from __future__ import annotations

import graphflow as gf
from graphflow.backends.llvm import timing
from graphflow.backends.llvm.host import this_host


def test_stepping_takes_the_place_of_a_counter_that_may_not_be_read(monkeypatch):
    """With an instruction that numpy runs between two stretches of the table."""
    monkeypatch.setattr(timing, "has_ticks", lambda: False)
    g = gf.ExprGraph()
    x = gf.vector(g, 4, name="x", init=gf.ones())
    y = gf.sum(gf.exp(gf.dropout(gf.exp(x), 0.5)))
    machine = gf.TapeMachine(g, backend="native")
    profile = machine.profile(runs=2)
    assert sorted(row.number for row in profile.rows) == list(range(len(machine.program)))
    found = y.value
    machine.runs = 0
    machine.run_all()
    assert found == y.value


def test_the_ticks_go_on():
    if timing.has_ticks():
        counter = timing.TickCounter(this_host())
        assert counter.cost > 0.0
        assert counter.nanoseconds_per_tick > 0.0
        assert len(counter.ticks(0, 0)) == 1
