"""Gradients added up over parts and ranks are those of the whole batch; in shards, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from tests.parallel.launch import PROGRAMS, mpiexec


@pytest.fixture
def network():
    """A cost of 12 rows of inputs, and its parameters."""

    def make(rows):
        g = gf.ExprGraph(seed=1)
        x = gf.matrix(g, (rows, 3), name="x", dtype="float64")
        w = gf.matrix(g, (3, 2), name="w", dtype="float64", init=gf.glorot_n(1.0))
        b = gf.vector(g, 2, name="b", dtype="float64", init=gf.zeroes())
        gf.grad(gf.mean(gf.square(gf.tanh(x @ w + b))), w, b)
        return x, [w, b], gf.TapeMachine(g)

    return make


def whole(network, inputs):
    x, weights, vm = network(len(inputs))
    gf.let(x, inputs)
    vm.run_all()
    return [w.grad for w in weights]


@pytest.mark.parametrize(("parts", "shards"), [(1, None), (3, None), (4, None), (1, 1), (4, 4), (6, 6), (12, 12)])
def test_parts_add_up_to_the_whole(network, parts, shards):
    inputs = np.random.default_rng(0).standard_normal((12, 3))
    x, weights, vm = network(12 // parts)
    total = gf.parallel.GradientSum(gf.parallel.Alone(), weights, shards)
    for _ in range(2):  # the second time with arrays of the first
        for part in np.split(inputs, parts)[:-1]:
            gf.let(x, part)
            vm.run_all()
            total.add(1 / parts)
        gf.let(x, np.split(inputs, parts)[-1])
        vm.run_all()
        total.finish(1 / parts)
        for found, expected in zip([w.grad for w in weights], whole(network, inputs), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_an_empty_part_weighs_nothing(network):
    x, weights, vm = network(2)
    gf.let(x, np.full((2, 3), np.nan))
    vm.run_all()
    gf.parallel.GradientSum(gf.parallel.Alone(), weights).finish(0.0)
    assert not any(w.grad.any() for w in weights)


def test_the_order_of_shards_is_fixed(network):
    x, weights, vm = network(1)
    inputs = np.random.default_rng(3).standard_normal((12, 1, 3))
    gradients = []
    total = gf.parallel.GradientSum(gf.parallel.Alone(), weights, 12)
    for number, row in enumerate(inputs):
        gf.let(x, row)
        vm.run_all()
        gradients.append(weights[0].grad)
        (total.finish if number == 11 else total.add)(1.0)
    threes = [(a + b) + c for a, b, c in zip(gradients[::3], gradients[1::3], gradients[2::3], strict=True)]
    expected = (threes[0] + threes[1]) + (threes[2] + threes[3])
    assert weights[0].grad.tobytes() == expected.tobytes()


def test_a_shard_that_is_missing_is_an_error_and_the_next_step_is_right(network):
    x, weights, vm = network(2)
    gf.let(x, np.ones((2, 3)))
    vm.run_all()
    expected = weights[0].grad
    total = gf.parallel.GradientSum(gf.parallel.Alone(), weights, 2)
    with pytest.raises(gf.OptionError, match="not as many parts"):
        total.finish(0.5)
    total.add(0.5)
    total.finish(0.5)
    np.testing.assert_allclose(weights[0].grad, expected)


@pytest.mark.parametrize("shards", [0, -2])
def test_shards_that_cannot_be(network, shards):
    _, weights, _ = network(1)
    with pytest.raises(gf.OptionError, match="the shards cannot be divided"):
        gf.parallel.GradientSum(gf.parallel.Alone(), weights, shards)


def test_nodes_of_two_graphs_are_refused(network):
    with pytest.raises(gf.GraphError, match="another graph"):
        gf.parallel.GradientSum(gf.parallel.Alone(), [*network(1)[1], *network(1)[1]])


@pytest.mark.parametrize("shards", [4, 12])
def test_the_number_of_ranks_changes_no_bit(shards):
    outcomes = [mpiexec(ranks, PROGRAMS / "shards.py", str(shards)) for ranks in (0, 2, 4)]
    assert [outcome.code for outcome in outcomes] == [0, 0, 0], outcomes
    assert len({outcome.out for outcome in outcomes}) == 1


def test_the_same_number_of_ranks_gives_the_same_bits_and_nearly_those_of_one():
    alone, first, second = (mpiexec(ranks, PROGRAMS / "shards.py", "0") for ranks in (0, 2, 2))
    assert first.out == second.out
    assert first.out.split()[1:] == alone.out.split()[1:]


@pytest.mark.parametrize("kind", ["GradientSum", "OverlappedRun"])
def test_what_has_no_gradients_is_refused(network, kind):
    x, (w, b), vm = network(2)
    before = len(x.graph)

    def make(nodes):
        return getattr(gf.parallel, kind)(gf.parallel.Alone(), nodes, *([vm] if kind == "OverlappedRun" else []))

    for nodes in (w, [], None, (each for each in (w, b))):
        with pytest.raises(gf.GraphError, match=f"{kind}: this is no list of parameters"):
            make(nodes)
    with pytest.raises(gf.GraphError, match=f"{kind}: 'w' is no node"):
        make(["w"])
    with pytest.raises(gf.GradientError, match=f"{kind}: x: .* has no gradient"):
        make([w, x])
    assert len(x.graph) == before
