"""Each pass alone against none, over random graphs and networks; passes are taken from the pipeline, none is missed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from graphflow.loops import Map
from graphflow.passes import PIPELINE, PLAIN_PIPELINE
from graphflow.passes.plan import Value, rebuild
from graphflow.scalars import trace
from tests.soak import each_pass as soak

SEEDS = range(20)
FEWEST_CHANGES = 2


@pytest.fixture(scope="module")
def cases():
    return [soak.case_of(seed) for seed in SEEDS]


@pytest.mark.parametrize("name", [*soak.ALONE, soak.ALL])
def test_a_pass_keeps_the_meaning_and_has_something_to_do(cases, name):
    """Values, gradients, rebinding; and the graphs hold what the pass is there for."""
    changed = 0
    for case in cases:
        problem, has_changed = soak.problem_of(case, soak.ALONE.get(name, PIPELINE))
        assert problem is None, f"{case.call}: {problem}"
        changed += has_changed
    assert changed >= FEWEST_CHANGES


def test_every_pass_is_tried():
    assert {each for passes in soak.ALONE.values() for each in passes} == set(PIPELINE)
    assert all(len(passes) == 1 + len(PLAIN_PIPELINE) for passes in soak.ALONE.values())


def doubling(plan):
    """A wrong pass: the last sum of two becomes twice as large."""
    wanted = max((n for n, value in enumerate(plan.values) if is_sum(value)), default=None)

    def visit(editor, value, number):
        if number != wanted:
            return editor.add(value)
        dtype = value.type.dtype
        return editor.add(value._replace(op=None, loop=Map(trace(lambda x, y: (x + y) * 2.0, [dtype, dtype]))))

    return rebuild(plan, visit)


def is_sum(value: Value) -> bool:
    return isinstance(value.loop, Map) and str(value.loop) == "map (x0 + x1)"


def test_a_pass_that_is_wrong_is_found(monkeypatch, capsys):
    lower, place = PLAIN_PIPELINE
    monkeypatch.setitem(soak.ALONE, "doubling", (lower, doubling, place))
    problems, fired = soak.try_many(range(10), ["doubling"], "numpy")
    lines = capsys.readouterr().out.splitlines()
    assert 5 <= problems == len(lines) <= fired["doubling"] <= 10
    assert re.match(r"doubling: random_\w+\(seed=\d+, size=\d+\): round 0: .* \(\d+ of \d+ wrong\)", lines[0])


def test_a_pass_that_leaves_disorder_is_found():
    def losing(plan):
        return replace(plan, became={})

    lower, place = PLAIN_PIPELINE
    problem, has_changed = soak.problem_of(soak.case_of(0), (lower, losing, place))
    assert has_changed
    assert "is represented by nothing" in problem


def test_the_command_counts_changes(capsys):
    assert soak.main(["--graphs", "2", "--only", "fold", "--only", "fuse, lowered"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  fold           changed      2 of 2 graphs, 100%",
        "  fuse, lowered  changed      2 of 2 graphs, 100%",
        "2 graphs from seed 0, numpy, 0 problems",
    ]
