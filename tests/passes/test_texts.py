"""What each pass does to a small plan, as text: `print(plan)` before and after."""

from __future__ import annotations

import textwrap

import graphflow as gf
from graphflow.passes import PIPELINE, Plan, plan_of, run_passes, verify
from graphflow.passes.evaluation import evaluate_mode
from graphflow.passes.fold import fold
from graphflow.passes.lower import lower
from graphflow.passes.memory import place
from graphflow.passes.merge import merge
from graphflow.passes.prune import prune
from graphflow.passes.split_totals import split_totals
from graphflow.passes.stabilise import stabilise


def text_of(*kept, passes=(), gradients=None):
    """The plan of everything in a graph, some of which is kept, after some passes."""
    plan: Plan = plan_of(kept[0].graph.nodes, kept, gradients=gradients)
    for each in passes:
        plan = each(plan)
        verify(plan)
    return str(plan)


def lines(text):
    return textwrap.dedent(text).strip()


def test_a_plan_starts_as_what_was_written():
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3), name="x")
    y = gf.sum(x * 2.0 + [1.0, 2.0, 3.0], axis=1)
    y.name = "y"
    assert text_of(y) == lines(
        """
        %0    float32[2, 3]    input  x
        %1    float32[]        constant 2
        %2    float32[2, 3]    hadamard_prod (%0, %1)
        %3    float32[3]       constant
        %4    float32[2, 3]    add (%2, %3)
        %5    float32[2]       sum (%4)  y  kept
        """
    )


def test_prune_leaves_out_what_nobody_reads():
    g = gf.ExprGraph()
    x, _ = gf.scalar(g, name="x"), gf.scalar(g, name="unused")
    y = gf.tanh(x)
    gf.exp(y)
    assert text_of(y, passes=[prune]) == lines(
        """
        %0    float32[]        input  x
        %1    float32[]        tanh (%0)  kept
        """
    )


def test_fold_computes_what_is_made_of_constants():
    g = gf.ExprGraph()
    two = gf.constant(g, 2.0)
    six = two * 3.0
    y = gf.scalar(g, name="x") * gf.tanh(gf.log(six) * 0.0 + 100.0)
    assert text_of(y, six, passes=[fold, prune]) == lines(
        """
        %0    float32[]        constant 6  kept
        %1    float32[]        input  x
        %2    float32[]        constant 1
        %3    float32[]        hadamard_prod (%1, %2)  kept
        """
    )


def test_fold_leaves_random_and_rebindable_values_and_large_ones():
    g = gf.ExprGraph()
    constant = gf.constant(g, [1.0, 2.0, 3.0])
    part = constant[1]
    noise = gf.uniform(g, ())
    large = gf.broadcast_to(constant, (10_000, 3))
    plan = fold(plan_of(g.nodes, [part, noise, large]))
    assert [value.op and value.op.name for value in plan.values] == [None, "slice", "uniform", "broadcast_to"]


def test_stabilise_replaces_naive_spellings():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    p = gf.softmax(x)
    logs = gf.log(p)
    row = gf.log(p[1])
    logistic = gf.log(1.0 + gf.exp(x))
    assert text_of(p, logs, row, logistic, passes=[stabilise, prune]) == lines(
        """
        %0    float32[3]       input  x
        %1    float32[3]       softmax (%0)  kept
        %2    float32[3]       log_softmax (%0)  kept
        %3    float32[3]       log_softmax (%0)
        %4    float32[]        slice (%3)  kept
        %5    float32[3]       softplus (%0)  kept
        """
    )


def test_stabilise_knows_values_by_number_in_large_plans():
    """Beyond 256 equal numbers need not be one object in CPython."""
    g = gf.ExprGraph()
    h = gf.vector(g, 3, name="x")
    for number in range(300):
        h = h + float(number)
    exponentials = gf.exp(h)
    between = gf.log(gf.sigmoid(h))
    by_hand = exponentials / gf.sum(exponentials)
    text = text_of(between, by_hand, passes=[stabilise, prune])
    assert text.splitlines()[-1].split()[2] == "softmax"


def test_merge_lets_equal_expressions_be_one():
    g = gf.ExprGraph()
    x, y = gf.vector(g, 3, name="x"), gf.vector(g, 3, name="x")
    one, other = gf.tanh(x * 2.0), gf.tanh(x * 2.0)
    of_another_input = gf.tanh(y * 2.0)
    total = one + other + of_another_input
    assert text_of(total, passes=[merge]) == lines(
        """
        %0    float32[3]       input  x
        %1    float32[3]       input  x
        %2    float32[]        constant 2
        %3    float32[3]       hadamard_prod (%0, %2)
        %4    float32[3]       tanh (%3)
        %5    float32[3]       hadamard_prod (%1, %2)
        %6    float32[3]       tanh (%5)
        %7    float32[3]       add (%4, %4)
        %8    float32[3]       add (%7, %6)  kept
        """
    )


def test_merge_keeps_apart_what_can_be_told_apart():
    """Slices with positions, random values, and constants that differ in dtype, shape or a sign of zero."""
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    parts = [x[0], x[0]]
    noises = [gf.gaussian(g, ()), gf.gaussian(g, ())]
    constants = [
        gf.constant(g, value, dtype=dtype) for value, dtype in ((0.0, "float32"), (-0.0, "float32"), (0.0, "float64"))
    ]
    arrays = [gf.constant(g, [0.0]), gf.constant(g, [0.0], name="again"), gf.constant(g, [[0.0]])]
    kept = [*parts, *noises]
    plan = plan_of(g.nodes, kept)
    merged = merge(plan)
    assert len(plan.values) - len(merged.values) == 1
    assert merged.became[arrays[0].id] == merged.became[arrays[1].id]
    assert len({merged.became[node.id] for node in (*parts, *noises, *constants, arrays[0], arrays[2])}) == 9


def test_lower_gives_every_value_a_loop():
    g = gf.ExprGraph()
    x, w = gf.matrix(g, (2, 3), name="x"), gf.matrix(g, (4, 3), name="w")
    row = x[1]
    y = gf.softmax(gf.tanh(x @ w.T)) + gf.sum(row * row)
    assert text_of(y, passes=[lower]) == lines(
        """
        %0    float32[2, 3]    input  x
        %1    float32[4, 3]    input  w
        %2    float32[3]       view [$0, 0+1*i0] (%0)
        %3    float32[3, 4]    view [0+1*i1, 0+1*i0] (%1)
        %4    float32[2, 4]    contract ab,bc->ac (%0, %3)
        %5    float32[2, 4]    map tanh(x) (%4)
        %6    float32[2, 4]    rows axis 1 t0 = exp((x - row_max(x))); (t0 / row_sum(t0)) (%5)
        %7    float32[3]       map (x0 * x1) (%2, %2)
        %8    float32[]        reduce sum axes [0] (%7)
        %9    float32[2, 4]    map (x0 + x1) (%6, %8)  kept
        """
    )


def test_split_totals_adds_as_soon_as_it_can():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    y = gf.exp(x) + 1.0
    (dx,) = gf.grad(gf.sum(gf.tanh(x) * y + x * gf.exp(x)), x)
    before, after = (
        text_of(dx, passes=[*PIPELINE[: PIPELINE.index(lower) + 1], *last]) for last in ([], [split_totals])
    )
    assert "((x0 + x1) + x2)" in before
    assert "((x0 + x1) + x2)" not in after
    terms = [line for line in after.splitlines() if "map (x0 + x1)" in line]
    assert len(terms) >= 2
    assert terms[-1].endswith("kept")


def test_evaluation_switches_dropout_off():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    y = gf.dropout(x, 0.5)
    assert text_of(y, passes=[evaluate_mode, fold, prune]) == lines(
        """
        %0    float32[3]       input  x
        %1    float32[3]       constant
        %2    float32[3]       hadamard_prod (%0, %1)  kept
        """
    )


def test_passes_do_not_change_the_plan_they_get():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    y = gf.log(gf.softmax(x * 2.0)) + gf.tanh(x * 2.0)
    plan = plan_of(g.nodes, [y])
    texts = [str(plan)]
    for each in PIPELINE:
        after = each(plan)
        assert str(plan) == texts[-1], each.__name__
        plan = after
        texts.append(str(plan))


def test_the_order_of_the_passes_is_that_of_the_tuple():
    seen = []

    def noting(name):
        def note(plan):
            seen.append(name)
            return plan

        return note

    g = gf.ExprGraph()
    gf.tanh(gf.scalar(g))
    run_passes(plan_of(g.nodes, g.roots), [noting("first"), noting("second")])
    assert seen == ["first", "second"]
    assert PIPELINE[-1] is place
