"""Inputs and constants: how values come into a graph.

One rule for dtypes. An input is float32 unless `dtype=` says otherwise, or its `value=` is a numpy array or numpy
scalar: that keeps its dtype (other integers become int64, float16 becomes float32). A constant and a node made by
`node_from_any` follow their value also where it is plain Python: whole numbers give int64, truth values bool, and
all other numbers float32.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Iterable

import numpy as np

from graphflow import initializers
from graphflow.dtypes import DType, as_dtype, float32
from graphflow.errors import BindingError, GraphError, OptionError, PositionError, ShapeError
from graphflow.graph import ExprGraph
from graphflow.node import Node
from graphflow.op import OPERATORS
from graphflow.storage import allocate, store
from graphflow.tensortype import Shape, TensorType, as_shape
from graphflow.values import Array, as_array, fit, natural_dtype

Init = Callable[[Shape, DType, np.random.Generator], Array]


def scalar(
    g: ExprGraph, *, name: str | None = None, dtype: object = None, init: Init | None = None, value: object = None
) -> Node:
    """An input without axes.

    Args:
        g: the graph it is added to.
        name: shown in messages and pictures; a named node's value is kept after every run.
        dtype: float32 where it is left out, or the dtype of a numpy `value`.
        init: draws its first value, such as `gaussian_init(0, 1)`.
        value: its first value. Not together with `init`.

    Returns:
        The new node, bound where `init` or `value` is given.

    Raises:
        ShapeError, DTypeError, BindingError: the value does not fit; OptionError: a wrong option; GraphError: no graph.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.scalar(g, name="x", value=2.5).value
        array(2.5, dtype=float32)

    Source: Gorgonia NewScalar.
    """
    return _input("scalar", g, (), name, dtype, init, value)


def vector(
    g: ExprGraph,
    n: int | Iterable[int],
    *,
    name: str | None = None,
    dtype: object = None,
    init: Init | None = None,
    value: object = None,
) -> Node:
    """An input with one axis.

    Args:
        g: the graph it is added to.
        n: its length, as a number or a tuple of one.
        name: shown in messages and pictures; a named node's value is kept after every run.
        dtype: float32 where it is left out, or the dtype of a numpy `value`.
        init: draws its first value, such as `glorot_n()`.
        value: its first value, [n]. Not together with `init`.

    Returns:
        The new node, bound where `init` or `value` is given.

    Raises:
        ShapeError, DTypeError, BindingError: the value does not fit; OptionError: a wrong option; GraphError: no graph.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.vector(g, 3, name="x")
        <Node x: float32[3] = input>

    Source: Gorgonia NewVector.
    """
    return _input("vector", g, _sizes("vector", n, 1), name, dtype, init, value)


def matrix(
    g: ExprGraph,
    shape: Iterable[int],
    *,
    name: str | None = None,
    dtype: object = None,
    init: Init | None = None,
    value: object = None,
) -> Node:
    """An input with two axes.

    Args:
        g: the graph it is added to.
        shape: rows and columns.
        name: shown in messages and pictures; a named node's value is kept after every run.
        dtype: float32 where it is left out, or the dtype of a numpy `value`.
        init: draws its first value, such as `glorot_n()`.
        value: its first value, [rows, columns]. Not together with `init`.

    Returns:
        The new node, bound where `init` or `value` is given.

    Raises:
        ShapeError, DTypeError, BindingError: the value does not fit; OptionError: a wrong option; GraphError: no graph.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.matrix(g, (2, 3), name="w", init=gf.zeroes())
        <Node w: float32[2, 3] = input>

    Source: Gorgonia NewMatrix.
    """
    return _input("matrix", g, _sizes("matrix", shape, 2), name, dtype, init, value)


def tensor(
    g: ExprGraph,
    shape: int | Iterable[int],
    *,
    name: str | None = None,
    dtype: object = None,
    init: Init | None = None,
    value: object = None,
) -> Node:
    """An input with any number of axes.

    Args:
        g: the graph it is added to.
        shape: its sizes.
        name: shown in messages and pictures; a named node's value is kept after every run.
        dtype: float32 where it is left out, or the dtype of a numpy `value`.
        init: draws its first value, such as `glorot_n()`.
        value: its first value, of that shape. Not together with `init`.

    Returns:
        The new node, bound where `init` or `value` is given.

    Raises:
        ShapeError, DTypeError, BindingError: the value does not fit; OptionError: a wrong option; GraphError: no graph.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.tensor(g, (2, 3, 4), dtype="float64")
        <Node %0: float64[2, 3, 4] = input>

    Source: Gorgonia NewTensor.
    """
    return _input("tensor", g, _sizes("tensor", shape, None), name, dtype, init, value)


def constant(g: ExprGraph, value: object, name: str | None = None, dtype: object = None) -> Node:
    """A value that never changes.

    Args:
        g: the graph it is added to.
        value: a number, nested lists or an array, which is copied.
        name: shown in messages and pictures.
        dtype: left out, that of a numpy value; else float32, int64 or bool as the numbers are.

    Returns:
        The constant; equal unnamed scalars are one node.

    Raises:
        BindingError: the value is not made of numbers; DTypeError: it does not go with the dtype.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.constant(g, [1.0, 2.0])
        <Node %0: float32[2] = constant>

    Source: Gorgonia NewConstant.
    """
    _check("constant", g, name)
    wanted = _own_dtype(value, as_array(value, "the constant")) if dtype is None else as_dtype(dtype)
    return g.constant(value, name, wanted)


def node_from_any(g: ExprGraph, value: object, name: str | None = None, dtype: object = None) -> Node:
    """An input that has the given value; a node of this graph is returned as it is.

    Args:
        g: the graph it is added to.
        value: a number, nested lists, an array, or a node.
        name: shown in messages and pictures.
        dtype: left out, that of a numpy value; else float32, int64 or bool as the numbers are.

    Returns:
        The input, bound; or the given node.

    Raises:
        BindingError: the value is not made of numbers; DTypeError: it does not go with the dtype;
        GraphError: a node of another graph; OptionError: a node together with a name or a dtype.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.node_from_any(g, [[1, 2]], name="ids")
        <Node ids: int64[1, 2] = input>

    Source: Gorgonia NodeFromAny.
    """
    _check("node_from_any", g, name)
    if isinstance(value, Node):
        if value.graph is not g:
            raise GraphError(
                f"node_from_any: {value} belongs to another graph", needs="a node of this graph", where=value.origin
            )
        if name is not None or dtype is not None:
            raise OptionError(
                f"node_from_any: {value} is a node already",
                got="name= or dtype=",
                needs="the node alone",
                hint="gf.cast",
            )
        return value
    array = as_array(value, "the value")
    wanted = _own_dtype(value, array) if dtype is None else dtype
    return _input("node_from_any", g, array.shape, name, wanted, None, array)


def one_hot(g: ExprGraph, id: int | Node, classes: int, dtype: object = "float32", name: str | None = None) -> Node:
    """A vector of 0 with a 1 at position `id`: a constant, or of a node of ids one vector for each of them.

    Args:
        g: the graph it is added to.
        id: the position, from 0 to classes - 1; or a node of int64, of any shape.
        classes: the length, 1 or more.
        dtype: of the vector.
        name: shown in messages and pictures.

    Returns:
        The constant [classes]; for a node [..., classes], whose ids are checked when a machine runs.

    Raises:
        PositionError: there is no such position; OptionError: one of the two is no whole number; DTypeError: the node
        is not int64.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.one_hot(g, 2, 4).value
        array([0., 0., 1., 0.], dtype=float32)
        >>> print(gf.one_hot(g, gf.vector(g, 3, dtype="int64"), 4).type)
        float32[3, 4]

    Source: Gorgonia OneHotVector.
    """
    _check("one_hot", g, name)
    length = _whole("classes", classes)
    if length < 1:
        raise OptionError("one_hot: there are no classes", got=f"classes={length}", needs="1 or more")
    if isinstance(id, Node):
        found = OPERATORS.one_hot(id, length, as_dtype(dtype))
        found.name = name
        return found
    position = _whole("id", id)
    if not 0 <= position < length:
        raise PositionError(
            f"one_hot: there is no class {position}", got=f"{length} classes", needs=f"an id from 0 to {length - 1}"
        )
    kind, sizes = as_dtype(dtype), _sizes("one_hot", length, 1)
    try:
        array = np.zeros(sizes, kind)
    except MemoryError:
        raise _no_memory(f"one_hot: {length} classes", TensorType(kind, sizes)) from None
    array[position] = 1
    return g.constant(array, name, kind)


# --- the one way in ---------------------------------------------------------------------------------------------------


def _input(
    what: str, g: ExprGraph, shape: Shape, name: str | None, dtype: object, init: Init | None, value: object
) -> Node:
    """Check everything, then append the input and bind it: a misuse leaves the graph and its generator as they were."""
    _check(what, g, name)
    if init is not None and value is not None:
        raise OptionError(f"{what}: init and value are both given", needs="one of them, or none")
    if dtype is not None:
        kind = as_dtype(dtype)
    else:
        kind = natural_dtype(as_array(value)) if isinstance(value, (np.ndarray, np.generic)) else float32
    value_type = TensorType(kind, shape)
    text = f"{name or what}: {value_type}"
    array = None
    if value is not None:
        array = fit(value, value_type, text)
    elif init is not None:
        _check_init(what, init)
        array = _initial(init, value_type, g.generator, text)
    node = g.leaf(value_type, name)
    if array is not None:
        # No machine can know the node yet, so its storage appears without notice.
        allocate(node)
        store(node, array)
    return node


def _check(what: str, g: object, name: object) -> None:
    if not isinstance(g, ExprGraph):
        raise GraphError(
            f"{what}: the first argument is no graph", got=type(g).__name__, needs="an ExprGraph", hint="gf.ExprGraph()"
        )
    if name is not None and not isinstance(name, str):
        raise OptionError(f"{what}: a name must be text", got=repr(name), needs="a str or None")


def _check_init(what: str, init: object) -> None:
    if isinstance(init, types.FunctionType) and init.__module__ == initializers.__name__:
        raise OptionError(
            f"{what}: init is not called",
            got=f"init={init.__name__}",
            needs="an initialiser",
            hint=f"init={init.__name__}(...)",
        )
    if not callable(init):
        raise OptionError(
            f"{what}: init is no initialiser",
            got=repr(init),
            needs="such as zeroes(), or a function of shape, dtype and generator",
            hint="value= for a given value",
        )


def _initial(init: Init, value_type: TensorType, generator: np.random.Generator, text: str) -> Array:
    """What the initialiser draws, checked; where it fails the generator is as it was."""
    before = generator.bit_generator.state
    try:
        return fit(init(value_type.shape, value_type.dtype, generator), value_type, text)
    except BaseException as error:
        generator.bit_generator.state = before
        if isinstance(error, MemoryError):
            raise _no_memory(text, value_type) from None
        raise


def _no_memory(text: str, value_type: TensorType) -> BindingError:
    return BindingError(f"there is no memory for {text}", got=f"{value_type.bytes} bytes", needs="a smaller shape")


def _sizes(what: str, shape: int | Iterable[int], dims: int | None) -> Shape:
    """The shape, with that many sizes where dims is a number; a plain whole number is one size."""
    if isinstance(shape, Node):
        raise ShapeError(
            f"{what}: {shape} is no shape", got="a node", needs="whole numbers", hint=f"{shape.label}.shape"
        )
    sizes = as_shape(shape)
    if dims is not None and len(sizes) != dims:
        needs = "one size" if dims == 1 else "two sizes, rows and columns"
        raise ShapeError(f"{what}: wrong number of sizes", got=f"the shape {sizes}", needs=needs, hint="gf.tensor")
    return sizes


def _own_dtype(value: object, array: Array) -> DType:
    """The dtype of a value that nobody else decides: numpy values keep theirs, Python's floats are float32."""
    if array.dtype.kind == "f" and not isinstance(value, (np.ndarray, np.generic)):
        return float32
    return natural_dtype(array)


def _whole(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]  # any object is tried, on purpose
    except TypeError:
        raise OptionError(f"one_hot: {name} is no whole number", got=repr(value), needs="a whole number") from None
