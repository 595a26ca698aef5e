"""Loop forms in machine code at every vector width, against numpy: any dtype, axes, strides and sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow import loops
from graphflow.dtypes import bool_, float32, float64, int64
from graphflow.scalars import trace
from graphflow.tensortype import TensorType
from graphflow.testing.loops_alone import run_loop
from tests.backends.llvm.widths import WIDTHS, kernels_of_width

FEW = settings(max_examples=20)
SIZES = st.sampled_from([1, 1, 2, 3, 5, 17])
SHAPES = st.lists(SIZES, max_size=5).map(tuple).filter(lambda shape: math.prod(shape) < 5_000)
by_width = pytest.mark.parametrize("width", WIDTHS)


def drawn(shape, dtype, seed=0):
    generator = np.random.default_rng(seed)
    if dtype == bool_:
        return generator.integers(0, 2, shape).astype(bool)
    if dtype == int64:
        return generator.integers(-9, 10, shape)
    return generator.uniform(-3.0, 3.0, shape).astype(dtype)


def compare(width, loop, arrays, dtype, shape, **options):
    """Native at this width against the numpy backend."""
    output = TensorType(dtype, shape)
    expected = run_loop(loop, arrays, output, **options)
    with kernels_of_width(width):
        found = run_loop(loop, arrays, output, backend="native", **options)
    if dtype.kind == "f":
        bound = 2e-5 if dtype == float32 else 1e-13
        np.testing.assert_allclose(found, expected, rtol=bound, atol=bound * 10)
    else:
        np.testing.assert_array_equal(found, expected)
    return found


# --- folds ------------------------------------------------------------------------------------------------------------


@by_width
@FEW
@given(shape=SHAPES, data=st.data())
def test_folds(width, shape, data):
    kind = data.draw(st.sampled_from(["sum", "max", "min", "prod"]))
    dtype = data.draw(st.sampled_from([float64, float32, int64]))
    axes = tuple(axis for axis in range(len(shape)) if data.draw(st.booleans()))
    keepdims = data.draw(st.booleans())
    wanted = np.sum(np.zeros(shape), axis=axes, keepdims=keepdims).shape
    x = drawn(shape, dtype)
    if kind == "prod" and dtype != int64:
        x = 1 + x / 100
    compare(width, loops.Reduce(kind, axes, keepdims), [x], dtype, wanted, is_strided=data.draw(st.booleans()))


@by_width
@FEW
@given(shape=SHAPES, data=st.data())
def test_folds_of_expressions(width, shape, data):
    """Two inputs that broadcast, code before and after, truth values that are counted."""
    axes = tuple(axis for axis in range(len(shape)) if data.draw(st.booleans()))
    wanted = np.sum(np.zeros(shape), axis=axes).shape
    other = tuple(size if data.draw(st.booleans()) else 1 for size in shape)
    x, y = drawn(shape, float32), drawn(other, float32, 1)
    is_strided = data.draw(st.booleans())
    before, after = trace(lambda x, y: x * y - y, [float32] * 2), trace(lambda x: x / 3.0 + 1.0, [float32])
    compare(width, loops.Reduce("sum", axes, False, before, after), [x, y], float32, wanted, is_strided=is_strided)
    costly = trace(lambda x, y: (x * y).tanh(), [float32] * 2)
    compare(width, loops.Reduce("max", axes, False, costly), [x, y], float32, wanted, is_strided=is_strided)
    count = trace(lambda x, y: (x > y).cast(int64), [float32] * 2)
    compare(width, loops.Reduce("sum", axes, False, count), [x, y], int64, wanted, is_strided=is_strided)
    of_truth = data.draw(st.sampled_from(["sum", "max", "min", "prod"]))
    truth = trace(lambda x, y: x > y, [float32] * 2)
    compare(width, loops.Reduce(of_truth, axes, False, truth), [x, y], bool_, wanted, is_strided=is_strided)


@by_width
@pytest.mark.parametrize("dtype", [float32, float64])
@pytest.mark.parametrize("kind", ["sum", "max", "min", "prod"])
def test_lanes_behind_the_end_never_count(width, dtype, kind):
    """What is loaded there may be 0 / 0, which code generation takes for zero."""
    quotient = trace(lambda x, y: x / y, [dtype] * 2)
    difference = trace(lambda x, y: (x - 1.0) / (y - 1.0) + x.log(), [dtype] * 2)
    for size in (1, 2, 3, 5, 12, 15, 31):
        x = np.linspace(1.5, 2.0, size).astype(dtype)
        for before in (quotient, difference):
            compare(width, loops.Reduce(kind, (0,), False, before), [x, x[::-1].copy()], dtype, ())

    def shares(x, y):
        quotient = x / y
        return quotient / quotient.row_sum() + quotient.row_max()

    for size in (1, 2, 3, 5, 12, 15, 31):
        x = np.linspace(1.5, 2.0, 3 * size).astype(dtype).reshape(3, size)
        loop = loops.Rows.of(1, shares, TensorType(dtype, x.shape), TensorType(dtype, x.shape))
        compare(width, loop, [x, x[::-1].copy()], dtype, x.shape)


@by_width
@pytest.mark.parametrize("dtype", [float32, float64, int64])
def test_folds_of_nothing(width, dtype):
    after = trace(lambda x: x + 2, [dtype])
    for kind in ("sum", "prod"):
        compare(width, loops.Reduce(kind, (1,), False, None, after), [np.zeros((3, 0), dtype)], dtype, (3,))


@by_width
@pytest.mark.parametrize("shape", [(100_003,), (3, 40_001), (40_001, 3), (5_003, 40), (7, 5_001, 2)], ids=str)
@pytest.mark.parametrize("dtype", [float32, float64])
def test_long_sums_are_nearly_exact(width, shape, dtype):
    """A tenth cannot be written exactly: what each addition loses points one way and piles up where sums are naive."""
    longest = int(np.argmax(shape))
    x = np.full(shape, 0.1, dtype)
    wanted = tuple(size for axis, size in enumerate(shape) if axis != longest)
    expected = dtype.type(0.1).astype(np.longdouble) * shape[longest]
    with kernels_of_width(width):
        found = run_loop(loops.Reduce("sum", (longest,)), [x], TensorType(dtype, wanted), backend="native")
        total = run_loop(loops.Reduce("sum", tuple(range(len(shape)))), [x], TensorType(dtype, ()), backend="native")
    bound = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(found, np.full(wanted, expected, dtype), rtol=bound)
    np.testing.assert_allclose(total, np.asarray(expected * math.prod(wanted), dtype), rtol=bound)


@by_width
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 9_000, 20_000])
def test_special_numbers_come_through_every_fold(width, special, place):
    x = np.ones(20_001, np.float32)
    x[place] = special
    for kind in ("sum", "max", "min", "prod"):
        compare(width, loops.Reduce(kind, (0,)), [x], float32, ())


@by_width
def test_infinities_of_both_signs_are_not_a_number(width):
    x = np.ones(20_001, np.float32)
    x[[5, 15_000]] = np.inf, -np.inf
    assert np.isnan(compare(width, loops.Reduce("sum", (0,)), [x], float32, ()))


# --- rows -------------------------------------------------------------------------------------------------------------


def softmax(x):
    e = (x - x.row_max()).exp()
    return e / e.row_sum()


def log_softmax(x):
    t = x - x.row_max()
    return t - t.exp().row_sum().log()


def log_sum_exp(x):
    largest = x.row_max()
    return largest + (x - largest).exp().row_sum().log()


ROWS = {"softmax": softmax, "log_softmax": log_softmax, "log_sum_exp": log_sum_exp}


@by_width
@FEW
@given(
    shape=SHAPES.filter(bool),
    name=st.sampled_from(sorted(ROWS)),
    dtype=st.sampled_from([float32, float64]),
    data=st.data(),
)
def test_rows_along_any_axis(width, shape, name, dtype, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    is_narrow = name == "log_sum_exp"
    wanted = (*shape[:axis], *shape[axis + 1 :]) if is_narrow else shape
    loop = loops.Rows.of(axis, ROWS[name], TensorType(dtype, shape), narrow=is_narrow)
    compare(width, loop, [drawn(shape, dtype)], dtype, wanted, is_strided=data.draw(st.booleans()))


@by_width
@FEW
@given(shape=SHAPES.filter(bool), data=st.data())
def test_rows_that_choose_a_place(width, shape, data):
    """Cross entropy and its gradient: a position for each row, and a narrow factor."""
    axis = data.draw(st.integers(0, len(shape) - 1))
    outer = (*shape[:axis], *shape[axis + 1 :])
    is_strided = data.draw(st.booleans())
    x, factor = drawn(shape, float32), drawn(outer, float32, 1)
    ids = np.random.default_rng(2).integers(0, shape[axis], outer)
    types = [TensorType(each.dtype, each.shape) for each in (x, ids, factor)]

    def loss(x, ids):
        t = x - x.row_max()
        return t.exp().row_sum().log() - t.pick(ids)

    def slope(x, ids, factor):
        e = (x - x.row_max()).exp()
        return (e / e.row_sum() - (x.column() == ids).cast(float32)) * factor

    compare(width, loops.Rows.of(axis, loss, *types[:2], narrow=True), [x, ids], float32, outer, is_strided=is_strided)
    compare(width, loops.Rows.of(axis, slope, *types), [x, ids, factor], float32, shape, is_strided=is_strided)


@by_width
@pytest.mark.parametrize("dtype", [float32, float64])
def test_rows_too_long_to_be_kept(width, dtype):
    x = drawn((2, 40_003), dtype)
    for axis in (0, 1):
        for name in ("softmax", "log_softmax"):
            array = x if axis else np.ascontiguousarray(x.T)
            loop = loops.Rows.of(axis, ROWS[name], TensorType(dtype, array.shape))
            compare(width, loop, [array], dtype, array.shape)


# --- whole numbers and truth values -----------------------------------------------------------------------------------

OF_INTEGERS = {
    "sum": lambda x, y: x + y - 3,
    "product": lambda x, y: x * y * 5,
    "negative": lambda x, y: -x - y,
    "absolute": lambda x, y: abs(x) + y.sign(),
    "extremes": lambda x, y: x.maximum(y) * x.minimum(2),
    "choice": lambda x, y: (x < y).where(x, y),
    "comparisons": lambda x, y: (x <= y) & ~(x == y) | (x >= 4),
    "sign": lambda x, y: (x - y).sign(),
}
OF_TRUTH = {
    "and": lambda x, y: x & y,
    "or": lambda x, y: x | ~y,
    "equal": lambda x, y: x == y,
    "different": lambda x, y: x != y,
    "less": lambda x, y: x < y,
    "extremes": lambda x, y: x.maximum(y) & x.minimum(y),
    "choice": lambda x, y: x.where(y, x),
}
BOUNDARIES = np.array([0, 1, -1, 2, -(2**63), 2**63 - 1, 2**62, -(2**53) - 1, 2**53 + 1, 7], np.int64)


@by_width
@pytest.mark.parametrize("name", OF_INTEGERS)
def test_maps_of_whole_numbers(width, name):
    """Also where they wrap round, and with one operand that broadcasts."""
    x, y = np.repeat(BOUNDARIES, 10), np.tile(BOUNDARIES, 10)
    loop = loops.Map(trace(OF_INTEGERS[name], [int64, int64]))
    compare(width, loop, [x, y], loop.program.dtype, (100,))
    compare(width, loop, [x.reshape(10, 10), y[:10]], loop.program.dtype, (10, 10), is_strided=True)


@by_width
@pytest.mark.parametrize("name", OF_TRUTH)
def test_maps_of_truth_values(width, name):
    x, y = drawn((7, 19), bool_), drawn((7, 19), bool_, 1)
    loop = loops.Map(trace(OF_TRUTH[name], [bool_, bool_]))
    compare(width, loop, [x, y], bool_, (7, 19))
    compare(width, loop, [x, y[0]], bool_, (7, 19), is_strided=True)


@by_width
@pytest.mark.parametrize("source", [float32, float64, int64, bool_], ids=str)
@pytest.mark.parametrize("target", [float32, float64, int64, bool_], ids=str)
def test_casts(width, source, target):
    """Every pair, with numbers that do not fit, infinities and NaN."""
    numbers = [
        0.0,
        -0.0,
        0.5,
        -0.5,
        1.5,
        -2.75,
        1e10,
        -1e10,
        2.0**53 + 2,
        1e-40,
        3.4e38,
        1e300,
        -1e300,
        2.0**63,
        -(2.0**63),
    ]
    with np.errstate(all="ignore"):
        x = np.array([*numbers, np.inf, -np.inf, np.nan, 9.2e18, -9.3e18]).astype(source)
    x = np.concatenate([x, BOUNDARIES.astype(source)])
    loop = loops.Map(trace(lambda x: x.cast(target), [source]))
    found = compare(width, loop, [x], target, x.shape)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, x.astype(target))


@by_width
@FEW
@given(sizes=st.lists(SIZES, min_size=4, max_size=4), dtype=st.sampled_from([int64, float32, float64]), data=st.data())
def test_sums_of_products_over_axes_apart(width, sizes, dtype, data):
    """Two labels are summed that do not lie side by side; whole numbers have no matrix product of their own."""
    left, right = data.draw(st.permutations([0, 1, 2])), data.draw(st.permutations([0, 1, 3]))
    out = data.draw(st.permutations([2, 3]))
    loop = loops.Contract(tuple(left), tuple(right), tuple(out))
    arrays = [drawn([sizes[label] for label in labels], dtype, seed) for seed, labels in enumerate((left, right))]
    wanted = tuple(sizes[label] for label in out)
    compare(width, loop, arrays, dtype, wanted, is_strided=data.draw(st.booleans()))


# --- lookups and copies -----------------------------------------------------------------------------------------------


@by_width
@FEW
@given(
    ids=st.lists(SIZES, max_size=2).map(tuple),
    row=st.lists(SIZES, max_size=3).map(tuple),
    dtype=st.sampled_from([float32, float64, int64]),
    is_strided=st.booleans(),
)
def test_lookups_and_their_adjoints(width, ids, row, dtype, is_strided):
    numbers = np.random.default_rng(0).integers(0, 6, ids)
    table, updates = drawn((6, *row), dtype), drawn((*ids, *row), dtype)
    compare(width, loops.Gather(), [table, numbers], dtype, (*ids, *row), is_strided=is_strided)
    compare(width, loops.Scatter(6), [numbers, updates], dtype, (6, *row), is_strided=is_strided)


@by_width
@pytest.mark.parametrize("dtype", [float32, int64, bool_], ids=str)
def test_copies_of_five_axes(width, dtype):
    x = drawn((2, 3, 1, 5, 17), dtype)
    compare(width, loops.Reshape((3, 170)), [x], dtype, (3, 170), is_strided=True)
    compare(width, loops.Concat(3), [x, x], dtype, (2, 3, 1, 10, 17), is_strided=True)
    turned = loops.View.rearranged((17, 5, 1, 3, 2), (4, 3, 2, 1, 0), 5)
    compare(width, turned, [x], dtype, (17, 5, 1, 3, 2))
    compare(width, loops.Place((2, 3, 1, 5, 17), turned), [drawn((17, 5, 1, 3, 2), dtype)], dtype, x.shape)


@by_width
def test_nothing_is_computed_for_an_empty_value(width):
    loop = loops.Map(trace(lambda x: x.exp(), [float32]))
    compare(width, loop, [np.zeros((0, 3), np.float32)], float32, (0, 3))


# --- running sums -----------------------------------------------------------------------------------------------------


@by_width
@FEW
@given(shape=SHAPES.filter(bool), data=st.data())
def test_running_sums(width, shape, data):
    dtype = data.draw(st.sampled_from([float64, float32, int64]))
    loop = loops.Scan(data.draw(st.integers(0, len(shape) - 1)), data.draw(st.booleans()))
    found = compare(width, loop, [drawn(shape, dtype)], dtype, shape, is_strided=data.draw(st.booleans()))
    x = drawn(shape, dtype)
    x = np.flip(x, loop.axis) if loop.reverse else x
    sums = np.cumsum(x, loop.axis, x.dtype)
    np.testing.assert_allclose(found, np.flip(sums, loop.axis) if loop.reverse else sums, rtol=1e-4, atol=1e-4)
