"""`ops`: the registry of operations, each with what it makes of a sample, its loop and its gradient."""

from __future__ import annotations

import argparse
import fnmatch
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from graphflow import ops as _ops  # noqa: F401 - fills the registry
from graphflow.command.contract import Command, columns, cut, table
from graphflow.command.formulas import gradients, operand_names, sample_types
from graphflow.errors import OptionError
from graphflow.op import REGISTRY, Sample
from graphflow.tensortype import TensorType
from graphflow.viz.labels import attributes, visible

LONGEST_FORMULA: Final = 400
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
    types = sample_types(sample)
    result = sample.op.infer(*types)
    shapes = f"{', '.join(str(list(each.shape)) for each in types)} -> {list(result.shape)}".strip()
    operands = ", ".join(f"{name} {each}" for name, each in zip(operand_names(kind, len(types)), types, strict=True))
    fields = f"  with {attributes(sample.op)}" if attributes(sample.op) else ""
    loop, gradients = str(sample.op.lower(*types)), tuple(_gradients(sample, types))
    return Described(name, kind.symbol, written, shapes, f"{operands} -> {result}{fields}".strip(), loop, gradients)


def _gradients(sample: Sample, types: Sequence[TensorType]) -> Iterator[str]:
    """One line for each operand that has a gradient."""
    found = gradients(sample, types)
    if found is None:
        yield "none: not differentiable"
    else:
        yield from (f"d{name} = {visible(text, LONGEST_FORMULA)}" for name, text in found.items() if text != "0")


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
