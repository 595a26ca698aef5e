"""Kernels for running sums along an axis: one total for each row, or for a vector of neighbouring rows."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.backends.llvm.nest import Body, Nest, Strided
from graphflow.backends.llvm.writer import Value, Writer
from graphflow.loops import Scan
from graphflow.tape.program import Operand


def write_scan(writer: Writer, loop: Scan, inputs: Sequence[Operand], output: Operand) -> bool:
    """out[i] = x[0] + ... + x[i] along the axis, each sum made from the one before it."""
    size, axis = output.type.shape[loop.axis], loop.axis
    steps, operands = [], []
    for number, operand in enumerate((inputs[0], output)):
        strides = operand.place.strides
        steps.append(strides[axis])
        operands.append(Strided(number, operand.type.dtype, (*strides[:axis], *strides[axis + 1 :])))
    nest = Nest(writer, (*output.type.shape[:axis], *output.type.shape[axis + 1 :]), operands)

    def row(round_: Body) -> None:
        def inside(index: Value, carried: tuple[Value, ...]) -> list[Value]:
            place = writer.sub(writer.constant(size - 1, index), index) if loop.reverse else index
            here = round_._replace(
                pointers=[
                    writer.offset(pointer, writer.mul(place, writer.constant(step, place)), operand.element)
                    for pointer, step, operand in zip(round_.pointers, steps, operands, strict=True)
                ]
            )
            total = writer.add(carried[0], here.load(0))
            here.store(1, total)
            return [total]

        # -0.0 changes nothing: -0.0 + 0.0 is 0.0, and -0.0 + -0.0 stays what it is.
        nothing = -0.0 if output.type.dtype.kind == "f" else 0
        writer.loop(size, 1, inside, [writer.constant(nothing, Value("", operands[1].element, round_.lanes))])

    nest.walk(row)
    return True
