"""Products of labelled axes: their types, the order of their factors, transposes. Used by passes that rewrite them."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.loops import Contract, Reshape, View
from graphflow.passes.plan import PlanEditor, Value
from graphflow.tensortype import TensorType

Labels = tuple[int, ...]


def in_order(left: Labels, right: Labels, out: Labels) -> tuple[Contract, bool] | None:
    """The product with the factor first that the first axes of the result belong to, and whether they changed sides.

    None where the axes of the result are mixed: no single product of matrices writes those.
    """
    for first, second, is_turned in ((left, right, False), (right, left, True)):
        shared = tuple(label for label in out if label in first and label in second)
        rows = tuple(label for label in out if label not in second)
        columns = tuple(label for label in out if label not in first)
        if out == shared + rows + columns:
            return Contract(first, second, out), is_turned
    return None


def renamed(*labels: Labels) -> tuple[Labels, ...]:
    """Labels by the order in which they first appear: equal products get equal labels."""
    names: dict[int, int] = {}
    return tuple(tuple(names.setdefault(label, len(names)) for label in each) for each in labels)


def add_product(editor: PlanEditor, value: Value, inputs: tuple[int, int], loop: Contract) -> int:
    """A product in place of the given value; its type follows from those of its factors."""
    sizes: dict[int, int] = {}
    for number, labels in zip(inputs, (loop.left, loop.right), strict=True):
        for label, size in zip(labels, editor.values[number].type.shape, strict=True):
            # A size of 1 broadcasts.
            if sizes.get(label, 1) == 1:
                sizes[label] = size
    output = TensorType(value.type.dtype, tuple(sizes[label] for label in loop.out))
    found, is_turned = in_order(loop.left, loop.right, loop.out) or (loop, False)
    return editor.add(Value(value.node, None, inputs[::-1] if is_turned else inputs, output, None, found))


def transposed_axes(values: Sequence[Value], value: Value) -> tuple[int, ...] | None:
    """For a value that is all of another with its axes in another order: which axis of that each is."""
    if not isinstance(value.loop, View):
        return None
    source = values[value.inputs[0]].type.shape
    axes = tuple(axis for axis in value.loop.axes if axis is not None)
    if len(axes) != len(value.loop.axes) or sorted(axes) != list(range(len(source))):
        return None
    is_whole = value.loop == View.rearranged(tuple(source[axis] for axis in axes), axes, len(source))
    return axes if is_whole else None


def add_transpose(editor: PlanEditor, value: Value, number: int, labels: Labels, wanted: Labels) -> int:
    """A value whose axes have some labels, with its axes in the wanted order and its elements in that order."""
    if labels == wanted:
        return number
    found = editor.values[number].type
    axes = tuple(labels.index(label) for label in wanted)
    output = TensorType(found.dtype, tuple(found.shape[axis] for axis in axes))
    view = View.rearranged(output.shape, axes, found.dims)
    turned = editor.add(Value(value.node, None, (number,), output, None, view))
    return editor.add(Value(value.node, None, (turned,), output, None, Reshape(output.shape)))
