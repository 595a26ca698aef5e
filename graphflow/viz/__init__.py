"""Pictures: graphs through Graphviz, matrices and curves through matplotlib.

    labels    text: short, visible, escaped
    style     the look of each role
    frames    which steps and scopes are framed
    picture   what is drawn, as data: boxes, edges, frames
    raw       the view of a small graph: node by node
    overlay   colours for something measured
    measured  what a machine has measured, as overlays
    selection parts to draw: by step, direction, name, or around a node
    steps     which time steps are alike
    parts     which part of a model a node belongs to
    ports     alike steps once, with flags for what comes from elsewhere
    full      all nodes, each kind of step laid out once
    fused     elementwise chains as one box
    layers    a layout that takes no time
    scopes    each scope as a box
    tape      plans and programs
    views     to_dot, and the choice among the views
    dot       a picture in Graphviz's language
    render    such a text to svg, png or pdf
    notebook  what a notebook shows
    page      to_html: a page for a browser; page_svg and page_data are its parts
    heatmap   matrices and curves
    sequences gates, probabilities and norms, step by step

Graphs and nodes reach these through `graph.DRAWING`, since pictures lie above graphs.
"""

from __future__ import annotations

from graphflow.graph import DRAWING
from graphflow.viz.heatmap import heat_map, heat_map_triple, loss_curve, save_figure
from graphflow.viz.measured import gradient_overlay, memory_overlay, nan_overlay, time_overlay
from graphflow.viz.notebook import listing_bundle, mime_bundle
from graphflow.viz.overlay import Overlay
from graphflow.viz.page import to_html
from graphflow.viz.render import render_graph
from graphflow.viz.sequences import gate_maps, norms_by_step, probability_map
from graphflow.viz.tape import render_tape, tape_dot, tape_picture
from graphflow.viz.views import picture_of, to_dot

DRAWING.to_dot = to_dot
DRAWING.render = render_graph
DRAWING.svg = mime_bundle
DRAWING.listing = listing_bundle
DRAWING.to_html = to_html
DRAWING.tape_dot = tape_dot
DRAWING.render_tape = render_tape

__all__ = [
    "Overlay",
    "gate_maps",
    "gradient_overlay",
    "heat_map",
    "heat_map_triple",
    "listing_bundle",
    "loss_curve",
    "memory_overlay",
    "mime_bundle",
    "nan_overlay",
    "norms_by_step",
    "picture_of",
    "probability_map",
    "render_graph",
    "render_tape",
    "save_figure",
    "tape_dot",
    "tape_picture",
    "time_overlay",
    "to_dot",
    "to_html",
]
