"""A solver's state saved and loaded: the resumed run is bit for bit the one that was never stopped."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from tests.solvers.situations import SOLVERS, Situation, kinds_with_options, random_gradients, random_weights

SHAPES = [(), (3,), (2, 2), (1, 2)]
SIZE = 10
STATEFUL = [kind for kind in SOLVERS if kind != "VanillaSolver"]


def walk(solver, situation, gradients):
    for gradient in gradients:
        situation.give(gradient)
        solver.step(situation.nodes)


def same(a, b):
    """Whether two states are equal, arrays bit for bit."""
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b


@given(
    kinds_with_options(),
    st.sampled_from(["float32", "float64"]),
    st.integers(0, 10),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_a_resumed_run_is_the_same_bit_for_bit(drawn, dtype, stop, other_options, used_before, seed):
    kind, options = drawn
    gradients = random_gradients(seed, 20, SIZE).astype(dtype)
    whole = Situation(SHAPES, dtype, values=random_weights(seed, SIZE))
    solver = getattr(gf, kind)(**options)
    walk(solver, whole, gradients[:stop])
    saved, weights = solver.state_dict(), whole.values()
    solver.learn_rate = saved["options"]["learn_rate"]
    walk(solver, whole, gradients[stop:])

    resumed = Situation(SHAPES, dtype, values=weights)
    second = getattr(gf, kind)(**({} if other_options else options))
    if used_before:
        walk(second, resumed, gradients[5:8])
        resumed.bind(weights)
    second.load_state_dict(saved)
    assert same(second.state_dict(), saved)
    walk(second, resumed, gradients[stop:])
    assert resumed.values().tobytes() == whole.values().tobytes()
    assert same(second.state_dict(), solver.state_dict())


@pytest.mark.parametrize("kind", SOLVERS)
def test_the_state_goes_through_a_checkpoint(kind, tmp_path):
    gradients = random_gradients(1, 8, SIZE).astype("float32")
    whole = Situation(SHAPES, "float32", values=random_weights(1, SIZE))
    solver = getattr(gf, kind)(learn_rate=0.03)
    walk(solver, whole, gradients[:4])
    gf.save_checkpoint(tmp_path / "run.json", whole.nodes, solver=solver)
    walk(solver, whole, gradients[4:])

    resumed, second = Situation(SHAPES, "float32"), getattr(gf, kind)()
    gf.load_checkpoint(tmp_path / "run.json").restore(resumed.nodes, second)
    walk(second, resumed, gradients[4:])
    assert resumed.values().tobytes() == whole.values().tobytes()


def test_the_form_of_a_state():
    situation = Situation([(), (2,)], "float32")
    situation.give([1.0, 2.0, 3.0])
    solver = gf.MomentumSolver(learn_rate=1.0, momentum=0.5)
    solver.step(situation.nodes)
    state = solver.state_dict()
    assert list(state) == ["solver", "options", "step", "state"]
    assert (state["solver"], state["step"]) == ("MomentumSolver", 1)
    assert state["options"] == {
        "learn_rate": 1.0,
        "momentum": 0.5,
        "l1_reg": 0.0,
        "l2_reg": 0.0,
        "clip": None,
        "batch_size": 1,
        "clip_norm": None,
    }
    assert [(name, list(each)) for name, each in state["state"].items()] == [
        ("w0", ["step", "velocity"]),
        ("w1", ["step", "velocity"]),
    ]
    assert state["state"]["w0"]["velocity"].shape == ()
    np.testing.assert_array_equal(state["state"]["w1"]["velocity"], np.float32([-2.0, -3.0]))


def test_a_state_is_a_copy_both_ways():
    situation = Situation([(2,)])
    situation.give([1.0, 1.0])
    solver = gf.MomentumSolver()
    solver.step(situation.nodes)
    state = solver.state_dict()
    kept = copy.deepcopy(state)
    solver.step(situation.nodes)
    assert same(state, kept)
    solver.load_state_dict(state)
    state["state"]["w0"]["velocity"][...] = 7.0
    assert same(solver.state_dict(), kept)


def test_the_learn_rate_of_a_schedule_is_part_of_the_state():
    solver = gf.AdamSolver()
    solver.learn_rate = 0.123
    second = gf.AdamSolver()
    second.load_state_dict(solver.state_dict())
    assert second.learn_rate == 0.123


def test_parameters_may_come_back_one_after_the_other():
    gradients = random_gradients(2, 6, SIZE)
    whole = Situation(SHAPES, values=random_weights(2, SIZE))
    solver = gf.AdamSolver()
    walk(solver, whole, gradients[:3])
    state = solver.state_dict()
    second = gf.AdamSolver()
    second.load_state_dict(state)
    resumed = Situation(SHAPES, values=whole.values())
    for situation, each in ((whole, solver), (resumed, second)):
        situation.give(gradients[3])
        each.step(situation.nodes[2:])
        assert set(each.state_dict()["state"]) == {"w0", "w1", "w2", "w3"}
        each.step(situation.nodes[:2])
        walk(each, situation, gradients[4:])
    assert resumed.values().tobytes() == whole.values().tobytes()
    assert resumed.block.values.tobytes() == whole.block.values.tobytes()


def test_a_parameter_that_joins_later_starts_afresh():
    situation = Situation([(), ()], values=[1.0, 1.0])
    situation.give([0.5, 0.5])
    solver = gf.AdamSolver(learn_rate=0.25)
    solver.step(situation.nodes[:1])
    second = gf.AdamSolver()
    second.load_state_dict(solver.state_dict())
    second.step(situation.nodes[:1])
    second.step(situation.nodes)
    np.testing.assert_allclose(situation.values(), [0.25, 0.75], rtol=1e-6)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_unnamed_parameters_have_no_state_to_save():
    situation = Situation([(), (2,)], names=False)
    solver = gf.AdamSolver()
    solver.step(situation.nodes)
    with pytest.raises(gf.CheckpointError, match="without a name") as error:
        solver.state_dict()
    assert error.value.hint == "name= when making it"


def test_parameters_of_one_name_have_no_state_to_save():
    g = gf.ExprGraph()
    w = [gf.scalar(g, name="w", value=1.0) for _ in range(2)]
    gf.grad(w[0] * w[1], *w)
    gf.TapeMachine(g).run_all()
    solver = gf.AdamSolver()
    solver.step(w)
    with pytest.raises(gf.CheckpointError, match="two parameters named 'w'"):
        solver.state_dict()


def state_of(kind="AdamSolver"):
    situation = Situation(SHAPES, values=np.ones(SIZE))
    situation.give(np.ones(SIZE))
    solver = getattr(gf, kind)(learn_rate=0.5)
    solver.step(situation.nodes)
    return solver.state_dict()


def changed(path, value):
    """A state with something else at one place; () means that the place is gone."""
    state = state_of()
    place = state
    for key in path[:-1]:
        place = place[key]
    if isinstance(value, tuple):
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return state


BAD_STATES = {
    "no dict": (None, "NoneType"),
    "a list": ([state_of()], "list"),
    "empty": ({}, "without"),
    "an unknown member": (changed(["more"], 1), "more"),
    "another solver": (state_of("RMSPropSolver"), "the state of 'RMSPropSolver'"),
    "no solver": (changed(["solver"], ()), "solver"),
    "solver of another kind": (changed(["solver"], ["AdamSolver"]), "AdamSolver"),
    "no options": (changed(["options"], ()), "options"),
    "options of another kind": (changed(["options"], [1]), "list"),
    "a missing option": (changed(["options", "beta1"], ()), "beta1"),
    "an unknown option": (changed(["options", "rho"], 0.9), "rho"),
    "an option out of range": (changed(["options", "beta1"], 1.5), "beta1=1.5"),
    "an option that is text": (changed(["options", "learn_rate"], "0.1"), "learn_rate='0.1'"),
    "a negative step": (changed(["step"], -1), "step -1"),
    "a step that is a bool": (changed(["step"], True), "step True"),
    "a fractional step": (changed(["step"], 1.5), "step 1.5"),
    "a huge step": (changed(["step"], 10**400), "step 1000"),
    "parameters of another kind": (changed(["state"], [1, 2]), r"\[1, 2\]"),
    "a name of another kind": (changed(["state", 3], {}), "names of parameters"),
    "no parameters after steps": (changed(["state"], {}), "no parameters after 1 steps"),
    "a parameter of another kind": (changed(["state", "w1"], 7), "w1"),
    "a missing moment": (changed(["state", "w1", "mean"], ()), "mean"),
    "an unknown moment": (changed(["state", "w1", "velocity"], np.ones(3)), "velocity"),
    "no step of a parameter": (changed(["state", "w1", "step"], ()), "step"),
    "a bad step of a parameter": (changed(["state", "w1", "step"], -2), "step of 'w1' -2"),
    "a moment that is a list": (changed(["state", "w1", "mean"], [1.0, 2.0, 3.0]), "mean of 'w1'"),
    "a moment of integers": (changed(["state", "w1", "mean"], np.ones(3, "int64")), "mean of 'w1'"),
}


@pytest.mark.parametrize("case", BAD_STATES)
def test_what_is_no_state_changes_nothing(case):
    state, match = BAD_STATES[case]
    situation = Situation(SHAPES, values=np.ones(SIZE))
    situation.give(np.ones(SIZE))
    solver = gf.AdamSolver(learn_rate=0.25)
    solver.step(situation.nodes)
    before = solver.state_dict()
    with pytest.raises(gf.CheckpointError, match=match):
        solver.load_state_dict(state)
    assert same(solver.state_dict(), before)


MISFITS = {
    "a missing parameter": (changed(["state", "w1"], ()), "nothing for w1: float64.3."),
    "another shape": (changed(["state", "w1", "mean"], np.ones(4)), "mean of w1 as float64.4. for w1: float64.3."),
    "another layout": (changed(["state", "w2", "mean"], np.ones(4)), "mean of w2 as float64.4. for w2: float64.2, 2."),
    "another dtype": (changed(["state", "w0", "mean"], np.ones((), "float32")), "mean of w0 as float32.. for w0"),
}


@pytest.mark.parametrize("case", MISFITS)
@pytest.mark.parametrize("is_used", [True, False])
def test_a_state_that_does_not_fit_is_refused_as_early_as_it_can_be_known(case, is_used):
    state, match = MISFITS[case]
    situation = Situation(SHAPES, values=np.ones(SIZE))
    situation.give(np.ones(SIZE))
    solver = gf.AdamSolver(learn_rate=0.0)
    if is_used:
        solver.step(situation.nodes)
        before = solver.state_dict()
        with pytest.raises(gf.CheckpointError, match=match):
            solver.load_state_dict(state)
    else:
        solver.load_state_dict(state)
        before = solver.state_dict()
        with pytest.raises(gf.CheckpointError, match=match):
            solver.step(situation.nodes)
        np.testing.assert_array_equal(situation.values(), np.ones(SIZE))
    assert same(solver.state_dict(), before)


def test_a_loaded_state_does_not_fit_unnamed_parameters():
    situation = Situation(SHAPES, names=False)
    solver = gf.AdamSolver()
    solver.load_state_dict(state_of())
    with pytest.raises(gf.CheckpointError, match="nothing for %0"):
        solver.step(situation.nodes)


def test_one_state_does_not_fit_two_parameters_of_its_name():
    g = gf.ExprGraph()
    w = [gf.scalar(g, name="w0", value=1.0, dtype="float64") for _ in range(2)]
    gf.grad(w[0] * w[1], *w)
    gf.TapeMachine(g).run_all()
    solver = gf.AdamSolver()
    solver.load_state_dict(state_of())
    with pytest.raises(gf.CheckpointError, match="nothing for w0"):
        solver.step(w)


def test_many_misfits_are_counted():
    situation = Situation([(7,)] * 9)
    solver = gf.AdamSolver()
    solver.load_state_dict(state_of())
    with pytest.raises(gf.CheckpointError, match="and 7 more"):
        solver.step(situation.nodes)


def test_a_state_saved_before_the_first_step_makes_a_used_solver_begin_again():
    situation = Situation([(2,)], values=[0.0, 0.0])
    situation.give([1.0, 1.0])
    solver = gf.MomentumSolver(learn_rate=1.0)
    fresh = solver.state_dict()
    solver.step(situation.nodes)
    solver.load_state_dict(fresh)
    assert same(solver.state_dict(), fresh)
    solver.step(situation.nodes)
    np.testing.assert_array_equal(situation.values(), [-2.0, -2.0])


def test_after_loading_a_solver_may_go_to_another_graph():
    solver = gf.AdamSolver()
    solver.step(Situation(SHAPES, values=np.ones(SIZE)).nodes)
    solver.load_state_dict(solver.state_dict())
    other = Situation(SHAPES, values=np.ones(SIZE))
    solver.step(other.nodes)
    assert solver.state_dict()["step"] == 2
