"""Whole numbers next to a float as LLVM instructions.

Before SSE4.1 there is no instruction that rounds: adding a number whose last bit counts ones, and taking it away, does
so on every machine, to the even one of two that are equally near.
"""

from __future__ import annotations

from graphflow.backends.llvm.mathematics import absolute, format_of
from graphflow.backends.llvm.writer import Value, Writer


def round_(w: Writer, x: Value) -> Value:
    """The nearest whole number; of two the even one."""
    size, limit = absolute(w, x), w.constant(2.0 ** format_of(x).fraction, x)
    found = w.sub(w.add(size, limit), limit)
    # Numbers beyond have no fraction; NaN is not below the limit either.
    return w.select(w.compare("olt", size, limit), w.intrinsic("copysign", found, x), x)


def floor(w: Writer, x: Value) -> Value:
    near = round_(w, x)
    lower = w.sub(near, w.constant(1.0, x))
    return w.intrinsic("copysign", w.select(w.compare("ogt", near, x), lower, near), x)


def ceil(w: Writer, x: Value) -> Value:
    near = round_(w, x)
    higher = w.add(near, w.constant(1.0, x))
    return w.intrinsic("copysign", w.select(w.compare("olt", near, x), higher, near), x)
