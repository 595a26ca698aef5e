from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import graphflow as gf
from graphflow.binding import let, read, set_, unsafe_let
from graphflow.blocks import adopt_parameters, block_of
from graphflow.construct import constant, matrix, scalar, tensor, vector
from graphflow.errors import (
    BindingError,
    DTypeError,
    GraphError,
    ShapeError,
    UnboundError,
    ValueNotKept,
)
from graphflow.graph import ExprGraph
from graphflow.positions import S
from graphflow.storage import allocate, store
from graphflow.tensortype import TensorType
from tests.refusing import picture, refused


@pytest.fixture
def g():
    return ExprGraph()


# --- let -------------------------------------------------------------------------------------------------------------


def test_let_binds_a_copy(g):
    x, array = vector(g, 3), np.array([1, 2, 3], np.float32)
    let(x, array)
    array[:] = 9
    np.testing.assert_array_equal(x.value, [1, 2, 3])


def test_let_writes_in_place_so_that_machines_may_keep_the_array(g):
    x = vector(g, 3)
    storage = allocate(x)
    version = g.version
    for value in ([1, 2, 3], np.float64([4, 5, 6]), (True, False, True), range(3)):
        let(x, value)
        assert x.storage is storage
        np.testing.assert_array_equal(storage, value)
    assert g.version == version


def test_let_into_storage_that_machines_have_not_seen_makes_them_look_again(g):
    x = vector(g, 3)
    let(x, [1, 2, 3])
    assert g.version == 1


def test_let_after_unbind_all_binds_again(g):
    x = scalar(g, value=1.0)
    g.unbind_all()
    let(x, 2.0)
    assert x.value == 2.0


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 1, 2)])
def test_let_in_every_dtype_and_rank(g, dtype, shape):
    x, value = tensor(g, shape, dtype=dtype), np.ones(shape, dtype)
    let(x, value[::-1] if shape else value)
    assert x.value.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(x.value, value)


def test_let_takes_strided_views(g):
    x, array = matrix(g, (3, 2), dtype="float64"), np.arange(12.0).reshape(2, 6)
    let(x, array[:, ::2].T)
    np.testing.assert_array_equal(x.value, array[:, ::2].T)
    assert x.storage is not None
    assert x.storage.flags.c_contiguous


@pytest.mark.parametrize(
    ("value", "error", "texts"),
    [
        ([1.0, 2.0], ShapeError, ["got     shape (2,)", "needs   shape (3,)"]),
        (1.0, ShapeError, ["got     shape ()"]),
        (np.ones((1, 3), np.float32), ShapeError, ["got     shape (1, 3)"]),
        ("abc", BindingError, ["got     str"]),
        (None, BindingError, []),
        ([[1], [1, 2], 3], BindingError, []),
        ([1j, 0, 0], BindingError, []),
        (S(3), BindingError, []),
        (slice(0, 3), BindingError, []),
        ([1e39, 0, 0], BindingError, ["a number too large", "needs   numbers within float32"]),
    ],
)
def test_let_refuses_what_does_not_fit(g, value, error, texts):
    x = vector(g, 3, name="x", value=[7, 8, 9])
    for act in (lambda: let(x, value), lambda: unsafe_let(x, value)):
        refused(g, error, act, "x: float32[3]", f"node    made at {x.origin}", *texts)


def test_let_refuses_to_turn_floats_into_whole_numbers(g):
    ids = vector(g, 2, dtype="int64", name="ids")
    refused(g, DTypeError, lambda: let(ids, [0.0, 1.0]), "got     dtype float64", "needs   dtype int64")


def test_let_is_for_inputs_only(g):
    x, c = matrix(g, (4, 2), name="x", value=np.zeros((4, 2))), constant(g, 1.0)
    row, y = x[1], x + 1.0
    refused(
        g, BindingError, lambda: let(row, [1.0, 2.0]), "got     a node computed by slice", "unsafe_let(%2, position)"
    )
    refused(
        g, BindingError, lambda: let(y, np.ones((4, 2))), "a node computed by add", f"gf.unsafe_let({y.label}, value)"
    )
    refused(g, BindingError, lambda: let(c, 2.0), "got     a constant", "gf.node_from_any")


def test_let_tells_nodes_from_values(g):
    x, y = scalar(g, name="x"), scalar(g, name="y", value=1.0)
    for act in (lambda: let(x, y), lambda: unsafe_let(x, y), lambda: unsafe_let(x + 1.0, y)):
        with pytest.raises(BindingError, match="y: float32.* is a node"):
            act()
    refused(g, GraphError, lambda: let("x", 1.0), "'x' is no node")
    refused(g, GraphError, lambda: unsafe_let(None, 1.0), "None is no node")


# --- storage ---------------------------------------------------------------------------------------------------------


def test_storage_is_made_once_and_binds_nothing(g):
    x = matrix(g, (2, 3), dtype="int64")
    first = allocate(x)
    assert allocate(x) is first
    assert TensorType(first.dtype, first.shape) == x.type
    assert not x.is_bound
    store(x, np.ones((2, 3), np.int64))
    assert x.storage is first
    assert x.is_bound


def test_memory_that_is_not_there_is_refused(g, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    x = vector(g, 1000, name="x")
    monkeypatch.setattr(np, "zeros", no_memory)
    with pytest.raises(BindingError, match="there is no memory for x: float32") as caught:
        allocate(x)
    assert caught.value.got == "4000 bytes"


def test_values_of_adopted_parameters_go_into_their_block(g):
    w, b = matrix(g, (2, 2), value=[[1, 0], [0, 1]]), vector(g, 2, value=[1.0, 2.0])
    adopt_parameters(g, [w, b])
    block = block_of(b)
    assert block is not None
    np.testing.assert_array_equal(block.values, [1, 0, 0, 1, 1, 2])
    let(b, [5.0, 6.0])
    np.testing.assert_array_equal(block.values, [1, 0, 0, 1, 5, 6])


# --- unsafe_let: inputs and computed nodes ---------------------------------------------------------------------------


def test_unsafe_let_of_an_input_is_let(g):
    x = vector(g, 2)
    unsafe_let(x, [1, 2])
    np.testing.assert_array_equal(x.value, [1, 2])
    refused(g, BindingError, lambda: unsafe_let(x, None), "is an input", "got     None")


def test_unsafe_let_of_a_constant_is_refused(g):
    c = constant(g, [1.0, 2.0], name="c")
    for value in ([3.0, 4.0], None, 1):
        refused(g, BindingError, lambda value=value: unsafe_let(c, value), "c: float32[2] is a constant")


@pytest.mark.parametrize("request_", [S(0), S(0, 2), slice(0, 2), (S(0), 1), (slice(0, 1),)])
def test_a_slice_given_to_what_is_none_is_refused(g, request_):
    x = vector(g, 2, name="x", value=[1, 2])
    for node in (x, constant(g, [1.0, 2.0]), x + 1.0):
        before = picture(g)
        with pytest.raises(BindingError, match="has no position"):
            unsafe_let(node, request_)
        assert picture(g) == before


def test_an_override_replaces_the_computed_value_until_it_is_taken_back(g):
    x = vector(g, 2, value=[1.0, 2.0])
    y = x + 1.0
    version = g.version
    array = np.array([5.0, 6.0], np.float32)
    unsafe_let(y, array)
    array[:] = 0
    np.testing.assert_array_equal(y.value, [5, 6])
    assert g.version == version + 1

    held = g.overrides[y.id]
    unsafe_let(y, [7, 8])
    assert g.overrides[y.id] is held
    np.testing.assert_array_equal(held, [7, 8])
    assert g.version == version + 1

    unsafe_let(y, None)
    assert g.overrides == {}
    assert g.version == version + 2
    unsafe_let(y, None)
    assert g.version == version + 2
    with pytest.raises(ValueNotKept):
        y.value  # noqa: B018 - reading it is what is tried


def test_an_override_is_checked_like_any_value(g):
    y = vector(g, 2, value=[1, 2]) + 1.0
    unsafe_let(y, [3, 4])
    refused(g, ShapeError, lambda: unsafe_let(y, [1, 2, 3]), "got     shape (3,)", f"node    made at {y.origin}")
    refused(g, BindingError, lambda: unsafe_let(y, "no"))


@pytest.mark.parametrize("make", [gf.TapeMachine, gf.LispMachine])
def test_machines_follow_an_override(g, make):
    x = vector(g, 2, value=[1.0, 2.0])
    y = x + 1.0
    cost = gf.sum(y * y)
    machine = make(g)
    found = []
    for value in (None, [1, 1], [2, 1], None):
        unsafe_let(y, value)
        machine.run_all()
        found.append(float(cost.value))
    assert found == [13.0, 2.0, 5.0, 13.0]


# --- read and set_ ---------------------------------------------------------------------------------------------------


def test_read_registers_once_and_makes_machines_look_again(g):
    y = scalar(g, value=2.0) * 3.0
    version = g.version
    reading, again = read(y), read(y)
    assert reading.node is again.node is y
    assert g.reads == {y.id: y}
    assert g.version == version + 1
    with pytest.raises(FrozenInstanceError):
        reading.node = y


def test_reading_before_a_run_says_so(g):
    x = scalar(g)
    with pytest.raises(ValueNotKept):
        read(x * 2.0).value  # noqa: B018 - reading it is what is tried
    with pytest.raises(UnboundError):
        read(x).value  # noqa: B018 - reading it is what is tried
    with pytest.raises(GraphError, match="3 is no node"):
        read(3)


def test_a_reading_is_kept_by_machines_made_before_it(g):
    x = scalar(g, value=2.0)
    middle = gf.square(x) + x
    cost = gf.tanh(middle)
    machine = gf.TapeMachine(g, outputs=[cost])
    machine.run_all()
    reading = read(middle)
    let(x, 3.0)
    machine.run_all()
    assert reading.value == 12.0
    reading.value[...] = 0
    assert reading.value == 12.0


@pytest.mark.parametrize("make", [gf.TapeMachine, gf.LispMachine])
def test_set_writes_at_the_end_of_every_run(g, make):
    x, total = scalar(g, value=2.0), scalar(g, value=10.0)
    after = total + x
    set_(total, after)
    machine = make(g)
    for expected in (12.0, 14.0, 16.0):
        machine.run_all()
        assert total.value == expected
        assert after.value == expected
    let(total, 0.0)
    machine.run_all()
    assert total.value == 2.0


@pytest.mark.parametrize("make", [gf.TapeMachine, gf.LispMachine])
def test_two_targets_can_change_places(g, make):
    a, b = scalar(g, value=1.0), scalar(g, value=2.0)
    set_(a, b * 1.0)
    set_(b, a * 1.0)
    make(g).run_all()
    assert (a.value, b.value) == (2.0, 1.0)


def test_set_registers_the_latest_source(g):
    target, one, two = scalar(g, value=0.0), scalar(g, value=1.0), scalar(g, value=2.0)
    version = g.version
    set_(target, one)
    set_(target, one)
    assert g.version == version + 1
    set_(target, two)
    assert g.version == version + 2
    assert g.assignments == {target.id: (target, two)}


def test_the_target_of_set_has_storage_though_it_has_no_value(g):
    target = scalar(g)
    set_(target, scalar(g, value=1.0))
    assert target.storage is not None
    assert not target.is_bound


def test_set_refuses_what_cannot_be_written(g):
    x, y = vector(g, 2, name="x", value=[1, 2]), vector(g, 3, name="y", value=[1, 2, 3])
    c = constant(g, [1.0, 2.0])
    ids = vector(g, 2, dtype="int64", name="ids")
    row = x[0]
    z = x + 1.0
    refused(g, BindingError, lambda: set_(z, x), "is no input", f"node    made at {z.origin}")
    refused(g, BindingError, lambda: set_(c, x), "is no input")
    refused(g, ShapeError, lambda: set_(x, y), "cannot write y: float32[3] into x: float32[2]", "needs   shape (2,)")
    refused(g, ShapeError, lambda: set_(x, row), "got     shape ()")
    refused(g, DTypeError, lambda: set_(ids, x), "try     gf.cast(x, 'int64')")
    refused(g, GraphError, lambda: set_(x, vector(ExprGraph(), 2)), "belongs to another graph")
    refused(g, GraphError, lambda: set_(x, [1.0, 2.0]), "is no node")
