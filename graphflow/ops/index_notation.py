"""Sums of products written in index notation: numpy's einsum, contracted two operands at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from graphflow.errors import ShapeError
from graphflow.node import Node
from graphflow.ops.diagonals import diagonal
from graphflow.ops.reductions import sum as sum_along
from graphflow.ops.shape import naming, reshape, transpose
from graphflow.ops.tensor_products import Labels, all_or_nothing, product

ELLIPSIS = "..."


class Term(NamedTuple):
    """A node with a label for each of its axes."""

    node: Node
    labels: Labels


def einsum(equation: str, *operands: object) -> Node:
    """Sums of products in index notation, as in numpy: "ij,jk->ik" of x and y is x @ y.

    Args:
        equation: for each operand its axes as letters, separated by commas, then `->` and the axes of the result. A
            letter that the result lacks is summed over; one that an operand repeats takes its diagonal; `...` stands
            for any further axes, which broadcast. Without `->` the result has the axes of `...`, then the letters
            that appear once, in alphabetical order.
        operands: nodes or arrays of one dtype. Several are multiplied two at a time, the cheapest pair first.

    Returns:
        A node with the axes of the result.

    Raises:
        ShapeError: an equation that cannot be read, or operands that do not fit it. DTypeError: two dtypes, or bool.
        GraphError: no operand is a node.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> queries, keys = gf.tensor(g, (8, 30, 4, 16)), gf.tensor(g, (8, 50, 4, 16))
        >>> print(gf.einsum("bqhd,bkhd->bhqk", queries, keys).type)
        float32[8, 4, 30, 50]

    Source: numpy einsum.
    """
    with all_or_nothing("einsum", operands) as nodes:
        with naming("einsum", nodes[0]):
            terms, out = _read(equation, nodes)
            sizes = _sizes(equation, terms)
        rest = [terms[:place] + terms[place + 1 :] for place in range(len(terms))]
        simple = [_simplified(term, others, out, sizes) for term, others in zip(terms, rest, strict=True)]
        return _contracted(simple, out, sizes)


def _read(equation: str, nodes: Sequence[Node]) -> tuple[list[Term], Labels]:
    """The operands with their labels, and the labels of the result: letters by code, axes of `...` below zero."""
    if not isinstance(equation, str):
        raise ShapeError(f"{equation!r} is no equation", needs='text such as "ij,jk->ik"')
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(nodes):
        raise ShapeError(f"the equation {equation!r} does not fit", got=f"{len(nodes)} operands", needs=f"{len(parts)}")
    terms = []
    for part, node in zip(parts, nodes, strict=True):
        letters = _letters(equation, part)
        further = node.dims - len(letters.replace(".", ""))
        if further < 0 or (further and "." not in letters):
            raise ShapeError(
                f"{part!r} does not fit {{0}}",
                got=f"{node.dims} axes",
                needs=f"{len(letters.replace('.', ''))} axes" + (" or more" if "." in letters else ""),
                operands=[node],
            )
        terms.append(Term(node, _labels(letters, further)))
    dims = max(sum(label < 0 for label in term.labels) for term in terms)
    if arrow:
        letters = _letters(equation, right)
        if dims and "." not in letters:
            raise ShapeError(
                f"the equation {equation!r} does not fit", got="'...' on the left alone", needs="'...' in the result"
            )
        out = _labels(letters, dims)
    else:
        names = [label for term in terms for label in term.labels]
        once = sorted(label for label in set(names) if label > 0 and names.count(label) == 1)
        out = (*range(-dims, 0), *once)
    known = {label for term in terms for label in term.labels}
    if len(set(out)) != len(out) or not set(out) <= known:
        needs = "letters of the operands, each once"
        raise ShapeError(f"the result of the equation {equation!r} is none", got=repr(right), needs=needs)
    return terms, out


def _letters(equation: str, part: str) -> str:
    """A part of the equation with `...` as a single dot."""
    letters = part.replace(ELLIPSIS, ".", 1)
    wrong = next(
        (letter for letter in letters.replace(".", "", 1) if not (letter.isascii() and letter.isalpha())), None
    )
    if wrong is not None:
        raise ShapeError(
            f"cannot read the equation {equation!r}", got=repr(wrong), needs="letters, ',', '->' and '...'"
        )
    return letters


def _labels(letters: str, further: int) -> Labels:
    """One label for each axis; the axes of `...` are counted from the last, as broadcasting does."""
    found: list[int] = []
    for letter in letters:
        found += range(-further, 0) if letter == "." else [ord(letter)]
    return tuple(found)


def _name(label: int) -> str:
    return f"axis {label} of '...'" if label < 0 else repr(chr(label))


def _sizes(equation: str, terms: Sequence[Term]) -> dict[int, int]:
    """The size that each label stands for; a size of 1 broadcasts."""
    sizes: dict[int, int] = {}
    for term in terms:
        own: dict[int, int] = {}
        for label, size in zip(term.labels, term.node.shape, strict=True):
            known = own.setdefault(label, size), sizes.get(label, 1)
            if known[0] != size or (size != 1 and known[1] not in (1, size)):
                other = known[0] if known[0] != size else known[1]
                raise ShapeError(
                    f"the equation {equation!r} does not fit {{0}}",
                    got=f"sizes {other} and {size} for {_name(label)}",
                    needs="equal sizes",
                    operands=[term.node],
                )
            if size != 1:
                sizes[label] = size
            sizes.setdefault(label, size)
    return sizes


def _simplified(term: Term, others: Sequence[Term], out: Labels, sizes: dict[int, int]) -> Term:
    """An operand with each label once, without labels that it is only repeated along, or that nobody else needs."""
    node, labels = term
    narrow = [axis for axis, label in enumerate(labels) if node.shape[axis] == 1 and sizes[label] != 1]
    if narrow:
        node = reshape(node, [size for axis, size in enumerate(node.shape) if axis not in narrow])
        labels = tuple(label for axis, label in enumerate(labels) if axis not in narrow)
    while len(set(labels)) != len(labels):
        second = next(axis for axis, label in enumerate(labels) if label in labels[:axis])
        first = labels.index(labels[second])
        node = diagonal(node, axis1=first, axis2=second)
        labels = (*(label for axis, label in enumerate(labels) if axis not in (first, second)), labels[second])
    needed = {*out, *(label for other in others for label in other.labels)}
    alone = [axis for axis, label in enumerate(labels) if label not in needed]
    if alone:
        node = sum_along(node, alone)
        labels = tuple(label for label in labels if label in needed)
    return Term(node, labels)


def _contracted(terms: list[Term], out: Labels, sizes: dict[int, int]) -> Node:
    """The operands multiplied two at a time: always the pair that takes the fewest multiplications."""

    def kept(first: int, second: int) -> Labels:
        rest = {
            *out,
            *(label for place, term in enumerate(terms) if place not in (first, second) for label in term.labels),
        }
        both = dict.fromkeys((*terms[first].labels, *terms[second].labels))
        return tuple(label for label in both if label in rest)

    def cost(pair: tuple[int, int]) -> tuple[int, int]:
        both = {*terms[pair[0]].labels, *terms[pair[1]].labels}
        return math.prod(sizes[label] for label in both), math.prod(sizes[label] for label in kept(*pair))

    while len(terms) > 1:
        first, second = min(combinations(range(len(terms)), 2), key=cost)
        labels = out if len(terms) == 2 else kept(first, second)
        # What one factor alone had may have lost its last other reader; then it is summed before.
        left, right = terms[first], terms[second]
        rest = {*labels}
        left, right = _summed(left, {*rest, *right.labels}), _summed(right, {*rest, *left.labels})
        found = Term(product(left.node, left.labels, right.node, right.labels, labels), labels)
        terms = [term for place, term in enumerate(terms) if place not in (first, second)] + [found]
    node, labels = terms[0]
    return transpose(node, [labels.index(label) for label in out])


def _summed(term: Term, needed: set[int]) -> Term:
    alone = [axis for axis, label in enumerate(term.labels) if label not in needed]
    if not alone:
        return term
    return Term(sum_along(term.node, alone), tuple(label for label in term.labels if label in needed))
