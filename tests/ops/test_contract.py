"""Every op of the registry against the whole contract: types, values, loops, gradients, refusals, special numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import graphflow.ops  # noqa: F401 - loading it registers every op
from graphflow.construct import node_from_any
from graphflow.dtypes import float64
from graphflow.errors import GraphflowError
from graphflow.graph import ExprGraph
from graphflow.op import REGISTRY, BadSample, Sample
from graphflow.tensortype import TensorType
from graphflow.testing.agreement import available_backends
from graphflow.testing.contract import (
    arrays_of,
    check_gradients,
    check_identity,
    check_refusal,
    check_value,
    dtypes_of,
    evaluated,
    is_float_input,
)
from graphflow.testing.loops_alone import instruction_of
from graphflow.vm import LispMachine, TapeMachine
from tests.ops.shapes import RULES, drawn_sample, elementwise_sample
from tests.ops.special_numbers import check_special_numbers

BACKENDS = available_backends()
OPS = {name: op for name, op in sorted(REGISTRY.items()) if op.__module__.startswith("graphflow.")}
SAMPLES = [(name, place, sample) for name, op in OPS.items() for place, sample in enumerate(op.samples())]
BAD = [(name, place, bad) for name, op in OPS.items() for place, bad in enumerate(op.bad_samples())]
NUMBERED = [pytest.param(item, id=f"{name}-{place}") for name, place, item in SAMPLES]
FLOATS = [(name, place, s) for name, place, s in SAMPLES if any(is_float_input(s, i) for i in range(len(s.inputs)))]
# These draw their values, fill with a number, or change any dtype into any other: there is nothing they could refuse.
REFUSING_NOTHING = {"Binomial", "Cast", "DropoutMask", "Fill", "Gaussian", "Uniform"}


def test_the_registry_is_not_empty():
    assert len(OPS) > 40


@pytest.mark.parametrize("name", OPS)
def test_every_op_has_samples(name):
    samples = list(OPS[name].samples())
    assert samples
    assert all(isinstance(sample, Sample) and type(sample.op) is OPS[name] for sample in samples)


@pytest.mark.parametrize("name", sorted(set(OPS) - REFUSING_NOTHING))
def test_every_op_says_what_it_refuses(name):
    bad_samples = list(OPS[name].bad_samples())
    assert bad_samples
    assert all(isinstance(bad, BadSample) and type(bad.op) is OPS[name] for bad in bad_samples)


@pytest.mark.parametrize("sample", NUMBERED)
def test_identity_types_values_and_loops(sample):
    check_identity(sample)
    for dtype in dtypes_of(sample):
        check_value(sample, dtype, BACKENDS)


@pytest.mark.parametrize("sample", NUMBERED)
def test_machines_give_what_evaluate_gives(sample):
    for dtype in dtypes_of(sample):
        arrays = arrays_of(sample, dtype)
        expected = evaluated(sample.op, arrays)
        g = ExprGraph()
        y = g.apply(sample.op, [node_from_any(g, array) for array in arrays], name="y")
        tapes = [TapeMachine(g, backend=backend, keep=keep) for backend in BACKENDS for keep in ((), "all")]
        for machine in (LispMachine(g), *tapes):
            machine.run_all()
            assert y.value.dtype == expected.dtype
            assert y.value.shape == expected.shape
            np.testing.assert_allclose(y.value, expected, rtol=1e-7 if dtype == float64 else 1e-4, atol=1e-6)


@pytest.mark.parametrize("sample", [pytest.param(s, id=f"{name}-{place}") for name, place, s in FLOATS])
def test_gradients_of_first_and_second_order(sample):
    check_gradients(sample, BACKENDS)


# What numpy does for the native backend: two streams of random numbers, a fill, which computes nothing in a run, and
# the recurrence over time of the CTC loss, which no loop states.
LEFT_TO_NUMPY = {"Binomial", "CtcLoss", "CtcLossGradient", "Fill", "Gaussian"}


@pytest.mark.parametrize("sample", NUMBERED)
def test_the_native_backend_does_it_itself(sample):
    """So that numpy's results are not taken for those of machine code: each sample, strided or not, has a kernel."""
    if "native" not in BACKENDS:
        return
    from graphflow.backends.llvm.kernels import write_kernel

    for dtype in dtypes_of(sample):
        types = [TensorType(array.dtype, array.shape) for array in arrays_of(sample, dtype)]
        output, loop = sample.op.infer(*types), sample.op.lower(*types)
        for is_strided in (False, True):
            instruction, _ = instruction_of(loop, types, output, in_place_of=None, is_strided=is_strided)
            for vector_bytes in (16, 32, 64):
                has_kernel = write_kernel(instruction, "kernel", vector_bytes) is not None
                assert output.size == 0 or has_kernel == (type(sample.op).__name__ not in LEFT_TO_NUMPY)


@pytest.mark.parametrize("bad", [pytest.param(item, id=f"{name}-{place}") for name, place, item in BAD])
def test_bad_samples_are_refused_at_the_users_line(bad):
    check_refusal(bad)
    g = ExprGraph()
    nodes = [g.leaf(value_type, f"x{place}") for place, value_type in enumerate(bad.types)]
    with pytest.raises(GraphflowError) as caught:
        g.apply(bad.op, nodes)
    line = caught.traceback[0].lineno + 1
    assert str(caught.value.raised_at) == f"test_contract.py:{line}"
    assert str(caught.value).endswith(f"\n  line    test_contract.py:{line}")


# --- special numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", [pytest.param(s, id=f"{name}-{place}") for name, place, s in FLOATS])
def test_special_numbers_travel_as_in_numpy(sample):
    check_special_numbers(sample, BACKENDS)


# --- shapes at random --------------------------------------------------------------------------------------------


ELEMENTWISE = {name: sample for name, op in OPS.items() if (sample := elementwise_sample(op)) is not None}


def test_elementwise_ops_are_found():
    assert {"Add", "HadamardDiv", "Pow", "Where", "Lt", "LogicalAnd", "Tanh", "Cast"} <= set(ELEMENTWISE)


def stretched(array, shape, generator):
    """Numbers of another shape from the domain of a sample."""
    size = int(np.prod(shape))
    return generator.choice(array.ravel(), size).reshape(shape)


@pytest.mark.parametrize("name", ELEMENTWISE)
@settings(max_examples=16)
@given(data=st.data())
def test_elementwise_ops_broadcast_as_numpy(name, data):
    """Scalars, axes of size 1, empty axes, up to five dimensions."""
    sample = ELEMENTWISE[name]
    count = len(sample.inputs)
    shapes = data.draw(
        hnp.mutually_broadcastable_shapes(num_shapes=count, min_dims=0, max_dims=5, min_side=0, max_side=3)
    )
    generator = np.random.default_rng(data.draw(st.integers(0, 1000)))
    inputs = [stretched(np.asarray(a), s, generator) for a, s in zip(sample.inputs, shapes.input_shapes, strict=True)]
    expected = evaluated(sample.op, inputs)
    assert expected.shape == shapes.result_shape
    wide = Sample(sample.op, tuple(inputs), smooth=sample.smooth and expected.size <= 24, fixed=sample.fixed)
    for dtype in dtypes_of(wide):
        check_value(wide, dtype, BACKENDS)
    check_gradients(wide, order=1)


def test_rules_for_shapes_name_ops():
    assert set(RULES) <= set(OPS)


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=12)
@given(seed=st.integers(0, 10**6))
def test_other_ops_on_shapes_at_random(name, seed):
    """Scalars, axes of size 1, empty axes, up to five axes; any axes, steps and ids."""
    sample = drawn_sample(OPS[name], np.random.default_rng(seed))
    is_small = sum(np.asarray(array).size for array in sample.inputs) <= 24
    sample = Sample(sample.op, sample.inputs, sample.smooth and is_small, sample.fixed)
    for dtype in dtypes_of(sample):
        check_value(sample, dtype, BACKENDS)
    check_gradients(sample, order=1)
