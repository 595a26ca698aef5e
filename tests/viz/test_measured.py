"""What a machine has measured, as overlays: a weight and a text for each node, and pictures that show them."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing import random_graph
from graphflow.testing.agreement import available_backends
from graphflow.viz.measured import ELSEWHERE, ON_THE_PATH, ORIGIN, size


@pytest.fixture(params=available_backends())
def backend(request):
    return request.param


def recurrent(value):
    """Three steps of a network, its cost and its gradient; at zero the gradient is not finite."""
    g = gf.ExprGraph(seed=1)
    x = gf.vector(g, 3, name="x", value=value)
    w = gf.matrix(g, (3, 3), name="w", init=gf.glorot_n())
    h = x
    for t in range(3):
        with g.step(t):
            h = gf.tanh(w @ h)
    margin = gf.scalar(g, name="margin", value=0.0)  # without it this is a length, whose gradient at zero is zero
    cost = gf.sqrt(gf.sum(h * h) + margin)
    cost.name = "cost"
    (dw,) = gf.grad(cost, w)
    return g, x, w, cost, dw


def machine_of(g, backend):
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    return machine


def test_time_is_that_of_the_profile(backend):
    g, *_ = recurrent([0.1, 0.2, 0.3])
    profile = machine_of(g, backend).profile(runs=2)
    overlay = gf.viz.time_overlay(profile)
    assert set(overlay.values) == {row.node for row in profile.rows}
    slowest, (weight, text) = max(overlay.values.items(), key=lambda item: item[1][0])
    assert weight == 1.0
    assert text == f"{sum(row.microseconds for row in profile.rows if row.node is slowest):.2f} us"
    assert overlay.most == text
    assert text in g.to_dot(color_by=overlay)


def test_memory_tells_bytes_and_who_takes_turns(backend):
    g, x, w, _, dw = recurrent([0.1, 0.2, 0.3])
    program = machine_of(g, backend).program
    overlay = gf.viz.memory_overlay(program)
    assert overlay.values[x] == (12 / 36, "12 B, bound")
    assert overlay.values[w] == (1.0, "36 B, bound")
    assert overlay.values[dw] == (1.0, f"36 B at gradient[{w.id}]")
    shared = [text for _, text in overlay.values.values() if "take turns" in text]
    assert shared
    apart = gf.viz.memory_overlay(gf.TapeMachine(g, backend=backend, keep="all").program)
    assert not any("take turns" in text for _, text in apart.values.values())
    assert "12 B, bound" in g.to_dot(color_by=overlay)


def test_gradients_are_weighed_by_the_logarithm_of_their_norm(backend):
    g, x, w, _, dw = recurrent([0.1, 0.2, 0.3])
    survey = machine_of(g, backend).survey()
    overlay = gf.viz.gradient_overlay(survey)
    assert survey.values[dw].norm == pytest.approx(np.linalg.norm(dw.value), rel=1e-5)
    assert overlay.values[w] == overlay.values[dw]
    assert x not in overlay.values
    true = {gradient.id for gradient in (*g.passed_back.values(), *g.gradients.values())}
    helpers = [node for node in g if node.gradient_of is not None and node.id not in true]
    assert helpers
    assert not any(node in overlay.values for node in helpers)
    forward = {node for node in overlay.values if node.gradient_of is None}
    assert w in forward
    assert all(overlay.values[node] == overlay.values[g.passed_back[node.id]] for node in forward - {w})
    weights = [weight for weight, _ in overlay.values.values()]
    assert (min(weights), max(weights)) == (0.0, 1.0)
    assert f"norm {survey.values[dw].norm:.2g}" in g.to_dot(color_by=overlay)


def test_bad_numbers_are_followed_from_their_origin(backend):
    g, x, w, cost, dw = recurrent([0.0, 0.0, 0.0])
    survey = machine_of(g, backend).survey()
    overlay = gf.viz.nan_overlay(survey)
    weights = {node: weight for node, (weight, _) in overlay.values.items()}
    assert weights[survey.nan.node] == ORIGIN
    assert weights[dw] == ON_THE_PATH
    assert {weights[node] for node in (x, w, cost)} == {0.0}
    assert set(weights) == {node for node in g if not node.is_constant}
    assert {node for node, weight in weights.items() if weight} == set(survey.bad)
    assert ELSEWHERE in weights.values()
    for one, other in zip(survey.nan.path, survey.nan.path[1:], strict=False):
        assert any(operand is one for operand in other.inputs)
    assert "comes from here" in g.to_dot(color_by=overlay)


def test_a_finite_run_is_white(backend):
    g, *_ = recurrent([0.1, 0.2, 0.3])
    survey = machine_of(g, backend).survey()
    assert (survey.nan, survey.bad) == (None, ())
    assert {weight for weight, _ in gf.viz.nan_overlay(survey).values.values()} == {0.0}
    assert repr(survey) == f"<Survey of {len(survey.values)} nodes, 0 of them bad>"


@pytest.mark.parametrize("seed", range(5))
def test_a_survey_has_the_values_of_the_run(backend, seed):
    """Those of a machine that keeps everything, where both compute the same."""
    case = random_graph(seed, 12)
    machine = gf.TapeMachine(case.graph, backend=backend, seed=1, keep="all")
    machine.run_all()
    survey = machine.survey()
    for node, found in survey.values.items():
        value = node.value
        finite = value[np.isfinite(value)].astype(float)
        assert found.type == node.type
        if finite.size and found.is_finite:
            assert found.least == pytest.approx(finite.min(), rel=1e-4, abs=1e-4)
            assert found.largest == pytest.approx(finite.max(), rel=1e-4, abs=1e-4)


def test_graphs_without_anything(backend):
    g = gf.ExprGraph()
    gf.scalar(g, name="x", value=1.0)
    machine = machine_of(g, backend)
    assert gf.viz.time_overlay(machine.profile(runs=1)).values == {}
    assert gf.viz.gradient_overlay(machine.survey()).values == {}
    assert gf.viz.nan_overlay(machine.survey()).values == {}
    assert gf.viz.memory_overlay(machine.program).values == {}


@pytest.mark.parametrize("name", ["time_overlay", "memory_overlay", "gradient_overlay", "nan_overlay"])
def test_the_machine_itself_is_no_measurement(name):
    machine = gf.TapeMachine(gf.ExprGraph())
    with pytest.raises(gf.OptionError, match=rf"{name}: this is no [^$]*try     {name}\(vm\."):
        getattr(gf.viz, name)(machine)


def test_sizes():
    assert [size(count) for count in (0, 12, 1023, 1024, 1536, 3 * 2**20, 2**34)] == [
        "0 B", "12 B", "1023 B", "1 KiB", "1.5 KiB", "3 MiB", "16 GiB",
    ]  # fmt: skip
