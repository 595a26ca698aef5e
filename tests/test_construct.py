from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.construct import constant, matrix, node_from_any, one_hot, scalar, tensor, vector
from graphflow.dtypes import bool_, float32, float64, int64
from graphflow.errors import (
    BindingError,
    DTypeError,
    GraphError,
    OptionError,
    PositionError,
    ShapeError,
    UnboundError,
)
from graphflow.graph import ExprGraph
from graphflow.initializers import gaussian_init, glorot_n, ones, zeroes
from tests.refusing import picture, refused

SHAPES = st.lists(st.integers(0, 4), max_size=5).map(tuple)


@pytest.fixture
def g():
    return ExprGraph()


# --- inputs ----------------------------------------------------------------------------------------------------------


def test_each_constructor_gives_its_rank(g):
    nodes = (
        scalar(g),
        vector(g, 3),
        vector(g, (3,)),
        matrix(g, (2, 3)),
        tensor(g, (2, 3, 4)),
        tensor(g, 5),
        tensor(g, ()),
    )
    assert [node.shape for node in nodes] == [(), (3,), (3,), (2, 3), (2, 3, 4), (5,), ()]
    assert all(node.is_input for node in nodes)
    assert all(node.dtype == float32 for node in nodes)


def test_sizes_may_be_numpy_numbers(g):
    assert vector(g, np.int64(3)).shape == (3,)
    assert matrix(g, np.array([2, 3])).shape == (2, 3)
    assert tensor(g, np.int32(4)).shape == (4,)


def test_the_origin_is_the_users_line(g):
    assert scalar(g).origin.function == "test_the_origin_is_the_users_line"


def test_the_name_is_kept(g):
    assert matrix(g, (1, 2), name="w").name == "w"
    assert scalar(g).name is None


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda g: vector(g, (2, 3)), "vector: wrong number of sizes"),
        (lambda g: vector(g, ()), "needs   one size"),
        (lambda g: matrix(g, 3), "needs   two sizes, rows and columns"),
        (lambda g: matrix(g, (1, 2, 3)), "got     the shape"),
        (lambda g: vector(g, -1), "a negative size"),
        (lambda g: vector(g, 2.5), "is no shape"),
        (lambda g: tensor(g, "23"), "is no shape"),
        (lambda g: tensor(g, None), "is no shape"),
        (lambda g: tensor(g, (2**40, 2**40)), "too large"),
        (lambda g: tensor(g, (1,) * 65), "65"),
        (lambda g: vector(g, vector(g, 2, name="n")), "n: float32.* is no shape"),
    ],
)
def test_shapes_that_are_none_are_refused(g, build, text):
    with pytest.raises(ShapeError, match=text):
        build(g)
    assert all(node.name == "n" for node in g)


@pytest.mark.parametrize("wrong", ["float16", "int32", complex, "number", object()])
def test_there_are_four_dtypes(g, wrong):
    before = picture(g)
    with pytest.raises(DTypeError, match="unknown dtype"):
        vector(g, 2, dtype=wrong)
    assert picture(g) == before


@pytest.mark.parametrize("wrong", [None, "g", 3, ExprGraph])
def test_the_first_argument_is_a_graph(wrong):
    for build in (scalar, lambda g: vector(g, 2), lambda g: constant(g, 1.0), lambda g: one_hot(g, 1, 2)):
        with pytest.raises(GraphError, match="the first argument is no graph"):
            build(wrong)


def test_a_part_of_a_graph_is_no_graph_to_add_to(g):
    with pytest.raises(GraphError, match="the first argument is no graph"):
        scalar(g.subgraph())


# --- values ----------------------------------------------------------------------------------------------------------


@given(SHAPES, st.sampled_from([float32, float64, int64, bool_]))
def test_a_value_is_bound_and_copied(shape, dtype):
    array = np.random.default_rng(1).integers(0, 2, shape).astype(dtype)
    node = tensor(ExprGraph(), shape, value=array)
    assert node.dtype == dtype
    expected = array.copy()
    array[...] = 1 - array.astype(int64)
    np.testing.assert_array_equal(node.value, expected)
    assert node.storage is not None
    assert node.storage.flags.c_contiguous
    assert node.storage.flags.writeable


def test_a_value_in_column_order_is_stored_in_row_order(g):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    node = matrix(g, (2, 3), value=array)
    assert node.storage is not None
    assert node.storage.flags.c_contiguous
    np.testing.assert_array_equal(node.value, array)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(1), float32),
        (np.float64(1), float64),
        (np.int64(1), int64),
        (np.bool_(1), bool_),
        (np.int32(1), int64),
        (np.uint8(1), int64),
        (np.float16(1), float32),
        (np.array(1.0), float64),
        (1.0, float32),
        (1, float32),
        (True, float32),
    ],
)
def test_the_dtype_of_an_input_is_float32_unless_a_numpy_value_has_one(g, value, expected):
    assert scalar(g, value=value).dtype == expected
    assert scalar(g, value=value, dtype="float64").dtype == float64


def test_lists_are_float32(g):
    assert vector(g, 2, value=[1, 2]).dtype == float32
    assert matrix(g, (1, 1), value=[[np.float64(2)]]).dtype == float32


def test_without_a_value_an_input_is_unbound(g):
    with pytest.raises(UnboundError):
        scalar(g).value  # noqa: B018 - reading it is what is tried


def test_a_new_node_does_not_make_machines_look_again(g):
    scalar(g, value=1.0)
    vector(g, 3, init=ones())
    assert g.version == 0


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"value": [1.0, 2.0]}, ShapeError),
        ({"value": 1.0}, ShapeError),
        ({"value": [[1.0], [2.0], [3.0]]}, ShapeError),
        ({"value": [1.5, 2.0, 3.0], "dtype": "int64"}, DTypeError),
        ({"value": [1, 2, 3], "dtype": "bool"}, DTypeError),
        ({"value": [1e39, 0, 0], "dtype": "float32"}, BindingError),
        ({"value": "abc"}, BindingError),
        ({"value": [[1], [1, 2], 3]}, BindingError),
        ({"value": np.array(["a", "b", "c"])}, BindingError),
        ({"value": [1j, 2, 3]}, BindingError),
        ({"value": np.ones(3), "init": ones()}, OptionError),
        ({"value": [1, 2, 3], "name": 5}, OptionError),
        ({"init": zeroes}, OptionError),
        ({"init": glorot_n}, OptionError),
        ({"init": 0.0}, OptionError),
        ({"init": np.zeros(3)}, OptionError),
        ({"init": gaussian_init(), "dtype": "int64"}, DTypeError),
        ({"init": gaussian_init(), "name": b"w"}, OptionError),
        ({"init": gaussian_init(0, 1e300)}, BindingError),
        ({"init": lambda *three: three[2].normal(size=2)}, ShapeError),
        ({"init": lambda *_: "text"}, BindingError),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(g, keywords, error):
    refused(g, error, lambda: vector(g, 3, **keywords))


def test_the_message_for_a_wrong_value_names_the_node(g):
    with pytest.raises(ShapeError, match="cannot bind a value to x: float32") as caught:
        vector(g, 3, name="x", value=[1.0])
    assert (caught.value.got, caught.value.needs) == ("shape (1,)", "shape (3,)")


def test_a_forgotten_call_is_named(g):
    with pytest.raises(OptionError, match="init is not called") as caught:
        vector(g, 3, init=glorot_n)
    assert caught.value.hint == "init=glorot_n(...)"


def test_a_node_is_no_value(g):
    with pytest.raises(BindingError):
        scalar(g, value=scalar(g, value=1.0))


# --- initialisers ----------------------------------------------------------------------------------------------------


def test_an_initialiser_may_be_any_function_of_shape_dtype_and_generator(g):
    seen = []

    def init(shape, dtype, generator):
        seen.append((shape, dtype, generator))
        return np.full(shape, 2.5)

    node = matrix(g, (2, 3), dtype="float64", init=init)
    assert seen == [((2, 3), float64, g.generator)]
    np.testing.assert_array_equal(node.value, np.full((2, 3), 2.5))


def test_an_error_of_the_users_own_initialiser_passes_and_leaves_the_generator(g):
    def init(shape, dtype, generator):
        generator.normal()
        raise KeyError(shape)

    before = picture(g)
    with pytest.raises(KeyError):
        vector(g, 3, init=init)
    assert picture(g) == before


def test_memory_that_is_not_there_is_refused(g):
    def init(shape, dtype, generator):
        raise MemoryError

    before = picture(g)
    with pytest.raises(BindingError, match="there is no memory for w: float32") as caught:
        vector(g, 1000, name="w", init=init)
    assert caught.value.got == "4000 bytes"
    assert picture(g) == before


# --- constants -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, float32),
        (1, int64),
        (True, bool_),
        ([1.0, 2], float32),
        ([1, 2], int64),
        ([[True]], bool_),
        (np.float64(1), float64),
        (np.ones(2), float64),
        (np.ones(2, np.int32), int64),
    ],
)
@pytest.mark.parametrize("build", [constant, node_from_any])
def test_constants_and_nodes_from_anything_follow_their_value(g, build, value, expected):
    node = build(g, value)
    assert node.dtype == expected
    assert node.shape == np.shape(value)
    np.testing.assert_array_equal(node.value, value)
    assert build(g, value, dtype="float64").dtype == float64
    assert build(g, value, name="c").name == "c"


def test_constants_are_constant_and_nodes_from_anything_are_inputs(g):
    assert constant(g, 1.0).is_constant
    assert node_from_any(g, 1.0).is_input


@pytest.mark.parametrize("build", [constant, node_from_any])
@pytest.mark.parametrize("value", ["text", None, [[1], [1, 2]], 1j, {1: 2}])
def test_what_is_no_number_is_refused(g, build, value):
    with pytest.raises(BindingError):
        build(g, value)
    assert len(g) == 0


@pytest.mark.parametrize("build", [constant, node_from_any])
def test_a_dtype_that_would_lose_the_kind_is_refused(g, build):
    with pytest.raises(DTypeError):
        build(g, 1.5, dtype="int64")
    with pytest.raises(DTypeError, match="unknown dtype"):
        build(g, 1.5, dtype="float16")
    assert len(g) == 0


def test_a_node_comes_back_as_it_is(g):
    x = scalar(g)
    assert node_from_any(g, x) is x
    with pytest.raises(GraphError, match="belongs to another graph"):
        node_from_any(ExprGraph(), x)
    for keywords in ({"name": "y"}, {"dtype": "float32"}):
        with pytest.raises(OptionError, match="is a node already"):
            node_from_any(g, x, **keywords)
    assert len(g) == 1


@given(st.integers(1, 9), st.data())
def test_one_hot_is_a_row_of_the_identity(classes, data):
    position = data.draw(st.integers(0, classes - 1))
    dtype = data.draw(st.sampled_from(["float32", "float64", "int64", "bool"]))
    node = one_hot(ExprGraph(), position, classes, dtype, name="start")
    assert node.is_constant
    assert (node.name, node.dtype) == ("start", np.dtype(dtype))
    np.testing.assert_array_equal(node.value, np.eye(classes)[position])


@pytest.mark.parametrize(
    ("position", "classes", "error"),
    [
        (3, 3, PositionError),
        (-1, 3, PositionError),
        (0, 0, OptionError),
        (0, -2, OptionError),
        (1.0, 3, OptionError),
        ("1", 3, OptionError),
        (1, 3.0, OptionError),
        (1, None, OptionError),
        (1, 2**62, ShapeError),
    ],
)
def test_one_hot_refuses_what_is_out_of_range(g, position, classes, error):
    with pytest.raises(error):
        one_hot(g, position, classes)
    assert len(g) == 0


def test_one_hot_beyond_memory_is_refused(g, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(np, "zeros", no_memory)
    with pytest.raises(BindingError, match="there is no memory for one_hot: 1000 classes"):
        one_hot(g, 1, 1000)
    assert len(g) == 0


def test_one_hot_takes_numpy_ids(g):
    np.testing.assert_array_equal(one_hot(g, np.int64(1), np.int32(3)).value, [0, 1, 0])
