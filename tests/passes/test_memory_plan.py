"""Where values lie: what shares storage, what never does, and how little there is of it."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends import storage_of
from graphflow.backends.reference import ReferenceBackend
from graphflow.passes import PLAIN_PIPELINE
from graphflow.testing import random_graph
from graphflow.vm.compiling import compile_request, request_of


def places(program):
    """Where each instruction writes."""
    return [(instruction.output.place.kind, instruction.output.place.key) for instruction in program]


def program_of(g, **options):
    return compile_request(request_of(g, **options))


def test_a_chain_needs_room_for_two_values():
    g = gf.ExprGraph()
    h = gf.matrix(g, (30, 30), name="x")
    w = gf.matrix(g, (30, 30), name="w")
    for _ in range(20):
        h = gf.tanh(h @ w)
    assert program_of(g).arena_bytes <= 3 * 30 * 30 * 4 + 3 * 64
    assert program_of(g, keep="all").arena_bytes >= 20 * 30 * 30 * 4


def test_storage_is_reused_only_for_equal_sizes_and_after_the_last_use():
    g = gf.ExprGraph()
    x = gf.vector(g, 16, name="x")
    a = x[::-1] * 1.0
    b = gf.sum(a * a)
    c = a + b
    program = program_of(g, passes=PLAIN_PIPELINE, outputs=c)
    assert len(set(places(program))) < len(places(program))
    last = program.instructions[-1]
    assert last.node is c


@pytest.mark.parametrize(
    ("name", "make", "is_free"),
    [
        ("transpose", lambda y: y.T, True),
        ("reshape", lambda y: gf.reshape(y, (3, 2)), True),
        ("broadcast", lambda y: gf.broadcast_to(y, (4, 2, 3)), True),
        ("new axis", lambda y: gf.expand_dims(y, 1), True),
        ("reshape of a transpose", lambda y: gf.reshape(y.T, (2, 3)), False),
        ("reshape of a column", lambda y: gf.reshape(gf.expand_dims(y, 0), (6,)), True),
    ],
)
def test_static_views_of_computed_values_cost_nothing(name, make, is_free):
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3), init=gf.ranged_from(0))
    y = gf.tanh(x)
    z = make(y)
    z.name = "z"
    program = program_of(g)
    assert (len(program) == 1) is is_free, str(program)
    machine = gf.TapeMachine(g, backend="numpy")
    machine.run_all()
    expected = z.value
    gf.LispMachine(g).run_all()
    np.testing.assert_array_equal(expected, z.value)


def test_a_kept_view_of_an_input_is_a_copy_and_an_inner_one_is_not():
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3), name="x", init=gf.ranged_from(0))
    inner = x.T @ np.ones(2)
    assert "view" not in str(program_of(g))
    kept = x.T
    kept.name = "kept"
    program = program_of(g)
    assert str(program).count("view") == 1
    assert len(program) == 2
    assert inner.shape == (3,)


def test_elementwise_results_take_the_place_of_what_dies():
    g = gf.ExprGraph()
    x = gf.matrix(g, (3, 3), name="x")
    y = gf.exp(gf.softmax(x @ x))
    program = program_of(g, passes=PLAIN_PIPELINE, outputs=y)
    assert len(set(places(program))) == 1


def test_nothing_takes_the_place_of_what_is_read_again():
    """x + x.T and its kind: a transposed view of a dying value must not be overwritten element by element."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (3, 3), dtype="float64", init=gf.gaussian_init(0.0, 1.0))
    a = x @ x
    b = a + a.T
    c = a @ a
    d = c - c.T[::-1] * gf.reshape(c, 9)[0]
    e = gf.softmax(c) + gf.sum(c, 0)
    for passes in (None, PLAIN_PIPELINE):
        program = program_of(g, passes=passes, outputs=[b, d, e])
        executable = ReferenceBackend().compile(program, storage_of(program, g.positions, 0, {}))
        executable.run(1)
        v = x.value
        va, vc = v @ v, v @ v @ v @ v
        np.testing.assert_allclose(executable.array(program.results[b.id]), va + va.T)
        np.testing.assert_allclose(executable.array(program.results[d.id]), vc - vc.T[::-1] * vc[0, 0])
        shifted = np.exp(vc - vc.max(1, keepdims=True))
        np.testing.assert_allclose(
            executable.array(program.results[e.id]), shifted / shifted.sum(1, keepdims=True) + vc.sum(0)
        )


def test_no_result_lies_over_an_operand_that_is_read_in_another_order():
    """Machine code writes element by element: what an instruction still has to read must not be overwritten by it."""
    shared = 0
    for seed in range(650, 690):
        for instruction in program_of(random_graph(seed, 25).graph):
            output = instruction.output.place
            for operand in instruction.inputs:
                place = operand.place
                if (place.kind, place.key) == (output.kind, output.key) and output.kind == "arena":
                    shared += 1
                    assert (place.offset, place.strides) == (output.offset, output.strides), str(instruction)
    assert shared > 100


def test_gradients_lie_in_their_parameters_block():
    g = gf.ExprGraph()
    w = gf.matrix(g, (2, 3), name="w", init=gf.ones())
    b = gf.vector(g, 3, name="b", init=gf.ones())
    cost = gf.sum(gf.tanh(w + b))
    gf.grad(cost, w, b)
    program = program_of(g)
    homes = {place for place in places(program) if place[0] == "gradient"}
    assert homes == {("gradient", w.id), ("gradient", b.id)}


def test_shared_constant_and_viewed_gradients_are_copied_to_each_parameter():
    g = gf.ExprGraph()
    a, b = gf.vector(g, 3, name="a"), gf.vector(g, 3, name="b")
    c, d = gf.vector(g, 3, name="c"), gf.matrix(g, (3, 1), name="d")
    cost = gf.sum(gf.tanh(a + b)) + gf.sum(c) + gf.sum(gf.tanh(gf.reshape(d, 3)))
    gf.grad(cost, a, b, c, d)
    homes = [place for place in places(program_of(g)) if place[0] == "gradient"]
    assert sorted(homes) == [("gradient", node.id) for node in (a, b, c, d)]


def test_every_value_begins_on_a_cache_line():
    g = gf.ExprGraph()
    x = gf.vector(g, 5, name="x")
    a = gf.sum(x)
    gf.outer(x[1:] @ np.ones((4, 3)), gf.softmax(x)) * a
    for instruction in program_of(g, keep="all"):
        assert instruction.output.place.key % 64 == 0


def test_empty_values_have_a_place_too():
    g = gf.ExprGraph()
    x = gf.matrix(g, (0, 3), name="x", value=np.zeros((0, 3)))
    y = gf.tanh(x @ np.ones((3, 2)))
    y.name = "y"
    total = gf.sum(y) + gf.sum(x[:0].T)
    machine = gf.TapeMachine(g, backend="numpy")
    machine.run_all()
    assert (y.value.shape, total.value) == ((0, 2), 0.0)
