"""Let products read and write transposes themselves.

The labels of a product say which axis goes with which, so a transposed factor or a transposed result is another product
of the same values. Written so, x @ w.T is the same product whoever wrote it, and the passes that look for products of
one kind find them.
"""

from __future__ import annotations

from graphflow.loops import Contract, View
from graphflow.passes.contractions import Labels, in_order, transposed_axes
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild, uses_of


def absorb_transposes(plan: Plan) -> Plan:
    """Read factors where they lie, and compute the transpose of a product in its place where nobody else reads that."""
    if not any(isinstance(value.loop, View) and transposed_axes(plan.values, value) for value in plan.values):
        return plan
    uses = uses_of(plan)

    def visit(editor: PlanEditor, value: Value, number: int) -> int:
        if isinstance(value.loop, Contract):
            return editor.add(_of_sources(editor, value.loop, value))
        if isinstance(value.loop, View) and uses[plan.values[number].inputs[0]] == 1:
            return editor.add(_turned_product(editor, value))
        return editor.add(value)

    return rebuild(plan, visit)


def _of_sources(editor: PlanEditor, loop: Contract, product: Value) -> Value:
    """A product with each factor read where it lies."""
    numbers, labels = list(product.inputs), [loop.left, loop.right]
    for side in (0, 1):
        while axes := transposed_axes(editor.values, editor.values[numbers[side]]):
            labels[side] = tuple(labels[side][axes.index(axis)] for axis in range(len(axes)))
            numbers[side] = editor.values[numbers[side]].inputs[0]
    if numbers == list(product.inputs):
        return product
    return product._replace(op=None, loop=Contract(labels[0], labels[1], loop.out), inputs=tuple(numbers))


def _turned_product(editor: PlanEditor, value: Value) -> Value:
    """The transpose of a product as a product; any other view as it is."""
    product, axes = editor.values[value.inputs[0]], transposed_axes(editor.values, value)
    if not isinstance(product.loop, Contract) or axes is None:
        return value
    out: Labels = tuple(product.loop.out[axis] for axis in axes)
    found = in_order(product.loop.left, product.loop.right, out)
    if found is None or not _keeps_groups(product.loop, out):
        return value
    loop, is_turned = found
    return value._replace(op=None, loop=loop, inputs=product.inputs[::-1] if is_turned else product.inputs)


def _keeps_groups(loop: Contract, out: Labels) -> bool:
    """Whether the axes of each factor keep their order: what is one axis of a matrix would fall apart otherwise."""
    groups = [set(loop.left) - set(loop.right), set(loop.right) - set(loop.left)]
    before, after = ([[label for label in labels if label in group] for group in groups] for labels in (loop.out, out))
    return before == after
