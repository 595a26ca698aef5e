"""Paranoid mode: it finds nothing in what is right, and whatever is planted in what is wrong."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends import Backend, Executable, storage_of
from graphflow.backends.choice import choose_backend
from graphflow.backends.paranoid import MARGIN, ParanoidBackend, bytes_of, dying_bytes
from graphflow.backends.reference import ReferenceBackend
from graphflow.errors import MachineError
from graphflow.passes.plan import Place
from graphflow.tape.program import Operand, Program
from graphflow.tensortype import TensorType
from graphflow.testing import assert_backends_agree, random_graph

BACKENDS = ("numpy", "native")


@pytest.fixture
def paranoid(monkeypatch):
    monkeypatch.setenv("GRAPHFLOW_PARANOID", "1")


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_touch_nothing_they_must_not(paranoid, seed):
    case = random_graph(seed=50_000 + seed, size=8 + seed % 24)
    assert_backends_agree(case.graph, rounds=2, backends=BACKENDS, seed=seed)


@pytest.mark.parametrize("value", ["", "0"])
def test_it_is_off_by_default(monkeypatch, value):
    monkeypatch.setenv("GRAPHFLOW_PARANOID", value)
    backend, choice = choose_backend("numpy")
    assert isinstance(backend, ReferenceBackend)
    assert "paranoid" not in choice.reason


@pytest.mark.parametrize("name", BACKENDS)
def test_a_machine_says_that_it_is_on(paranoid, name):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
    y = gf.sum(x * x)
    with gf.TapeMachine(g, backend=name) as vm:
        vm.run_all()
    assert vm.backend == name
    assert "paranoid" in vm.backend.reason
    assert y.value == 5.0


# --- what is planted --------------------------------------------------------------------------------------------------


class Faulty(Executable):
    """An executable that does damage after one of its instructions."""

    def __init__(self, inner, fault, at):
        self.inner, self.fault, self.at = inner, fault, at

    def run(self, number):
        raise AssertionError("paranoid mode steps")

    def step(self, position, number):
        self.inner.step(position, number)
        if position == self.at:
            self.fault(self.inner)

    def array(self, operand):
        return self.inner.array(operand)


class FaultyBackend(Backend):
    name = "faulty"

    def __init__(self, fault, at=0):
        self.fault, self.at = fault, at

    def compile(self, program, storage):
        return Faulty(ReferenceBackend().compile(program, storage), self.fault, self.at)


def small_program():
    """A product, a function and a sum over four numbers, with gradients; and the program's storage."""
    g = gf.ExprGraph()
    x = gf.vector(g, 4, name="x", value=[0.1, 0.2, 0.3, 0.4])
    w = gf.vector(g, 4, name="w", value=np.ones(4, np.float32))
    row = gf.constant(g, np.arange(8.0, dtype=np.float32).reshape(2, 4))[gf.S(1)]
    gf.grad(gf.sum(gf.tanh(x * w) * row), x, w)
    program = gf.compile_graph(g)
    return program, storage_of(program, g.positions, 0, g.overrides)


def arena_of(executable, size):
    """The arena of an executable, as bytes."""
    whole = Operand(TensorType(np.dtype(bool), (size,)), Place("arena", 0, 0, (1,), (size,)))
    return executable.array(whole).view(np.uint8)


def spoil_input(program, storage):
    def fault(_):
        next(iter(storage.inputs.values()))[2] += 1.0

    return fault


def spoil_constant(program, storage):
    def fault(_):
        # numpy refuses; machine code would not.
        ctypes.memset(next(iter(program.constants.values())).ctypes.data, 1, 1)

    return fault


def spoil_gradient(program, storage):
    def fault(_):
        # A gradient that was already written; the first instruction writes none.
        next(iter(storage.gradients.values()))[0] = 7.0

    return fault


def spoil_position(program, storage):
    def fault(_):
        storage.positions.cells[0] ^= 1

    return fault


def write_behind_the_arena(program, storage):
    def fault(executable):
        arena_of(executable, program.arena_bytes + MARGIN)[program.arena_bytes] = 1

    return fault


def write_beside_the_output(program, storage):
    def fault(executable):
        end = program.instructions[0].output.place.key + program.instructions[0].output.type.bytes
        arena_of(executable, program.arena_bytes + MARGIN)[end] ^= 1

    return fault


FAULTS = {
    "input": spoil_input,
    "constant": spoil_constant,
    "gradient": spoil_gradient,
    "positions": spoil_position,
    "behind arena": write_behind_the_arena,
    "arena": write_beside_the_output,
}


@pytest.mark.parametrize("what", FAULTS)
def test_damage_is_found_and_named(what):
    program, storage = small_program()
    assert program.instructions[0].output.place.kind == "arena"
    backend = ParanoidBackend(FaultyBackend(FAULTS[what](program, storage)))
    executable = backend.compile(program, storage)
    with pytest.raises(MachineError, match="instruction 0 changes memory beside its output") as caught:
        executable.run(1)
    assert f"bytes changed in {what.split()[-1]}[" in str(caught.value)
    assert executable.position == 1


def test_without_damage_there_is_nothing_to_find():
    program, storage = small_program()
    ParanoidBackend(FaultyBackend(lambda _: None)).compile(program, storage).run(1)


def test_damage_in_a_failing_instruction_is_found():
    """A machine that reports its own error must not have done harm before."""
    program, storage = small_program()
    spoil = spoil_input(program, storage)

    def fault(executable):
        spoil(executable)
        raise ZeroDivisionError

    executable = ParanoidBackend(FaultyBackend(fault)).compile(program, storage)
    with pytest.raises(MachineError, match="beside its output"):
        executable.run(1)


def test_instructions_in_the_wrong_order_are_refused():
    program, storage = small_program()
    backwards = replace(program, instructions=program.instructions[::-1])
    with pytest.raises(MachineError, match="reads memory that nothing has written"):
        ParanoidBackend(ReferenceBackend()).compile(backwards, storage)


def test_a_kept_value_that_is_overwritten_is_refused():
    g = gf.ExprGraph()
    x = gf.vector(g, 4, name="x", value=np.ones(4, np.float32))
    y = gf.exp(x)
    y.name = "y"
    z = gf.tanh(y)
    z.name = "z"
    program = gf.compile_graph(g)
    first, second = program.instructions
    in_place = second._replace(output=second.output._replace(place=first.output.place))
    wrong = Program(
        (first, in_place),
        program.arena_bytes,
        {},
        program.inputs,
        {y.id: first.output, z.id: in_place.output},
        {y.id: 0, z.id: 1},
    )
    with pytest.raises(MachineError, match="overwritten by instruction 1"):
        dying_bytes(wrong)
    assert len(dying_bytes(program)) == 2


def test_what_was_used_for_the_last_time_is_filled():
    """A chain through three buffers: the first is dead once the second is there."""
    g = gf.ExprGraph()
    x = gf.vector(g, 4, name="x", value=np.ones(4, np.float32))
    gf.sum(gf.tanh(gf.sum(x @ gf.constant(g, np.eye(4, dtype=np.float32))) * x))
    program = gf.compile_graph(g)
    executable = ParanoidBackend(ReferenceBackend()).compile(program, storage_of(program, g.positions, 0, g.overrides))
    dying = dying_bytes(program)
    dead = next(number for number, each in enumerate(dying) if each.size)
    for position in range(dead + 1):
        executable.step(position, 1)
    arena = arena_of(executable, program.arena_bytes)
    assert not (arena[dying[dead]] == 0xFF).all()
    executable.step(dead + 1, 1)
    outputs = np.arange(program.arena_bytes)[bytes_of(program.instructions[dead + 1].output)]
    left = np.setdiff1d(dying[dead], outputs)
    assert (arena[left] == 0xFF).all()


def test_every_run_begins_with_nothing_known(paranoid):
    """A kept value is gone before the next run computes it again."""
    g = gf.ExprGraph()
    x = gf.vector(g, 4, name="x", value=np.ones(4, np.float32))
    y = gf.exp(gf.sum(x * x) * x)
    y.name = "y"
    with gf.TapeMachine(g, backend="numpy", keep="all") as vm:
        vm.run_all()
        place = vm.program.results[y.id]
        assert vm.program.computed_at[y.id] > 0
        vm.step()
        assert np.isnan(vm._executable.array(place)).all()


def test_bytes_of_a_strided_operand():
    """Columns of every other row of a float32[4, 3] that begins at byte 64."""
    place = Place("arena", 64, 0, (6, 1), (4, 3))
    operand = Operand(TensorType(np.dtype(np.float32), (2, 2)), place)
    assert bytes_of(operand).tolist() == [*range(64, 72), *range(88, 96)]
    whole = Operand(TensorType(np.dtype(np.float32), (4, 3)), Place("arena", 64, 0, (3, 1), (4, 3)))
    assert bytes_of(whole) == slice(64, 112)
    assert bytes_of(whole._replace(type=TensorType(np.dtype(np.float32), (0, 3)))) == slice(0, 0)
