"""The loop forms: what a backend has to be able to run.

An op lowers itself to exactly one of these; a backend knows these and no op. Each is plain frozen data, so equal
forms on equal types compile once. All are stated over logical indices, never over addresses.

    Map       out[i] = f(x0[i], x1[i], ...)                    elementwise, numpy broadcasting
    Reduce    out[i] = g(fold over the axes of f(x)[i, ...])   sum, max, min, prod
    Rows      softmax and its kind: maps and folds along one axis, in one pass over each row
    Contract  out[out] = sum over the labels missing there of left[left] * right[right]; several such sums added
    Convolve  a Contract whose left input is read through a View: no array of its windows is made
    View      out[i] = x[start + step * i + ..., ...]          slices, transposes, broadcasts, windows: no arithmetic
    Reshape   the same elements in the same order, another shape
    Place     the adjoint of a View: zeros with x put (added) at the places the view reads
    Gather    out[i, ...] = table[ids[i], ...]
    Scatter   the adjoint of a Gather: zeros, rows added at the ids
    Scan      out[..., i, ...] = sum of x[..., j, ...] for j up to i, along one axis
    Concat    the inputs one after the other along an axis
    Random    fresh random numbers on each run
    Call      the op's own numpy evaluation: the fallback for an op that states no loop, shown as such in listings
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graphflow.scalars import Scalar, ScalarProgram, trace
from graphflow.tensortype import Shape, TensorType


@dataclass(frozen=True)
class Map:
    """Elementwise over numpy-broadcast inputs.

    Example:
        >>> from graphflow.dtypes import float32
        >>> print(Map.of(lambda x, y: x * y, TensorType(float32, (3,)), TensorType(float32, (3,))))
        map (x0 * x1)
    """

    program: ScalarProgram

    @classmethod
    def of(cls, function: Callable[..., Scalar], *types: TensorType) -> Map:
        return cls(trace(function, [value.dtype for value in types]))

    def __str__(self) -> str:
        return f"map {self.program}"


@dataclass(frozen=True)
class Reduce:
    """Fold along axes: `kind` is sum, max, min or prod; `after` maps each result.

    `before` maps the elements first; it may take several inputs, broadcast against each other.
    """

    kind: str
    axes: tuple[int, ...]
    keepdims: bool = False
    before: ScalarProgram | None = None
    after: ScalarProgram | None = None

    def __str__(self) -> str:
        before = f" of {self.before}" if self.before else ""
        after = f" then {self.after}" if self.after else ""
        return f"reduce {self.kind} axes {list(self.axes)}{before}{after}"


@dataclass(frozen=True)
class Rows:
    """A scalar program along one axis, with `row_max`, `row_sum`, `pick` and `column`.

    An input has the full shape (wide) or the shape without the axis (narrow); `narrow_inputs` says which is which.
    The result is wide unless `narrow_result`.
    """

    axis: int
    program: ScalarProgram
    narrow_inputs: tuple[bool, ...]
    narrow_result: bool = False

    @classmethod
    def of(
        cls,
        axis: int,
        function: Callable[..., Scalar],
        *types: TensorType,
        narrow: bool = False,
        dims: int | None = None,
    ) -> Rows:
        """Trace a function of rows; inputs with fewer axes than `dims` (those of the first input) are narrow."""
        wide = types[0].dims if dims is None else dims
        program = trace(function, [value.dtype for value in types])
        return cls(axis, program, tuple(value.dims < wide for value in types), narrow)

    def __str__(self) -> str:
        return f"rows axis {self.axis} {self.program}"


@dataclass(frozen=True)
class Contract:
    """A sum of products: labels shared by both inputs and missing in the result are summed; a size of 1 broadcasts.

    There may be several pairs of inputs, left, right, left, right and so on: what each gives is added up. The labels
    are the same for all, the sizes of what is summed need not be.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    out: tuple[int, ...]

    @property
    def summed(self) -> tuple[int, ...]:
        return tuple(label for label in self.left if label in self.right and label not in self.out)

    def __str__(self) -> str:
        left, right, out = (
            "".join(chr(ord("a") + label) for label in labels) for labels in (self.left, self.right, self.out)
        )
        return f"contract {left},{right}->{out}"


@dataclass(frozen=True)
class Convolve:
    """The Contract of the left input as `view` shows it, and the right input.

    The view stands still. Written as a view of its own it would be the same numbers; here a backend sees that they are
    windows of one array, and which.
    """

    view: View
    product: Contract

    def __str__(self) -> str:
        return f"convolve {str(self.product).removeprefix('contract ')} of {self.view}"


@dataclass(frozen=True)
class View:
    """Elements of the input in another arrangement, none computed.

    Axis k of the result walks along source axis `axes[k]` in strides of `steps[k]` (axis None: a new or broadcast axis,
    whose step means nothing). Several axes may walk along one: a sliding window is at start + step * i + step * j.
    Source axis a is entered at `starts[a]`. Where `slots[a]` is not None the start is run-time data: it is read from
    that cell of the graph's position table on every run.
    """

    shape: Shape
    axes: tuple[int | None, ...]
    starts: tuple[int, ...]
    steps: tuple[int, ...]
    slots: tuple[int | None, ...]

    @property
    def is_static(self) -> bool:
        return all(slot is None for slot in self.slots)

    @property
    def is_plain_slice(self) -> bool:
        """Whether the axes keep their order, none is new, and all are walked in steps of 1."""
        walked = [axis for axis in self.axes if axis is not None]
        in_order = walked == sorted(set(walked))
        return len(walked) == len(self.axes) and in_order and all(step == 1 for step in self.steps)

    def reach(self, axis: int) -> tuple[int, int]:
        """The lowest and the highest position that is read along a source axis, counted from where it is entered."""
        ways = [
            step * (size - 1)
            for size, walked, step in zip(self.shape, self.axes, self.steps, strict=True)
            if walked == axis
        ]
        return sum(way for way in ways if way < 0), sum(way for way in ways if way > 0)

    @classmethod
    def rearranged(cls, shape: Shape, axes: tuple[int | None, ...], dims: int) -> View:
        """A view of whole axes: transposes, broadcasts, inserted and dropped axes."""
        return cls.walking(shape, axes, (1,) * len(axes), dims)

    @classmethod
    def walking(cls, shape: Shape, axes: tuple[int | None, ...], steps: tuple[int, ...], dims: int) -> View:
        """A view from the first element of each of `dims` source axes on."""
        return cls(shape, axes, (0,) * dims, steps, (None,) * dims)

    def strides(self, source: tuple[int, ...]) -> tuple[int, ...]:
        """The strides of the result in a source with some strides, in the same unit."""
        return tuple(
            0 if axis is None else source[axis] * step for axis, step in zip(self.axes, self.steps, strict=True)
        )

    def __str__(self) -> str:
        entries = []
        for source, (start, slot) in enumerate(zip(self.starts, self.slots, strict=True)):
            walks = [
                f"+{step}*i{number}"
                for number, (axis, step) in enumerate(zip(self.axes, self.steps, strict=True))
                if axis == source
            ]
            entries.append((f"${slot}" if slot is not None else f"{start}") + "".join(walks))
        return f"view [{', '.join(entries)}]"


@dataclass(frozen=True)
class Reshape:
    """The same elements in row-major order under another shape."""

    shape: Shape

    def __str__(self) -> str:
        return f"reshape {list(self.shape)}"


@dataclass(frozen=True)
class Place:
    """Zeros of the given shape, the input added at the places that `view` reads; where these overlap, it adds up."""

    shape: Shape
    view: View

    def __str__(self) -> str:
        return f"place {self.view}"


@dataclass(frozen=True)
class Gather:
    """Rows of a table (input 0) by integer ids (input 1), along the table's first axis."""

    def __str__(self) -> str:
        return "gather"


@dataclass(frozen=True)
class Scatter:
    """Zeros with `rows` rows; rows (input 1) are added at integer ids (input 0), repeated ids add up."""

    rows: int

    def __str__(self) -> str:
        return f"scatter {self.rows}"


@dataclass(frozen=True)
class Scan:
    """Running sums along an axis: each element is the sum of those up to itself; `reverse` begins at the end."""

    axis: int
    reverse: bool = False

    def __str__(self) -> str:
        return f"scan sum axis {self.axis}{' from the end' if self.reverse else ''}"


@dataclass(frozen=True)
class Concat:
    """The inputs one after the other along an axis; with `new_axis` each first gets that axis with size 1."""

    axis: int
    new_axis: bool = False

    def __str__(self) -> str:
        return f"{'stack' if self.new_axis else 'concat'} axis {self.axis}"


@dataclass(frozen=True)
class Random:
    """Fresh numbers on each run: a function of the machine's seed, the stream and the number of the run, nothing else.

    distribution: uniform (low, high), gaussian (mean, stdev), binomial (trials, probability), mask (probability of 0,
    value elsewhere).
    """

    distribution: str
    parameters: tuple[float, float]
    stream: int

    def __str__(self) -> str:
        return f"random {self.distribution}{self.parameters}"


@dataclass(frozen=True)
class Call:
    """The numpy evaluation of an op that states no loop."""

    name: str
    function: Callable[..., Any] = field(repr=False)

    def __str__(self) -> str:
        return f"call {self.name}"


Loop = (
    Map
    | Reduce
    | Rows
    | Contract
    | Convolve
    | View
    | Reshape
    | Place
    | Gather
    | Scatter
    | Scan
    | Concat
    | Random
    | Call
)
