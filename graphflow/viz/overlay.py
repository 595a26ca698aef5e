"""Overlays: a measured quantity in place of the roles' colours, such as time, memory or the norm of a gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from graphflow.errors import OptionError
from graphflow.graph import check_nodes
from graphflow.node import Node
from graphflow.viz.labels import LONGEST_NAME, visible
from graphflow.viz.picture import Box, LegendEntry, Picture

# From white to an orange on which black text can still be read; in grey it grows darker all the way.
LEAST: Final = (255, 255, 255)
MOST: Final = (240, 128, 60)
WITHOUT_VALUE: Final = "#E8E8E8"
VALUES: Final = "for each node a weight from 0 to 1 and a text, such as {node: (0.25, '12 us')}"


@dataclass(frozen=True)
class Overlay:
    """What nodes are coloured by: `graph.render(path, color_by=overlay)`.

    Args:
        title: heads the legend, such as "time".
        values: for each node a weight from 0 to 1, which becomes the colour, and a short text, which stands in the
            label, such as (0.25, "12 µs"). Nodes without an entry are grey.
        least, most: what the weights 0 and 1 mean, for the legend.

    Raises:
        OptionError: a weight outside 0 to 1, or no weight with a text. GraphError: the overlay is for no node.

    Example:
        >>> import graphflow as gf
        >>> from graphflow.viz import Overlay
        >>> g = gf.ExprGraph()
        >>> y = gf.tanh(gf.vector(g, 3, name="x"))
        >>> text = g.to_dot(color_by=Overlay("time", {y: (1.0, "12 µs")}, least="0 µs", most="12 µs"))
        >>> "12 µs" in text
        True
    """

    title: str
    values: Mapping[Node, tuple[float, str]]
    least: str = "least"
    most: str = "most"

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping):
            raise OptionError("Overlay: values is not usable", got=type(self.values).__name__, needs=VALUES)
        check_nodes("Overlay", self.values)
        for node, value in self.values.items():
            if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], int | float | np.floating)):
                raise OptionError(f"Overlay: the value of {node} is not usable", got=repr(value), needs=VALUES)
            if not 0 <= value[0] <= 1:
                raise OptionError(f"Overlay: the weight of {node}", got=repr(value[0]), needs="a number from 0 to 1")


def painted(picture: Picture, overlay: Overlay) -> Picture:
    """The picture in the colours of an overlay; a box of several nodes shows the one with the largest weight."""
    values = {node.id: value for node, value in overlay.values.items()}
    legend = picture.legend
    if legend:
        title = visible(overlay.title, LONGEST_NAME)
        samples = (("least", overlay.least, 0.0), ("most", overlay.most, 1.0))
        scale = [
            LegendEntry(f"color_{key}", (f"{title}: {visible(text, LONGEST_NAME)}",), "forward", fill=colour(weight))
            for key, text, weight in samples
        ]
        none = LegendEntry("color_none", (f"{title}: no value",), "forward", fill=WITHOUT_VALUE)
        legend = (*(replace(entry, fill="#FFFFFF") if entry.role else entry for entry in legend), *scale, none)
    return replace(picture, boxes=tuple(_painted_box(box, values) for box in picture.boxes), legend=legend)


def _painted_box(box: Box, values: Mapping[int, tuple[float, str]]) -> Box:
    found = [values[number] for number in box.nodes if number in values]
    if not found:
        return replace(box, fill=WITHOUT_VALUE)
    weight, text = max(found, key=lambda each: each[0])
    text = visible(text, LONGEST_NAME)
    if len(found) > 1:
        text = f"{text} (most of {len(found)})"
    lines = box.lines if box.is_small else (*box.lines, text)
    return replace(box, fill=colour(weight), lines=lines, tooltip=(*box.tooltip, text))


def colour(weight: float) -> str:
    """The colour of a weight from 0 to 1."""
    channels = (round(low + weight * (high - low)) for low, high in zip(LEAST, MOST, strict=True))
    return "#{:02X}{:02X}{:02X}".format(*channels)
