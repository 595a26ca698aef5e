"""Concatenation and stacking: against numpy, against differences, and what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.autodiff import grad
from graphflow.construct import matrix, scalar, vector
from graphflow.errors import DTypeError, GraphError, ShapeError
from graphflow.graph import ExprGraph
from graphflow.ops.joining import Concat, Stack, concat, stack
from graphflow.ops.reductions import sum as total
from graphflow.ops.sampling import f32, numbers
from graphflow.ops.slicing import AxisSlice, Slice
from tests.ops.small_machine import check_gradients, inputs_like, run

SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


def agree(build, numpys, values):
    """Run `build(nodes)` both ways and compare with numpy; then the gradients, which cut the weights up again."""
    nodes = inputs_like(*values)
    feeds = dict(zip(nodes, values, strict=True))
    result = build(nodes)
    expected = numpys(values)
    weights = numbers(*expected.shape, seed=9)
    gradients = grad(total(result * weights), *nodes)
    for lowered in (False, True):
        np.testing.assert_array_equal(run(result, feeds=feeds, lowered=lowered), expected)
        found = [run(gradient, feeds=feeds, lowered=lowered) for gradient in gradients]
        np.testing.assert_array_equal(numpys(found), weights)


@given(SHAPES.filter(len), st.lists(st.integers(0, 3), min_size=1, max_size=4), st.data())
def test_concatenations_are_numpys(shape, sizes, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    shapes = [list(shape) for _ in sizes]
    for own, size in zip(shapes, sizes, strict=True):
        own[axis] = size
    values = [numbers(*own, seed=seed) for seed, own in enumerate(shapes)]
    agree(lambda nodes: concat(nodes, axis), lambda arrays: np.concatenate(arrays, axis), values)


@given(SHAPES, st.integers(1, 4), st.data())
def test_stacks_are_numpys(shape, count, data):
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    values = [numbers(*shape, seed=seed) for seed in range(count)]
    agree(lambda nodes: stack(nodes, axis), lambda arrays: np.stack(arrays, axis), values)


@pytest.mark.parametrize("sample", [*Concat.samples(), *Stack.samples()], ids=lambda s: f"{s.op} {len(s.inputs)}")
def test_gradients_and_their_gradients(sample):
    check_gradients(lambda *nodes: nodes[0].graph.apply(sample.op, [node * node for node in nodes]), sample.inputs)


@pytest.mark.parametrize("bad", [*Concat.bad_samples(), *Stack.bad_samples()], ids=str)
def test_bad_samples_are_refused(bad):
    with pytest.raises(bad.error):
        bad.op.infer(*bad.types)


def test_the_gradient_is_a_slice_that_never_moves():
    g = ExprGraph()
    x, y = vector(g, 2), vector(g, 3)
    weights = numbers(5).astype("float32")
    dx, dy = grad(total(concat([x, y]) * weights), x, y)
    assert dx.op == Slice((AxisSlice(0, 2),), (0,))
    assert dy.op == Slice((AxisSlice(0, 3),), (2,))
    assert g.positions.count == 0
    x, y = matrix(g, (2, 3)), matrix(g, (2, 3))
    dx, dy = grad(total(stack([x, y], 1) * numbers(2, 2, 3).astype("float32")), x, y)
    assert dy.op == Slice((AxisSlice(1, 1, 1, dropped=True),), (1,))


def test_a_node_may_stand_twice():
    g = ExprGraph()
    x = vector(g, 2, value=[1.0, 2.0])
    (dx,) = grad(total(concat([x, x]) * np.array([1.0, 10.0, 100.0, 1000.0])), x)
    assert run(dx).tolist() == [101.0, 1010.0]


def test_numbers_and_arrays_become_constants():
    g = ExprGraph()
    x = vector(g, 2, value=[1.0, 2.0])
    joined = concat(([0.5], x, np.array([3.0])))
    assert joined.type == f32(4)
    assert run(joined).tolist() == [0.5, 1.0, 2.0, 3.0]
    rows = stack([x[0], 7, x[1]])
    assert rows.type == f32(3)
    assert run(rows, lowered=True).tolist() == [1.0, 7.0, 2.0]


def test_the_loop_forms():
    assert str(Concat(1).lower(f32(2, 3), f32(2, 4))) == "concat axis 1"
    assert str(Stack(2).lower(f32(2, 3), f32(2, 3))) == "stack axis 2"


def test_the_message_for_sizes_that_do_not_fit():
    g = ExprGraph()
    x, y = matrix(g, (2, 3), name="x"), matrix(g, (2, 4), name="y")
    line = inspect.currentframe().f_lineno + 2
    with pytest.raises(ShapeError) as caught:
        concat([x, y])
    assert str(caught.value) == (
        "concat: cannot join {0} and {1}\n"
        "  got     sizes 3 and 4 along axis 1\n"
        "  needs   the same sizes along all axes but 0\n"
        f"  line    test_joining.py:{line}"
    ).format(x, y)
    assert concat([x, y], 1).shape == (2, 7)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda x: concat([x, scalar(x.graph)]), ShapeError, "got     2 and 0 axes"),
        (lambda x: concat([x, vector(x.graph, 3)]), ShapeError, "got     2 and 1 axes"),
        (lambda x: concat([x, x], 2), ShapeError, "concat: there is no axis 2"),
        (lambda x: concat([x, x], x), ShapeError, "is no whole number"),
        (lambda x: concat([scalar(x.graph), x]), ShapeError, "concat: there is no axis 0"),
        (lambda x: stack([x, x], 3), ShapeError, "stack: there is no axis 3"),
        (lambda x: stack([x, scalar(x.graph)]), ShapeError, "needs   one shape"),
        (lambda x: stack([x, matrix(x.graph, (2, 4))]), ShapeError, "got     shapes (2, 3) and (2, 4)"),
        (lambda x: concat([x, matrix(x.graph, (2, 3), dtype="float64")]), DTypeError, "one dtype"),
        (concat, GraphError, "try     gf.concat([x, y])"),
        (lambda x: concat(x, x), GraphError, "needs   a list or tuple of nodes"),
        (lambda x: concat([vector(ExprGraph(), 2), x]), GraphError, "belongs to another graph"),
    ],
)
def test_operands_that_do_not_fit_are_refused(call, error, said):
    x = matrix(ExprGraph(), (2, 3), name="x")
    with pytest.raises(error) as caught:
        call(x)
    assert said in str(caught.value)
    assert "test_joining.py" in str(caught.value)
    assert all(node.op is None for node in x.graph)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([], "concat: no operand is a node"),
        ([1.0, 2.0], "got     float, float"),
        (3, "concat: no list of nodes"),
        ({1: 2}, "got     dict"),
    ],
)
def test_lists_without_a_node_are_refused(nodes, said):
    with pytest.raises(GraphError) as caught:
        concat(nodes)
    assert said in str(caught.value)
