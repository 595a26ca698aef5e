"""sum_products, batch_products, join_products: the plans they make; they change no value beyond rounding."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.ops.arithmetic import total
from graphflow.passes import PIPELINE, Plan, plan_of, run_passes, verify
from graphflow.passes.batch_products import batch_products
from graphflow.passes.join_products import join_products
from graphflow.passes.lower import lower
from graphflow.passes.prune import prune
from graphflow.passes.sum_products import sum_products
from graphflow.vm.compiling import compile_request, request_of

SUMMED = """\
%0    float32[2]       input  x0
%1    float32[3]       input  d0
%2    float32[2]       input  x1
%3    float32[3]       input  d1
%4    float32[2]       input  x2
%5    float32[3]       input  d2
%6    float32[2]       input  x3
%7    float32[3]       input  d3
%8    float32[4, 2]    stack axis 0 (%0, %2, %4, %6)
%9    float32[4, 3]    stack axis 0 (%1, %3, %5, %7)
%10   float32[2, 3]    contract ca,cb->ab (%8, %9)  kept"""

BATCHED = """\
%0    float32[2, 3]    input  w
%1    float32[3]       input  x0
%2    float32[3]       input  x1
%3    float32[3]       input  x2
%4    float32[3]       input  x3
%5    float32[4, 3]    stack axis 0 (%1, %2, %3, %4)
%6    float32[4, 2]    contract cb,ab->ca (%5, %0)
%7    float32[2]       view [0, 0+1*i0] (%6)
%8    float32[2]       map tanh(x) (%7)  kept
%9    float32[2]       view [1, 0+1*i0] (%6)
%10   float32[2]       map tanh(x) (%9)  kept
%11   float32[2]       view [2, 0+1*i0] (%6)
%12   float32[2]       map tanh(x) (%11)  kept
%13   float32[2]       view [3, 0+1*i0] (%6)
%14   float32[2]       map tanh(x) (%13)  kept"""


JOINED = """\
%0    float32[2, 3]    input  w
%1    float32[3]       input  x
%2    float32[2, 4]    input  v
%3    float32[4]       input  h
%4    float32[2]       input  b
%5    float32[2]       contract ab,b->a (%0, %1, %2, %3)
%6    float32[2]       map (x0 + x1) (%5, %4)  kept"""


def lowered(*kept: gf.Node) -> Plan:
    return run_passes(plan_of(kept, kept), (lower,))


def test_a_sum_of_outer_products_becomes_one_product():
    g = gf.ExprGraph()
    pairs = [(gf.vector(g, 2, name=f"x{t}"), gf.vector(g, 3, name=f"d{t}")) for t in range(4)]
    plan = prune(sum_products(lowered(total(*[gf.outer(x, d) for x, d in pairs]))))
    verify(plan)
    assert str(plan) == SUMMED


def test_independent_products_with_one_weight_become_one_product():
    g = gf.ExprGraph()
    w = gf.matrix(g, (2, 3), name="w")
    kept = [gf.tanh(w @ gf.vector(g, 3, name=f"x{t}")) for t in range(4)]
    plan = batch_products(lowered(*kept))
    verify(plan)
    assert str(prune(plan)) == BATCHED


def products_of_a_gate(g: gf.ExprGraph) -> tuple[gf.Node, gf.Node, gf.Node]:
    w, x = gf.matrix(g, (2, 3), name="w"), gf.vector(g, 3, name="x")
    v, h = gf.matrix(g, (2, 4), name="v"), gf.vector(g, 4, name="h")
    return w @ x, v @ h, gf.vector(g, 2, name="b")


def test_products_that_are_added_up_become_one_loop():
    first, second, bias = products_of_a_gate(gf.ExprGraph())
    plan = prune(join_products(lowered(first + second + bias)))
    verify(plan)
    assert str(plan) == JOINED


def test_products_that_somebody_else_reads_stay_apart():
    first, second, bias = products_of_a_gate(gf.ExprGraph())
    for kept in ([first + second + bias, first], [first + second + bias, gf.tanh(second)], [first + first, second]):
        before = lowered(*kept)
        assert str(join_products(before)) == str(before)


@pytest.mark.parametrize("count", [2, 8, 9, 20])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_many_products_in_one_sum(count, backend):
    """Of both kinds, beside a vector; more than one loop takes."""
    g = gf.ExprGraph(seed=5)
    init = gf.gaussian_init()
    terms = [gf.vector(g, 6, dtype="float64", init=init)]
    for number in range(count):
        w = gf.matrix(g, (6, 2 + number), dtype="float64", init=init)
        terms.append(w @ gf.vector(g, 2 + number, dtype="float64", init=init))
        terms.append(gf.vector(g, 5, dtype="float64", init=init) @ gf.matrix(g, (5, 6), dtype="float64", init=init))
    result = total(*terms)
    machine = gf.TapeMachine(g, outputs=result, backend=backend)
    machine.run_all()
    found = result.value
    assert len(machine.program) <= 2 * -(-count // 8) + 2 * -(-count // 8)
    gf.LispMachine(g).run_all()
    np.testing.assert_allclose(found, result.value, rtol=1e-12)


def test_products_that_wait_for_each_other_stay_apart():
    g = gf.ExprGraph()
    w, h = gf.matrix(g, (3, 3), name="w"), gf.vector(g, 3, name="h")
    for _ in range(6):
        h = gf.tanh(w @ h)
    before = lowered(h)
    assert str(batch_products(before)) == str(before)


def test_two_kinds_that_would_wait_for_each_other_stay_apart():
    """a1 needs b1 and b2 needs a2: joining both kinds would be a circle."""
    g = gf.ExprGraph()
    v, w = gf.matrix(g, (3, 3), name="v"), gf.matrix(g, (3, 3), name="w")
    inputs = [gf.vector(g, 3, name=f"x{n}") for n in range(8)]
    forward = [gf.tanh(v @ gf.tanh(w @ x)) for x in inputs[:4]]
    backward = [gf.tanh(w @ gf.tanh(v @ x)) for x in inputs[4:]]
    cost = gf.sum(gf.concat([*forward, *backward]))
    plan = run_passes(plan_of([cost], [cost]))
    verify(plan)


def network(cell: str, batch: tuple[int, ...]) -> tuple[gf.ExprGraph, gf.Node, list[gf.Node]]:
    """Six teacher-forced steps with every weight used at each step."""
    g = gf.ExprGraph(seed=3)
    layer = (gf.nn.LSTM if cell == "lstm" else gf.nn.GRU)(g, 4, 5, dtype="float64")
    decoder = gf.nn.Linear(g, 5, 7, dtype="float64")
    zero = gf.constant(g, np.zeros((*batch, 5)))
    state = gf.nn.LSTMState(zero, zero) if cell == "lstm" else zero
    cost = None
    for t in range(6):
        with g.step(t):
            x = gf.tensor(g, (*batch, 4), dtype="float64", init=gf.gaussian_init())
            state = layer(x, state)
            logits = decoder(state.hidden if cell == "lstm" else state)
            loss = -gf.sum(gf.log(gf.softmax(logits)) * gf.constant(g, np.eye(7)[t]))
            cost = loss if cost is None else cost + loss
    parameters = [*layer.parameters, *decoder.parameters]
    gf.grad(cost, *parameters)
    return g, cost, parameters


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_cost_and_gradients_are_those_of_the_lisp_machine(cell, batch, backend):
    g, cost, parameters = network(cell, batch)
    gf.TapeMachine(g, backend=backend).run_all()
    found = [cost.value, *[parameter.grad for parameter in parameters]]
    gf.LispMachine(g).run_all()
    wanted = [cost.value, *[parameter.grad for parameter in parameters]]
    for mine, reference in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch", [(), (3,)])
def test_the_passes_save_instructions_on_the_graph_as_it_is_written(batch):
    g, _, _ = network("lstm", batch)
    without = [each for each in PIPELINE if each not in (sum_products, batch_products, join_products)]
    assert len(compile_request(request_of(g))) < 0.8 * len(compile_request(request_of(g, passes=without)))
