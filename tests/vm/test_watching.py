"""Logs, watched values, traces, and the first NaN or infinity."""

from __future__ import annotations

import inspect
import logging

import numpy as np
import pytest

import graphflow as gf


def here():
    """The line of the caller."""
    return inspect.currentframe().f_back.f_lineno


# --- logs -------------------------------------------------------------------------------------------------------------


def test_a_logger_gets_every_instruction_with_its_value(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    y = gf.exp(gf.sum(x * 3.0))
    y.name = "y"
    lines = []
    machine = gf.TapeMachine(g, backend=backend, logger=lines.append)
    machine.run_all()
    assert len(lines) == len(machine.program)
    assert lines[-1].endswith("= 8103")
    assert [line.split()[0] for line in lines] == [str(number) for number in range(len(lines))]


def test_a_standard_logger_gets_records(caplog):
    g = gf.ExprGraph()
    gf.tanh(gf.scalar(g, value=0.0))
    with caplog.at_level(logging.INFO, logger="graphflow test"):
        gf.TapeMachine(g, logger=logging.getLogger("graphflow test")).run_all()
    assert len(caplog.records) == 1
    assert "tanh" in caplog.text


def test_watched_nodes_are_logged_to_standard_error(capsys):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    y = gf.tanh(x * 100.0)
    gf.TapeMachine(g, watch=[x, y]).run_all()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["x = [1 2]", "%3 = [1 1]"]


def test_numbers_are_written_as_asked(capsys):
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x", value=1.0 / 3.0)
    gf.tanh(x)
    gf.TapeMachine(g, watch=x, value_format=".2f").run_all()
    assert capsys.readouterr().err == "x = 0.33\n"


def test_watched_nodes_that_cost_nothing_or_are_merged_are_logged_too(backend, capsys):
    """A view has no instruction, of two equal nodes only one has, and a long sum has several."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 2), value=[[1.0, 2.0], [3.0, 4.0]])
    double = x * 2.0
    turned = double.T
    again = x * 2.0
    total = gf.sum(turned) + gf.sum(again) + gf.sum(gf.tanh(double)) * 0.0
    (dx,) = gf.grad(total, x)
    known = gf.constant(g, 2.0) * 3.0
    parameter_view = x.T
    watched = [turned, again, dx, known, parameter_view]
    gf.TapeMachine(g, backend=backend, watch=watched).run_all()
    lines = sorted(capsys.readouterr().err.splitlines())
    expected = {
        turned: "[[2 6] [4 8]]",
        again: "[[2 4] [6 8]]",
        dx: "[[4 4] [4 4]]",
        known: "6",
        parameter_view: "[[1 3] [2 4]]",
    }
    assert lines == sorted(f"{node.label} = {text}" for node, text in expected.items())


def test_an_overridden_watched_node_shows_its_override(backend, capsys):
    g = gf.ExprGraph()
    x = gf.scalar(g, value=1.0)
    y = x * 2.0
    gf.tanh(y)
    gf.unsafe_let(y, 7.0)
    gf.TapeMachine(g, backend=backend, watch=y).run_all()
    assert capsys.readouterr().err == "%2 = 7\n"


def test_a_trace_logs_and_keeps_everything(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, value=[1.0, 2.0])
    hidden = x * 3.0
    gf.sum(gf.tanh(hidden))
    lines = []
    machine = gf.TapeMachine(g, backend=backend, trace=True, logger=lines.append)
    machine.run_all()
    assert hidden.value.tolist() == [3.0, 6.0]
    assert len(lines) == len(machine.program) == 3
    assert "= [3 6]" in lines[0]


def test_watching_changes_no_value(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, value=[0.5, 1.0, 2.0])
    y = gf.softmax(gf.log(x * 2.0))
    y.name = "y"
    (dx,) = gf.grad(gf.sum(y * y), x)
    found = []
    for options in ({}, {"watch_nan": True, "watch_inf": True}, {"trace": True, "logger": [].append}):
        gf.TapeMachine(g, backend=backend, **options).run_all()
        found.append((y.value.tobytes(), dx.value.tobytes()))
    assert found[0] == found[1] == found[2]


# --- NaN and infinity -------------------------------------------------------------------------------------------------


def test_the_first_nan_is_named_with_its_line(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, -1.0, 4.0])
    bad = gf.log(x)
    line = here() - 1
    gf.tanh(bad)
    machine = gf.TapeMachine(g, backend=backend, watch_nan=True)
    with pytest.raises(gf.NumericalError) as caught:
        machine.run_all()
    text = str(caught.value)
    assert text.startswith("NaN in %1: float32[3], computed by instruction 0")
    assert f"made at test_watching.py:{line}" in text
    assert "1 of 3 elements, the first at (1,)\n" in text
    assert "  inputs  x: float32[3] -1 to 4, mean 1.333\n" in text
    assert "  graph   x -> %1 = log -> %2 = tanh\n" in text
    assert isinstance(caught.value, ArithmeticError)
    gf.let(x, [1.0, 1.0, 4.0])
    machine.run_all()


def test_infinity_is_watched_for_on_its_own(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, value=0.0)
    y = gf.log(x)
    gf.TapeMachine(g, backend=backend, watch_nan=True).run_all()
    assert y.value == -np.inf
    with pytest.raises(gf.NumericalError, match="infinity in %1"):
        gf.TapeMachine(g, backend=backend, watch_inf=True).run_all()
    gf.let(x, -1.0)
    gf.TapeMachine(g, backend=backend, watch_inf=True).run_all()
    assert np.isnan(y.value)


def test_a_bad_number_in_a_gradient_names_the_forward_node(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[0.0, 1.0])
    root = gf.sqrt(x)
    line = here() - 1
    root.name = "root"
    gf.grad(gf.sum(root), x)
    grad_line = here() - 1
    machine = gf.TapeMachine(g, backend=backend, watch_inf=True)
    with pytest.raises(gf.NumericalError) as caught:
        machine.run_all()
    text = str(caught.value)
    assert f"in the gradient of root: float32[2] made at test_watching.py:{line}" in text
    assert f"made at test_watching.py:{grad_line}" in text


def test_a_bad_number_that_was_bound_is_named_itself(backend):
    g = gf.ExprGraph()
    x, y = gf.scalar(g, name="x", value=1.0), gf.scalar(g, name="y", value=np.nan)
    gf.tanh(x) + y
    with pytest.raises(gf.NumericalError, match="NaN in y: float32.., bound to it"):
        gf.TapeMachine(g, backend=backend, watch_nan=True).run_all()


def test_a_bad_override_is_named_itself(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x", value=1.0)
    middle = gf.tanh(x)
    middle * 2.0
    gf.unsafe_let(middle, np.inf)
    with pytest.raises(gf.NumericalError, match="infinity in %1: float32.., bound to it"):
        gf.TapeMachine(g, backend=backend, watch_inf=True).run_all()


def test_a_bad_number_made_of_constants_is_named_where_it_is_made(backend):
    g = gf.ExprGraph()
    bad = gf.log(gf.constant(g, -1.0))
    line = here() - 1
    gf.scalar(g, name="x", value=3.0) * bad
    with pytest.raises(gf.NumericalError) as caught:
        gf.TapeMachine(g, backend=backend, watch_nan=True).run_all()
    assert str(caught.value).startswith("NaN in %1")
    assert f"made at test_watching.py:{line}" in str(caught.value)


def test_a_stable_form_makes_no_bad_number(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, value=[1e4, -1e4])
    y = gf.log(gf.softmax(x))
    gf.TapeMachine(g, backend=backend, watch_nan=True, watch_inf=True).run_all()
    assert y.value.tolist() == [0.0, -2e4]


def test_after_a_bad_number_the_values_before_it_can_be_read(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, value=-1.0)
    fine = gf.tanh(x)
    bad = gf.log(fine)
    after = bad + 1.0
    machine = gf.TapeMachine(g, backend=backend, watch_nan=True, keep="all")
    with pytest.raises(gf.NumericalError):
        machine.run_all()
    assert fine.value == pytest.approx(np.tanh(-1.0))
    with pytest.raises(gf.ValueNotKept):
        after.value  # noqa: B018 - reading is what is tested


def test_after_a_bad_input_nothing_of_an_earlier_run_is_shown(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x", value=1.0)
    y = gf.tanh(x)
    machine = gf.TapeMachine(g, backend=backend, watch_nan=True)
    machine.run_all()
    gf.let(x, np.nan)
    with pytest.raises(gf.NumericalError):
        machine.run_all()
    with pytest.raises(gf.ValueNotKept):
        y.value  # noqa: B018 - reading is what is tested
    gf.let(x, 0.0)
    machine.run_all()
    assert y.value == 0.0


def test_whole_numbers_and_bools_are_never_bad(backend):
    g = gf.ExprGraph()
    ids = gf.vector(g, 2, dtype="int64", value=[0, 1])
    chosen = gf.gather(gf.vector(g, 2, value=[1.0, 2.0]), ids)
    kept = gf.where(ids > 0, chosen, 0.0)
    gf.TapeMachine(g, backend=backend, watch_nan=True, watch_inf=True, watch=ids, logger=[].append).run_all()
    assert kept.value.tolist() == [0.0, 2.0]


# --- random nodes and evaluation mode ---------------------------------------------------------------------------------


def test_a_seed_and_a_run_number_fix_the_random_numbers(backend):
    g = gf.ExprGraph()
    noise = gf.gaussian(g, (3,))
    machine = gf.TapeMachine(g, backend=backend, seed=5)
    runs = []
    for _ in range(3):
        machine.run_all()
        runs.append(noise.value.tolist())
    assert runs[0] != runs[1] != runs[2]
    again = gf.TapeMachine(g, backend=backend, seed=5)
    again.runs = 2
    again.run_all()
    assert noise.value.tolist() == runs[2]
    lisp = gf.LispMachine(g, seed=5)
    lisp.run_all()
    assert noise.value.tolist() == runs[0]
    gf.TapeMachine(g, backend=backend, seed=6).run_all()
    assert noise.value.tolist() not in runs


def test_random_nodes_are_never_merged(backend):
    g = gf.ExprGraph()
    one, other = gf.uniform(g, (4,)), gf.uniform(g, (4,))
    gf.TapeMachine(g, backend=backend).run_all()
    assert one.value.tolist() != other.value.tolist()


def test_dropout_is_off_in_evaluation_mode(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 200, name="x", init=gf.ones())
    dropped = gf.dropout(x, 0.25)
    dropped.name = "dropped"
    (dx,) = gf.grad(gf.sum(dropped), x)
    gf.TapeMachine(g, backend=backend).run_all()
    zeros = dropped.value == 0
    assert 20 < zeros.sum() < 80
    np.testing.assert_allclose(dropped.value[~zeros], 1 / 0.75, rtol=1e-6)
    np.testing.assert_array_equal(dx.value, dropped.value)
    gf.TapeMachine(g, backend=backend, eval_mode=True).run_all()
    assert (dropped.value == 1.0).all()
    assert (dx.value == 1.0).all()
