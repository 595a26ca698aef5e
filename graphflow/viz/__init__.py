"""Pictures: graphs through Graphviz, matrices and curves through matplotlib.

labels    text: short, visible, escaped
style     the look of each role
dot       to_dot: a small graph, node by node
render    to_dot's text to svg, png or pdf
notebook  what a notebook shows
heatmap   matrices and curves
"""

from __future__ import annotations

from graphflow.graph import DRAWING
from graphflow.viz.dot import to_dot
from graphflow.viz.notebook import mime_bundle
from graphflow.viz.render import render_graph

DRAWING.to_dot = to_dot
DRAWING.render = render_graph
DRAWING.svg = mime_bundle
