"""What a worker times: a program that answers once, to be checked, and then runs in blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

TOLERANCE = 1e-3
"""How far float32 may be from the float64 reference, as a share of the reference's largest entry."""


class Contender(NamedTuple):
    """One way of doing a workload.

    Attributes:
        answer: the cost and every gradient (or the outputs) at the first weights, for the first piece of data. It is
            called before anything is run.
        run: does one block of work and returns how many units (sentences, tokens, steps, ops) it held. What it
            computes must be finished, not only asked for, when it returns.
        note: what else is worth printing, such as the share of each stage of compilation.
    """

    answer: Callable[[], Mapping[str, Array]]
    run: Callable[[], int]
    note: str = ""


class Work(NamedTuple):
    """What one unit of a workload needs at least, whoever does it.

    Attributes:
        reads: bytes of weights that do not fit into the first cache and are read again in every step.
        operations: floating point operations of matrix products that reuse what they have loaded.
        updates: bytes read and written by the solver.
        is_threaded: whether the steps are large enough for more than one thread to be of use.
    """

    reads: float
    operations: float
    updates: float
    is_threaded: bool


def largest_error(found: Mapping[str, Array], wanted: Mapping[str, Array]) -> tuple[str, float]:
    """The worst entry and its difference, relative to the largest number of the wanted array."""
    if set(found) != set(wanted):
        return f"the names are {sorted(found)} instead of {sorted(wanted)}", np.inf
    worst = ("", 0.0)
    for name, reference in wanted.items():
        value = np.asarray(found[name], np.float64)
        if value.shape != reference.shape:
            return f"{name} is {value.shape} instead of {reference.shape}", np.inf
        scale = float(np.abs(reference).max()) or 1.0
        error = float(np.abs(value - reference).max()) / scale
        if not error <= worst[1]:  # a NaN is the worst of all
            worst = (name, error)
    return worst
