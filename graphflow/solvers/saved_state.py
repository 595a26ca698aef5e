"""What `state_dict` gave, read back: every claim checked before anything is taken over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from graphflow.errors import CheckpointError, OptionError
from graphflow.solvers.options import Option
from graphflow.values import Array

MEMBERS: Final = ("options", "solver", "state", "step")


@final
@dataclass(frozen=True, eq=False)
class SavedParameter:
    """What belongs to one parameter: how many steps it has taken, and its moments in its shape."""

    step: int
    moments: dict[str, Array]


@final
@dataclass(frozen=True, eq=False)
class SavedState:
    """Options, how many steps were taken, and what belongs to each parameter, by name."""

    options: dict[str, Any]
    step: int
    parameters: dict[str, SavedParameter]


def read_state(state: object, kind: str, options: Mapping[str, Option[Any]], moments: tuple[str, ...]) -> SavedState:
    """The state of a solver, copied.

    Args:
        state: what is claimed to be one.
        kind: the solver's class.
        options: what options it has.
        moments: what it keeps of each parameter.

    Raises:
        CheckpointError: naming what is wrong.
    """
    problem = f"{kind}.load_state_dict: this is not the state of {kind}"
    found = members_of(state, MEMBERS, "the state", problem)
    if found["solver"] != kind:
        raise CheckpointError(problem, got=f"the state of {found['solver']!r:.80}", needs=f"the state of {kind!r}")
    given = members_of(found["options"], tuple(options), "the options", problem)
    try:
        values = {name: option.checked(given[name], kind) for name, option in options.items()}
    except OptionError as error:
        raise CheckpointError(problem, got=error.headline, needs=error.needs) from None
    step = read_step(found["step"], "step", problem)
    parameters = found["state"]
    if not isinstance(parameters, Mapping) or not all(isinstance(name, str) for name in parameters):
        raise CheckpointError(problem, got=f"state {parameters!r:.80}", needs="a dict from names of parameters")
    if step and not parameters:
        raise CheckpointError(problem, got=f"no parameters after {step} steps", needs="all that were stepped")
    read = {name: read_parameter(each, name, moments, problem) for name, each in parameters.items()}
    return SavedState(values, step, read)


def read_parameter(saved: object, name: str, moments: tuple[str, ...], problem: str) -> SavedParameter:
    """What belongs to one parameter.

    Raises:
        CheckpointError: anything missing, unknown, or not an array of floats.
    """
    found = members_of(saved, ("step", *moments), f"the state of {name!r:.80}", problem)
    for key in moments:
        if not isinstance(found[key], np.ndarray) or found[key].dtype.kind != "f":
            got = f"{key} of {name!r:.80} as {type(found[key]).__name__}"
            raise CheckpointError(problem, got=got, needs="a numpy array of floats")
    step = read_step(found["step"], f"step of {name!r:.80}", problem)
    return SavedParameter(step, {key: found[key].copy() for key in moments})


def members_of(value: object, wanted: tuple[str, ...], what: str, problem: str) -> Mapping[str, Any]:
    """The value, if it is a dict of exactly these members.

    Raises:
        CheckpointError: naming the missing and the unknown ones.
    """
    if not isinstance(value, Mapping):
        needs = f"a dict with {', '.join(wanted)}"
        raise CheckpointError(problem, got=f"{what} as {type(value).__name__}", needs=needs)
    missing = [name for name in wanted if name not in value]
    unknown = [f"{name!r:.40}" for name in value if name not in wanted]
    if missing or unknown:
        parts = [f"without {', '.join(missing)}"] * bool(missing) + [f"with {', '.join(unknown)}"] * bool(unknown)
        raise CheckpointError(problem, got=f"{what} {' and '.join(parts):.200}", needs=f"exactly {', '.join(wanted)}")
    return value


def read_step(value: object, place: str, problem: str) -> int:
    """A number of steps.

    Raises:
        CheckpointError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise CheckpointError(problem, got=f"{place} {value!r:.80}", needs="a whole number of 0 or more")
    return value
