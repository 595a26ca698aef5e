"""`ops`: the registry of operations, each with what it makes of a sample, its loop and its gradient."""

from __future__ import annotations

import argparse
import fnmatch
import inspect
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from graphflow import ops as _ops  # noqa: F401 - fills the registry
from graphflow.command.contract import Command, columns, cut, table
from graphflow.errors import OptionError
from graphflow.graph import ExprGraph
from graphflow.node import Node
from graphflow.op import REGISTRY, NotDifferentiable, Op, Sample
from graphflow.tensortype import TensorType
from graphflow.viz.labels import LONGEST_LINE, attributes, numbers, visible

HEADING: Final = ("symbol", "shapes of a sample", "loop")


class Described(NamedTuple):
    """What is said about an op: texts, of its first sample."""

    name: str
    symbol: str
    about: str
    shapes: str
    sample: str
    loop: str
    gradients: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A pattern."""
    parser.add_argument("pattern", metavar="PATTERN", nargs="?", help="a name or symbol, with * and ? for any letters")


def run(options: argparse.Namespace) -> list[str]:
    """A table of all operations, or all that is known about those that a pattern means.

    Raises:
        OptionError: no operation is meant.
    """
    if options.pattern is None:
        rows = [HEADING]
        rows += [(each.symbol, each.shapes, each.loop) for each in map(described, sorted(REGISTRY))]
        return [*table(rows, columns()), "", f"{len(rows) - 1} operations; `ops SYMBOL` shows one with its gradient"]
    pattern = options.pattern.lower()
    chosen = [
        name
        for name, op in sorted(REGISTRY.items())
        if fnmatch.fnmatchcase(name.lower(), pattern) or fnmatch.fnmatchcase(op.symbol.lower(), pattern)
    ]
    if not chosen:
        raise OptionError(f"no operation is called {options.pattern!r}", hint=f"'*{options.pattern}*', or all: ops")
    return [line for name in chosen for line in (*_lines(described(name)), "")][:-1]


def described(name: str) -> Described:
    """An op of the registry, with its first sample."""
    kind = REGISTRY[name]
    about = (kind.__doc__ or "").strip().splitlines()
    # Where nothing is written, @dataclass writes the signature.
    written = about[0] if about and not about[0].startswith(f"{kind.__name__}(") else ""
    sample = next(islice(kind.samples(), 1), None)
    if sample is None:
        return Described(name, kind.symbol, written, "", "none", "", ())
    types = [TensorType(array.dtype, array.shape) for array in sample.inputs]
    result = sample.op.infer(*types)
    shapes = f"{', '.join(str(list(each.shape)) for each in types)} -> {list(result.shape)}".strip()
    operands = ", ".join(f"{name} {kind}" for name, kind in zip(operand_names(sample), types, strict=True))
    fields = f"  with {attributes(sample.op)}" if attributes(sample.op) else ""
    loop, gradients = str(sample.op.lower(*types)), tuple(_gradients(sample))
    return Described(name, kind.symbol, written, shapes, f"{operands} -> {result}{fields}".strip(), loop, gradients)


def operand_names(sample: Sample) -> list[str]:
    """What the op itself calls its operands, as far as they have names of their own."""
    parameters = [*inspect.signature(sample.op.gradient).parameters.values()][2:]
    single = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    count = len(sample.inputs)
    return single if len(single) == count else [f"x{number}" for number in range(count)]


def _gradients(sample: Sample) -> Iterator[str]:
    """One line for each operand that has a gradient, as an expression of dy, the result y and the operands."""
    graph = ExprGraph()
    taken = ("y", "dy")
    names = [f"x{number}" if each in taken else each for number, each in enumerate(operand_names(sample))]
    inputs = [
        graph.leaf(TensorType(array.dtype, array.shape), name) for name, array in zip(names, sample.inputs, strict=True)
    ]
    y = graph.apply(sample.op, inputs, "y")
    dy = graph.leaf(y.type, "dy")
    entries = sample.op.gradient(dy, y, *inputs)
    if isinstance(entries, NotDifferentiable):
        yield "none: not differentiable"
        return
    for name, entry in zip(names, entries, strict=True):
        gradient = entry() if callable(entry) and not isinstance(entry, Node) else entry
        if gradient is not None:
            yield f"d{name} = {expression(graph, gradient)}"


def expression(graph: ExprGraph, wanted: Node) -> str:
    """A node as text, down to the nodes that have names."""
    texts: dict[int, str] = {}
    for node in graph.nodes:
        if node.name is not None:
            texts[node.id] = node.name
        elif node.op is None:
            texts[node.id] = numbers(node.storage) if node.size == 1 else f"constant {node.type}"
        else:
            texts[node.id] = visible(f"{_call(node.op)}({', '.join(texts[each.id] for each in node.inputs)})")
    return visible(texts[wanted.id], LONGEST_LINE)


def _call(op: Op) -> str:
    """An op with its attributes, as far as they say something."""
    return f"{op.symbol}[{attributes(op)}]" if attributes(op) else op.symbol


def _lines(each: Described) -> list[str]:
    rows = [("symbol", each.symbol), ("sample", each.sample), ("loop", each.loop)]
    rows += [("gradient" if not number else "", text) for number, text in enumerate(each.gradients)]
    width = columns()
    return [cut(f"{each.name}  {each.about}".rstrip(), width), *(f"  {line}" for line in table(rows))]


OPS: Final = Command(
    "ops",
    "list the operations: symbol, shapes, loop, gradient",
    (("", "all of them"), ("'soft*'", "those whose name or symbol begins with soft, with loop and gradient")),
    add_arguments,
    run,
)
