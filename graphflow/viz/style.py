"""How nodes look: a colour and a shape for each role, told apart also by the colour-blind and in grey print."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from graphflow.node import Node

FONT: Final = "Helvetica,Arial,sans-serif"
BOLD_FRAME: Final = "3"
PALE: Final = "#7A7A7A"
CLUSTER: Final = {"color": PALE, "fontcolor": "#444444"}
NOTE: Final = {"shape": "plaintext", "fontsize": "9"}


@dataclass(frozen=True)
class Style:
    """The look of one role.

    Args:
        meaning: the words in the legend.
        shape: Graphviz's name of the shape.
        fill: colour of the inside, light enough for black text.
        line: colour of the frame, and of the edges that lead to such a node.
        corners: Graphviz's style of the corners, or "".
    """

    meaning: str
    shape: str
    fill: str
    line: str
    corners: str = ""

    def attributes(self) -> dict[str, str]:
        """The look as attributes of a Graphviz node."""
        style = f"filled,{self.corners}" if self.corners else "filled"
        margin = {"margin": "0.2,0.05"} if self.corners == "diagonals" else {}  # room for the lines in the corners
        return {"shape": self.shape, "style": style, "fillcolor": self.fill, "color": self.line, **margin}


# The hues are those that Okabe and Ito chose for all kinds of colour vision (https://jfly.uni-koeln.de/color/), the
# lines darkened for contrast. In grey the fills differ in lightness; tests/viz/test_style.py holds them to it.
STYLES: Final = {
    "input": Style("input", "ellipse", "#9AD9C0", "#007D5A"),
    "parameter": Style("parameter: an input with a gradient", "cylinder", "#F2E25A", "#8A7D00"),
    "constant": Style("constant", "note", "#F7F7F7", "#666666"),
    "forward": Style("forward", "box", "#DDEDF9", "#0072B2", "rounded"),
    "gradient": Style("gradient", "box", "#F2A077", "#C04F00", "diagonals"),
    "port": Style("flag: a value that is drawn elsewhere", "cds", "#FFFFFF", "#8F3B76"),
}


def role_of(node: Node, parameters: Container[int]) -> str:
    """The key of its style.

    Args:
        node: the node.
        parameters: ids of the nodes that a gradient was taken of.
    """
    if node.is_constant:
        return "constant"
    if node.op is None:
        return "parameter" if node.id in parameters else "input"
    return "forward" if node.gradient_of is None else "gradient"
