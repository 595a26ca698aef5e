"""Functions of one number: values against exact arithmetic, special numbers, dtypes, refusals, gradients, loops."""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext

import numpy as np
import pytest

import graphflow as gf
from graphflow.dtypes import bool_, float32, float64, int64
from graphflow.op import NOT_DIFFERENTIABLE
from graphflow.ops.elementary import (
    Abs,
    Cast,
    Cube,
    Erf,
    Exp,
    Expm1,
    Inverse,
    InverseSqrt,
    Log,
    Log1p,
    Log2,
    Rectify,
    Sigmoid,
    Sign,
    Softplus,
    Sqrt,
    Square,
    Tanh,
)
from graphflow.ops.sampling import numbers
from graphflow.tensortype import TensorType
from tests.ops.elementwise import assert_gradients_match_differences, extremes, gradients, run, same_bits

ONE = Decimal(1)
# Each op with its formula in decimal arithmetic of 400 digits, and its function.
FORMULAS = {
    Exp: (lambda x: x.exp(), gf.exp),
    Log: (lambda x: x.ln(), gf.log),
    Log1p: (lambda x: (1 + x).ln(), gf.log1p),
    Log2: (lambda x: x.ln() / Decimal(2).ln(), gf.log2),
    Inverse: (lambda x: 1 / x, gf.inverse),
    InverseSqrt: (lambda x: 1 / x.sqrt(), gf.inverse_sqrt),
    Cube: (lambda x: x * x * x, gf.cube),
    Expm1: (lambda x: x.exp() - 1, gf.expm1),
    Sqrt: (lambda x: x.sqrt(), gf.sqrt),
    Square: (lambda x: x * x, gf.square),
    Tanh: (lambda x: ((2 * x).exp() - 1) / ((2 * x).exp() + 1), gf.tanh),
    Sigmoid: (lambda x: ONE / (1 + (-x).exp()), gf.sigmoid),
    Softplus: (lambda x: (1 + x.exp()).ln(), gf.softplus),
    Rectify: (lambda x: max(x, Decimal(0)), gf.rectify),
    Abs: (lambda x: x.copy_abs(), gf.abs),
    Sign: (lambda x: ONE.copy_sign(x) if x else Decimal(0), gf.sign),
}
FLOATS_ONLY = [op for op in FORMULAS if op not in (Square, Cube, Abs, Sign)]
POSITIVE_ONLY = (Log, Log2, Sqrt, Inverse, InverseSqrt)

every_op = pytest.mark.parametrize("op", FORMULAS, ids=lambda op: op.symbol)
both_floats = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def points(op, dtype):
    """Numbers of many sizes within the domain of an op."""
    sizes = np.concatenate([10.0 ** np.arange(-12, 5), np.arange(1, 21) / 2.0, [17.3, 36.7, 88.0, 103.0, 700.0]])
    found = np.unique(np.concatenate([sizes, -sizes, [0.0]]).astype(dtype))
    if op in POSITIVE_ONLY:
        return found[found > 0]
    return found[found > -1] if op is Log1p else found


def exactly(op, values):
    """What the op should give, rounded once to float64."""
    with localcontext(Context(prec=400, Emax=999999, Emin=-999999)):
        return np.array([float(FORMULAS[op][0](Decimal(float(value)))) for value in values])


@every_op
@both_floats
def test_values_are_right_to_a_few_roundings(op, dtype):
    x = points(op, dtype)
    expected = exactly(op, x)
    with np.errstate(all="ignore"):
        y = op().evaluate(x)
        expected = expected.astype(dtype).astype(np.float64)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=8 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).smallest_subnormal)


@every_op
@both_floats
def test_the_machine_computes_what_evaluate_says(op, dtype):
    x = points(op, dtype)
    with np.errstate(all="ignore"):
        expected = op().evaluate(x)
    y = run(FORMULAS[op][1], x)
    assert y.dtype == dtype
    # The native sigmoid may flush results below the smallest normal number to zero.
    np.testing.assert_allclose(y, expected, rtol=16 * np.finfo(dtype).eps, atol=np.finfo(dtype).smallest_normal)


# In the order of `extremes`: NaN, inf, -inf, 0, -0, 1, -1, smallest, -smallest, largest, -largest.
NAN, INF, LN2 = np.nan, np.inf, np.log(2.0)
SPECIAL = {
    Exp: (NAN, INF, 0.0, 1.0, 1.0, np.e, 1 / np.e, 1.0, 1.0, INF, 0.0),
    Log: (NAN, INF, NAN, -INF, -INF, 0.0, NAN, "log", NAN, "log", NAN),
    Log1p: (NAN, INF, NAN, 0.0, -0.0, LN2, -INF, "x", "x", "log", NAN),
    Expm1: (NAN, INF, -1.0, 0.0, -0.0, np.e - 1, 1 / np.e - 1, "x", "x", INF, -1.0),
    Sqrt: (NAN, INF, NAN, 0.0, -0.0, 1.0, NAN, "root", NAN, "root", NAN),
    Log2: (NAN, INF, NAN, -INF, -INF, 0.0, NAN, "log2", NAN, "log2", NAN),
    Inverse: (NAN, 0.0, -0.0, INF, -INF, 1.0, -1.0, INF, -INF, "inverse", "inverse"),
    InverseSqrt: (NAN, 0.0, NAN, INF, -INF, 1.0, NAN, "inverse root", NAN, "inverse root", NAN),
    Cube: (NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 0.0, -0.0, INF, -INF),
    Square: (NAN, INF, INF, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, INF, INF),
    Tanh: (NAN, 1.0, -1.0, 0.0, -0.0, np.tanh(1.0), -np.tanh(1.0), "x", "x", 1.0, -1.0),
    Sigmoid: (NAN, 1.0, 0.0, 0.5, 0.5, np.e / (1 + np.e), 1 / (1 + np.e), 0.5, 0.5, 1.0, 0.0),
    Softplus: (NAN, INF, 0.0, LN2, LN2, np.log1p(np.e), np.log1p(1 / np.e), LN2, LN2, "x", 0.0),
    Rectify: (NAN, INF, 0.0, 0.0, 0.0, 1.0, 0.0, "x", 0.0, "x", 0.0),
    Abs: (NAN, INF, INF, 0.0, 0.0, 1.0, 1.0, "x", "-x", "x", "-x"),
    Sign: (NAN, 1.0, -1.0, 0.0, 0.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0),
}


def special_results(op, dtype):
    """The table's row as numbers of a dtype."""
    meanings = {
        "x": lambda x: x,
        "-x": lambda x: -x,
        "log": lambda x: np.log(np.longdouble(x)),
        "log2": lambda x: np.log2(np.longdouble(x)),
        "inverse": lambda x: 1 / np.longdouble(x),
        "inverse root": lambda x: 1 / np.sqrt(np.longdouble(x)),
        "root": lambda x: np.sqrt(np.longdouble(x)),
    }
    pairs = zip(SPECIAL[op], extremes(dtype), strict=True)
    return np.array([meanings[entry](x) if isinstance(entry, str) else entry for entry, x in pairs], dtype)


@every_op
@both_floats
@pytest.mark.parametrize("by", ["evaluate", "machine"])
def test_special_numbers(op, dtype, by):
    x = extremes(dtype)
    expected = special_results(op, dtype)
    with np.errstate(all="ignore"):
        y = op().evaluate(x) if by == "evaluate" else run(FORMULAS[op][1], x)
    np.testing.assert_allclose(y, expected, rtol=8 * np.finfo(dtype).eps, atol=0)
    if op is not Rectify:  # which zero is the maximum of 0 and -0 is left open by numpy
        zeros = expected == 0
        np.testing.assert_array_equal(np.signbit(y[zeros]), np.signbit(expected[zeros]))


@pytest.mark.parametrize("op", [Sigmoid, Softplus], ids=lambda op: op.symbol)
@both_floats
def test_no_overflow_even_where_numpy_would_complain(op, dtype):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = op().evaluate(np.array([-1e4, 1e4], dtype))
    assert y.tolist() == [0.0, 1.0 if op is Sigmoid else 1e4]


@every_op
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 1, 3, 1, 2)], ids=str)
def test_the_shape_and_the_dtype_stay(op, shape):
    for dtype in (float32, float64):
        x = np.ones(shape, dtype)
        assert op().infer(TensorType(dtype, shape)) == TensorType(dtype, shape)
        y = np.asarray(op().evaluate(x))
        assert (y.dtype, y.shape) == (dtype, shape)


@pytest.mark.parametrize("op", [Square, Cube, Abs, Sign], ids=lambda op: op.symbol)
def test_whole_numbers_stay_whole(op):
    x = np.array([-3, 0, 4])
    expected = {Square: [9, 0, 16], Cube: [-27, 0, 64], Abs: [3, 0, 4], Sign: [-1, 0, 1]}[op]
    assert op().infer(TensorType(int64, (3,))) == TensorType(int64, (3,))
    assert same_bits(op().evaluate(x), np.array(expected))
    assert same_bits(run(FORMULAS[op][1], x), np.array(expected))


@pytest.mark.parametrize("op", FLOATS_ONLY, ids=lambda op: op.symbol)
@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_what_needs_floats_refuses_other_kinds(op, dtype):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", dtype=dtype)
    with pytest.raises(gf.DTypeError) as caught:
        FORMULAS[op][1](x)
    lines = str(caught.value).splitlines()
    assert lines[:4] == [
        f"{op.symbol}: not defined for x: {dtype}[3]",
        f"  got     {dtype}",
        "  needs   float32 or float64",
        "  try     gf.cast(x, 'float32')",
    ]
    assert lines[4].startswith("  line    test_elementary.py:")
    assert len(g) == 1


@pytest.mark.parametrize("op", [Square, Cube, Abs, Sign], ids=lambda op: op.symbol)
def test_what_needs_numbers_refuses_bool(op):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", dtype="bool")
    with pytest.raises(gf.DTypeError, match=rf"^{op.symbol}: not defined for x: bool\[3\]\n  got     bool\n"):
        FORMULAS[op][1](x)
    assert len(g) == 1


@every_op
def test_something_that_is_no_node_is_refused(op):
    with pytest.raises(gf.GraphError, match=f"^{op.symbol}: no operand is a node\n  got     float\n"):
        FORMULAS[op][1](2.0)


PROGRAMS = {
    Exp: "map exp(x)",
    Log: "map log(x)",
    Log1p: "map log1p(x)",
    Log2: "map log2(x)",
    Inverse: "map (1 / x)",
    InverseSqrt: "map (1 / sqrt(x))",
    Cube: "map ((x * x) * x)",
    Expm1: "map expm1(x)",
    Sqrt: "map sqrt(x)",
    Square: "map (x * x)",
    Tanh: "map tanh(x)",
    Sigmoid: "map sigmoid(x)",
    Softplus: "map (maximum(x, 0) + log1p(exp(neg(abs(x)))))",
    Rectify: "map maximum(x, 0)",
    Abs: "map abs(x)",
    Sign: "map sign(x)",
}


@every_op
def test_the_loop_form(op):
    assert str(op().lower(TensorType(float32, (3,)))) == PROGRAMS[op]


@both_floats
def test_the_error_function(dtype):
    x = np.concatenate([np.linspace(-7, 7, 200), 10.0 ** np.arange(-30, 30)]).astype(dtype)
    expected = np.array([math.erf(each) for each in x.tolist()])
    for y in (Erf().evaluate(x), run(gf.erf, x)):
        assert y.dtype == dtype
        np.testing.assert_allclose(y, expected.astype(dtype), rtol=4 * np.finfo(dtype).eps)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    assert same_bits(run(gf.erf, special), np.array([np.nan, 1.0, -1.0, 0.0, -0.0], dtype))


def test_powers_of_two_have_whole_logarithms():
    x = 2.0 ** np.arange(-1074, 1024)
    assert same_bits(run(gf.log2, x), np.arange(-1074.0, 1024.0))


# --- gradients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [op for op in FORMULAS if op is not Sign], ids=lambda op: op.symbol)
@pytest.mark.parametrize("shape", [(), (3, 4), (2, 1, 2)], ids=str)
def test_gradients_match_differences(op, shape):
    low, high = op.domain
    x = numbers(*shape, low=low, high=high)
    assert_gradients_match_differences(FORMULAS[op][1], x)


@pytest.mark.parametrize("op", [op for op in FORMULAS if op is not Sign], ids=lambda op: op.symbol)
def test_gradients_can_be_differentiated_again(op):
    low, high = op.domain

    def slope(x):
        (dx,) = gf.grad(gf.sum(FORMULAS[op][1](x) * x), x)
        return dx

    assert_gradients_match_differences(slope, numbers(3, low=low, high=high, seed=3))


def gradient_at(function, *values):
    (found,), weights = gradients(function, np.array(values))
    return (found / weights).tolist()


def test_the_gradient_of_rectify_is_0_at_0_and_nan_is_not_lost():
    slopes = gradient_at(gf.rectify, -1.0, -0.0, 0.0, 1.0, np.nan)
    assert slopes == [0.0, 0.0, 0.0, 1.0, 1.0]
    poisoned = run(lambda x: gf.grad(gf.sum(gf.rectify(x) * np.nan), x)[0], np.array([-1.0, 1.0]))
    assert same_bits(poisoned, np.array([0.0, np.nan], poisoned.dtype))


def test_the_gradient_of_abs_at_0_is_0():
    assert gradient_at(gf.abs, -2.0, 0.0, 2.0) == [-1.0, 0.0, 1.0]


def test_the_gradient_of_sign_is_zero_and_adds_nothing_to_a_sum():
    assert gradient_at(gf.sign, -2.0, 0.0, 2.0) == [0.0, 0.0, 0.0]
    slopes = gradient_at(lambda x: gf.sign(x) + gf.square(x), -2.0, 0.5)
    np.testing.assert_allclose(slopes, [-4.0, 1.0], rtol=1e-12)


def test_the_gradient_of_expm1_keeps_its_digits_far_below_zero():
    np.testing.assert_allclose(gradient_at(gf.expm1, -40.0), np.exp([-40.0]), rtol=1e-12)


def test_gradients_at_the_edge_of_the_domain():
    assert gradient_at(gf.sqrt, 0.0) == [np.inf]
    assert gradient_at(gf.log, 0.0) == [np.inf]
    assert gradient_at(gf.log1p, -1.0) == [np.inf]


@pytest.mark.parametrize("function", [gf.sigmoid, gf.softplus, gf.tanh], ids=lambda function: function.__name__)
def test_gradients_far_from_zero_are_finite(function):
    slopes = gradient_at(function, -1e4, 1e4)
    assert slopes == ([0.0, 1.0] if function is gf.softplus else [0.0, 0.0])


# --- cast ----------------------------------------------------------------------------------------------------------

CASTS = {
    (float64, int64): ([-2.75, -0.5, 0.0, 2.75], [-2, 0, 0, 2]),
    (float32, int64): ([-2.75, -0.5, 0.0, 2.75], [-2, 0, 0, 2]),
    (float64, float32): ([0.1, 1e300, -1e300, np.nan, 1e-300], [np.float32(0.1), np.inf, -np.inf, np.nan, 0.0]),
    (float32, float64): ([0.1, np.inf, np.nan], [float(np.float32(0.1)), np.inf, np.nan]),
    (float64, bool_): ([0.0, -0.0, 0.5, -2.0, np.nan], [False, False, True, True, True]),
    (float32, bool_): ([0.0, -0.0, 0.5, -2.0, np.nan], [False, False, True, True, True]),
    (int64, float64): ([-3, 0, 2**53 + 1], [-3.0, 0.0, 2.0**53]),
    (int64, float32): ([-3, 0, 2**24 + 1], [-3.0, 0.0, 2.0**24]),
    (int64, bool_): ([-3, 0, 1], [True, False, True]),
    (bool_, float64): ([True, False], [1.0, 0.0]),
    (bool_, float32): ([True, False], [1.0, 0.0]),
    (bool_, int64): ([True, False], [1, 0]),
}


@pytest.mark.parametrize("pair", CASTS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_casts(pair):
    source, target = pair
    values, expected = CASTS[pair]
    x = np.array(values, source)
    with np.errstate(all="ignore"):
        evaluated = Cast(target).evaluate(x)
    assert same_bits(evaluated, np.array(expected, target))
    assert same_bits(run(lambda node: gf.cast(node, target), x), np.array(expected, target))
    assert same_bits(run(lambda node: node.astype(target), x), np.array(expected, target))


@pytest.mark.parametrize("dtype", [float32, float64, int64, bool_], ids=str)
def test_a_cast_to_the_own_dtype_adds_no_node(dtype):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, dtype=dtype)
    assert gf.cast(x, str(dtype)) is x
    assert len(g) == 1
    assert str(Cast(dtype).lower(x.type)) == "map x"


@pytest.mark.parametrize("spelling", ["float64", float, np.float64, float64], ids=repr)
def test_a_dtype_has_many_spellings(spelling):
    assert gf.cast(gf.vector(gf.ExprGraph(), 3), spelling).dtype == float64


@pytest.mark.parametrize("dtype", ["float16", "int32", "complex128", "text", None, 3], ids=repr)
def test_unknown_dtypes_are_refused(dtype):
    g = gf.ExprGraph()
    x = gf.vector(g, 3)
    with pytest.raises(gf.DTypeError, match=r"^unknown dtype"):
        gf.cast(x, dtype)
    assert len(g) == 1


def test_the_gradient_of_a_cast_is_cast_back():
    (slope,), _ = gradients(lambda x: gf.square(gf.cast(x, "float64")), np.array([0.5, -1.5], np.float32))
    assert slope.dtype == np.float32
    assert_gradients_match_differences(lambda x: gf.cast(gf.square(x), "float64"), numbers(3))
    (narrow,), weights = gradients(lambda x: gf.cast(gf.square(x), "float32"), np.array([0.5, -1.5]))
    assert narrow.dtype == np.float64
    np.testing.assert_allclose(narrow, [1.0, -3.0] * weights, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_no_gradient_goes_through_a_cast_to_whole_numbers(dtype):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    y = gf.cast(x, dtype)
    assert y.op.gradient(y, y, x) is NOT_DIFFERENTIABLE
    cost = gf.sum(gf.cast(y, "float32"))
    with pytest.raises(gf.GradientError):
        gf.grad(cost, x)
