"""Slices are moved to other positions: one by one with `unsafe_let`, many at once with `unsafe_let_all`."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.binding import MOST_GROUPS, unsafe_let, unsafe_let_all
from graphflow.construct import matrix, vector
from graphflow.errors import BindingError, GraphError, PositionError, ShapeError
from graphflow.graph import ExprGraph, apply
from graphflow.op import Op
from graphflow.ops.slicing import SliceIncr
from graphflow.positions import S
from graphflow.tensortype import TensorType
from tests.refusing import cells, refused


@pytest.fixture
def g():
    return ExprGraph()


def position(node):
    return node.graph.positions.read(node.op.slot, 1)[0]


# --- one by one ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [3, -1, np.int64(3), np.uint8(3), S(3), S(-1), (3,), (np.int32(3),), (S(3),)])
def test_a_row_is_moved_by_any_form_of_position(g, request_):
    row = matrix(g, (4, 2))[0]
    version = g.version
    unsafe_let(row, request_)
    assert position(row) == 3
    assert g.version == version


@pytest.mark.parametrize("request_", [slice(1, 3), S(1, 3), slice(-3, -1), (slice(1, 3),), (S(1, 3),)])
def test_a_range_is_moved_by_any_form_of_range(g, request_):
    part = matrix(g, (4, 2))[0:2]
    unsafe_let(part, request_)
    assert position(part) == 1


def test_each_slice_has_its_own_cells_however_many_there_are(g):
    x = matrix(g, (5, 3))
    parts = [x[index % 5, index % 3] for index in range(40)]
    unsafe_let(parts[7], (4, 2))
    unsafe_let(parts[39], (0, 1))
    expected = [(index % 5, index % 3) for index in range(40)]
    expected[7], expected[39] = (4, 2), (0, 1)
    assert cells(g) == tuple(number for pair in expected for number in pair)


@pytest.mark.parametrize(
    ("request_", "error", "text"),
    [
        (4, PositionError, "position 4 is out of range for table: float32[4, 2]"),
        (-5, PositionError, "needs   a position from -4 to 3"),
        (S(4), PositionError, "unsafe_let (%1): position 4"),
        (10**30, PositionError, "is out of range"),
        (slice(0, 2), ShapeError, "needs   one position"),
        (S(0, 2), ShapeError, "needs   one position"),
        ((1, 1), ShapeError, "wrong number of positions"),
        ([1.0, 2.0], BindingError, "is a slice and takes a position"),
        (np.ones(2, np.float32), BindingError, "try     gf.unsafe_let(%1, 3)"),
        (np.array(1), BindingError, "got     a value of type ndarray"),
        (1.0, BindingError, "got     a value of type float"),
        (True, BindingError, "got     a value of type bool"),
        (np.bool_(1), BindingError, "takes a position"),
        (None, BindingError, "got     None"),
        ("1", BindingError, "got     a value of type str"),
        ((1.5,), BindingError, "takes a position"),
        ((True,), BindingError, "takes a position"),
    ],
)
def test_positions_that_do_not_fit_are_refused(g, request_, error, text):
    row = matrix(g, (4, 2), name="table")[2]
    refused(g, error, lambda: unsafe_let(row, request_), text, f"node    made at {row.origin}")


def test_the_adjoint_of_a_slice_is_no_slice_and_can_be_overridden(g):
    x = matrix(g, (3, 2), value=np.zeros((3, 2)))
    (dx,) = gf.grad(gf.sum(x[1]), x)
    assert isinstance(dx.op, SliceIncr)
    unsafe_let(dx, np.ones((3, 2)))
    np.testing.assert_array_equal(dx.value, np.ones((3, 2)))
    refused(g, BindingError, lambda: unsafe_let(dx, S(1)), "has no position")


@dataclass(frozen=True)
class Window(Op, abstract=True):  # abstract: stays out of the registry, as it belongs to these tests alone
    """Two neighbours of a vector, starting at a cell."""

    cell: int
    symbol = "window"

    @property
    def slot(self):
        return self.cell

    def infer(self, x):
        return TensorType(x.dtype, (2,))

    def evaluate(self, x):
        return x[:2]

    def gradient(self, dy, y, *inputs):
        return (None,)

    def positions(self, request, x):
        if not isinstance(request, int) or not 0 <= request <= x.shape[0] - 2:
            raise PositionError("no such window in {0}", got=repr(request), operands=[x])
        return (request,)

    def limits(self, x):
        return (x.shape[0] - 2,)


def test_any_op_with_cells_can_be_moved(g):
    x = vector(g, 6, name="x")
    windows = tuple(apply(Window(g.positions.allocate([0])), x) for _ in range(3))
    unsafe_let(windows[1], 4)
    assert cells(g) == (0, 4, 0)
    unsafe_let_all(windows, [3, 2, 1])
    assert cells(g) == (3, 2, 1)
    refused(g, PositionError, lambda: unsafe_let(windows[0], 5), "unsafe_let (%1): no such window in x: float32[6]")
    refused(g, PositionError, lambda: unsafe_let_all(windows, [0, 0, 5]), "unsafe_let_all, node 2 (%3)")


@pytest.mark.parametrize("make", [gf.TapeMachine, gf.LispMachine])
def test_forward_and_gradient_follow_without_compiling_again(make):
    g = ExprGraph()
    value = np.arange(8.0).reshape(4, 2)
    table = matrix(g, (4, 2), dtype="float64", value=value)
    rows = tuple(table[0] for _ in range(3))
    cost = gf.sum(rows[0] * rows[1] * rows[2])
    (gradient,) = gf.grad(cost, table)
    machine = make(g)
    machine.run_all()
    version = g.version
    generator = random.Random(4)
    for _ in range(50):
        a, b, c = places = [generator.randrange(4) for _ in range(3)]
        unsafe_let_all(rows, places)
        machine.run_all()
        expected = np.zeros((4, 2))
        for one, two, three in ((a, b, c), (b, a, c), (c, a, b)):
            expected[one] += value[two] * value[three]
        np.testing.assert_allclose(cost.value, (value[a] * value[b] * value[c]).sum())
        np.testing.assert_allclose(gradient.value, expected)
    assert g.version == version


# --- many at once ----------------------------------------------------------------------------------------------------


@pytest.fixture
def rows(g):
    """Slices of two axes' lengths: the largest positions are 4, 4, 2, 2."""
    x = matrix(g, (5, 3), name="x")
    return x[0], x[1], x[:, 0], x[:, 1]


FORMS = {
    "list": list,
    "tuple": tuple,
    "numpy": np.array,
    "narrow": lambda places: np.array(places, np.int32),
    "unsigned": lambda places: np.array(places, np.uint64),
    "swapped": lambda places: np.array(places, ">i8"),
    "strided": lambda places: np.repeat(places, 2)[::2],
    "numbers": lambda places: [np.int64(place) for place in places],
    "S": lambda places: [S(place) for place in places],
    "iterator": iter,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("collection", [tuple, list, iter])
def test_all_positions_are_written(g, rows, form, collection):
    for places in ((4, 0, 2, 1), (3, 3, 0, 2)):
        unsafe_let_all(collection(rows), FORMS[form](places))
        assert cells(g) == places


@given(
    st.lists(st.lists(st.integers(-6, 6), min_size=4, max_size=4), min_size=1, max_size=8),
    st.sampled_from([list, np.array]),
)
def test_many_at_once_mean_the_same_as_one_by_one(calls, form):
    graphs = []
    for _ in range(2):
        graph = ExprGraph()
        x = matrix(graph, (5, 3))
        graphs.append((graph, (x[0], x[1], x[:, 0], x[:, 1])))
    (one, singles), (other, together) = graphs
    for places in calls:
        if all(-size <= place < size for place, size in zip(places, (5, 5, 3, 3), strict=True)):
            for node, place in zip(singles, places, strict=True):
                unsafe_let(node, place)
            unsafe_let_all(together, form(places))
        else:
            with pytest.raises(PositionError):
                unsafe_let_all(together, form(places))
        assert cells(one) == cells(other)


@pytest.mark.parametrize(
    ("places", "error", "text"),
    [
        ([0, 5, 0, 0], PositionError, "unsafe_let_all, node 1 (%2): position 5 is out of range for x: float32[5, 3]"),
        ([0, 0, 0, 3], PositionError, "unsafe_let_all, node 3 (%4): position 3"),
        (np.array([0, 0, -4, 0]), PositionError, "node 2 (%3): position -4"),
        (np.array([2**63, 0, 0, 0], np.uint64), PositionError, "node 0 (%1)"),
        ([2**70, 0, 0, 0], PositionError, "node 0 (%1)"),
        ([1, 1, 1], ShapeError, "got     3 positions"),
        (np.zeros(5, np.int64), ShapeError, "got     5 positions"),
        (np.zeros((4, 1), np.int64), BindingError, "node 0: %1"),
        ([1.0, 1, 1, 1], BindingError, "node 0: %1: float32[3] is a slice and takes a position"),
        (np.ones(4), BindingError, "node 0: %1"),
        ([1, 1, True, 1], BindingError, "node 2: %3"),
        (np.ones(4, bool), BindingError, "node 0: %1"),
        ([1, 1, 1, None], BindingError, "got     None"),
        ([1, 1, 1, slice(0, 2)], ShapeError, "node 3 (%4)"),
        ("1111", BindingError, "the positions are no sequence"),
        (3, BindingError, "the positions are no sequence"),
        (None, BindingError, "needs   4 positions"),
        (np.array(3), BindingError, "the positions are no sequence"),
    ],
)
@pytest.mark.parametrize("is_known", [False, True])
def test_all_or_none(g, rows, places, error, text, is_known):
    unsafe_let_all(rows, [1, 2, 1, 2]) if is_known else None
    for _ in range(2):
        refused(g, error, lambda: unsafe_let_all(rows, places), text)


def test_negative_positions_count_from_the_end(g, rows):
    unsafe_let_all(rows, [-1, -5, -3, 0])
    assert cells(g) == (4, 0, 0, 0)


def test_ranges_and_rows_can_be_moved_together(g):
    x = matrix(g, (5, 3))
    parts = (x[0], x[1:3], x[0, 0])
    unsafe_let_all(parts, [4, slice(3, 5), (2, 1)])
    assert cells(g) == (4, 3, 2, 1)
    refused(g, ShapeError, lambda: unsafe_let_all(parts, [1, 1, 1]), "node 1")
    refused(g, PositionError, lambda: unsafe_let_all(parts, [1, slice(0, 2), (2, 3)]), "node 2")


def test_a_range_is_not_moved_by_a_number_however_often_it_is_tried(g):
    parts = (matrix(g, (5, 3))[1:3],)
    for places in ([2], np.array([2])):
        for _ in range(2):
            refused(g, ShapeError, lambda places=places: unsafe_let_all(parts, places), "keeps its extent")


def test_slices_of_two_graphs_are_not_moved_together(g):
    near, far = vector(g, 3)[0], vector(ExprGraph(), 3)[0]
    for nodes in ((near, far), (far, near), (near, far, near), [near, far]):
        refused(g, GraphError, lambda nodes=nodes: unsafe_let_all(nodes, [1] * len(nodes)), "belongs to another graph")
    assert cells(far.graph) == (0,)


def test_what_is_no_slice_is_not_moved(g):
    x = vector(g, 3, name="x", value=[1, 2, 3])
    row = x[0]
    refused(g, BindingError, lambda: unsafe_let_all((row, x), [1, 1]), "node 1: x: float32[3] has no position")
    refused(g, GraphError, lambda: unsafe_let_all((row, "x"), [1, 1]), "'x' is no node")
    refused(g, GraphError, lambda: unsafe_let_all((row, "x", row), [1, 1, 1]), "'x' is no node")
    refused(g, GraphError, lambda: unsafe_let_all(row, [1]), "are no nodes")
    refused(g, GraphError, lambda: unsafe_let_all(None, [1]), "are no nodes")
    refused(g, ShapeError, lambda: unsafe_let_all((), [1]), "got     1 positions")


def test_nothing_to_move_is_no_mistake(g):
    for places in ([], (), np.zeros(0, np.int64)):
        unsafe_let_all((), places)
    assert cells(g) == ()


def test_sets_of_nodes_that_look_alike_are_told_apart(g):
    x = vector(g, 5)
    a, b, c, d = x[0], x[0], x[0], x[0]
    unsafe_let_all((a, b, d), [1, 2, 3])
    unsafe_let_all((a, c, d), [4, 3, 2])
    unsafe_let_all([a, b, d], [0, 1, 2])
    assert cells(g) == (0, 1, 3, 2)


def test_a_node_named_twice_takes_its_last_position(g):
    row = vector(g, 5)[0]
    unsafe_let_all((row, row), np.array([1, 3]))
    assert position(row) == 3


def test_the_table_may_grow_between_calls(g):
    x = vector(g, 5)
    rows = tuple(x[0] for _ in range(3))
    unsafe_let_all(rows, [1, 2, 3])
    before = g.positions.cells
    more = [x[1] for _ in range(100)]
    assert g.positions.cells is not before
    unsafe_let_all(rows, [4, 4, 4])
    assert [position(node) for node in (*rows, *more)] == [4] * 3 + [1] * 100


def test_what_is_remembered_of_nodes_is_bounded(g):
    x = vector(g, 5)
    rows = [x[0] for _ in range(2 * MOST_GROUPS)]
    for row in rows:
        unsafe_let_all((row,), [2])
    assert all(position(row) == 2 for row in rows)
    assert len(g.position_groups) <= MOST_GROUPS
