"""Graphviz text to a picture, by an executable that is run with a time limit."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any, Final

from graphflow.atomic_file import write_atomically
from graphflow.errors import OptionError, RenderError
from graphflow.graph import GraphView
from graphflow.viz.dot import dot_text
from graphflow.viz.picture import Picture
from graphflow.viz.views import check_options, picture_of, to_dot

FORMATS: Final = ("svg", "png", "pdf")
SECONDS: Final = 60.0
# What does write such a file.
ELSEWHERE: Final = {
    "html": "graph.to_html(path)",
    "gv": "the text of graph.to_dot()",
    "dot": "the text of graph.to_dot()",
    "svg": "graph.render(path)",
    "txt": "view='text'",
}
PNG_DOTS_PER_INCH: Final = "144"
# The layout called neato, told that positions are final and that those of edges are missing.
PLACED: Final = ("-Kneato", "-n2")

WITHOUT_ENGINE: Final = (
    "install Graphviz (https://graphviz.org/download), or: pip install 'graphflow-engine[render]' for svg and png; "
    "to_dot() gives the text without it"
)


def render_graph(graph: GraphView, path: str | os.PathLike[str], *, timeout: float = SECONDS, **options: Any) -> Path:
    """Draw a graph to a file; an older file of that name is replaced only when the new one is complete.

    Args:
        graph: a graph or a part of one.
        path: ends in .svg, .png or .pdf; or in .txt for the view "text".
        timeout: seconds after which drawing is given up.
        options: those of `to_dot`: which view, what part, what colours.

    Returns:
        The path.

    Raises:
        RenderError: another ending, no such folder, a graph too large, nothing installed that draws, time over, or a
        file that cannot be written; OptionError: an option that is not usable.

    Source: Gorgonia ToDot, followed by the command dot.
    """
    check_options("render", options)
    is_text = options.get("view") == "text"
    target, form = picture_path(path, ("txt",) if is_text else FORMATS)
    content = (
        to_dot(graph, **options).encode() if is_text else draw_picture(picture_of(graph, **options), form, timeout)
    )
    write_picture(target, content)
    return target


def draw_picture(picture: Picture, form: str, timeout: float = SECONDS) -> bytes:
    """A picture as the content of a file; arguments and errors as for `draw`."""
    return draw(dot_text(picture), form, timeout, is_placed=picture.is_placed)


def picture_path(path: str | os.PathLike[str], formats: tuple[str, ...]) -> tuple[Path, str]:
    """The path and the format that its ending names.

    Raises:
        RenderError: no path, another ending, no such folder.
    """
    if not isinstance(path, str | os.PathLike):
        raise RenderError("cannot draw to this path", got=repr(path), needs="a str or a Path")
    target = Path(path)
    form = target.suffix.lower().removeprefix(".")
    endings = ", ".join(f".{each}" for each in formats)
    if form not in formats:
        raise RenderError(
            "cannot draw this kind of file",
            got=repr(str(target)),
            needs=f"a path ending in one of {endings}",
            hint=ELSEWHERE.get(form),
        )
    if not target.parent.is_dir():
        raise RenderError(
            "there is no folder for the picture",
            got=str(target.parent),
            needs="a folder that exists",
            hint=f"os.makedirs({str(target.parent)!r})",
        )
    return target, form


def write_picture(target: Path, content: bytes) -> None:
    """Write the file as a whole.

    Raises:
        RenderError: what the system says.
    """
    try:
        write_atomically(str(target), content)
    except OSError as error:
        raise RenderError("the picture cannot be written", got=f"{target}: {error.strerror or error}") from error
    except ValueError as error:  # characters that no path can have
        raise RenderError("the picture cannot be written", got=f"{str(target)!r}: {error}") from error


def draw(text: str, form: str, timeout: float = SECONDS, *, is_placed: bool = False) -> bytes:
    """The picture of a Graphviz text.

    Args:
        text: as `to_dot` gives it.
        form: svg, png or pdf.
        timeout: seconds after which drawing is given up.
        is_placed: whether all nodes have positions already.

    Raises:
        RenderError: nothing installed that draws, time over, or the program failed; OptionError: no usable timeout.
    """
    if not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
        raise OptionError("render: timeout is not usable", got=repr(timeout), needs="a number of seconds above 0")
    engine = find_engine(form)
    command = [
        engine,
        *(PLACED if is_placed else ()),
        f"-T{form}",
        *([f"-Gdpi={PNG_DOTS_PER_INCH}"] if form == "png" else []),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and every word of the command is ours
            command, input=text.encode(), capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise RenderError(
            "drawing took too long",
            got=f"no picture from {Path(engine).name} within {timeout:g} s",
            needs="a smaller graph or more time",
            hint="a part: graph.subgraph(node), or timeout=",
        ) from None
    except OSError as error:
        raise RenderError(f"{engine} cannot be started", got=str(error.strerror), hint=WITHOUT_ENGINE) from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise RenderError(f"{Path(engine).name} failed", got=f"exit code {done.returncode}: {said[-1][:200]}")
    return done.stdout


def find_engine(form: str) -> str:
    """The program that draws: Graphviz's own `dot`, else the one of the package graphviz-pure.

    Raises:
        RenderError: neither is installed, or only one that has no such format.
    """
    dot = shutil.which("dot")
    if dot is not None:
        return dot
    # Beside this Python first: its folder need not be on the search path.
    pure = shutil.which("graphviz-pure", path=sysconfig.get_path("scripts")) or shutil.which("graphviz-pure")
    if pure is None:
        raise RenderError("nothing is installed that draws graphs", needs="dot or graphviz-pure", hint=WITHOUT_ENGINE)
    if form == "pdf":
        raise RenderError(
            "graphviz-pure cannot draw pdf",
            needs="Graphviz (https://graphviz.org/download) for pdf",
            hint="a path that ends in .svg or .png",
        )
    return pure
