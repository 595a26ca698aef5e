"""A small machine for the tests of ops: it evaluates them by numpy, or reads their loop forms from scratch."""

from __future__ import annotations

import dataclasses

import numpy as np

import graphflow as gf
from graphflow import loops
from graphflow.graph import ancestors


def run(*outputs, feeds=None, lowered=False):
    """The values of nodes; `feeds` maps input nodes to arrays, inputs left out have what is bound to them.

    Each value must have exactly the dtype and shape that the graph promised.
    """
    fed = {node.id: np.asarray(value) for node, value in (feeds or {}).items()}
    values = {}
    for node in ancestors(outputs):
        if node.op is None:
            value = fed.get(node.id, node.storage)
        else:
            arrays = [values[operand.id] for operand in node.inputs]
            op = at_current_positions(node)
            loop = op.lower(*[operand.type for operand in node.inputs])
            is_mine = lowered and type(loop) in LOOPS
            value = LOOPS[type(loop)](loop, arrays, node.graph.positions.cells) if is_mine else op.evaluate(*arrays)
            value = np.asarray(value)
        assert value.shape == node.shape, node
        assert value.dtype == node.dtype, node
        values[node.id] = value
    results = tuple(values[node.id] for node in outputs)
    return results[0] if len(outputs) == 1 else results


def at_current_positions(node):
    """The node's op with the positions that are in the table now."""
    if node.op.slot is None:
        return node.op
    cells = node.graph.positions.read(node.op.slot, len(node.op.starts))
    return dataclasses.replace(node.op, starts=cells)


def run_view(loop, arrays, cells):
    x = arrays[0]
    return np.broadcast_to(x[_places(loop, cells)], loop.shape)


def run_place(loop, arrays, cells):
    result = np.zeros(loop.shape, arrays[0].dtype)
    np.add.at(result, _places(loop.view, cells), arrays[0])
    return result


def _places(view, cells):
    """For each source axis the positions that the view reads, as arrays that broadcast to the view's shape."""
    places = []
    for axis, (start, slot) in enumerate(zip(view.starts, view.slots, strict=True)):
        place = np.full([1] * len(view.shape), start if slot is None else int(cells[slot]))
        for walked, (source, step) in enumerate(zip(view.axes, view.steps, strict=True)):
            if source == axis:
                along = np.arange(view.shape[walked]) * step
                place = place + along.reshape([-1 if k == walked else 1 for k in range(len(view.shape))])
        places.append(place)
    assert all((place >= 0).all() for place in places)
    return tuple(places)


def run_contract(loop, arrays, cells):
    """By the definition: every index of every label, no library product."""
    left, right = arrays
    order = [*loop.out, *dict.fromkeys(label for label in loop.left + loop.right if label not in loop.out)]

    def spread(labels, array):
        """The array with one axis for each label, in `order`."""
        present = sorted(range(len(labels)), key=lambda axis: order.index(labels[axis]))
        shape = [array.shape[labels.index(label)] if label in labels else 1 for label in order]
        return np.transpose(array, present).reshape(shape)

    product = spread(loop.left, left) * spread(loop.right, right)
    summed = tuple(range(len(loop.out), len(order)))
    assert sorted(order[len(loop.out) :]) == sorted(loop.summed)
    return product.sum(summed, dtype=product.dtype)


def run_concat(loop, arrays, cells):
    if loop.new_axis:
        arrays = [np.expand_dims(array, loop.axis) for array in arrays]
    return np.concatenate(arrays, loop.axis)


LOOPS = {
    loops.View: run_view,
    loops.Place: run_place,
    loops.Reshape: lambda loop, arrays, _: arrays[0].reshape(loop.shape),
    loops.Contract: run_contract,
    loops.Concat: run_concat,
}


def check_gradients(function, values, *, order=2):
    """The gradient of sum(function(inputs) ** 2), and that of its own squares, against central differences.

    `function` gets float64 nodes with the given values. The machines of the package have to find the same numbers.
    """
    nodes = inputs_like(*values)
    feeds = dict(zip(nodes, values, strict=True))
    cost = squares(function(*nodes))
    outputs = []
    for _ in range(order):
        gradients = gf.grad(cost, *nodes)
        outputs += [cost, *gradients]
        for lowered in (False, True):
            found = run(cost, *gradients, feeds=feeds, lowered=lowered)[1:]
            for node, gradient in zip(nodes, found, strict=True):
                np.testing.assert_allclose(gradient, _differences(cost, node, feeds), rtol=1e-5, atol=1e-5)
        cost = squares(*gradients)
    check_machines(outputs, feeds)


def check_machines(outputs, feeds):
    """What the two machines of the package compute is what the small one computes."""
    for node, value in feeds.items():
        gf.let(node, value)
    readings = [gf.read(node) for node in outputs]
    expected = run(*outputs, feeds=feeds)
    graph = outputs[0].graph
    with gf.TapeMachine(graph) as tape_machine:
        for machine in (tape_machine, gf.LispMachine(graph)):
            machine.run_all()
            for reading, value in zip(readings, expected, strict=True):
                np.testing.assert_allclose(reading.value, value, rtol=1e-9, atol=1e-9)


def inputs_like(*values):
    """float64 inputs of one new graph with the shapes of the values."""
    g = gf.ExprGraph()
    return tuple(gf.tensor(g, np.shape(value), dtype="float64", name=f"x{place}") for place, value in enumerate(values))


def squares(*nodes):
    result = gf.sum(nodes[0] * nodes[0])
    for node in nodes[1:]:
        result = result + gf.sum(node * node)
    return result


def _differences(cost, node, feeds, step=1e-5):
    value = np.array(feeds[node], float)
    result = np.zeros_like(value)
    for place in np.ndindex(value.shape):
        sides = []
        for sign in (1, -1):
            moved = value.copy()
            moved[place] += sign * step
            sides.append(run(cost, feeds={**feeds, node: moved}))
        result[place] = (sides[0] - sides[1]) / (2 * step)
    return result
