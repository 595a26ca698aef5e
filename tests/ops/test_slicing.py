"""Slices: keys against numpy, positions as run-time data shared by forward and gradient, and what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.autodiff import grad
from graphflow.binding import unsafe_let
from graphflow.construct import matrix, scalar, tensor, vector
from graphflow.errors import DTypeError, GraphError, PositionError, ShapeError
from graphflow.graph import ExprGraph
from graphflow.ops.indexing import Gather
from graphflow.ops.reductions import sum as total
from graphflow.ops.sampling import f32, numbers
from graphflow.ops.shape import Reshape
from graphflow.ops.slicing import AxisSlice, Slice, SliceIncr, slice_
from graphflow.positions import S
from tests.ops.small_machine import check_gradients, inputs_like, run

SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
BOUND = st.none() | st.integers(-6, 6)
RANGE = st.builds(slice, BOUND, BOUND, st.none() | st.sampled_from([1, 2, 3, -1, -2, -3]))


@st.composite
def shapes_and_keys(draw):
    """A shape and a key that numpy accepts for it: a bare part, or a tuple with at most one `...` and new axes."""
    shape = draw(SHAPES)
    parts = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        position = st.integers(-size, size - 1) if size else st.nothing()
        parts.append(draw(RANGE | position | position.map(np.int64) | position.map(S)))
    if draw(st.booleans()):
        # What follows `...` has to fit the last axes: it is enough to put it at the end or in front of whole axes.
        parts.append(...)
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return shape, parts[0] if len(parts) == 1 and draw(st.booleans()) else tuple(parts)


def numpys(key):
    """The key in numpy's own terms."""
    parts = tuple(
        part.as_key() if isinstance(part, S) else part for part in (key if isinstance(key, tuple) else (key,))
    )
    return parts if isinstance(key, tuple) else parts[0]


@given(shapes_and_keys())
def test_keys_are_numpys(shape_and_key):
    shape, key = shape_and_key
    value = numbers(*shape)
    (x,) = inputs_like(value)
    part = x[key]
    for lowered in (False, True):
        np.testing.assert_array_equal(run(part, feeds={x: value}, lowered=lowered), value[numpys(key)])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple), st.data())
def test_keys_that_count_from_the_back_are_numpys(shape, data):
    value = numbers(*shape)
    (x,) = inputs_like(value)
    key = tuple(data.draw(st.integers(-size, size - 1) | RANGE) for size in shape[1:])
    for front in ((...,), (None, ...), (..., None)):
        np.testing.assert_array_equal(run(x[(*front, *key)], feeds={x: value}), value[(*front, *key)])


@given(shapes_and_keys())
def test_gradients_of_slices_put_back_what_was_taken(shape_and_key):
    shape, key = shape_and_key
    value = numbers(*shape)
    (x,) = inputs_like(value)
    part = x[key]
    weights = numbers(*part.shape, seed=7)
    (dx,) = grad(total(part * weights), x)
    expected = np.zeros(shape)
    expected[numpys(key)] = weights
    for lowered in (False, True):
        np.testing.assert_array_equal(run(dx, feeds={x: value}, lowered=lowered), expected)


@pytest.mark.parametrize("key", [2, slice(1, 3), (slice(3, None, -2), -1), (slice(None), slice(0, 0)), (1, None, 2)])
def test_gradients_and_their_gradients(key):
    check_gradients(lambda x: (x * x)[key], (numbers(4, 3),))


@pytest.mark.parametrize("op_class", [Slice, SliceIncr])
def test_samples_agree_with_their_loop_forms(op_class):
    for sample in op_class.samples():
        (x,) = inputs_like(*sample.inputs)
        y = x.graph.apply(sample.op, [x])
        feeds = {x: sample.inputs[0]}
        np.testing.assert_array_equal(run(y, feeds=feeds), run(y, feeds=feeds, lowered=True))
        assert y.op.slot is None
        assert y.op.is_pure


@pytest.mark.parametrize("op_class", [Slice, SliceIncr])
def test_bad_samples_are_refused(op_class):
    for bad in op_class.bad_samples():
        with pytest.raises(bad.error):
            bad.op.infer(*bad.types)


def test_iterating_gives_the_rows():
    g = ExprGraph()
    x = matrix(g, (3, 2), value=[[1, 2], [3, 4], [5, 6]])
    assert [run(row).tolist() for row in x] == [[1, 2], [3, 4], [5, 6]]


def test_the_whole_is_the_node_itself():
    g = ExprGraph()
    x = matrix(g, (3, 2))
    for key in (..., slice(None), (), (slice(None), slice(None)), (slice(None), ...), slice(None, None, 1)):
        assert x[key] is x
    assert scalar(g)[...].op is None
    assert g.positions.count == 0


def test_a_written_range_can_be_rebound_even_where_it_covers_the_axis():
    x = matrix(ExprGraph(), (3, 2))
    part = x[0:3]
    assert part is not x
    unsafe_let(part, slice(0, 3))


def test_a_slice_is_one_node_and_owns_a_cell_for_each_cut():
    g = ExprGraph()
    x = tensor(g, (5, 4, 3))
    part = x[1:3, :, -1]
    assert part.op == Slice((AxisSlice(0, 2), AxisSlice(2, 1, 1, dropped=True)), (1, 2), 0)
    assert part.inputs == (x,)
    assert g.positions.read(part.op.slot, 2) == (1, 2)
    other = x[1:3, :, -1]
    assert other.op.slot == 2
    assert other.op != part.op
    assert not part.op.is_pure
    assert len(g) == 3


def test_new_axes_alone_are_a_reshape():
    g = ExprGraph()
    x = matrix(g, (3, 2))
    assert isinstance(x[:, None].op, Reshape)
    assert x[:, None].shape == (3, 1, 2)
    assert g.positions.count == 0


def test_the_loop_forms():
    part = Slice((AxisSlice(0, 2, -2), AxisSlice(2, 1, 1, dropped=True)), (4, 2), 7)
    assert str(part.lower(f32(5, 4, 3))) == "view [$7+-2*i0, 0+1*i1, $8]"
    still = Slice(part.axes, part.starts)
    assert str(still.lower(f32(5, 4, 3))) == "view [4+-2*i0, 0+1*i1, 2]"
    assert still.lower(f32(5, 4, 3)).is_static
    incr = SliceIncr(part.axes, part.starts, 7, (5, 4, 3))
    assert str(incr.lower(f32(2, 4))) == "place view [$7+-2*i0, 0+1*i1, $8]"


def test_evaluation_does_not_share_storage():
    value = numbers(4, 3)
    for sample in (Slice((), ()), Slice((AxisSlice(0, 2),), (1,))):
        assert not np.shares_memory(sample.evaluate(value), value)


# --- ids as keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [[2, 0, -1], np.array([[1, 1], [-5, 4]]), range(1, 4), [], np.array([3], np.uint8), [[0], [1]]]
)
def test_ids_select_rows(key):
    value = numbers(5, 2)
    (x,) = inputs_like(value)
    rows = x[key]
    assert isinstance(rows.op, Gather)
    np.testing.assert_array_equal(run(rows, feeds={x: value}), value[np.asarray(key, np.int64)])


def test_ids_may_be_a_node():
    value = numbers(5, 2)
    (x,) = inputs_like(value)
    ids = vector(x.graph, 3, dtype="int64", value=[4, 0, 4])
    rows = x[ids]
    assert rows.inputs == (x, ids)
    np.testing.assert_array_equal(run(rows, feeds={x: value}), value[[4, 0, 4]])


def test_an_array_without_axes_is_a_position():
    (x,) = inputs_like(np.empty((5, 2)))
    assert isinstance(x[np.array(3)].op, Slice)
    assert x[np.array(3)].shape == (2,)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_the_message_for_a_position_out_of_range():
    g = ExprGraph()
    x = matrix(g, (5, 3), name="x")
    line = inspect.currentframe().f_lineno + 2
    with pytest.raises(PositionError) as caught:
        x[1:3, 3]
    assert str(caught.value) == (
        "slice: position 3 is out of range for x: float32[5, 3]\n"
        "  got     3 along axis 1\n"
        "  needs   a position from -3 to 2\n"
        f"  node    made at test_slicing.py:{line - 3}\n"
        f"  line    test_slicing.py:{line}"
    )
    assert len(g) == 1
    assert g.positions.count == 0


def test_the_message_for_a_mask():
    g = ExprGraph()
    x = vector(g, 3, name="x")
    with pytest.raises(DTypeError) as caught:
        x[[True, False, True]]
    assert str(caught.value).splitlines()[:4] == [
        "slice: a mask cannot select from x: float32[3]",
        "  got     bool: how many rows it selects is not known before the graph runs",
        "  needs   whole numbers, ranges, S(...), None and ..., or int64 ids beside nothing but ranges",
        "  try     gf.where(mask, x, 0.0)",
    ]


@pytest.mark.parametrize(
    ("key", "error", "said"),
    [
        (5, PositionError, "position 5 is out of range"),
        (-6, PositionError, "position -6 is out of range"),
        (S(5), PositionError, "position 5 is out of range"),
        (np.int64(5), PositionError, "position 5 is out of range"),
        (10**30, PositionError, "is out of range"),
        ((0, 0, 0), ShapeError, "got     3 positions"),
        ((0, 0, ..., slice(None)), ShapeError, "needs   at most 2, one for each axis"),
        ((..., ...), PositionError, "... at most once"),
        (slice(0, 3, 0), PositionError, "a step other than 0"),
        (slice(0.5, 3), PositionError, "got     slice(0.5, 3, None): slice indices must be"),
        (S(0, 3, 0), PositionError, "a step other than 0"),
        (1.5, PositionError, "cannot slice x: float32[5, 3] by a float"),
        ("row", PositionError, "by a str"),
        (True, PositionError, "by a bool"),
        (np.True_, PositionError, "by a bool"),
        ({}, PositionError, "by a dict"),
        ((0, [1, 2]), PositionError, "by ids and more"),
        ((0, np.array([1, 2])), PositionError, "int64 ids beside nothing but ranges"),
        ([5], PositionError, "position 5 is out of range"),
        ([0, -6], PositionError, "position -6 is out of range"),
        ([0.5], DTypeError, "got     ids of float64"),
        (np.array([0.5, 1]), DTypeError, "cannot select from x"),
        (np.array(True), DTypeError, "a mask cannot select"),
        (np.zeros((5, 3), bool), DTypeError, "a mask cannot select"),
        ([[0], [1, 2]], ValueError, "the key is not an array of numbers"),
        (["a"], ValueError, "the key is not an array of numbers"),
    ],
)
def test_keys_that_do_not_fit_are_refused_and_change_nothing(key, error, said):
    g = ExprGraph()
    x = matrix(g, (5, 3), name="x")
    with pytest.raises(error) as caught:
        x[key]
    message = str(caught.value)
    assert message.startswith("slice: ")
    assert said in message
    assert "test_slicing.py" in message
    assert len(g) == 1
    assert g.positions.count == 0


def test_nodes_that_are_no_ids_are_refused():
    g = ExprGraph()
    x, mask, floats, ids = (
        matrix(g, (5, 3), name="x"),
        vector(g, 5, dtype="bool"),
        vector(g, 5),
        vector(g, 2, dtype="int64"),
    )
    before = len(g)
    for key, error in (
        (mask, DTypeError),
        (floats, DTypeError),
        ((0, ids), PositionError),
        (slice(ids), PositionError),
    ):
        with pytest.raises(error):
            x[key]
    with pytest.raises(GraphError, match="another graph"):
        x[vector(ExprGraph(), 2, dtype="int64")]
    with pytest.raises(GraphError, match="is no node"):
        slice_(np.zeros(3), 0)
    assert len(g) == before


def test_a_scalar_has_no_parts():
    g = ExprGraph()
    s = scalar(g, name="s")
    for key in (0, slice(1), [0], (..., 0)):
        with pytest.raises(ShapeError, match="too many positions for s"):
            s[key]
    assert s[None].shape == (1,)
