"""Transposes, reshapes and broadcasts: against numpy, against differences, and what is refused."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.autodiff import grad
from graphflow.construct import matrix, tensor, vector
from graphflow.errors import GraphError, ShapeError
from graphflow.graph import ExprGraph, ancestors
from graphflow.ops.reductions import sum as total
from graphflow.ops.sampling import f32, numbers
from graphflow.ops.shape import (
    BroadcastTo,
    Reshape,
    Transpose,
    broadcast_to,
    expand_dims,
    ravel,
    reshape,
    squeeze,
    transpose,
)
from tests.ops.small_machine import check_gradients, inputs_like, run

SHAPES = st.lists(st.integers(0, 3), max_size=4).map(tuple)


def agree(function, expected, *values):
    """Run a function of nodes both ways and compare with what numpy says."""
    nodes = inputs_like(*values)
    result = function(*nodes)
    for lowered in (False, True):
        found = run(result, feeds=dict(zip(nodes, values, strict=True)), lowered=lowered)
        np.testing.assert_array_equal(found, expected)
    return result


@given(SHAPES, st.data())
def test_transposes_are_numpys(shape, data):
    value = numbers(*shape)
    agree(transpose, value.T, value)
    axes = tuple(data.draw(st.permutations(range(len(shape)))))
    signed = tuple(axis - len(shape) if data.draw(st.booleans()) else axis for axis in axes)
    agree(lambda x: transpose(x, signed), np.transpose(value, axes), value)


@given(SHAPES, st.data())
def test_reshapes_are_numpys(shape, data):
    value = numbers(*shape)
    sizes = list(data.draw(st.permutations(shape)))
    sizes.insert(data.draw(st.integers(0, len(sizes))), 1)
    agree(lambda x: reshape(x, sizes), value.reshape(sizes), value)
    place = data.draw(st.integers(0, len(sizes) - 1))
    if value.size:
        sizes[place] = -1
        agree(lambda x: reshape(x, sizes), value.reshape(sizes), value)
    agree(ravel, value.ravel(), value)


@given(SHAPES, st.lists(st.integers(0, 3), max_size=2), st.data())
def test_broadcasts_are_numpys(shape, front, data):
    own = tuple(data.draw(st.sampled_from([1, size])) for size in shape)
    value = numbers(*own)
    agree(lambda x: broadcast_to(x, (*front, *shape)), np.broadcast_to(value, (*front, *shape)), value)


@given(SHAPES, st.data())
def test_new_axes_and_dropped_ones_are_numpys(shape, data):
    value = numbers(*shape)
    count = data.draw(st.integers(1, 3))
    dims = len(shape) + count
    axes = data.draw(st.lists(st.integers(0, dims - 1), min_size=count, max_size=count, unique=True))
    axes = [axis - dims if data.draw(st.booleans()) else axis for axis in axes]
    larger = np.expand_dims(value, tuple(axes))
    agree(lambda x: expand_dims(x, axes), larger, value)
    agree(lambda x: squeeze(x, axes), value, larger)
    agree(squeeze, np.squeeze(larger), larger)
    agree(lambda x: expand_dims(x, -1), value[..., None], value)


@pytest.mark.parametrize(
    "sample",
    [*Transpose.samples(), *Reshape.samples(), *BroadcastTo.samples()],
    ids=lambda s: f"{s.op} {s.inputs[0].shape}",
)
def test_gradients_and_their_gradients(sample):
    check_gradients(lambda x: x.graph.apply(sample.op, [x * x]), sample.inputs)


@given(SHAPES, st.lists(st.integers(0, 3), max_size=2), st.data())
def test_the_gradient_of_a_broadcast_counts_the_copies(shape, front, data):
    own = tuple(data.draw(st.sampled_from([1, size])) for size in shape)
    (x,) = inputs_like(np.empty(own))
    whole = broadcast_to(x, (*front, *shape))
    (dx,) = grad(total(whole), x)
    copies = whole.size / x.size if x.size else 0
    np.testing.assert_array_equal(run(dx, feeds={x: np.zeros(own)}), np.full(own, copies))


def test_what_changes_nothing_adds_no_node():
    g = ExprGraph()
    x, v = matrix(g, (2, 3)), vector(g, 3)
    before = len(g)
    assert v.T is v
    assert transpose(x, (0, 1)) is x
    assert transpose(x, (-2, -1)) is x
    assert reshape(x, (2, -1)) is x
    assert broadcast_to(x, (2, 3)) is x
    assert squeeze(x) is x
    assert squeeze(x, ()) is x
    assert expand_dims(x, ()) is x
    assert ravel(v) is v
    assert len(g) == before


def test_the_methods_of_nodes():
    g = ExprGraph()
    x = tensor(g, (2, 3, 4))
    assert x.T.shape == (4, 3, 2)
    assert x.reshape(6, 4).shape == x.reshape((6, 4)).shape == x.reshape(6, -1).shape == (6, 4)
    assert x.reshape(-1).shape == (24,)
    assert tensor(g, (1, 1)).reshape(()).shape == ()


def test_whole_axes_are_reshapes():
    g = ExprGraph()
    x = tensor(g, (2, 1, 3))
    for node in (expand_dims(x, 0), squeeze(x), ravel(x)):
        assert isinstance(node.op, Reshape)


def test_the_loop_forms():
    x = f32(2, 3, 4)
    assert str(Transpose((2, 0, 1)).lower(x)) == "view [0+1*i1, 0+1*i2, 0+1*i0]"
    assert str(BroadcastTo((5, 2, 3)).lower(f32(2, 1))) == "view [0+1*i1, 0]"
    assert BroadcastTo((5, 2, 3)).lower(f32(2, 1)).is_static
    assert str(Reshape((6, 4)).lower(x)) == "reshape [6, 4]"


def test_evaluation_does_not_share_storage():
    value = numbers(2, 3)
    for op in (Transpose((1, 0)), Transpose((0, 1)), Reshape((6,)), BroadcastTo((2, 3))):
        result = op.evaluate(value)
        assert not np.shares_memory(result, value)
        assert result.flags.c_contiguous
        assert result.flags.writeable


def test_every_transpose_is_undone_by_its_gradient():
    for axes in itertools.permutations(range(3)):
        (x,) = inputs_like(np.empty((2, 3, 4)))
        y = transpose(x, axes)
        (dx,) = grad(total(y * y), x)
        if y is not x:
            assert isinstance(dx.op, Transpose)
            assert tuple(dx.op.axes[axis] for axis in y.op.axes) == (0, 1, 2)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_the_message_for_a_shape_that_does_not_fit():
    g = ExprGraph()
    x = matrix(g, (2, 3), name="x")
    line = inspect.currentframe().f_lineno + 2
    with pytest.raises(ShapeError) as caught:
        reshape(x, (4, 2))
    assert str(caught.value) == (
        "reshape: cannot give x: float32[2, 3] the shape (4, 2)\n"
        "  got     6 elements\n"
        "  needs   8 elements\n"
        f"  line    test_shape.py:{line}"
    )


def test_the_message_for_an_axis_that_does_not_exist():
    g = ExprGraph()
    x = matrix(g, (2, 3), name="x")
    line = inspect.currentframe().f_lineno + 2
    with pytest.raises(ShapeError) as caught:
        transpose(x, (0, 2))
    assert str(caught.value) == (
        "transpose: there is no axis 2\n"
        "  got     2 axes\n"
        "  needs   an axis from -2 to 1\n"
        f"  node    made at test_shape.py:{line - 3}\n"
        f"  line    test_shape.py:{line}"
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: transpose(x, (0, 0)), "transpose: cannot arrange the axes of x: float32[2, 3] as (0, 0)"),
        (lambda x: transpose(x, (0,)), "needs   each of the axes 0 to 1 once"),
        (lambda x: transpose(x, 1), "1 are no axes"),
        (lambda x: transpose(x, (0.5, 1)), "axis 0.5 is no whole number"),
        (lambda x: transpose(x, [{}, 1]), "axis {} is no whole number"),
        (lambda x: reshape(x, (-1, -1)), "-1 more than once"),
        (lambda x: reshape(x, (-1, 4)), "needs   a multiple of 4 elements"),
        (lambda x: reshape(x, (-1, 0)), "sizes other than 0 beside the -1"),
        (lambda x: reshape(x, (-2, -3)), "a negative size"),
        (lambda x: reshape(x, 2.5), "2.5 is no shape"),
        (lambda x: reshape(x, "ab"), "is no shape"),
        (lambda x: reshape(x, (2**40, 2**40)), "is too large"),
        (lambda x: reshape(x, (x, 6)), "is no shape"),
        (lambda x: broadcast_to(x, (3, 3)), "broadcast_to: cannot broadcast x: float32[2, 3] to (3, 3)"),
        (lambda x: broadcast_to(x, 3), "got     shape (2, 3)"),
        (lambda x: broadcast_to(x, (2, -1)), "a negative size"),
        (lambda x: expand_dims(x, 3), "expand_dims: there is no axis 3"),
        (lambda x: expand_dims(x, (0, 0)), "an axis is named twice"),
        (lambda x: expand_dims(x, None), "None are no axes"),
        (lambda x: squeeze(x, 1), "squeeze: cannot drop axis 1 of x: float32[2, 3]"),
        (lambda x: squeeze(x, 2), "squeeze: there is no axis 2"),
    ],
)
def test_other_shapes_and_axes_are_refused(call, said):
    g = ExprGraph()
    x = matrix(g, (2, 3), name="x")
    with pytest.raises(ShapeError) as caught:
        call(x)
    assert said in str(caught.value)
    assert "test_shape.py" in str(caught.value)
    assert len(g) == 1


@pytest.mark.parametrize("function", [transpose, ravel, squeeze, lambda x: reshape(x, 2), lambda x: broadcast_to(x, 2)])
def test_what_is_no_node_is_refused(function):
    with pytest.raises(GraphError, match="is no node"):
        function(np.zeros(2))


@pytest.mark.parametrize("bad", [*Transpose.bad_samples(), *Reshape.bad_samples(), *BroadcastTo.bad_samples()], ids=str)
def test_bad_samples_are_refused(bad):
    with pytest.raises(bad.error):
        bad.op.infer(*bad.types)


def test_gradients_of_reshapes_are_reshapes():
    g = ExprGraph()
    x = matrix(g, (2, 3))
    (dx,) = grad(total(ravel(x) * numbers(6)), x)
    assert isinstance(dx.op, Reshape)
    assert {type(node.op) for node in ancestors([dx])} >= {Reshape}
