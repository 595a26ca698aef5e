"""Text in pictures: short, visible and harmless, whatever the user called things.

Graphviz gives a meaning to backslashes and to `&...;`, and XML knows no control characters. So every text of the user
passes through `visible`, and through `label` or `tooltip` before it meets Graphviz. The quotation marks around it are
the business of the `graphviz` package.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

from graphflow.node import Node
from graphflow.op import Op
from graphflow.values import Array

LONGEST_NAME = 40
LONGEST_LINE = 160
LARGEST_FOLDED = 4

ELLIPSIS = "…"
TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"
OPERAND = "·"  # stands for an operand that has a node of its own
CONTROL_PICTURES = 0x2400
DELETE = 0x7F
DELETE_PICTURE = "\N{SYMBOL FOR DELETE}"
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
# Graphviz unescapes tooltips twice, and not all versions do, so no number of backslashes is right there.
LIKE_A_BACKSLASH = "\N{SET MINUS}"


def visible(text: str, longest: int = LONGEST_LINE) -> str:
    r"""The text as one line of at most `longest` characters, each of which can be seen.

    Control characters become their symbols (START, 0x02, is shown as U+2402), other invisible ones U+FFFD; what is too
    long loses its middle.

    Example:
        >>> print(visible("a\x02b\nc"), visible("0123456789", 5))
        a␂b␊c 01…89
    """
    if len(text) > longest:
        tail = (longest - 1) // 2
        text = text[: longest - 1 - tail] + ELLIPSIS + text[len(text) - tail :]
    return text if text.isprintable() else "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    code = ord(character)
    if code < ord(" "):
        return chr(CONTROL_PICTURES + code)
    if code == DELETE:
        return DELETE_PICTURE
    return character if character.isprintable() else UNPRINTABLE


def label(lines: Iterable[str]) -> str:
    """A label of these lines, in which Graphviz finds nothing to interpret."""
    return "\\n".join(line.replace("&", "&amp;").replace("\\", "\\\\") for line in lines)


def tooltip(lines: Iterable[str]) -> str:
    """A tooltip of these lines, in which Graphviz finds nothing to interpret."""
    return "\\n".join(line.replace("&", "&amp;").replace("\\", LIKE_A_BACKSLASH) for line in lines)


def is_foldable(node: Node) -> bool:
    """Whether it is a constant so small that its numbers can stand in the labels of its users."""
    return node.is_constant and node.name is None and node.dims <= 1 and node.size <= LARGEST_FOLDED


def headline(node: Node, gradient_name: str | None = None, folded: Collection[int] = ()) -> str:
    """What a node is, such as `w`, `tanh`, `cost = sum`, `∂w = outer` or `pow(·, 2)`.

    Args:
        node: the node.
        gradient_name: the name of the node that it is the gradient of, if any.
        folded: ids of the constants that are not drawn; their numbers stand here.
    """
    name = visible(node.name or (f"∂{gradient_name}" if gradient_name else ""), LONGEST_NAME)
    if node.op is None:
        return name or (numbers(node.storage) if is_foldable(node) else node.label)
    what = visible(node.op.symbol, LONGEST_NAME)
    if any(operand.id in folded for operand in node.inputs):
        what += f"({', '.join(numbers(each.storage) if each.id in folded else OPERAND for each in node.inputs)})"
    return f"{name} = {what}" if name else what


def numbers(array: Array | None) -> str:
    """The numbers of a small array."""
    if array is None:
        return OPERAND
    texts = [f"{number:.4g}" if isinstance(number, float) else str(number) for number in array.ravel().tolist()]
    return f"[{', '.join(texts)}]" if array.shape else texts[0]


def details(node: Node) -> list[str]:
    """What is known about a node beside its label, line by line."""
    what = "constant" if node.is_constant else "input" if node.op is None else visible(node.op.name)
    lines = [f"%{node.id}: {what}"]
    if node.op is not None and attributes(node.op):
        lines.append(visible(attributes(node.op)))
    if node.name is not None:
        lines.append(f"name {visible(node.name)}")
    if node.gradient_of is not None:
        lines.append(f"gradient, belongs to {visible(str(node.gradient_of))}")
    if node.step is not None:
        lines.append(visible(f"step {node.step}"))
    if node.scope:
        lines.append(f"scope {visible(node.scope)}")
    return [*lines, f"made at {visible(str(node.origin))}"]


def attributes(op: Op) -> str:
    """The static attributes of an op, such as `axes=(0,), keepdims=False`."""
    if not dataclasses.is_dataclass(op):
        return ""
    pairs = [(field.name, repr(getattr(op, field.name))) for field in dataclasses.fields(op) if field.repr]
    # An address in memory says nothing, and differs from run to run.
    return ", ".join(f"{name}={text}" for name, text in pairs if " at 0x" not in text)
