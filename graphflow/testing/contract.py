"""The contract of an op, tried member by member on its samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphflow.autodiff import backpropagate
from graphflow.binding import read
from graphflow.construct import node_from_any
from graphflow.dtypes import DType, float32, float64, is_float
from graphflow.errors import GraphflowError
from graphflow.graph import ExprGraph
from graphflow.loops import Random
from graphflow.node import Node
from graphflow.op import NOT_DIFFERENTIABLE, BadSample, Op, Sample
from graphflow.streams import stream_generator
from graphflow.tensortype import TensorType
from graphflow.testing.agreement import assert_backends_agree
from graphflow.testing.closeness import OPERATION, difference, tolerance_of
from graphflow.testing.differences import check_gradient
from graphflow.testing.loops_alone import run_loop
from graphflow.values import Array


def check_op(op_class: type[Op], *, backends: Sequence[str] = ("numpy",)) -> None:
    """Try the whole contract of an op class on its samples.

    Each sample: the op can be compared and hashed; `infer` promises exactly the type that `evaluate` gives, in every
    floating dtype; `evaluate` changes no input and gives the same again; the lowered loop gives the same on every
    backend, with inputs that lie in gaps and in place of each input that it may overwrite; gradients of first and
    second order agree with central differences, and where an input gets none, differences are zero. Each bad sample
    is refused with its error and leaves the graph as it was.

    Args:
        op_class: with `samples`, and `bad_samples` if it refuses anything.
        backends: which run the lowered loop.

    Raises:
        AssertionError: the first thing that is wrong, naming the op and the sample.

    Example:
        >>> from dataclasses import dataclass
        >>> import numpy as np
        >>> import graphflow as gf
        >>> from graphflow.testing import check_op
        >>> @dataclass(frozen=True)
        ... class FourthPower(gf.Op):
        ...     symbol = "fourth_power"
        ...     def infer(self, x):
        ...         return x
        ...     def evaluate(self, x):
        ...         return x**4
        ...     def gradient(self, dy, y, x):
        ...         return (4.0 * dy * x * x * x,)
        ...     @classmethod
        ...     def samples(cls):
        ...         yield gf.Sample(cls(), (np.array([1.0, -2.0, 0.5]),))
        >>> check_op(FourthPower)
    """
    samples = list(op_class.samples())
    if not samples:
        raise AssertionError(f"{op_class.__name__}: there are no samples")
    for sample in samples:
        check_identity(sample)
        for dtype in dtypes_of(sample):
            check_value(sample, dtype, backends)
        check_gradients(sample, backends)
    for bad in op_class.bad_samples():
        check_refusal(bad)


def describe(sample: Sample) -> str:
    """A sample in a message."""
    inputs = ", ".join(f"{array.dtype}{list(array.shape)}" for array in map(np.asarray, sample.inputs))
    return f"{sample.op!r} on ({inputs})"


def dtypes_of(sample: Sample) -> tuple[DType, ...]:
    """The floating dtypes that a sample is tried in; one, where it has no float to cast."""
    floats = [index for index, array in enumerate(sample.inputs) if is_float_input(sample, index)]
    return (float64, float32) if floats else (float64,)


def is_float_input(sample: Sample, index: int) -> bool:
    """Whether an input is cast with the rest and may have a gradient."""
    return np.asarray(sample.inputs[index]).dtype.kind == "f" and index not in sample.fixed


def arrays_of(sample: Sample, dtype: DType) -> list[Array]:
    """The inputs, floats in the given dtype; fixed floats go along, since no op mixes dtypes."""
    arrays = [np.asarray(array) for array in sample.inputs]
    return [array.astype(dtype) if array.dtype.kind == "f" else array for array in arrays]


def evaluated(op: Op, arrays: Sequence[Array]) -> Array:
    """What the op's own evaluation gives; random ops draw from the stream they have in the first run."""
    extra = [stream_generator(0, op.stream, 1)] if op.is_random else []
    with np.errstate(all="ignore"):
        return np.asarray(op.evaluate(*arrays, *extra))


def check_identity(sample: Sample) -> None:
    """Ops are compared and hashed by what they are."""
    op = sample.op
    try:
        hash(op)
    except TypeError as error:
        raise AssertionError(f"{op!r} cannot be hashed: {error}; its fields must be immutable") from None
    again = next((other.op for other in type(op).samples() if describe(other) == describe(sample)), None)
    if again is not None and (again != op or hash(again) != hash(op)):
        raise AssertionError(f"{op!r} is made twice and differs from itself: an op is a frozen dataclass")


def check_value(sample: Sample, dtype: DType, backends: Sequence[str] = ("numpy",)) -> None:
    """Type, purity, accuracy in a dtype, and the lowered loop."""
    op, arrays = sample.op, arrays_of(sample, dtype)
    copies = [array.copy() for array in arrays]
    promised = op.infer(*[TensorType(array.dtype, array.shape) for array in arrays])
    expected = evaluated(op, arrays)
    again = evaluated(op, arrays)
    for index, (array, copy) in enumerate(zip(arrays, copies, strict=True)):
        if array.tobytes() != copy.tobytes():
            raise AssertionError(f"{describe(sample)}: evaluate changes its input {index}")
    if again.tobytes() != expected.tobytes():
        raise AssertionError(f"{describe(sample)}: evaluate gives something else the second time")
    if (promised.dtype, promised.shape) != (expected.dtype, expected.shape):
        raise AssertionError(
            f"{describe(sample)}: infer promises {promised}, evaluate gives {expected.dtype}{list(expected.shape)}"
        )
    if dtype == float32 and not op.is_random:
        _require_close(expected.astype(np.float64), _in_double(sample, arrays), float32, sample, "evaluate in float32")
    for backend in backends:
        _check_loop(sample, arrays, promised, expected, backend)


def _in_double(sample: Sample, arrays: Sequence[Array]) -> Array:
    """What the op gives in float64 for the same numbers, as far as its result is floating."""
    wide = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in arrays]
    return evaluated(sample.op, wide).astype(np.float64)


def _check_loop(sample: Sample, arrays: Sequence[Array], output: TensorType, expected: Array, backend: str) -> None:
    op = sample.op
    loop = op.lower(*[TensorType(array.dtype, array.shape) for array in arrays])
    if loop != op.lower(*[TensorType(array.dtype, array.shape) for array in arrays]):
        raise AssertionError(f"{describe(sample)}: lower gives another loop the second time")
    if op.is_random and not isinstance(loop, Random):
        raise AssertionError(f"{describe(sample)}: a random op must lower to a Random loop")
    for is_strided in (False, True):
        found = run_loop(loop, arrays, output, backend=backend, is_strided=is_strided)
        how = f"{loop} on {backend}" + (", inputs with gaps" if is_strided else "")
        _require_close(found, expected, output.dtype, sample, how)
    for index in op.overwrites:
        if index < len(arrays) and TensorType(arrays[index].dtype, arrays[index].shape) == output:
            found = run_loop(loop, arrays, output, backend=backend, in_place_of=index)
            _require_close(found, expected, output.dtype, sample, f"{loop} on {backend}, in place of input {index}")


def _require_close(found: Array, expected: Array, dtype: DType, sample: Sample, how: str) -> None:
    wrong = difference(found, expected, tolerance_of(dtype, OPERATION))
    if wrong is not None:
        raise AssertionError(f"{describe(sample)}: {how} {wrong}")


def check_gradients(sample: Sample, backends: Sequence[str] = ("numpy",), *, order: int = 2) -> None:
    """Gradients exist, have the right types, and agree with central differences where the sample is smooth."""
    floats = [index for index in range(len(sample.inputs)) if is_float_input(sample, index)]
    if not floats:
        return
    graph = ExprGraph()
    nodes = [node_from_any(graph, array) for array in arrays_of(sample, float64)]
    y = graph.apply(sample.op, nodes)
    entries = sample.op.gradient(y, y, *nodes)
    if entries is NOT_DIFFERENTIABLE:
        return
    if not isinstance(entries, tuple) or len(entries) != len(nodes):
        raise AssertionError(f"{describe(sample)}: gradient gives {entries!r}, not one entry for each input")
    if not is_float(y.dtype):
        return
    dy = node_from_any(graph, np.linspace(0.5, 1.5, y.size).reshape(y.shape).astype(y.dtype))
    try:
        for index in floats:
            read(backpropagate([y], [dy], [nodes[index]])[0])
        assert_backends_agree(graph, 1, backends, tolerance=tolerance_of(y.dtype, OPERATION))
        if sample.smooth:
            check_gradient(
                _function_of(sample, floats),
                *[sample.inputs[index] for index in floats],
                order=min(order, sample.order),
            )
    except (AssertionError, GraphflowError) as error:
        raise AssertionError(f"{describe(sample)}: gradient: {error}") from error


def _function_of(sample: Sample, free: Sequence[int]) -> Callable[..., Node]:
    """The op as a function of the nodes for some of its inputs; the others are constants."""
    arrays = arrays_of(sample, float64)

    def function(*nodes: Node) -> Node:
        graph = nodes[0].graph
        given = dict(zip(free, nodes, strict=True))
        operands = [given[index] if index in given else graph.constant(array) for index, array in enumerate(arrays)]
        return graph.apply(sample.op, operands)

    return function


def check_refusal(bad: BadSample) -> None:
    """A bad sample is refused with its error, in the common form, at the line of the caller; the graph stays."""
    graph = ExprGraph()
    nodes = [graph.leaf(value_type, f"x{index}") for index, value_type in enumerate(bad.types)]
    what = f"{bad.op!r} on ({', '.join(map(str, bad.types))})"
    try:
        graph.apply(bad.op, nodes)
    except GraphflowError as error:
        if type(error) is not bad.error:
            raise AssertionError(f"{what}: refused with {type(error).__name__}, not {bad.error.__name__}") from error
        text = str(error)
    else:
        raise AssertionError(f"{what}: not refused")
    if not text.startswith(f"{bad.op.name}: "):
        raise AssertionError(f"{what}: the message does not begin with the op's name:\n{text}")
    if "\n  got " not in text and "\n  needs " not in text:
        raise AssertionError(f"{what}: the message says neither what it got nor what it needs:\n{text}")
    if len(graph) != len(nodes):
        raise AssertionError(f"{what}: refused, but the graph has grown")
