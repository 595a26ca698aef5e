"""Paranoid mode: it finds nothing in what is right, and whatever is planted in what is wrong."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends import Backend, Executable, storage_of
from graphflow.backends.choice import choose_backend
from graphflow.backends.paranoid import ParanoidBackend, Spread, bytes_of, dying_bytes, not_numbers
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
    """A backend whose memory a fault gets to see: it is given the program and the storage that are run."""

    name = "faulty"

    def __init__(self, fault, at=0, inner="numpy"):
        self.fault, self.at, self.inner = fault, at, inner

    def compile(self, program, storage):
        inner = choose_backend(self.inner)[0].compile(program, storage)
        return Faulty(inner, partial(self.fault, program, storage), self.at)


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


def set_byte(array, place):
    """Change one byte, counted from where an array begins; numpy would refuse most of these, machine code does not."""
    address = array.ctypes.data + place
    ctypes.memset(address, ctypes.c_uint8.from_address(address).value ^ 1, 1)


def first_of(arrays):
    return next(iter(arrays.values()))


def spoil_input(program, storage, executable):
    set_byte(first_of(storage.inputs), 8)


def write_before_an_input(program, storage, executable):
    set_byte(first_of(storage.inputs), -1)


def write_behind_an_input(program, storage, executable):
    set_byte(first_of(storage.inputs), first_of(storage.inputs).nbytes)


def spoil_constant(program, storage, executable):
    set_byte(first_of(program.constants), 0)


def write_behind_a_constant(program, storage, executable):
    set_byte(first_of(program.constants), first_of(program.constants).nbytes + 63)


def spoil_gradient(program, storage, executable):
    """A gradient that belongs to another instruction; the first one writes none."""
    set_byte(first_of(storage.gradients), 3)


def write_before_a_gradient(program, storage, executable):
    set_byte(first_of(storage.gradients), -64)


def spoil_position(program, storage, executable):
    storage.positions.cells[0] ^= 1


def write_in_front_of_the_arena(program, storage, executable):
    set_byte(arena_of(executable, program.arena_bytes), 0)


def write_at_the_arenas_end(program, storage, executable):
    set_byte(arena_of(executable, program.arena_bytes), program.arena_bytes - 1)


def write_behind_the_output(program, storage, executable):
    set_byte(executable.array(program.instructions[0].output), program.instructions[0].output.type.bytes)


def write_before_the_output(program, storage, executable):
    set_byte(executable.array(program.instructions[0].output), -1)


FAULTS = {
    "input": [spoil_input, write_before_an_input, write_behind_an_input],
    "constant": [spoil_constant, write_behind_a_constant],
    "gradient": [spoil_gradient, write_before_a_gradient],
    "positions": [spoil_position],
    "arena": [
        write_in_front_of_the_arena,
        write_at_the_arenas_end,
        write_behind_the_output,
        write_before_the_output,
    ],
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("where", "fault"), [(where, fault) for where, faults in FAULTS.items() for fault in faults])
def test_damage_is_found_and_named(backend, where, fault):
    program, storage = small_program()
    assert program.instructions[0].output.place.kind == "arena"
    executable = ParanoidBackend(FaultyBackend(fault, inner=backend)).compile(program, storage)
    with pytest.raises(MachineError, match="instruction 0 changes memory beside its output") as caught:
        executable.run(1)
    assert f"1 bytes changed in {where}[" in str(caught.value)
    assert executable.position == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_damage_there_is_nothing_to_find(backend):
    program, storage = small_program()
    ParanoidBackend(FaultyBackend(lambda *_: None, inner=backend)).compile(program, storage).run(1)


def test_damage_in_a_failing_instruction_is_found():
    """A machine that reports its own error must not have done harm before."""
    program, storage = small_program()

    def fault(*memory):
        spoil_input(*memory)
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


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_used_for_the_last_time_is_filled(backend):
    """A chain through three buffers: the first is dead once the second is there."""
    g = gf.ExprGraph()
    x = gf.vector(g, 4, name="x", value=np.ones(4, np.float32))
    gf.sum(gf.tanh(gf.sum(x @ gf.constant(g, np.eye(4, dtype=np.float32))) * x))
    program = gf.compile_graph(g)
    inner = choose_backend(backend)[0]
    executable = ParanoidBackend(inner).compile(program, storage_of(program, g.positions, 0, g.overrides))
    program, dying, arena = executable._program, executable._dying, executable._arena
    dead = next(number for number, each in enumerate(dying) if each.size)
    for position in range(dead + 1):
        executable.step(position, 1)
    nothing = not_numbers(arena.size)
    assert not (arena[dying[dead]] == nothing[dying[dead]]).all()
    executable.step(dead + 1, 1)
    outputs = np.arange(program.arena_bytes)[bytes_of(program.instructions[dead + 1].output)]
    left = np.setdiff1d(dying[dead], outputs)
    assert (arena[left] == nothing[left]).all()


def test_what_fills_memory_is_no_number_of_any_width():
    found = not_numbers(4096, phase=7)
    for dtype in (np.float32, np.float64):
        assert np.isnan(found.view(dtype)).all()
    assert len(set(found.view(np.uint32).tolist())) == 1024
    assert not (not_numbers(4096, phase=8).view(np.uint32) == found.view(np.uint32)).any()
    with np.errstate(invalid="ignore"):
        quieted = found.view(np.float64) * 1.0
    assert not (quieted.view(np.uint64) == found.view(np.uint64)).any()


def test_buffers_lie_apart_and_operands_keep_their_form():
    """At least 64 bytes between any two, and in front of the first and behind the last."""
    for seed in range(20):
        program = gf.compile_graph(random_graph(seed, 15).graph)
        spread = Spread(program)
        owners = np.zeros(spread.program.arena_bytes, int)
        for before, after in zip(program, spread.program, strict=True):
            assert (before.loop, before.node) == (after.loop, after.node)
            for old, new in zip((*before.inputs, before.output), (*after.inputs, after.output), strict=True):
                assert new == old._replace(place=old.place._replace(key=new.place.key))
                assert spread.moved(old) is new
                if new.place.kind == "arena":
                    owners[bytes_of(new)] = 1 + old.place.key
        edges = np.flatnonzero(np.diff(owners, prepend=0, append=0))
        # Runs of bytes that belong to nobody: within a buffer only what rounding up its size leaves.
        assert edges.size == 0 or (edges[0] >= 256 and edges[-1] <= owners.size - 256)
        used = np.flatnonzero(owners)
        gaps = np.flatnonzero((np.diff(used) > 1) & (owners[used][:-1] != owners[used][1:]))
        assert all(used[gap + 1] - used[gap] > 64 for gap in gaps)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_run_begins_with_nothing_known(paranoid, backend):
    """A kept value is gone before the next run computes it again."""
    g = gf.ExprGraph()
    x = gf.vector(g, 4, name="x", value=np.ones(4, np.float32))
    y = gf.exp(gf.sum(x * x) * x)
    y.name = "y"
    with gf.TapeMachine(g, backend=backend, keep="all") as vm:
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
