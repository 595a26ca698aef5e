"""What each pass has done: counts that add up, and lines that name nodes and the user's lines."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.passes import EVALUATION_PIPELINE, PIPELINE, plan_of
from graphflow.passes.changes import MOST_KEPT, MOST_PRINTED, change_of
from graphflow.testing import random_graph, random_network


def recurrent(steps=6):
    g = gf.ExprGraph()
    h = x = gf.vector(g, 3, name="x")
    w = gf.matrix(g, (3, 3), name="w")
    for t in range(steps):
        with g.step(t):
            h = gf.tanh(w @ h)
    cost = gf.log(gf.softmax(h))[1] * -1.0
    cost.name = "cost"
    gf.grad(cost, w)
    return g, x, w, cost


def test_every_pass_is_told_in_its_order():
    g, *_ = recurrent()
    assert [each.name for each in gf.passes_of(g)] == [each.__name__ for each in PIPELINE]
    assert [each.name for each in gf.passes_of(g, eval_mode=True)] == [each.__name__ for each in EVALUATION_PIPELINE]
    assert len(gf.passes_of(g)) == len(PIPELINE)


@pytest.mark.parametrize("seed", range(12))
def test_the_counts_add_up(seed):
    case = random_network(seed, 4) if seed % 3 == 2 else random_graph(seed, 12)
    before = None
    for each in gf.passes_of(case.graph):
        assert each.after == each.before - each.removed + each.added
        assert before is None or each.before == before
        before = each.after
        for kind, lines in each.lines.items():
            assert len(lines) == min(getattr(each, kind), MOST_KEPT)
        assert len(str(each).splitlines()) <= 1 + 4 * (MOST_PRINTED + 1)
        assert each.is_nothing == str(each).endswith("  nothing")


def test_the_passes_do_what_they_are_called_for():
    g, *_ = recurrent()
    passes = {}
    for each in gf.passes_of(g):
        passes.setdefault(each.name, each)
    (form,) = passes["stabilise"].lines["rewritten"]
    assert form.endswith(": log (%14)  =>  log_softmax (%13)")
    assert form.startswith("%15 test_changes.py:")
    assert passes["fold"].lines["rewritten"][0].endswith("hadamard_prod (%19, %17)  =>  the constant -1")
    assert passes["merge"].removed == 2
    first = passes["lower"].lines["rewritten"][0]
    assert first.startswith("%2 t=0 test_changes.py:")
    assert first.endswith(": matmul (w, x)  =>  contract ab,b->a (w, x)")
    assert "(x0 * (1 - (x1 * x1)))" in passes["fuse"].lines["rewritten"][0]
    assert "are computed inside others" in passes["lay_together"].note
    assert "bytes of arena" in passes["place"].note
    assert passes["prune"].is_nothing
    assert str(passes["prune"]).endswith("nothing")
    assert f"and {passes['lower'].rewritten - MOST_PRINTED} more" in str(gf.passes_of(g))


def test_what_only_reads_others_is_rewired():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x")
    one, other = gf.tanh(x), gf.tanh(x)
    gf.concat([one, other], axis=0)
    (merged,) = (each for each in gf.passes_of(g) if each.removed and each.name == "merge")
    assert (merged.removed, merged.added, merged.rewritten, merged.rewired) == (1, 0, 0, 1)
    assert merged.lines["rewired"][0].endswith("concat (%1, %1)")


def test_a_plan_and_itself_differ_in_nothing():
    g, *_ = recurrent()
    plan = plan_of(g.nodes, kept=g.roots)
    assert change_of("none", plan, plan).is_nothing


def test_looking_changes_nothing():
    g, _, _, cost = recurrent()
    before = str(gf.compile_graph(g, keep=[cost]))
    gf.passes_of(g, keep=[cost])
    assert str(gf.compile_graph(g, keep=[cost])) == before
    with pytest.raises(gf.OptionError, match="keep=3"):
        gf.passes_of(g, keep=3)
