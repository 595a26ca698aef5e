"""Clocks between instructions: what they cost is taken off, and what fails is numbered."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.backends import timing


class Runner:
    position = 0


def test_what_the_clock_costs_is_taken_off(monkeypatch):
    """A clock that goes on by 10 at each reading, and by 1000 when the second call is made."""
    now = [0]

    def read():
        now[0] += 10
        return now[0]

    def slow():
        now[0] += 1000

    monkeypatch.setattr(timing, "clock", read)
    runner = Runner()
    watch = timing.stopwatch(runner, [timing.nothing, slow, timing.nothing], timing.nothing)
    assert watch().tolist() == [0.0, 1000.0, 0.0]
    assert runner.position == 4


def test_no_time_is_less_than_none():
    assert timing.without(5.0, np.array([3, 5, 9])).tolist() == [0.0, 0.0, 4.0]


def test_a_call_that_fails_leaves_its_number():
    def fail():
        raise ZeroDivisionError

    runner = Runner()
    watch = timing.stopwatch(runner, [timing.nothing, timing.nothing, fail, timing.nothing], timing.nothing)
    with pytest.raises(ZeroDivisionError):
        watch()
    assert runner.position == 3
