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
