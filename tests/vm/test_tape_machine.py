"""TapeMachine: running, stepping, what is kept, and what one machine leaves to another."""

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


# --- running ----------------------------------------------------------------------------------------------------------


def test_running_twice_runs_twice(backend):
    """In Gorgonia a second run without Reset does nothing and says nothing."""
    g = gf.ExprGraph()
    x = gf.scalar(g, value=1.0)
    gf.set_(x, x + 1.0)
    machine = gf.TapeMachine(g, backend=backend)
    for expected in (2.0, 3.0, 4.0):
        machine.run_all()
        assert x.value == expected
    assert machine.runs == 3


def test_a_run_uses_what_is_bound_now(backend):
    g, x, _, _, c = chain()
    with gf.TapeMachine(g, backend=backend) as machine:
        machine.run_all()
        first = c.value
        gf.let(x, [0.0, 0.0, 0.0])
        assert c.value == first
        machine.run_all()
        assert c.value == 0.0


def test_values_are_copies(backend):
    g, x, _, b, c = chain()
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    for node in (x, b):
        node.value[...] = 77.0
        assert not (node.value == 77.0).any()
    held = b.value
    gf.let(x, [9.0, 9.0, 9.0])
    machine.run_all()
    assert not np.array_equal(held, b.value)
    assert c.value.shape == ()
    assert isinstance(c.value, np.ndarray)


def test_reset_is_not_needed_and_loses_nothing(backend):
    g, _, _, b, _ = chain()
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    before = b.value
    machine.reset()
    assert np.array_equal(b.value, before)
    machine.run_all()
    assert np.array_equal(b.value, before)


def test_a_closed_machine_refuses_and_its_values_stay(backend):
    g, _, _, b, _ = chain()
    with gf.TapeMachine(g, backend=backend) as machine:
        machine.run_all()
    before = b.value
    for act in (machine.run_all, machine.step, machine.reset, lambda: machine.run_over((), np.zeros((1, 0), int))):
        with pytest.raises(gf.MachineError, match="the machine is closed"):
            act()
    assert np.array_equal(b.value, before)
    machine.close()


def test_a_machine_left_by_an_exception_is_closed(backend):
    g, *_ = chain()
    with pytest.raises(KeyError), gf.TapeMachine(g, backend=backend) as machine:
        raise KeyError
    with pytest.raises(gf.MachineError, match="closed"):
        machine.run_all()


def test_the_backend_says_which_it_is_and_why():
    g, *_ = chain()
    machine = gf.TapeMachine(g, backend="numpy")
    assert machine.backend == "numpy"
    assert str(machine.backend) == "numpy (as asked for)"
    assert gf.TapeMachine(g).backend in {"numpy", "native"}
    with pytest.raises(gf.OptionError, match="there is no backend 'cuda'"):
        gf.TapeMachine(g, backend="cuda")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"threads": 0}, "threads"),
        ({"threads": 1.5}, "threads"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": "a"}, "seed"),
        ({"keep": "everything"}, "keep"),
        ({"keep": 3}, "keep"),
        ({"outputs": 3}, "outputs"),
        ({"outputs": "all"}, "outputs"),
        ({"watch": 3}, "watch"),
        ({"value_format": "no such"}, "value_format"),
        ({"value_format": None}, "value_format"),
        ({"logger": 3}, "logger"),
        ({"backend": 3}, "backend"),
    ],
)
def test_wrong_options_are_refused(options, text):
    g, *_ = chain()
    before = len(g)
    with pytest.raises(gf.OptionError, match=text):
        gf.TapeMachine(g, **options)
    assert len(g) == before


def test_what_is_no_graph_is_refused():
    for make in (gf.TapeMachine, gf.LispMachine, gf.compile_graph):
        with pytest.raises(gf.OptionError, match="a machine needs a graph"):
            make(3)


def test_nodes_of_another_graph_are_refused():
    g, *_ = chain()
    other = gf.scalar(gf.ExprGraph())
    for options in ({"keep": [other]}, {"outputs": other}, {"watch": [other]}):
        with pytest.raises(gf.GraphError, match="another graph"):
            gf.TapeMachine(g, **options)


# --- stepping ---------------------------------------------------------------------------------------------------------


def test_stepping_runs_one_instruction_and_shows_what_is_done(backend):
    g, _, a, b, c = chain("float64")
    machine = gf.TapeMachine(g, backend=backend, keep="all")
    for node, later in ((a, b), (b, c)):
        instruction = machine.step()
        assert instruction.node is node
        assert node.value.shape == node.shape
        with pytest.raises(gf.ValueNotKept, match="has not come to it"):
            later.value  # noqa: B018 - reading is what is tested
    assert machine.step().node is c
    assert c.value == pytest.approx(np.tanh([2.0, 4.0, 6.0]).sum())
    assert machine.step() is None
    assert machine.step().node is a
    machine.reset()
    assert machine.step().node is a


def test_stepping_after_a_run_does_not_show_what_that_run_left(backend):
    g, x, a, b, c = chain("float64")
    machine = gf.TapeMachine(g, backend=backend, keep="all")
    machine.run_all()
    gf.let(x, [0.0, 0.0, 0.0])
    machine.step()
    assert a.value.tolist() == [0.0, 0.0, 0.0]
    for node in (b, c):
        with pytest.raises(gf.ValueNotKept, match="has not come to it"):
            node.value  # noqa: B018 - reading is what is tested


def test_a_run_after_some_steps_begins_anew(backend):
    g, x, a, _, c = chain("float64")
    machine = gf.TapeMachine(g, backend=backend, keep="all")
    machine.step()
    gf.let(x, [0.0, 0.0, 1.0])
    machine.run_all()
    assert a.value.tolist() == [0.0, 0.0, 2.0]
    assert c.value == pytest.approx(np.tanh(2.0))
    assert machine.step().node is a


def test_the_last_step_assigns(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, value=1.0)
    gf.set_(x, (x + 1.0) * 3.0)
    machine = gf.TapeMachine(g, backend=backend, keep="all")
    seen = []
    while machine.step() is not None:
        seen.append(float(x.value))
    assert seen == [1.0] * (len(machine.program) - 1) + [6.0]


def test_stepping_needs_bound_inputs(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    gf.tanh(x)
    machine = gf.TapeMachine(g, backend=backend)
    with pytest.raises(gf.UnboundError, match="x: float32"):
        machine.step()
    gf.let(x, 0.0)
    assert machine.step() is not None
    assert machine.runs == 1


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_named_nodes_roots_readings_and_keep_are_kept(backend):
    g, x, a, b, c = chain()
    with gf.TapeMachine(g, backend=backend) as machine:
        machine.run_all()
        assert x.value.tolist() == [1.0, 2.0, 3.0]
        assert b.value.shape == (3,)
        assert c.value.shape == ()
        with pytest.raises(gf.ValueNotKept):
            a.value  # noqa: B018 - reading is what is tested
    with gf.TapeMachine(g, backend=backend, keep=a) as machine:
        machine.run_all()
        assert a.value.tolist() == [2.0, 4.0, 6.0]
    g, _, a, _, _ = chain()
    reading = gf.read(a)
    with gf.TapeMachine(g, backend=backend) as machine:
        machine.run_all()
        assert reading.value.tolist() == [2.0, 4.0, 6.0]


def test_a_reading_made_later_is_seen_by_machines_that_exist(backend):
    g, _, a, _, _ = chain()
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    reading = gf.read(a)
    machine.run_all()
    assert reading.value.tolist() == [2.0, 4.0, 6.0]


def test_the_message_of_a_value_that_was_not_kept_says_what_to_do():
    g, _, a, _, _ = chain()
    with gf.TapeMachine(g) as machine:
        machine.run_all()
    with pytest.raises(gf.ValueNotKept) as caught:
        a.value  # noqa: B018 - reading is what is tested
    text = str(caught.value)
    assert "%2: float32[3] has no value" in text
    assert "gf.read(node) or node.name = '...' before the machine is made, or TapeMachine(g, keep='all')" in text
    assert "made at test_tape_machine.py:" in text
    assert isinstance(caught.value, LookupError)


def test_keep_all_keeps_every_value(backend):
    g, *_ = chain()
    (dx,) = gf.grad(g.roots[0], g.inputs[0])
    expected = {}
    gf.LispMachine(g).run_all()
    expected = {node: node.value for node in g if node.op is not None}
    gf.TapeMachine(g, backend=backend, keep="all").run_all()
    for node, value in expected.items():
        np.testing.assert_allclose(node.value, value, rtol=1e-6)
    assert dx.value.shape == (3,)


def test_outputs_leave_out_the_rest(backend):
    g, _, _, b, c = chain()
    other = gf.exp(c)
    machine = gf.TapeMachine(g, backend=backend, outputs=b)
    machine.run_all()
    assert b.value.shape == (3,)
    with pytest.raises(gf.ValueNotKept):
        other.value  # noqa: B018 - reading is what is tested
    assert "sum" not in str(machine.program)


def test_outputs_keep_and_watch_take_any_iterable(backend):
    g, _, a, b, c = chain()
    lines = []
    machine = gf.TapeMachine(
        g, backend=backend, outputs=(n for n in [c]), keep=(n for n in [b]), watch=(n for n in [a]), logger=lines.append
    )
    machine.run_all()
    assert [node.value.size for node in (a, b, c)] == [3, 3, 1]
    assert any(line.startswith("%2 = [2 4 6]") for line in lines)


def test_an_output_that_is_an_input_is_itself(backend):
    g = gf.ExprGraph()
    x, y = gf.scalar(g, value=1.0), gf.scalar(g, value=2.0)
    machine = gf.TapeMachine(g, backend=backend, outputs=[x, x + y], keep=[y])
    machine.run_all()
    assert (x.value, y.value) == (1.0, 2.0)


def test_a_graph_without_computation_runs(backend):
    g = gf.ExprGraph()
    gf.TapeMachine(g, backend=backend).run_all()
    x = gf.scalar(g, value=1.0)
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    assert machine.step() is None
    assert x.value == 1.0
    assert len(machine.program) == 0


def test_a_kept_view_of_a_parameter_does_not_change_with_the_parameter(backend):
    g = gf.ExprGraph()
    w = gf.matrix(g, (2, 3), name="w", init=gf.ones())
    views = [w.T, w[0], gf.reshape(w, 6), gf.broadcast_to(w, (2, 2, 3)), w.T[1], gf.reshape(w.T, 6), w[:, ::-1]]
    for number, view in enumerate(views):
        view.name = f"view {number}"
    cost = gf.sum(w * w)
    gf.grad(cost, w)
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    before = [view.value for view in views]
    gf.VanillaSolver(learn_rate=0.5).step([w])
    gf.let(w, np.full((2, 3), 7.0))
    assert all(np.array_equal(view.value, value) for view, value in zip(views, before, strict=True))
    machine.run_all()
    assert all((view.value == 7.0).all() for view in views)


# --- several machines -------------------------------------------------------------------------------------------------


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
    g, _, rows, cost = table_model()
    machine = gf.TapeMachine(g, backend=backend)
    for table in ([[0, 1]], [0, 1, 2], [[0.0, 1.0, 2.0]], np.zeros((1, 4), int), "abc", None):
        with pytest.raises(gf.OptionError, match="no table of positions"):
            machine.run_over(rows, table)
    assert machine.runs == 0
    with pytest.raises(gf.PositionError):
        machine.run_over(rows, [[0, 1, 2], [0, 1, 4]])
    assert machine.runs == 1
    assert cost.value.shape == ()
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
