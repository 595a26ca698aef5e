"""Scalar programs in LLVM IR: each primitive as instructions on whole vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphflow.backends.llvm.mathematics import FUNCTIONS
from graphflow.backends.llvm.writer import ELEMENTS, Value, Writer
from graphflow.scalars import ScalarProgram, ScalarStep

ARITHMETIC: dict[str, Callable[[Writer, Value, Value], Value]] = {
    "add": Writer.add,
    "sub": Writer.sub,
    "mul": Writer.mul,
    "div": Writer.div,
}
# Ordered comparisons are false for NaN, as in numpy; only "not equal" is true.
PREDICATES = {
    "lt": ("olt", "slt"), "le": ("ole", "sle"), "gt": ("ogt", "sgt"), "ge": ("oge", "sge"),
    "eq": ("oeq", "eq"), "ne": ("une", "ne"),
}  # fmt: skip
FLOAT_ONLY = frozenset({"div", "exp", "log", "log1p", "expm1", "sqrt", "tanh", "sigmoid", "isfinite"})
KNOWN = frozenset({*ARITHMETIC, *PREDICATES, *FUNCTIONS, "neg", "abs", "sign", "not", "and", "or", "where", "cast"}) | {
    "constant", "maximum", "minimum", "isfinite",
}  # fmt: skip


def can_write(program: ScalarProgram, extra: frozenset[str] = frozenset()) -> bool:
    """Whether every step of a program has instructions here."""
    return all(_is_known(step, program, extra) for step in program.steps)


def _is_known(step: ScalarStep, program: ScalarProgram, extra: frozenset[str]) -> bool:
    if step.primitive not in KNOWN and step.primitive not in extra:
        return False
    sources = [_dtype_kind(operand, program) for operand in step.operands]
    if step.primitive in FLOAT_ONLY or step.primitive in ("abs", "sign"):
        return step.dtype.kind in "fb" and sources[0] == "f"
    # A float that does not fit an integer becomes what the hardware gives, which LLVM leaves open.
    return not (step.primitive == "cast" and sources[0] == "f" and step.dtype.kind == "i")


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
    if name in FUNCTIONS:
        return FUNCTIONS[name](writer, operands[0])
    return _OTHERS[name](writer, step, operands)


def _extreme(writer: Writer, step: ScalarStep, operands: Sequence[Value]) -> Value:
    """The larger or smaller of two; NaN where either is NaN."""
    x, y = operands
    word = "gt" if step.primitive == "maximum" else "lt"
    if not x.is_float:
        return writer.select(writer.compare("s" + word, x, y), x, y)
    takes_first = writer.binary("or", writer.compare("o" + word, x, y), writer.compare("uno", x, x))
    return writer.select(takes_first, x, y)


def _cast(writer: Writer, step: ScalarStep, operands: Sequence[Value]) -> Value:
    x, wanted = operands[0], ELEMENTS[step.dtype]
    if x.element == wanted:
        return x
    if wanted == "i1":
        return writer.compare("une" if x.is_float else "ne", x, writer.constant(0, x))
    if x.element == "i1":
        return writer.convert("zext" if wanted == "i64" else "uitofp", x, wanted)
    if x.is_float:
        return writer.convert("fpext" if wanted == "double" else "fptrunc", x, wanted)
    return writer.convert("sitofp", x, wanted)


def _is_finite(writer: Writer, _: ScalarStep, operands: Sequence[Value]) -> Value:
    size = writer.intrinsic("fabs", operands[0])
    return writer.compare("olt", size, writer.constant(float("inf"), size))


_OTHERS: dict[str, Callable[[Writer, ScalarStep, Sequence[Value]], Value]] = {
    "neg": lambda writer, _, operands: writer.neg(operands[0]),
    "not": lambda writer, _, operands: writer.binary("xor", operands[0], writer.constant(1, operands[0])),
    "and": lambda writer, _, operands: writer.binary("and", operands[0], operands[1]),
    "or": lambda writer, _, operands: writer.binary("or", operands[0], operands[1]),
    "where": lambda writer, _, operands: writer.select(operands[0], operands[1], operands[2]),
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
