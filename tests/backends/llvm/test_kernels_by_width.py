"""Every kernel at every vector width: the op registry's samples on code for AVX-512, for AVX2 and for plain hosts."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends import storage_of
from graphflow.backends.llvm import native
from graphflow.op import REGISTRY
from graphflow.testing import assert_backends_agree, random_graph
from graphflow.testing.contract import check_value, dtypes_of
from tests.backends.llvm.widths import WIDTHS, host_of_width

OPS = {name: op for name, op in sorted(REGISTRY.items()) if op.__module__.startswith("graphflow.")}


@pytest.fixture(params=WIDTHS)
def width(request, monkeypatch):
    """Machines and loops on the native backend are made for this width from here on."""
    wanted = host_of_width(request.param)
    monkeypatch.setattr(native, "this_host", lambda: wanted)
    assert native.NativeBackend().host == wanted
    return request.param


def test_a_narrow_host_has_no_wide_instructions():
    assert "+avx512f" not in host_of_width(32).features
    assert host_of_width(16).features == ""


@pytest.mark.parametrize("name", OPS)
def test_samples_of_the_registry(width, name):
    for sample in OPS[name].samples():
        for dtype in dtypes_of(sample):
            check_value(sample, dtype, ("native",))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_remainder_of_a_vector(width, size, dtype):
    """Maps, folds, rows and products of sizes round the number of lanes."""
    generator = np.random.default_rng(size)
    g = gf.ExprGraph()
    x = gf.tensor(g, (3, size), dtype=dtype, name="x", value=generator.uniform(-1, 1, (3, size)).astype(dtype))
    w = gf.tensor(g, (size, size), dtype=dtype, name="w", value=generator.uniform(-1, 1, (size, size)).astype(dtype))
    gf.grad(gf.sum(gf.softmax(gf.tanh(x) @ w) * gf.exp(x)) + gf.max(gf.sum(x * x, axis=0)), x, w)
    assert_backends_agree(g, rounds=2, backends=("native",), seed=size)


@pytest.mark.parametrize("seed", range(8))
def test_random_graphs(width, seed):
    assert_backends_agree(random_graph(seed=70_000 + seed, size=24).graph, rounds=2, backends=("native",), seed=seed)


def test_widths_give_the_same_up_to_rounding():
    """The same sums in other orders, and nothing else: whole numbers come out equal."""
    results = []
    for each in WIDTHS:
        g = gf.ExprGraph()
        x = gf.vector(g, 100, dtype="float64", name="x", value=np.arange(100.0))
        y = gf.sum(x * x)
        y.name = "y"
        program = gf.compile_graph(g)
        storage = storage_of(program, g.positions, 0, g.overrides)
        executable = native.NativeBackend(host_of_width(each)).compile(program, storage)
        executable.run(1)
        results.append(float(executable.array(program.results[y.id])))
    assert results == [328350.0] * 3
