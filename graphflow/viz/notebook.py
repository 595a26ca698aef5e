"""What a notebook shows for a graph, a node or a program: a picture or a table where that is possible, text always."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from graphflow.errors import GraphflowError
from graphflow.graph import GraphView
from graphflow.node import Node
from graphflow.tape.program import Instruction, Program
from graphflow.viz.labels import LONGEST_NAME, visible
from graphflow.viz.render import draw_picture
from graphflow.viz.views import picture_of

LIMIT: Final = 150
SECONDS: Final = 10.0
LARGEST_PICTURE: Final = 2_000_000
MOST_ROWS: Final = 200
# A picture is black on white whatever the colours of the notebook.
AROUND_A_PICTURE: Final = "overflow: auto; max-height: 80vh; background: white"
TABLE: Final = "border-collapse: collapse; font-family: monospace; font-size: 12px; white-space: nowrap"
ROW: Final = "text-align: left"
LONG_CELL: Final = "max-width: 40ch; overflow: hidden; text-overflow: ellipsis; text-align: left"
LONGEST_CELL: Final = 40
HEADING: Final = ("", "step", "writes", "type", "loop", "reads", "name", "line")


def mime_bundle(shown: GraphView | Node) -> dict[str, str]:
    """The picture as `text/html` and a line as `text/plain`; only the line where there can be no picture. Never raises.

    Args:
        shown: a graph, a part of one, or a node, which is shown with all that it is computed from.
    """
    line = repr(shown)
    try:
        view = shown.graph.subgraph(shown) if isinstance(shown, Node) else shown
        picture = inline_svg(draw_picture(picture_of(view, limit=LIMIT), "svg", SECONDS))
    except GraphflowError as error:
        return {"text/plain": f"{line}\nNo picture: {error.headline} ({error.got or error.hint})."}
    except Exception as error:  # noqa: BLE001 - a traceback in place of a picture would hide the user's own output
        return {"text/plain": f"{line}\nNo picture: {type(error).__name__}."}
    if len(picture) > LARGEST_PICTURE:
        return {
            "text/plain": f"{line}\nNo picture: it would take {len(picture):,} characters; render() or to_html() makes "
            "a file."
        }
    return {"text/html": f'<div style="{AROUND_A_PICTURE}">{picture}</div>', "text/plain": line}


def inline_svg(document: bytes) -> str:
    """The element of an SVG file, without what only a file has before it."""
    text = document.decode()
    return text[text.index("<svg") :].strip()


def listing_bundle(program: Program) -> dict[str, str]:
    """The instructions as a table in `text/html` and as lines in `text/plain`; of a long program the first and last.

    Args:
        program: what a machine runs.
    """
    listed = [*enumerate(program.instructions)]
    left_out = len(listed) - MOST_ROWS
    if left_out > 0:
        listed = [*listed[: MOST_ROWS // 2], *listed[-MOST_ROWS // 2 :]]
    rows = [_row(_cells(number, instruction)) for number, instruction in listed]
    lines = [visible(f"{number:>5}  {instruction}") for number, instruction in listed]
    if left_out > 0:
        note = f"{left_out:,} instructions are left out; print(program) shows them"
        rows.insert(MOST_ROWS // 2, f'<tr style="{ROW}"><td></td><td colspan="{len(HEADING) - 1}">{note}</td></tr>')
        lines.insert(MOST_ROWS // 2, f"{'...':>5}  {note}")
    head = "".join(f'<th style="{ROW}">{word}</th>' for word in HEADING)
    last = escape(str(program).rpartition("\n")[2])
    table = (
        f'<table cellpadding="2" style="{TABLE}"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )
    return {
        "text/html": f'<div style="overflow: auto; max-height: 80vh">{table}<p>{last}</p></div>',
        "text/plain": "\n".join([*lines, last]),
    }


def _cells(number: int, instruction: Instruction) -> Sequence[str]:
    node = instruction.node
    return (
        str(number),
        "" if node.step is None else visible(str(node.step)),
        str(instruction.output),
        str(instruction.output.type),
        visible(str(instruction.loop)),
        visible(", ".join(map(str, instruction.inputs))),
        visible(node.name or "", LONGEST_NAME),
        visible(str(node.origin)),
    )


def _row(cells: Sequence[str]) -> str:
    return f'<tr style="{ROW}">{"".join(map(_cell, cells))}</tr>'


def _cell(text: str) -> str:
    """A cell; what is long is cut by the browser, and shown in full to the mouse."""
    long = f' style="{LONG_CELL}" title="{escape(text)}"' if len(text) > LONGEST_CELL else ""
    return f"<td{long}>{escape(text)}</td>"
