"""Laying out a part of a graph in layers: what comes from something stands below it, lines are short, nothing overlaps.

Graphviz does it better, but needs seconds where a step has a hundred boxes and minutes where a graph has thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GAP: Final = 14.0
LAYER_GAP: Final = 26.0
SWEEPS: Final = 8

Size = tuple[float, float]
Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Where boxes stand.

    Args:
        points: the centre of each box, to the right of and below the upper left corner (so y is 0 or less).
        width, height: of all of them.
    """

    points: tuple[Point, ...]
    width: float
    height: float


def layered(sizes: Sequence[Size], edges: Sequence[tuple[int, int]]) -> Layout:
    """Place boxes in layers.

    Args:
        sizes: width and height of each box.
        edges: pairs of numbers of boxes; no path leads back to where it began.

    Example:
        >>> layered([(10, 10), (10, 10), (10, 10)], [(0, 1), (0, 2)]).points
        ((17.0, -5.0), (5.0, -41.0), (29.0, -41.0))
    """
    if not sizes:
        return Layout((), 0.0, 0.0)
    above: list[list[int]] = [[] for _ in sizes]
    below: list[list[int]] = [[] for _ in sizes]
    for tail, head in edges:
        above[head].append(tail)
        below[tail].append(head)
    layers = _layers(above, below)
    across = _across(layers, sizes, above, below)
    left = min(across[box] - sizes[box][0] / 2 for box in range(len(sizes)))
    right = max(across[box] + sizes[box][0] / 2 for box in range(len(sizes)))
    points: list[Point] = [(0.0, 0.0)] * len(sizes)
    top = 0.0
    for layer in layers:
        height = max(sizes[box][1] for box in layer)
        for box in layer:
            points[box] = (across[box] - left, -(top + height / 2))
        top += height + LAYER_GAP
    return Layout(tuple(points), right - left, top - LAYER_GAP)


def _layers(above: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> list[list[int]]:
    """The boxes of each layer: one below all that lead to it, and what nothing leads to just above its first use."""
    missing = [len(each) for each in above]
    order = [box for box, count in enumerate(missing) if not count]
    layer = [0] * len(above)
    for box in order:  # grows while it is gone through
        for other in below[box]:
            layer[other] = max(layer[other], layer[box] + 1)
            missing[other] -= 1
            if not missing[other]:
                order.append(other)
    for box in reversed(order):
        if not above[box] and below[box]:
            layer[box] = min(layer[other] for other in below[box]) - 1
    found: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    for box, number in enumerate(layer):
        found[number].append(box)
    return [each for each in found if each]


def _across(
    layers: list[list[int]], sizes: Sequence[Size], above: Sequence[Sequence[int]], below: Sequence[Sequence[int]]
) -> list[float]:
    """How far to the right each box stands: boxes move towards their neighbours above and below in turn."""
    across = [0.0] * len(sizes)
    for layer in layers:
        _settle(layer, [float(place) for place in range(len(layer))], sizes, across)
    for sweep in range(SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = {
                box: sum(across[other] for other in neighbours[box]) / len(neighbours[box])
                if neighbours[box]
                else across[box]
                for box in layer
            }
            layer.sort(key=lambda box: (wanted[box], box))
            _settle(layer, [wanted[box] for box in layer], sizes, across)
    return across


def _settle(layer: Sequence[int], wanted: Sequence[float], sizes: Sequence[Size], across: list[float]) -> None:
    """Place the boxes of a layer in this order, as near as possible to where they want to be, and not overlapping.

    As near as possible in the sense of least squares, so boxes that are in each other's way share the way evenly.
    """
    shifts: list[float] = []
    shift = 0.0
    for place, box in enumerate(layer):
        if place:
            shift += (sizes[layer[place - 1]][0] + sizes[box][0]) / 2 + GAP
        shifts.append(shift)
    # Runs of boxes side by side: sum of what they want, and how many they are.
    runs: list[tuple[float, int]] = []
    for want, moved in zip(wanted, shifts, strict=True):
        runs.append((want - moved, 1))
        while len(runs) > 1 and runs[-2][0] / runs[-2][1] >= runs[-1][0] / runs[-1][1]:
            total, count = runs.pop()
            runs[-1] = (runs[-1][0] + total, runs[-1][1] + count)
    place = 0
    for total, count in runs:
        for _ in range(count):
            across[layer[place]] = total / count + shifts[place]
            place += 1
