"""Which parameters a step changes, what it refuses, and what it costs."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.testing.agreement import available_backends
from tests.solvers.reference import Reference
from tests.solvers.situations import SOLVERS, Situation, random_gradients, random_weights, solving_on

SHAPES = [(), (3,), (2, 2), (), (1, 2)]
SIZE = 11


def indices(situation, chosen):
    """The places of the chosen nodes' elements in the block."""
    spans = [situation.block.spans[situation.nodes[number].id] for number in chosen]
    return [place for start, stop in spans for place in range(start, stop)]


@given(st.sampled_from(SOLVERS), st.integers(0, 2**32), st.data())
def test_any_parameters_in_any_order_and_each_keeps_its_own_count(kind, seed, data):
    situation = Situation(SHAPES, values=random_weights(seed, SIZE))
    options = {"clip_norm": 1.0, "learn_rate": 0.01}
    solver, reference = getattr(gf, kind)(**options), Reference(kind, **options)
    expected = situation.values().tolist()
    numbers = st.lists(st.integers(0, len(SHAPES) - 1), min_size=1, unique=True)
    for gradient in random_gradients(seed, 12, SIZE):
        chosen = data.draw(numbers)
        situation.give(gradient)
        solver.step([situation.nodes[number] for number in chosen])
        expected = reference.step(expected, gradient.tolist(), indices(situation, chosen))
    np.testing.assert_allclose(situation.values(), expected, rtol=1e-9, atol=1e-12)


def test_neighbours_become_one_piece_and_gaps_separate():
    situation = Situation(SHAPES)
    solver = gf.AdamSolver()
    w = situation.nodes
    for chosen, sizes in [
        ([w[2], w[0], w[1]], [8]),
        ([w[0], w[1], w[3]], [4, 1]),  # w[2] is left out
        ([w[0], w[1], w[2]], [4, 4]),  # w[2] has taken fewer steps
        ([w[4]], [2]),
    ]:
        solver.step(chosen)
        assert [piece.weights.size for piece in solver._pieces] == sizes


def test_empty_parameters_do_no_harm():
    situation = Situation([(0, 3), (2,), (0,)], values=[1.0, 1.0])
    situation.give([0.5, 0.25])
    for kind in SOLVERS:
        getattr(gf, kind)(learn_rate=0.0, clip_norm=1.0).step([situation.nodes[0], situation.nodes[2]])
    gf.VanillaSolver(learn_rate=1.0).step(situation.nodes)
    np.testing.assert_array_equal(situation.values(), [0.5, 0.75])


def test_an_interrupted_step_is_not_counted(monkeypatch):
    situation = Situation([(1,)], values=[1.0])
    situation.give([0.5])
    solver = gf.AdamSolver(learn_rate=0.25)
    with monkeypatch.context() as patch:
        patch.setattr(gf.AdamSolver, "coefficients", interrupt)
        with pytest.raises(KeyboardInterrupt):
            solver.step(situation.nodes)
    solver.step(situation.nodes)
    np.testing.assert_allclose(situation.values(), [0.75], rtol=1e-6)
    assert solver.state_dict()["state"]["w0"]["step"] == 1


def interrupt(*arguments, **keywords):
    raise KeyboardInterrupt


def test_parameters_of_two_dtypes_step_together():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[3.0, 0.0])
    y = gf.vector(g, 1, name="y", dtype="float64", value=[4.0])
    cost = gf.sum(gf.cast(x * x, "float64")) + gf.sum(y * y)
    gf.grad(cost, x, y)
    gf.TapeMachine(g).run_all()
    gf.VanillaSolver(learn_rate=1.0, clip_norm=1.0).step([x, y])
    np.testing.assert_allclose(x.value, [2.4, 0.0], rtol=1e-6)
    np.testing.assert_allclose(y.value, [3.2], rtol=1e-6)


@pytest.mark.parametrize("kind", SOLVERS)
def test_gradients_are_left_as_they_are(kind):
    situation = Situation([(3,)], values=[1.0, 2.0, 3.0])
    gradient = [5.0, -6.0, 0.5]
    situation.give(gradient)
    options = {"clip_norm": 1.0, "batch_size": 3, "clip": 0.1}
    getattr(gf, kind)(**options).step(situation.nodes)
    np.testing.assert_array_equal(situation.block.gradients, gradient)


@pytest.mark.parametrize("kind", SOLVERS)
@pytest.mark.parametrize("options", [{}, {"clip": 1.0, "batch_size": 4, "clip_norm": 1.0}])
@pytest.mark.parametrize("backend", available_backends())
def test_steps_allocate_nothing_after_the_first(kind, options, backend):
    size = 200_000
    situation = Situation([(size // 2,), (size // 2,)], "float32", values=np.ones(size))
    situation.give(np.linspace(-1, 1, size))
    solver = getattr(gf, kind)(**options)
    with solving_on(backend):
        for _ in range(2):
            solver.step(situation.nodes)
    grown, needed = [], []
    tracemalloc.start()
    try:
        solver.step(situation.nodes)
        # Threads that other tests have left asleep may wake and allocate: the least of several rounds is the solver's.
        for _ in range(3):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            for _ in range(20):
                solver.step(situation.nodes)
            after, peak = tracemalloc.get_traced_memory()
            grown.append(after - before)
            needed.append(peak - before)
    finally:
        tracemalloc.stop()
    # The block has 800,000 bytes. numpy converts in buffers of its own of some 100 kilobytes where dtypes are mixed.
    assert min(grown) < 1_000
    assert min(needed) < 150_000


def given_as(nodes):
    yield from nodes


@pytest.mark.parametrize("form", [list, tuple, given_as, dict.fromkeys])
def test_any_iterable_of_nodes_will_do(form):
    situation = Situation([(1,), ()], values=[1.0, 1.0])
    situation.give([1.0, 1.0])
    solver = gf.VanillaSolver(learn_rate=0.25)
    for _ in range(2):
        solver.step(form(situation.nodes))
    np.testing.assert_array_equal(situation.values(), [0.5, 0.5])


# --- refusals ---------------------------------------------------------------------------------------------------------


def refused(error, nodes, match, solver=None):
    """Step, expecting this error; the values of the situation's nodes must be as before."""
    solver = solver or gf.AdamSolver()
    before = solver.state_dict()
    with pytest.raises(error, match=match):
        solver.step(nodes)
    after = solver.state_dict()
    assert (after["step"], set(after["state"])) == (before["step"], set(before["state"]))


@pytest.fixture
def situation():
    made = Situation([(2,), ()], values=[1.0, 2.0, 3.0])
    made.give([1.0, 1.0, 1.0])
    yield made
    np.testing.assert_array_equal(made.values(), [1.0, 2.0, 3.0])


def test_no_nodes(situation):
    refused(gf.GraphError, [], "nothing to step")


@pytest.mark.parametrize("nodes", [None, 3, gf.VanillaSolver()])
def test_no_list(situation, nodes):
    refused(gf.GraphError, nodes, "no list of nodes")


def test_a_single_node_instead_of_a_list_adds_no_slices(situation):
    before = len(situation.graph)
    refused(gf.GraphError, situation.nodes[0], r"step\(\[w, b\]\)")
    assert len(situation.graph) == before


@pytest.mark.parametrize("stranger", [None, "w0", np.ones(2)])
def test_what_is_no_node(situation, stranger):
    refused(gf.GraphError, [*situation.nodes, stranger], "is no node")


def test_a_node_twice(situation):
    refused(gf.GraphError, [*situation.nodes, situation.nodes[0]], "w0: float64.2. is given twice")


def test_nodes_of_two_graphs(situation):
    refused(gf.GraphError, [*situation.nodes, *Situation([()]).nodes], "another graph")


def test_another_graph_than_before(situation):
    solver = gf.AdamSolver()
    solver.step(Situation([()]).nodes)
    refused(gf.GraphError, situation.nodes, "one solver for each graph", solver)


def test_computed_and_constant_nodes(situation):
    w = situation.nodes[0]
    refused(gf.GraphError, [*situation.nodes, w * w], "is no parameter")
    refused(gf.GraphError, [*situation.nodes, gf.constant(situation.graph, [1.0])], "is no parameter")


def test_a_node_without_gradient(situation):
    b = gf.vector(situation.graph, 2, name="b", value=[0.0, 0.0])
    refused(gf.GradientError, [*situation.nodes, b], r"gf.grad\(cost, b\)")


def test_a_gradient_that_nothing_has_computed(situation):
    b = gf.vector(situation.graph, 2, name="b", value=[0.0, 0.0])
    gf.grad(gf.sum(b * b), b)
    refused(gf.GradientError, [*situation.nodes, b], r"vm.run_all\(\)")


def test_a_new_gradient_after_steps_with_the_old_one(situation):
    solver = gf.AdamSolver(learn_rate=0.0)
    solver.step(situation.nodes)
    w = situation.nodes[0]
    gf.grad(gf.sum(w * w * w), w)
    refused(gf.GradientError, situation.nodes, r"vm.run_all\(\)", solver)


def test_a_parameter_that_lost_its_value():
    situation = Situation([(2,)], values=[1.0, 2.0])
    solver = gf.AdamSolver()
    solver.step(situation.nodes)
    situation.graph.unbind_all()
    refused(gf.UnboundError, situation.nodes, r"gf.let\(w0, ...\)", solver)
