"""The passes on lookups, slices and transposes: the plans they make, and what these mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import graphflow as gf
from graphflow.backends import storage_of
from graphflow.backends.reference import ReferenceBackend
from graphflow.loops import Contract, Gather, Scatter
from graphflow.ops.arithmetic import total
from graphflow.passes import PLAIN_PIPELINE, Plan, plan_of, run_passes, verify
from graphflow.passes.absorb_transposes import absorb_transposes
from graphflow.passes.commute_gathers import commute_gathers
from graphflow.passes.commute_scatters import commute_scatters
from graphflow.passes.lower import lower
from graphflow.passes.memory import place
from graphflow.passes.merge import merge
from graphflow.passes.prune import prune
from graphflow.passes.slice_lookups import slice_lookups
from graphflow.passes.sum_places import sum_places
from graphflow.passes.sum_scatters import sum_scatters
from graphflow.testing import assert_backends_agree
from graphflow.testing.closeness import GRAPH, difference
from graphflow.vm.compiling import compile_request, request_of
from tests.passes.lookup_networks import USES, network, networks

PASSES = (absorb_transposes, slice_lookups, commute_gathers, commute_scatters, sum_places, sum_scatters)


def after(*passes, kept) -> str:
    plan = run_passes(plan_of(kept, kept), (lower, *passes, prune))
    verify(plan)
    return str(plan)


# --- what they make ---------------------------------------------------------------------------------------------------


def test_products_of_rows_become_rows_of_one_product():
    g = gf.ExprGraph()
    table, w = gf.matrix(g, (3, 4), name="table"), gf.matrix(g, (5, 4), name="w")
    ids = [gf.tensor(g, (2,), dtype="int64", name=f"ids{t}") for t in range(2)]
    kept = [gf.nn.apply_weights(w, gf.gather(table, each)) for each in ids]
    assert after(commute_gathers, kept=kept) == (
        "%0    float32[3, 4]    input  table\n"
        "%1    float32[5, 4]    input  w\n"
        "%2    int64[2]         input  ids0\n"
        "%3    int64[2]         input  ids1\n"
        "%4    float32[3, 5]    contract ab,cb->ac (%0, %1)\n"
        "%5    float32[2, 5]    gather (%4, %2)  kept\n"
        "%6    float32[2, 5]    gather (%4, %3)  kept"
    )


def test_gradients_of_a_weight_and_of_a_table_share_what_is_added_up():
    g = gf.ExprGraph()
    table, w = gf.matrix(g, (3, 4), name="table"), gf.matrix(g, (5, 4), name="w")
    ids, dz = gf.tensor(g, (7,), dtype="int64", name="ids"), gf.matrix(g, (7, 5), name="dz")
    kept = [dz.T @ gf.gather(table, ids), gf.scatter_add(ids, dz @ w, rows=3)]
    assert after(absorb_transposes, commute_scatters, kept=kept) == (
        "%0    float32[3, 4]    input  table\n"
        "%1    float32[5, 4]    input  w\n"
        "%2    int64[7]         input  ids\n"
        "%3    float32[7, 5]    input  dz\n"
        "%4    float32[3, 5]    scatter 3 (%2, %3)\n"
        "%5    float32[5, 4]    contract ab,ac->bc (%4, %0)  kept\n"
        "%6    float32[3, 4]    contract ab,bc->ac (%4, %1)  kept"
    )


def test_a_sum_of_scatters_becomes_one():
    g = gf.ExprGraph()
    ids = [gf.tensor(g, (2,), dtype="int64", name=f"ids{t}") for t in range(4)]
    rows = [gf.matrix(g, (2, 3), name=f"rows{t}") for t in range(4)]
    kept = total(*[gf.scatter_add(each, row, rows=9) for each, row in zip(ids, rows, strict=True)][::-1])
    assert after(sum_scatters, kept=[kept]).splitlines()[-3:] == [
        "%8    int64[8]         concat axis 0 (%0, %1, %2, %3)",
        "%9    float32[8, 3]    concat axis 0 (%4, %5, %6, %7)",
        "%10   float32[9, 3]    scatter 9 (%8, %9)  kept",
    ]


def test_a_sum_of_other_terms_keeps_them():
    g = gf.ExprGraph()
    ids = [gf.tensor(g, shape, dtype="int64") for shape in ((), (), (), (), (2, 2), (2, 2), (2, 2), (2, 2), (3,))]
    other = gf.matrix(g, (9, 3))
    scatters = [gf.scatter_add(each, gf.tensor(g, (*each.shape, 3)), rows=9) for each in ids]
    kept = total(*scatters, other)
    text = after(sum_scatters, kept=[kept, scatters[0]])
    assert text.count("scatter 9") == 6  # three scalars stay alone, and the one that is read; four matrices are one
    assert text.count("reshape [4, 3]") == 4
    assert text.count("concat") == 2


def test_slices_of_looked_up_rows_become_lookups_of_slices():
    g = gf.ExprGraph()
    table, ids = gf.matrix(g, (3, 4), name="table"), gf.matrix(g, (5, 2), dtype="int64", name="ids")
    rows = gf.gather(table, ids)
    assert after(slice_lookups, kept=[rows[0], rows[3, 1], rows[1:4]]) == (
        "%0    float32[3, 4]    input  table\n"
        "%1    int64[5, 2]      input  ids\n"
        "%2    int64[2]         view [$0, 0+1*i0] (%1)\n"
        "%3    float32[2, 4]    gather (%0, %2)  kept\n"
        "%4    int64[]          view [$1, $2] (%1)\n"
        "%5    float32[4]       gather (%0, %4)  kept\n"
        "%6    int64[3, 2]      view [$3+1*i0, 0+1*i1] (%1)\n"
        "%7    float32[3, 2, 4] gather (%0, %6)  kept"
    )


def test_rows_that_are_read_as_a_whole_or_cut_are_looked_up_as_a_whole():
    g = gf.ExprGraph()
    table, ids = gf.matrix(g, (3, 4), name="table"), gf.matrix(g, (5, 2), dtype="int64", name="ids")
    for kept in (lambda x: [x[0], gf.sum(x)], lambda x: [x[0], x], lambda x: [x[0], x[1, :, 2]]):
        text = after(slice_lookups, kept=kept(gf.gather(table, ids)))
        assert text.count("gather") == text.count("gather (%0, %1)") == 1


def test_slices_that_are_placed_step_by_step_are_added_up_in_one_array():
    g = gf.ExprGraph()
    x = gf.matrix(g, (9, 3), name="x")
    cost = gf.sum(gf.concat([gf.tanh(x[t]) for t in range(4)]))
    (dx,) = gf.grad(cost, x)
    lines = after(sum_places, sum_scatters, kept=[dx]).splitlines()
    assert "place" not in "".join(lines)
    assert [line.split("(")[0].split("]", 1)[1].strip() for line in lines[-3:]] == [
        "stack axis 0",
        "stack axis 0",
        "scatter 9",
    ]
    assert sum("view [$" in line and "int64[]" in line for line in lines) == 4


def test_slices_of_columns_stay_placed():
    g = gf.ExprGraph()
    x = gf.matrix(g, (3, 9), name="x")
    (dx,) = gf.grad(gf.sum(gf.concat([gf.tanh(x[:, t]) for t in range(4)])), x)
    plan = run_passes(plan_of([dx], [dx]), (lower,))
    assert sum_places(plan) is plan


# Not products of products: one step is taken back, not a chain. Nor dots of two vectors: those are no products.
WRITTEN = [(use, shape) for use in sorted(USES) for shape in ((), (2, 3), (6,)) if use != "rows and their products"]
WRITTEN.remove(("rows by a vector", ()))


@pytest.mark.parametrize("style", ["step by step", "whole"])
@pytest.mark.parametrize(("use", "shape"), WRITTEN)
def test_whichever_way_a_product_is_written_only_whole_tables_are_multiplied(use, shape, style):
    """After the passes no product of looked up rows with a weight is left, forward or backward."""
    made = network([use], shape=shape, style=style)
    seen: list[Plan] = []

    def see(plan: Plan) -> Plan:
        seen.append(plan)
        return plan

    first = (merge, prune, lower, absorb_transposes, slice_lookups)
    compile_request(request_of(made.graph, passes=(*first, commute_gathers, commute_scatters, prune, see, place)))
    values = seen[0].values
    rows = {number for number, value in enumerate(values) if isinstance(value.loop, Gather)}
    assert not [value for value in values if isinstance(value.loop, Contract) and rows & set(value.inputs)]
    tables = [value.inputs[1] for value in values if isinstance(value.loop, Scatter)]
    assert not [number for number in tables if isinstance(values[number].loop, Contract)]


def test_nothing_happens_where_a_table_has_as_many_rows_as_are_looked_up():
    made = network(["a layer"], shape=(2,), steps=2)
    plan = run_passes(plan_of(made.graph.nodes, made.graph.roots), (lower,))
    assert commute_gathers(plan) is plan
    assert commute_scatters(plan) is plan


def test_a_product_that_is_needed_anyway_is_not_computed_twice():
    g = gf.ExprGraph()
    w, dz = gf.matrix(g, (5, 4)), gf.matrix(g, (7, 5))
    rows = dz @ w
    kept = [rows, gf.scatter_add(gf.tensor(g, (7,), dtype="int64"), rows, rows=3)]
    plan = run_passes(plan_of(kept, kept), (lower,))
    assert commute_scatters(plan) is plan


def test_what_else_is_scattered_stays():
    g = gf.ExprGraph()
    w, dz, more = gf.matrix(g, (5, 4)), gf.matrix(g, (7, 5)), gf.matrix(g, (7, 4), name="more")
    ids = gf.tensor(g, (7,), dtype="int64", name="ids")
    kept = gf.scatter_add(ids, dz @ w + more + gf.exp(more), rows=3)
    text = after(commute_scatters, kept=[kept])
    assert text.count("scatter 3") == 2
    assert "contract ab,bc->ac" in text
    assert text.splitlines()[-1].endswith("map (x0 + x1) (%6, %8)  kept")


# --- what they mean ---------------------------------------------------------------------------------------------------


def values_with(made, passes):
    program = compile_request(request_of(made.graph, passes=passes))
    executable = ReferenceBackend().compile(program, storage_of(program, made.graph.positions, 0, {}))
    executable.run(1)
    return {number: executable.array(operand).copy() for number, operand in program.results.items()}


@given(networks())
@settings(max_examples=60)
def test_each_pass_alone_and_all_together_keep_the_meaning(made):
    plain = values_with(made, PLAIN_PIPELINE)
    dtype = np.dtype(made.graph.inputs[0].dtype.name)
    for chosen in (*[(each,) for each in PASSES], PASSES):
        found = values_with(made, (lower, *chosen, place))
        for number, value in plain.items():
            assert difference(found[number], value, GRAPH[dtype]) is None, made.graph[number]


@given(networks())
@settings(max_examples=12)
def test_machines_agree_with_new_ids_in_each_run(made):
    assert_backends_agree(made.graph, 3, rebind=made.rebind)


@pytest.mark.parametrize("keep", [(), "all"])
@pytest.mark.parametrize("use", sorted(USES))
def test_rows_and_products_that_are_kept_can_be_read(use, keep):
    assert_backends_agree(network([use], shape=(5,), steps=3).graph, 2, ["numpy"], keep=keep)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_an_id_out_of_range_is_refused_where_it_is_looked_up(backend):
    g = gf.ExprGraph()
    # Computed ids: those of an input are looked at when they are bound.
    ids = gf.matrix(g, (3, 4), dtype="int64", name="ids", value=np.zeros((3, 4), np.int64))
    embedding, layer = gf.nn.Embedding(g, 5, 6), gf.nn.Linear(g, 6, 7)
    rows = [embedding(ids[t] * 1) for t in range(3)]
    cost = gf.sum(gf.concat([gf.tanh(layer(x)) for x in rows]))
    gf.grad(cost, *embedding.parameters, *layer.parameters)
    machine = gf.TapeMachine(g, backend=backend)
    assert "gather (input" not in str(machine.program)
    gf.let(ids, [[0, 1, 2, 3], [4, 0, 5, 6], [1, 2, 3, 4]])
    with pytest.raises(gf.PositionError, match=r"gather: the id 5 is out of range") as caught:
        machine.run_all()
    assert caught.value.where == rows[1].origin
    gf.let(ids, np.zeros((3, 4), np.int64))
    machine.run_all()
