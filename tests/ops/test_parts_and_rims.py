"""Parts, rims, repeats and choices by ids against numpy, with gradients, on both backends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.loops import Concat, Gather, Place, Reshape, View
from graphflow.ops.sampling import integers, numbers
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import run, same_bits

few = settings(max_examples=30)
shapes = st.lists(st.integers(0, 3), min_size=1, max_size=5).map(tuple)


@pytest.fixture(params=available_backends())
def backend(request):
    return request.param


def value(function, backend, *arrays):
    g = gf.ExprGraph()
    y = function(*[gf.tensor(g, array.shape, value=array) for array in arrays])
    with gf.TapeMachine(g, outputs=y, backend=backend) as machine:
        machine.run_all()
        return y.value


def axis_of(data, shape):
    return data.draw(st.integers(-len(shape), len(shape) - 1))


# --- parts ------------------------------------------------------------------------------------------------------------


@few
@given(shape=shapes, data=st.data())
def test_parts_are_those_of_numpy(shape, data):
    axis = axis_of(data, shape)
    size = shape[axis]
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=3)))
    x = numbers(*shape)
    g = gf.ExprGraph()
    node = gf.tensor(g, shape, value=x)
    for how in (cuts, max(size, 1)):
        parts = gf.split(node, how, axis)
        expected = np.split(x, how, axis)
        assert [part.shape for part in parts] == [part.shape for part in expected]
        whole = gf.concat(parts, axis) * 1.0
        with gf.TapeMachine(g, outputs=[whole, *parts], keep="all") as machine:
            machine.run_all()
            assert same_bits(whole.value, x)
            assert all(same_bits(part.value, each) for part, each in zip(parts, expected, strict=True))


def test_unconcat_is_the_reverse_of_concat():
    g = gf.ExprGraph()
    x = gf.matrix(g, (4, 6), value=numbers(4, 6))
    parts = gf.unconcat(x, 1, 3)
    assert [part.shape for part in parts] == [(4, 2)] * 3
    check_gradient(lambda x: gf.concat([part * float(n) for n, part in enumerate(gf.split(x, 3, 1))], 1), numbers(2, 6))


@few
@given(shape=st.lists(st.integers(0, 3), max_size=4).map(tuple), data=st.data())
def test_flip_is_numpys(shape, data):
    axes = tuple(axis for axis in range(len(shape)) if data.draw(st.booleans())) or None
    x = numbers(*shape)
    assert same_bits(run(lambda x: gf.flip(x, axes) * 1.0, x), np.flip(x, axes))


def test_a_single_element_and_its_position():
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3), value=numbers(2, 3))
    element = gf.at(x, 1, -1) * 1.0
    gf.grad(element, x)
    with gf.TapeMachine(g) as machine:
        machine.run_all()
        assert element.value == x.value[1, 2]
        assert x.grad.tolist() == [[0, 0, 0], [0, 0, 1]]
        gf.unsafe_let(element.inputs[0], (0, 1))
        machine.run_all()
        assert element.value == x.value[0, 1]


def test_several_axes_at_once(backend):
    x = numbers(4, 5, 6)
    for function in (
        lambda x: x[1:, ::-1, 3],
        lambda x: x[::2, -2, ::-3],
        lambda x: x[-1, 1:4:2],
        lambda x: x[..., None, -1],
    ):
        assert same_bits(value(lambda x, function=function: function(x) * 1.0, backend, x), function(x) * 1.0)
        check_gradient(lambda x, function=function: gf.square(function(x)), x[:4, :4, :4])


# --- rims -------------------------------------------------------------------------------------------------------------


@few
@given(
    shape=st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple),
    mode=st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]),
    data=st.data(),
)
def test_rims_are_numpys(shape, mode, data):
    pairs = [(data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))) for _ in shape]
    x = numbers(*shape)
    options = {"value": data.draw(st.sampled_from([0.0, 2.5, -np.inf]))} if mode == "constant" else {}
    expected = np.pad(x, pairs, mode, **({"constant_values": options["value"]} if options else {}))
    assert same_bits(run(lambda x: gf.pad(x, pairs, mode, **options) * 1.0, x), expected * 1.0)


@pytest.mark.parametrize("widths", [1, (1, 2), [(0, 1), (2, 0)], [[1], [2]], np.array(2)], ids=str)
def test_spellings_of_widths(widths, backend):
    x = numbers(2, 3)
    assert same_bits(value(lambda x: gf.pad(x, widths) * 1.0, backend, x), np.pad(x, widths))
    whole = integers(2, 3)
    assert same_bits(
        value(lambda x: gf.pad(x, widths, value=7) * 1, backend, whole), np.pad(whole, widths, constant_values=7)
    )


def test_a_rim_of_truth():
    x = np.array([True, False])
    assert same_bits(run(lambda x: ~gf.pad(x, 1, value=True), x), ~np.pad(x, 1, constant_values=True))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_gradients_of_rims(mode):
    check_gradient(lambda x: gf.square(gf.pad(x, ((1, 2), (2, 1)), mode)), numbers(3, 3), order=2)


# --- repeats ----------------------------------------------------------------------------------------------------------


@few
@given(shape=st.lists(st.integers(0, 3), max_size=4).map(tuple), data=st.data())
def test_tiles_and_repeats_are_numpys(shape, data):
    x = numbers(*shape)
    times = tuple(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=5)))
    assert same_bits(run(lambda x: gf.tile(x, times) * 1.0, x), np.tile(x, times))
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1)) if shape else None
    assert same_bits(run(lambda x: gf.repeat(x, times[0], axis) * 1.0, x), np.repeat(x, times[0], axis))
    each = data.draw(st.lists(st.integers(0, 3), min_size=x.size, max_size=x.size))
    if each:
        assert same_bits(run(lambda x: gf.repeat(x, each) * 1.0, x), np.repeat(x, each))


def test_gradients_of_repeats():
    check_gradient(lambda x: gf.square(gf.tile(x, (2, 3))), numbers(2, 3))
    check_gradient(lambda x: gf.square(gf.repeat(x, 2, axis=1)), numbers(2, 3))
    check_gradient(lambda x: gf.square(gf.repeat(x, [2, 0, 1], axis=1)), numbers(2, 3))


# --- ids --------------------------------------------------------------------------------------------------------------


@few
@given(shape=st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple), data=st.data())
def test_choices_by_ids_are_numpys(shape, data):
    axis = axis_of(data, shape)
    size = shape[axis]
    ids = integers(*data.draw(st.lists(st.integers(0, 3), max_size=3)), low=-size, high=size)
    x = numbers(*shape)
    expected = np.take(x, ids, axis)
    assert same_bits(run(lambda x: gf.by_indices(x, ids, axis) * 1.0, x), expected)
    assert same_bits(run(lambda x, i: gf.by_indices(x, i, axis) * 1.0, x, ids % size), expected)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_gradients_of_choices_along_every_axis(axis):
    """Along other axes than the first it was wrong in Gorgonia."""
    check_gradient(lambda x: gf.square(gf.by_indices(x, [2, 0, 2], axis)), numbers(3, 3, 3), order=2)


def test_keys_with_ids_beside_ranges(backend):
    x, ids = numbers(4, 5, 3), np.array([[2, 0], [1, 2]])
    for function in (
        lambda x, i: x[:, i], lambda x, i: x[..., i], lambda x, i: x[1:3, i, ::-1], lambda x, i: x[i, 1:],
        lambda x, i: x[i, ..., 1:], lambda x, i: x[::-1, ..., i],
    ):  # fmt: skip
        expected = function(x, ids)
        assert same_bits(value(lambda x, function=function: function(x, ids) * 1.0, backend, x), expected)
        assert same_bits(value(lambda x, i, function=function: function(x, i) * 1.0, backend, x, ids), expected)
    assert same_bits(run(lambda x: x[:, [-1, 0]] * 1.0, x), x[:, [-1, 0]])


def test_one_hot_of_nodes(backend):
    ids = np.array([[2, 0], [1, 2]])
    for dtype in ("float32", "float64", "int64", "bool"):
        found = value(lambda i, dtype=dtype: gf.one_hot(i.graph, i, 3, dtype), backend, ids)
        assert same_bits(found, np.eye(3, dtype=dtype)[ids])


def test_a_class_that_does_not_exist(backend):
    g = gf.ExprGraph()
    ids = gf.vector(g, 2, dtype="int64", value=[0, 3])
    rows = gf.one_hot(g, ids, 3, name="rows")
    with gf.TapeMachine(g, backend=backend) as machine:
        with pytest.raises(gf.PositionError, match="the id 3 is out of range"):
            machine.run_all()
        gf.let(ids, [0, 2])
        machine.run_all()
        assert rows.value.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_sizes():
    g = gf.ExprGraph()
    x = gf.tensor(g, (2, 3, 4))
    assert (gf.size_of(x).value, gf.size_of(x, 1).value, gf.size_of(x, -1).value) == (24, 3, 4)
    assert gf.size_of(x).dtype == gf.int64


# --- what it is made of -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (lambda x: gf.flip(x, 1), (View,)),
        (lambda x: gf.tile(x, (2, 2)), (Reshape, View, Reshape)),
        (lambda x: gf.repeat(x, 2, axis=0), (Reshape, View, Reshape)),
        (lambda x: gf.pad(x, 1), (Place,)),
        (lambda x: gf.pad(x, ((0, 0), (1, 0)), value=2.0), (View, Concat)),
        (lambda x: gf.by_indices(x, [1, 0], axis=1), (View, Gather, View)),
        (lambda x: gf.split(x, 2), (View, View)),
    ],
)
def test_loop_forms(function, kinds):
    """Views wherever the elements only move; what gathers and joins has its own form; nothing calls numpy."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3))
    function(x)
    made = [node for node in g.nodes if node.op is not None]
    assert tuple(type(node.op.lower(*[each.type for each in node.inputs])) for node in made) == kinds


def test_methods_of_nodes():
    x = numbers(2, 1, 3)
    for method in (
        lambda x: x.transpose(), lambda x: x.transpose(2, 0, 1), lambda x: x.transpose((1, 0, 2)), lambda x: x.ravel(),
        lambda x: x.squeeze(), lambda x: x.squeeze(1), lambda x: x.reshape(3, -1), lambda x: x.T,
    ):  # fmt: skip
        assert same_bits(run(lambda x, method=method: method(x) * 1.0, x), method(x) * 1.0)


def test_lists_are_added_up_and_multiplied():
    x, y = numbers(2, 3), numbers(3, seed=1)
    np.testing.assert_allclose(run(lambda x, y: gf.reduce_add([x, y, 2.0, x]), x, y), x + y + 2.0 + x)
    np.testing.assert_allclose(run(lambda x, y: gf.reduce_mul([x, y, x]), x, y), x * y * x)
    node = gf.vector(gf.ExprGraph(), 3, name="node")
    assert gf.reduce_add([node]) is node
    for wrong in ([], node, [2.0, node]):
        with pytest.raises(gf.GraphError, match="^reduce_add: "):
            gf.reduce_add(wrong)
