"""Writes docs/ops.md from the operations themselves: python docs/ops_page.py, or with --check to see if it is current.

What the page says of an operation stands beside it: formula, names elsewhere and remarks in the docstring of its
function (the first sentence, and the sentence that begins with "Source:"), types, gradient and loop form in its class,
tried on its first sample. A new op in `graphflow/ops/` needs nothing else to be on the page.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import graphflow as gf
from graphflow import ops
from graphflow.command.formulas import gradients, sample_types
from graphflow.loops import Call
from graphflow.op import REGISTRY, Op, Sample
from graphflow.tensortype import TensorType

PAGE = Path(__file__).resolve().parent / "ops.md"
COMMAND = "python docs/ops_page.py"
HEAD = f"""# Operations

All operations of graphflow: what each computes, its gradient, and the loop form that runs it.
This page is made from the operations themselves by `{COMMAND}`.

Shapes broadcast as in numpy. Axes may be negative, or several at once.
Types and gradients are those of a small example; `dy` is the gradient of the result `y`.
A loop form that begins with `call` is run by numpy on every backend, and the reason is given.
All others are machine code on the native backend.
How to add one: [Adding an op](adding-an-op.md). Where Gorgonia does otherwise: [Coming from Gorgonia](gorgonia.md).
"""
SOURCE = re.compile(r"\bSource: (.*?)\.?(?:\n\n|\Z)", re.DOTALL)


def page() -> str:
    """The text of docs/ops.md."""
    parts = [HEAD]
    for name in ops.__all__:
        module = getattr(ops, name)
        lines = [*_functions(module), *_inner_ops(module)]
        if lines:
            title = (module.__doc__ or name).split("\n\n", maxsplit=1)[0].replace("\n", " ").rstrip(".")
            parts.append("\n".join([f"## {name.replace('_', ' ').capitalize()}\n", f"{title}.\n", *lines]))
    return "\n".join(parts).rstrip() + "\n"


# --- functions --------------------------------------------------------------------------------------------------------


def _functions(module: ModuleType) -> Iterator[str]:
    """The public functions of a family, in the order of the file, each with its op where it has one."""
    classes = {op.symbol: op for op in _classes(module)}
    for names, function in _public(module):
        text = inspect.getdoc(function) or ""
        yield f"### {', '.join(names)}\n"
        yield f"`{names[0]}{_signature(function)}`: {first_sentence(text)}\n"
        found = [line for line in (_elsewhere(text),) if line]
        op = classes.get(names[0]) or classes.get(function.__name__)
        if op is not None:
            found += _facts(op)
        yield "\n".join(f"- {line}" for line in found) + "\n" if found else ""


def _public(module: ModuleType) -> Iterator[tuple[list[str], Callable[..., Any]]]:
    """Each exported function of a module with all the names that it has, its own first."""
    own = [
        value for value in vars(module).values() if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    for function in dict.fromkeys(own):
        names = [name for name in gf.__all__ if getattr(gf, name) is function]
        if names:
            yield sorted(names, key=lambda name: name != function.__name__), function


def _signature(function: Callable[..., Any]) -> str:
    """The parameters without their annotations."""
    signature = inspect.signature(function)
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def first_sentence(text: str) -> str:
    """What comes before the first blank line and before the names elsewhere, as one line of Markdown."""
    first = text.split("\n\n", maxsplit=1)[0]
    return _escaped(SOURCE.sub("", first).replace("\n", " ").strip())


def _elsewhere(text: str) -> str:
    """The names that the operation has in Gorgonia, numpy and others."""
    found = SOURCE.search(text)
    return "Elsewhere: " + _escaped(" ".join(found[1].split())) if found else ""


def _escaped(text: str) -> str:
    """Words as Markdown shows them, formulas with their stars; what stands in backquotes stays."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*_<>\[\]|])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


# --- classes ----------------------------------------------------------------------------------------------------------


def _classes(module: ModuleType) -> list[type[Op]]:
    """The ops that a module defines, in the order of the file; what is abstract is not registered."""
    own = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    return [value for value in own if issubclass(value, Op) and value.__name__ in REGISTRY]


def _inner_ops(module: ModuleType) -> Iterator[str]:
    """The ops that no public function is named after: what gradients and other functions are made of."""
    shown = {name for names, function in _public(module) for name in (*names, function.__name__)}
    inner = [op for op in _classes(module) if op.symbol not in shown]
    if inner:
        yield "Inside the functions above and their gradients:\n"
    for op in inner:
        words = first_sentence(op.__dict__.get("__doc__") or "")
        words = "" if words.startswith(f"{op.__name__}(") else words
        yield f"**{op.symbol.replace('_', ' ')}**" + (f": {words}" if words else "") + "\n"
        yield "\n".join(f"- {line}" for line in _facts(op)) + "\n"


def _facts(op_class: type[Op]) -> list[str]:
    """Types, gradient and loop form of an op, on its first sample."""
    sample = next(iter(op_class.samples()))
    types = sample_types(sample)
    loop = sample.op.lower(*types)
    facts = [
        f"`{', '.join(map(str, types)) or 'nothing'} -> {sample.op.infer(*types)}`{_fields(sample.op)}",
        f"gradient {_gradient_text(sample, types)}",
        f"loop `{loop}`",
    ]
    if isinstance(loop, Call):
        facts[-1] += f": {op_class.without_loop}"
    return facts


def _fields(op: Op) -> str:
    """The static attributes of the example."""
    text = repr(op).partition("(")[2].removesuffix(")")
    return f" with `{text}`" if text else ""


def _gradient_text(sample: Sample, types: Sequence[TensorType]) -> str:
    """The gradient of each input as an expression of dy, y and the inputs."""
    found = gradients(sample, types)
    if found is None:
        return "none: not differentiable"
    return ", ".join(f"of {name} `{text}`" for name, text in found.items()) or "none: no inputs"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/ops.md from the operations themselves.")
    parser.add_argument("--check", action="store_true", help="only see whether the page is current")
    is_check = parser.parse_args().check
    text = page()
    if not is_check:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"docs/ops.md is not what the operations say: {COMMAND}")


if __name__ == "__main__":
    main()
