"""What random graphs are made of: inputs, ids, and the nodes that later expressions may use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, final

import numpy as np

from graphflow.binding import read
from graphflow.construct import constant, node_from_any
from graphflow.dtypes import DType, bool_, float32, float64, int64
from graphflow.graph import ExprGraph
from graphflow.node import Node
from graphflow.ops.elementary import tanh
from graphflow.positions import S
from graphflow.tensortype import Shape, TensorType
from graphflow.values import Array

Position = int | S | tuple[int | S, ...]
T = TypeVar("T")

# Beyond this size a number is squashed before it goes on.
LARGEST: Final = 4.0
FIRST_SHAPES: Final = ((), (3,), (2, 3), (3, 3), (4, 3), (2, 3, 4), (2, 1))


@final
@dataclass(frozen=True)
class Cut:
    """One axis of a slice; an extent of 0 means a single position, which drops the axis."""

    size: int
    extent: int
    step: int

    def draw(self, generator: np.random.Generator) -> int | S:
        """A position or a range within the axis."""
        if not self.extent:
            return int(generator.integers(0, self.size))
        reach = (self.extent - 1) * self.step + 1
        start = int(generator.integers(0, self.size - reach + 1))
        return S(start, start + reach, self.step)


@final
@dataclass(frozen=True, eq=False)
class Rebindable:
    """A slice, and what it cuts."""

    node: Node
    cuts: tuple[Cut, ...]

    def draw(self, generator: np.random.Generator) -> Position:
        """A position for it, in one of the spellings that are allowed."""
        found = tuple(cut.draw(generator) for cut in self.cuts)
        return found[0] if len(found) == 1 and generator.random() < 0.5 else found


def drawn(value_type: TensorType, limit: int, generator: np.random.Generator) -> Array:
    """A random value: ids below the limit, truth values, or numbers of moderate size."""
    if value_type.dtype == int64:
        return generator.integers(0, limit, value_type.shape)
    if value_type.dtype == bool_:
        return np.asarray(generator.random(value_type.shape) < 0.5)
    return np.asarray(generator.uniform(-1.5, 1.5, value_type.shape)).astype(value_type.dtype)


@final
class Material:
    """A graph that grows: the nodes that expressions may be made of, with a bound on the size of each."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.rng = generator
        self.dtype: DType = float64 if generator.random() < 0.7 else float32
        self.graph = ExprGraph(seed=int(generator.integers(1000)))
        self.pool: list[Node] = []
        self.bounds: dict[int, float] = {}
        self.inputs: list[Node] = []
        self.limits: dict[int, int] = {}
        self.slices: list[Rebindable] = []
        for shape in FIRST_SHAPES:
            self.number_input(shape)

    # --- inputs -------------------------------------------------------------------------------------------------------

    def number_input(self, shape: Shape) -> Node:
        """A new float input that expressions may use."""
        return self.add(self._input(TensorType(self.dtype, shape), 0), 1.5)

    def truth_input(self, shape: Shape) -> Node:
        """A new bool input."""
        return self._input(TensorType(bool_, shape), 0)

    def ids(self, limit: int, shape: Shape | None = None) -> Node:
        """Ids below the limit: a new input, or a constant."""
        sizes = self.choose(((), (3,), (2, 2), (5,))) if shape is None else shape
        if self.rng.random() < 0.6:
            return self._input(TensorType(int64, sizes), limit)
        return constant(self.graph, self.rng.integers(0, limit, sizes))

    def _input(self, value_type: TensorType, limit: int) -> Node:
        name = f"in{len(self.inputs)}" if self.rng.random() < 0.7 else None
        node = node_from_any(self.graph, drawn(value_type, limit, self.rng), name, value_type.dtype)
        self.inputs.append(node)
        if limit:
            self.limits[node.id] = limit
        return node

    # --- nodes --------------------------------------------------------------------------------------------------------

    def add(self, node: Node, bound: float) -> Node:
        """Let later expressions use a node; squashed where it may be large, named or read now and then."""
        if bound > LARGEST:
            node, bound = (tanh(node), 1.0) if self.rng.random() < 0.7 else (node * (1.0 / bound), 1.0)
        self.pool.append(node)
        self.bounds[node.id] = bound
        if node.name is None and self.rng.random() < 0.2:
            node.name = f"n{node.id}"
        elif self.rng.random() < 0.05:
            read(node)
        return node

    def find(self, suits: Callable[[Node], bool]) -> Node | None:
        """One of the nodes that suit, late ones more often; None where there is none."""
        found = [node for node in self.pool if suits(node)]
        return found[int(len(found) * math.sqrt(self.rng.random()))] if found else None

    def any(self) -> Node:
        """One of the nodes: an input now and then, else late ones more often."""
        if self.chance(0.2):
            return self.pool[int(self.rng.integers(len(FIRST_SHAPES)))]
        return self.pool[int(len(self.pool) * math.sqrt(self.rng.random()))]

    def bound(self, *nodes: Node) -> float:
        """The largest size of the nodes' numbers."""
        return max(self.bounds[node.id] for node in nodes)

    # --- choices ------------------------------------------------------------------------------------------------------

    def choose(self, options: Sequence[T]) -> T:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def offset(self) -> float:
        """A number that no expression equals by chance."""
        return float(self.rng.uniform(-1.0, 1.0))
