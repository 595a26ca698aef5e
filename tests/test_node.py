from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest

from graphflow import node as node_module
from graphflow.construct import constant, matrix, scalar, tensor, vector
from graphflow.dtypes import float32, int64
from graphflow.errors import DTypeError, GradientError, GraphError, ShapeError, UnboundError, ValueNotKept
from graphflow.graph import ExprGraph
from graphflow.op import OPERATORS, Operators
from graphflow.ops.arithmetic import add


@pytest.fixture
def g():
    return ExprGraph()


# --- what it is ------------------------------------------------------------------------------------------------------


def test_its_type_in_parts(g):
    node = tensor(g, (2, 3, 4), dtype="int64")
    assert (node.shape, node.dtype, node.dims, node.ndim, node.size) == ((2, 3, 4), int64, 3, 3, 24)


def test_rank_has_names(g):
    nodes = (scalar(g), vector(g, 1), matrix(g, (1, 1)), tensor(g, (1, 1, 1)))
    flags = [(node.is_scalar, node.is_vector, node.is_matrix) for node in nodes]
    assert flags == [(True, False, False), (False, True, False), (False, False, True), (False, False, False)]


def test_inputs_constants_and_computed_nodes(g):
    x, c = scalar(g), constant(g, 2.0)
    y = add(x, c)
    assert [(node.is_input, node.is_constant) for node in (x, c, y)] == [(True, False), (False, True), (False, False)]


def test_its_texts(g):
    x, y = vector(g, 2, name="x"), vector(g, 2)
    z = add(x, y)
    assert [node.label for node in (x, y, z)] == ["x", "%1", "%2"]
    assert [str(node) for node in (x, y)] == ["x: float32[2]", "%1: float32[2]"]
    assert repr(x) == "<Node x: float32[2] = input>"
    assert repr(constant(g, [1.0, 2.0], name="c")) == "<Node c: float32[2] = constant>"
    assert repr(z) == "<Node %2: float32[2] = add(x, %1)>"


def test_nothing_can_be_hung_on_a_node(g):
    with pytest.raises(AttributeError):
        scalar(g).note = "mine"


# --- its value -------------------------------------------------------------------------------------------------------


def test_the_value_of_an_input_is_a_copy(g):
    x = vector(g, 2, value=[1.0, 2.0])
    x.value[:] = 9
    np.testing.assert_array_equal(x.value, [1.0, 2.0])


def test_an_input_without_a_value_says_so(g):
    x = scalar(g, name="x")
    with pytest.raises(UnboundError, match=r"x: float32\[\] has no value") as caught:
        x.value  # noqa: B018 - reading it is what is tried
    assert caught.value.hint == "gf.let(x, ...)"
    assert f"made at {x.origin}" in str(caught.value)


def test_a_computed_node_without_a_run_says_what_to_do(g):
    y = add(scalar(g, value=1.0), 1.0)
    with pytest.raises(ValueNotKept, match="has no value") as caught:
        y.value  # noqa: B018 - reading it is what is tried
    assert "gf.read(node)" in str(caught.value)


def test_a_computed_node_reads_from_its_machine(g):
    y = add(scalar(g), 1.0)
    y.holder = SimpleNamespace(read=lambda node: np.full(node.shape, node.id))
    assert y.value == y.id


def test_an_override_is_the_value_and_a_copy(g):
    y = add(scalar(g), 1.0)
    g.overrides[y.id] = np.array(4.0, np.float32)
    y.value[...] = 5
    assert y.value == 4.0


def test_grad_is_the_value_of_the_gradient_node(g):
    x, dx = scalar(g), scalar(g, value=7.0)
    g.gradients[x.id] = dx
    assert x.grad == 7.0


def test_grad_of_a_machine_that_goes_node_by_node_is_a_copy(g):
    x = vector(g, 1)
    g.eager_gradients[x.id] = np.array([3.0])
    x.grad[:] = 4
    np.testing.assert_array_equal(x.grad, [3.0])


def test_without_a_gradient_grad_says_so(g):
    w = scalar(g, name="w")
    with pytest.raises(GradientError, match=r"w: float32\[\] has no gradient") as caught:
        w.grad  # noqa: B018 - reading it is what is tried
    assert caught.value.hint == "gf.grad(cost, w)"


# --- operators -------------------------------------------------------------------------------------------------------


class Recorder:
    """Stands for the table of operators and notes what is asked of it."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        return lambda *arguments, **keywords: self.asked.append((name, arguments, keywords)) or self


@pytest.fixture
def asked(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(node_module, "OPERATORS", recorder)
    return recorder.asked


BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "hadamard_prod": lambda a, b: a * b,
    "hadamard_div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "matmul": lambda a, b: a @ b,
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    "other", [2.0, [1.0, 2.0], np.ones(2), np.float64(3.0)], ids=["float", "list", "array", "scalar"]
)
def test_operators_keep_the_order_of_their_operands(g, asked, name, other):
    x = vector(g, 2)
    BINARY[name](x, other)
    BINARY[name](other, x)
    (first, left, _), (second, right, _) = asked
    assert (first, second) == (name, name)
    assert left[0] is x
    assert left[1] is other
    assert right[0] is other
    assert right[1] is x


@pytest.mark.parametrize(
    ("name", "compare"),
    [
        ("lt", lambda a, b: a < b),
        ("le", lambda a, b: a <= b),
        ("gt", lambda a, b: a > b),
        ("ge", lambda a, b: a >= b),
        ("eq", lambda a, b: a == b),
        ("ne", lambda a, b: a != b),
    ],
)
def test_comparisons_are_made_element_by_element(g, asked, name, compare):
    x = vector(g, 2)
    compare(x, 1.0)
    assert asked == [(name, (x, 1.0), {})]


def test_the_remaining_operators_and_methods(g, asked):
    x = matrix(g, (2, 3))
    for use in (lambda: -x, lambda: abs(x), lambda: x[1, :], lambda: x.T, lambda: x.astype("float64")):
        use()
    x.sum()
    x.sum(0, keepdims=True)
    x.reshape(3, 2)
    x.reshape((3, 2))
    x.reshape(6)
    assert [(name, arguments[1:], keywords) for name, arguments, keywords in asked] == [
        ("neg", (), {}),
        ("abs", (), {}),
        ("slice_", ((1, slice(None)),), {}),
        ("transpose", (), {}),
        ("cast", ("float64",), {}),
        ("sum", (None,), {"keepdims": False}),
        ("sum", (0,), {"keepdims": True}),
        ("reshape", ((3, 2),), {}),
        ("reshape", ((3, 2),), {}),
        ("reshape", (6,), {}),
    ]
    assert all(arguments[0] is x for _, arguments, _ in asked)


def test_the_package_fills_in_every_operator():
    assert set(Operators.__annotations__) == set(vars(OPERATORS))


def test_a_numpy_array_on_the_left_gives_a_node(g):
    x = vector(g, 3)
    node = np.ones(3) + x
    assert node.op is not None
    assert node.op.name == "add"
    assert node.inputs[1] is x


# --- as a Python object ----------------------------------------------------------------------------------------------


def test_nodes_are_told_apart_by_identity_in_sets_and_dicts(g):
    x, y = scalar(g, name="x"), scalar(g, name="x")
    before = len(g)
    assert len({x, y, x}) == 2
    assert {x: 1, y: 2}[y] == 2
    assert len(g) == before


def test_length_and_iteration_follow_the_first_axis(g):
    x = matrix(g, (3, 2))
    assert len(x) == 3
    rows = list(x)
    assert [row.shape for row in rows] == [(2,), (2,), (2,)]
    with pytest.raises(ShapeError, match="has no length"):
        len(scalar(g))
    with pytest.raises(ShapeError):
        list(scalar(g))


@pytest.mark.parametrize("use", [bool, lambda node: 1 if node else 2, lambda node: not node, lambda node: node and 1])
def test_a_node_is_neither_true_nor_false(g, use):
    x = vector(g, 2, name="x")
    with pytest.raises(GraphError, match="x: float32.* is neither true nor false") as caught:
        use(x)
    assert f"made at {x.origin}" in str(caught.value)


@pytest.mark.parametrize("use", [np.asarray, np.array, lambda node: np.array([node, node])])
def test_a_node_is_no_array(g, use):
    with pytest.raises(GraphError, match="is no numpy array"):
        use(scalar(g, value=1.0))


@pytest.mark.parametrize("use", [np.sin, lambda node: np.add(node, 1.0, dtype="float64")])
def test_numpy_functions_do_not_take_nodes(g, use):
    with pytest.raises(TypeError):
        use(scalar(g))


@pytest.mark.parametrize("use", [float, int, math.sqrt])
def test_a_node_is_no_number(g, use):
    with pytest.raises(TypeError):
        use(scalar(g, value=1.0))


def test_copies_of_a_node_are_the_node(g):
    x = scalar(g)
    assert copy.copy(x) is x
    assert copy.deepcopy([x])[0] is x


def test_nodes_are_not_pickled(g):
    with pytest.raises(GraphError, match="save_checkpoint"):
        scalar(g).__reduce_ex__(5)


def test_a_node_remembers_the_line_that_made_it(g):
    x = scalar(g)
    y = x + 1.0
    assert x.origin.function == "test_a_node_remembers_the_line_that_made_it"
    assert x.origin.line < y.origin.line
    assert x.dtype == float32


@pytest.mark.parametrize(
    "function", [np.sum, np.max, np.mean, np.var, np.argmax, np.clip, np.transpose, np.ravel, np.shape, np.array_equal]
)
def test_functions_of_numpy_are_refused_with_one_message(function):
    """numpy would call the node's own method of that name, with arguments that it does not have."""
    g = ExprGraph()
    x = vector(g, 3, name="x")
    arguments = {np.clip: (0.0, 1.0), np.array_equal: (x,)}.get(function, ())
    with pytest.raises(DTypeError, match=rf"^numpy.{function.__name__} cannot be applied to x: float32\[3\]\n  got "):
        function(x, *arguments)
    with pytest.raises(DTypeError, match="^numpy.stack cannot be applied to x"):
        np.stack([np.zeros(3), x])
    assert len(g) == 1
