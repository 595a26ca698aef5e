"""Plans and programs drawn: what is one loop, what lies side by side, and which values take turns in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from graphflow.errors import OptionError, RenderError
from graphflow.explanation import spoken
from graphflow.loops import Contract, Loop, Map
from graphflow.node import Node
from graphflow.passes.plan import Place, Plan
from graphflow.tape.program import Operand, Program
from graphflow.values import Array
from graphflow.viz.dot import dot_text
from graphflow.viz.labels import LONGEST_NAME, numbers, visible
from graphflow.viz.picture import Box, Edge, LegendEntry, Picture
from graphflow.viz.render import FORMATS, SECONDS, draw, picture_path, write_picture
from graphflow.viz.style import STYLES, role_of

LIMIT: Final = 300
LONGEST_LOOP: Final = 44
MOST_PLACES: Final = 8
MOST_NUMBERED: Final = 3
# Pale, so that black text can be read on them; a place whose value has it to itself is white.
PLACE_COLOURS: Final = (
    "#BFE3F7", "#FBD9A5", "#BDE8D3", "#F6C6DD", "#F4EE9A", "#D3CDF2", "#F8C4B0", "#D5E8A8", "#C9D6DF", "#E5D2BC",
)  # fmt: skip
ALONE: Final = "#FFFFFF"


class Drawn(NamedTuple):
    """A value of a plan or an instruction of a program, as it is drawn.

    Attributes:
        key: the id of its box.
        node: the user's node that it stands for.
        what: its loop or op, or "" where nothing computes it.
        lines: what else the label says.
        tooltip: all that is known.
        place: where it lies, if that is known.
        is_bold: whether the user reads it.
        sources: keys of what it reads.
        is_view: whether it costs nothing, since it lies there already.
    """

    key: str
    node: Node
    what: str
    lines: tuple[str, ...]
    tooltip: str
    place: Place | None
    is_bold: bool
    sources: tuple[str, ...]
    is_view: bool = False


def tape_dot(shown: Program | Plan, *, limit: int = LIMIT, legend: bool = True) -> str:
    """A program, or a plan at any stage of the compiler, in Graphviz's language.

    One box for each loop, with the place of its result; values that take turns in one place have one colour.

    Args:
        shown: what is drawn.
        limit: the largest number of instructions or values.
        legend: whether the picture explains its colours and shapes.

    Raises:
        RenderError: more than `limit`; OptionError: a limit that is no whole number.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.tanh(gf.vector(g, 3, name="x") * 2.0)
        >>> print(gf.compile_graph(g).to_dot(legend=False).splitlines()[-2].strip())
        "input[0]" -> i0 [color="#0072B2"]
    """
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise OptionError("to_dot: limit is not usable", got=repr(limit), needs="a whole number of 1 or more")
    what, count = ("instructions", len(shown)) if isinstance(shown, Program) else ("values", len(shown.values))
    if count > limit:
        raise RenderError(
            f"there are too many {what} to be drawn one by one",
            got=f"{count} {what}",
            needs=f"at most {limit}, the limit",
            hint=f"the same graph with fewer steps; or set limit={count} and wait",
        )
    return dot_text(tape_picture(shown, legend=legend))


def render_tape(
    shown: Program | Plan,
    path: str | os.PathLike[str],
    *,
    limit: int = LIMIT,
    timeout: float = SECONDS,
    legend: bool = True,
) -> Path:
    """Draw a program or a plan to a file (svg, png or pdf by its ending).

    Args:
        shown: what is drawn.
        path: of the file.
        limit: the largest number of instructions or values.
        timeout: seconds after which drawing is given up.
        legend: whether the picture explains its colours and shapes.

    Raises:
        RenderError, OptionError: see `to_dot` and `ExprGraph.render`.
    """
    target, form = picture_path(path, FORMATS)
    write_picture(target, draw(tape_dot(shown, limit=limit, legend=legend), form, timeout))
    return target


def tape_picture(shown: Program | Plan, *, legend: bool = True) -> Picture:
    """The boxes and edges of such a picture."""
    drawn = list(_of_program(shown) if isinstance(shown, Program) else _of_plan(shown))
    sharers: dict[tuple[str, int], int] = {}
    for each in drawn:
        if each.place is not None and each.place.kind == "arena" and not each.is_view:
            sharers[_home(each.place)] = sharers.get(_home(each.place), 0) + 1
    shared = [home for home, count in sharers.items() if count > 1]
    colours = {home: PLACE_COLOURS[number % len(PLACE_COLOURS)] for number, home in enumerate(shared)}
    boxes = tuple(_box(each, colours) for each in drawn)
    roles = {each.key: "gradient" if each.node.gradient_of is not None else "forward" for each in drawn}
    edges = tuple(
        Edge(source, each.key, roles[each.key], operand=number if 1 < len(each.sources) <= MOST_NUMBERED else 0)
        for each in drawn
        for number, source in enumerate(each.sources, 1)
    )
    entries = _legend({box.role for box in boxes}, colours, sharers) if legend else ()
    return Picture("tape", "", boxes, edges, legend=entries)


def _home(place: Place) -> tuple[str, int]:
    return place.kind, place.key


def _box(drawn: Drawn, colours: dict[tuple[str, int], str]) -> Box:
    node = drawn.node
    role = role_of(node, node.graph.gradients) if not drawn.what else ""
    name = visible(spoken(node).replace("the gradient of ", "∂"), LONGEST_NAME)
    step = "" if node.step is None else f", step {node.step}"
    head = f"{name}{step}" if not drawn.what else f"{drawn.key[1:]}: {name}{step}"
    return Box(
        key=drawn.key,
        nodes=(node.id,),
        lines=(head, *((visible(drawn.what, LONGEST_LOOP),) if drawn.what else ()), *drawn.lines),
        tooltip=(visible(drawn.tooltip), f"made at {node.origin}"),
        role=role or ("gradient" if node.gradient_of is not None else "forward"),
        is_bold=drawn.is_bold,
        fill=colours.get(_home(drawn.place), ALONE) if drawn.what and drawn.place is not None else "",
    )


def _legend(
    roles: set[str], colours: dict[tuple[str, int], str], sharers: dict[tuple[str, int], int]
) -> tuple[LegendEntry, ...]:
    leaves = ("input", "parameter", "constant")
    entries = [
        LegendEntry(role, (style.meaning,), role, fill="" if role in leaves else ALONE)
        for role, style in STYLES.items()
        if role in roles
    ]
    entries.append(LegendEntry("bold", ("bold frame: read by you",), is_bold=True))
    for home, colour in list(colours.items())[:MOST_PLACES]:
        text = f"{home[0]}[{home[1]}]: {sharers[home]} values take turns"
        entries.append(LegendEntry(f"place_{home[1]}", (text,), "forward", fill=colour))
    if len(colours) > MOST_PLACES:
        entries.append(LegendEntry("places", (f"and {len(colours) - MOST_PLACES} more places",)))
    return tuple(entries)


def _joined(loop: Loop | None, operands: int) -> list[str]:
    """What was fused or added up in a loop, if anything was."""
    if isinstance(loop, Map):
        count = len([step for step in loop.program.steps if step.primitive != "constant"])
        return [f"{count} operations fused"] if count > 1 else []
    return [f"{operands // 2} products added up"] if isinstance(loop, Contract) and operands > 2 else []


def _constants(arrays: Iterable[Array]) -> list[str]:
    """The constants that are read, which have no boxes of their own."""
    texts = [numbers(array) if array.size == 1 else f"a constant {list(array.shape)}" for array in arrays]
    return [f"with {', '.join(texts)}"] if texts else []


# --- programs ---------------------------------------------------------------------------------------------------------


def _of_program(program: Program) -> Iterator[Drawn]:
    """Inputs, then the instructions; each reads what has last been written where it reads."""
    memory = _Memory()
    kept = set(program.computed_at.values())
    for node in program.inputs:
        key = f"input[{node.id}]"
        memory.write(key, 0, 1, key)
        yield Drawn(key, node, "", (str(node.type),), str(node), None, is_bold=False, sources=())
    for number, instruction in enumerate(program):
        key, place = f"i{number}", instruction.output.place
        read = [memory.writers(*_span(operand)) for operand in instruction.inputs if operand.place.kind != "constant"]
        known = [program.constants[each.place.key] for each in instruction.inputs if each.place.kind == "constant"]
        widest = max(map(len, read), default=0)
        notes = _joined(instruction.loop, len(instruction.inputs)) + _constants(known)
        notes += [f"reads {widest} that lie side by side"] if widest > 1 else []
        where = f"{instruction.output.type} in {place.kind}[{place.key}]"
        yield Drawn(
            key,
            instruction.node,
            str(instruction.loop),
            (where, *notes),
            str(instruction),
            place,
            is_bold=number in kept,
            sources=tuple(dict.fromkeys(source for sources in read for source in sources)),
        )
        memory.write(*_span(instruction.output), key)


def _span(operand: Operand) -> tuple[str, int, int]:
    """Which bytes of which memory an operand covers, from its first element to its last."""
    place, item = operand.place, operand.type.dtype.itemsize
    if place.kind != "arena":
        return f"{place.kind}[{place.key}]", 0, 1
    ends = [(size - 1) * stride for size, stride in zip(operand.type.shape, place.strides, strict=True)]
    first = place.offset + sum(end for end in ends if end < 0)
    last = place.offset + sum(end for end in ends if end > 0)
    return "arena", place.key + first * item, place.key + (last + 1) * item


class _Memory:
    """Who has last written which bytes."""

    def __init__(self) -> None:
        self._spans: dict[str, list[tuple[int, int, str]]] = {}

    def writers(self, space: str, start: int, end: int) -> list[str]:
        """The keys of those who have written any of these bytes, in the order of the bytes."""
        return list(dict.fromkeys(key for low, high, key in self._spans.get(space, ()) if low < end and start < high))

    def write(self, space: str, start: int, end: int, key: str) -> None:
        """What was there before is written over."""
        left = [(low, min(high, start), each) for low, high, each in self._spans.get(space, ()) if low < start]
        right = [(max(low, end), high, each) for low, high, each in self._spans.get(space, ()) if high > end]
        self._spans[space] = sorted([*left, (start, end, key), *right])


# --- plans ------------------------------------------------------------------------------------------------------------


def _of_plan(plan: Plan) -> Iterator[Drawn]:
    """All values but constants, which stand in the labels of their readers."""
    kept = {plan.became[node] for node in plan.kept}
    for number, value in enumerate(plan.values):
        if value.constant is not None:
            continue
        operands = [plan.values[operand] for operand in value.inputs]
        lines = [
            str(value.type)
            + (f" in {value.place.kind}[{value.place.key}]" if value.place and not value.is_leaf else "")
        ]
        lines += _joined(value.loop, len(operands))
        lines += _constants([operand.constant for operand in operands if operand.constant is not None])
        if number in plan.together:
            whole, start = plan.together[number]
            lines.append(f"inside {whole}, from element {start} on")
        lines += ["costs nothing: it lies there already"] if value.is_alias else []
        what = str(value.loop) if value.loop is not None else value.op.name if value.op is not None else ""
        yield Drawn(
            f"v{number}",
            value.node,
            what,
            tuple(lines),
            f"{what} {value.type}".strip(),
            value.place,
            is_bold=number in kept and bool(what),
            sources=tuple(f"v{operand}" for operand in value.inputs if plan.values[operand].constant is None),
            is_view=value.is_alias,
        )
