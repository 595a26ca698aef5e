"""Up-sampling against loops in plain Python, one element at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends

BACKENDS = available_backends()
BY_LINES = {1: "linear", 2: "bilinear"}


def plain(x, sizes, ratios, mode):
    """Each element by the definition."""
    for axis, (size, ratio) in enumerate(zip(sizes, ratios, strict=True), start=2):
        old, rows = x.shape[axis], np.moveaxis(x, axis, 0)
        result = []
        for place in range(size):
            if mode == "nearest":
                result.append(rows[min(math.floor(place * ratio), old - 1)])
                continue
            at = max((place + 0.5) * ratio - 0.5, 0.0)
            low = min(math.floor(at), old - 1)
            high = min(low + 1, old - 1)
            result.append(rows[low] * (1 - (at - low)) + rows[high] * (at - low))
        x = np.moveaxis(np.stack(result), 0, axis)
    return x


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    data=st.data(),
    dtype=st.sampled_from(["float64", "float32"]),
)
def test_values(backend, lengths, data, dtype):
    mode = data.draw(st.sampled_from(["nearest", BY_LINES[len(lengths)]]))
    x = np.random.default_rng(0).normal(size=(2, 3, *lengths))
    if data.draw(st.booleans()):
        scale = tuple(data.draw(st.sampled_from([1, 2, 3, 1.5, 2.5])) for _ in lengths)
        sizes = [math.floor(length * each) for length, each in zip(lengths, scale, strict=True)]
        ratios, options = [1.0 / each for each in scale], {"scale": scale}
    else:
        sizes = tuple(data.draw(st.integers(1, 11)) for _ in lengths)
        ratios = [length / size for length, size in zip(lengths, sizes, strict=True)]
        options = {"size": sizes}
    g = gf.ExprGraph()
    y = gf.upsample(gf.tensor(g, x.shape, dtype=dtype, value=x), mode=mode, **options)
    with gf.TapeMachine(g, outputs=[y], backend=backend) as vm:
        vm.run_all()
        bound = 1e-12 if dtype == "float64" else 1e-5
        np.testing.assert_allclose(y.value, plain(x, sizes, ratios, mode), rtol=bound, atol=bound)


@pytest.mark.parametrize(("scale", "mode"), [(2, "nearest"), ((1.5, 3), "nearest"), ((2, 1.5), "bilinear")])
def test_gradients(scale, mode):
    x = np.random.default_rng(1).normal(size=(1, 2, 3, 4))
    check_gradient(lambda x: gf.upsample(x * x, scale, mode=mode), x, order=2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_infinity_stays_where_it_is(backend):
    """An element that does not count is not read: 0 times infinity is NaN."""
    g = gf.ExprGraph()
    y = gf.upsample(gf.tensor(g, (1, 1, 3), value=[[[1.0, np.inf, 3.0]]]), size=3, mode="linear")
    with gf.TapeMachine(g, outputs=[y], backend=backend) as vm:
        vm.run_all()
        np.testing.assert_array_equal(y.value, [[[1.0, np.inf, 3.0]]])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, gf.OptionError),
        ({"scale": 2, "size": 4}, gf.OptionError),
        ({"scale": 0}, gf.OptionError),
        ({"scale": 0.01}, gf.OptionError),
        ({"scale": (2, 2, 2)}, gf.OptionError),
        ({"scale": "2"}, gf.OptionError),
        ({"size": 0}, gf.OptionError),
        ({"size": 2.5}, gf.OptionError),
        ({"scale": 2, "mode": "linear"}, gf.OptionError),
        ({"scale": 2, "mode": "cubic"}, gf.OptionError),
    ],
)
def test_refusals(options, error):
    g = gf.ExprGraph()
    x, flat = gf.tensor(g, (2, 3, 4, 5)), gf.matrix(g, (4, 5))
    with pytest.raises(error):
        gf.upsample(x, **options)
    with pytest.raises(gf.ShapeError):
        gf.upsample(flat, 2)
    with pytest.raises(gf.DTypeError):
        gf.upsample(gf.tensor(g, (2, 3, 4), dtype="int64"), 2)
    assert len(g.nodes) == 3
