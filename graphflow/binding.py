"""How values get to nodes: `let` and `unsafe_let` before a run, `read` and `set_` after it.

Whatever is refused is refused at once, and changes nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, TypeGuard, final

import numpy as np
import numpy.typing as npt

from graphflow.dtypes import int64
from graphflow.errors import BindingError, DTypeError, GraphError, GraphflowError, ShapeError
from graphflow.graph import check_nodes
from graphflow.node import Node
from graphflow.op import Op
from graphflow.positions import S
from graphflow.storage import allocate, store
from graphflow.values import Array, fit

# What a position may be given as; None and ... stand inside tuples only.
POSITION = (int, np.integer, S, slice)
IN_TUPLE = (*POSITION, EllipsisType, type(None))

# What may be taken for a position without a closer look: bool counts as int to Python, but not here.
WHOLE = {int, np.int64}

# More sets of nodes than a training loop alternates between; beyond it they are looked at anew.
MOST_GROUPS = 64


def let(node: Node, value: object) -> None:
    """Give an input its value; it stays until the next `let`.

    Args:
        node: an input.
        value: a number, nested lists or an array of the node's shape; it is copied. A narrower or wider dtype of the
            same kind is converted, floats never become integers.

    Raises:
        BindingError: the node is no input, or the value is not made of numbers; ShapeError: another shape;
        DTypeError: another kind of number.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.vector(g, 3, name="x")
        >>> gf.let(x, [1, 2, 3])
        >>> x.value
        array([1., 2., 3.], dtype=float32)

    Source: Gorgonia Let.
    """
    check_nodes("let", (node,))
    if node.op is not None or node.is_constant:
        raise BindingError(
            f"let: {node} is no input",
            got="a constant" if node.op is None else f"a node computed by {node.op.name}",
            needs="an input: scalar, vector, matrix or tensor",
            hint=_instead_of_let(node),
            where=node.origin,
        )
    store(node, _fitted("let", node, value))


def unsafe_let(node: Node, value: object) -> None:
    """Rebind any node but a constant: a slice to another position, an input or a computed node to a value.

    A slice follows in forward and gradient alike; nothing is compiled anew, and the position stays until it is
    changed again. A computed node has the given value instead of what it computes, until `unsafe_let(node, None)`.

    Args:
        node: a slice, an input or a computed node.
        value: for a slice a position: 3, `S(3)`, `S(1, 4)`, `slice(1, 4)`, or a tuple of them, of the extent the
            slice was made with. For any other node a value as `let` takes it; None ends the override.

    Raises:
        PositionError: the position is out of range; ShapeError: it has another extent, or the value another shape;
        DTypeError: another kind of number; BindingError: this node cannot take this kind of thing.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> table = gf.matrix(g, (4, 2), init=gf.ranged_from(0))
        >>> row = table[0]
        >>> gf.unsafe_let(row, 3)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        >>> row.value
        array([6., 7.], dtype=float32)

    Source: Gorgonia UnsafeLet.
    """
    check_nodes("unsafe_let", (node,))
    if _is_slice(node):
        _write(node, _starts("unsafe_let", node, value))
        return
    if isinstance(value, (S, slice)) or (
        isinstance(value, tuple) and any(isinstance(part, (S, slice)) for part in value)
    ):
        raise BindingError(
            f"unsafe_let: {node} has no position",
            got=repr(value),
            needs="a slice node, such as x[3]",
            where=node.origin,
        )
    if node.is_constant:
        raise BindingError(
            f"unsafe_let: {node} is a constant",
            needs="an input, a slice or a computed node",
            hint="gf.node_from_any",
            where=node.origin,
        )
    if node.op is None:
        if value is None:
            raise BindingError(
                f"unsafe_let: {node} is an input",
                got="None",
                needs="a value",
                hint="graph.unbind_all()",
                where=node.origin,
            )
        store(node, _fitted("unsafe_let", node, value))
    else:
        _override(node, value)


def unsafe_let_all(nodes: Sequence[Node], positions: Sequence[object] | npt.NDArray[np.int64]) -> None:
    """`unsafe_let` for many slices at once: all of them, or none.

    Repeated calls with the same nodes cost a few microseconds where the positions are whole numbers.

    Args:
        nodes: slice nodes of one graph; a tuple that is kept is quickest.
        positions: one for each node, as `unsafe_let` takes them; an int64 array is quickest.

    Raises:
        PositionError, ShapeError, BindingError: naming the first node whose position is refused; no node has moved.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> table = gf.matrix(g, (4, 2), init=gf.ranged_from(0))
        >>> rows = tuple(table[0] for _ in range(3))
        >>> gf.unsafe_let_all(rows, [3, 1, 2])
    """
    members = nodes if type(nodes) is tuple else _members(nodes)
    if members:
        group = _group(members)
        if group.slots is not None and group.move(positions):
            return
    _move_one_by_one(members, positions)


@final
@dataclass(frozen=True, eq=False)
class Reading:
    """The promise that every machine keeps a node's value; made by `read`.

    Attributes:
        node: the node that is read.
    """

    node: Node

    @property
    def value(self) -> Array:
        """A copy of the node's value in the latest run.

        Raises:
            ValueNotKept: no machine has run since; UnboundError: an input without a value.
        """
        return self.node.value


def read(node: Node) -> Reading:
    """Have every machine keep the node's value, named or not.

    Args:
        node: any node.

    Returns:
        A Reading, whose `.value` is a copy after each run.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.scalar(g, value=3.0)
        >>> square = x * x
        >>> cost = square + 1.0
        >>> reading = gf.read(square)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        >>> reading.value
        array(9., dtype=float32)

    Source: Gorgonia Read.
    """
    check_nodes("read", (node,))
    graph = node.graph
    if node.id not in graph.reads:
        graph.reads[node.id] = node
        graph.version += 1
    return Reading(node)


def set_(target: Node, source: Node) -> None:
    """At the end of every run, write the source's value into the target: target := source.

    Args:
        target: an input.
        source: a node of the same graph and type.

    Raises:
        BindingError: the target is no input; ShapeError, DTypeError: the types differ; GraphError: two graphs.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> count = gf.scalar(g, value=0.0)
        >>> gf.set_(count, count + 1.0)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     vm.run_all()
        >>> count.value
        array(2., dtype=float32)

    Source: Gorgonia Set.
    """
    check_nodes("set_", (target, source))
    if not target.is_input:
        raise BindingError(
            f"set_: {target} is no input", needs="an input as target", hint="gf.set_(input, node)", where=target.origin
        )
    if target.shape != source.shape:
        raise ShapeError(
            f"set_: cannot write {source} into {target}",
            got=f"shape {source.shape}",
            needs=f"shape {target.shape}",
            hint="gf.reshape, if the sizes allow it",
            where=target.origin,
        )
    if target.dtype != source.dtype:
        raise DTypeError(
            f"set_: cannot write {source} into {target}",
            got=f"dtype {source.dtype}",
            needs=f"dtype {target.dtype}",
            hint=f"gf.cast({source.label}, '{target.dtype}')",
            where=target.origin,
        )
    graph = target.graph
    before = graph.assignments.get(target.id)
    if before is None or before[1] is not source:
        allocate(target)
        graph.assignments[target.id] = (target, source)
        graph.version += 1


# --- values -----------------------------------------------------------------------------------------------------------


def _fitted(what: str, node: Node, value: object) -> Array:
    """The value as an array of the node's type, or an error that says where the node was made."""
    if isinstance(value, Node):
        raise BindingError(
            f"{what}: {value} is a node",
            got="a node where a value is bound",
            needs="numbers, nested lists or a numpy array",
            hint=f"gf.set_({node.label}, {value.label}), or {value.label}.value after a run",
            where=node.origin,
        )
    if type(value) is np.ndarray and value.dtype == node.dtype and value.shape == node.shape:
        # What `fit` would return, without the text for its messages.
        return value
    try:
        return fit(value, node.type, str(node))
    except GraphflowError as error:
        error.where = error.where or node.origin
        raise


def _override(node: Node, value: object) -> None:
    """Put a value in place of what the node computes, or end that; machines look again when one begins or ends."""
    graph = node.graph
    if value is None:
        if graph.overrides.pop(node.id, None) is not None:
            graph.version += 1
        return
    array = _fitted("unsafe_let", node, value)
    present = graph.overrides.get(node.id)
    if present is not None:
        present[...] = array
    else:
        graph.overrides[node.id] = np.array(array, order="C")
        graph.version += 1


def _instead_of_let(node: Node) -> str:
    if node.op is None:
        return "gf.node_from_any(g, value) makes an input that has a value"
    return f"gf.unsafe_let({node.label}, {'position' if _is_slice(node) else 'value'})"


# --- positions --------------------------------------------------------------------------------------------------------


def _starts(what: str, node: Node, request: object) -> tuple[int, ...]:
    """The checked content of the slice node's cells."""
    op = node.op
    if op is None or not _is_slice(node):
        raise BindingError(
            f"{what}: {node} has no position", got=repr(request), needs="a slice node, such as x[3]", where=node.origin
        )
    parts, allowed = (request, IN_TUPLE) if isinstance(request, tuple) else ((request,), POSITION)
    if any(isinstance(part, bool) or not isinstance(part, allowed) for part in parts):
        raise BindingError(
            f"{what}: {node} is a slice and takes a position",
            got="None" if request is None else f"a value of type {type(request).__name__}",
            needs="a whole number, S(...), slice(...) or a tuple of them",
            hint=f"gf.unsafe_let({node.label}, 3)",
            where=node.origin,
        )
    try:
        return op.positions(request, *[source.type for source in node.inputs])
    except GraphflowError as error:
        error.op = f"{what} ({node.label})"
        if error.operands:
            error.about(error.op, [str(source) for source in node.inputs], [source.label for source in node.inputs])
        error.where = error.where or node.origin
        raise


def _is_slice(node: Node) -> bool:
    """Whether the node has positions of its own; the adjoint of a slice only reads those of the slice."""
    op = node.op
    return op is not None and op.slot is not None and type(op).positions is not Op.positions


def _write(node: Node, starts: tuple[int, ...]) -> None:
    if node.op is not None and node.op.slot is not None:
        node.graph.positions.cells[node.op.slot : node.op.slot + len(starts)] = starts


@final
@dataclass(frozen=True, eq=False)
class _Group:
    """Slices that are rebound together: where their positions stand, and the largest each may be.

    `slots` is None where a plain whole number is not a position of each of them, so that all must be looked at singly.
    """

    nodes: tuple[Node, ...]
    slots: npt.NDArray[np.int64] | None
    limits: npt.NDArray[np.uint64]

    def move(self, positions: object) -> bool:
        """Write the positions if they are whole numbers in range; False leaves all as it was, for a closer look."""
        if isinstance(positions, np.ndarray) and positions.dtype == int64:
            starts = positions
        elif isinstance(positions, (list, tuple)) and set(map(type, positions)) <= WHOLE:
            try:
                starts = np.fromiter(positions, int64, len(positions))
            except OverflowError:
                return False
        else:
            return False
        # As unsigned numbers the negative ones are larger than any limit, so one comparison does for both ends.
        if starts.shape != self.limits.shape or np.count_nonzero(starts.view(np.uint64) > self.limits):
            return False
        self.nodes[0].graph.positions.cells[self.slots] = starts
        return True


def _members(nodes: object) -> tuple[Node, ...]:
    if not _is_sequence(nodes):
        raise GraphError(
            f"unsafe_let_all: {nodes!r} are no nodes", got=type(nodes).__name__, needs="a sequence of nodes"
        )
    return tuple(nodes)


def _is_sequence(things: object) -> TypeGuard[Iterable[Any]]:
    """Whether there are several things; iterating over a node would add slices to its graph."""
    if isinstance(things, (str, bytes, Node)):
        return False
    try:
        iter(things)  # type: ignore[call-overload]  # any object is tried, on purpose
    except TypeError:
        return False
    return True


def _group(nodes: tuple[Node, ...]) -> _Group:
    """What is known of these nodes, from an earlier call or looked up now."""
    first = nodes[0]
    known: dict[tuple[int, int, int], _Group] = first.graph.position_groups if isinstance(first, Node) else {}
    # A group keeps its nodes alive, so their addresses are not given to others.
    key = (len(nodes), id(first), id(nodes[-1]))
    group = known.get(key)
    # Identity, since == between nodes would add nodes to the graph.
    if group is None or not (group.nodes is nodes or all(map(operator.is_, group.nodes, nodes))):
        check_nodes("unsafe_let_all", nodes)
        if len(known) >= MOST_GROUPS:
            known.clear()
        group = known[key] = _look_at(nodes)
    return group


def _look_at(nodes: tuple[Node, ...]) -> _Group:
    slots: list[int] = []
    limits: list[int] = []
    for node in nodes:
        op = node.op
        if op is None or op.slot is None or not _takes_numbers(node):
            return _Group(nodes, None, np.zeros(0, np.uint64))
        slots.append(op.slot)
        limits += op.limits(*[source.type for source in node.inputs])
    return _Group(nodes, np.array(slots, np.int64), np.array(limits, np.uint64))


def _takes_numbers(node: Node) -> bool:
    """Whether a whole number is a position of the node: not for a range, and not where nothing is to be had."""
    try:
        return _starts("unsafe_let_all", node, 0) == (0,)
    except GraphflowError:
        return False


def _move_one_by_one(nodes: tuple[Node, ...], positions: object) -> None:
    """Check every position, then write them all."""
    if not _is_sequence(positions):
        raise BindingError(
            "unsafe_let_all: the positions are no sequence",
            got=type(positions).__name__,
            needs=f"{len(nodes)} positions",
        )
    requests = list(positions)
    if len(requests) != len(nodes):
        raise ShapeError(
            "unsafe_let_all: not one position for each node",
            got=f"{len(requests)} positions",
            needs=f"{len(nodes)} positions",
        )
    check_nodes("unsafe_let_all", nodes)
    starts = [
        _starts(f"unsafe_let_all, node {index}", node, request)
        for index, (node, request) in enumerate(zip(nodes, requests, strict=True))
    ]
    for node, start in zip(nodes, starts, strict=True):
        _write(node, start)
