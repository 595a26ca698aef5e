"""Node: a handle on one value of a graph. It computes nothing; its operators add nodes to the graph."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, final

from graphflow.dtypes import DType
from graphflow.errors import DTypeError, GradientError, GraphError, OptionError, ShapeError, UnboundError, ValueNotKept
from graphflow.op import OPERATORS, Op
from graphflow.origin import Origin
from graphflow.tensortype import Shape, TensorType
from graphflow.values import Array

if TYPE_CHECKING:
    from types import CodeType

    from graphflow.graph import ExprGraph


# What numpy calls when an array stands on the left of an operator.
UFUNC_OPERATORS = {
    "add": "add", "subtract": "sub", "multiply": "hadamard_prod", "divide": "hadamard_div", "power": "pow",
    "matmul": "matmul", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "equal": "eq",
    "not_equal": "ne", "bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_xor": "logical_xor",
}  # fmt: skip


class ValueHolder(Protocol):
    """A machine's values, as a node sees them."""

    def read(self, node: Node) -> Array:
        """A copy of the node's value, or ValueNotKept."""


@final
class Node:
    """One value of a graph: an input, a constant, or an operation applied to other nodes.

    Attributes:
        graph: the graph it belongs to.
        id: its number in the graph, counted from 0 in order of creation.
        op: the operation, None for inputs and constants.
        inputs: the nodes the operation is applied to.
        type: dtype and shape together.
        step: the time step it was made in (`with graph.step(t):`), or None.
        scope: the scope it was made in, such as "decoder/lstm", or "".
        gradient_of: for a node made by `grad`, the forward node whose gradient it belongs to.
    """

    __slots__ = (
        "__weakref__", "_name", "code", "gradient_of", "graph", "holder", "id", "inputs", "is_bound", "is_constant",
        "offset", "op", "scope", "step", "storage", "type",
    )  # fmt: skip

    def __init__(  # every slot is set exactly once, here
        self,
        graph: ExprGraph,
        number: int,
        op: Op | None,
        inputs: tuple[Node, ...],
        value_type: TensorType,
        name: str | None,
        origin: tuple[CodeType, int],
    ) -> None:
        self.graph = graph
        self.id = number
        self.op = op
        self.inputs = inputs
        self.type = value_type
        self._name: str | None = None
        if name is not None:
            self.name = name
        self.code, self.offset = origin
        self.step = graph.current_step
        self.scope = graph.current_scope
        self.gradient_of = graph.current_forward
        self.is_constant = False
        self.is_bound = False
        self.storage: Array | None = None
        self.holder: ValueHolder | None = None

    # --- what it is -------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str | None:
        """The user's name, or None.

        Raises:
            OptionError: when it is set to something else.
        """
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        if name is not None and not isinstance(name, str):
            raise OptionError("a name must be text", got=repr(name), needs="a str or None")
        self._name = name

    @property
    def shape(self) -> Shape:
        """Its sizes, () for a scalar."""
        return self.type.shape

    @property
    def dtype(self) -> DType:
        """float32, float64, int64 or bool, as numpy's dtype object."""
        return self.type.dtype

    @property
    def dims(self) -> int:
        """How many axes it has."""
        return len(self.type.shape)

    @property
    def ndim(self) -> int:
        """How many axes it has, under numpy's name."""
        return len(self.type.shape)

    @property
    def size(self) -> int:
        """How many elements it has."""
        return self.type.size

    @property
    def is_input(self) -> bool:
        """Whether it gets its value from outside: neither computed nor constant."""
        return self.op is None and not self.is_constant

    @property
    def is_scalar(self) -> bool:
        """Whether it has no axes."""
        return self.dims == 0

    @property
    def is_vector(self) -> bool:
        """Whether it has one axis."""
        return self.dims == 1

    @property
    def is_matrix(self) -> bool:
        """Whether it has two axes."""
        return self.dims == 2

    @property
    def origin(self) -> Origin:
        """The user's line that made it."""
        return Origin(self.code, self.offset)

    @property
    def label(self) -> str:
        """Its name, or its number as %12."""
        return f"%{self.id}" if self.name is None else self.name

    def __str__(self) -> str:
        return f"{self.label}: {self.type}"

    def __repr__(self) -> str:
        what = "constant" if self.is_constant else "input" if self.op is None else self.op.name
        operands = f"({', '.join(node.label for node in self.inputs)})" if self.inputs else ""
        return f"<Node {self} = {what}{operands}>"

    # --- its value --------------------------------------------------------------------------------------------------

    @property
    def value(self) -> Array:
        """A copy of its value: what was bound to an input, what the latest run computed for any other node.

        Raises:
            UnboundError: nothing is bound to the input.
            ValueNotKept: nothing has run yet, or the machine did not keep this value.
        """
        override = self.graph.overrides.get(self.id)
        if override is not None:
            return override.copy()
        if self.op is None:
            if self.storage is None or not self.is_bound:
                raise UnboundError(
                    f"{self} has no value", needs="a bound value", hint=f"gf.let({self.label}, ...)", where=self.origin
                )
            return self.storage.copy()
        if self.holder is None:
            raise ValueNotKept(
                f"{self} has no value",
                got="no run of a machine that keeps it",
                needs="a machine over this node that has run and keeps it: it may have been fused away or reused",
                hint="gf.read(node) or node.name = '...' before the machine is made, or TapeMachine(g, keep='all')",
                where=self.origin,
            )
        return self.holder.read(self)

    @property
    def grad(self) -> Array:
        """A copy of its gradient in the latest run: the value of the node that the latest `grad` returned for it.

        Raises:
            GradientError: `grad` was never called with respect to this node.
        """
        node = self.graph.gradients.get(self.id)
        if node is not None and node.holder is None and node.op is not None and node.id not in self.graph.overrides:
            raise ValueNotKept(
                f"the gradient of {self} has no value",
                got="no run of a machine that computes it",
                needs="a machine that was made after gf.grad, with the gradient among its outputs",
                hint="TapeMachine(g), or outputs=(..., gradient)",
                where=node.origin,
            )
        if node is not None:
            return node.value
        eager = self.graph.eager_gradients.get(self.id)
        if eager is not None:
            return eager.copy()
        raise GradientError(
            f"{self} has no gradient",
            needs="a call of grad with respect to it",
            hint=f"gf.grad(cost, {self.label})",
            where=self.origin,
        )

    # --- operators: each one line that looks up the op's function ----------------------------------------------------

    def __add__(self, other: object) -> Node:
        return OPERATORS.add(self, other)

    def __radd__(self, other: object) -> Node:
        return OPERATORS.add(other, self)

    def __sub__(self, other: object) -> Node:
        return OPERATORS.sub(self, other)

    def __rsub__(self, other: object) -> Node:
        return OPERATORS.sub(other, self)

    def __mul__(self, other: object) -> Node:
        return OPERATORS.hadamard_prod(self, other)

    def __rmul__(self, other: object) -> Node:
        return OPERATORS.hadamard_prod(other, self)

    def __truediv__(self, other: object) -> Node:
        return OPERATORS.hadamard_div(self, other)

    def __rtruediv__(self, other: object) -> Node:
        return OPERATORS.hadamard_div(other, self)

    def __pow__(self, other: object) -> Node:
        return OPERATORS.pow(self, other)

    def __rpow__(self, other: object) -> Node:
        return OPERATORS.pow(other, self)

    def __matmul__(self, other: object) -> Node:
        return OPERATORS.matmul(self, other)

    def __rmatmul__(self, other: object) -> Node:
        return OPERATORS.matmul(other, self)

    def __neg__(self) -> Node:
        return OPERATORS.neg(self)

    def __abs__(self) -> Node:
        return OPERATORS.abs(self)

    def __and__(self, other: object) -> Node:
        return OPERATORS.logical_and(self, other)

    def __rand__(self, other: object) -> Node:
        return OPERATORS.logical_and(other, self)

    def __or__(self, other: object) -> Node:
        return OPERATORS.logical_or(self, other)

    def __ror__(self, other: object) -> Node:
        return OPERATORS.logical_or(other, self)

    def __xor__(self, other: object) -> Node:
        return OPERATORS.logical_xor(self, other)

    def __rxor__(self, other: object) -> Node:
        return OPERATORS.logical_xor(other, self)

    def __invert__(self) -> Node:
        return OPERATORS.logical_not(self)

    def __lt__(self, other: object) -> Node:
        return OPERATORS.lt(self, other)

    def __le__(self, other: object) -> Node:
        return OPERATORS.le(self, other)

    def __gt__(self, other: object) -> Node:
        return OPERATORS.gt(self, other)

    def __ge__(self, other: object) -> Node:
        return OPERATORS.ge(self, other)

    def __eq__(self, other: object) -> Node:  # type: ignore[override]  # elementwise, as in numpy and PyTorch
        return OPERATORS.eq(self, other)

    def __ne__(self, other: object) -> Node:  # type: ignore[override]  # elementwise, as in numpy and PyTorch
        return OPERATORS.ne(self, other)

    def __array_ufunc__(self, ufunc: Callable[..., object], method: str, *inputs: object, **keywords: object) -> Node:
        """An array on the left of an operator leaves the operation to the node; other numpy functions are refused."""
        name = UFUNC_OPERATORS.get(ufunc.__name__)
        if name is None or method != "__call__" or keywords:
            raise self._is_none_of_numpys(ufunc.__name__)
        operator: Callable[..., Node] = getattr(OPERATORS, name)
        return operator(*inputs)

    def __array_function__(self, function: Callable[..., object], *_: object) -> NoReturn:
        """What numpy would do by calling the method of that name with arguments of its own is refused as well."""
        raise self._is_none_of_numpys(function.__name__)

    def _is_none_of_numpys(self, function: str) -> DTypeError:
        return DTypeError(
            f"numpy.{function} cannot be applied to {self}",
            got="a node given to numpy",
            needs="the function of graphflow that adds a node, or a value",
            hint=f"gf.{function}(...), or node.value after a run",
            where=self.origin,
        )

    # Nodes are told apart by identity in sets and dicts, as tensors are in PyTorch.
    __hash__ = object.__hash__

    def __getitem__(self, key: object) -> Node:
        return OPERATORS.slice_(self, key)

    def __iter__(self) -> Iterator[Node]:
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError(f"{self} has no length", got="a scalar", needs="at least one axis", where=self.origin)
        return self.shape[0]

    @property
    def T(self) -> Node:  # noqa: N802 - numpy's name
        """The transpose: all axes reversed."""
        return OPERATORS.transpose(self)

    def sum(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Node:
        """The sum along axes; see `graphflow.sum`."""
        return OPERATORS.sum(self, axis, keepdims=keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Node:
        """The mean along axes; see `graphflow.mean`."""
        return OPERATORS.mean(self, axis, keepdims=keepdims)

    def max(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Node:
        """The largest element along axes; see `graphflow.max`."""
        return OPERATORS.max(self, axis, keepdims=keepdims)

    def min(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Node:
        """The smallest element along axes; see `graphflow.min`."""
        return OPERATORS.min(self, axis, keepdims=keepdims)

    def prod(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Node:
        """The product along axes; see `graphflow.prod`."""
        return OPERATORS.prod(self, axis, keepdims=keepdims)

    def var(self, axis: int | tuple[int, ...] | None = None, *, ddof: int = 0, keepdims: bool = False) -> Node:
        """The variance along axes; see `graphflow.var`."""
        return OPERATORS.var(self, axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: int | tuple[int, ...] | None = None, *, ddof: int = 0, keepdims: bool = False) -> Node:
        """The standard deviation along axes; see `graphflow.std`."""
        return OPERATORS.std(self, axis, ddof=ddof, keepdims=keepdims)

    def all(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Node:
        """Whether all elements along axes are True; see `graphflow.all`."""
        return OPERATORS.all(self, axis, keepdims=keepdims)

    def any(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Node:
        """Whether an element along axes is True; see `graphflow.any`."""
        return OPERATORS.any(self, axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Node:
        """The position of the largest element along an axis; see `graphflow.argmax`."""
        return OPERATORS.argmax(self, axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Node:
        """The position of the smallest element along an axis; see `graphflow.argmin`."""
        return OPERATORS.argmin(self, axis, keepdims=keepdims)

    def cumsum(self, axis: int | None = None) -> Node:
        """The running sums along an axis; see `graphflow.cumsum`."""
        return OPERATORS.cumsum(self, axis)

    def reshape(self, *shape: int | tuple[int, ...]) -> Node:
        """The same elements under another shape; see `graphflow.reshape`."""
        return OPERATORS.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: int | tuple[int, ...]) -> Node:
        """The axes in another order, reversed where none is given; see `graphflow.transpose`."""
        return OPERATORS.transpose(self, (axes[0] if isinstance(axes[0], tuple) else axes) if axes else None)

    def ravel(self) -> Node:
        """The elements as a vector; see `graphflow.ravel`."""
        return OPERATORS.ravel(self)

    def squeeze(self, axis: int | tuple[int, ...] | None = None) -> Node:
        """Without axes of size 1; see `graphflow.squeeze`."""
        return OPERATORS.squeeze(self, axis)

    def astype(self, dtype: object) -> Node:
        """The same numbers in another dtype; see `graphflow.cast`."""
        return OPERATORS.cast(self, dtype)

    # --- pictures ---------------------------------------------------------------------------------------------------

    def to_dot(self, **options: Any) -> str:
        """What it is computed from, in Graphviz's language; see `graphflow.viz`."""
        return self.graph.subgraph(self).to_dot(**options)

    def render(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Draw what it is computed from to a file; see `graphflow.viz`."""
        return self.graph.subgraph(self).render(path, **options)

    def to_html(self, path: str | os.PathLike[str] | None = None, **options: Any) -> str | Path:
        """What it is computed from as a page for a browser; see `graphflow.viz`."""
        return self.graph.subgraph(self).to_html(path, **options)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """What a notebook shows: the expression that leads to this node."""
        return self.graph.subgraph(self).picture()

    # --- what Python would otherwise do silently and wrongly -------------------------------------------------------

    def __bool__(self) -> NoReturn:
        raise GraphError(
            f"{self} is neither true nor false",
            got="a node where Python needs a bool",
            needs="a value: the graph is defined first and run later",
            hint="gf.where(condition, a, b) in the graph, `a is b` for identity, or node.value after a run",
            where=self.origin,
        )

    def __float__(self) -> NoReturn:
        hint = "float(node.value) after a run"
        raise DTypeError(f"{self} is no number", needs="a value", hint=hint, where=self.origin)

    def __array__(self, *arguments: object, **keywords: object) -> NoReturn:
        raise GraphError(
            f"{self} is no numpy array",
            got="a node given to numpy",
            needs="a value, or the function of the same name in graphflow",
            hint="node.value after a run",
            where=self.origin,
        )

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: object) -> Node:
        return self

    def __reduce__(self) -> NoReturn:
        raise GraphError("nodes cannot be pickled", hint="gf.save_checkpoint(path, nodes) for their values")
