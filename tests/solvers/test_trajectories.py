"""A hundred steps of each solver against its formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.solvers import memory
from graphflow.testing.agreement import available_backends
from tests.solvers.reference import Reference
from tests.solvers.situations import (
    SOLVERS,
    Situation,
    kinds_with_options,
    random_gradients,
    random_weights,
    solving_on,
)

SHAPES = [(), (3,), (2, 2), (), (1, 2)]
SIZE = 11


def walk(kind, options, dtype, gradients, weights, shapes=SHAPES):
    """Weights of product and formula after all steps."""
    situation = Situation(shapes, dtype, values=weights)
    solver, reference = getattr(gf, kind)(**options), Reference(kind, **options)
    expected = [float(w) for w in situation.values()]
    for gradient in gradients.astype(dtype):
        situation.give(gradient)
        solver.step(situation.nodes)
        expected = reference.step(expected, [float(g) for g in gradient])
    return situation.values(), np.array(expected)


@settings(max_examples=140)
@given(kinds_with_options(), st.integers(0, 2**32))
def test_a_hundred_steps_follow_the_formula(drawn, seed):
    kind, options = drawn
    got, expected = walk(kind, options, "float64", random_gradients(seed, 100, SIZE), random_weights(seed, SIZE))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", SOLVERS)
@pytest.mark.parametrize("options", [{}, {"batch_size": 4, "clip": 0.5, "clip_norm": 2.0, "learn_rate": 0.01}])
def test_a_hundred_steps_in_float32(kind, options):
    gradients = np.random.default_rng(3).normal(size=(100, SIZE))
    got, expected = walk(kind, options, "float32", gradients, random_weights(3, SIZE))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_scalar_steps_like_any_other_parameter(kind):
    gradients, weights = random_gradients(5, 100, 1), random_weights(5, 1)
    options = {"clip": 0.05, "learn_rate": 0.01}
    alone, expected = walk(kind, options, "float64", gradients, weights, [()])
    vector, _ = walk(kind, options, "float64", gradients, weights, [(1,)])
    assert alone == vector
    np.testing.assert_allclose(alone, expected, rtol=1e-9)


@pytest.mark.parametrize("kind", SOLVERS)
@pytest.mark.parametrize("backend", available_backends())
def test_long_runs_are_cut_into_pieces_without_a_seam(kind, backend, monkeypatch):
    gradients, weights = random_gradients(6, 10, SIZE), random_weights(6, SIZE)
    options = {"clip_norm": 1.0}
    with solving_on(backend):
        whole, _ = walk(kind, options, "float64", gradients, weights)
        monkeypatch.setattr(memory, "PIECE", 4)
        cut, _ = walk(kind, options, "float64", gradients, weights)
    np.testing.assert_allclose(cut, whole, rtol=1e-12, atol=1e-15)


def test_the_norm_is_that_of_all_parameters_together_and_comes_first():
    situation = Situation([(2,), ()], values=[1.0, 1.0, 1.0])
    situation.give([3.0, 0.0, 4.0])
    gf.VanillaSolver(learn_rate=1.0, clip_norm=1.0, batch_size=2).step(situation.nodes)
    np.testing.assert_allclose(situation.values(), [0.7, 1.0, 0.6], rtol=1e-15)


@pytest.mark.parametrize(("dtype", "huge"), [("float32", 1e30), ("float64", 1e300)])
def test_the_norm_of_exploding_gradients_is_found_where_their_squares_are_infinite(dtype, huge):
    situation = Situation([(2,), ()], dtype, values=[1.0, 1.0, 1.0])
    situation.give([3 * huge, 0.0, 4 * huge])
    gf.VanillaSolver(learn_rate=1.0, clip_norm=1.0).step(situation.nodes)
    np.testing.assert_allclose(situation.values(), [0.4, 1.0, 0.2], rtol=1e-6)


def test_the_norm_where_only_the_sum_of_the_squares_is_infinite():
    situation = Situation([(), (), ()], values=[1.0, 1.0, 1.0])
    situation.give([1.2e154, 0.0, 1.2e154])
    gf.VanillaSolver(learn_rate=1.0, clip_norm=1.0).step([situation.nodes[0], situation.nodes[2]])
    np.testing.assert_allclose(situation.values(), [1 - 0.5**0.5, 1.0, 1 - 0.5**0.5], rtol=1e-12)


def test_the_norm_of_a_long_block_does_not_depend_on_its_length():
    size = 50_000
    situation = Situation([(size,)], "float32", values=np.zeros(size))
    situation.give(np.full(size, 3.0))
    gf.VanillaSolver(learn_rate=1.0, clip_norm=1.0).step(situation.nodes)
    np.testing.assert_allclose(situation.values(), -1 / np.sqrt(size), rtol=1e-6)


@pytest.mark.parametrize("kind", SOLVERS)
def test_infinite_gradients_raise_no_warning_and_spoil_only_their_own_weights(kind):
    situation = Situation([(3,)], values=[1.0, 2.0, 3.0])
    solver = getattr(gf, kind)()
    situation.give([1.0, np.inf, np.nan])
    solver.step(situation.nodes)
    assert np.isfinite(situation.values()[0])
    assert not np.isfinite(situation.values()[2])


def test_a_bound_beyond_the_range_of_float32_does_nothing():
    situation = Situation([(1,)], "float32", values=[1.0])
    situation.give([0.5])
    gf.VanillaSolver(learn_rate=1.0, clip=1e300).step(situation.nodes)
    assert situation.values() == [0.5]


def test_barzilai_borwein_keeps_the_learn_rate_where_no_gradient_changes():
    situation = Situation([(2,)], values=[1.0, 2.0])
    situation.give([1.0, -1.0])
    solver = gf.BarzilaiBorweinSolver(learn_rate=0.5)
    for _ in range(3):
        solver.step(situation.nodes)
    np.testing.assert_allclose(situation.values(), [-0.5, 3.5])


def test_barzilai_borwein_finds_the_rate_near_a_minimum_in_float32():
    # Changes of 1e-25 have squares below the range of float32.
    situation = Situation([(1,)], "float32", values=[3e-25])
    solver = gf.BarzilaiBorweinSolver(learn_rate=0.1)
    for _ in range(2):
        situation.give(situation.values() * 2.0)
        solver.step(situation.nodes)
    assert abs(situation.values()[0]) < 1e-31


def test_a_schedule_sets_the_learn_rate_between_steps():
    situation = Situation([(1,)], values=[0.0])
    situation.give([1.0])
    solver = gf.VanillaSolver(learn_rate=1.0)
    for rate in (1.0, 0.1, 0.01):
        solver.learn_rate = rate
        solver.step(situation.nodes)
    np.testing.assert_allclose(situation.values(), [-1.11])
