"""Updates of several inputs at once, by numpy and by machine code, against whole arrays."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.backends.llvm.host import this_host
from graphflow.backends.llvm.updates import native_update, update_record
from graphflow.backends.updates import NumpyUpdate
from graphflow.dtypes import float32, float64
from graphflow.scalars import trace_update

ARRAYS, NUMBERS = 3, 2
INPUTS = ARRAYS + NUMBERS


def by_numpy(update, arrays, numbers):
    plan = NumpyUpdate(update)
    plan.run([*arrays, *numbers], [np.full_like(arrays[0], np.nan) for _ in range(plan.scratch_arrays)])


def by_machine_code(update, arrays, numbers):
    kept = np.array(numbers, arrays[0].dtype)
    record = update_record(arrays, kept)
    native_update(update, len(arrays), this_host()).run(record.ctypes.data)


def assert_replaced(function, size=19, dtype=float64):
    """Both ways give what the function gives for whole arrays."""
    update = trace_update(lambda *scalars: dict(enumerate(function(*scalars))), [dtype] * INPUTS)
    generator = np.random.default_rng(0)
    start = [generator.uniform(0.5, 2.0, size).astype(dtype) for _ in range(ARRAYS)]
    numbers = [0.75, 1.5]
    expected = function(*start, *numbers)
    for run in (by_numpy, by_machine_code):
        arrays = [array.copy() for array in start]
        run(update, arrays, numbers)
        for number, array in enumerate(arrays):
            wanted = expected[number] if number < len(expected) else start[number]
            np.testing.assert_array_equal(array, wanted, err_msg=f"{run.__name__}, input {number}")


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b, _, *n: (a - b * n[0],),
        lambda a, b, *_: (b, a),
        lambda a, b, c, *_: (b, c, a),
        lambda a, b, c, *_: (a, b, c),
        lambda a, b, *_: (a + b, a + b),
        lambda a, b, c, *n: (a * n[0] + b * n[1], a * b, a * b + c),
        lambda a, b, c, *n: (b * n[0], a * n[0], (a - b) * c),
        lambda a, b, *_: ((a * 0.5) * (a * 0.5) + (b * 2.0), b * 3.0 + b),
        lambda a, b, c, *_: (a + c, b + (a + c), c / (a - 4.0)),
        lambda a, b, _, *n: (a * 0.0 + n[0], 1.0 - b),
    ],
)
def test_results_replace_inputs_as_if_all_at_once(function):
    for size in (1, 16, 37):
        for dtype in (float32, float64):
            assert_replaced(function, size, dtype)


def test_nothing_to_walk_over():
    assert_replaced(lambda a, b, _, *n: (a - b * n[0],), size=0)


@st.composite
def functions(draw):
    """A function of three arrays and two numbers with one to three results, made of random steps."""
    count = draw(st.integers(1, 14))
    steps = [
        (
            draw(st.sampled_from([operator.add, operator.sub, operator.mul, operator.truediv])),
            draw(st.integers(0, INPUTS + number - 1)),
            draw(st.integers(0, INPUTS + number - 1)),
        )
        for number in range(count)
    ]
    # A plain number cannot take the place of an array.
    arrays = [*range(ARRAYS), *range(INPUTS, INPUTS + count)]
    results = draw(st.lists(st.sampled_from(arrays), min_size=1, max_size=ARRAYS))

    def function(*inputs):
        values = list(inputs)
        nothing = values[0] * 0.0  # so that every step gives an array
        for operation, x, y in steps:
            values.append(operation(values[x] + nothing, values[y]))
        return tuple(values[number] for number in results)

    return function


@settings(max_examples=60)
@given(functions())
def test_random_updates(function):
    with np.errstate(all="ignore"):
        assert_replaced(function)


def test_a_maximum_and_a_minimum_become_one_call():
    update = trace_update(lambda a, low, high: {0: a.maximum(low).minimum(high) * 2.0}, [float64] * 3)
    plan = NumpyUpdate(update)
    assert [call.function for call in plan._calls] == [np.clip, np.multiply]
    array = np.array([-3.0, 0.5, 3.0, np.nan])
    plan.run([array, -1.0, 1.0], [np.empty(4)] * plan.scratch_arrays)
    np.testing.assert_array_equal(array, [-2.0, 1.0, 2.0, np.nan])


def test_a_maximum_that_is_read_again_stays():
    def function(a, b, _, *n):
        larger = a.maximum(n[0]) if not isinstance(a, np.ndarray) else np.maximum(a, n[0])
        smaller = larger.minimum(n[1]) if not isinstance(a, np.ndarray) else np.minimum(larger, n[1])
        return smaller, larger * b

    assert_replaced(function)


@pytest.mark.parametrize("dtype", [float32, float64])
def test_a_clip_lets_nan_through_and_holds_infinities(dtype):
    update = trace_update(lambda a, low, high: {0: a.maximum(low).minimum(high)}, [dtype] * 3)
    start = np.array([np.nan, np.inf, -np.inf, 0.5, -7.0, 7.0, 2.0, -2.0] * 5, dtype)
    for run in (by_numpy, by_machine_code):
        arrays = [start.copy()]
        run(update, arrays, [-2.0, 2.0])
        np.testing.assert_array_equal(arrays[0], np.clip(start, -2.0, 2.0))
