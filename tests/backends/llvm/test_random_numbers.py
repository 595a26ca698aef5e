"""Random numbers in machine code: bit by bit those that numpy draws, at every vector width, in every run."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.backends import Storage
from graphflow.backends.llvm.native import NativeBackend
from graphflow.dtypes import float32, float64
from graphflow.errors import OptionError
from graphflow.graph import ExprGraph
from graphflow.loops import Random
from graphflow.passes.plan import Place, contiguous_strides
from graphflow.positions import PositionTable
from graphflow.streams import LARGEST_WORD, draw, stream_generator
from graphflow.tape.program import Instruction, Operand, Program
from graphflow.tensortype import TensorType
from tests.backends.llvm.widths import WIDTHS, host_of_width, kernels_of_width

WORDS = st.one_of(st.integers(0, 20), st.integers(0, LARGEST_WORD), st.just(LARGEST_WORD), st.just(2**63))
NUMBERS = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 0.1, 1e-30]), st.floats(-1e3, 1e3))


def drawn(loop, shape, dtype, seed, run, width):
    """What a machine with this seed draws in this run."""
    place = Place("arena", 0, 0, contiguous_strides(shape), shape)
    output = Operand(TensorType(dtype, shape), place)
    instruction = Instruction(loop, (), output, ExprGraph().leaf(output.type, None))
    program = Program((instruction,), max(1, output.type.bytes), {}, (), {}, {})
    with kernels_of_width(width):
        executable = NativeBackend(host_of_width(width)).compile(program, Storage({}, {}, PositionTable(), seed))
    executable.run(run)
    return executable.array(output).copy()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
@settings(max_examples=20)
@given(
    name=st.sampled_from(["uniform", "mask"]),
    first=NUMBERS,
    second=NUMBERS,
    shape=st.lists(st.sampled_from([1, 2, 3, 5, 17]), max_size=3).map(tuple),
    seed=WORDS,
    stream=WORDS,
    run=st.integers(0, LARGEST_WORD),
)
def test_numbers_are_those_of_numpy_bit_by_bit(width, dtype, name, first, second, shape, seed, stream, run):
    parameters = (min(first, second), max(first, second)) if name == "uniform" else (abs(math.sin(first)), second)
    expected = draw(name, parameters, shape, dtype, stream_generator(seed, stream, run))
    found = drawn(Random(name, parameters, stream), shape, dtype, seed, run, width)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("width", WIDTHS)
def test_many_numbers(width):
    for dtype in (float32, float64):
        expected = draw("uniform", (-2.0, 3.0), (100_003,), dtype, stream_generator(5, 6, 7))
        found = drawn(Random("uniform", (-2.0, 3.0), 6), (100_003,), dtype, 5, 7, width)
        np.testing.assert_array_equal(found, expected)


def test_streams_share_a_kernel_and_each_run_has_its_numbers():
    g = gf.ExprGraph()
    x, y = (gf.uniform(g, (9,), 0.0, 1.0) for _ in range(2))
    x.name, y.name = "x", "y"
    with gf.TapeMachine(g, backend="native", seed=3) as vm, gf.TapeMachine(g, backend="numpy", seed=3) as other:
        assert vm._executable.kernels == 1
        seen = []
        for _ in range(3):
            vm.run_all()
            other.run_all()
            for node in (x, y):
                seen.append(vm.value_of(node).copy())
                np.testing.assert_array_equal(seen[-1], other.value_of(node))
    assert len({each.tobytes() for each in seen}) == 6


def test_the_number_of_a_run_must_be_a_word():
    g = gf.ExprGraph()
    x = gf.uniform(g, (9,), 0.0, 1.0)
    x.name = "x"
    with gf.TapeMachine(g, backend="native") as vm:
        vm.runs = LARGEST_WORD
        with pytest.raises(OptionError, match="the run is not usable"):
            vm.run_all()


def test_rows_of_an_epoch_are_runs_of_their_own():
    """Dropout in a table of rows: the same costs as row by row, and as on numpy."""
    costs = []
    for backend in ("native", "numpy", "one by one"):
        g = gf.ExprGraph(seed=1)
        table = gf.matrix(g, (6, 8), name="table", value=np.linspace(0.1, 2, 48, dtype=np.float32).reshape(6, 8))
        row = table[gf.S(0)]
        cost = gf.sum(gf.dropout(row, 0.5) * gf.uniform(g, (8,), 0.0, 1.0))
        positions = np.array([[0], [3], [3], [5], [1]])
        with gf.TapeMachine(g, backend="numpy" if backend == "numpy" else "native", seed=2) as vm:
            if backend == "one by one":
                found = []
                for (place,) in positions:
                    gf.unsafe_let(row, gf.S(int(place)))
                    vm.run_all()
                    found.append(float(cost.value))
            else:
                found = vm.run_over((row,), positions, record=cost)
            assert vm.runs == 5
        costs.append(np.asarray(found))
    np.testing.assert_allclose(costs[0], costs[2], rtol=1e-12)
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-5)
    assert costs[0][1] != costs[0][2]
