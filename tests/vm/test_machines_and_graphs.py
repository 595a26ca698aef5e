"""Machines over graphs that change: sharing, growing, overriding, assigning, running over tables."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf


def chain(dtype="float32"):
    """x -> a -> b -> c with one named node in between."""
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", dtype=dtype, value=[1.0, 2.0, 3.0])
    a = x * 2.0
    b = gf.tanh(a)
    b.name = "b"
    c = gf.sum(b)
    return g, x, a, b, c


def test_a_node_shows_the_latest_run_of_any_machine(backend):
    g, x, _, b, c = chain()
    one, other = gf.TapeMachine(g, backend=backend), gf.TapeMachine(g.subgraph(b), backend=backend)
    one.run_all()
    total = c.value
    gf.let(x, [0.0, 0.0, 0.0])
    other.run_all()
    assert b.value.tolist() == [0.0, 0.0, 0.0]
    assert c.value == total
    gf.let(x, [1.0, 2.0, 3.0])
    one.run_all()
    assert b.value.sum() == pytest.approx(float(c.value))
    gf.let(x, [0.0, 0.0, 0.0])
    gf.LispMachine(g).run_all()
    assert b.value.tolist() == [0.0, 0.0, 0.0]
    one.run_all()
    assert c.value == 0.0


def test_a_machine_can_be_asked_for_its_own_values(backend):
    g, x, a, b, _ = chain()
    one, other = gf.TapeMachine(g, backend=backend), gf.TapeMachine(g, backend=backend)
    with pytest.raises(gf.ValueNotKept):
        one.value_of(b)
    one.run_all()
    gf.let(x, [0.0, 0.0, 0.0])
    other.run_all()
    assert one.value_of(b)[0] == pytest.approx(np.tanh(2.0))
    assert other.value_of(b)[0] == 0.0
    assert one.value_of(x).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(gf.ValueNotKept):
        one.value_of(a)
    with pytest.raises(gf.GraphError):
        one.value_of(gf.scalar(gf.ExprGraph()))


def test_machines_share_weights_and_see_the_solvers_steps(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    w = gf.matrix(g, (2, 2), name="w", init=gf.ones())
    prediction = w @ x
    cost = gf.sum(prediction * prediction)
    gf.grad(cost, w)
    training = gf.TapeMachine(g, backend=backend)
    predicting = gf.TapeMachine(g.subgraph(prediction), backend=backend)
    predicting.run_all()
    assert prediction.value.tolist() == [3.0, 3.0]
    assert len(predicting.program) < len(training.program)
    training.run_all()
    gf.VanillaSolver(learn_rate=0.05).step([w])
    predicting.run_all()
    expected = (np.ones((2, 2)) - 0.05 * 6.0 * np.array([1.0, 2.0])) @ [1.0, 2.0]
    np.testing.assert_allclose(prediction.value, expected, rtol=1e-6)


def test_a_subgraph_keeps_its_readings_and_assignments(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, value=2.0)
    a = x * 3.0
    b = gf.tanh(a)
    far = b + 1.0
    reading = gf.read(a)
    gf.set_(x, a)
    gf.TapeMachine(g.subgraph(b), backend=backend).run_all()
    assert reading.value == 6.0
    assert x.value == 6.0
    gf.TapeMachine(g.subgraph(far), backend=backend).run_all()
    assert x.value == 18.0


# --- graphs that change -----------------------------------------------------------------------------------------------


def test_a_machine_goes_on_when_its_graph_grows(backend):
    g, _, _, b, c = chain()
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    later = c * 2.0
    machine.run_all()
    assert c.value > 0
    with pytest.raises(gf.ValueNotKept):
        later.value  # noqa: B018 - reading is what is tested
    gf.grad(later, b)
    machine.run_all()
    gf.TapeMachine(g, backend=backend).run_all()
    assert later.value == 2 * c.value
    assert b.grad.tolist() == [2.0, 2.0, 2.0]


def test_a_value_that_a_new_program_does_not_keep_is_not_shown_from_the_old_one(backend):
    """A leftover of an earlier run must not pass for a value of the latest."""
    g, x, a, _, _ = chain()
    gf.unsafe_let(a, [0.0, 0.0, 0.0])
    gf.unsafe_let(a, None)
    machine = gf.TapeMachine(g, backend=backend, keep=a)
    machine.run_all()
    gf.unsafe_let(a, [5.0, 5.0, 5.0])
    gf.let(x, [0.0, 0.0, 0.0])
    machine.run_all()
    assert a.value.tolist() == [5.0, 5.0, 5.0]
    gf.unsafe_let(a, None)
    with pytest.raises(gf.ValueNotKept):
        a.value  # noqa: B018 - reading is what is tested
    machine.run_all()
    assert a.value.tolist() == [0.0, 0.0, 0.0]


def test_gradients_of_a_graph_that_grows(backend):
    """d(x^3)/dx at 3 is 27, whatever was differentiated before; Gorgonia gives 9."""
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x", value=3.0)
    square = x * x
    (d_square,) = gf.grad(square, x)
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    assert (d_square.value, x.grad) == (6.0, 6.0)
    cube = square * x
    (d_cube,) = gf.grad(cube, x)
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    assert (d_square.value, d_cube.value, x.grad) == (6.0, 27.0, 27.0)


def test_parameters_that_move_into_a_block_are_found_again(backend):
    g = gf.ExprGraph()
    x, y = gf.scalar(g, value=2.0), gf.scalar(g, value=5.0)
    product = x * y
    product.name = "product"
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    gf.grad(product, x)
    gf.grad(product, y)
    gf.let(x, 3.0)
    machine.run_all()
    assert product.value == 15.0
    assert (x.value, y.value) == (3.0, 5.0)


def test_unbinding(backend):
    g, x, a, _, c = chain()
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    before = c.value
    gf.unsafe_let(a, [1.0, 1.0, 1.0])
    g.unbind_all()
    with pytest.raises(gf.UnboundError, match="x: float32"):
        machine.run_all()
    assert machine.runs == 1
    assert c.value == before
    with pytest.raises(gf.UnboundError):
        x.value  # noqa: B018 - reading is what is tested
    gf.let(x, [1.0, 2.0, 3.0])
    machine.run_all()
    assert c.value == before


def test_inputs_that_nothing_reads_need_no_value(backend):
    g, *_ = chain()
    gf.scalar(g, name="unused")
    gf.TapeMachine(g, backend=backend).run_all()


# --- overrides and assignments ----------------------------------------------------------------------------------------


def test_a_computed_node_can_be_given_a_value(backend):
    g, _, a, b, _ = chain()
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    computed = b.value
    gf.unsafe_let(a, [0.0, 0.0, 0.0])
    machine.run_all()
    assert b.value.tolist() == [0.0, 0.0, 0.0]
    assert a.value.tolist() == [0.0, 0.0, 0.0]
    gf.unsafe_let(a, [4.0, 4.0, 4.0])
    machine.run_all()
    assert b.value[0] == pytest.approx(np.tanh(4.0))
    gf.LispMachine(g).run_all()
    assert b.value[0] == pytest.approx(np.tanh(4.0))
    gf.unsafe_let(a, None)
    machine.run_all()
    assert np.array_equal(b.value, computed)


def test_an_overridden_root_named_or_read_node_shows_its_override(backend):
    g, _, _, b, c = chain()
    gf.read(c)
    machine = gf.TapeMachine(g, backend=backend)
    gf.unsafe_let(b, [1.0, 2.0, 3.0])
    machine.run_all()
    assert c.value == 6.0
    gf.unsafe_let(c, 9.0)
    machine.run_all()
    assert (b.value.tolist(), c.value) == ([1.0, 2.0, 3.0], 9.0)
    assert machine.value_of(c) == 9.0


def test_an_overridden_gradient_is_what_the_solver_takes(backend):
    g = gf.ExprGraph()
    w = gf.scalar(g, value=2.0)
    (dw,) = gf.grad(w * w, w)
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    gf.unsafe_let(dw, 100.0)
    machine.run_all()
    assert w.grad == 100.0
    gf.VanillaSolver(learn_rate=1.0).step([w])
    assert w.value == -98.0


def test_two_inputs_swap(backend):
    g = gf.ExprGraph()
    x, y = gf.scalar(g, value=1.0), gf.scalar(g, value=2.0)
    gf.set_(x, y)
    gf.set_(y, x)
    for machine in (gf.TapeMachine(g, backend=backend), gf.LispMachine(g)):
        machine.run_all()
        assert (x.value, y.value) == (2.0, 1.0)
        machine.run_all()
        assert (x.value, y.value) == (1.0, 2.0)


def test_three_inputs_rotate_through_views(backend):
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 2), value=[[1.0, 2.0], [3.0, 4.0]])
    gf.set_(x, x.T)
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    assert x.value.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    machine.run_all()
    assert x.value.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_an_update_rule_in_the_graph(backend):
    """x <- x - lr * g: in Gorgonia this works only where the expression happens to reuse x's register."""
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x", value=4.0, dtype="float64")
    cost = x * x
    (dx,) = gf.grad(cost, x)
    gf.set_(x, x - dx * 0.25)
    machine = gf.TapeMachine(g, backend=backend)
    for expected in (2.0, 1.0, 0.5):
        machine.run_all()
        assert x.value == expected
        assert cost.value == (2 * expected) ** 2


def test_squaring_in_place(backend):
    """Set(x, x^2) on a scalar does nothing in Gorgonia."""
    g = gf.ExprGraph()
    x = gf.scalar(g, value=3.0)
    gf.set_(x, x * x)
    gf.TapeMachine(g, backend=backend).run_all()
    assert x.value == 9.0


def test_what_reads_an_assigned_input_reads_it_before(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, value=1.0)
    doubled = x * 2.0
    gf.set_(x, x + 10.0)
    after = x * 3.0
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    assert (doubled.value, after.value, x.value) == (2.0, 3.0, 11.0)


def test_an_assignment_binds_its_target_and_needs_its_source(backend):
    g = gf.ExprGraph()
    target, source = gf.scalar(g, name="target"), gf.scalar(g, name="source")
    gf.set_(target, source)
    for machine in (gf.TapeMachine(g, backend=backend), gf.LispMachine(g)):
        g.unbind_all()
        with pytest.raises(gf.UnboundError, match="source: float32"):
            machine.run_all()
        gf.let(source, 5.0)
        machine.run_all()
        assert target.value == 5.0


def test_an_assignment_from_an_overridden_node_or_a_constant(backend):
    g = gf.ExprGraph()
    x, y = gf.scalar(g, value=1.0), gf.scalar(g, value=1.0)
    computed = x * 1.5
    gf.set_(x, computed)
    gf.set_(y, gf.constant(g, 4.0))
    gf.unsafe_let(computed, 8.0)
    for machine in (gf.TapeMachine(g, backend=backend), gf.LispMachine(g)):
        gf.let(x, 1.0)
        machine.run_all()
        assert (x.value, y.value) == (8.0, 4.0)


# --- running over a table ---------------------------------------------------------------------------------------------


def table_model():
    g = gf.ExprGraph()
    table = gf.matrix(g, (4, 2), name="table", dtype="float64", init=gf.ranged_from(1))
    rows = tuple(table[0] for _ in range(3))
    hidden = gf.tanh(rows[0] * rows[1])
    cost = gf.sum(hidden * rows[2])
    gf.grad(cost, table, hidden)
    return g, table, rows, cost


def test_running_over_a_table_is_rebinding_running_and_stepping(backend):
    positions = np.random.default_rng(0).integers(0, 4, (7, 3))
    costs = []
    tables = []
    for by_hand in (False, True):
        g, table, rows, cost = table_model()
        machine = gf.TapeMachine(g, backend=backend)
        solver = gf.RMSPropSolver(learn_rate=0.1)
        if by_hand:
            found = []
            for row in positions:
                gf.unsafe_let_all(rows, row.tolist())
                machine.run_all()
                found.append(float(cost.value))
                solver.step([table])
        else:
            found = machine.run_over(rows, positions, solver)
            assert found.dtype == np.float64
            assert machine.runs == 7
        costs.append(list(found))
        tables.append(table.value.tolist())
    assert costs[0] == costs[1]
    assert tables[0] == tables[1]


def test_running_over_a_table_sees_a_graph_that_has_changed(backend):
    g, _, rows, cost = table_model()
    machine = gf.TapeMachine(g, backend=backend)
    gf.read(rows[0])
    costs = machine.run_over(rows, [[0, 1, 2], [3, 2, 1]])
    assert costs[1] == cost.value
    assert costs[0] != costs[1]
    assert costs[0] == pytest.approx(float(np.sum(np.tanh([3.0, 8.0]) * [5.0, 6.0])))


def test_running_over_a_wrong_table_is_refused(backend):
    g, _, rows, _ = table_model()
    machine = gf.TapeMachine(g, backend=backend)
    for table in ([[0, 1]], [0, 1, 2], [[0.0, 1.0, 2.0]], np.zeros((1, 4), int), "abc", None):
        with pytest.raises(gf.OptionError, match="no table of positions"):
            machine.run_over(rows, table)
    assert machine.runs == 0
    with pytest.raises(gf.PositionError):
        machine.run_over(rows, [[0, 1, 2], [0, 1, 4]])
    assert machine.runs == 0
    assert machine.run_over(rows, np.zeros((0, 3), int)).shape == (0,)
    without = gf.TapeMachine(gf.ExprGraph(), backend=backend)
    with pytest.raises(gf.MachineError, match="computes no cost"):
        without.run_over((), np.zeros((1, 0), int))


# --- gradients in their block -----------------------------------------------------------------------------------------


def test_gradients_that_are_shared_constant_or_views_reach_their_parameters(backend):
    g = gf.ExprGraph()
    a, b, c, d, e = (gf.vector(g, 3, name=name, value=[1.0, 2.0, 3.0]) for name in "abcde")
    m = gf.matrix(g, (3, 2), name="m", init=gf.ones())
    total = a + b
    cost = (
        gf.sum(total * total) + gf.sum(c) + gf.sum(gf.reshape(d, (3, 1))[::-1].T * [[1.0, 2.0, 3.0]]) + gf.sum(m.T[0])
    )
    cost = cost + gf.sum(e * 0.0)
    gradients = gf.grad(cost, a, b, c, d, e, m)
    gf.TapeMachine(g, backend=backend).run_all()
    expected = [[4, 8, 12], [4, 8, 12], [1, 1, 1], [3, 2, 1], [0, 0, 0], [[1, 0], [1, 0], [1, 0]]]
    for node, gradient, value in zip((a, b, c, d, e, m), gradients, expected, strict=True):
        assert node.grad.tolist() == value
        assert gradient.value.tolist() == value
    gf.VanillaSolver(learn_rate=1.0).step([a, b, c, d, e, m])
    assert a.value.tolist() == [-3.0, -6.0, -9.0]
    assert d.value.tolist() == [-2.0, 0.0, 2.0]


def test_a_machine_for_a_gradient_alone_needs_no_inputs(backend):
    g = gf.ExprGraph()
    w = gf.scalar(g, value=2.0)
    (dw,) = gf.grad(w * 3.0, w)
    gf.TapeMachine(g, outputs=dw, backend=backend).run_all()
    assert (dw.value, w.grad) == (3.0, 3.0)


def test_gradients_are_overwritten_not_accumulated(backend):
    g = gf.ExprGraph()
    w = gf.scalar(g, value=2.0)
    gf.grad(w * w, w)
    for machine in (gf.TapeMachine(g, backend=backend), gf.LispMachine(g)):
        machine.run_all()
        machine.run_all()
        assert w.grad == 4.0
