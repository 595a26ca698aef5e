"""Scalar programs in LLVM IR: each primitive as instructions on whole vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from graphflow.backends.llvm.circular import arctan2, cos, sin
from graphflow.backends.llvm.error_function import erf
from graphflow.backends.llvm.mathematics import FUNCTIONS as ELEMENTARY
from graphflow.backends.llvm.powers import power
from graphflow.backends.llvm.rounding import ceil, floor, round_
from graphflow.backends.llvm.writer import ELEMENTS, Value, Writer
from graphflow.scalars import ScalarProgram, ScalarStep

# Of floats, by the names of graphflow.scalars.
FUNCTIONS: dict[str, Callable[[Writer, Value], Value]] = {
    **ELEMENTARY, "ceil": ceil, "cos": cos, "erf": erf, "floor": floor, "round": round_, "sin": sin,
}  # fmt: skip
ARITHMETIC: dict[str, Callable[[Writer, Value, Value], Value]] = {
    # numpy adds truth values by "or" and multiplies them by "and".
    "add": lambda writer, x, y: writer.binary("or", x, y) if x.element == "i1" else writer.add(x, y),
    "sub": Writer.sub,
    "mul": lambda writer, x, y: writer.binary("and", x, y) if x.element == "i1" else writer.mul(x, y),
    "div": Writer.div,
    "pow": power,
    "arctan2": arctan2,
}
# Ordered comparisons are false for NaN, as in numpy; only "not equal" is true.
PREDICATES = {
    "lt": ("olt", "slt"), "le": ("ole", "sle"), "gt": ("ogt", "sgt"), "ge": ("oge", "sge"),
    "eq": ("oeq", "eq"), "ne": ("une", "ne"),
}  # fmt: skip
FLOAT_ONLY = frozenset({"div", "pow", "arctan2", *FUNCTIONS}) - {"abs", "sign"}
NUMBERS_ONLY = frozenset({"sub", "neg", "abs", "sign"})
KNOWN = frozenset({*ARITHMETIC, *PREDICATES, *FUNCTIONS, "neg", "not", "and", "or", "where", "cast"}) | {
    "constant", "maximum", "minimum", "isfinite",
}  # fmt: skip
# More than a handful of instructions, or one that takes long.
COSTLY = FLOAT_ONLY - {"ceil", "floor", "round"}


def can_write(program: ScalarProgram, extra: frozenset[str] = frozenset()) -> bool:
    """Whether every step of a program has instructions here."""
    return all(_is_known(step, program, extra) for step in program.steps)


def is_costly(program: ScalarProgram) -> bool:
    """Whether a step takes much longer than an addition."""
    return any(step.primitive in COSTLY for step in program.steps)


def widest_of(program: ScalarProgram) -> int:
    """Bytes of the widest element that a program computes with."""
    return max([step.dtype.itemsize for step in program.steps], default=1)


def _is_known(step: ScalarStep, program: ScalarProgram, extra: frozenset[str]) -> bool:
    if step.primitive in extra:
        return True
    if step.primitive not in KNOWN:
        return False
    # numpy refuses the others, or gives another dtype.
    sources = {_dtype_kind(operand, program) for operand in step.operands}
    if step.primitive in FLOAT_ONLY:
        return sources == {"f"}
    return step.primitive not in NUMBERS_ONLY or "b" not in sources


def _dtype_kind(operand: int, program: ScalarProgram) -> str:
    inputs = len(program.inputs)
    return (program.inputs[operand] if operand < inputs else program.steps[operand - inputs].dtype).kind


def write_step(writer: Writer, step: ScalarStep, operands: Sequence[Value], like: Value) -> Value:
    """The instructions of one step; `like` gives the lanes of a constant."""
    name = step.primitive
    if name == "constant":
        assert step.constant is not None  # noqa: S101 - for the type checker: constants carry their value
        return writer.constant(step.constant, Value("", ELEMENTS[step.dtype], like.lanes))
    if name in ARITHMETIC:
        return ARITHMETIC[name](writer, operands[0], operands[1])
    if name in PREDICATES:
        of_floats, of_integers = PREDICATES[name]
        is_bool = operands[0].element == "i1"
        predicate = of_floats if operands[0].is_float else of_integers.replace("s", "u") if is_bool else of_integers
        return writer.compare(predicate, operands[0], operands[1])
    if name in FUNCTIONS and operands[0].is_float:
        return FUNCTIONS[name](writer, operands[0])
    return _OTHERS[name](writer, step, operands)


def truth(writer: Writer, x: Value) -> Value:
    """Whether x is not 0; NaN is not."""
    return x if x.element == "i1" else writer.compare("une" if x.is_float else "ne", x, writer.constant(0, x))


def extreme(writer: Writer, word: str, x: Value, y: Value) -> Value:
    """The larger (gt) or smaller (lt) of two numbers; NaN where either is NaN."""
    if not x.is_float:
        return writer.select(writer.compare("s" + word, x, y), x, y)
    # The machine's own instruction, which takes y where one of them is NaN, and a look at x.
    found = writer.select(writer.compare("o" + word, x, y), x, y)
    return writer.select(writer.compare("uno", x, x), x, found)


def _extreme(writer: Writer, step: ScalarStep, operands: Sequence[Value]) -> Value:
    """The larger or smaller of two; NaN where either is NaN."""
    x, y = operands
    is_maximum = step.primitive == "maximum"
    if x.element == "i1":
        return writer.binary("or" if is_maximum else "and", x, y)
    return extreme(writer, "gt" if is_maximum else "lt", x, y)


def _cast(writer: Writer, step: ScalarStep, operands: Sequence[Value]) -> Value:
    x, wanted = operands[0], ELEMENTS[step.dtype]
    if x.element == wanted:
        return x
    if wanted == "i1":
        return truth(writer, x)
    if x.element == "i1":
        return writer.convert("zext" if wanted == "i64" else "uitofp", x, wanted)
    if not x.is_float:
        return writer.convert("sitofp", x, wanted)
    if wanted == "i64":
        return _whole(writer, x)
    return writer.convert("fpext" if wanted == "double" else "fptrunc", x, wanted)


def _whole(writer: Writer, x: Value) -> Value:
    """The float without its fraction; one that does not fit becomes what numpy makes of it on this machine."""
    limit = writer.constant(2.0**63, x)
    is_above, is_below = writer.compare("oge", x, limit), writer.compare("olt", x, writer.neg(limit))
    is_stray = writer.binary("or", writer.binary("or", is_above, is_below), writer.compare("uno", x, x))
    found = writer.convert("fptosi", writer.select(is_stray, writer.constant(0, x), x), "i64")
    for condition, stray in zip((is_above, is_below, writer.compare("uno", x, x)), _strays(x.element), strict=True):
        found = writer.select(condition, writer.constant(stray, found), found)
    return found


@lru_cache(maxsize=2)
def _strays(element: str) -> tuple[int, ...]:
    """What numpy makes of floats above all integers, below them, and of NaN."""
    strays = np.array([np.inf, -np.inf, np.nan], np.float32 if element == "float" else np.float64)
    with np.errstate(invalid="ignore"):
        return tuple(int(each) for each in strays.astype(np.int64))


def _absolute(writer: Writer, _: ScalarStep, operands: Sequence[Value]) -> Value:
    x = operands[0]
    return writer.select(writer.compare("slt", x, writer.constant(0, x)), writer.neg(x), x)


def _sign(writer: Writer, _: ScalarStep, operands: Sequence[Value]) -> Value:
    x = operands[0]
    zero, one = writer.constant(0, x), writer.constant(1, x)
    below = writer.select(writer.compare("slt", x, zero), writer.neg(one), zero)
    return writer.select(writer.compare("sgt", x, zero), one, below)


def _is_finite(writer: Writer, _: ScalarStep, operands: Sequence[Value]) -> Value:
    x = operands[0]
    if not x.is_float:
        return writer.constant(1, x._replace(element="i1"))
    size = writer.intrinsic("fabs", x)
    return writer.compare("olt", size, writer.constant(float("inf"), size))


def _logical(operation: str) -> Callable[[Writer, ScalarStep, Sequence[Value]], Value]:
    return lambda writer, _, operands: writer.binary(operation, *[truth(writer, each) for each in operands])


def _not(writer: Writer, _: ScalarStep, operands: Sequence[Value]) -> Value:
    found = truth(writer, operands[0])
    return writer.binary("xor", found, writer.constant(1, found))


_OTHERS: dict[str, Callable[[Writer, ScalarStep, Sequence[Value]], Value]] = {
    "neg": lambda writer, _, operands: writer.neg(operands[0]),
    "abs": _absolute,
    "sign": _sign,
    "not": _not,
    "and": _logical("and"),
    "or": _logical("or"),
    "where": lambda writer, _, operands: writer.select(truth(writer, operands[0]), operands[1], operands[2]),
    "maximum": _extreme,
    "minimum": _extreme,
    "cast": _cast,
    "isfinite": _is_finite,
}


def write_program(writer: Writer, program: ScalarProgram, inputs: Sequence[Value]) -> Value:
    """The instructions of a whole program."""
    values = list(inputs)
    like = inputs[0] if inputs else Value("", "i64")
    for step in program.steps:
        values.append(write_step(writer, step, [values[operand] for operand in step.operands], like))
    return values[-1] if program.steps else values[0]
