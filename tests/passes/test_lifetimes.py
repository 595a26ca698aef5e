"""Plans with places: nothing is read after another has been written there, and what is wrong is found."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.errors import MachineError
from graphflow.passes import PIPELINE, PLAIN_PIPELINE, memory
from graphflow.passes.lifetimes import verify_places
from graphflow.vm.compiling import compile_request, request_of
from tests.soak import each_pass as soak


def placed(graph, **options):
    """The plan that a graph comes to, with every place."""
    found = []

    def catch(plan):
        found.append(plan)
        return plan

    passes = options.pop("passes", PIPELINE)
    compile_request(request_of(graph, passes=(*passes, catch), **options))
    return found[0]


@pytest.mark.parametrize("options", [{}, {"passes": PLAIN_PIPELINE}, {"keep": "all"}], ids=["all", "plain", "keep"])
def test_places_of_random_graphs_are_safe(options):
    for seed in range(30):
        verify_places(placed(soak.made(seed)[1].graph, **options))


def problems(seeds):
    """How many of some graphs have unsafe places."""
    count = 0
    for seed in seeds:
        try:
            verify_places(placed(soak.made(seed)[1].graph))
        except MachineError:
            count += 1
    return count


def test_memory_that_is_given_back_too_early_is_found(monkeypatch):
    before = memory._last_uses

    def too_early(plan, roots):
        return [max(number, last - 1) for number, last in enumerate(before(plan, roots))]

    monkeypatch.setattr(memory, "_last_uses", too_early)
    assert problems(range(24)) >= 8


def test_memory_that_is_taken_over_while_others_need_it_is_found(monkeypatch):
    """Every elementwise result takes the place of its first input, wanted or not."""

    def greedy(plan, number, roots, last_use, offsets):
        operand = next(iter(plan.values[number].inputs), None)
        if operand not in offsets or roots[operand] != operand:
            return None
        return offsets[operand] if plan.values[operand].type == plan.values[number].type else None

    monkeypatch.setattr(memory, "_dying_input", greedy)
    assert problems(range(12)) >= 6


def test_a_kept_value_that_does_not_last_is_named(monkeypatch):
    monkeypatch.setattr(memory, "_last_uses", lambda plan, _: list(range(len(plan.values))))
    g = gf.ExprGraph()
    x = gf.vector(g, 4, name="x")
    y = gf.sum(x * x) * x
    y.name = "y"
    gf.sum(gf.softmax(y) @ gf.outer(x, x), 0)
    with pytest.raises(MachineError, match="plan: .* reads %"):
        verify_places(placed(g))
