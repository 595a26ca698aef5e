"""What an op does, as text: the types of its first sample, and its gradients as formulas."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from graphflow.dtypes import float32
from graphflow.graph import ExprGraph
from graphflow.node import Node
from graphflow.op import NotDifferentiable, Op, Sample
from graphflow.tensortype import TensorType

INFIX: Final = {
    "add": "+", "sub": "-", "hadamard_prod": "*", "hadamard_div": "/", "pow": "**", "matmul": "@", "lt": "<",
    "lte": "<=", "gt": ">", "gte": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip


def sample_types(sample: Sample) -> list[TensorType]:
    """The types of a sample's inputs, floats as float32."""
    return [TensorType(float32 if each.dtype.kind == "f" else each.dtype, each.shape) for each in sample.inputs]


def gradients(sample: Sample, types: Sequence[TensorType]) -> dict[str, str] | None:
    """The gradient of each input, by its name, as an expression of dy, y and the inputs; None where there is none."""
    graph = ExprGraph()
    names = operand_names(type(sample.op), len(types))
    inputs = [graph.leaf(value_type, name) for value_type, name in zip(types, names, strict=True)]
    y, dy = (graph.leaf(sample.op.infer(*types), name) for name in ("y", "dy"))
    found = sample.op.gradient(dy, y, *inputs)
    if isinstance(found, NotDifferentiable):
        return None
    texts = {}
    for name, entry in zip(names, found, strict=True):
        node = entry if entry is None or isinstance(entry, Node) else entry()
        texts[name] = "0" if node is None else expression(node)
    return texts


def operand_names(op_class: type[Op], count: int) -> list[str]:
    """What `gradient` calls the inputs."""
    parameters = list(inspect.signature(op_class.gradient).parameters.values())[3:]
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return [f"x{number}" for number in range(count)]
    return [parameter.name.rstrip("_") for parameter in parameters]


def expression(node: Node) -> str:
    """A node as an expression of the named inputs, operators between their operands."""
    texts: dict[int, str] = {}
    for each in node.graph.nodes:
        if each.op is None:
            texts[each.id] = each.name or _constant(each)
            continue
        operands = [texts[source.id] for source in each.inputs]
        fields = repr(each.op).partition("(")[2].removesuffix(")")
        if each.op.symbol in INFIX:
            texts[each.id] = f"({operands[0]} {INFIX[each.op.symbol]} {operands[1]})"
        elif each.op.symbol == "neg":
            texts[each.id] = f"-{operands[0]}"
        else:
            texts[each.id] = f"{each.op.symbol}({', '.join([*operands, *_shown(fields)])})"
    text = texts[node.id]
    return text[1:-1] if text.startswith("(") and _is_one_bracket(text) else text


def _shown(fields: str) -> list[str]:
    """The fields of an op as far as they are short; a dtype by its name."""
    text = re.sub(r"dtype\('(\w+)'\)", r"\1", fields)
    return [text] if text and len(text) <= 40 else []


def _constant(node: Node) -> str:
    value = node.value
    return f"{value:g}" if value.ndim == 0 and value.dtype.kind != "b" else f"constant {node.type}"


def _is_one_bracket(text: str) -> bool:
    """Whether the first bracket is closed by the last one."""
    depths = [0]
    for letter in text:
        depths.append(depths[-1] + (letter == "(") - (letter == ")"))
    return all(after > 0 for _, after in pairwise(depths[:-1]))
