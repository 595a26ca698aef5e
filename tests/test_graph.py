from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from graphflow import graph as graph_module
from graphflow.construct import matrix, scalar, vector
from graphflow.dtypes import bool_, float32, float64, int64
from graphflow.errors import (
    BindingError,
    DTypeError,
    GraphError,
    OpContractError,
    OptionError,
    ShapeError,
    UnboundError,
)
from graphflow.graph import DRAWING, Drawing, ExprGraph, Subgraph, ancestors, apply, check_nodes, constant_like, literal
from graphflow.op import Op
from graphflow.origin import user_origin
from graphflow.tensortype import TensorType


@dataclass(frozen=True)
class Together(Op, abstract=True):  # abstract: stays out of the registry, as it belongs to these tests alone
    """The sum of two equal things."""

    symbol = "together"

    def infer(self, x, y):
        if x.shape != y.shape:
            raise ShapeError(
                "cannot join {0} and {1}", got="two shapes", needs="one", hint="{0} + {1}", operands=[x, y]
            )
        return x

    def evaluate(self, x, y):
        return x + y

    def gradient(self, dy, y, *inputs):
        return dy, dy


@pytest.fixture
def g():
    return ExprGraph()


# --- growing ---------------------------------------------------------------------------------------------------------


def test_apply_appends_a_node_of_the_inferred_type(g):
    x, y = vector(g, 3, name="x"), vector(g, 3)
    z, origin = g.apply(Together(), (x, y), "z"), user_origin()
    assert g.nodes == (x, y, z)
    assert (z.id, z.name, z.inputs, z.op) == (2, "z", (x, y), Together())
    assert z.type == TensorType(float32, (3,))
    assert str(z.origin) == str(origin)


def test_what_the_op_refuses_is_told_in_the_names_of_the_nodes_and_appends_nothing(g):
    x, y = vector(g, 3, name="x"), vector(g, 4)
    with pytest.raises(ShapeError) as caught:
        g.apply(Together(), (x, y))
    assert str(caught.value).splitlines()[:-1] == [
        "together: cannot join x: float32[3] and %1: float32[4]",
        "  got     two shapes",
        "  needs   one",
        "  try     x + %1",
    ]
    assert str(caught.value).splitlines()[-1].startswith("  line    test_graph.py:")
    assert len(g) == 2


def test_nodes_of_two_graphs_do_not_mix(g):
    x, other = scalar(g, name="x"), scalar(ExprGraph(), name="far")
    with pytest.raises(GraphError, match="far: float32.* belongs to another graph") as caught:
        apply(Together(), x, other)
    assert f"made at {other.origin}" in str(caught.value)
    assert len(g) == 1


def test_apply_makes_constants_of_what_is_no_node(g):
    x = vector(g, 2, dtype="float64")
    node = apply(Together(), [1, 2], x, name="sum")
    assert node.name == "sum"
    first, second = node.inputs
    assert second is x
    assert first.is_constant
    np.testing.assert_array_equal(first.value, [1.0, 2.0])
    assert first.dtype == float64


def test_what_the_op_refuses_leaves_no_constant_behind(g):
    x = vector(g, 3, name="x")
    with pytest.raises(ShapeError, match="cannot join x: float32.* and a constant: float32") as caught:
        apply(Together(), x, [1.0, 2.0])
    assert "try     x + the constant" in str(caught.value)
    assert len(g) == 1


def test_the_partner_of_constants_may_be_named(g):
    condition, x = vector(g, 2, dtype="bool"), vector(g, 2, dtype="float64")
    assert apply(Together(), condition, [1, 2], partner=x).inputs[1].dtype == float64
    assert apply(Together(), condition, [1, 2]).inputs[1].dtype == int64


@pytest.mark.parametrize("op", [Together, "tanh", int, None])
def test_apply_needs_an_operation(g, op):
    x = scalar(g)
    with pytest.raises(OpContractError, match="apply: this is no operation"):
        apply(op, x)
    assert len(g) == 1


def test_apply_needs_a_node():
    with pytest.raises(GraphError, match="no operand is a node") as caught:
        apply(Together(), 1.0, [2.0])
    assert caught.value.got == "float, list"
    with pytest.raises(GraphError) as caught:
        apply(Together())
    assert caught.value.got == "nothing"


@pytest.mark.parametrize(
    ("value", "partner", "expected"),
    [
        (2, float32, float32),
        (2.5, float64, float64),
        (np.float64(2.5), float32, float32),
        (np.arange(3), float32, float32),
        (2, int64, int64),
        (2.5, int64, float32),
        (True, float32, bool_),
        (2, bool_, int64),
    ],
)
def test_constants_take_the_dtype_of_their_partner_where_no_kind_is_lost(g, value, partner, expected):
    x = scalar(g, dtype=partner)
    found = literal(value, x)
    assert found.type == TensorType(expected, np.shape(value))
    assert len(g) == 1
    node = constant_like(found, x)
    assert node.type == found.type
    np.testing.assert_array_equal(node.value, value)


def test_a_leaf_is_an_input_without_a_value(g):
    leaf = g.leaf(TensorType(float32, (2,)), "x")
    assert leaf.is_input
    assert leaf.storage is None
    with pytest.raises(UnboundError):
        leaf.value  # noqa: B018 - reading it is what is tried


def test_a_name_is_text(g):
    for wrong in (3, b"x", ("x",)):
        with pytest.raises(OptionError, match="a name must be text"):
            g.leaf(TensorType(float32, ()), wrong)
    assert len(g) == 0
    node = g.leaf(TensorType(float32, ()), "x")
    with pytest.raises(OptionError, match="a name must be text"):
        node.name = 5
    assert node.name == "x"
    node.name = None
    assert node.label == "%0"
    with pytest.raises(OptionError, match=r"ExprGraph: a name must be text[^$]*try     seed="):
        ExprGraph(7)


@pytest.mark.parametrize("act", [lambda g: g.step("a"), lambda g: g.step(1.0), lambda g: g.scope(1)])
def test_a_step_is_a_number_and_a_scope_is_text(g, act):
    with pytest.raises(OptionError, match="step: this is no time step|scope: a name must be text"), act(g):
        pass
    assert (g.current_step, g.current_scope) == (None, "")
    with g.step(np.int64(3)):
        assert type(g.current_step) is int


def test_a_graph_is_indexed_by_number(g):
    x = g.leaf(TensorType(float32, ()), "x")
    assert g[0] is g[-1] is x
    with pytest.raises(GraphError, match=r"by_name\('x'\)"):
        g["x"]
    with pytest.raises(IndexError):
        g[1]


# --- constants -------------------------------------------------------------------------------------------------------


def test_equal_scalar_constants_are_one_node(g):
    assert g.constant(2.0) is g.constant(np.float32(2.0))
    assert g.constant(2.0) is not g.constant(2.0, dtype=float64)
    assert g.constant(2) is not g.constant(2.0)
    assert g.constant(0.0) is not g.constant(-0.0)
    assert g.constant(float("nan")) is g.constant(float("nan"))


def test_numbers_beside_nodes_are_told_apart_by_kind_sign_and_the_nodes_dtype(g):
    x, y = vector(g, 3), vector(g, 3, dtype=float64)
    used = [(x * number).inputs[1] for number in (2.0, 2, 0.0, -0.0, float("nan"))]
    assert [node.id for node in used] == [(x * number).inputs[1].id for number in (2.0, 2, 0.0, -0.0, float("nan"))]
    assert used[0] is used[1] is not (y * 2.0).inputs[1]
    assert [np.signbit(node.value).item() for node in used[2:4]] == [False, True]


def test_numbers_of_a_definition_that_fails_are_forgotten(g):
    x = vector(g, 3)

    def failing():
        with g.all_or_nothing():
            assert (x * 7.0).inputs[1].id == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert len(g) == 1
    y = vector(g, 3)
    assert (x * 7.0).inputs[1] is not y
    assert (y * 7.0).inputs[1].value == 7


def test_ops_without_attributes_are_shared_and_others_are_not(g):
    """Wherever attributes are kept: whatever differs in one is another op."""

    @dataclass(frozen=True, slots=True)
    class Widened(Op):
        to: int
        symbol = "widened"

        def infer(self, x):
            return TensorType(x.dtype, (self.to, *x.shape))

        def evaluate(self, x):
            return np.broadcast_to(x, (self.to, *x.shape))

        def gradient(self, dy, y, x):
            return (None,)

    class Undeclared(Widened):
        def __init__(self, to):
            object.__setattr__(self, "to", to)

    x = vector(g, 3)
    assert (x + x).op is (x + x).op
    for kind in (Widened, Undeclared):
        assert [apply(kind(to), x).shape for to in (2, 5)] == [(2, 3), (5, 3)]


def test_named_and_larger_constants_are_not_merged(g):
    assert g.constant(2.0, "two") is not g.constant(2.0)
    assert g.constant(2.0, "two") is not g.constant(2.0, "two")
    assert g.constant([2.0]) is not g.constant([2.0])


def test_a_constant_is_a_copy_that_cannot_be_written(g):
    array = np.ones((2, 2))
    node = g.constant(array)
    array[:] = 5
    np.testing.assert_array_equal(node.value, np.ones((2, 2)))
    assert node.storage is not None
    assert not node.storage.flags.writeable
    assert node.storage.flags.c_contiguous
    node.value[:] = 7
    np.testing.assert_array_equal(node.value, np.ones((2, 2)))


def test_a_column_order_constant_becomes_row_order(g):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    node = g.constant(array)
    assert node.storage is not None
    assert node.storage.flags.c_contiguous
    np.testing.assert_array_equal(node.storage, array)


def test_a_shared_constant_belongs_to_no_step_and_no_scope(g):
    with g.step(3), g.scope("lstm"):
        shared, own = g.constant(1.0), g.constant([1.0])
    assert (shared.step, shared.scope, shared.gradient_of) == (None, "", None)
    assert (own.step, own.scope) == (3, "lstm")


def test_what_is_no_number_is_no_constant(g):
    for wrong in ("text", [[1], [1, 2]], object(), None, 1j):
        with pytest.raises(BindingError):
            g.constant(wrong)
    with pytest.raises(DTypeError):
        g.constant(1.5, dtype=int64)
    assert len(g) == 0


# --- steps, scopes, gradients ----------------------------------------------------------------------------------------


def test_steps_and_scopes_are_recorded_and_nest(g):
    with g.step(0), g.scope("decoder"):
        with g.step(1), g.scope("lstm"):
            inner = scalar(g)
        outer = scalar(g)
    after = scalar(g)
    assert [(node.step, node.scope) for node in (inner, outer, after)] == [
        (1, "decoder/lstm"),
        (0, "decoder"),
        (None, ""),
    ]


def test_an_exception_leaves_steps_and_scopes_as_they_were(g):
    def fail():
        with g.step(1), g.scope("a"), g.deriving(user_origin()) as belongs_to:
            belongs_to(scalar(g))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    node = scalar(g)
    assert (node.step, node.scope, node.gradient_of) == (None, "", None)
    assert node.origin.function == "test_an_exception_leaves_steps_and_scopes_as_they_were"


def test_gradient_nodes_know_their_forward_node_and_its_place(g):
    with g.step(2), g.scope("cell"):
        forward = vector(g, 2)
    asked_at = user_origin()
    with g.deriving(asked_at) as belongs_to:
        belongs_to(forward)
        dx = g.apply(Together(), (forward, forward))
    assert dx.gradient_of is forward
    assert (dx.step, dx.scope, dx.origin) == (2, "cell", asked_at)


# --- looking ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def diamond(g):
    """X and y; s = x + y; t = s + s; u = x + x."""
    x, y = vector(g, 2, name="x"), vector(g, 2, name="y")
    s = apply(Together(), x, y, name="s")
    t = apply(Together(), s, s, name="t")
    u = apply(Together(), x, x, name="x")
    return SimpleNamespace(x=x, y=y, s=s, t=t, u=u)


def ids(nodes):
    return [node.id for node in nodes]


def test_inputs_roots_and_names(g, diamond):
    g.constant(1.0)
    assert ids(g.inputs) == [0, 1]
    assert ids(g.roots) == [3, 4, 5]
    assert ids(g.by_name("x")) == [0, 4]
    assert g.by_name("nobody") == ()


def test_a_graph_is_a_collection_of_its_nodes(g, diamond):
    assert len(g) == 5
    assert ids(g) == ids(g.nodes) == [0, 1, 2, 3, 4]
    assert g[2] is diamond.s
    assert diamond.s in g
    assert "s" not in g
    assert scalar(ExprGraph()) not in g
    assert len(g) == 5


def test_a_subgraph_is_what_its_roots_need(g, diamond):
    part = g.subgraph(diamond.t)
    assert isinstance(part, Subgraph)
    assert ids(part) == [0, 1, 2, 3]
    assert ids(part.roots) == [3]
    assert ids(part.inputs) == [0, 1]
    assert part.by_name("x") == (diamond.x,)
    assert diamond.u not in part
    assert diamond.s in part
    assert part.whole is g
    assert repr(part) == "<Subgraph of 4 nodes>"
    assert ids(part.subgraph(diamond.u)) == [0, 4]


def test_a_subgraph_has_nodes_of_its_graph_only(g, diamond):
    with pytest.raises(GraphError, match="belongs to another graph"):
        g.subgraph(scalar(ExprGraph()))
    with pytest.raises(GraphError, match="'t' is no node"):
        g.subgraph("t")


def test_ancestors_come_in_order_of_creation_and_once(diamond):
    assert ids(ancestors([diamond.u, diamond.t])) == [0, 1, 2, 3, 4]
    assert ids(ancestors([diamond.t, diamond.t])) == [0, 1, 2, 3]
    assert ancestors([]) == ()


def test_long_chains_need_no_deep_recursion(g):
    node = scalar(g)
    for _ in range(20_000):
        node = g.apply(Together(), (node, node))
    assert len(ancestors([node])) == 20_001
    assert len(str(g.subgraph(node)).splitlines()) == 20_002


def test_the_text_of_a_graph_is_one_line_for_each_node():
    g = ExprGraph("model")
    with g.step(4):
        x = matrix(g, (2, 3), name="x")
    c = g.constant(np.zeros((2, 3)), dtype=float32)
    z = g.apply(Together(), (x, c), "z")
    where = [str(node.origin) for node in (x, c, z)]
    assert str(g).splitlines() == [
        "<ExprGraph model of 3 nodes>",
        f"%0     float32[2, 3]        input  x  step 4  {where[0]}",
        f"%1     float32[2, 3]        constant    {where[1]}",
        f"%2     float32[2, 3]        together(x, %1)  z  {where[2]}",
    ]
    assert str(g.subgraph(c)).splitlines() == ["<Subgraph of 1 nodes>", str(g).splitlines()[2]]


def test_check_nodes_names_what_it_met(g):
    x = scalar(g)
    check_nodes("read", [x, x], g)
    with pytest.raises(GraphError, match="read: 5 is no node") as caught:
        check_nodes("read", [x, 5])
    assert caught.value.got == "int"
    with pytest.raises(GraphError, match=r"try     g.by_name\('x'\)"):
        check_nodes("read", ["x"])
    size = len(g)
    with pytest.raises(GraphError, match=r"read: .* is a single node"):
        check_nodes("read", g.leaf(TensorType(float32, (3,)), "v"))
    assert len(g) == size + 1
    with pytest.raises(GraphError, match="read: .* belongs to another graph"):
        check_nodes("read", [x, scalar(ExprGraph())])
    with pytest.raises(GraphError, match="belongs to another graph"):
        check_nodes("read", [x], ExprGraph())


# --- the rest --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None, np.array([1, 2])])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(OptionError, match="seed is not usable"):
        ExprGraph(seed=seed)


def test_the_seed_decides_what_the_generator_draws():
    def draw(seed):
        return ExprGraph(seed=seed).generator.normal(size=4).tolist()

    assert draw(3) == draw(np.int64(3))
    assert draw(3) != draw(4)


def test_streams_are_numbered(g):
    assert [g.next_stream() for _ in range(3)] == [0, 1, 2]


def test_unbind_all_forgets_values_and_overrides_but_not_constants(g):
    x, c = scalar(g, name="x", value=1.0), g.constant([1.0])
    y = apply(Together(), x, x)
    g.overrides[y.id] = np.zeros((), np.float32)
    version = g.version
    g.unbind_all()
    assert g.version > version
    assert g.overrides == {}
    np.testing.assert_array_equal(c.value, [1.0])
    with pytest.raises(UnboundError, match="x: float32.* has no value"):
        x.value  # noqa: B018 - reading it is what is tried


def test_pictures_are_made_by_who_knows_how(g, monkeypatch):
    asked = []
    drawing = SimpleNamespace(
        to_dot=lambda view, **options: asked.append((view, options)) or "digraph",
        render=lambda view, path, **options: asked.append((view, path, options)),
        svg=lambda _: {"image/svg+xml": "<svg/>"},
    )
    monkeypatch.setattr(graph_module, "DRAWING", drawing)
    assert g.to_dot(name="n") == "digraph"
    g.render("g.svg", dpi=90)
    assert asked == [(g, {"name": "n"}), (g, "g.svg", {"dpi": 90})]
    assert g._repr_mimebundle_() == {"image/svg+xml": "<svg/>"}


def test_the_package_fills_in_what_draws():
    assert set(Drawing.__annotations__) == set(vars(DRAWING))


def test_an_empty_graph_is_a_graph_too(g):
    with pytest.raises(GraphError, match="belongs to another graph"):
        g.subgraph(scalar(ExprGraph()))
