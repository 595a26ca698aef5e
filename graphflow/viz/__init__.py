"""Pictures: graphs through Graphviz, matrices and curves through matplotlib.

    labels    text: short, visible, escaped
    style     the look of each role
    frames    which steps and scopes are framed
    dot       to_dot: a small graph, node by node
    render    such a text to svg, png or pdf
    notebook  what a notebook shows
    heatmap   matrices and curves

Graphs and nodes reach these through `graph.DRAWING`, since pictures lie above graphs.
"""

from __future__ import annotations

from graphflow.graph import DRAWING
from graphflow.viz.dot import to_dot
from graphflow.viz.heatmap import heat_map, heat_map_triple, loss_curve, save_figure
from graphflow.viz.notebook import mime_bundle
from graphflow.viz.render import render_graph

DRAWING.to_dot = to_dot
DRAWING.render = render_graph
DRAWING.svg = mime_bundle

__all__ = ["heat_map", "heat_map_triple", "loss_curve", "mime_bundle", "render_graph", "save_figure", "to_dot"]
