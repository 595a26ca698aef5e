"""fuse: what is taken in, what is not, and that the values stay."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends import storage_of
from graphflow.backends.choice import choose_backend
from graphflow.passes import PIPELINE, Plan, plan_of, run_passes, verify
from graphflow.passes.fold import fold
from graphflow.passes.fuse import MOST_INPUTS, MOST_STEPS, fuse
from graphflow.passes.lower import lower
from graphflow.passes.prune import prune
from graphflow.testing import random_graph
from graphflow.vm.compiling import compile_request, request_of


def fused(*kept: gf.Node) -> Plan:
    plan = run_passes(plan_of(kept, kept), (fold, lower, fuse, prune))
    verify(plan)
    return plan


def test_a_chain_becomes_one_loop_and_constants_part_of_it():
    g = gf.ExprGraph()
    x, b = gf.vector(g, 3, name="x"), gf.vector(g, 3, name="b")
    y = gf.tanh(x * 2.0 + b)
    assert str(fused(y)) == (
        "%0    float32[3]       input  x\n"
        "%1    float32[3]       input  b\n"
        "%2    float32[3]       map tanh(((x0 * 2) + x1)) (%0, %1)  kept"
    )


def test_a_fold_takes_in_what_it_adds_up():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    assert "reduce sum axes [0] of (x * x) (%0)" in str(fused(gf.sum(x * x)))


def test_what_is_read_or_used_twice_stays():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    shared = gf.exp(x)
    kept = x + 1.0
    plan = fused(gf.tanh(shared), gf.sqrt(shared), kept, gf.log(kept))
    assert {str(value.loop) for value in plan.values if value.loop} == {
        "map exp(x)",
        "map tanh(x)",
        "map sqrt(x)",
        "map (x + 1)",
        "map log(x)",
    }


def test_a_smaller_shape_is_not_computed_once_for_each_element():
    g = gf.ExprGraph()
    x, row = gf.matrix(g, (50, 3), name="x"), gf.vector(g, 3, name="row")
    assert len([value for value in fused(x + gf.exp(row)).values if value.loop]) == 2


def test_programs_stay_within_bounds():
    g = gf.ExprGraph()
    y = gf.vector(g, 3, name="x")
    for number in range(100):
        y = gf.tanh(y) + gf.vector(g, 3, name=f"b{number}")
    programs = [value.loop.program for value in fused(y).values if value.loop]
    assert max(len(program.steps) for program in programs) <= MOST_STEPS
    assert max(len(program.inputs) for program in programs) <= MOST_INPUTS
    assert len(programs) < 40


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_zeros_of_both_signs_stay_apart(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, value=[1.0, 2.0, 3.0])
    above, below = x * 0.0, x * -0.0
    with gf.TapeMachine(g, backend=backend) as vm:
        vm.run_all()
    assert not np.signbit(above.value).any()
    assert np.signbit(below.value).all()


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_equal_structures_with_other_numbers_stay_apart(backend):
    g = gf.ExprGraph()
    x, y = gf.vector(g, 3, value=[1.0, 2.0, 3.0]), gf.vector(g, 3, value=[4.0, 5.0, 6.0])
    nodes = [gf.tanh(a * number - b) for a, b in _pairs(x, y) for number in (2.0, 3.0)]
    with gf.TapeMachine(g, backend=backend) as vm:
        vm.run_all()
    expected = [np.tanh(a * number - b) for a, b in _pairs(x.value, y.value) for number in (2.0, 3.0)]
    np.testing.assert_allclose([node.value for node in nodes], expected, rtol=1e-6)


def _pairs(x, y):
    return (x, y), (y, x), (x, x)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("seed", range(8))
def test_values_stay_what_they_are(seed, backend):
    """By numpy to the last bit; machine code may add up a fold in another order once it reads other operands."""
    graph = random_graph(seed).graph
    results = []
    for passes in (PIPELINE, [each for each in PIPELINE if each is not fuse]):
        program = compile_request(request_of(graph, passes=passes))
        executable = choose_backend(backend)[0].compile(program, storage_of(program, graph.positions, 0, {}))
        with np.errstate(all="ignore"):
            executable.run(1)
        results.append({number: executable.array(place).copy() for number, place in program.results.items()})
    for number, value in results[0].items():
        tolerance = 0.0 if backend == "numpy" else 1e-5
        np.testing.assert_allclose(value, results[1][number], rtol=tolerance, atol=tolerance)
