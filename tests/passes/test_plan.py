"""Plans: what they carry on, and what `verify` finds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import MachineError
from graphflow.passes import PIPELINE, plan_of, verify
from graphflow.passes.lower import lower
from graphflow.passes.plan import Kinds, Place, PlanEditor, contiguous_strides, rebuild, reduced


def sample():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    y = gf.tanh(x * 2.0)
    return g, x, y, plan_of(g.nodes, [y])


def test_a_right_plan_passes():
    *_, plan = sample()
    verify(plan)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (
            lambda plan: {"values": (*plan.values[:2], plan.values[2]._replace(inputs=(0, 3)), plan.values[3])},
            "before one",
        ),
        (
            lambda plan: {"values": (*plan.values[:2], plan.values[2]._replace(inputs=(0, -1)), plan.values[3])},
            "before one",
        ),
        (
            lambda plan: {"values": (plan.values[0], plan.values[1]._replace(inputs=(0,)), *plan.values[2:])},
            "has inputs",
        ),
        (
            lambda plan: {"values": (*plan.values[:3], plan.values[3]._replace(type=plan.values[1].type))},
            "its op gives",
        ),
        (lambda plan: {"kept": (*plan.kept, 99)}, "represented by nothing"),
        (lambda plan: {"became": {**plan.became, 3: 17}}, "does not exist"),
        (lambda plan: {"became": {**plan.became, 3: -1}}, "does not exist"),
    ],
)
def test_what_is_out_of_order_is_found(damage, text):
    *_, plan = sample()
    with pytest.raises(MachineError, match=text):
        verify(dataclasses.replace(plan, **damage(plan)))


def test_overridden_nodes_are_leaves():
    g, _, y, _ = sample()
    middle = y.inputs[0]
    plan = plan_of([y], [y], overridden=[middle.id])
    assert plan.values[plan.became[middle.id]].is_leaf
    verify(plan)
    assert "input" in str(plan).splitlines()[plan.became[middle.id]]
    assert len(g) == 4


def test_rebuilding_renumbers_and_carries_on_what_nodes_became():
    *_, y, plan = sample()

    def doubled(editor: PlanEditor, value, number):
        editor.add(value)
        return editor.add(value)

    after = rebuild(plan, doubled)
    verify(after)
    assert len(after.values) == 2 * len(plan.values)
    assert after.became[y.id] == 2 * plan.became[y.id] + 1
    assert after.values[-1].inputs == (5,)


def test_only_the_values_asked_for_are_visited():
    *_, y, plan = sample()
    visited = []

    def doubled(editor: PlanEditor, value, number):
        visited.append(number)
        editor.add(value)
        return editor.add(value)

    after = rebuild(plan, doubled, [1, 2])
    verify(after)
    assert visited == [1, 2]
    assert [value.inputs for value in after.values] == [(), (), (), (0, 2), (0, 2), (4,)]
    assert after.became[y.id] == 5
    assert rebuild(plan, doubled, []) is plan


def test_what_stands_for_another_takes_its_readers_and_its_node():
    g, x, y, plan = sample()
    assert reduced(plan, [0, 1, 2, 3]) is plan
    after = reduced(plan, [0, -1, 0, 3])
    assert [value.inputs for value in after.values] == [(), (0,)]
    assert after.became == {x.id: 0, y.inputs[0].id: 0, y.id: 1}
    assert len(g) == 4


def test_where_there_is_nothing_to_do_the_plan_is_handed_on():
    g = gf.ExprGraph()
    y = gf.tanh(gf.vector(g, 3))
    plan = plan_of([y], [y])
    for each in PIPELINE[: PIPELINE.index(lower)]:
        assert each(plan) is plan, each.__name__


def test_equal_things_are_one_kind():
    kinds = Kinds()
    assert [kinds.number(thing) for thing in ((1, 2), "a", tuple(range(1, 3)), "a", (2,))] == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (1, 3, 1), (0, 2)])
def test_contiguous_strides_are_numpys(shape):
    array = np.zeros(shape, np.int8)
    place = Place("arena", 0, 0, contiguous_strides(shape), shape)
    assert place.is_contiguous(shape)
    if array.size:
        assert place.strides == tuple(array.strides) or 1 in shape
