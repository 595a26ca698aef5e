"""The contract of an operation: everything that the engine ever asks of one, in one class.

This module, `tensortype` and `loops` are all that the author of an op needs. An op is a frozen dataclass; its fields
are its static attributes and part of its identity.

    member       meaning
    symbol       label in pictures, listings and messages
    infer        output type from the input types, or a ShapeError / DTypeError
    evaluate     numpy, pure, works in float64: the oracle that everything faster is compared with
    gradient     one Node or None for each input, or NOT_DIFFERENTIABLE; an entry may be a function of no arguments,
                 which is called only when that gradient is wanted
    lower        one loop form; an op that leaves it out is run by its `evaluate`
    overwrites   inputs whose storage the output may take
    is_random    whether it draws: `evaluate` then gets a numpy Generator after the inputs
    rebindable   fields that are run-time data (slice positions), kept in the graph's position table at `slot`
    samples      what the contract tests feed it;  bad_samples  what it must refuse
    evaluation   what stands for it in evaluation mode (dropout off), or None for itself
    without_loop   why an op of graphflow states no loop: shown in docs/ops.md
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias, TypeVar

from graphflow.errors import GraphflowError, OpContractError, PositionError, ShapeError
from graphflow.loops import Call, Loop
from graphflow.tensortype import TensorType
from graphflow.values import Array

if TYPE_CHECKING:
    from graphflow.node import Node


class NotDifferentiable:
    """The type of NOT_DIFFERENTIABLE."""

    def __repr__(self) -> str:
        return "NOT_DIFFERENTIABLE"


NOT_DIFFERENTIABLE: Final = NotDifferentiable()

# What `gradient` returns. Text, because Node comes later than this module.
GradientEntry: TypeAlias = "Node | Callable[[], Node] | None"
Gradient: TypeAlias = "tuple[GradientEntry, ...] | NotDifferentiable"


E = TypeVar("E")


class Builder(Protocol[E]):
    """What rewriting rules look at and build with: the same rules serve nodes of a graph and values of a plan."""

    def op(self, expression: E) -> Op | None: ...
    def type(self, expression: E) -> TensorType: ...
    def inputs(self, expression: E) -> Sequence[E]: ...
    def constant(self, expression: E) -> Array | None:
        """The value of a constant, else None."""

    def apply(self, op: Op, *inputs: E) -> E: ...


@dataclass(frozen=True)
class Sample:
    """Inputs that an op accepts, in float64 (int64 and bool where the op asks for them); tests cast the floats.

    Args:
        op: the op under test.
        inputs: one array for each input.
        smooth: False where finite differences mean nothing (a kink, a tie).
        fixed: inputs that keep their dtype and get no gradient (ids, conditions).
        order: how many times it can be differentiated; tests try two at most.
    """

    op: Op
    inputs: tuple[Array, ...]
    smooth: bool = True
    fixed: tuple[int, ...] = ()
    order: int = 2


@dataclass(frozen=True)
class BadSample:
    """Input types that an op must refuse, and the error it must refuse them with."""

    op: Op
    types: tuple[TensorType, ...]
    error: type[GraphflowError] = field(default=ShapeError)


REGISTRY: dict[str, type[Op]] = {}
REQUIRED = ("symbol", "infer", "evaluate", "gradient")


class Op(abc.ABC):
    """An operation; subclass it as a frozen dataclass.

    The signatures here are open (`*types`, `**unused`), so that each op can name its operands.
    """

    symbol: ClassVar[str]
    overwrites: ClassVar[tuple[int, ...]] = ()
    rebindable: ClassVar[tuple[str, ...]] = ()
    is_random: ClassVar[bool] = False
    without_loop: ClassVar[str] = ""
    stream: int
    """Of a random op: the stream it draws from, which tells one random node from the next. Others have none."""
    samples: ClassVar[Callable[[], Iterable[Sample]]] = staticmethod(tuple)
    bad_samples: ClassVar[Callable[[], Iterable[BadSample]]] = staticmethod(tuple)

    def __init_subclass__(cls, *, abstract: bool = False, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        if abstract:
            return
        for name in REQUIRED:
            member = getattr(cls, name, None)
            if member is None or getattr(member, "__isabstractmethod__", False):
                raise OpContractError(
                    f"the op {cls.__name__} is incomplete",
                    got=f"no {name!r}",
                    needs=", ".join(REQUIRED),
                    hint=f"define {name!r} in the class",
                )
        builtin = cls.__module__.startswith("graphflow.")
        REGISTRY[cls.__name__ if builtin else f"{cls.__module__}.{cls.__qualname__}"] = cls

    @property
    def name(self) -> str:
        """The name in messages and listings."""
        return self.symbol

    @property
    def slot(self) -> int | None:
        """First cell of this op's run-time data in the graph's position table; None where it has none."""
        return None

    @property
    def is_pure(self) -> bool:
        """Whether two equal applications may be merged, and constant ones computed at compile time."""
        return self.slot is None and not self.is_random

    @abc.abstractmethod
    def infer(self, *types: Any, **unused: Any) -> TensorType:
        """The output's type."""

    @abc.abstractmethod
    def evaluate(self, *arrays: Any, **unused: Any) -> Array:
        """The output by numpy."""

    @abc.abstractmethod
    def gradient(self, *nodes: Any, **unused: Any) -> Gradient:
        """The gradient of each input, from (dy, y, *inputs): the output's gradient, the output, the inputs."""

    def lower(self, *types: Any, **unused: Any) -> Loop:
        """The loop form that computes the output."""
        return Call(self.name, self.evaluate)

    def evaluation(self, inputs: Sequence[E], build: Builder[E]) -> E | None:
        """What stands for this op in evaluation mode."""
        return None

    def positions(self, request: object, *types: TensorType) -> tuple[int, ...]:
        """The run-time data that a rebinding request means, checked.

        Raises:
            PositionError, ShapeError: out of range, or another extent.
        """
        raise PositionError(f"{self.name} has no position to rebind", got=f"{request!r}", needs="a slice node")

    def limits(self, *types: TensorType) -> tuple[int, ...]:
        """The largest value that each cell of the run-time data may hold."""
        return ()


class Operators:
    """The functions behind a node's operators. The op files fill it; it cuts the knot between Node and the ops."""

    abs: Callable[..., Node]
    add: Callable[..., Node]
    all: Callable[..., Node]
    any: Callable[..., Node]
    argmax: Callable[..., Node]
    argmin: Callable[..., Node]
    cast: Callable[..., Node]
    cumsum: Callable[..., Node]
    eq: Callable[..., Node]
    ge: Callable[..., Node]
    gt: Callable[..., Node]
    hadamard_div: Callable[..., Node]
    hadamard_prod: Callable[..., Node]
    le: Callable[..., Node]
    logical_and: Callable[..., Node]
    logical_not: Callable[..., Node]
    logical_or: Callable[..., Node]
    logical_xor: Callable[..., Node]
    lt: Callable[..., Node]
    matmul: Callable[..., Node]
    max: Callable[..., Node]
    mean: Callable[..., Node]
    min: Callable[..., Node]
    ne: Callable[..., Node]
    neg: Callable[..., Node]
    one_hot: Callable[..., Node]
    pow: Callable[..., Node]
    prod: Callable[..., Node]
    ravel: Callable[..., Node]
    reshape: Callable[..., Node]
    slice_: Callable[..., Node]
    squeeze: Callable[..., Node]
    std: Callable[..., Node]
    sub: Callable[..., Node]
    sum: Callable[..., Node]
    total: Callable[..., Node]
    transpose: Callable[..., Node]
    var: Callable[..., Node]


OPERATORS: Final = Operators()
