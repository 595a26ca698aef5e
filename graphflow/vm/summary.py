"""A few numbers for an array: what a report or an error says of a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from graphflow.node import Node
from graphflow.tape.program import Instruction, Operand
from graphflow.tensortype import TensorType
from graphflow.values import Array


@final
@dataclass(frozen=True)
class ValueSummary:
    """The least, largest and mean finite number of an array, and how many numbers are none.

    Attributes:
        type: dtype and shape.
        least, largest, mean: of the finite numbers; NaN where there is none.
        norm: the root of the sum of their squares.
        nans, infinities: how many.
    """

    type: TensorType
    least: float
    largest: float
    mean: float
    norm: float
    nans: int
    infinities: int

    @classmethod
    def of(cls, array: Array) -> ValueSummary:
        """The summary of an array of any dtype.

        Example:
            >>> print(ValueSummary.of(np.array([1.0, np.nan, 4.0])))
            float64[3] 1 to 4, mean 2.5, 1 NaN
        """
        found = TensorType(array.dtype, array.shape)
        is_finite = np.isfinite(array)
        finite = array[is_finite]
        least = largest = mean = float("nan")
        norm = 0.0
        if finite.size:
            least, largest = float(finite.min()), float(finite.max())
            # Numbers near the largest of their dtype would overflow when they are added up or squared.
            largest_size = max(abs(least), abs(largest)) or 1.0
            scaled = finite.astype(np.float64) / largest_size
            mean, norm = float(scaled.mean()) * largest_size, float(np.sqrt((scaled * scaled).sum())) * largest_size
        nans = int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0
        return cls(found, least, largest, mean, norm, nans, array.size - finite.size - nans)

    @property
    def is_finite(self) -> bool:
        """Whether there is neither NaN nor infinity in it."""
        return not (self.nans or self.infinities)

    @property
    def _span(self) -> tuple[float, float]:
        return self.least, self.largest

    @property
    def numbers(self) -> str:
        """The text without the type."""
        if self.type.size == 0:
            return "nothing"
        others = [f"{count} {name}" for count, name in ((self.nans, "NaN"), (self.infinities, "infinite")) if count]
        if not self.least <= self.largest:
            return ", ".join(others)
        least, largest = (f"{number:{'.4g' if self.type.dtype.kind == 'f' else '.0f'}}" for number in self._span)
        if self.least == self.largest:
            text = f"all {least}" if self.type.size > 1 and self.is_finite else least
        else:
            text = f"{least} to {largest}, mean {self.mean:.4g}"
        return ", ".join([text, *others])

    def __str__(self) -> str:
        return f"{self.type} {self.numbers}"


def operand_names(instruction: Instruction) -> list[str]:
    """What a message calls the operands of an instruction: nodes where it is known which, places elsewhere."""
    nodes, operands = instruction.node.inputs, instruction.inputs
    if [node.type for node in nodes] == [operand.type for operand in operands]:
        return [node.label for node in nodes]
    return [_place_name(instruction.node, operand) for operand in operands]


def _place_name(node: Node, operand: Operand) -> str:
    kind, key = operand.place.kind, operand.place.key
    if kind == "input":
        return node.graph[key].label
    return "a constant" if kind == "constant" else str(operand)


def summarised(names: Sequence[str], arrays: Sequence[Array]) -> str:
    """The operands of an instruction as an error shows them: names, types and ranges."""
    return "; ".join(f"{name}: {ValueSummary.of(array)}" for name, array in zip(names, arrays, strict=True)) or "none"
