"""Slices: keys against numpy, positions as run-time data shared by forward and gradient, and what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.autodiff import grad
from graphflow.binding import unsafe_let, unsafe_let_all
from graphflow.construct import matrix, scalar, tensor, vector
from graphflow.errors import DTypeError, GraphError, PositionError, ShapeError
from graphflow.graph import ExprGraph, ancestors
from graphflow.ops.indexing import Gather
from graphflow.ops.reductions import sum as total
from graphflow.ops.sampling import f32, numbers
from graphflow.ops.shape import Reshape
from graphflow.ops.slicing import AxisSlice, Slice, SliceIncr, part_of, slice_
from graphflow.positions import S
from tests.ops.small_machine import check_gradients, inputs_like, run, squares

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


# --- rebinding --------------------------------------------------------------------------------------------------------


def test_forward_gradient_and_second_gradient_read_the_same_cells():
    g = ExprGraph()
    table = matrix(g, (5, 2), dtype="float64", name="table")
    row = table[1]
    (dtable,) = grad(squares(row), table)
    (second,) = grad(squares(dtable), table)
    slots = {node.op.slot for node in ancestors([second]) if isinstance(node.op, (Slice, SliceIncr))}
    assert slots == {row.op.slot}
    assert any(isinstance(node.op, SliceIncr) for node in ancestors([dtable]))
    assert sum(isinstance(node.op, Slice) for node in ancestors([second])) == 2

    value = numbers(5, 2)
    for position in (1, 4, -5, S(2), np.int64(3)):
        unsafe_let(row, position)
        place = (position.start if isinstance(position, S) else position) % 5
        for lowered in (False, True):
            found = run(row, dtable, second, feeds={table: value}, lowered=lowered)
            np.testing.assert_allclose(found[0], value[place])
            expected = np.zeros((5, 2))
            expected[place] = value[place]
            np.testing.assert_allclose(found[1], 2 * expected)
            np.testing.assert_allclose(found[2], 8 * expected)


@pytest.mark.parametrize("make", [gf.TapeMachine, gf.LispMachine])
def test_one_machine_follows_all_positions(make):
    value = numbers(6, 5, 4)
    g = gf.ExprGraph()
    x = gf.tensor(g, (6, 5, 4), dtype="float64", value=value)
    parts = [x[1:4:2, 3], x[4:1:-1, :, 2], x[2], x[0:2]]
    (dx,) = gf.grad(gf.sum(gf.concat([part.reshape(-1) ** 3.0 for part in parts])), x)
    readings = [gf.read(node) for node in (*parts, dx)]
    machine = make(g)
    for move in range(3):
        keys = [
            (slice(1 + move, 4 + move, 2), 3 - move),
            (slice(5 - move, 2 - move, -1), slice(None), 2 - move),
            2 + move,
            slice(move * 2, move * 2 + 2),
        ]
        for part, key in zip(parts, keys, strict=True):
            gf.unsafe_let(part, key)
        machine.run_all()
        expected = np.zeros_like(value)
        for reading, key in zip(readings, keys, strict=False):
            np.testing.assert_array_equal(reading.value, value[key])
            expected[key] += 3 * value[key] ** 2
        np.testing.assert_allclose(readings[-1].value, expected)


def test_two_slices_at_the_same_place_are_rebound_separately():
    g = ExprGraph()
    table = vector(g, 300, dtype="float64", value=np.arange(300.0))
    rows = [table[0], table[0], table[256]]
    unsafe_let_all(rows, [1, 257, 2])
    assert [float(run(row)) for row in rows] == [1.0, 257.0, 2.0]


@given(st.integers(1, 6), RANGE, st.data())
def test_rebinding_a_range_means_what_numpy_means(size, key, data):
    value = numbers(size, 2)
    (x,) = inputs_like(value)
    part = x[key]
    assume(part is not x)
    step = data.draw(st.none() | st.sampled_from([1, 2, -1, -2]))
    first = st.none() | st.integers(-size, size - 1 if step is not None and step < 0 else size)
    request = slice(data.draw(first), data.draw(st.none() | st.integers(-size, size)), step)
    before = g_cells(x)
    try:
        unsafe_let(part, request)
    except ShapeError:
        assert len(value[request]) != len(value[key]) or (step or 1) != (key.step or 1)
        assert g_cells(x) == before
    else:
        for lowered in (False, True):
            found = run(part, feeds={x: value}, lowered=lowered)
            np.testing.assert_array_equal(found, value[request])


def g_cells(x):
    return x.graph.positions.read(0, x.graph.positions.count)


@given(st.integers(1, 6), RANGE)
def test_limits_say_which_starts_are_right(size, key):
    (x,) = inputs_like(np.empty((size, 2)))
    part = x[key]
    assume(part is not x)
    (limit,) = part.op.limits(x.type)
    (cut,) = part.op.axes
    if cut.step < 0:
        assert limit == -1
        return
    for start in range(limit + 1):
        assert Slice((cut,), (start,)).infer(x.type) == part.type
    with pytest.raises(PositionError):
        Slice((cut,), (limit + 1,)).infer(x.type)


def test_limits_of_several_cuts():
    (x,) = inputs_like(np.empty((5, 4, 3)))
    assert x[2].op.limits(x.type) == (4,)
    assert x[1:4, 2, ::-1].op.limits(x.type) == (2, 3, -1)
    assert x[0:4:3].op.limits(x.type) == (1,)
    assert x[2:2].op.limits(x.type) == (5,)


@pytest.mark.parametrize(
    "request_", [(slice(2, 4), 0), (slice(2, 4), ..., 0), (S(2, 4), slice(None), S(0)), (slice(-3, -1), None, -3)]
)
def test_several_cuts_are_rebound_by_a_tuple(request_):
    value = numbers(5, 4, 3)
    (x,) = inputs_like(value)
    part = x[0:2, :, 1]
    unsafe_let(part, request_)
    np.testing.assert_array_equal(run(part, feeds={x: value}), value[2:4, :, 0])


def test_a_tuple_may_also_stand_for_one_cut():
    value = numbers(5, 4)
    (x,) = inputs_like(value)
    column = x[:, 1]
    for request_ in (3, (3,), (None, 3), (..., 3), (slice(None), 3)):
        unsafe_let(column, 0)
        unsafe_let(column, request_)
        np.testing.assert_array_equal(run(column, feeds={x: value}), value[:, 3])


REFUSED = [
    (lambda x: x[1], 5, PositionError, "position 5 is out of range"),
    (lambda x: x[1], -6, PositionError, "needs   a position from -5 to 4"),
    (lambda x: x[1], S(5), PositionError, "position 5 is out of range"),
    (lambda x: x[1], S(5, 6), ShapeError, "needs   one position, such as 3 or S(3)"),
    (lambda x: x[1], slice(1, 2), ShapeError, "the slice of axis 0 keeps its extent"),
    (lambda x: x[1], (1, 2), ShapeError, "wrong number of positions"),
    (lambda x: x[:, 1], (1, None), ShapeError, "wrong number of positions"),
    (lambda x: x[:, 1], (None, None), ShapeError, "wrong number of positions"),
    (lambda x: x[:, 1], (..., ..., 1), ShapeError, "wrong number of positions"),
    (lambda x: x[:, 1], (slice(0, 2), 1), ShapeError, "wrong number of positions"),
    (lambda x: x[1:3], 1, ShapeError, "got     the single position 1"),
    (lambda x: x[1:3], slice(1, 4), ShapeError, "needs   a range of 2 positions with step 1"),
    (lambda x: x[1:3], slice(1, 5, 2), ShapeError, "got     2 positions with step 2"),
    (lambda x: x[1:3], S(4, 6), PositionError, "position 5 is out of range"),
    (lambda x: x[1:3], slice(-7, -5), PositionError, "position -7 is out of range"),
    (lambda x: x[1:3], slice(1, 3, 0), PositionError, "a step other than 0"),
    (lambda x: x[1:3], slice(1, 3.5), PositionError, "is no range"),
    (lambda x: x[3:1:-1], slice(5, 3, -1), PositionError, "position 5 is out of range"),
    (lambda x: x[3:1:-1], slice(3, None, -1), ShapeError, "got     4 positions with step -1"),
    (lambda x: x[1:3, 1], (slice(1, 3), 4), PositionError, "4 along axis 1"),
]


@pytest.mark.parametrize(("make", "request_", "error", "said"), REFUSED)
def test_positions_that_do_not_fit_are_refused_and_change_nothing(make, request_, error, said):
    x = matrix(ExprGraph(), (5, 4), name="x")
    part = make(x)
    before = g_cells(x)
    with pytest.raises(error) as caught:
        part.op.positions(request_, x.type)
    assert said in str(caught.value)
    with pytest.raises(error):
        unsafe_let(part, request_)
    assert g_cells(x) == before


@pytest.mark.parametrize("request_", [True, 1.5, "1", None, [1], ...])
def test_what_is_no_position_is_refused(request_):
    x = matrix(ExprGraph(), (5, 4))
    with pytest.raises(PositionError):
        x[1].op.positions(request_, x.type)


def test_slices_that_never_move_have_no_position():
    (x,) = inputs_like(np.empty((5, 4)))
    part = part_of(x, 1, 2, 2)
    assert part.op == Slice((AxisSlice(1, 2),), (2,))
    assert x.graph.positions.count == 0
    with pytest.raises(PositionError, match="no position to rebind"):
        part.op.positions(slice(0, 2), x.type)
    with pytest.raises(PositionError, match="no position to rebind"):
        SliceIncr(part.op.axes, part.op.starts, None, (5, 4)).positions(0, part.type)


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
        "  needs   whole numbers, ranges, S(...), None and ..., or int64 ids as the only key",
        "  try     gf.where(mask, x, 0.0)",
    ]


def test_the_message_for_a_rebinding():
    x = matrix(ExprGraph(), (5, 3), name="x")
    row = x[1]
    with pytest.raises(PositionError) as caught:
        unsafe_let(row, 7)
    message = str(caught.value)
    assert "position 7 is out of range for x: float32[5, 3]" in message
    assert "needs   a position from -5 to 4" in message
    assert "line    test_slicing.py:" in message


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
        (slice(0.5, 3), PositionError, "slice(0.5, 3, None) is no range"),
        (S(0, 3, 0), PositionError, "a step other than 0"),
        (1.5, PositionError, "cannot slice x: float32[5, 3] by a float"),
        ("row", PositionError, "by a str"),
        (True, PositionError, "by a bool"),
        (np.True_, PositionError, "by a bool"),
        ({}, PositionError, "by a dict"),
        ((0, [1, 2]), PositionError, "by a list"),
        ((0, np.array([1, 2])), PositionError, "int64 ids as the only key"),
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
