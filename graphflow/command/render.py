"""`render TARGET`: a picture of the graph that a program builds, or a page about it."""

from __future__ import annotations

import argparse
import difflib
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from graphflow.checkpoint import load_checkpoint
from graphflow.command.contract import Command
from graphflow.command.loading import load_view
from graphflow.errors import OptionError
from graphflow.graph import GraphView
from graphflow.node import Node
from graphflow.viz.page import FORMATS as PAGES
from graphflow.viz.page import to_html
from graphflow.viz.render import SECONDS, render_graph, write_picture
from graphflow.viz.selection import DIRECTIONS
from graphflow.viz.views import LIMIT, VIEWS, to_dot

TEXT_ENDINGS: Final = ("dot", "gv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What, whereto, and how."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="FILE.py:NAME or package.module:NAME, the name of a graph, of a node, of something with a .graph, or of a "
        "function without arguments that returns one; the program is run, but not as __main__",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="ends in .svg, .png, .pdf, .html (a page to search and zoom), .gv or .dot (Graphviz's text); without it "
        "that text is printed",
    )
    parser.add_argument(
        "--view", choices=VIEWS, default="auto", help="node by node, or by steps (default: %(default)s)"
    )
    part = parser.add_argument_group("a part of the graph")
    part.add_argument("--steps", metavar="T", type=step_numbers, help="these time steps: 3 or 0,1,28-29")
    part.add_argument("--direction", choices=DIRECTIONS, default="both", help="without gradients, or only these")
    part.add_argument("--select", metavar="PATTERN", help="what has such a name or scope: 'decoder*'")
    part.add_argument("--around", metavar="NODE", help="a name, or a number such as %%12, and what is near it")
    part.add_argument("--up", metavar="N", type=int, default=2, help="levels above it (default: %(default)s)")
    part.add_argument("--down", metavar="N", type=int, default=2, help="levels below it (default: %(default)s)")
    parser.add_argument("--fuse", action="store_true", help="elementwise chains as one box")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="the values of a saved run: a page shows their ranges at each node"
    )
    parser.add_argument(
        "--limit", metavar="N", type=int, default=LIMIT, help="the most nodes one by one (default: %(default)s)"
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=SECONDS, help="for drawing (default: %(default)g)"
    )
    parser.add_argument("--no-legend", dest="legend", action="store_false", help="leave the legend out")


def run(options: argparse.Namespace) -> list[str]:
    """Draw, and say where the picture is; without a file, the text of the picture.

    Raises:
        GraphError: the target is no graph; RenderError: it cannot be drawn; CheckpointError: it does not fit the graph.
    """
    graph = load_view(options.target)
    if options.checkpoint is not None:
        _restore(graph, options.checkpoint)
    chosen: dict[str, Any] = {"limit": options.limit}
    chosen |= {name: getattr(options, name) for name in ("steps", "direction", "select", "fuse")}
    if options.around is not None:
        chosen |= {"around": find_node(graph, options.around), "up": options.up, "down": options.down}
    if options.output is None:
        return to_dot(graph, view=options.view, legend=options.legend, **chosen).splitlines()
    ending = Path(options.output).suffix.lower().removeprefix(".")
    if ending in PAGES:
        views = None if options.view == "auto" else [options.view]
        to_html(graph, options.output, views=views, timeout=options.timeout, **chosen)
    elif ending in TEXT_ENDINGS:
        text = to_dot(graph, view=options.view, legend=options.legend, **chosen)
        write_picture(Path(options.output), text.encode())
    else:
        chosen |= {"view": options.view, "legend": options.legend}
        render_graph(graph, options.output, timeout=options.timeout, **chosen)
    return [f"{options.output}: of a graph of {len(graph):,} nodes"]


def step_numbers(text: str) -> list[int]:
    """The steps meant by a text such as 0,1,28-29.

    Raises:
        ArgumentTypeError: it means none.
    """
    found: list[int] = []
    with suppress(ValueError):
        for part in text.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
        if found:
            return found
    raise argparse.ArgumentTypeError(f"{text!r} are no steps; they are written as 3 or 0,1,28-29")


def find_node(graph: GraphView, text: str) -> Node:
    """The node with this name, or with a number such as %12.

    Raises:
        OptionError: there is none, or more than one of the name.
    """
    found = [node for node in graph if text in {node.name, f"%{node.id}"}]
    if len(found) != 1:
        names = dict.fromkeys(node.name for node in graph if node.name)
        close = difflib.get_close_matches(text, names, n=3) or list(names)[:3]
        known = [f"%{node.id}" for node in found[:3]] or [*close, "a number such as %0"]
        raise OptionError(
            f"there {'are' if found else 'is'} {len(found) or 'no'} node{'s' if found else ''} called {text!r}",
            hint=" or ".join(known),
        )
    return found[0]


def _restore(graph: GraphView, file: str) -> None:
    """Give the inputs the values that were saved under their names.

    Raises:
        CheckpointError: no checkpoint, or one of another model.
    """
    checkpoint = load_checkpoint(file)
    checkpoint.restore([node for node in graph.inputs if node.name in checkpoint.tensors])


RENDER: Final = Command(
    "render",
    "draw the graph that a program builds",
    (
        ("train.py:graph -o graph.svg", "the graph called graph in train.py"),
        ("train.py:build -o graph.html", "what the function build returns, as a page to search and zoom"),
        ("train.py:graph -o step.svg --view ports", "of an unrolled graph, the repeated step once"),
        ("train.py:graph -o loss.svg --around loss", "the neighbourhood of a node"),
        ("package.module:graph | dot -Tpng > graph.png", "Graphviz's text, for a program of your own"),
    ),
    add_arguments,
    run,
)
