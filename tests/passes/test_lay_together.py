"""lay_together: values computed where they are wanted side by side, windows of one row, and copies on conflict."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.loops import Concat
from graphflow.passes import PIPELINE, plan_of, run_passes, verify
from graphflow.passes.lay_together import lay_together
from graphflow.passes.lower import lower
from graphflow.vm.compiling import compile_request, request_of

BACKENDS = ["numpy", "native"]

ROW = """\
%0    float32[3]       input  x
%1    float32[3]       map tanh(x) (%0)  in %4 at 0
%2    float32[3]       map tanh(x) (%1)  in %4 at 3
%3    float32[3]       map tanh(x) (%2)  in %4 at 6
%4    float32[3, 3]    stack axis 0 (%1, %2, %3)
%5    float32[3, 3]    map exp(x) (%4)  kept"""

WINDOWS = """\
%0    float32[3]       input  x
%1    float32[3]       map tanh(x) (%0)  in %5 at 3
%2    float32[3]       map tanh(x) (%1)  in %5 at 6
%3    float32[3]       map tanh(x) (%2)  in %5 at 9
%4    float32[3]       reshape [3] (%0)  x  in %5 at 0
%5    float32[4, 3]    stack axis 0 (%4, %1, %2, %3)
%6    float32[3, 3]    view [0+1*i0, 0+1*i1] (%5)
%7    float32[3, 3]    map exp(x) (%6)  kept
%8    float32[3, 3]    view [1+1*i0, 0+1*i1] (%5)
%9    float32[3, 3]    map exp(x) (%8)  kept"""


def chain(g: gf.ExprGraph, count: int = 3) -> list[gf.Node]:
    """An input, then one value computed from the other."""
    found = [gf.vector(g, 3, name="x", init=gf.gaussian_init())]
    for _ in range(count):
        found.append(gf.tanh(found[-1]))
    return found


def laid(*kept: gf.Node):
    plan = lay_together(run_passes(plan_of(kept, kept), (lower,)))
    verify(plan)
    return plan


def concatenations(program):
    return sum(isinstance(instruction.loop, Concat) for instruction in program)


def test_members_of_a_stack_are_computed_inside_it():
    _, *values = chain(gf.ExprGraph())
    assert str(laid(gf.exp(gf.stack(values)))) == ROW


def test_two_stacks_are_windows_of_one_row_and_what_lies_elsewhere_is_copied():
    values = chain(gf.ExprGraph())
    assert str(laid(gf.exp(gf.stack(values[:-1])), gf.exp(gf.stack(values[1:])))) == WINDOWS


def test_what_cannot_be_laid_stays_as_it_is():
    g = gf.ExprGraph()
    x, first, second, third = chain(g)
    for kept in (
        [gf.stack([first, second])],  # asked for
        [gf.exp(gf.stack([first, first, second]))],  # twice the same
        [gf.exp(gf.stack([x, x[::-1], first]))],  # most are elsewhere
        [gf.exp(gf.stack([first, second], axis=1))],  # not one after the other
    ):
        before = run_passes(plan_of(kept, kept), (lower,))
        assert lay_together(before) is before
    # Of two orders the first counts; a row grows at both ends.
    stacks = [gf.stack([first, second]), gf.stack([second, first]), gf.stack([third, first])]
    plan = laid(*[gf.exp(each) for each in stacks])
    assert list(plan.together.values()) == [(4, 0), (4, 3), (4, 6)]
    assert sum(isinstance(value.loop, Concat) for value in plan.values) == 2


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("is_paranoid", [False, True])
def test_rows_of_every_kind_hold_what_was_put_together(backend, is_paranoid, monkeypatch):
    monkeypatch.setenv("GRAPHFLOW_PARANOID", str(int(is_paranoid)))
    g = gf.ExprGraph(seed=4)
    x, *values = chain(g, 7)
    table = gf.matrix(g, (5, 3), init=gf.gaussian_init())
    row = table[2]
    wide = [gf.reshape(each * 2.0, (1, 3)) + table[:2] for each in values[:3]]
    results = [
        gf.stack([x, *values[:4]]) * 1.0,
        gf.stack(values[:5]) + 1.0,
        gf.stack([*values[2:], row * 1.0]) * 3.0,
        gf.stack([values[4], values[3], values[2]]) * 2.0,
        gf.concat([*wide, table * 2.0]) * 1.0,
        gf.concat([wide[2], wide[1]]) * 1.0,
        gf.concat(values[1:4]) * 1.0,
        gf.stack([gf.stack(values[:3]) * 1.0, gf.stack(values[1:4]) * 1.0]) * 1.0,
        gf.sum(gf.stack(values[3:6]), axis=0) * values[6],
    ]
    machine = gf.TapeMachine(g, outputs=results, keep=[values[3]], backend=backend)
    gf.unsafe_let(row, 4)
    machine.run_all()
    found = [node.value for node in (*results, values[3])]
    gf.LispMachine(g).run_all()
    for mine, node in zip(found, (*results, values[3]), strict=True):
        np.testing.assert_allclose(mine, node.value, rtol=1e-6)


def network(dtype: str) -> gf.ExprGraph:
    """Five steps of a batched LSTM with gradients: sums over time, and products joined over time."""
    g = gf.ExprGraph(seed=2)
    cell = gf.nn.LSTM(g, 3, 4, dtype=dtype)
    decoder = gf.nn.Linear(g, 4, 6, dtype=dtype)
    state = gf.nn.LSTMState(gf.constant(g, np.zeros((2, 4), dtype)), gf.constant(g, np.zeros((2, 4), dtype)))
    cost = None
    for _ in range(5):
        state = cell(gf.matrix(g, (2, 3), dtype=dtype, init=gf.gaussian_init()), state)
        loss = gf.sum(gf.square(decoder(state.hidden)))
        cost = loss if cost is None else cost + loss
    gf.grad(cost, *cell.parameters, *decoder.parameters)
    return g


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_the_inputs_of_a_network_are_copied_with_the_same_bits(backend):
    g = network("float32")
    without = tuple(each for each in PIPELINE if each is not lay_together)
    programs = [compile_request(request_of(g, passes=passes)) for passes in (PIPELINE, without)]
    # The inputs of the steps lie where `let` puts them; all others are laid.
    assert [concatenations(program) for program in programs] == [1, 8]
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    gradients = [node.value for node in g.gradients.values()]
    other = gf.TapeMachine(g, backend=backend)
    other._request = request_of(g, passes=without)
    other._prepare()
    other.run_all()
    for mine, node in zip(gradients, g.gradients.values(), strict=True):
        np.testing.assert_array_equal(mine, node.value)
