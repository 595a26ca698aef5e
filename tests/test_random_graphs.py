"""Random graphs: compiled machines against the LispMachine, memory, determinism, rebinding."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from graphflow.autodiff import grad
from graphflow.backends import storage_of
from graphflow.backends.choice import choose_backend
from graphflow.binding import let
from graphflow.testing import assert_backends_agree, random_graph, random_network
from graphflow.testing.agreement import available_backends
from graphflow.testing.closeness import GRAPH, difference
from graphflow.vm import LispMachine, TapeMachine
from graphflow.vm.compiling import compile_request, request_of
from tests.architecture.source import ROOT
from tests.soak import random_graphs as soak
from tests.soak.long_runs import rebind_often


def blocks(start, stop, size):
    """A few seeds for each test, so that workers share them out evenly."""
    return [pytest.param(range(first, first + size), id=f"from-{first}") for first in range(start, stop, size)]


def case_of(seed):
    """Mostly small graphs, which are quick, and easy to understand when they fail; some larger ones."""
    return random_graph(seed, 50 if seed % 10 == 0 else 12 + seed % 14)


def tolerance_for(case):
    return GRAPH[np.dtype("float32") if any(node.dtype == "float32" for node in case.inputs) else np.dtype("float64")]


def assert_same(case, found, expected):
    assert found.keys() == expected.keys()
    for number, value in expected.items():
        wrong = difference(found[number], value, tolerance_for(case))
        assert wrong is None, f"graph {case.seed}: {case.graph[number]} {wrong}"


@pytest.mark.parametrize("block", blocks(0, 300, 15))
def test_native_tape_numpy_tape_and_lisp_machine_agree(block):
    """Three rounds each, with new inputs and slice positions; gradients included. Every third is a network."""
    for seed in block:
        case = random_network(seed, 3 + seed % 4) if seed % 3 == 2 else random_graph(seed, 8 + seed % 13)
        keep = "all" if seed % 5 == 0 else ()
        assert_backends_agree(case.graph, 3, available_backends(), seed=seed, rebind=case.rebind, keep=keep)


@pytest.mark.parametrize("block", blocks(300, 340, 10))
def test_larger_graphs_agree(block):
    for seed in block:
        case = random_graph(seed, 30 + seed % 20)
        assert_backends_agree(case.graph, 3, ["numpy"], seed=seed, rebind=case.rebind)


def slope(case, wrt, direction, step=1e-6):
    """The central difference of the cost along a direction, by the LispMachine."""
    sides = []
    values = [node.value for node in wrt]
    for sign in (1, -1):
        for node, value, part in zip(wrt, values, direction, strict=True):
            let(node, value + sign * step * part)
        LispMachine(case.graph.subgraph(case.cost)).run_all()
        sides.append(float(case.cost.value))
    for node, value in zip(wrt, values, strict=True):
        let(node, value)
    return (sides[0] - sides[1]) / (2 * step)


@pytest.mark.parametrize("block", blocks(340, 400, 15))
def test_gradients_are_the_slopes_of_the_cost(block):
    tried = 0
    for seed in block:
        case = random_graph(seed, 20)
        wrt = [node for node in dict.fromkeys(case.wrt) if node.is_input and node.dtype == "float64"]
        if wrt and len(wrt) == len([node for node in dict.fromkeys(case.wrt) if node.is_input]):
            tried += 1
            gradients = grad(case.cost, *wrt)
            TapeMachine(case.graph, outputs=gradients, backend="numpy").run_all()
            generator = np.random.default_rng(seed)
            direction = [generator.normal(size=node.shape) for node in wrt]
            found = sum(float((dx.value * part).sum()) for dx, part in zip(gradients, direction, strict=True))
            scale = max(1.0, sum(float(np.abs(dx.value).sum()) for dx in gradients))
            assert abs(slope(case, wrt, direction) - found) < 1e-6 * scale, seed
    assert tried > len(block) // 3


# --- memory -----------------------------------------------------------------------------------------------------------


def compiled(case, backend="numpy"):
    program = compile_request(request_of(case.graph))
    storage = storage_of(program, case.graph.positions, 0, {})
    return program, choose_backend(backend)[0].compile(program, storage)


def run(executable):
    with np.errstate(all="ignore"):
        executable.run(1)


def arena_of(program, executable):
    """The bytes that the instructions share; None where a program needs none."""
    for instruction in program:
        if instruction.output.place.kind == "arena" and instruction.output.type.size:
            array = executable.array(instruction.output)
            while array.dtype != np.uint8:
                array = array.base
            return array
    return None


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("block", blocks(500, 540, 20))
def test_nothing_is_read_before_it_is_written(block, backend):
    """The arena is filled with NaN (all bits set), then with zeros, before a run: what was there must not matter."""
    filled = 0
    for seed in block:
        case = case_of(seed)
        program, executable = compiled(case, backend)
        found = []
        for byte in (0xFF, 0x00):
            arena = arena_of(program, executable)
            if arena is not None:
                arena.fill(byte)
                filled += 1
            run(executable)
            found.append({number: executable.array(each).tobytes() for number, each in program.results.items()})
        assert found[0] == found[1], seed
    # Not one graph was without memory to fill.
    assert filled > len(block)


def fingerprint(case, program):
    digest = hashlib.sha256(case.graph.positions.cells.tobytes())
    for value in (*(node.value for node in case.inputs), *program.constants.values()):
        digest.update(value.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("backend", available_backends())
def test_no_run_changes_its_inputs_and_constants(backend):
    for seed in range(560, 580):
        case = case_of(seed)
        program, executable = compiled(case, backend)
        before = fingerprint(case, program)
        run(executable)
        assert fingerprint(case, program) == before


def test_no_later_instruction_writes_into_a_kept_value():
    pairs = 0
    for seed in range(600, 625):
        case = case_of(seed)
        program, executable = compiled(case)
        outputs = [executable.array(instruction.output) for instruction in program]
        for node, operand in program.results.items():
            kept = executable.array(operand)
            for number, output in enumerate(outputs):
                if number > program.computed_at[node]:
                    pairs += 1
                    assert not np.may_share_memory(kept, output) or not np.shares_memory(kept, output), (seed, node)
    assert pairs > 1000


# --- determinism ------------------------------------------------------------------------------------------------------


def values_of(machine, case):
    return b"".join(case.graph[number].value.tobytes() for number in sorted(machine.program.results))


def digest_of_runs(seeds, backend):
    """A fingerprint of some graphs: their programs, and everything that can be read in two runs."""
    digest = hashlib.sha256()
    for seed in seeds:
        case = random_network(seed, 5) if seed % 3 == 2 else random_graph(seed, 20)
        machine = TapeMachine(case.graph, backend=backend, seed=seed)
        for _ in range(2):
            machine.run_all()
            digest.update(values_of(machine, case))
        digest.update(str(machine.program).encode())
    return digest.hexdigest()


@pytest.mark.parametrize("backend", available_backends())
def test_a_hundred_runs_are_bit_identical(backend):
    """By four machines; and by steps, which are not another program."""
    for seed in range(700, 704):
        case = random_network(seed, 5) if seed % 2 else random_graph(seed, 20)
        found = set()
        for _ in range(4):
            machine = TapeMachine(case.graph, backend=backend)
            for _ in range(25):
                machine.runs = 0
                machine.run_all()
                found.add(values_of(machine, case))
            machine.runs = 0
            while machine.step() is not None:
                pass
            found.add(values_of(machine, case))
        assert len(found) == 1


@pytest.mark.parametrize("backend", available_backends())
def test_two_processes_agree_to_the_bit(backend):
    """The fingerprint covers the printed programs too, so nothing depends on addresses or on the order of sets."""
    program = (
        f"from tests.test_random_graphs import digest_of_runs; print(digest_of_runs(range(710, 716), {backend!r}))"
    )
    found = set()
    for hash_seed in ("1", "2"):
        # Machine code is made anew in each: what comes from the cache on disk is the same by nature.
        others = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT), "GRAPHFLOW_CACHE": "0"}
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, **others},
            check=True,
            capture_output=True,
            text=True,
        )
        found.add(result.stdout)
    assert len(found) == 1


def skeleton(case):
    return [(node.op, node.type, node.name, node.step, tuple(x.id for x in node.inputs)) for node in case.graph]


def test_a_seed_stands_for_one_graph():
    assert skeleton(random_graph(3, 30)) == skeleton(random_graph(3, 30))
    assert skeleton(random_graph(3, 30)) != skeleton(random_graph(4, 30))
    assert skeleton(random_graph(3, 30)) != skeleton(random_graph(3, 31))


# --- rebinding --------------------------------------------------------------------------------------------------------


def test_rebindings_between_runs():
    """2,000 rebindings, followed by forward and gradient; what is out of range is refused and changes nothing."""
    done, refused, problems = rebind_often(2000, available_backends(), first=800)
    assert problems == []
    assert done >= 2000
    assert refused > 100


# --- the command that tries many --------------------------------------------------------------------------------------


def test_the_command_tries_graphs_and_says_so(capsys):
    assert soak.main(["--graphs", "4", "--first", "5", "--backend", "numpy"]) == 0
    assert capsys.readouterr().out == "4 graphs from seed 5, 0 problems\n"


def test_the_command_names_the_graph_that_fails(capsys, monkeypatch):
    def disagree(graph, *arguments, seed, **options):
        if seed == 6:
            raise AssertionError("they differ")

    monkeypatch.setattr(soak, "assert_backends_agree", disagree)
    assert soak.main(["--graphs", "3", "--first", "5"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == "random_graph(seed=6, size=11): they differ"
    assert last == "3 graphs from seed 5, 1 problems"
