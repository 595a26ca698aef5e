"""From a graph to a program: what is computed, and what the user may read afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from graphflow.blocks import block_of
from graphflow.errors import OptionError
from graphflow.graph import ExprGraph, GraphView, Subgraph, ancestors, check_nodes
from graphflow.node import Node
from graphflow.passes import EVALUATION_PIPELINE, PIPELINE, SEPARATING, Pass, Plan, plan_of, run_passes
from graphflow.passes.changes import PassChanges, change_of
from graphflow.tape.assemble import assemble
from graphflow.tape.program import Program

Keep = Literal["all"] | Iterable[Node]


@dataclass(frozen=True)
class Request:
    """What a machine was asked for when it was made; recompiling later answers the same request.

    Attributes:
        graph: the whole graph.
        roots: what must be computed.
        keep: nodes whose values must be readable beside those that always are.
        keep_all: every value is readable, and no storage is used twice.
        passes: the compiler.
    """

    graph: ExprGraph
    roots: tuple[Node, ...]
    keep: tuple[Node, ...]
    keep_all: bool
    passes: tuple[Pass, ...]


def request_of(
    graph: GraphView,
    outputs: Iterable[Node] | Node | None = None,
    keep: Keep = (),
    *,
    eval_mode: bool = False,
    passes: Sequence[Pass] | None = None,
) -> Request:
    """Check and complete what a user asks for.

    Raises:
        GraphError, OptionError: outputs or keep are no nodes of this graph.
    """
    if not isinstance(graph, GraphView):
        hint = "g.subgraph(node)" if isinstance(graph, Node) else None
        needs = "an ExprGraph or a subgraph"
        raise OptionError("a machine needs a graph", got=type(graph).__name__, needs=needs, hint=hint)
    whole = graph.whole
    if isinstance(keep, str) and keep != "all":
        raise OptionError(f"keep={keep!r} is not known", needs="'all' or nodes")
    kept = () if isinstance(keep, str) else listed("keep", keep, whole)
    wanted = None if outputs is None else listed("outputs", outputs, whole)
    if wanted is None:
        wanted = graph.outputs if isinstance(graph, Subgraph) else _roots(whole)
    if passes is None:
        passes = EVALUATION_PIPELINE if eval_mode else PIPELINE
    return Request(whole, wanted, kept, isinstance(keep, str), tuple(passes))


def listed(what: str, nodes: Iterable[Node] | Node, graph: ExprGraph) -> tuple[Node, ...]:
    """One node or several, as a tuple.

    Raises:
        OptionError: neither of the two; GraphError: what is listed are no nodes of this graph.
    """
    if isinstance(nodes, str) or not isinstance(nodes, Iterable):
        raise OptionError(f"{what}={nodes!r} is not known", got=type(nodes).__name__, needs="a node or several")
    found = (nodes,) if isinstance(nodes, Node) else tuple(nodes)
    check_nodes(what, found, graph)
    return found


def _roots(graph: ExprGraph) -> tuple[Node, ...]:
    """What nobody uses, but for leftovers of differentiation, and what must be there whoever uses it."""
    asked = [node for node in graph.roots if node.gradient_of is None or node.id in graph.results]
    return (*asked, *graph.reads.values(), *(source for _, source in graph.assignments.values()))


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let Python's cyclic garbage collector rest, and leave it as it was found.

    Compiling makes and drops millions of small objects and no cycles; the collector would look at all of them, and at
    the whole graph, again and again. It is one for all threads: what another thread drops in cycles waits so long, and
    a thread that switches the collector itself meanwhile is overruled at the end.
    """
    was_enabled = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if was_enabled:
            gc.enable()


def compile_request(request: Request) -> Program:
    """The program that answers a request as the graph is now."""
    plan, assignments = plan_for(request)
    return assemble(run_passes(plan, request.passes), assignments)


def compile_apart(request: Request) -> Program:
    """A program that computes the same without changing anything: to look at what lies where after a run.

    No value shares storage with another, gradients do not lie where solvers look for them, and nothing is set. All that
    is computed can be read.
    """
    plan, _ = plan_for(request)
    passes = [each for each in request.passes if each in SEPARATING]
    plan = run_passes(replace(plan, gradients={}, is_reusing=False), passes[:-1])
    computed = [node for node, number in plan.became.items() if not plan.values[number].is_leaf]
    return assemble(run_passes(replace(plan, kept=tuple(computed)), passes[-1:]))


def plan_for(request: Request) -> tuple[Plan, tuple[tuple[Node, Node], ...]]:
    """What is to be computed, before the first pass; and (target, source) of each `set_`."""
    graph = request.graph
    needed = ancestors((*request.roots, *request.keep))
    assignments: tuple[tuple[Node, Node], ...] = ()
    if graph.assignments:
        present = {node.id for node in needed}
        assignments = tuple(
            (target, source) for target, source in graph.assignments.values() if {target.id, source.id} <= present
        )
    kept = {node.id: node for node in (*request.roots, *request.keep, *(source for _, source in assignments))}
    asked_for = {**graph.reads, **graph.results}
    kept.update({node.id: node for node in needed if request.keep_all or node.name is not None or node.id in asked_for})
    for number in graph.overrides:
        # An overridden value is an input now: it is read from where the user put it.
        kept.pop(number, None)
    computed = [node for node in kept.values() if node.op is not None]
    plan = plan_of(
        needed,
        computed,
        overridden=graph.overrides,
        gradients=_gradient_homes(graph, computed),
        is_reusing=not request.keep_all,
    )
    return plan, assignments


def _gradient_homes(graph: ExprGraph, kept: Iterable[Node]) -> dict[int, tuple[int, ...]]:
    """Gradient node -> the parameters whose gradient it is."""
    homes: dict[int, tuple[int, ...]] = {}
    present = {node.id for node in kept}
    for parameter, gradient in graph.gradients.items():
        if gradient.id in present and block_of(graph[parameter]) is not None:
            homes[gradient.id] = (*homes.get(gradient.id, ()), parameter)
    return homes


def compile_graph(
    graph: GraphView, outputs: Iterable[Node] | Node | None = None, *, keep: Keep = (), eval_mode: bool = False
) -> Program:
    """Compile a graph without running it; `print` lists the program.

    Args:
        graph: a graph or a part of one.
        outputs: what to compute; by default everything that nobody else in the graph uses.
        keep: nodes to read afterwards, or "all".
        eval_mode: dropout and its kind are switched off.

    Raises:
        GraphError, OptionError: outputs or keep are no nodes of this graph.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.vector(g, 3, name="x")
        >>> y = gf.tanh(x * 2.0)
        >>> print(gf.compile_graph(g))
            0  arena[0] <- map tanh((x * 2)) (input[0]) float32[3]  <doctest graphflow.vm.compiling.compile_graph[3]>:1
        1 instructions, 64 bytes of arena, 1 inputs, 0 constants, 1 values to read

    Source: Gorgonia Compile.
    """
    return compile_request(request_of(graph, outputs, keep, eval_mode=eval_mode))


def passes_of(
    graph: GraphView, outputs: Iterable[Node] | Node | None = None, *, keep: Keep = (), eval_mode: bool = False
) -> PassChanges:
    """What each pass of the compiler does to a graph: `print(gf.passes_of(g))`. Nothing is run.

    Args:
        graph: a graph or a part of one.
        outputs: as for `compile_graph`, with its errors.
        keep: nodes to read afterwards, or "all".
        eval_mode: dropout and its kind are switched off.

    Returns:
        For each pass how many values it has removed, added, rewritten and rewired, and the first of each.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.vector(g, 3, name="x")
        >>> y = gf.tanh(x * 2.0)
        >>> [each.name for each in gf.passes_of(g) if each.rewritten]
        ['lower', 'fuse']
    """
    request = request_of(graph, outputs, keep, eval_mode=eval_mode)
    plan, _ = plan_for(request)
    found = []
    with collector_paused():
        for compiler_pass in request.passes:
            before, plan = plan, compiler_pass(plan)
            found.append(change_of(compiler_pass.__name__, before, plan))
    return PassChanges(tuple(found))
