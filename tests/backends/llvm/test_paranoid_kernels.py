"""Kernels that do what they must not, and what paranoid mode says to that. Without it most of this would pass."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends.llvm import native
from graphflow.errors import MachineError
from graphflow.tensortype import TensorType


@pytest.fixture(autouse=True)
def paranoid(monkeypatch):
    monkeypatch.setenv("GRAPHFLOW_PARANOID", "1")
    monkeypatch.setenv("GRAPHFLOW_CACHE", "0")


def longer(instruction, by):
    """The instruction with more or fewer elements in each vector of it."""

    def grown(operand):
        dtype, shape = operand.type
        return operand._replace(type=TensorType(dtype, (shape[0] + by,))) if len(shape) == 1 else operand

    inputs = tuple(grown(operand) for operand in instruction.inputs)
    return instruction._replace(inputs=inputs, output=grown(instruction.output))


@pytest.fixture
def miscounting(monkeypatch):
    """Kernels are written for vectors of another length than the instruction has."""

    def by(number):
        before = native.write_kernel
        monkeypatch.setattr(native, "write_kernel", lambda each, *others: before(longer(each, number), *others))

    return by


@pytest.fixture
def misdirected(monkeypatch):
    """Records point elsewhere."""

    def to(change):
        before = native.record_words
        monkeypatch.setattr(native, "record_words", lambda each, addresses: before(each, change(list(addresses))))

    return to


def machine_of(make, size=6):
    g = gf.ExprGraph()
    x = gf.vector(g, size, name="x", value=np.linspace(0.5, 1.0, size))
    y = make(x)
    y.name = "y"
    return gf.TapeMachine(g, backend="native"), x, y


def test_right_kernels_pass():
    machine, x, y = machine_of(gf.exp)
    machine.run_all()
    np.testing.assert_allclose(y.value, np.exp(x.value), rtol=1e-6)


def test_writing_one_element_too_many_is_found(miscounting):
    miscounting(1)
    machine, _, _ = machine_of(gf.exp)
    with pytest.raises(MachineError, match="instruction 0 changes memory beside its output"):
        machine.run_all()


def test_writing_one_element_too_few_shows_in_every_run(miscounting):
    """The result of the run before is gone, so that it cannot stand in for this one's."""
    miscounting(-1)
    machine, _, y = machine_of(gf.exp)
    for _ in range(2):
        machine.run_all()
        assert np.isnan(y.value[-1])
        assert np.isfinite(y.value[:-1]).all()


def test_reading_one_element_too_many_shows(miscounting):
    """Behind every value, an input too, there is NaN."""
    miscounting(1)
    machine, _, y = machine_of(gf.sum)
    machine.run_all()
    assert np.isnan(y.value)


def test_writing_into_an_input_is_found(misdirected):
    misdirected(lambda addresses: [*addresses[:-1], addresses[0]])
    machine, x, _ = machine_of(gf.exp)
    before = x.value
    with pytest.raises(MachineError, match=r"bytes changed in input\[0\], the first at 0"):
        machine.run_all()
    np.testing.assert_array_equal(x.value, before)


@pytest.mark.parametrize("shift", [-64, -4, 4, 64])
def test_writing_beside_the_place_is_found(misdirected, shift):
    misdirected(lambda addresses: [*addresses[:-1], addresses[-1] + shift])
    machine, _, _ = machine_of(gf.exp)
    with pytest.raises(MachineError, match="changes memory beside its output"):
        machine.run_all()


def test_a_gradient_that_runs_into_the_next_is_found(misdirected):
    g = gf.ExprGraph()
    a, b = (gf.vector(g, 4, name=name, init=gf.ones()) for name in "ab")
    gf.grad(gf.sum(a * b), a, b)
    misdirected(lambda addresses: [*addresses[:-1], addresses[-1] + 8])
    with pytest.raises(MachineError, match=r"bytes changed in (gradient|arena)\["):
        gf.TapeMachine(g, backend="native").run_all()
