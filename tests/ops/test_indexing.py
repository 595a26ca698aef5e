"""gather and scatter_add: values against numpy, each the adjoint of the other, ids out of range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.dtypes import bool_, int64
from graphflow.errors import BindingError, PositionError
from graphflow.ops.indexing import Gather, ScatterAdd, scatter_add
from graphflow.ops.sampling import integers, numbers
from tests.ops.elementwise import assert_gradients_match_differences, gradients, run

few = settings(max_examples=40)


@st.composite
def lookups(draw):
    """The shapes of a table and of ids into it; a table without rows has no ids."""
    table = (draw(st.integers(0, 4)), *draw(st.lists(st.integers(0, 3), max_size=2)))
    ids = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    return table, ids if table[0] else (*ids, 0)


@few
@given(lookups())
def test_gather_is_indexing(case):
    shape, id_shape = case
    table, ids = numbers(*shape), integers(*id_shape, high=max(shape[0], 1))
    np.testing.assert_array_equal(run(gf.gather, table, ids), table[ids])


@few
@given(lookups())
def test_scatter_add_is_the_adjoint_of_gather(case):
    shape, id_shape = case
    table, ids = numbers(*shape), integers(*id_shape, high=max(shape[0], 1))
    updates = numbers(*id_shape, *shape[1:], seed=1)
    found = run(lambda ids, updates: scatter_add(ids, updates, shape[0]), ids, updates)
    assert found.shape == shape
    np.testing.assert_allclose((found * table).sum(), (updates * table[ids]).sum(), rtol=1e-12, atol=1e-12)


def test_repeated_ids_add_up():
    updates = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    found = run(lambda u: scatter_add([2, 0, 2], u, 4), updates)
    np.testing.assert_array_equal(found, [[10.0, 20.0], [0.0, 0.0], [101.0, 202.0], [0.0, 0.0]])


@pytest.mark.parametrize("ids", [[3, 0, 3], (1, 2), np.array([[0, 1]]), np.array([4], np.uint8), 2, np.int32(1), []])
def test_ids_may_be_written_as_numbers(ids):
    table = numbers(5, 3)
    found = run(lambda table: gf.gather(table, ids), table)
    np.testing.assert_array_equal(found, table[np.asarray(ids, np.int64)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_a_table_of_any_dtype(dtype):
    table = (numbers(5, 2) > 0).astype(dtype)
    found = run(lambda table: gf.gather(table, [4, 4, 0]), table)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, table[[4, 4, 0]])


def test_whole_numbers_add_up():
    found = run(lambda u: scatter_add([1, 1], u, 2), np.array([2**60, 5]))
    assert found.dtype == np.int64
    assert found.tolist() == [0, 2**60 + 5]


def test_ids_change_between_runs():
    g = gf.ExprGraph()
    table = gf.matrix(g, (4, 2), value=numbers(4, 2).astype(np.float32), name="table")
    ids = gf.vector(g, 3, dtype=int64, name="ids")
    rows = gf.gather(table, ids)
    (gradient,) = gf.grad(gf.sum(rows), table)
    found = gf.read(rows)
    with gf.TapeMachine(g) as machine:
        for chosen in ([0, 1, 2], [3, 3, 3]):
            gf.let(ids, chosen)
            machine.run_all()
            np.testing.assert_array_equal(found.value, table.value[chosen])
            np.testing.assert_array_equal(gradient.value[:, 0], np.bincount(chosen, minlength=4))


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "first", "place"),
    [([0, 5], 5, r" at \[1\]"), ([-1, 7], -1, r" at \[0\]"), ([[0, 1], [9, -3]], 9, r" at \[1, 0\]"), (5, 5, "")],
)
def test_constant_ids_out_of_range_are_refused_at_once(ids, first, place):
    g = gf.ExprGraph()
    table = gf.matrix(g, (5, 3))
    updates = gf.tensor(g, np.shape(ids))
    given_ids = g.constant(ids)
    for build in (
        lambda: gf.gather(table, ids),
        lambda: gf.gather(table, given_ids),
        lambda: scatter_add(ids, updates, 5),
        lambda: scatter_add(given_ids, updates, 5),
    ):
        with pytest.raises(PositionError, match=rf"id {first}{place} is out of range"):
            build()
    assert len(g) == 3


def test_the_text_of_an_error():
    table = gf.matrix(gf.ExprGraph(), (5, 3))
    with pytest.raises(IndexError) as caught:
        gf.gather(table, [[1, 2], [3, 65]])
    lines = str(caught.value).splitlines()
    assert lines[:3] == ["gather: id 65 at [1, 1] is out of range", "  got     65", "  needs   ids from 0 to 4"]
    assert lines[3].startswith("  line    test_indexing.py:")


@pytest.mark.parametrize("bad", [[0, 4], [-1, 0], [2**62, 0]])
@pytest.mark.parametrize("machine_class", [gf.TapeMachine, gf.LispMachine])
def test_ids_out_of_range_are_refused_by_a_run_and_the_machine_goes_on(bad, machine_class):
    g = gf.ExprGraph()
    table = gf.matrix(g, (4, 2), value=numbers(4, 2).astype(np.float32))
    ids = gf.vector(g, 2, dtype=int64)
    rows = gf.gather(table, ids)
    added = scatter_add(ids, rows, 4)
    gf.read(rows)
    gf.read(added)
    machine = machine_class(g)
    gf.let(ids, bad)
    with pytest.raises(PositionError, match="out of range"):
        machine.run_all()
    gf.let(ids, [3, 3])
    machine.run_all()
    np.testing.assert_array_equal(rows.value, table.value[[3, 3]])
    np.testing.assert_array_equal(added.value[3], 2 * table.value[3])


@pytest.mark.parametrize("bad", [[0, 4], [-1, 0]])
def test_ids_out_of_range_are_refused_by_the_numpy_evaluation(bad):
    with pytest.raises(PositionError, match="gather: id"):
        Gather().evaluate(numbers(4, 2), np.array(bad))
    with pytest.raises(PositionError, match="scatter_add: id"):
        ScatterAdd(4).evaluate(np.array(bad), numbers(2))


@pytest.mark.parametrize(
    ("ids", "error"),
    [([0.0, 1.0], gf.DTypeError), ([True, False], gf.DTypeError), ("abc", BindingError), ([[0], [1, 2]], BindingError)],
)
def test_what_is_no_ids_is_refused(ids, error):
    g = gf.ExprGraph()
    table = gf.matrix(g, (5, 3), name="table")
    with pytest.raises(error, match="gather"):
        gf.gather(table, ids)
    with pytest.raises(error, match="scatter_add"):
        scatter_add(ids, table, 5)
    assert len(g) == 1


def test_nodes_that_are_no_ids_are_refused():
    g = gf.ExprGraph()
    table, ids = gf.matrix(g, (5, 3)), gf.vector(g, 2, name="ids")
    with pytest.raises(gf.DTypeError, match=r"gf\.cast\(ids, 'int64'\)"):
        gf.gather(table, ids)
    with pytest.raises(gf.DTypeError, match=r"scatter_add: ids: float32\[2\] are no ids"):
        scatter_add(ids, ids, 5)
    with pytest.raises(gf.ShapeError, match="gather: c: float32.* has no rows"):
        gf.gather(gf.scalar(g, name="c"), [0])


def test_what_cannot_be_scattered_is_refused():
    g = gf.ExprGraph()
    flags, updates = gf.vector(g, 2, dtype=bool_), gf.matrix(g, (2, 3), name="u")
    ids = gf.vector(g, 3, dtype=int64, name="ids")
    with pytest.raises(gf.DTypeError, match="cannot add up"):
        scatter_add([0, 1], flags, 3)
    with pytest.raises(gf.ShapeError, match=r"scatter_add: cannot add u: float32\[2, 3\] at ids: int64\[3\]"):
        scatter_add(ids, updates, 3)
    for rows in (-1, 2.5, "3", None):
        with pytest.raises(gf.ShapeError, match="scatter_add: rows="):
            scatter_add(ids, updates, rows)
    with pytest.raises(gf.GraphflowError, match="is no node"):
        gf.gather([[1.0]], [0])
    assert len(g) == 3


# --- gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [[0, 2, 2, 0], 1, [[3, 3], [0, 1]], []])
def test_gradients_match_differences(ids):
    assert_gradients_match_differences(lambda table: gf.gather(table, ids), numbers(4, 3))
    assert_gradients_match_differences(lambda u: scatter_add(ids, u, 4), numbers(*np.shape(ids), 2))


def test_the_gradient_of_the_gradient_matches_differences():
    def gradient(table):
        rows = gf.gather(table, [1, 1, 3])
        return gf.grad(gf.sum(rows * rows * rows), table)[0]

    assert_gradients_match_differences(gradient, numbers(4, 2))


def test_rows_that_are_not_looked_up_get_zeros():
    (found,), weights = gradients(lambda table: gf.gather(table, [2, 0]), numbers(4, 2))
    np.testing.assert_array_equal(found, [weights[1], [0.0, 0.0], weights[0], [0.0, 0.0]])
