"""Positions of slices as run-time data: shared by forward and gradient, rebound one by one, checked at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.autodiff import grad
from graphflow.binding import unsafe_let, unsafe_let_all
from graphflow.construct import matrix, vector
from graphflow.errors import PositionError, ShapeError
from graphflow.graph import ExprGraph, ancestors
from graphflow.ops.sampling import numbers
from graphflow.ops.slicing import AxisSlice, Slice, SliceIncr, part_of
from graphflow.positions import S
from tests.ops.small_machine import inputs_like, run, squares

BOUND = st.none() | st.integers(-6, 6)
RANGE = st.builds(slice, BOUND, BOUND, st.none() | st.sampled_from([1, 2, 3, -1, -2, -3]))


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
    (lambda x: x[1:3], slice(1, 3.5), PositionError, "this is no range"),
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


def test_the_message_for_a_rebinding():
    x = matrix(ExprGraph(), (5, 3), name="x")
    row = x[1]
    with pytest.raises(PositionError) as caught:
        unsafe_let(row, 7)
    message = str(caught.value)
    assert "position 7 is out of range for x: float32[5, 3]" in message
    assert "needs   a position from -5 to 4" in message
    assert "line    test_slice_positions.py:" in message
