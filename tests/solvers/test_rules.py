"""Rules by numpy and by machine code: the same numbers, bit for bit, whatever changes between steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.backends.llvm import native, updates
from graphflow.backends.llvm.lengths import NativeLength
from graphflow.solvers import rules
from graphflow.solvers.gradients import length
from tests.backends.llvm.test_kernels_by_width import host_of_width
from tests.solvers.situations import (
    DRAWN,
    Situation,
    kinds_with_options,
    random_gradients,
    random_weights,
    solving_on,
)

RULES = ("VanillaSolver", "MomentumSolver", "RMSPropSolver", "AdamSolver", "AdamWSolver", "AdaGradSolver")
EVERYTHING = {"l1_reg": 1e-3, "l2_reg": 1e-3, "clip": 0.5, "batch_size": 3, "clip_norm": 2.0}
# Together no multiple of any number of lanes.
SHAPES = [(7,), (3, 11), (), (5, 2)]
SIZE = 51


def everything(kind):
    """All the options of a solver that have a place in its rule."""
    return {name: value for name, value in EVERYTHING.items() if hasattr(getattr(gf, kind), name)}


def trajectory(solver, dtype, gradients, weights):
    """The weights after each step, and what the solver remembers at the end."""
    situation = Situation(SHAPES, dtype, values=weights)
    found = []
    for gradient in gradients:
        situation.give(gradient)
        solver.step(situation.nodes)
        found.append(situation.values())
    return np.array(found), solver.state_dict()["state"]


def assert_same_on_both(kind, options, dtype, gradients, weights):
    results = []
    for backend in ("numpy", "native"):
        with solving_on(backend):
            results.append(trajectory(getattr(gf, kind)(**options), dtype, gradients, weights))
    (by_numpy, first), (by_machine_code, second) = results
    np.testing.assert_array_equal(by_numpy, by_machine_code)
    for name, state in first.items():
        for key, value in state.items():
            np.testing.assert_array_equal(value, second[name][key], err_msg=f"{key} of {name}")


@settings(max_examples=60)
@given(kinds_with_options(), st.integers(0, 2**32), st.sampled_from(["float32", "float64"]))
def test_fifty_steps_are_the_same_to_the_last_bit(drawn, seed, dtype):
    kind, options = drawn
    assert_same_on_both(kind, options, dtype, random_gradients(seed, 50, SIZE), random_weights(seed, SIZE))


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [64, 32, 16])
def test_every_vector_width(kind, dtype, width, monkeypatch):
    host = host_of_width(width)
    monkeypatch.setattr(native, "this_host", lambda: host)
    for options in ({}, everything(kind)):
        assert_same_on_both(kind, options, dtype, random_gradients(1, 20, SIZE), random_weights(1, SIZE))


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_at_the_edge(kind, dtype):
    info = np.finfo(dtype)
    edges = [0.0, -0.0, np.nan, np.inf, -np.inf, info.max, -info.max, info.tiny, info.smallest_subnormal, 0.5, -0.5]
    pairs = np.array([(w, g) for w in edges for g in edges])
    weights = np.resize(pairs[:, 0], SIZE * 3).reshape(3, SIZE)
    gradients = np.resize(pairs[:, 1], SIZE * 3).reshape(3, SIZE)
    for options in ({}, everything(kind) | {"clip_norm": None}, {"clip": 1e300}):
        for weight, gradient in zip(weights, gradients, strict=True):
            assert_same_on_both(kind, options, dtype, [gradient] * 3, weight)


@pytest.fixture
def compiled(monkeypatch):
    """The hosts that code was made for, one entry for each time."""
    made = []
    code = updates.MachineCode
    updates.native_update.cache_clear()
    monkeypatch.setattr(updates, "MachineCode", lambda text, host: made.append(host) or code(text, host))
    return made


@pytest.mark.parametrize("kind", RULES)
def test_other_rates_need_no_other_code(kind, compiled):
    options = everything(kind)
    pairs = [
        (getattr(gf, kind)(**options), Situation(SHAPES, values=random_weights(2, SIZE)), backend)
        for backend in ("native", "numpy")
    ]
    generator = np.random.default_rng(0)
    names = [name for name in pairs[0][0].state_dict()["options"] if name in DRAWN and name != "batch_size"]
    for number, gradient in enumerate(random_gradients(2, 12, SIZE)):
        rates = {name: float(generator.uniform(1e-4, 0.9)) for name in names} | {"batch_size": number + 2}
        for solver, situation, backend in pairs:
            for name, rate in rates.items():
                setattr(solver, name, rate)
            situation.give(gradient)
            with solving_on(backend):
                solver.step(situation.nodes)
        np.testing.assert_array_equal(pairs[0][1].values(), pairs[1][1].values())
    assert len(compiled) == 1
    with solving_on("native"):
        # Two solvers share their code; a part of the rule that is switched off is another rule.
        trajectory(getattr(gf, kind)(**options), "float64", random_gradients(2, 2, SIZE), random_weights(2, SIZE))
        assert len(compiled) == 1
        solver, situation, _ = pairs[0]
        solver.clip = None
        solver.step(situation.nodes)
        assert len(compiled) == 2


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("backends", [("native", "native"), ("native", "numpy"), ("numpy", "native")])
def test_a_resumed_solver_goes_on_bit_by_bit_on_either_backend(kind, backends):
    options = everything(kind)
    gradients, weights = random_gradients(4, 20, SIZE), random_weights(4, SIZE)
    with solving_on("native"):
        whole, _ = trajectory(getattr(gf, kind)(**options), "float32", gradients, weights)
    with solving_on(backends[0]):
        solver = getattr(gf, kind)(**options)
        first, _ = trajectory(solver, "float32", gradients[:9], weights)
    with solving_on(backends[1]):
        resumed = getattr(gf, kind)()
        resumed.load_state_dict(solver.state_dict())
        rest, _ = trajectory(resumed, "float32", gradients[9:], first[-1])
    np.testing.assert_array_equal(np.concatenate([first, rest]), whole)


def test_parameters_of_two_dtypes_and_counts_in_one_step():
    def trained():
        g = gf.ExprGraph()
        x = gf.vector(g, 5, name="x", value=np.arange(5.0))
        y = gf.vector(g, 3, name="y", dtype="float64", value=[4.0, 5.0, 6.0])
        z = gf.vector(g, 3, name="z", dtype="float64", value=[1.0, 2.0, 3.0])
        gf.grad(gf.sum(gf.cast(x * x, "float64")) + gf.sum(y * z), x, y, z)
        machine = gf.TapeMachine(g, backend="numpy")
        solver = gf.AdamSolver(learn_rate=0.1, clip_norm=1.0)
        for nodes in ([x, y], [z], [x, y, z], [z, x]):
            machine.run_all()
            solver.step(nodes)
        return [node.value for node in (x, y, z)]

    results = []
    for backend in ("numpy", "native"):
        with solving_on(backend):
            results.append(trained())
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


class Powers(rules.RuleSolver):
    """w - learn_rate * g ** 3: numpy has the power, machine code has not."""

    def coefficients(self, step):
        return {"learn_rate": self.learn_rate}

    def rule(self, weights, gradients, state, coefficients):
        return weights - gradients**3 * coefficients["learn_rate"], {}


def test_a_rule_that_machine_code_cannot_run_is_left_to_numpy():
    for backend in ("numpy", "native"):
        with solving_on(backend):
            situation = Situation([(3,)], values=[1.0, 2.0, 3.0])
            situation.give([1.0, -2.0, 0.5])
            Powers(learn_rate=0.5, clip_norm=100.0).step(situation.nodes)
            np.testing.assert_array_equal(situation.values(), [0.5, 6.0, 2.9375])


def test_solvers_take_the_backend_that_machines_take():
    situation = Situation([(3,)], values=[1.0, 2.0, 3.0])
    solver = gf.AdamSolver()
    solver.step(situation.nodes)
    is_native = gf.TapeMachine(situation.graph).backend == "native"
    assert (len(solver._machine_code), len(solver._numpy_updates)) == (int(is_native), int(not is_native))
    with solving_on("numpy"):
        solver = gf.AdamSolver()
        solver.step(situation.nodes)
    assert (len(solver._machine_code), len(solver._numpy_updates)) == (0, 1)


@pytest.mark.parametrize("width", [64, 32, 16])
@pytest.mark.parametrize("sizes", [[0], [1], [31, 1], [32], [33], [8192, 7], [8193], [20_000, 3, 17]])
def test_lengths_are_the_same_by_numpy_and_machine_code(sizes, width):
    generator = np.random.default_rng(width)
    scales = 10.0 ** generator.uniform(-20, 19, len(sizes))
    arrays = [(generator.normal(size=size) * scale).astype("f4") for size, scale in zip(sizes, scales, strict=True)]
    found = math.sqrt(NativeLength(arrays, host_of_width(width)).squares())
    assert found == length([(each, each.copy()) for each in arrays])
    assert found == pytest.approx(np.linalg.norm(np.concatenate(arrays).astype("f8")), rel=1e-12)


@pytest.mark.parametrize("kind", RULES)
def test_steady_is_what_gives_the_same_numbers_in_each_step(kind):
    solver = getattr(gf, kind)(**everything(kind))
    assert solver.is_steady == all(solver.coefficients(step) == solver.coefficients(1) for step in (2, 3, 1000))
