"""How far elements lie from their mean, along axes."""

from __future__ import annotations

import math
import operator

from graphflow.errors import OptionError, ShapeError
from graphflow.graph import check_nodes
from graphflow.node import Node
from graphflow.op import OPERATORS
from graphflow.ops.comparisons import eq, where
from graphflow.ops.elementary import sqrt, square
from graphflow.ops.reductions import Axes, mean, sum
from graphflow.ops.shape import naming
from graphflow.tensortype import as_axes, float_dtype


def var(x: Node, axis: Axes = None, *, ddof: int = 0, keepdims: bool = False) -> Node:
    """The variance along axes: the sum of (x - mean(x))**2 divided by their number less ddof; floats only. See `mean`.

    Args:
        x: any shape.
        axis: an axis, several, or None for all; negative ones count from the back.
        ddof: what is taken from the number of elements: 0 for a whole population, 1 for a sample of it.
        keepdims: leave the reduced axes in place with size 1.

    Raises:
        ShapeError: no such axis, or no more than ddof elements. DTypeError: not floating.
        OptionError: ddof is negative or no whole number.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> v = gf.var(gf.vector(g, 3, value=[1.0, 2.0, 6.0]), ddof=1)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(v.value)
        7.0

    Source: numpy var.
    """
    count = _count("var", x, axis, ddof)
    squares = square(x - mean(x, axis, keepdims=True))
    return sum(squares, axis, keepdims=keepdims) / float(count)


def std(x: Node, axis: Axes = None, *, ddof: int = 0, keepdims: bool = False) -> Node:
    """The standard deviation along axes, sqrt(var(x)); its gradient where all elements are equal is 0. See `var`.

    Source: numpy std.
    """
    _count("std", x, axis, ddof)
    variance = var(x, axis, ddof=ddof, keepdims=keepdims)
    # The slope of a root at 0 is infinite, and infinity times 0 is not a number.
    is_zero = eq(variance, 0.0)
    return where(is_zero, 0.0, sqrt(where(is_zero, 1.0, variance)))


def _count(op: str, x: Node, axis: Axes, ddof: int) -> int:
    """By how much the sum of squares is divided."""
    check_nodes(op, [x])
    try:
        less = operator.index(ddof)
    except TypeError:
        less = -1
    if less < 0:
        raise OptionError(f"{op}: ddof={ddof!r}", needs="a whole number of 0 or more")
    with naming(op, x):
        float_dtype(x.type)
        count = math.prod(x.shape[place] for place in as_axes(axis, x.dims))
        if count <= less:
            raise ShapeError(
                "not defined for {0}", got=f"{count} elements", needs=f"more than ddof={less}", operands=[x]
            )
    return count - less


OPERATORS.std = std
OPERATORS.var = var
