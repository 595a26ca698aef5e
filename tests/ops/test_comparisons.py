"""Comparisons, logic and where: values with NaN and infinities, broadcasting, dtypes, refusals, gradients, loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import graphflow as gf
from graphflow.dtypes import bool_, float32, float64, int64
from graphflow.op import NOT_DIFFERENTIABLE
from graphflow.ops.comparisons import Eq, Ge, Gt, Le, LogicalAnd, LogicalNot, LogicalOr, LogicalXor, Lt, Ne, Where
from graphflow.ops.sampling import b8, f32, numbers
from graphflow.tensortype import TensorType
from tests.ops.elementwise import assert_gradients_match_differences, extremes, gradients, run, same_bits

# Python's own comparison of two numbers, op, function.
COMPARISONS = {
    "lt": (lambda x, y: x < y, Lt, gf.lt),
    "lte": (lambda x, y: x <= y, Le, gf.lte),
    "gt": (lambda x, y: x > y, Gt, gf.gt),
    "gte": (lambda x, y: x >= y, Ge, gf.gte),
    "eq": (lambda x, y: x == y, Eq, gf.eq),
    "ne": (lambda x, y: x != y, Ne, gf.ne),
}
LOGIC = {
    "logical_and": (lambda x, y: x and y, LogicalAnd, gf.logical_and),
    "logical_or": (lambda x, y: x or y, LogicalOr, gf.logical_or),
    "logical_xor": (lambda x, y: x != y, LogicalXor, gf.logical_xor),
}
every_comparison = pytest.mark.parametrize("name", COMPARISONS)

VALUES = {
    "float32": extremes(np.float32),
    "float64": extremes(np.float64),
    "int64": np.array([-(2**63), -(2**53) - 1, -(2**53), -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 1]),
}


def table(function, x):
    """function(a, b) for all pairs of elements, by Python."""
    return np.array([[function(a, b) for b in x.tolist()] for a in x.tolist()])


@every_comparison
@pytest.mark.parametrize("dtype", VALUES)
def test_all_pairs_of_extreme_numbers(name, dtype):
    by_python, op, function = COMPARISONS[name]
    x = VALUES[dtype]
    expected = table(by_python, x)
    assert op().infer(*[TensorType(x.dtype, shape) for shape in [(9, 1), (9,)]]) == b8(9, 9)
    assert same_bits(op().evaluate(x[:, None], x), expected)
    assert same_bits(run(function, x[:, None], x), expected)
    assert same_bits(run(by_python, x[:, None], x), expected)


@every_comparison
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_one_and_zero_in_place_of_true_and_false(name, dtype):
    by_python, _, function = COMPARISONS[name]
    x = VALUES["float64"]
    found = run(lambda a, b: function(a, b, as_dtype=dtype), x[:, None], x)
    assert same_bits(found, table(by_python, x).astype(dtype))


def test_an_unknown_dtype_for_the_result_adds_nothing():
    g = gf.ExprGraph()
    x = gf.vector(g, 3)
    with pytest.raises(gf.DTypeError, match="unknown dtype 'half'"):
        gf.lt(x, 0.0, as_dtype="half")
    assert len(g) == 1


def test_operators_of_bools():
    x, y = np.array([[True], [False]]), np.array([True, False])
    assert same_bits(run(lambda a, b: a & b, x, y), x & y)
    assert same_bits(run(lambda a, b: a | b, x, y), x | y)
    assert same_bits(run(lambda a, b: a ^ b, x, y), x ^ y)
    assert same_bits(run(lambda a: ~a, x), ~x)
    assert same_bits(run(lambda b: (x & b) | (True ^ b), y), (x & y) | (True ^ y))


@pytest.mark.parametrize("name", ["eq", "ne"])
def test_bools_are_equal_or_not(name):
    by_python, op, function = COMPARISONS[name]
    x = np.array([True, False])
    assert same_bits(op().evaluate(x[:, None], x), table(by_python, x))
    assert same_bits(run(function, x[:, None], x), table(by_python, x))


@pytest.mark.parametrize("name", LOGIC)
def test_logic_of_two(name):
    by_python, op, function = LOGIC[name]
    x = np.array([True, False])
    assert same_bits(op().evaluate(x[:, None], x), table(by_python, x))
    assert same_bits(run(function, x[:, None], x), table(by_python, x))


def test_logical_not():
    x = np.array([[True, False]])
    assert same_bits(LogicalNot().evaluate(x), np.array([[False, True]]))
    assert same_bits(run(gf.logical_not, x), np.array([[False, True]]))


@st.composite
def broadcastable(draw, count, dims=4):
    """Arrays of shapes that broadcast together, and the common shape."""
    found = draw(hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=dims, max_side=3))
    arrays = []
    for place, shape in enumerate(found.input_shapes):
        numbers_ = np.random.default_rng(draw(st.integers(0, 99)) + place).integers(-1, 2, shape)
        arrays.append(np.asarray(numbers_, np.float64))
    return arrays, found.result_shape


@given(broadcastable(2))
def test_comparisons_broadcast_as_numpy_does(case):
    (x, y), shape = case
    for by_python, op, _ in COMPARISONS.values():
        assert op().infer(TensorType(float64, x.shape), TensorType(float64, y.shape)) == b8(*shape)
        assert same_bits(run(by_python, x, y), np.asarray(by_python(x, y)))


@given(broadcastable(3))
def test_where_broadcasts_as_numpy_does(case):
    (condition, a, b), shape = case
    condition = condition > 0
    assert Where().infer(b8(*condition.shape), f32(*a.shape), f32(*b.shape)) == f32(*shape)
    expected = np.where(condition, a, b)
    assert same_bits(np.asarray(Where().evaluate(condition, a, b)), expected)
    assert same_bits(run(gf.where, condition, a, b), expected)
    # The gradient of each branch: the weights where it is chosen, summed over the axes along which it was repeated.
    found, weights = gradients(gf.where, condition, a, b)
    for gradient, branch, chosen in zip(found, (a, b), (condition, ~condition), strict=True):
        spread = np.where(chosen, weights, 0.0)
        added = spread.ndim - branch.ndim
        axes = (*range(added), *[added + axis for axis, size in enumerate(branch.shape) if size == 1])
        assert gradient.shape == branch.shape
        np.testing.assert_allclose(gradient, spread.sum(axes).reshape(branch.shape), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_where_chooses_in_every_dtype(dtype):
    a, b = np.array([0, 1, 2]).astype(dtype), np.array([3, 0, 5]).astype(dtype)
    chosen = run(gf.where, np.array([True, False, True]), a, b)
    assert same_bits(chosen, np.array([a[0], b[1], a[2]]))


def test_where_hands_special_numbers_through_unchanged():
    x = extremes(np.float64)
    assert same_bits(run(lambda condition, a: gf.where(condition, a, 7.0), x < 5, x)[x < 5], x[x < 5])
    assert same_bits(run(lambda condition, a: gf.where(condition, 7.0, a), x >= 5, x)[x < 5], x[x < 5])


# --- dtypes of plain numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_numbers_take_the_dtype_of_the_branch_beside_them(dtype):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, dtype=dtype)
    condition = x > 0.0
    assert gf.where(condition, x, 0.0).dtype == dtype
    assert gf.where(condition, 1, x).dtype == dtype
    assert gf.where([True, False, True], x, np.zeros(3)).dtype == dtype
    assert gf.where(condition, 1.0, 0.0).dtype == float32
    assert gf.where(condition, True, condition).dtype == bool_


def test_comparisons_with_plain_numbers():
    x = np.array([-1.0, 0.0, 2.0])
    assert run(lambda node: node > 0, x).tolist() == [False, False, True]
    assert run(lambda node: 0.0 < node, x).tolist() == [False, False, True]
    assert run(lambda node: node == [-1, 5, 2], x).tolist() == [True, False, True]
    assert run(lambda node: np.array([-1.0, 5.0, 2.0]) != node, x).tolist() == [False, True, False]


# --- refusals ------------------------------------------------------------------------------------------------------


def refusal(function, *types, error):
    """The message of the error, without the lines that say where."""
    g = gf.ExprGraph()
    nodes = [gf.tensor(g, value.shape, dtype=value.dtype, name="cab"[place]) for place, value in enumerate(types)]
    with pytest.raises(error) as caught:
        function(*nodes)
    assert len(g) == len(types)
    return [line for line in str(caught.value).splitlines() if not line.startswith("  line")]


@every_comparison
def test_comparisons_refuse_what_does_not_fit(name):
    function = COMPARISONS[name][2]
    assert refusal(function, f32(3), f32(4), error=gf.ShapeError)[0] == (
        f"{name}: cannot combine c: float32[3] with a: float32[4]"
    )
    assert refusal(function, f32(3), TensorType(float64, (3,)), error=gf.DTypeError) == [
        f"{name}: cannot combine c: float32[3] with a: float64[3]",
        "  got     float32 and float64",
        "  needs   one dtype",
        "  try     gf.cast(a, 'float32')",
    ]
    if name not in {"eq", "ne"}:
        assert refusal(function, b8(3), b8(3), error=gf.DTypeError) == [
            f"{name}: not defined for c: bool[3]",
            "  got     bool",
            "  needs   numbers",
            "  try     gf.cast(c, 'int64')",
        ]


@pytest.mark.parametrize("name", LOGIC)
def test_logic_refuses_numbers_and_names_the_operand(name):
    assert refusal(LOGIC[name][2], b8(3), f32(3), error=gf.DTypeError) == [
        f"{name}: not defined for a: float32[3]",
        "  got     float32",
        "  needs   bool",
        "  try     gf.ne(a, 0)",
    ]
    assert refusal(LOGIC[name][2], b8(3), b8(4), error=gf.ShapeError)[0] == (
        f"{name}: cannot combine c: bool[3] with a: bool[4]"
    )


def test_logical_not_refuses_numbers():
    message = refusal(gf.logical_not, TensorType(int64, (2,)), error=gf.DTypeError)
    assert message[0] == "logical_not: not defined for c: int64[2]"


def test_where_refuses_what_does_not_fit():
    assert refusal(gf.where, f32(3), f32(3), f32(3), error=gf.DTypeError) == [
        "where: the condition c: float32[3] is not bool",
        "  got     float32",
        "  needs   bool",
        "  try     gf.ne(c, 0)",
    ]
    assert refusal(gf.where, b8(3), f32(3), TensorType(float64, (3,)), error=gf.DTypeError) == [
        "where: cannot choose between a: float32[3] and b: float64[3]",
        "  got     float32 and float64",
        "  needs   one dtype",
        "  try     gf.cast(a, 'float64')",
    ]
    assert refusal(gf.where, b8(2), f32(3), f32(3), error=gf.ShapeError)[0] == (
        "where: cannot combine c: bool[2] with a: float32[3] with b: float32[3]"
    )


def test_where_without_a_node_is_refused():
    with pytest.raises(gf.GraphError, match=r"^where: no operand is a node"):
        gf.where([True], 1.0, 2.0)


# --- gradients -----------------------------------------------------------------------------------------------------


def test_gradients_of_where_match_differences():
    square = np.array([[True, False, True], [False, False, True]])
    assert_gradients_match_differences(gf.where, square, numbers(2, 3), numbers(2, 3, seed=1))
    assert_gradients_match_differences(gf.where, square, numbers(3), numbers(2, 1, seed=1))
    assert_gradients_match_differences(gf.where, np.array([True, False]), numbers(), numbers(3, 1, seed=1))
    assert_gradients_match_differences(lambda x: gf.where(x > 0.0, gf.square(x), gf.exp(x)), numbers(3, 4))


def test_second_gradients_of_where_match_differences():
    def slope(x):
        (dx,) = gf.grad(gf.sum(gf.where(x > 0.0, gf.square(x) * x, gf.exp(x))), x)
        return dx

    assert_gradients_match_differences(slope, numbers(3, 4))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_where_does_not_leak_into_the_branch_not_taken(bad):
    condition, a, b = np.array([True, False]), np.array([1.0, bad]), np.array([bad, 2.0])
    assert run(gf.where, condition, a, b).tolist() == [1.0, 2.0]
    (da, db), weights = gradients(gf.where, condition, a, b)
    assert da.tolist() == [weights[0], 0.0]
    assert db.tolist() == [0.0, weights[1]]


def test_an_infinite_gradient_goes_to_the_branch_taken_only():
    def slopes(a, b):
        chosen = gf.where(np.array([True, False]), a, b)
        return gf.concat(gf.grad(gf.sum(gf.sqrt(chosen)), a, b), axis=0)

    assert run(slopes, np.zeros(2), np.zeros(2)).tolist() == [np.inf, 0.0, 0.0, np.inf]


@every_comparison
def test_comparisons_have_no_gradient(name):
    _, op, function = COMPARISONS[name]
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    y = function(x, 0.0)
    assert op().gradient(y, y, *y.inputs) is NOT_DIFFERENTIABLE
    with pytest.raises(gf.GradientError):
        gf.grad(gf.sum(gf.cast(y, "float32")), x)


def test_no_gradient_flows_through_a_condition():
    slopes, weights = gradients(lambda x: gf.where(x > 0.0, 2.0 * x, 0.0), np.array([-1.0, 3.0]))
    np.testing.assert_allclose(slopes[0], [0.0, 2.0 * weights[1]], rtol=1e-12)


# --- loop forms ----------------------------------------------------------------------------------------------------


def test_the_loop_forms():
    symbols = {Lt: "<", Le: "<=", Gt: ">", Ge: ">=", Eq: "==", Ne: "!="}
    for op, symbol in symbols.items():
        assert str(op().lower(f32(3), f32(3))) == f"map (x0 {symbol} x1)"
    assert str(LogicalAnd().lower(b8(3), b8(3))) == "map (x0 & x1)"
    assert str(LogicalOr().lower(b8(3), b8(3))) == "map (x0 | x1)"
    assert str(LogicalNot().lower(b8(3))) == "map not(x)"
    assert str(Where().lower(b8(3), f32(3), f32(3))) == "map where(x0, x1, x2)"
