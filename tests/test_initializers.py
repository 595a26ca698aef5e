from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow import initializers
from graphflow.construct import matrix, tensor, vector
from graphflow.dtypes import float32, float64
from graphflow.errors import BindingError, DTypeError, OptionError, ShapeError
from graphflow.graph import ExprGraph
from graphflow.initializers import (
    Initializer,
    chrono,
    gaussian_init,
    glorot_n,
    glorot_u,
    he_n,
    he_u,
    ones,
    orthogonal,
    ranged_from,
    uniform_init,
    values_of,
    zeroes,
)

RANDOM = {
    "gaussian_init": gaussian_init(0.5, 2.0),
    "uniform_init": uniform_init(-1.0, 3.0),
    "glorot_n": glorot_n(),
    "glorot_u": glorot_u(),
    "he_n": he_n(),
    "he_u": he_u(),
    "orthogonal": orthogonal(),
    "chrono": chrono(30),
}
SHAPES = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)


def draw(initializer, shape, dtype="float64", seed=0):
    return initializer(shape, dtype, np.random.default_rng(seed))


def has_moments(values, mean, stdev):
    """Whether mean and standard deviation are within five standard errors of a normal or flatter distribution."""
    error = 5 * stdev / math.sqrt(values.size)
    return abs(values.mean() - mean) < error and abs(values.std() - stdev) < error


# --- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RANDOM)
def test_the_seed_decides(name):
    first, again, other = (matrix(ExprGraph(seed=seed), (4, 3), init=RANDOM[name]).value for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("name", RANDOM)
def test_float32_is_float64_rounded_once(name):
    wide, narrow = draw(RANDOM[name], (6, 5), float64), draw(RANDOM[name], (6, 5), float32)
    assert (wide.dtype, narrow.dtype) == (float64, float32)
    np.testing.assert_array_equal(narrow, wide.astype(float32))


@pytest.mark.parametrize("name", RANDOM)
@given(shape=SHAPES)
def test_random_ones_fill_any_shape(name, shape):
    if name == "orthogonal" and len(shape) < 2:
        shape = (*shape, 3)
    values = draw(RANDOM[name], shape)
    assert values.shape == shape
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_random_ones_give_floats_only(name, dtype):
    with pytest.raises(DTypeError, match=f"{name}.* gives no {dtype}"):
        draw(RANDOM[name], (2, 2), dtype)


def test_each_draw_moves_on():
    g = ExprGraph()
    first, second = (vector(g, 5, init=gaussian_init()).value for _ in range(2))
    assert (first != second).all()


def test_every_public_function_makes_one_that_says_how_it_was_made():
    makers = [
        value
        for name, value in vars(initializers).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__annotations__", {}).get("return") == "Initializer"
    ]
    assert len(makers) == 12
    made = [maker(2) if maker in (values_of, chrono) else maker() for maker in makers]
    assert all(isinstance(initializer, Initializer) for initializer in made)
    assert sorted(map(repr, made)) == [
        "chrono(2)",
        "gaussian_init(mean=0.0, stdev=1.0)",
        "glorot_n(gain=1.0)",
        "glorot_u(gain=1.0)",
        "he_n(gain=1.0)",
        "he_u(gain=1.0)",
        "ones()",
        "orthogonal(gain=1.0)",
        "ranged_from(0)",
        "uniform_init(0.0, 1.0)",
        "values_of(2)",
        "zeroes()",
    ]


# --- fixed values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_zeroes_and_ones_in_every_dtype(dtype):
    for initializer, expected in ((zeroes(), 0), (ones(), 1), (values_of(True), 1)):
        values = draw(initializer, (2, 3), dtype)
        assert values.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(values, np.full((2, 3), expected))


@given(SHAPES, st.integers(-5, 5), st.sampled_from(["float32", "float64", "int64"]))
def test_ranged_from_counts_in_row_order(shape, start, dtype):
    expected = start + np.arange(math.prod(shape)).reshape(shape)
    values = draw(ranged_from(start), shape, dtype)
    assert values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(values, expected)


def test_ranged_from_a_fraction():
    np.testing.assert_array_equal(draw(ranged_from(0.5), 3), [0.5, 1.5, 2.5])
    with pytest.raises(DTypeError):
        draw(ranged_from(0.5), 3, "int64")
    with pytest.raises(DTypeError):
        draw(ranged_from(0), 3, "bool")


def test_values_of_a_number_fills_and_of_an_array_gives_a_copy():
    np.testing.assert_array_equal(draw(values_of(2), (2, 2)), np.full((2, 2), 2.0))
    array = np.arange(3.0)
    initializer = values_of(array)
    array[:] = 9
    drawn = draw(initializer, 3)
    np.testing.assert_array_equal(drawn, [0, 1, 2])
    drawn[:] = 5
    np.testing.assert_array_equal(draw(initializer, 3), [0, 1, 2])


def test_values_of_what_does_not_fit_is_refused():
    with pytest.raises(BindingError):
        values_of("text")
    with pytest.raises(BindingError):
        values_of([[1], [1, 2]])
    with pytest.raises(ShapeError, match="values_of"):
        draw(values_of([1.0, 2.0]), 3)
    with pytest.raises(DTypeError):
        draw(values_of(0.5), 3, "int64")
    with pytest.raises(BindingError, match="values_of"):
        draw(values_of(1e300), 3, "float32")


# --- distributions ---------------------------------------------------------------------------------------------------


def test_gaussian_has_its_mean_and_deviation():
    assert has_moments(draw(gaussian_init(3.0, 0.25), 20_000), 3.0, 0.25)
    np.testing.assert_array_equal(draw(gaussian_init(3.0, 0.0), 4), np.full(4, 3.0))


def test_uniform_is_even_between_its_bounds():
    values = draw(uniform_init(-1.0, 3.0), 20_000)
    assert has_moments(values, 1.0, 4.0 / math.sqrt(12))
    assert -1.0 <= values.min() < -0.99
    assert 2.99 < values.max() < 3.0


GLOROT = [((100, 60), 160), ((150,), 151), ((20, 30, 5, 3), 50 * 15), ((1, 400), 401)]
FAN_IN = [((100, 60), 60), ((150,), 150), ((20, 30, 5, 3), 450), ((400, 3), 3)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("maker", "shape", "size"),
    [(glorot_n, *case) for case in GLOROT]
    + [(glorot_u, *case) for case in GLOROT]
    + [(he_n, *case) for case in FAN_IN]
    + [(he_u, *case) for case in FAN_IN],
)
def test_scaled_ones_have_the_published_deviation(maker, shape, size, dtype):
    for gain in (1.0, 1.5):
        values = draw(maker(gain), shape, dtype, seed=5)
        assert has_moments(values, 0.0, gain * math.sqrt(2.0 / size))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("maker", "size"), [(glorot_u, 300), (he_u, 200)])
def test_uniform_scaled_ones_keep_within_their_bounds_and_use_them(maker, size, dtype):
    bound = math.sqrt(6.0 / size)
    values = draw(maker(), (100, 200), dtype)
    assert (abs(values) <= np.dtype(dtype).type(bound)).all()
    # A normal distribution of this deviation would have 8% outside, and fewer near the bound than in the middle.
    counts, _ = np.histogram(values, bins=10, range=(-bound, bound))
    assert counts.sum() == values.size
    assert counts.min() > 0.9 * values.size / 10


def test_a_gain_of_zero_gives_zeros():
    for maker in (glorot_n, glorot_u, he_n, he_u, orthogonal):
        assert not draw(maker(0), (3, 2)).any()


def test_a_scalar_cannot_be_scaled():
    for initializer in (glorot_n(), glorot_u(), he_n(), he_u(), orthogonal()):
        with pytest.raises(ShapeError):
            draw(initializer, ())
    with pytest.raises(ShapeError, match="orthogonal: needs rows and columns"):
        draw(orthogonal(), 4)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(1, 2))
def test_orthogonal_rows_or_columns_are_orthonormal(rows, columns, depth):
    values = draw(orthogonal(2.0), (rows, columns, depth)).reshape(rows, columns * depth)
    product = values @ values.T if rows <= columns * depth else values.T @ values
    np.testing.assert_allclose(product, 4.0 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_favours_no_sign():
    diagonals = np.array([np.diagonal(draw(orthogonal(), (3, 3), seed=seed)) for seed in range(400)])
    # Each entry of such a matrix has mean 0 and variance 1/3.
    assert (abs(diagonals.mean(axis=0)) < 5 * math.sqrt(1 / 3 / 400)).all()


def test_chrono_is_the_logarithm_of_an_even_draw():
    values = draw(chrono(30), 20_000)
    assert has_moments(np.exp(values), 15.0, 28.0 / math.sqrt(12))
    assert values.min() >= 0.0
    assert values.max() <= math.log(29.0)
    np.testing.assert_array_equal(draw(chrono(30, negative=True), 20_000), -values)
    assert not draw(chrono(2), 3).any()


def test_chrono_biases_of_two_gates_can_share_a_draw():
    g = ExprGraph(seed=3)
    drawn = chrono(30)(100, "float32", g.generator)
    forget, entry = vector(g, 100, init=values_of(drawn)), vector(g, 100, init=values_of(-drawn))
    np.testing.assert_array_equal(forget.value, -entry.value)
    assert forget.value.std() > 0.1


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", ["1", None, float("nan"), float("inf"), -float("inf"), pytest.param(10**5000, id="vast"), 1j, [1.0], True]
)
@pytest.mark.parametrize(
    "make",
    [
        lambda value: gaussian_init(value, 1.0),
        lambda value: gaussian_init(0.0, value),
        lambda value: uniform_init(value, 1.0),
        lambda value: uniform_init(0.0, value),
        ranged_from,
        glorot_n,
        glorot_u,
        he_n,
        he_u,
        orthogonal,
        chrono,
    ],
)
def test_options_are_finite_numbers(make, wrong):
    with pytest.raises(OptionError, match="is not usable"):
        make(wrong)


@pytest.mark.parametrize(
    ("make", "needs"),
    [
        (lambda: gaussian_init(0.0, -0.1), "a finite number of 0 or more"),
        (lambda: glorot_n(-1), "a finite number of 0 or more"),
        (lambda: he_u(-1), "a finite number of 0 or more"),
        (lambda: orthogonal(-1), "a finite number of 0 or more"),
        (lambda: uniform_init(1.0, 0.5), "a finite number of 1 or more"),
        (lambda: uniform_init(-1e308, 1e308), "a finite number"),
        (lambda: chrono(1.9), "a finite number of 2 or more"),
        (lambda: ranged_from(2**60), "a finite number of -9.0072e+15 or more up to 9.0072e+15"),
    ],
)
def test_options_out_of_range_are_refused(make, needs):
    with pytest.raises(OptionError) as caught:
        make()
    assert caught.value.needs == needs


def test_options_may_be_numpy_numbers():
    np.testing.assert_array_equal(draw(gaussian_init(np.float32(1), np.int64(0)), 2), [1.0, 1.0])


def test_an_initializer_checks_shape_and_dtype():
    with pytest.raises(ShapeError):
        draw(zeroes(), -1)
    with pytest.raises(DTypeError):
        draw(zeroes(), 2, "float16")


def test_initialisers_fill_tensors_of_a_graph():
    node = tensor(ExprGraph(), (2, 3, 4), dtype="float64", init=glorot_u())
    assert node.value.shape == (2, 3, 4)
    assert node.value.std() > 0
