"""Folds inside a kernel: sums, products and extremes of what a body loads, along any number of axes.

A fold goes along with several accumulators at once, so that no addition waits for the one before it. A sum of
floating-point numbers is taken in blocks of a few rounds; where there are many blocks, their sums are added with what
each addition rounds away. So the error of a sum hardly grows with its length.

Source: the error of an addition from the operands and the result is Knuth, The Art of Computer Programming 2,
theorem 4.2.2 B.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, final

from graphflow.backends.llvm.primitives import extreme
from graphflow.backends.llvm.writer import Value, Writer
from graphflow.tensortype import Shape

# Values for indices along the folded axes; the number says how many lanes are in use where not all are.
Load = Callable[[Sequence[Value], int | None], list[Value]]

# Rounds that one accumulator adds up before its sum joins the others.
BLOCK_ROUNDS = 16
# Blocks whose sums may be added without caring for what is rounded away.
PLAIN_BLOCKS = 16
ACCUMULATORS = 8
LARGEST_INTEGER = 2**63 - 1
# numpy adds truth values by "or" and multiplies them by "and".
TRUTH_OPERATIONS = {"sum": "or", "max": "or", "prod": "and", "min": "and"}


@final
class Fold(NamedTuple):
    """How values are folded: sum, max, min or prod of an element type."""

    writer: Writer
    kind: str
    element: str

    def start(self, lanes: int) -> Value:
        """What changes nothing. Of a sum that is -0.0: -0.0 + 0.0 is 0.0.

        Nor would +0.0 do for lanes that are not in use: LLVM takes the quotient of two vectors for zero where both are
        known to be, though it is NaN there, and leaves out what would put zeros in its place.
        """
        is_float = self.element in ("float", "double")
        largest: float = math.inf if is_float else LARGEST_INTEGER
        smallest = -largest if self.element != "i64" else -largest - 1
        if self.element == "i1":
            largest, smallest = 1, 0
        found = {"sum": -0.0 if is_float else 0, "prod": 1, "max": smallest, "min": largest}[self.kind]
        return self.writer.constant(found, Value("", self.element, lanes))

    def combine(self, x: Value, y: Value) -> Value:
        """One step of the fold; NaN wins over every number."""
        writer, kind = self.writer, self.kind
        if self.element == "i1":
            return writer.binary(TRUTH_OPERATIONS[kind], x, y)
        if kind in ("sum", "prod"):
            return writer.add(x, y) if kind == "sum" else writer.mul(x, y)
        return extreme(writer, "gt" if kind == "max" else "lt", x, y)

    def across(self, x: Value) -> Value:
        """Fold the lanes of a vector into one scalar, by halves."""
        lanes = x.lanes
        while lanes > 1:
            lanes //= 2
            halves = [self.writer.shuffle(x, x, range(first, first + lanes)) for first in (0, lanes)]
            x = self.combine(halves[0], halves[1])
        return self.writer.value(f"extractelement {x}, i64 0", x.element) if x.lanes else x

    def along(self, shape: Shape, step: int, load: Load, like: Sequence[Value], accumulators: int) -> list[Value]:
        """Fold over axes.

        Args:
            shape: of the axes, none of them empty; the last one is walked in the innermost loop.
            step: elements of the last axis that one load takes.
            load: gives as many values as there are in `like`.
            like: their types.
            accumulators: how many are wanted for each of them.

        Returns:
            For each of them its fold, still in lanes.
        """
        return _Walk(self, shape, step, load, like, accumulators).write()


@final
class _Walk:
    """Writes the loops of one fold."""

    def __init__(
        self, fold: Fold, shape: Shape, step: int, load: Load, like: Sequence[Value], accumulators: int
    ) -> None:
        self.fold, self.load, self.step = fold, load, step
        self.starts = [fold.start(each.lanes) for each in like]
        self.outer, self.size = (shape[:-1], shape[-1]) if shape else ((), 1)
        rounds = self.size // step
        self.chains = 1
        while self.chains * 2 <= min(accumulators, rounds):
            self.chains *= 2
        self.even = rounds - rounds % self.chains
        self.rounds = rounds
        is_float_sum = fold.kind == "sum" and fold.element in ("float", "double")
        self.block = BLOCK_ROUNDS * self.chains if is_float_sum else max(self.even, 1)
        blocks = -(-self.even // self.block) + (self._rest > 0)
        self.is_careful = is_float_sum and math.prod(self.outer) * blocks > PLAIN_BLOCKS
        self.is_one_block = blocks == 1 and not self.outer

    @property
    def _rest(self) -> int:
        """Elements behind the rounds that all accumulators share."""
        return self.size - self.even * self.step

    def write(self) -> list[Value]:
        if self.is_one_block:
            indices: list[Value] = []
            return self._even_block(indices, Value("0", "i64")) if self.even else self._rest_block(indices)
        state = [each for start in self.starts for each in ((start, start) if self.is_careful else (start,))]
        state = self._enter([], state)
        return self._settled(state) if self.is_careful else state

    def _enter(self, indices: list[Value], state: Sequence[Value]) -> list[Value]:
        if len(indices) == len(self.outer):
            return self._innermost(indices, state)

        def inside(index: Value, carried: tuple[Value, ...]) -> list[Value]:
            return self._enter([*indices, index], carried)

        return list(self.fold.writer.loop(self.outer[len(indices)], 1, inside, state))

    def _innermost(self, indices: list[Value], state: Sequence[Value]) -> list[Value]:
        def inside(base: Value, carried: tuple[Value, ...]) -> list[Value]:
            return self._merged(carried, self._even_block(indices, base))

        if self.even:
            state = self.fold.writer.loop(self.even * self.step, self.block * self.step, inside, state)
        return self._merged(state, self._rest_block(indices)) if self._rest else list(state)

    def _even_block(self, indices: list[Value], base: Value) -> list[Value]:
        """The fold of one block of whole rounds, all accumulators together."""
        writer, stride = self.fold.writer, self.chains * self.step
        total, length = self.even * self.step, self.block * self.step
        stop: int | Value = min(total, length)
        if base.name != "0" and total % length:
            left = writer.sub(writer.constant(total, base), base)
            bound = writer.constant(length, base)
            stop = writer.select(writer.compare("slt", left, bound), left, bound)

        def loaded(index: Value) -> list[Value]:
            """The values of one round of all accumulators."""
            places = [_plus(writer, index, Value(str(chain * self.step), "i64")) for chain in range(self.chains)]
            return [each for place in places for each in self.load([*indices, place], None)]

        def inside(index: Value, carried: tuple[Value, ...]) -> list[Value]:
            found = loaded(_plus(writer, base, index))
            return [self.fold.combine(*pair) for pair in zip(carried, found, strict=True)]

        if stop == stride:
            # A single round: nothing has to be combined with a start.
            found = loaded(base)
        else:
            found = list(writer.loop(stop, stride, inside, self.starts * self.chains))
        width = len(self.starts)
        return [self._joined(found[place::width]) for place in range(width)]

    def _joined(self, parts: Sequence[Value]) -> Value:
        """The fold of the accumulators, by pairs."""
        while len(parts) > 1:
            parts = [self.fold.combine(first, second) for first, second in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def _rest_block(self, indices: list[Value]) -> list[Value]:
        """The fold of the rounds that are left over, and of the lanes behind the last whole round."""
        writer, whole = self.fold.writer, self.rounds * self.step
        found: list[Value] | None = None
        if self.rounds > self.even:

            def inside(index: Value, carried: tuple[Value, ...]) -> list[Value]:
                new = self.load([*indices, index], None)
                return [self.fold.combine(*pair) for pair in zip(carried, new, strict=True)]

            found = list(writer.loop(whole, self.step, inside, self.starts, start=self.even * self.step))
        if self.size > whole:
            used = self.size - whole
            rest = self.load([*indices, Value(str(whole), "i64")], used)
            # Lanes beyond the end must not count, whatever they hold.
            rest = [
                writer.select(writer.first_lanes(each.lanes, used), each, start)
                for each, start in zip(rest, self.starts, strict=True)
            ]
            found = rest if found is None else [self.fold.combine(*pair) for pair in zip(found, rest, strict=True)]
        assert found is not None  # noqa: S101 - for the type checker: only a rest that exists is written
        return found

    def _merged(self, state: Sequence[Value], block: Sequence[Value]) -> list[Value]:
        if not self.is_careful:
            return [self.fold.combine(*pair) for pair in zip(state, block, strict=True)]
        found: list[Value] = []
        for total, lost, new in zip(state[::2], state[1::2], block, strict=True):
            found += _exact_sum(self.fold.writer, total, lost, new)
        return found

    def _settled(self, state: Sequence[Value]) -> list[Value]:
        """Each total with what its additions lost; an infinite total has lost nothing, though the loss is NaN."""
        writer, found = self.fold.writer, []
        for total, lost in zip(state[::2], state[1::2], strict=True):
            is_number = writer.compare("ord", lost, lost)
            found.append(writer.select(is_number, writer.add(total, lost), total))
        return found


def _exact_sum(writer: Writer, total: Value, lost: Value, new: Value) -> tuple[Value, Value]:
    """total + new, and lost with what that addition rounds away."""
    found = writer.add(total, new)
    back = writer.sub(found, total)
    error = writer.add(writer.sub(total, writer.sub(found, back)), writer.sub(new, back))
    return found, writer.add(lost, error)


def _plus(writer: Writer, x: Value, y: Value) -> Value:
    """x + y for indices, of which constants are added here and now."""
    if x.name == "0" or y.name == "0":
        return y if x.name == "0" else x
    if x.name.isdigit() and y.name.isdigit():
        return Value(str(int(x.name) + int(y.name)), x.element)
    return writer.add(x, y)
