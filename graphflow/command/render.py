"""`render TARGET`: a picture of the graph that a program builds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from graphflow.command.contract import Command
from graphflow.command.loading import load_view
from graphflow.viz.render import SECONDS, render_graph, write_picture
from graphflow.viz.views import LIMIT, to_dot

TEXT_ENDINGS: Final = (".dot", ".gv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What, whereto, and how."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="FILE.py:NAME or package.module:NAME, the name of a graph, of a node, or of a function without arguments "
        "that returns one; the program is run, but not as __main__",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="ends in .svg, .png, .pdf, .gv or .dot; without it, Graphviz's text is printed",
    )
    parser.add_argument("--limit", metavar="N", type=int, default=LIMIT, help="the most nodes (default: %(default)s)")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=SECONDS, help="for drawing (default: %(default)g)"
    )
    parser.add_argument("--no-legend", dest="legend", action="store_false", help="leave the legend out")


def run(options: argparse.Namespace) -> list[str]:
    """Draw, and say where the picture is; without a file, the text of the picture.

    Raises:
        GraphError: the target is no graph; RenderError: it cannot be drawn.
    """
    view = load_view(options.target)
    if options.output is None or Path(options.output).suffix.lower() in TEXT_ENDINGS:
        text = to_dot(view, limit=options.limit, legend=options.legend)
        if options.output is None:
            return text.splitlines()
        write_picture(Path(options.output), text.encode())
    else:
        render_graph(view, options.output, limit=options.limit, timeout=options.timeout, legend=options.legend)
    return [f"{options.output}: {len(view)} nodes, {Path(options.output).stat().st_size:,} bytes"]


RENDER: Final = Command(
    "render",
    "draw the graph that a program builds",
    (
        ("train.py:graph -o graph.svg", "the graph called graph in train.py"),
        ("train.py:build -o graph.svg", "what the function build returns"),
        ("package.module:graph | dot -Tpng > graph.png", "Graphviz's text, for a program of your own"),
    ),
    add_arguments,
    run,
)
