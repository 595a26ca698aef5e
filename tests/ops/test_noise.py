"""Random nodes and dropout: distributions, streams, runs, evaluation mode, refusals, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphflow as gf
from graphflow.dtypes import float32, float64, int64
from graphflow.loops import Call, Random
from graphflow.ops.noise import Binomial, DropoutMask, Fill, Gaussian, Uniform
from graphflow.ops.sampling import numbers
from graphflow.streams import LARGEST_WORD, draw, stream_generator
from graphflow.tensortype import TensorType
from tests.ops.elementwise import same_bits

COUNT = 200_000
SHAPE = (COUNT,)
GOLDEN = [2533144363980168765, 4154714089138655030, 4708083050069965526]


def drawn(distribution, first, second, dtype=float64, shape=SHAPE, *, seed=11, stream=0, run=0):
    return draw(distribution, (first, second), shape, dtype, stream_generator(seed, stream, run))


def assert_moments(sample, mean, variance, fourth):
    """Mean and variance of the sample within five standard errors; `fourth` is the fourth central moment."""
    sample = sample.astype(np.float64)
    assert abs(sample.mean() - mean) <= 5 * math.sqrt(variance / COUNT)
    assert abs(((sample - mean) ** 2).mean() - variance) <= 5 * math.sqrt((fourth - variance**2) / COUNT)


# --- distributions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 5.0), (1e6, 1e6 + 8)])
def test_uniform_numbers(dtype, low, high):
    sample = drawn("uniform", low, high, dtype)
    width = high - low
    # Around 1e6 a float32 is a multiple of 1/16, which shifts the mean by half of that at most.
    assert_moments(sample - low, width / 2, width**2 / 12, width**4 / 80)
    assert sample.dtype == dtype
    assert sample.min() >= low
    assert sample.max() < high


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
def test_uniform_numbers_never_reach_the_upper_bound_by_rounding(dtype):
    low, high = float(dtype.type(1.0)), float(np.nextafter(dtype.type(1.0), dtype.type(2.0)))
    assert set(drawn("uniform", low, high, dtype).tolist()) == {low}
    assert set(drawn("uniform", 2.0, 2.0, dtype, (9,)).tolist()) == {2.0}


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
@pytest.mark.parametrize(("mean", "stdev"), [(0.0, 1.0), (-2.0, 0.25), (100.0, 30.0)])
def test_gaussian_numbers(dtype, mean, stdev):
    sample = drawn("gaussian", mean, stdev, dtype)
    assert sample.dtype == dtype
    assert_moments(sample, mean, stdev**2, 3 * stdev**4)
    within = (np.abs(sample - mean) < stdev).mean()
    assert abs(within - math.erf(math.sqrt(0.5))) < 5 * math.sqrt(0.25 / COUNT)


def test_gaussian_numbers_without_spread_are_the_mean():
    assert set(drawn("gaussian", 3.0, 0.0, float32, (9,)).tolist()) == {3.0}


@pytest.mark.parametrize("dtype", [float32, float64, int64], ids=str)
@pytest.mark.parametrize(("trials", "prob"), [(1.0, 0.5), (10.0, 0.3), (1000.0, 0.01)])
def test_binomial_numbers(dtype, trials, prob):
    sample = drawn("binomial", trials, prob, dtype)
    variance = trials * prob * (1 - prob)
    fourth = variance * (1 + (3 * trials - 6) * prob * (1 - prob))
    assert sample.dtype == dtype
    assert_moments(sample, trials * prob, variance, fourth)
    assert ((sample >= 0) & (sample <= trials) & (sample == np.floor(sample))).all()


@pytest.mark.parametrize(("trials", "prob", "only"), [(0.0, 0.5, 0.0), (7.0, 0.0, 0.0), (7.0, 1.0, 7.0)])
def test_binomial_numbers_that_are_certain(trials, prob, only):
    assert set(drawn("binomial", trials, prob, float32, (99,)).tolist()) == {only}


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
@pytest.mark.parametrize("probability", [0.001, 0.25, 0.9])
def test_masks(dtype, probability):
    scale = 1 / (1 - probability)
    sample = drawn("mask", probability, scale, dtype)
    assert sample.dtype == dtype
    assert set(sample.tolist()) == {0.0, float(dtype.type(scale))}
    dropped = (sample == 0).mean()
    assert abs(dropped - probability) <= 5 * math.sqrt(probability * (1 - probability) / COUNT)


@pytest.mark.parametrize("distribution", ["uniform", "gaussian", "binomial", "mask"])
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 1, 3)], ids=str)
def test_shapes(distribution, shape):
    sample = drawn(distribution, 0.0, 1.0, float32, shape)
    assert isinstance(sample, np.ndarray)
    assert (sample.dtype, sample.shape) == (float32, shape)


def test_an_unknown_distribution_is_refused():
    with pytest.raises(gf.GraphflowError, match=r"^there is no distribution 'cauchy'"):
        drawn("cauchy", 0.0, 1.0)


# --- streams -------------------------------------------------------------------------------------------------------


def test_the_numbers_depend_on_seed_stream_and_run_and_on_nothing_else():
    def first_numbers(*key):
        return tuple(stream_generator(*key).integers(0, 2**63, 8).tolist())

    keys = [(seed, stream, run) for seed in (0, 1, LARGEST_WORD) for stream in (0, 1, 77) for run in (0, 1, 2**40)]
    assert [first_numbers(*key) for key in keys] == [first_numbers(*key) for key in keys]
    assert len({first_numbers(*key) for key in keys}) == len(keys)
    # No stream begins inside another one: all numbers of all of them differ.
    assert len({number for key in keys for number in first_numbers(*key)}) == 8 * len(keys)


def test_the_words_of_a_stream_are_fixed_for_ever():
    # A checkpoint that is resumed years later draws on from here.
    assert stream_generator(1, 2, 3).bit_generator.random_raw(3).tolist() == GOLDEN


def test_streams_and_runs_are_uncorrelated():
    samples = np.array(
        [
            drawn("gaussian", 0.0, 1.0, shape=(20_000,), seed=3, stream=stream, run=run)
            for stream in (0, 1)
            for run in (0, 1)
        ]
    )
    correlations = np.corrcoef(samples)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 5 / math.sqrt(20_000)


@pytest.mark.parametrize("bad", [-1, 2**64, 0.5, "1", None], ids=repr)
@pytest.mark.parametrize("what", ["seed", "stream", "run"])
def test_keys_that_are_no_words_are_refused(what, bad):
    with pytest.raises(gf.GraphflowError, match=rf"^the {what} is not usable\n  got     "):
        stream_generator(**{"seed": 0, "stream": 0, "run": 0, what: bad})


# --- nodes ---------------------------------------------------------------------------------------------------------


def random_nodes(g):
    return [
        gf.uniform(g, (2, 3), -1.0, 2.0, name="u"),
        gf.gaussian(g, 4, 1.0, 0.5, dtype="float64", name="n"),
        gf.binomial(g, (), 10, 0.3, name="b"),
        gf.binomial(g, (5,), 10, 0.3, dtype="int64", name="i"),
        gf.uniform(g, (2, 3), -1.0, 2.0, name="v"),
    ]


def runs(count, seed=0, build=random_nodes):
    """The values of the random nodes in several runs of one machine."""
    g = gf.ExprGraph()
    nodes = build(g)
    with gf.TapeMachine(g, seed=seed) as machine:
        values = []
        for _ in range(count):
            machine.run_all()
            values.append([node.value for node in nodes])
    return values


def all_same(left, right):
    return all(same_bits(a, b) for a, b in zip(left, right, strict=True))


def test_random_nodes_have_the_types_asked_for():
    nodes = random_nodes(gf.ExprGraph())
    assert [str(node.type) for node in nodes] == [
        "float32[2, 3]",
        "float64[4]",
        "float32[]",
        "int64[5]",
        "float32[2, 3]",
    ]
    assert [node.op.stream for node in nodes] == [0, 1, 2, 3, 4]
    assert all(node.op.is_random and not node.op.is_pure for node in nodes)
    (values,) = runs(1)
    assert [TensorType(value.dtype, value.shape) for value in values] == [node.type for node in nodes]


def test_the_same_seed_gives_the_same_runs():
    assert all(all_same(a, b) for a, b in zip(runs(3, seed=5), runs(3, seed=5), strict=True))


def test_each_run_each_stream_and_each_seed_gives_other_numbers():
    first, second = runs(2, seed=5)
    (other,) = runs(1, seed=6)
    for place in (0, 1, 3, 4):
        assert not np.array_equal(first[place], second[place])
        assert not np.array_equal(first[place], other[place])
    # Two nodes with equal parameters are two nodes: never merged.
    assert not np.array_equal(first[0], first[4])


def test_the_numbers_of_a_node_do_not_depend_on_other_nodes():
    def with_more(g):
        nodes = random_nodes(g)
        gf.sum(nodes[0] * gf.uniform(g, (2, 3)))
        return nodes

    assert all_same(runs(1)[0], runs(1, build=with_more)[0])


def test_the_lisp_machine_draws_the_same_numbers():
    g = gf.ExprGraph()
    nodes = random_nodes(g)
    gf.LispMachine(g).run_all()
    assert all_same([node.value for node in nodes], runs(1)[0])


def test_a_node_that_is_used_twice_is_drawn_once():
    g = gf.ExprGraph()
    x = gf.gaussian(g, 1000)
    difference = gf.read(x - x)
    with gf.TapeMachine(g) as machine:
        machine.run_all()
        assert not difference.value.any()


def test_loop_forms():
    assert Uniform((3,), float32, 7, -1.0, 2.0).lower() == Random("uniform", (-1.0, 2.0), 7)
    assert Gaussian((3,), float32, 8, 0.0, 1.0).lower() == Random("gaussian", (0.0, 1.0), 8)
    assert Binomial((3,), float32, 9, 4.0, 0.5).lower() == Random("binomial", (4.0, 0.5), 9)
    assert DropoutMask((3,), float32, 10, 0.75).lower() == Random("mask", (0.75, 4.0), 10)
    assert isinstance(Fill((3,), float32, 1.0).lower(), Call)


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5])
def test_fill(value):
    assert same_bits(Fill((2, 3), float64, value).evaluate(), np.full((2, 3), value))


# --- refusals ------------------------------------------------------------------------------------------------------

NAN, INF = math.nan, math.inf
BAD_PARAMETERS = [
    (gf.uniform, (2.0, 1.0)),
    (gf.uniform, (NAN, 1.0)),
    (gf.uniform, (0.0, INF)),
    (gf.uniform, (-3e38, 3e38)),
    (gf.uniform, (1e39, 1e39)),
    (gf.uniform, (10**400, 1.0)),
    (gf.uniform, ("0", 1.0)),
    (gf.uniform, (None, 1.0)),
    (gf.gaussian, (0.0, -1.0)),
    (gf.gaussian, (NAN, 1.0)),
    (gf.gaussian, (0.0, INF)),
    (gf.gaussian, (1e39, 1.0)),
    (gf.gaussian, (0.0, 1j)),
    (gf.binomial, (-1, 0.5)),
    (gf.binomial, (2.5, 0.5)),
    (gf.binomial, (2**53 + 2, 0.5)),
    (gf.binomial, (3, -0.1)),
    (gf.binomial, (3, 1.1)),
    (gf.binomial, (3, NAN)),
    (gf.binomial, ([3], 0.5)),
]


@pytest.mark.parametrize(("function", "parameters"), BAD_PARAMETERS)
def test_bad_parameters_are_refused_and_change_nothing(function, parameters):
    g = gf.ExprGraph()
    with pytest.raises(gf.OptionError, match=rf"^{function.__name__}: .*\n  got .*\n  needs ") as caught:
        function(g, (2, 3), *parameters)
    assert "test_noise.py" in str(caught.value)
    assert (len(g), g.streams) == (0, 0)


def test_the_message_of_a_bad_parameter():
    with pytest.raises(gf.OptionError) as caught:
        gf.uniform(gf.ExprGraph(), 3, 2, 1)
    assert str(caught.value).splitlines()[:3] == [
        "uniform: a parameter is out of its range",
        "  got     low 2, high 1",
        "  needs   low <= high, and high - low within float32",
    ]


def test_a_wider_dtype_allows_wider_bounds():
    assert gf.uniform(gf.ExprGraph(), 3, -3e38, 3e38, dtype="float64").shape == (3,)


MAKERS = {
    "uniform": gf.uniform,
    "gaussian": gf.gaussian,
    "binomial": lambda g, shape, **options: gf.binomial(g, shape, 3, 0.5, **options),
}
every_maker = pytest.mark.parametrize("name", MAKERS)


@every_maker
@pytest.mark.parametrize(
    "shape", [-1, (2, -3), 2.5, "ab", None, (2**40, 2**40), (1,) * 65], ids=lambda shape: repr(shape)[:12]
)
def test_bad_shapes_are_refused(name, shape):
    g = gf.ExprGraph()
    with pytest.raises(gf.ShapeError):
        MAKERS[name](g, shape)
    assert (len(g), g.streams) == (0, 0)


@every_maker
def test_a_node_as_shape_is_refused(name):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    with pytest.raises(gf.ShapeError, match=rf"^{name}: x: float32\[3\] is no shape\n(.*\n)*  try     x\.shape"):
        MAKERS[name](g, x)
    assert (len(g), g.streams) == (1, 0)


@every_maker
@pytest.mark.parametrize("dtype", ["bool", "float16", "int32"])
def test_bad_dtypes_are_refused(name, dtype):
    g = gf.ExprGraph()
    with pytest.raises(gf.DTypeError):
        MAKERS[name](g, 3, dtype=dtype)
    assert (len(g), g.streams) == (0, 0)


@pytest.mark.parametrize("name", ["uniform", "gaussian"])
def test_fractions_need_a_floating_dtype(name):
    with pytest.raises(gf.DTypeError, match=rf"^{name}: not defined for int64\n  needs   float32 or float64"):
        MAKERS[name](gf.ExprGraph(), 3, dtype="int64")


@every_maker
def test_names_and_graphs_are_checked(name):
    g = gf.ExprGraph()
    assert MAKERS[name](g, 3, name="r").name == "r"
    with pytest.raises(gf.OptionError, match=r"^a name must be text"):
        MAKERS[name](g, 3, name=5)
    assert (len(g), g.streams) == (1, 1)
    with pytest.raises(gf.GraphError, match=rf"^{name}: None is no graph\n  got     NoneType\n  needs   an ExprGraph"):
        MAKERS[name](None, 3)


# --- gradients and dropout -------------------------------------------------------------------------------------------


def test_gradients_go_past_random_nodes():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=np.array([1.0, 2.0, 3.0]))
    noise = gf.gaussian(g, 3, dtype="float64", name="noise")
    (dx,) = gf.grad(gf.sum(x * noise), x)
    with gf.TapeMachine(g, seed=4) as machine:
        for _ in range(2):
            machine.run_all()
            assert same_bits(dx.value, noise.value)
    assert noise.op.gradient(noise, noise) == ()


def test_dropout_drops_and_scales():
    g = gf.ExprGraph()
    x = gf.vector(g, COUNT, name="x", value=np.full(COUNT, 3.0, np.float32))
    y = gf.read(gf.dropout(x, 0.25))
    (dx,) = gf.grad(gf.sum(y.node), x)
    with gf.TapeMachine(g, seed=9) as machine:
        machine.run_all()
        values = y.value
        slopes = dx.value
        machine.run_all()
        again = y.value
    assert set(values.tolist()) == {0.0, 4.0}
    assert_moments(values, 3.0, 3.0, 0.25 * 81 + 0.75)
    # The gradient is dropped and scaled where the value was.
    assert same_bits(slopes, values / np.float32(3.0))
    assert not np.array_equal(values, again)


def test_dropout_is_off_in_evaluation_mode():
    g = gf.ExprGraph()
    x = gf.vector(g, 50, name="x", value=numbers(50))
    y = gf.dropout(x, 0.9)
    reading = gf.read(y)
    (dx,) = gf.grad(gf.sum(y), x)
    with gf.TapeMachine(g, eval_mode=True) as machine:
        machine.run_all()
        assert same_bits(reading.value, x.value)
        assert same_bits(dx.value, np.ones(50))


def test_two_dropouts_of_one_node_differ():
    g = gf.ExprGraph()
    x = gf.vector(g, 1000, name="x", value=np.ones(1000))
    first, second = gf.read(gf.dropout(x, 0.5)), gf.read(gf.dropout(x, 0.5))
    with gf.TapeMachine(g) as machine:
        machine.run_all()
        assert not np.array_equal(first.value, second.value)


def test_dropout_of_nothing_is_the_node_itself():
    g = gf.ExprGraph()
    x = gf.vector(g, 3)
    assert gf.dropout(x, 0) is x
    assert gf.dropout(x, 0.0) is x
    assert (len(g), g.streams) == (1, 0)


@pytest.mark.parametrize("probability", [1, 1.0, -0.1, 2, NAN, INF, "0.5", None], ids=repr)
def test_dropout_refuses_other_probabilities(probability):
    g = gf.ExprGraph()
    x = gf.vector(g, 3)
    with pytest.raises(gf.OptionError, match=r"^dropout: .*\n  got "):
        gf.dropout(x, probability)
    assert (len(g), g.streams) == (1, 0)


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_dropout_refuses_other_kinds(dtype):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", dtype=dtype)
    with pytest.raises(
        gf.DTypeError, match=rf"^dropout: not defined for x: {dtype}\[3\]\n  needs   float32 or float64\n"
    ):
        gf.dropout(x, 0.5)
    with pytest.raises(gf.GraphError, match=r"^dropout: the operand is no node"):
        gf.dropout(2.0, 0.5)
    assert (len(g), g.streams) == (1, 0)
