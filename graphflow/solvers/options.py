"""Options of solvers: attributes that check what they are set to, when a solver is made and ever after."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, final, overload

import numpy as np

from graphflow.errors import OptionError

if TYPE_CHECKING:
    from graphflow.solvers.solver import Solver

T = TypeVar("T", bound=float | None)


@final
class Option(Generic[T]):
    """One option of a solver, declared in the class body: `rho = fraction(0.999)`.

    Args:
        default: used where nothing is given; None is allowed as a value only if it is the default.
        is_good: whether a finite number is within the range.
        needs: the range in words, for the message.
        convert: what makes a value of a number.
    """

    def __init__(
        self, default: T, is_good: Callable[[float], bool], needs: str, convert: Callable[[float], Any] = float
    ) -> None:
        self.default: Final = default
        self.is_good: Final = is_good
        self.needs: Final = needs
        self.convert: Final = convert
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, solver: None, owner: type) -> Option[T]: ...
    @overload
    def __get__(self, solver: Solver, owner: type) -> T: ...
    def __get__(self, solver: Solver | None, owner: type) -> Option[T] | T:
        if solver is None:
            return self
        return cast("T", solver._options[self.name])  # noqa: SLF001 - Option and Solver are two halves of one thing

    def __set__(self, solver: Solver, value: T) -> None:
        solver._options[self.name] = self.checked(value, type(solver).__name__)  # noqa: SLF001 - as above

    def checked(self, value: object, owner: str) -> T:
        """The value as a plain Python number (or None where that is allowed).

        Raises:
            OptionError: no number, or a number outside the range.
        """
        if value is None and self.default is None:
            return cast("T", None)
        number = math.nan
        # A bool is an int to Python, but True as a learning rate is a slip.
        if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
        if not math.isfinite(number) or not self.is_good(number):
            raise OptionError(f"{owner}: {self.name}={value!r:.80} is not usable", needs=self.needs)
        return cast("T", self.convert(number))


def rate(default: float) -> Option[float]:
    """How strongly something acts; 0 switches it off."""
    return Option(default, lambda value: value >= 0, "a finite number of 0 or more")


def fraction(default: float) -> Option[float]:
    """How much of an average is kept in a step."""
    return Option(default, lambda value: 0 <= value < 1, "a number from 0 up to, but not including, 1")


def smallest(default: float) -> Option[float]:
    """A small number that keeps a division from failing."""
    return Option(default, lambda value: value > 0, "a finite number above 0")


def bound() -> Option[float | None]:
    """A bound that does not hold unless one is given."""
    return Option[float | None](None, lambda value: value > 0, "a finite number above 0, or None for no bound")


def count(default: int) -> Option[int]:
    """How many of something."""
    return Option(default, lambda value: value >= 1 and value.is_integer(), "a whole number of 1 or more", int)


def options_of(solver: type) -> dict[str, Option[Any]]:
    """The options that a class declares or inherits, the learning rate first."""
    found: dict[str, Option[Any]] = {}
    for owner in solver.__mro__:
        declared = {name: each for name, each in vars(owner).items() if isinstance(each, Option)}
        found |= {name: each for name, each in declared.items() if name not in found}
    return {name: found[name] for name in sorted(found, key=lambda name: name != "learn_rate")}


def signature_of(solver: type) -> inspect.Signature:
    """What `help` and editors show: keywords with their defaults."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, kind, default=each.default) for name, each in options_of(solver).items()]
    return inspect.Signature(parameters, return_annotation=None)


def refused(solver: type, name: str, value: object, family: Sequence[type]) -> OptionError:
    """What to say of an option that the solver would not use.

    Args:
        solver: the class that was given the option.
        name: the option.
        value: what it was given as.
        family: the classes that may be named as having it.
    """
    mine = list(options_of(solver))
    owners = sorted(each.__name__ for each in family if name in options_of(each))
    listed = " and ".join([", ".join(owners[:-1])] * (len(owners) > 1) + owners[-1:])
    hint = f"{name} is an option of {listed}" if owners else None
    if name in ("l1_reg", "l2_reg") and "weight_decay" in mine:
        hint = f"weight_decay=, which acts on the weights directly; {hint}"
    elif hint is None:
        close = difflib.get_close_matches(name, mine, n=1)
        hint = f"{close[0]}=" if close else None
    return OptionError(
        f"{solver.__name__} has no option {name!r:.80}",
        got=f"{name:.80}={value!r:.80}",
        needs=f"only what it uses: {', '.join(mine)}",
        hint=hint,
    )
