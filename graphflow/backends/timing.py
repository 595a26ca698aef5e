"""How long instructions take: a clock is read between them, and what reading it costs is left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from graphflow.values import Array

clock = time.perf_counter_ns

Stopwatch = Callable[[], npt.NDArray[np.float64]]
"""Runs a program once; gives the nanoseconds of each instruction."""

CALIBRATION_CALLS = 500


class Positioned(Protocol):
    """What runs instructions, and says how far it came."""

    position: int


def nothing() -> None:
    """Take the time of a call."""


def stopwatch(runner: Positioned, calls: Sequence[Callable[[], object]], empty: Callable[[], object]) -> Stopwatch:
    """Times calls, one for each instruction; where one fails, the runner's `position` says which.

    Args:
        runner: what the calls belong to.
        calls: one for each instruction, in their order.
        empty: a call that does nothing and costs as much: it is timed first, and its time taken off.
    """
    readings: list[int] = []
    _read_between([empty] * CALIBRATION_CALLS, readings)
    cost = float(np.median(np.diff(readings)))

    def run() -> npt.NDArray[np.float64]:
        readings: list[int] = []
        try:
            _read_between(calls, readings)
        finally:
            runner.position = len(readings)
        return without(cost, np.diff(readings))

    return run


def without(cost: float, times: Array) -> npt.NDArray[np.float64]:
    """The times less the cost of measuring each; what is over in no time takes none."""
    return np.asarray(np.maximum(times - cost, 0.0))


def _read_between(calls: Sequence[Callable[[], object]], readings: list[int]) -> None:
    """Make the calls, with a reading of the clock before the first and after each."""
    readings.append(clock())
    for call in calls:
        call()
        readings.append(clock())
