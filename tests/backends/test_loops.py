"""Loop forms on every backend, against numpy: random contractions, views and scalar programs, in any memory layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow import loops
from graphflow.dtypes import bool_, float32, float64, int64
from graphflow.scalars import trace
from graphflow.tensortype import TensorType
from graphflow.testing.agreement import available_backends
from graphflow.testing.loops_alone import run_loop

BACKENDS = available_backends()


def type_of(array):
    return TensorType(array.dtype, array.shape)


@st.composite
def contractions(draw):
    """Labels in any order on both sides, sizes from 0 to 4, sizes of 1 that broadcast."""
    count = draw(st.integers(1, 5))
    labels = list(range(count))
    kinds = [draw(st.sampled_from(["summed", "batch", "left", "right"])) for _ in labels]
    sizes = [draw(st.integers(0, 4)) for _ in labels]
    left = draw(st.permutations([label for label in labels if kinds[label] != "right"]))
    right = draw(st.permutations([label for label in labels if kinds[label] != "left"]))
    out = draw(st.permutations([label for label in labels if kinds[label] != "summed"]))
    narrow = [{label for label in labels if kinds[label] == "batch" and draw(st.integers(0, 5)) == 0} for _ in range(2)]
    shapes = [
        tuple(1 if label in narrow[side] else sizes[label] for label in own) for side, own in enumerate((left, right))
    ]
    # A batch axis of size 1 on both sides has size 1 in the result.
    final = tuple(1 if label in narrow[0] & narrow[1] else sizes[label] for label in out)
    return loops.Contract(tuple(left), tuple(right), tuple(out)), shapes, final


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60)
@given(
    case=contractions(),
    dtype=st.sampled_from([float64, float32, int64]),
    is_strided=st.booleans(),
    seed=st.integers(0, 9),
)
def test_contractions(backend, case, dtype, is_strided, seed):
    loop, shapes, final = case
    generator = np.random.default_rng(seed)
    arrays = [generator.uniform(-4.0, 4.0, shape).astype(dtype) for shape in shapes]
    sizes = dict(zip(loop.out, final, strict=True))
    for labels, shape in zip((loop.left, loop.right), shapes, strict=True):
        sizes |= {label: size for label, size in zip(labels, shape, strict=True) if label in loop.summed}
    wide = [
        np.broadcast_to(array, [sizes[label] for label in labels])
        for array, labels in zip(arrays, (loop.left, loop.right), strict=True)
    ]
    expected = np.einsum(
        wide[0].astype(float), list(loop.left), wide[1].astype(float), list(loop.right), list(loop.out)
    )
    found = run_loop(loop, arrays, TensorType(dtype, final), backend=backend, is_strided=is_strided)
    bound = 1e-4 if dtype == float32 else 1e-12
    np.testing.assert_allclose(found, expected, rtol=bound, atol=bound)
    # What a second and a third pair give is added.
    found = run_loop(loop, arrays * 3, TensorType(dtype, final), backend=backend, is_strided=is_strided)
    np.testing.assert_allclose(found, 3.0 * expected, rtol=bound, atol=3.0 * bound)


@st.composite
def views(draw):
    """A source shape and a view that reads within it."""
    source = tuple(draw(st.lists(st.integers(1, 5), max_size=3)))
    starts, steps, extents = [], [], []
    for size in source:
        step = draw(st.sampled_from([1, 1, 2, -1, -2]))
        extent = draw(st.integers(0, (size - 1) // abs(step) + 1))
        reach = max(extent - 1, 0) * abs(step)
        low = draw(st.integers(0, size - 1 - reach))
        starts.append(low if step > 0 else low + reach)
        steps.append(step)
        extents.append(extent)
    walks = [
        (axis, extents[axis], steps[axis])
        for axis in range(len(source))
        if draw(st.integers(0, 3)) or not extents[axis]
    ]
    for axis, size in enumerate(source):
        # A second walk along the same axis, as far as the first leaves room: a window.
        low = starts[axis] + min(0, steps[axis] * (extents[axis] - 1))
        room = size - 1 - max(low, starts[axis], starts[axis] + steps[axis] * (extents[axis] - 1))
        if (axis, extents[axis], steps[axis]) in walks and room > 0 and draw(st.booleans()):
            step = draw(st.integers(1, room))
            walks.append((axis, draw(st.integers(1, room // step + 1)), step))
    walks += [(None, draw(st.integers(0, 3)), 1) for _ in range(draw(st.integers(0, 2)))]
    axes, shape, walk = zip(*draw(st.permutations(walks)), strict=True) if walks else ((), (), ())
    return source, loops.View(shape, axes, tuple(starts), walk, (None,) * len(source))


def read_by_index(view, array):
    result = np.empty(view.shape, array.dtype)
    for index in np.ndindex(*view.shape):
        place = list(view.starts)
        for axis, step, position in zip(view.axes, view.steps, index, strict=True):
            if axis is not None:
                place[axis] += step * position
        result[index] = array[tuple(place)]
    return result


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60)
@given(case=views(), dtype=st.sampled_from([float64, float32, int64, bool_]), is_strided=st.booleans())
def test_views_and_their_adjoints(backend, case, dtype, is_strided):
    source, view = case
    generator = np.random.default_rng(1)
    array = (
        generator.integers(0, 2, source).astype(dtype)
        if dtype == bool_
        else generator.integers(0, 50, source).astype(dtype)
    )
    expected = read_by_index(view, array)
    found = run_loop(view, [array], type_of(expected), backend=backend, is_strided=is_strided)
    np.testing.assert_array_equal(found, expected)
    if dtype == bool_ or None in view.axes:
        return
    back = np.zeros(source, dtype)
    for index in np.ndindex(*view.shape):
        place = list(view.starts)
        for axis, step, position in zip(view.axes, view.steps, index, strict=True):
            place[axis] += step * position
        back[tuple(place)] += expected[index]
    placed = run_loop(loops.Place(source, view), [expected], type_of(back), backend=backend, is_strided=is_strided)
    np.testing.assert_array_equal(placed, back)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [float64, float32], ids=str)
def test_a_long_scalar_program(backend, dtype):
    """More steps than there are registers, values used again much later, two conditions, a cast there and back."""

    def function(x, y):
        values = [x, y]
        for number in range(40):
            values.append(values[-1] * 0.9 + values[number % 7] - values[-2] * 0.1)
        chosen = (values[5] < values[9]).where(values[-1], values[3])
        truth = (values[2] >= 0.0) & ~(values[4] == values[8])
        return truth.where(chosen, -chosen) + values[6].cast(int64).cast(x.dtype) + chosen.maximum(values[0])

    generator = np.random.default_rng(2)
    x, y = generator.uniform(-3.0, 3.0, (2, 7, 5)).astype(dtype)
    program = trace(function, [dtype, dtype])
    found = run_loop(loops.Map(program), [x, y], TensorType(dtype, (7, 5)), backend=backend)
    values = [x, y]
    for number in range(40):
        values.append(values[-1] * dtype.type(0.9) + values[number % 7] - values[-2] * dtype.type(0.1))
    chosen = np.where(values[5] < values[9], values[-1], values[3])
    truth = (values[2] >= 0.0) & ~(values[4] == values[8])
    expected = np.where(truth, chosen, -chosen) + np.trunc(values[6]) + np.maximum(chosen, values[0])
    np.testing.assert_allclose(found, expected, rtol=1e-4 if dtype == float32 else 1e-11, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["sum", "max", "min", "prod"])
@settings(max_examples=25)
@given(shape=st.lists(st.integers(1, 5), min_size=0, max_size=4).map(tuple), data=st.data())
def test_folds(backend, kind, shape, data):
    axes = tuple(axis for axis in range(len(shape)) if data.draw(st.booleans()))
    keepdims, is_strided = data.draw(st.booleans()), data.draw(st.booleans())
    dtype = data.draw(st.sampled_from([float64, float32, int64]))
    array = np.random.default_rng(3).integers(-3, 4, shape).astype(dtype)
    expected = np.asarray(getattr(np, kind)(array, axis=axes, keepdims=keepdims), dtype)
    loop = loops.Reduce(kind, axes, keepdims)
    np.testing.assert_array_equal(
        run_loop(loop, [array], type_of(expected), backend=backend, is_strided=is_strided), expected
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["sum", "prod"])
def test_folds_of_nothing(backend, kind):
    expected = np.full(3, 0.0 if kind == "sum" else 1.0)
    found = run_loop(loops.Reduce(kind, (0,)), [np.zeros((0, 3))], type_of(expected), backend=backend)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25)
@given(
    axis=st.integers(0, 2),
    parts=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    dtype=st.sampled_from([float64, float32, int64, bool_]),
    is_strided=st.booleans(),
)
def test_joins(backend, axis, parts, dtype, is_strided):
    generator = np.random.default_rng(4)
    arrays = [
        generator.integers(0, 2, (*(2, 3, 2)[:axis], part, *(2, 3, 2)[axis + 1 :])).astype(dtype) for part in parts
    ]
    expected = np.concatenate(arrays, axis)
    found = run_loop(loops.Concat(axis), arrays, type_of(expected), backend=backend, is_strided=is_strided)
    np.testing.assert_array_equal(found, expected)
    same = [arrays[0]] * len(parts)
    expected = np.stack(same, axis)
    found = run_loop(loops.Concat(axis, new_axis=True), same, type_of(expected), backend=backend, is_strided=is_strided)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [float32, float64, int64])
@pytest.mark.parametrize(
    ("ids", "row"), [((7, 30), (40,)), ((500,), (3, 5)), ((600,), (7,)), ((5000,), ()), ((9,), (500,))]
)
def test_rows_are_added_up_at_their_ids(backend, dtype, ids, row):
    """Few rows and many, narrow and wide: some are sorted first."""
    generator = np.random.default_rng(3)
    at = generator.integers(0, 9, ids)
    updates = (generator.normal(size=(*ids, *row)) * 100.0).astype(dtype)
    expected = np.zeros((11, *row), dtype)
    np.add.at(expected, at, updates)
    found = run_loop(loops.Scatter(11), [at, updates], TensorType(dtype, expected.shape), backend=backend)
    bound = {float32: 1e-5, float64: 1e-13, int64: 0.0}[dtype]
    np.testing.assert_allclose(found, expected, rtol=bound, atol=1e3 * bound)
