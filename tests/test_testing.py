"""The tools for tests find what they are for, and pass what is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import graphflow as gf
from graphflow.loops import Map, Scatter
from graphflow.ops.sampling import i64
from graphflow.testing import assert_backends_agree, check_gradient, check_op, random_graph, random_network
from graphflow.testing.closeness import difference

SAMPLES = (np.array([0.3, -0.7, 1.1]),)


@dataclass(frozen=True)
class Cube(gf.Op, abstract=True):
    """x ** 3, right in every respect; the classes below are each wrong in one."""

    symbol = "cube"
    overwrites = (0,)

    def infer(self, x):
        if x.dtype.kind != "f":
            raise gf.DTypeError("not defined for {0}", got=str(x.dtype), needs="floats", operands=[x])
        return x

    def evaluate(self, x):
        return x * x * x

    def gradient(self, dy, y, x):
        return (dy * 3.0 * x * x,)

    def lower(self, x):
        return Map.of(lambda x: x * x * x, x)

    @classmethod
    def samples(cls):
        yield gf.Sample(cls(), SAMPLES)

    @classmethod
    def bad_samples(cls):
        yield gf.BadSample(cls(), (i64(3),), gf.DTypeError)


def variant(**members):
    """A class like Cube, but for the given members."""
    return dataclass(frozen=True)(type("Variant", (Cube,), {"__annotations__": {}, "__module__": __name__, **members}))


def test_a_right_op_passes():
    check_op(variant())


class Counter:
    number: ClassVar[int] = 0


class Wrong:
    """Members of an op, each wrong in one way, and the words that must name it."""

    def promising_a_shape(self, x):
        return x._replace(shape=(*x.shape, 1))

    def promising_a_dtype(self, x):
        return x._replace(dtype=np.dtype("float64"))

    def refusing_nothing(self, x):
        return x

    def refusing_otherwise(self, x):
        if x.dtype.kind != "f":
            raise gf.ShapeError("not defined for {0}", got="anything", operands=[x])
        return x

    def changing_its_input(self, x):
        x *= x * x
        return x

    def drifting(self, x):
        Counter.number += 1
        return x * x * x + Counter.number * 1e-9

    def losing_digits(self, x):
        return (x.astype(np.float32) ** 3).astype(x.dtype)

    def another_loop(self, x):
        return Map.of(lambda x: x * x, x)

    def a_loop_a_little_off(self, x):
        return Map.of(lambda x: x * x * x * 1.00001, x)

    def another_gradient(self, dy, y, x):
        return (dy * 2.0 * x,)

    def a_gradient_a_little_off(self, dy, y, x):
        return (dy * 3.003 * x * x,)

    def a_gradient_of_the_other_sign(self, dy, y, x):
        return (-(dy * 3.0 * x * x),)

    def a_silent_zero(self, dy, y, x):
        return (None,)

    def too_many_entries(self, dy, y, x):
        return (dy, dy)

    def a_gradient_of_another_shape(self, dy, y, x):
        return (gf.sum(dy),)

    @classmethod
    def no_samples(cls):
        return ()


WRONG = {
    "promising_a_shape": ("infer", "infer promises"),
    "promising_a_dtype": ("infer", "infer promises"),
    "refusing_nothing": ("infer", "not refused"),
    "refusing_otherwise": ("infer", "refused with ShapeError"),
    "changing_its_input": ("evaluate", "changes its input 0"),
    "drifting": ("evaluate", "something else the second time"),
    # The value is off by less than the tolerance; its differences are not.
    "losing_digits": ("evaluate", "central differences"),
    "another_loop": ("lower", "map"),
    "a_loop_a_little_off": ("lower", "map"),
    "another_gradient": ("gradient", "central differences"),
    "a_gradient_a_little_off": ("gradient", "central differences"),
    "a_gradient_of_the_other_sign": ("gradient", "central differences"),
    "a_silent_zero": ("gradient", "central differences"),
    "too_many_entries": ("gradient", "not one entry for each input"),
    "a_gradient_of_another_shape": ("gradient", "another type"),
    "no_samples": ("samples", "no samples"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_an_op_is_found(name):
    member, text = WRONG[name]
    with pytest.raises(AssertionError, match=text):
        check_op(variant(**{member: vars(Wrong)[name]}))


def test_a_second_order_that_is_wrong_is_found():
    """The first gradient is right at the sample; its own gradient is not, because it hides where x went."""

    @dataclass(frozen=True)
    class Hidden(gf.Op):
        symbol = "hidden"

        def infer(self, x):
            return x

        def evaluate(self, x):
            return 3.0 * x * x

        def gradient(self, dy, y, x):
            return (dy * 5.0 * x,)

        @classmethod
        def samples(cls):
            yield gf.Sample(cls(), SAMPLES, smooth=False)

    check_op(Hidden)

    def gradient(self, dy, y, x):
        return (dy * gf.apply(Hidden(), x),)

    with pytest.raises(AssertionError, match="order 2"):
        check_op(variant(gradient=gradient))


def test_an_op_that_cannot_be_hashed_is_found():
    @dataclass(frozen=True)
    class Listing(Cube):
        numbers: list[int]

        @classmethod
        def samples(cls):
            yield gf.Sample(cls([1, 2]), SAMPLES)

        @classmethod
        def bad_samples(cls):
            return ()

    with pytest.raises(AssertionError, match="cannot be hashed"):
        check_op(Listing)


@dataclass(frozen=True)
class Collect(gf.Op):
    """Adds numbers up at ids. Its loop clears the result first, so that must not lie where the numbers are."""

    symbol = "collect"

    def infer(self, ids, x):
        return x

    def evaluate(self, ids, x):
        result = np.zeros_like(x)
        np.add.at(result, ids, x)
        return result

    def gradient(self, dy, y, ids, x):
        return None, gf.gather(dy, ids)

    def lower(self, ids, x):
        return Scatter(x.shape[0])

    @classmethod
    def samples(cls):
        yield gf.Sample(cls(), (np.array([2, 0, 2]), np.array([1.0, 2.0, 3.0])), fixed=(0,))


def test_an_overwrite_that_is_not_safe_is_found():
    @dataclass(frozen=True)
    class Unsafe(Collect):
        overwrites = (1,)

    check_op(Collect)
    with pytest.raises(AssertionError, match="in place of input 1"):
        check_op(Unsafe)


# --- gradients --------------------------------------------------------------------------------------------------------


def test_right_gradients_pass():
    check_gradient(lambda x, y: gf.tanh(x @ y), np.ones((2, 3)) * 0.3, np.ones(3) * 0.2, order=3)
    check_gradient(lambda t, i: gf.gather(t, i) * 2.0, np.ones((3, 2)), np.array([0, 2, 0]))
    check_gradient(lambda x, b: gf.where(b, x, x * x), [1.0, 2.0], [True, False])
    check_gradient(lambda x: x * 3.0, 2.0, order=2)


def test_a_node_of_a_graph_can_be_checked():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, dtype="float64", value=[1.0, 2.0, 3.0])
    w = gf.vector(g, 3, dtype="float64", value=[0.5, 0.5, -1.0])
    y = gf.softmax(x * w)
    check_gradient(y, x, w, order=2)
    assert x.value.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(gf.DTypeError, match="not float64"):
        check_gradient(gf.vector(g, 2, value=[1.0, 2.0]) * 2.0, x)
    with pytest.raises(gf.GraphError, match="is no input"):
        check_gradient(gf.sum(y), y)
    with pytest.raises(gf.GradientError, match="nothing to differentiate"):
        check_gradient(y)
    with pytest.raises(gf.GradientError, match="does not depend"):
        check_gradient(y, gf.scalar(g, dtype="float64", value=1.0))


def test_wrong_gradients_are_named():
    op = variant(gradient=Wrong.another_gradient)()
    with pytest.raises(AssertionError) as caught:
        check_gradient(lambda x: gf.apply(op, x), [1.0, 2.0])
    text = str(caught.value)
    assert text.startswith("order 1: the gradient of input 0: float64[2] is ")
    assert "at (0,), central differences give " in text


def test_large_inputs_are_tried_at_some_places():
    calls = []

    def function(x):
        calls.append(x)
        return gf.tanh(x)

    check_gradient(function, np.linspace(-1.0, 1.0, 500))
    assert len(calls) == 1


# --- agreement --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Disagreeing(gf.Op):
    """Its loop is right for positive numbers only."""

    symbol = "disagreeing"

    def infer(self, x):
        return x

    def evaluate(self, x):
        return np.abs(x)

    def gradient(self, dy, y, x):
        return (dy,)

    def lower(self, x):
        return Map.of(lambda x: x, x)


def test_machines_that_disagree_are_caught():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    y = gf.apply(Disagreeing(), x, name="y")
    assert_backends_agree(g)
    gf.let(x, [1.0, -2.0])
    with pytest.raises(AssertionError, match=r"round 0, numpy: y: float32\[2\] has .*2.0.* at \(1,\), not .*2.0"):
        assert_backends_agree(g, backends=["numpy"])
    assert x.value.tolist() == [1.0, -2.0]
    assert y.name == "y"


def test_values_and_positions_are_put_back():
    g = gf.ExprGraph()
    x = gf.matrix(g, (5, 2), init=gf.ranged_from(0))
    ids = gf.vector(g, 2, dtype="int64", value=[0, 3])
    row, part = x[2], x[1:3]
    count = gf.scalar(g, value=0.0)
    gf.set_(count, count + gf.sum(row) + gf.sum(part) + gf.sum(gf.gather(x, ids)))
    before = x.value.tolist(), ids.value.tolist(), count.value, g.positions.cells.tolist()
    assert_backends_agree(g, rounds=5)
    assert (x.value.tolist(), ids.value.tolist(), count.value, g.positions.cells.tolist()) == before


def test_each_round_binds_other_values():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, value=[1.0, -2.0, 0.0])
    flags = gf.vector(g, 8, dtype="bool", value=[True, False] * 4)
    gf.where(flags[:3], x, 0.0)
    seen = []

    def rebind(generator):
        gf.let(x, generator.normal(size=3))
        seen.append(x.value.tolist())

    assert_backends_agree(g, rounds=4, rebind=rebind)
    assert len({tuple(each) for each in seen}) == 3


def test_unbound_inputs_are_refused():
    g = gf.ExprGraph()
    gf.tanh(gf.scalar(g, name="x"))
    with pytest.raises(gf.GraphError, match="x: float32.. has no value"):
        assert_backends_agree(g)


@pytest.mark.parametrize(
    ("found", "expected", "is_wrong"),
    [
        ([1.0, 2.0], [1.0, 2.0], False),
        ([1.0, 2.0 + 1e-9], [1.0, 2.0], False),
        ([1.0, 2.1], [1.0, 2.0], True),
        ([np.nan, np.inf], [np.nan, np.inf], False),
        ([np.nan], [1.0], True),
        ([1.0], [np.nan], True),
        ([np.inf], [-np.inf], True),
        ([1e300], [np.inf], True),
        ([1e-9], [0.0], False),
        ([1e6 + 1e-3, 1e-4], [1e6, 0.0], False),
        ([[1.0]], [1.0], True),
        ([], [], False),
    ],
)
def test_when_arrays_count_as_equal(found, expected, is_wrong):
    assert (difference(np.array(found), np.array(expected), 1e-8) is not None) is is_wrong
    assert difference(np.array(expected, np.float32), np.array(expected), 1e-8) is not None


FAMILIES = """
    add sub hadamard_prod hadamard_div pow neg exp log tanh sigmoid softplus sqrt square abs sign rectify cast where
    gt lte lt eq logical_and logical_or logical_not matmul outer sum mean max min total
    softmax log_softmax log_sum_exp softmax_cross_entropy slice slice_incr transpose reshape broadcast_to
    concat stack gather scatter_add uniform dropout
    sin cos tan arctan arcsin arccos arctan2 erf log2 inverse inverse_sqrt cube gelu gelu_tanh swish mish elu
    leaky_rectify clip max_between min_between floor ceil round prod cumsum argmax argmin all any pad
"""


def test_random_graphs_hold_what_they_promise():
    """Over some seeds: every family of ops, names, steps, rebindable slices, ids, gradients of computed nodes."""
    names, traits = set(), set()
    for seed in range(40):
        case = random_graph(seed, 25)
        names |= {node.op.name for node in case.graph if node.op is not None}
        traits |= {"slices"} if case.slices else set()
        traits |= {"ids"} if case.limits else set()
        traits |= {"named"} if any(node.name and node.op for node in case.graph) else set()
        traits |= {"steps"} if any(node.step is not None for node in case.graph) else set()
        traits |= {"scopes"} if any(node.scope for node in case.graph) else set()
        traits |= {"reads"} if case.graph.reads else set()
        traits |= {"computed wrt"} if any(node.op is not None for node in case.wrt) else set()
        traits |= {str(node.dtype) for node in case.inputs}
        assert case.cost.shape == ()
        assert all(node.is_bound for node in case.inputs)
    assert names >= set(FAMILIES.split())
    assert traits >= {"slices", "ids", "named", "steps", "scopes", "reads", "computed wrt"}
    assert traits >= {"float32", "float64", "int64", "bool"}


def test_rebinding_moves_everything():
    case = next(each for each in (random_graph(seed, 25) for seed in range(50)) if each.slices and each.limits)
    before = [node.value.tobytes() for node in case.inputs], case.graph.positions.cells.tobytes()
    generator = np.random.default_rng(0)
    for _ in range(5):
        case.rebind(generator)
    after = [node.value.tobytes() for node in case.inputs], case.graph.positions.cells.tobytes()
    changed = [one != other for one, other in zip(before[0], after[0], strict=True)]
    assert sum(changed) > len(changed) / 2
    assert before[1] != after[1]


def test_random_networks_hold_what_the_compiler_works_on():
    """Over some seeds: weights used at every step, moving rows and targets, lookups, masks, batches, two dtypes."""
    names, traits = set(), set()
    for seed in range(30):
        case = random_network(seed, 6)
        names |= {node.op.name for node in case.graph if node.op is not None}
        used = [source.id for node in case.graph if node.op is not None for source in node.inputs]
        assert any(used.count(weight.id) >= 2 for weight in case.wrt)
        traits |= {f"steps {len({node.step for node in case.graph} - {None})}", str(case.inputs[0].dtype)}
        traits |= {"slices"} if case.slices else set()
        traits |= {"ids"} if case.limits else set()
        traits |= {"batch"} if any(node.dims == 2 and node.step == 0 for node in case.graph) else set()
        traits |= {"one at a time"} if any(node.dims == 1 and node.step == 0 for node in case.graph) else set()
        assert case.cost.shape == ()
        assert all(case.graph.gradients[weight.id].shape == weight.shape for weight in case.wrt)
    assert names >= {"matmul", "softmax", "log_softmax", "softmax_cross_entropy", "gather", "slice", "dropout", "stack"}
    assert traits >= {"slices", "ids", "batch", "one at a time", "steps 2", "steps 6", "float32", "float64"}


def test_a_seed_stands_for_one_network():
    one, again, other = (random_network(seed, 5) for seed in (3, 3, 4))
    assert [str(node) for node in one.graph] == [str(node) for node in again.graph]
    assert [str(node) for node in one.graph] != [str(node) for node in other.graph]
