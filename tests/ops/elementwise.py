"""What the tests of elementwise ops share: values that run through a machine, and gradients by central differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import graphflow as gf

EVERY = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0)


def extremes(dtype):
    """NaN, infinities, zeros of both signs, ones, the smallest subnormals, and the largest numbers."""
    info = np.finfo(dtype)
    return np.array([*EVERY, info.smallest_subnormal, -info.smallest_subnormal, info.max, -info.max], dtype)


def same_bits(left, right):
    """Whether two arrays agree in dtype, shape, value and the sign of zero; NaN equals NaN."""
    left, right = np.asarray(left), np.asarray(right)
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
        and np.array_equal(np.signbit(left) & ~np.isnan(left), np.signbit(right) & ~np.isnan(right))
        if left.dtype.kind == "f"
        else left.dtype == right.dtype and np.array_equal(left, right)
    )


def run(build: Callable[..., gf.Node], *arrays, dtype=None, backend="auto"):
    """The value of `build(*nodes)`, the nodes holding the arrays."""
    g = gf.ExprGraph()
    nodes = [gf.tensor(g, np.shape(array), dtype=dtype, value=np.asarray(array)) for array in arrays]
    result = build(*nodes)
    reading = gf.read(result)
    with gf.TapeMachine(g, backend=backend) as machine:
        machine.run_all()
        return reading.value


def gradients(build: Callable[..., gf.Node], *arrays):
    """The gradients of sum(weights * build(*nodes)) with respect to all float arrays, and the weights."""
    g = gf.ExprGraph()
    nodes = [gf.tensor(g, np.shape(array), value=np.asarray(array)) for array in arrays]
    result = build(*nodes)
    weights = np.random.default_rng(5).uniform(0.5, 1.5, result.shape).astype(result.dtype)
    wrt = [node for node in nodes if node.dtype.kind == "f"]
    found = gf.grad(gf.sum(result * weights), *wrt)
    with gf.TapeMachine(g) as machine:
        machine.run_all()
        return [node.value for node in found], weights


def assert_gradients_match_differences(build: Callable[..., gf.Node], *arrays, step=1e-6):
    """Compare every entry of every gradient with a central difference, in float64."""
    found, weights = gradients(build, *arrays)
    floats = [place for place, array in enumerate(arrays) if np.asarray(array).dtype.kind == "f"]
    assert len(found) == len(floats)
    for place, gradient in zip(floats, found, strict=True):
        expected = np.empty(np.shape(arrays[place]))
        for index in np.ndindex(*expected.shape):
            costs = []
            for shift in (step, -step):
                moved = [np.array(array) for array in arrays]
                moved[place][index] += shift
                costs.append(float((run(build, *moved) * weights).sum()))
            expected[index] = (costs[0] - costs[1]) / (2 * step)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)
