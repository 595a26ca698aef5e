"""Scalar programs: what a loop does with one element, in straight-line form.

A program is traced from an ordinary Python function, so that an op writes `lambda x, y: x * y` and a backend reads
a tuple of steps. The primitives below are all that a backend must know of elementwise mathematics.

Inside a loop over rows (`loops.Rows`) four more exist: `row_max`, `row_sum`, `pick` (the element of the row at an
integer position) and `column` (the position within the row).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from graphflow.dtypes import DType, bool_, int64

UNARY = (
    "neg", "exp", "log", "log1p", "log2", "expm1", "sqrt", "tanh", "sigmoid", "sin", "cos", "erf", "abs", "sign",
    "floor", "ceil", "round", "not", "isfinite",
)  # fmt: skip
BINARY = (
    "add", "sub", "mul", "div", "pow", "arctan2", "maximum", "minimum", "lt", "le", "gt", "ge", "eq", "ne", "and", "or",
)  # fmt: skip
OTHER = ("where", "cast", "constant", "row_max", "row_sum", "pick", "column")

_TO_BOOL = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "isfinite"})
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"} | {
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=", "and": "&", "or": "|"
}  # fmt: skip


class ScalarStep(NamedTuple):
    """One primitive. Operands count the inputs first, then the steps before this one."""

    primitive: str
    operands: tuple[int, ...]
    dtype: DType
    constant: float | int | bool | None = None


@dataclass(frozen=True)
class ScalarProgram:
    """Straight-line code over scalars; the last step is the result, or the first input where there is no step."""

    inputs: tuple[DType, ...]
    steps: tuple[ScalarStep, ...]

    @property
    def dtype(self) -> DType:
        return self.steps[-1].dtype if self.steps else self.inputs[0]

    def __str__(self) -> str:
        """One expression; a step that is used more than once gets a letter of its own."""
        uses = [0] * (len(self.inputs) + len(self.steps))
        for step in self.steps:
            for operand in step.operands:
                uses[operand] += 1
        texts = [f"x{i}" if len(self.inputs) > 1 else "x" for i in range(len(self.inputs))]
        lines: list[str] = []
        for index, step in enumerate(self.steps, start=len(self.inputs)):
            text = _text(step, [texts[operand] for operand in step.operands])
            if uses[index] > 1 and step.primitive != "constant":
                lines.append(f"t{len(lines)} = {text.removeprefix('(').removesuffix(')') if text[0] == '(' else text}")
                text = f"t{len(lines) - 1}"
            texts.append(text)
        result = texts[-1] if self.steps else texts[0]
        return "; ".join([*lines, result])


@dataclass(frozen=True)
class ScalarUpdate:
    """Straight-line code whose results replace some of its inputs.

    Attributes:
        program: all the steps; which of them is the last means nothing here.
        results: for each input that is replaced its number and that of the step, counted as operands are.
    """

    program: ScalarProgram
    results: tuple[tuple[int, int], ...]


def _text(step: ScalarStep, operands: list[str]) -> str:
    if step.primitive == "constant":
        return f"{step.constant:g}"
    if step.primitive in _INFIX:
        return f"({operands[0]} {_INFIX[step.primitive]} {operands[1]})"
    if step.primitive == "cast":
        return f"{step.dtype}({operands[0]})"
    return f"{step.primitive}({', '.join(operands)})"


class _Tracer:
    def __init__(self, inputs: Sequence[DType]) -> None:
        self.inputs = tuple(inputs)
        self.steps: list[ScalarStep] = []

    def add(self, primitive: str, *operands: Scalar, dtype: DType, constant: float | None = None) -> Scalar:
        self.steps.append(ScalarStep(primitive, tuple(operand.index for operand in operands), dtype, constant))
        return Scalar(self, len(self.inputs) + len(self.steps) - 1, dtype)


class Scalar:
    """A scalar while a program is traced. Arithmetic on it records steps; plain numbers become constants."""

    __hash__ = None  # type: ignore[assignment]  # == records a comparison, so identity by hash would mislead
    __slots__ = ("dtype", "index", "tracer")

    def __init__(self, tracer: _Tracer, index: int, dtype: DType) -> None:
        self.tracer = tracer
        self.index = index
        self.dtype = dtype

    def _other(self, other: Scalar | float) -> Scalar:
        if isinstance(other, Scalar):
            return other
        return self.tracer.add("constant", dtype=self.dtype, constant=other)

    def _unary(self, primitive: str) -> Scalar:
        return self.tracer.add(primitive, self, dtype=bool_ if primitive in _TO_BOOL else self.dtype)

    def _binary(self, primitive: str, other: Scalar | float) -> Scalar:
        dtype = bool_ if primitive in _TO_BOOL else self.dtype
        return self.tracer.add(primitive, self, self._other(other), dtype=dtype)

    def __add__(self, other: Scalar | float) -> Scalar:
        return self._binary("add", other)

    def __radd__(self, other: float) -> Scalar:
        return self._other(other) + self

    def __sub__(self, other: Scalar | float) -> Scalar:
        return self._binary("sub", other)

    def __rsub__(self, other: float) -> Scalar:
        return self._other(other) - self

    def __mul__(self, other: Scalar | float) -> Scalar:
        return self._binary("mul", other)

    def __rmul__(self, other: float) -> Scalar:
        return self._other(other) * self

    def __truediv__(self, other: Scalar | float) -> Scalar:
        return self._binary("div", other)

    def __rtruediv__(self, other: float) -> Scalar:
        return self._other(other) / self

    def __pow__(self, other: Scalar | float) -> Scalar:
        return self._binary("pow", other)

    def __neg__(self) -> Scalar:
        return self._unary("neg")

    def __lt__(self, other: Scalar | float) -> Scalar:
        return self._binary("lt", other)

    def __le__(self, other: Scalar | float) -> Scalar:
        return self._binary("le", other)

    def __gt__(self, other: Scalar | float) -> Scalar:
        return self._binary("gt", other)

    def __ge__(self, other: Scalar | float) -> Scalar:
        return self._binary("ge", other)

    def __eq__(self, other: Scalar | float) -> Scalar:  # type: ignore[override]  # records a comparison
        return self._binary("eq", other)

    def __ne__(self, other: Scalar | float) -> Scalar:  # type: ignore[override]  # records a comparison
        return self._binary("ne", other)

    def __and__(self, other: Scalar) -> Scalar:
        return self._binary("and", other)

    def __or__(self, other: Scalar) -> Scalar:
        return self._binary("or", other)

    def __invert__(self) -> Scalar:
        return self._unary("not")

    def __abs__(self) -> Scalar:
        return self._unary("abs")

    def exp(self) -> Scalar:
        return self._unary("exp")

    def log(self) -> Scalar:
        return self._unary("log")

    def log1p(self) -> Scalar:
        return self._unary("log1p")

    def log2(self) -> Scalar:
        return self._unary("log2")

    def expm1(self) -> Scalar:
        return self._unary("expm1")

    def sqrt(self) -> Scalar:
        return self._unary("sqrt")

    def tanh(self) -> Scalar:
        return self._unary("tanh")

    def sigmoid(self) -> Scalar:
        return self._unary("sigmoid")

    def sin(self) -> Scalar:
        return self._unary("sin")

    def cos(self) -> Scalar:
        return self._unary("cos")

    def erf(self) -> Scalar:
        return self._unary("erf")

    def floor(self) -> Scalar:
        return self._unary("floor")

    def ceil(self) -> Scalar:
        return self._unary("ceil")

    def round(self) -> Scalar:
        """To the nearest whole number; of two the even one."""
        return self._unary("round")

    def sign(self) -> Scalar:
        return self._unary("sign")

    def isfinite(self) -> Scalar:
        return self._unary("isfinite")

    def maximum(self, other: Scalar | float) -> Scalar:
        return self._binary("maximum", other)

    def minimum(self, other: Scalar | float) -> Scalar:
        return self._binary("minimum", other)

    def arctan2(self, x: Scalar | float) -> Scalar:
        """The angle of the point (x, this)."""
        return self._binary("arctan2", x)

    def cast(self, dtype: DType) -> Scalar:
        return self if dtype == self.dtype else self.tracer.add("cast", self, dtype=dtype)

    def where(self, chosen: Scalar, otherwise: Scalar | float) -> Scalar:
        """`chosen` where this condition holds, `otherwise` elsewhere."""
        return self.tracer.add("where", self, chosen, chosen._other(otherwise), dtype=chosen.dtype)

    def row_max(self) -> Scalar:
        return self._unary("row_max")

    def row_sum(self) -> Scalar:
        return self._unary("row_sum")

    def pick(self, position: Scalar) -> Scalar:
        """The row's element at an integer position."""
        return self.tracer.add("pick", self, position, dtype=self.dtype)

    def column(self) -> Scalar:
        """The position of this element within its row, int64."""
        return self.tracer.add("column", self, dtype=int64)


def trace(function: Callable[..., Scalar], inputs: Sequence[DType]) -> ScalarProgram:
    """Record what a function does with scalars of the given dtypes.

    Example:
        >>> from graphflow.dtypes import float32
        >>> print(trace(lambda x, y: x / (1.0 + y.exp()), [float32, float32]))
        (x0 / (1 + exp(x1)))
    """
    tracer = _Tracer(inputs)
    result = function(*(Scalar(tracer, index, dtype) for index, dtype in enumerate(tracer.inputs)))
    last = len(tracer.inputs) + len(tracer.steps) - 1
    if result.index != last and not (result.index == 0 and not tracer.steps):
        # The result is always the last step: repeat a value that was computed earlier, or hand a later input through.
        result = tracer.add("cast", result, dtype=result.dtype)
    return ScalarProgram(tracer.inputs, tuple(tracer.steps))


def trace_update(function: Callable[..., Mapping[int, Scalar]], inputs: Sequence[DType]) -> ScalarUpdate:
    """Record what a function replaces scalars of the given dtypes by: {number of the input: new value}.

    Example:
        >>> from graphflow.dtypes import float32
        >>> update = trace_update(lambda w, g, rate: {0: w - g * rate}, [float32] * 3)
        >>> print(update.program, update.results)
        (x0 - (x1 * x2)) ((0, 4),)
    """
    tracer = _Tracer(inputs)
    results = function(*(Scalar(tracer, index, dtype) for index, dtype in enumerate(tracer.inputs)))
    numbers = []
    for place, result in results.items():
        # An input that takes another's place is read before anything is written: it becomes a step.
        is_step = result.index >= len(tracer.inputs)
        numbers.append((place, (result if is_step else tracer.add("cast", result, dtype=result.dtype)).index))
    return ScalarUpdate(ScalarProgram(tracer.inputs, tuple(tracer.steps)), tuple(numbers))
