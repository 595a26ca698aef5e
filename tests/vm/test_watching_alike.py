"""What is seen on the native tape is what is seen on numpy's: steps, traces, watched values, the first bad number."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing import random_graph, random_network
from graphflow.testing.agreement import available_backends
from graphflow.testing.closeness import GRAPH, difference

NUMBER = re.compile(r"-?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)")
SEEDS = range(12)


def here():
    """The line of the caller."""
    return inspect.currentframe().f_back.f_lineno


def made(seed):
    return random_network(seed, 4) if seed % 3 == 2 else random_graph(seed, 8 + seed)


def on_each_backend(case, **options):
    return [gf.TapeMachine(case.graph, backend=backend, seed=1, **options) for backend in available_backends()]


def assert_alike(found, expected, what):
    tolerance = GRAPH.get(expected.dtype, 0.0)
    wrong = difference(found, expected, tolerance)
    assert wrong is None, f"{what} {wrong}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("keep", [(), "all"])
def test_each_step_does_the_same(seed, keep):
    """Instruction by instruction, also where several nodes are one loop; then once more from the beginning."""
    case = made(seed)
    first, *others = on_each_backend(case, keep=keep)
    for other in others:
        assert str(other.program) == str(first.program)
        for _ in range(len(first.program) + 3):
            steps = [machine.step() for machine in (first, other)]
            assert (steps[0] is None) == (steps[1] is None)
            if steps[0] is not None:
                values = [m._executable.array(step.output) for m, step in zip((first, other), steps, strict=True)]
                assert steps[0].node is steps[1].node
                assert_alike(values[1], values[0], f"{made.__name__}({seed}), {steps[0]}")


def seen(case, **options):
    """The lines that a machine of each backend writes in two runs."""
    found = []
    for backend in available_backends():
        lines = []
        machine = gf.TapeMachine(case.graph, backend=backend, seed=1, logger=lines.append, **options)
        for _ in range(2):
            machine.run_all()
        found.append(lines)
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("is_traced", [True, False])
def test_traces_and_logs_are_alike(seed, is_traced):
    case = made(seed)
    first, *others = seen(case, trace=is_traced)
    assert first
    for lines in others:
        assert_same_lines(lines, first)


@pytest.mark.parametrize("seed", SEEDS)
def test_watched_values_are_alike(seed):
    """Every third node, whatever the compiler has made of it."""
    case = made(seed)
    first, *others = seen(case, watch=[*case.graph.nodes[seed % 3 :: 3]])
    assert first
    for lines in others:
        assert_same_lines(lines, first)


def assert_same_lines(found, expected):
    """Words are equal, numbers nearly so."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        (words, text), (expected_words, expected_text) = ((line.rpartition("= ")[::2]) for line in (one, other))
        assert words == expected_words
        numbers, expected_numbers = ([float(each) for each in NUMBER.findall(part)] for part in (text, expected_text))
        size = max([1.0, *(abs(each) for each in expected_numbers if np.isfinite(each))])
        np.testing.assert_allclose(numbers, expected_numbers, rtol=0, atol=2e-3 * size, err_msg=one)


# --- the first bad number ---------------------------------------------------------------------------------------------


def what_is_bad(case, backend, **watches):
    """The node, the instruction and the lines that an error names; None if there is none."""
    machine = gf.TapeMachine(case.graph, backend=backend, seed=1, **watches)
    try:
        machine.run_all()
    except gf.NumericalError as error:
        number = re.search(r"computed by instruction (\d+)", str(error))
        # With everything kept, what it has read is still there.
        if number is not None and watches.get("keep") == "all":
            require_good_inputs(machine, int(number[1]), "NaN" if "watch_nan" in watches else "infinity")
        return str(error).splitlines()[0], str(error.where)
    return None


def require_good_inputs(machine, number, kind):
    """What the named instruction has read is free of what it is blamed for."""
    is_bad = np.isnan if kind == "NaN" else np.isinf
    for operand in machine.program.instructions[number].inputs:
        array = machine._executable.array(operand)
        assert array.dtype.kind != "f" or not is_bad(array).any()


def poisoned(seed, sizes):
    """A graph, some of its inputs' numbers multiplied by these."""
    case = made(seed)
    generator = np.random.default_rng(seed)
    for node in case.inputs:
        if node.dtype in {gf.float32, gf.float64}:
            with np.errstate(invalid="ignore"):
                gf.let(
                    node, np.nan_to_num(node.value * generator.choice(sizes, node.shape), posinf=np.inf, neginf=-np.inf)
                )
    return case


@pytest.mark.parametrize("keep", [(), "all"])
def test_the_first_nan_is_laid_at_the_same_door(keep):
    """Infinite inputs: somewhere one is multiplied by zero or taken from another."""
    found = []
    for seed in range(24):
        case = poisoned(seed, [1.0, 1.0, 1.0, np.inf, 0.0])
        culprits = {what_is_bad(case, backend, keep=keep, watch_nan=True) for backend in available_backends()}
        assert len(culprits) == 1, (seed, culprits)
        found += culprits
    assert sum(each is not None for each in found) >= 12


@pytest.mark.parametrize("keep", [(), "all"])
def test_the_first_infinity_is_laid_at_the_same_door(keep):
    """Inputs far too large for what the graph does with them."""
    found = []
    for seed in range(24):
        case = poisoned(seed, [1.0, 1e30, 0.0])
        culprits = {what_is_bad(case, backend, keep=keep, watch_inf=True) for backend in available_backends()}
        # Whether products that overflow cancel in a sum depends on its order, and on rounding between the two.
        if not any(each is not None and "contract" in each[0] for each in culprits):
            assert len(culprits) == 1, (seed, culprits)
            found += culprits
    assert sum(each is not None for each in found) >= 4


def test_inside_a_fused_loop_the_line_that_is_to_blame_is_named(backend):
    """Four nodes are one loop; watched, each is looked at by itself."""
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, -1.0, 2.0])
    scaled = x * 3.0
    bad = gf.log(scaled)
    line = here() - 1
    gf.tanh(bad + 1.0)
    assert len(gf.TapeMachine(g, backend=backend).program) == 1
    with pytest.raises(gf.NumericalError) as caught:
        gf.TapeMachine(g, backend=backend, watch_nan=True).run_all()
    assert str(caught.value).startswith(f"NaN in {bad}, computed by instruction 1: map log(x)")
    assert str(caught.value.where) == f"test_watching_alike.py:{line}"


def test_what_a_loop_has_read_is_told_though_its_result_took_the_place(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, -1.0, 2.0])
    bad = gf.log(x * 3.0)
    gf.tanh(bad)
    machine = gf.TapeMachine(g, backend=backend, watch_nan=True)
    first, second = machine.program.instructions[:2]
    assert first.output.place == second.output.place
    with pytest.raises(gf.NumericalError, match=r"  inputs  %2: float32\[3\] -3 to 6, mean 2"):
        machine.run_all()


def test_bad_numbers_among_what_was_read_are_counted(backend):
    """A constant is looked at by nobody before it is used."""
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, 2.0, 3.0])
    gf.tanh(x + np.array([1.0, np.nan, np.inf], np.float32))
    with pytest.raises(
        gf.NumericalError, match=r"x: float32\[3\] 1 to 3, mean 2; %1: float32\[3\] 1, 1 NaN, 1 infinite"
    ):
        gf.TapeMachine(g, backend=backend, watch_nan=True).run_all()


def test_in_a_gradient_of_an_unrolled_network_the_step_is_named(backend):
    """sqrt has an infinite slope at 0; of five steps one is there, and gradients are added up into one weight."""
    g = gf.ExprGraph()
    w = gf.vector(g, 5, name="w", value=[1.0, 2.0, 0.0, 3.0, 4.0])
    total = None
    for t in range(5):
        with g.step(t):
            root = gf.sqrt(w[t])
            line = here() - 1
            root.name = f"root{t}"
            total = root if total is None else total + root
    gf.grad(total, w)
    with pytest.raises(gf.NumericalError) as caught:
        gf.TapeMachine(g, backend=backend, watch_inf=True).run_all()
    assert f"in the gradient of root2: float32[] made at test_watching_alike.py:{line}" in str(caught.value)


def test_the_row_of_a_table_is_named_too(backend):
    g = gf.ExprGraph()
    table = gf.vector(g, 4, name="table", value=[1.0, 2.0, -1.0, 3.0])
    row = table[0]
    bad = gf.log(row)
    gf.grad(bad * bad, table)
    machine = gf.TapeMachine(g, backend=backend, watch_nan=True)
    with pytest.raises(gf.NumericalError) as caught:
        machine.run_over((row,), [[0], [1], [2], [3]])
    assert str(caught.value).startswith(f"NaN in {bad}")
    assert caught.value.__notes__ == ["run_over: in row 2 of 4; the rows before it are done"]
