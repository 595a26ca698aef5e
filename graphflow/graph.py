"""ExprGraph: the user's graph. It only ever grows; everything that a machine derives from it is data of its own."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, final

import numpy as np

from graphflow.dtypes import DType, float32, is_float
from graphflow.errors import GraphError, GraphflowError, OpContractError, OptionError, ShapeError
from graphflow.node import Node
from graphflow.op import Op
from graphflow.origin import Origin, user_origin
from graphflow.positions import PositionTable
from graphflow.tensortype import LARGEST_BYTES, TensorType
from graphflow.values import Array, as_array, fit, natural_dtype

if TYPE_CHECKING:
    from graphflow.blocks import ParameterBlock


class Drawing:
    """What draws and explains graphs: it lies above them, and puts itself in here."""

    to_dot: Callable[..., str]
    render: Callable[..., Path]
    svg: Callable[..., dict[str, str]]
    listing: Callable[..., dict[str, str]]
    to_html: Callable[..., str | Path]
    explain: Callable[[Node], str]
    tape_dot: Callable[..., str]
    render_tape: Callable[..., Path]


DRAWING: Final = Drawing()


class GraphView(abc.ABC):
    """What a whole graph and a part of one have in common."""

    @property
    @abc.abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in the order in which they were made; inputs come before what uses them."""

    @property
    @abc.abstractmethod
    def whole(self) -> ExprGraph:
        """The graph that owns the nodes."""

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes that get their values from outside."""
        return tuple(node for node in self.nodes if node.is_input)

    @property
    def roots(self) -> tuple[Node, ...]:
        """The nodes that no other node here uses."""
        used = {operand.id for node in self.nodes for operand in node.inputs}
        return tuple(node for node in self.nodes if node.id not in used)

    def by_name(self, name: str) -> tuple[Node, ...]:
        """All nodes with this name, in order of creation."""
        return tuple(node for node in self.nodes if node.name == name)

    def subgraph(self, *roots: Node) -> Subgraph:
        """The part of the graph that the given nodes need: for predicting with what another machine trains.

        Values are shared with the whole graph. `read` and `set_` on nodes of the part stay in force.
        """
        return Subgraph(self.whole, roots)

    def to_dot(self, **options: Any) -> str:
        """The graph in Graphviz's language; see `graphflow.viz`."""
        return DRAWING.to_dot(self, **options)

    def render(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Draw the graph to a file (svg, png or pdf by its ending); see `graphflow.viz`."""
        return DRAWING.render(self, path, **options)

    def to_html(self, path: str | os.PathLike[str] | None = None, **options: Any) -> str | Path:
        """The graph as a page for a browser: pan, zoom, search, details at a click; see `graphflow.viz.page`."""
        return DRAWING.to_html(self, path, **options)

    def explain(self, node: Node) -> str:
        """How a node comes about, in words; see `graphflow.explanation`.

        Raises:
            GraphError: no node, or one of another graph.
        """
        check_nodes("explain", (node,), self.whole)
        return DRAWING.explain(node)

    def picture(self) -> dict[str, str]:
        """What a notebook shows: text by MIME type, a drawing where the graph is small enough for one."""
        return DRAWING.svg(self)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self.picture()

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __contains__(self, node: object) -> bool:
        return any(node is mine for mine in self.nodes)

    def __str__(self) -> str:
        """One line for each node: number, type, operation, name and origin."""
        lines = [repr(self)]
        for node in self.nodes:
            what = "constant" if node.is_constant else "input" if node.op is None else node.op.name
            operands = f"({', '.join(operand.label for operand in node.inputs)})" if node.op is not None else ""
            step = "" if node.step is None else f"  step {node.step}"
            lines.append(f"%{node.id:<5} {node.type!s:<20} {what}{operands}  {node.name or ''}{step}  {node.origin}")
        return "\n".join(line.rstrip() for line in lines)


@final
class ExprGraph(GraphView):
    """An append-only graph of expressions: define it, then run it on a machine.

    Args:
        name: shown in pictures.
        seed: seeds the initialisers; the same seed and the same order of creation give the same weights.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.scalar(g, name="x")
        >>> y = gf.square(x) + 1.0
        >>> print(g)
        <ExprGraph of 4 nodes>
        %0     float32[]            input  x  <doctest graphflow.graph.ExprGraph[2]>:1
        %1     float32[]            square(x)  <doctest graphflow.graph.ExprGraph[3]>:1
        %2     float32[]            constant  <doctest graphflow.graph.ExprGraph[3]>:1
        %3     float32[]            add(%1, %2)  <doctest graphflow.graph.ExprGraph[3]>:1
    """

    def __init__(self, name: str | None = None, *, seed: int = 0) -> None:
        if name is not None and not isinstance(name, str):
            raise OptionError("ExprGraph: a name must be text", got=repr(name), needs="a str or None", hint="seed=")
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise OptionError("ExprGraph: seed is not usable", got=repr(seed), needs="a whole number of 0 or more")
        self.name = name
        self.generator = np.random.default_rng(seed)
        self.positions = PositionTable()
        # Slices that `unsafe_let_all` rebinds together; binding fills it.
        self.position_groups: dict[tuple[int, int, int], Any] = {}
        # State of the definition that is under way; every new node records it.
        self.current_step: int | None = None
        self.current_scope = ""
        self.current_forward: Node | None = None
        self.current_origin: tuple[CodeType, int] | None = None
        # What the user asked for beside the nodes.
        self.cost: Node | None = None
        self.gradients: dict[int, Node] = {}
        self.results: dict[int, Node] = {}
        self.eager_gradients: dict[int, Array] = {}
        self.overrides: dict[int, Array] = {}
        self.reads: dict[int, Node] = {}
        self.assignments: dict[int, tuple[Node, Node]] = {}
        self.blocks: list[ParameterBlock] = []
        # For each node that the latest `grad` went through: the gradient of the cost with respect to it.
        self.passed_back: dict[int, Node] = {}
        # What `grad` found out about nodes: stable forms, and the node that each node of such a form stands for.
        self.stable_forms: dict[int, Node | None] = {}
        self.form_owners: dict[int, Node] = {}
        self.streams = 0
        # Raised whenever machines must look again: storage moved, inputs unbound, computed values overridden.
        self.version = 0
        self.last_run: object = None
        self._nodes: list[Node] = []
        self._scalar_constants: dict[tuple[DType, bytes], Node] = {}
        # Plain numbers that have been used beside nodes of a dtype, and what ops without attributes give.
        self.numbers: dict[NumberKey, Literal] = {}
        self._outputs: dict[tuple[type[Op] | TensorType, ...], tuple[Op, TensorType]] = {}

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in the order in which they were made."""
        return tuple(self._nodes)

    @property
    def whole(self) -> ExprGraph:
        """The graph itself."""
        return self

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and node.graph is self

    def __getitem__(self, number: int) -> Node:
        """The node with this number.

        Raises:
            GraphError: a name in place of the number. IndexError: there is no such node.
        """
        if isinstance(number, str):
            raise GraphError("a graph is indexed by number", got=repr(number), hint=f"g.by_name({number!r})")
        return self._nodes[number]

    def __repr__(self) -> str:
        return f"<ExprGraph {self.name + ' ' if self.name else ''}of {len(self._nodes)} nodes>"

    # --- growing ------------------------------------------------------------------------------------------------------

    def apply(self, op: Op, inputs: Sequence[Node], name: str | None = None) -> Node:
        """Append the node `op(*inputs)`.

        Raises:
            ShapeError, DTypeError: the op refuses the inputs' types; nothing is appended.
            GraphError: an input belongs to another graph.
        """
        for node in inputs:
            if node.graph is not self:
                raise GraphError(
                    f"{op.name}: {node} belongs to another graph",
                    needs="nodes of one graph",
                    hint="make all nodes with the same ExprGraph",
                    where=node.origin,
                )
        shared, output = self.inferred(op, inputs)
        return self._append(shared, tuple(inputs), output, name)

    def inferred(self, op: Op, operands: Sequence[Node | Literal]) -> tuple[Op, TensorType]:
        """The op and the output's type; of an op without attributes the one object and type that serve all equal uses.

        Raises:
            ShapeError, DTypeError: the op refuses the operands' types.
        """
        if getattr(op, "__dataclass_fields__", True) or vars(op):
            return op, _infer(op, operands)
        key: tuple[type[Op] | TensorType, ...] = (type(op), *[operand.type for operand in operands])
        found = self._outputs.get(key)
        if found is None:
            found = self._outputs[key] = op, _infer(op, operands)
        return found

    def leaf(self, value_type: TensorType, name: str | None) -> Node:
        """Append an input that has no value yet."""
        return self._append(None, (), value_type, name)

    def constant(self, value: object, name: str | None = None, dtype: DType | None = None) -> Node:
        """Append a constant; equal unnamed scalars become one node."""
        array = as_array(value, "the constant")
        wanted = TensorType(dtype or (float32 if isinstance(value, float) else natural_dtype(array)), array.shape)
        array = np.array(fit(array, wanted, "the constant"), order="C")
        key = (wanted.dtype, array.tobytes()) if not array.shape and name is None else None
        if key is not None and key in self._scalar_constants:
            return self._scalar_constants[key]
        node = self._append(None, (), wanted, name)
        array.flags.writeable = False
        node.storage, node.is_constant, node.is_bound = array, True, True
        if key is not None:
            # It stands wherever the number is used, so it belongs to no step and no gradient.
            node.step, node.scope, node.gradient_of = None, "", None
            self._scalar_constants[key] = node
        return node

    def _append(self, op: Op | None, inputs: tuple[Node, ...], value_type: TensorType, name: str | None) -> Node:
        node = Node(self, len(self._nodes), op, inputs, value_type, name, self.current_origin or user_origin())
        self._nodes.append(node)
        return node

    def next_stream(self) -> int:
        """A number that tells one random node from the next."""
        self.streams += 1
        return self.streams - 1

    @contextmanager
    def step(self, t: int) -> Iterator[None]:
        """Nodes made inside belong to time step `t`; pictures and passes use it.

        Example:
            >>> g = ExprGraph()
            >>> with g.step(3):
            ...     node = g.constant([1.0])
            >>> node.step
            3

        Raises:
            OptionError: no whole number.
        """
        if not isinstance(t, (int, np.integer)):
            raise OptionError("step: this is no time step", got=repr(t), needs="a whole number", hint="g.scope(name)")
        before, self.current_step = self.current_step, int(t)
        try:
            yield
        finally:
            self.current_step = before

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Nodes made inside belong to the scope `name`; scopes nest as `outer/inner`.

        Raises:
            OptionError: the name is no text.
        """
        if not isinstance(name, str):
            raise OptionError("scope: a name must be text", got=repr(name), needs="a str")
        before = self.current_scope
        self.current_scope = f"{before}/{name}" if before else name
        try:
            yield
        finally:
            self.current_scope = before

    @contextmanager
    def deriving(self, origin: Origin) -> Iterator[Callable[[Node], None]]:
        """While gradients are built: new nodes belong to the forward node last given to the yielded function.

        Args:
            origin: the user's line that asked for the gradients; looked up once, not for each node.
        """
        before = (self.current_step, self.current_scope, self.current_forward, self.current_origin)
        self.current_origin = origin

        def belongs_to(node: Node) -> None:
            self.current_forward = node
            self.current_step = node.step
            self.current_scope = node.scope

        try:
            yield belongs_to
        finally:
            self.current_step, self.current_scope, self.current_forward, self.current_origin = before

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """What is appended inside is taken back where the block fails, so that a refusal leaves the graph as it was."""
        before = len(self._nodes)
        try:
            yield
        except BaseException:
            del self._nodes[before:]
            self._scalar_constants = {key: node for key, node in self._scalar_constants.items() if node.id < before}
            self.numbers = {
                key: known for key, known in self.numbers.items() if known.node is not None and known.node.id < before
            }
            self.stable_forms = {
                number: form
                for number, form in self.stable_forms.items()
                if number < before and (form is None or form.id < before)
            }
            self.form_owners = {number: owner for number, owner in self.form_owners.items() if number < before}
            raise

    # --- values -------------------------------------------------------------------------------------------------------

    def unbind_all(self) -> None:
        """Forget the values of all inputs, and all overrides; parameters must be bound again before a run."""
        for node in self._nodes:
            if node.is_input:
                node.is_bound = False
        self.overrides.clear()
        self.version += 1


@final
class Subgraph(GraphView):
    """The part of a graph that some nodes need; a view, not a copy."""

    def __init__(self, graph: ExprGraph, outputs: Iterable[Node]) -> None:
        self.outputs = tuple(outputs)
        check_nodes("subgraph", self.outputs, graph)
        self._graph = graph
        self._nodes = ancestors(self.outputs)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the part, in the order in which they were made."""
        return self._nodes

    @property
    def whole(self) -> ExprGraph:
        """The graph that this is a part of."""
        return self._graph

    def __repr__(self) -> str:
        return f"<Subgraph of {len(self._nodes)} nodes>"


def ancestors(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The given nodes and everything they need, in order of creation."""
    found: dict[int, Node] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.id not in found:
            found[node.id] = node
            waiting.extend(node.inputs)
    return tuple(found[number] for number in sorted(found))


def check_nodes(what: str, nodes: Iterable[object], graph: ExprGraph | None = None) -> None:
    """Refuse anything that is not a node, or is a node of another graph than the first (or the given) one.

    Raises:
        GraphError: naming what was met.
    """
    if isinstance(nodes, Node):  # going through it would add slices of it to its graph
        raise GraphError(f"{what}: {nodes} is a single node", needs="a list or tuple of nodes", hint=f"[{nodes.label}]")
    for node in nodes:
        if not isinstance(node, Node):
            hint = f"g.by_name({node!r})" if isinstance(node, str) else None
            raise GraphError(f"{what}: {node!r} is no node", got=type(node).__name__, needs="nodes", hint=hint)
        graph = node.graph if graph is None else graph
        if node.graph is not graph:
            raise GraphError(f"{what}: {node} belongs to another graph", needs="nodes of one graph", where=node.origin)


def apply(op: Op, *operands: object, name: str | None = None, partner: Node | None = None) -> Node:
    """Append `op(*operands)` to the graph of the operands; plain numbers and arrays become constants.

    A constant takes the dtype of the node beside it: `x * 2.0` keeps x's dtype, and so does an array of numpy's
    default float64.

    Args:
        op: the operation.
        operands: nodes, numbers and arrays.
        name: of the new node.
        partner: the node whose dtype constants take; by default the first one among the operands.

    Raises:
        GraphError: no operand is a node.
        ShapeError, DTypeError: the op refuses the operands.
        OpContractError: the op is none, such as the class in place of an object of it.
    """
    are_nodes = True
    for operand in operands:
        if not isinstance(operand, Node):
            are_nodes = False
        elif partner is None:
            partner = operand
    if partner is None:
        raise GraphError(
            f"{op.name}: no operand is a node",
            got=", ".join(type(operand).__name__ for operand in operands) or "nothing",
            needs="at least one node",
            hint="gf.constant(g, value)",
        )
    if not are_nodes:
        # Whatever the op refuses must leave no constants behind.
        literals = [operand if isinstance(operand, Node) else literal(operand, partner) for operand in operands]
        partner.graph.inferred(op, literals)
        operands = tuple(item if isinstance(item, Node) else constant_like(item, partner) for item in literals)
    return partner.graph.apply(op, cast("tuple[Node, ...]", operands), name)


NumberKey = tuple[type, float, DType]


class Literal(NamedTuple):
    """A plain number or array beside a node, with the type that it will have as a constant.

    Attributes:
        key: what a number is known again by.
        node: the constant, where there is one.
    """

    array: Array
    type: TensorType
    key: NumberKey | None = None
    node: Node | None = None


def literal(value: object, partner: Node) -> Literal:
    """What a plain value means beside `partner`: floats and ints take its dtype where no kind of number is lost.

    Raises:
        BindingError: it is not an array of numbers.
    """
    # Not 0, which has two signs.
    key = (type(value), value, partner.dtype) if isinstance(value, (int, float)) and value else None
    known = partner.graph.numbers.get(key) if key is not None else None
    if known is not None:
        return known
    array = as_array(value, f"the operand beside {partner}")
    dtype = natural_dtype(array)
    if is_float(partner.dtype) and dtype.kind in "fi":
        dtype = partner.dtype
    elif dtype.kind == "f" and not is_float(partner.dtype):
        dtype = float32
    return Literal(array, TensorType(dtype, array.shape), key)


def constant_like(value: Literal, partner: Node) -> Node:
    """The constant that a literal stands for."""
    if value.node is not None:
        return value.node
    node = partner.graph.constant(value.array, dtype=value.type.dtype)
    if value.key is not None:
        partner.graph.numbers[value.key] = value._replace(node=node)
    return node


def _described(operand: Node | Literal) -> tuple[str, str]:
    """An operand as a message names it, with and without its type."""
    if isinstance(operand, Node):
        return str(operand), operand.label
    return f"a constant: {operand.type}", "the constant"


def _infer(op: Op, operands: Sequence[Node | Literal]) -> TensorType:
    """The output's type; a refusal names the operands."""
    try:
        output = op.infer(*[operand.type for operand in operands])
        if output.bytes > LARGEST_BYTES:
            raise ShapeError("the result is too large", got=str(output), needs="no more bytes than memory can have")
        return output
    except GraphflowError as error:
        described = [_described(operand) for operand in operands]
        error.about(op.name, [text for text, _ in described], [label for _, label in described])
        raise
    except (AttributeError, TypeError) as error:
        if isinstance(op, Op):
            raise
        hint = f"{op.__name__}(...)" if isinstance(op, type) else "a function such as gf.tanh, or a subclass of gf.Op"
        raise OpContractError(
            "apply: this is no operation", got=repr(op), needs="an object of a gf.Op", hint=hint
        ) from error
