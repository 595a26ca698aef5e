"""Windows, and elements that lie apart, whose operands touch pages that must not be read or written.

Run by `python -m tests.backends.llvm.guarded_windows`, in a process of its own, since a slip ends it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graphflow import loops
from graphflow.ops.convolution import Convolution, ConvolutionFilter
from graphflow.ops.windows import Sweep
from graphflow.scalars import trace
from graphflow.tensortype import TensorType
from tests.backends.llvm.guarded_products import GuardedPages
from tests.backends.llvm.product_kernels import DTYPES, WIDTHS, Kernels, host_with

# Batch, channels, filters, lengths and sizes of the window; strides.
CONVOLUTIONS = [
    (2, 3, 9, (20, 23), (3, 3), (1, 1)),
    (1, 2, 5, (7, 7), (2, 2), (1, 1)),
    (2, 4, 3, (5, 40), (1, 3), (1, 2)),
    (3, 1, 8, (28, 28), (5, 5), (1, 1)),
    (2, 70, 4, (3, 18), (3, 3), (1, 1)),
    (2, 3, 7, (50,), (4,), (1,)),
    (2, 2, 6, (19, 33), (3, 2), (2, 2)),
]


class Case(NamedTuple):
    """A loop, its arrays with the output last, and what the output should be."""

    loop: loops.Loop
    arrays: tuple[np.ndarray, ...]
    expected: np.ndarray


def convolutions(dtype):
    """Each both ways: forward, and towards the filters."""
    generator = np.random.default_rng(1)
    for batch, channels, filters, lengths, sizes, strides in CONVOLUTIONS:
        sweeps = tuple(Sweep(size, stride) for size, stride in zip(sizes, strides, strict=True))
        x = generator.normal(size=(batch, channels, *lengths)).astype(dtype)
        f = generator.normal(size=(filters, channels, *sizes)).astype(dtype)
        forward, back = Convolution(sweeps), ConvolutionFilter(sweeps)
        y, df = forward.evaluate(x, f), None
        df = back.evaluate(x, y)
        types = [TensorType(DTYPES[np.dtype(dtype)], each.shape) for each in (x, f, y)]
        yield Case(forward.lower(*types[:2]), (x, f, np.empty_like(y)), y)
        yield Case(back.lower(types[0], types[2]), (x, y, np.empty_like(df)), df)


def apart(dtype, placed):
    """Maps and folds of every second to fourth element; `placed` puts an array where its end or its beginning is."""
    kind = DTYPES[np.dtype(dtype)]
    double, total = trace(lambda x: x + x, [kind]), trace(lambda x, y: x * y, [kind, kind])
    for step in (2, 3, 4):
        for length in (1, 5, 16, 17, 31, 40):
            base = placed(np.arange(2 * (length * step - step + 1), dtype=dtype).reshape(2, -1))
            view = base[:, ::step]
            yield Case(loops.Map(double), (view, placed(np.empty(view.shape, dtype))), view + view)
            blocks = placed(np.arange(2 * length * step, dtype=dtype).reshape(2, length, step))
            yield Case(loops.Reduce("max", (2,)), (blocks, placed(np.empty((2, length), dtype))), blocks.max(2))
            few = placed(np.arange(2 * length, dtype=dtype).reshape(2, length, 1))
            repeated = np.broadcast_to(few, (2, length, step))
            yield Case(loops.Map(total), (repeated, blocks, placed(np.empty(blocks.shape, dtype))), repeated * blocks)


def main():
    kept = []
    for host in [found for found in map(host_with, WIDTHS) if found is not None]:
        for dtype in ("float32", "float64"):
            for at_end in (True, False):

                def placed(array, at_end=at_end):
                    kept.append(GuardedPages(array.nbytes))
                    return kept[-1].array(array, at_end=at_end)

                cases = [case._replace(arrays=tuple(map(placed, case.arrays))) for case in convolutions(dtype)]
                cases += apart(dtype, placed)
                kernels = Kernels(cases, host)
                assert all(kernels.written)
                for number, case in enumerate(cases):
                    kernels.run(number)
                    bound = {"float32": 1e-4, "float64": 1e-12}[dtype]
                    np.testing.assert_allclose(
                        case.arrays[-1], case.expected, rtol=bound, atol=bound * np.abs(case.expected).max()
                    )
    print("right")


if __name__ == "__main__":
    main()
