"""The elementwise functions of the native backend against references of higher precision, and at their edges."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from llvmlite import binding

from graphflow.backends.llvm.primitives import FUNCTIONS
from graphflow.backends.llvm.writer import Value, Writer

DTYPES: dict[str, Any] = {"float": np.float32, "double": np.float64}
# Where a long double is no wider than a double, the reference has errors of its own of up to one unit.
WIDER: dict[str, Any] = {"float": np.float64, "double": np.longdouble}
# The vector widths, each with all that the host offers, and with what every machine of its kind offers: on x86-64 that
# means SSE2, without fused multiply-add and without rounding instructions.
MACHINES = list(product(("host", "baseline"), (64, 32, 16, 0)))
NAN, INF = np.nan, np.inf


def sigmoid(x: Any) -> Any:
    z = np.exp(-np.abs(x))
    return np.where(x < 0, z, x.dtype.type(1)) / (1 + z)


def erf(x: Any) -> Any:
    """The reference for float64 has errors of its own of up to one unit."""
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


# The function in numpy, and the bound in units in the last place.
REFERENCES: dict[str, tuple[Callable[[Any], Any], float]] = {
    "abs": (np.abs, 0.0),
    "ceil": (np.ceil, 0.0),
    "cos": (np.cos, 1.0),
    "erf": (erf, 1.2),
    "exp": (np.exp, 1.0),
    "expm1": (np.expm1, 1.6),
    "floor": (np.floor, 0.0),
    "log": (np.log, 1.0),
    "log1p": (np.log1p, 1.6),
    "log2": (np.log2, 1.5),
    "round": (np.rint, 0.0),
    "sigmoid": (sigmoid, 2.5),
    "sign": (np.sign, 0.0),
    "sin": (np.sin, 1.0),
    "sqrt": (np.sqrt, 0.51),
    "tanh": (np.tanh, 2.5),
}
EDGES: dict[str, list[tuple[float, float]]] = {
    "abs": [(-0.0, 0.0), (0.0, 0.0), (-INF, INF), (INF, INF), (-1.5, 1.5)],
    "ceil": [(-0.0, -0.0), (0.0, 0.0), (-INF, -INF), (INF, INF), (-0.7, -0.0), (-1.0, -1.0), (0.2, 1.0), (1e30, 1e30)],
    "cos": [(-0.0, 1.0), (0.0, 1.0), (-INF, NAN), (INF, NAN), (1e-30, 1.0)],
    "erf": [(-0.0, -0.0), (0.0, 0.0), (-INF, -1.0), (INF, 1.0), (-1e30, -1.0), (1e30, 1.0)],
    "exp": [(-0.0, 1.0), (0.0, 1.0), (-INF, 0.0), (INF, INF), (-1e30, 0.0), (1e30, INF)],
    "expm1": [(-0.0, -0.0), (0.0, 0.0), (-INF, -1.0), (INF, INF), (-1e30, -1.0), (1e30, INF)],
    "floor": [(-0.0, -0.0), (0.0, 0.0), (-INF, -INF), (INF, INF), (-0.2, -1.0), (-1.0, -1.0), (0.7, 0.0), (1e30, 1e30)],
    "log": [(-0.0, -INF), (0.0, -INF), (1.0, 0.0), (INF, INF), (-INF, NAN), (-1.0, NAN), (-1e-30, NAN)],
    "log1p": [(-0.0, -0.0), (0.0, 0.0), (-1.0, -INF), (INF, INF), (-INF, NAN), (-1.001, NAN), (-1e30, NAN)],
    "log2": [(-0.0, -INF), (0.0, -INF), (1.0, 0.0), (8.0, 3.0), (0.25, -2.0), (INF, INF), (-INF, NAN), (-1.0, NAN)],
    "round": [(-0.0, -0.0), (0.0, 0.0), (-INF, -INF), (INF, INF), (-0.5, -0.0), (0.5, 0.0), (1.5, 2.0), (2.5, 2.0)],
    "sigmoid": [(-0.0, 0.5), (0.0, 0.5), (-INF, 0.0), (INF, 1.0), (-1e30, 0.0), (1e30, 1.0)],
    "sign": [(-0.0, 0.0), (0.0, 0.0), (-INF, -1.0), (INF, 1.0), (-1e-30, -1.0), (1e-30, 1.0)],
    "sin": [(-0.0, -0.0), (0.0, 0.0), (-INF, NAN), (INF, NAN), (-1e-30, -1e-30)],
    "sqrt": [(-0.0, -0.0), (0.0, 0.0), (INF, INF), (-INF, NAN), (-1.0, NAN), (4.0, 2.0)],
    "tanh": [(-0.0, -0.0), (0.0, 0.0), (-INF, -1.0), (INF, 1.0), (-1e30, -1.0), (1e30, 1.0)],
}


class Library:
    """All functions for one vector width, compiled for one machine."""

    def __init__(self, machine: str, vector_bytes: int) -> None:
        writers = [written(name, element, vector_bytes) for name in FUNCTIONS for element in DTYPES]
        declarations = set().union(*(writer.declarations for writer in writers))
        module = binding.parse_assembly("\n".join([*sorted(declarations), *(writer.text() for writer in writers)]))
        module.verify()
        options = {"opt": 2}
        if machine == "host":
            options |= {
                "cpu": binding.get_host_cpu_name(),
                "features": binding.get_host_cpu_features().flatten(),
            }
        target = binding.Target.from_default_triple().create_target_machine(**options)
        self.assembly = target.emit_assembly(module)
        self._engine = binding.create_mcjit_compiler(module, target)
        self._engine.finalize_object()

    def __call__(self, name: str, x: np.ndarray) -> np.ndarray:
        element = "float" if x.dtype == np.float32 else "double"
        padded = np.concatenate([x, np.ones(-x.size % 16, x.dtype)])
        y = np.empty_like(padded)
        record = np.array([0, 0, padded.ctypes.data, y.ctypes.data, padded.size], np.int64)
        address = self._engine.get_function_address(f"{name}_{element}")
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)(record.ctypes.data)
        return y[: x.size]


def written(name: str, element: str, vector_bytes: int) -> Writer:
    """y[i] = function(x[i]) for all i below the third operand."""
    w = Writer(f"{name}_{element}", vector_bytes)
    lanes = vector_bytes // np.dtype(DTYPES[element]).itemsize
    source, target, count = w.operand(0), w.operand(1), w.word(2)

    def body(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        x = w.load(w.offset(source, index, element), element, lanes)
        w.store(FUNCTIONS[name](w, x), w.offset(target, index, element))
        return ()

    w.loop(count, max(lanes, 1), body)
    return w


@pytest.fixture(scope="module")
def libraries() -> dict[tuple[str, int], Library]:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return {(machine, width): Library(machine, width) for machine, width in MACHINES}


def operands(element: str) -> np.ndarray:
    """Numbers of all exponents and signs, and many from the ranges where the functions change their ways."""
    dtype = DTYPES[element]
    rng = np.random.default_rng(20)
    unsigned = np.uint32 if element == "float" else np.uint64
    bits = rng.integers(0, np.iinfo(unsigned).max, 12_000, dtype=unsigned, endpoint=True)
    subnormal = rng.integers(0, 1 << (23 if element == "float" else 52), 1_000, dtype=unsigned)
    limits = (0.1, 1.0, 5.0, 40.0, 110.0 if element == "float" else 760.0)
    ranges = [rng.uniform(-limit, limit, 6_000) for limit in limits]
    small = np.exp2(rng.uniform(-60.0, 0.0, 3_000)) * rng.choice([-1.0, 1.0], 3_000)
    near_one = 1.0 + rng.uniform(-0.5, 0.5, 6_000) ** 3
    drawn = np.concatenate([*ranges, small, near_one]).astype(dtype)
    return np.concatenate([bits.view(dtype), subnormal.view(dtype), -subnormal.view(dtype), drawn])


def units_apart(y: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """|y - wide| in units in the last place of y; infinite where only one of them is NaN or infinite."""
    nearest = wide.astype(y.dtype)
    same = (y == nearest) | (np.isnan(y) & np.isnan(nearest))
    finite = np.isfinite(y) & np.isfinite(nearest)
    unit = np.spacing(np.abs(np.where(finite, nearest, 1)))
    distance = np.abs(np.where(finite, y, 0).astype(wide.dtype) - np.where(finite, wide, 0)) / unit
    return np.where(finite, distance, np.where(same, 0.0, INF))


@pytest.mark.parametrize("element", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_units_in_the_last_place(name, element, libraries):
    function, bound = REFERENCES[name]
    x = operands(element)
    with np.errstate(all="ignore"):
        wide = function(x.astype(WIDER[element]))
        for machine, library in libraries.items():
            apart = units_apart(library(name, x), wide)
            worst = int(np.argmax(apart))
            assert apart[worst] <= bound, (machine, x[worst], wide[worst])


@pytest.mark.parametrize("element", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_edges(name, element, libraries):
    x, wanted = np.array([*EDGES[name], (NAN, NAN), (-NAN, NAN)], DTYPES[element]).T.copy()
    for library in libraries.values():
        y = library(name, x)
        np.testing.assert_array_equal(y, wanted)
        numbers = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(y[numbers]), np.signbit(wanted[numbers]))


@pytest.mark.parametrize("element", DTYPES)
def test_every_nan_stays_nan(element, libraries):
    """Whatever its payload: the exponents are taken from the bits of intermediate results."""
    quiet, integer = (0x7FC00000, np.uint32) if element == "float" else (0x7FF8000000000000, np.uint64)
    payloads = np.random.default_rng(3).integers(0, 1 << (22 if element == "float" else 51), 500, dtype=integer)
    x = (payloads | integer(quiet)).view(DTYPES[element])
    for name, library in product(FUNCTIONS, libraries.values()):
        assert np.isnan(library(name, np.concatenate([x, -x]))).all(), name


@pytest.mark.parametrize("element", DTYPES)
@pytest.mark.parametrize("name", ["exp", "expm1"])
def test_overflow_begins_where_it_should(name, element, libraries):
    dtype = DTYPES[element]
    last = dtype(np.log(WIDER[element](np.finfo(dtype).max)))
    steps = np.arange(-20, 21) * np.spacing(last)
    x = last + steps.astype(dtype)
    with np.errstate(over="ignore"):
        wanted = np.isinf(np.exp(x.astype(WIDER[element])).astype(dtype))
    assert wanted.any()
    assert not wanted.all()
    for library in libraries.values():
        np.testing.assert_array_equal(np.isinf(library(name, x)), wanted)


@pytest.mark.parametrize("element", DTYPES)
@pytest.mark.parametrize("name", ["exp", "sigmoid"])
def test_small_results_fade_through_the_subnormal_numbers(name, element, libraries):
    dtype = DTYPES[element]
    least = np.finfo(dtype).smallest_subnormal
    x = (np.log(WIDER[element](least)) + np.array([-0.75, -0.65, 0.0, 0.35, np.log(2.0)])).astype(dtype)
    for library in libraries.values():
        np.testing.assert_array_equal(library(name, x), np.array([0, 1, 1, 1, 2], dtype) * least)


@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "sqrt"])
def test_vectors_of_all_widths_give_the_same_bits(name, libraries):
    for element in DTYPES:
        x = operands(element)
        for machine in ("host", "baseline"):
            wanted = libraries[machine, 0](name, x)
            for width in (16, 32, 64):
                np.testing.assert_array_equal(libraries[machine, width](name, x), wanted)


def test_no_function_calls_a_library(libraries):
    for library in libraries.values():
        assert not re.findall(r"^\s*(?:call\w*|bl|blr|jmp[ \t]+[a-z]\w*)\s.*$", library.assembly, re.MULTILINE)
