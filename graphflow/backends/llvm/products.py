"""Kernels for sums of products: which one fits the strides, and the outer axes round it."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.backends.llvm.matrix_products import write_matrix_product
from graphflow.backends.llvm.product_form import at, product_of
from graphflow.backends.llvm.vector_products import write_vector_product
from graphflow.backends.llvm.writer import Value, Writer
from graphflow.loops import Contract
from graphflow.tape.program import Operand


def write_contract(writer: Writer, loop: Contract, inputs: Sequence[Operand], output: Operand) -> bool:
    """Write the kernel that fits the strides; False where none does."""
    form = product_of(loop, inputs, output)
    if form is None:
        return False
    product = form.product
    write = write_vector_product if product.rows == 1 else write_matrix_product

    def along(axis: int, places: list[Value]) -> None:
        if axis == len(form.outer):
            write(writer, product, *places)
            return

        def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            moved = zip(places, form.outer[axis].strides, strict=True)
            along(axis + 1, [at(writer, place, index, stride, product.element) for place, stride in moved])
            return ()

        writer.loop(form.outer[axis].size, 1, inside)

    along(0, [writer.operand(number) for number in form.order])
    return True
