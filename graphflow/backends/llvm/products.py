"""Kernels for sums of products: which one fits the strides, and the outer axes round it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from graphflow.backends.llvm.convolutions import window_form, write_window_product
from graphflow.backends.llvm.folding import write_sum_of_products
from graphflow.backends.llvm.matrix_products import WHOLE, divided, write_matrix_product
from graphflow.backends.llvm.product_form import Form, at, product_of
from graphflow.backends.llvm.vector_products import Term, write_vector_products
from graphflow.backends.llvm.writer import Value, Writer
from graphflow.loops import Contract, Convolve
from graphflow.tape.program import Operand
from graphflow.tensortype import TensorType


def write_contract(writer: Writer, loop: Contract, inputs: Sequence[Operand], output: Operand) -> bool:
    """Write the kernel that fits the strides and the dtype; False where none does."""
    forms: list[Form] = []
    for first in range(0, len(inputs), 2):
        form = product_of(loop, inputs[first : first + 2], output)
        if form is None:
            return len(inputs) == 2 and write_sum_of_products(writer, loop, inputs, output)
        forms.append(form)
    if len(forms) > 1:
        return _write_several(writer, forms)
    (form,) = forms
    product = form.product
    division = divided(writer, product, prod(axis.size for axis in form.outer)) if product.rows > 1 else WHOLE

    def along(axis: int, places: list[Value]) -> None:
        if axis == len(form.outer):
            if product.rows == 1:
                write_vector_products(writer, [Term(product, *places[:2])], places[2])
            else:
                write_matrix_product(writer, product, division, *places)
            return

        def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            moved = zip(places, form.outer[axis].strides, strict=True)
            along(axis + 1, [at(writer, place, index, stride, product.element) for place, stride in moved])
            return ()

        writer.loop(form.outer[axis].size, 1, inside)

    along(0, [writer.operand(number) for number in form.order])
    return True


def write_convolve(writer: Writer, loop: Convolve, inputs: Sequence[Operand], output: Operand) -> bool:
    """The product of windows, read where they lie, and the right input."""
    source, other = inputs
    place = source.place._replace(strides=loop.view.strides(source.place.strides))
    windows = Operand(TensorType(source.type.dtype, loop.view.shape), place)
    form = window_form(loop.product, windows, other, output)
    if form is not None:
        write_window_product(writer, form)
        return True
    return write_contract(writer, loop.product, [windows, other], output)


def _write_several(writer: Writer, forms: Sequence[Form]) -> bool:
    """The sum of several products of one row each; False where one of them has more."""
    if any(form.product.rows > 1 or form.outer for form in forms):
        return False
    terms = []
    for number, form in enumerate(forms):
        left, right, _ = form.order
        terms.append(Term(form.product, writer.operand(2 * number + left), writer.operand(2 * number + right)))
    write_vector_products(writer, terms, writer.operand(2 * len(forms)))
    return True
