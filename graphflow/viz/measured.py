"""Overlays of what a machine has measured: time, memory, gradients, and the spread of bad numbers."""

from __future__ import annotations

import math
from typing import Final

from graphflow.errors import OptionError
from graphflow.node import Node
from graphflow.tape.program import Program
from graphflow.viz.overlay import Overlay
from graphflow.vm.inspecting import Survey
from graphflow.vm.profiling import Profile
from graphflow.vm.summary import ValueSummary

# Of bad numbers: where they come from, how they reach an output, and where else they are.
ORIGIN, ON_THE_PATH, ELSEWHERE = 1.0, 0.7, 0.35
UNITS: Final = ("B", "KiB", "MiB", "GiB")


def time_overlay(profile: Profile) -> Overlay:
    """Microseconds of each node: `g.render(path, color_by=gf.viz.time_overlay(vm.profile()))`.

    What is fused into another node is timed there and has no entry of its own.

    Args:
        profile: of a machine over the graph.

    Raises:
        OptionError: no profile.
    """
    _check("time_overlay", profile, Profile, "vm.profile()")
    times: dict[Node, float] = {}
    for row in profile.rows:
        times[row.node] = times.get(row.node, 0.0) + row.microseconds
    most = max(times.values(), default=0.0) or 1.0
    values = {node: (time / most, f"{time:.2f} us") for node, time in times.items()}
    return Overlay("time", values, least="0 us", most=f"{most:.2f} us")


def memory_overlay(program: Program) -> Overlay:
    """Bytes of each node's value, and with how many others it shares them: `memory_overlay(vm.program)`.

    Args:
        program: of a machine over the graph.

    Raises:
        OptionError: no program.
    """
    _check("memory_overlay", program, Program, "vm.program")
    sharers: dict[tuple[str, int], set[int]] = {}
    bytes_of: dict[Node, int] = {node: node.type.bytes for node in program.inputs}
    for instruction in program:
        place = instruction.output.place
        sharers.setdefault((place.kind, place.key), set()).add(instruction.node.id)
        bytes_of[instruction.node] = instruction.output.type.bytes
    texts = {node: f"{size(count)}, bound" for node, count in bytes_of.items()}
    for instruction in program:
        kind, key, *_ = instruction.output.place
        others = len(sharers[kind, key]) - 1
        where = f"{kind}[{key}]" + (f", {others + 1} take turns" if others else "")
        texts[instruction.node] = f"{size(bytes_of[instruction.node])} at {where}"
    most = max(bytes_of.values(), default=0) or 1
    return Overlay(
        "memory", {node: (count / most, texts[node]) for node, count in bytes_of.items()}, least="0 B", most=size(most)
    )


def gradient_overlay(survey: Survey) -> Overlay:
    """The norm of each gradient, on a logarithmic scale: where gradients vanish or grow.

    A node has the norm of the cost's gradient with respect to it, and so has that gradient's own node. What only helps
    to compute gradients has none.

    Args:
        survey: of a machine over the graph.

    Raises:
        OptionError: no survey.
    """
    _check("gradient_overlay", survey, Survey, "vm.survey()")
    norms: dict[Node, float] = {}
    for graph in dict.fromkeys(node.graph for node in survey.values):
        for number, gradient in {**graph.passed_back, **graph.gradients}.items():
            if gradient in survey.values:
                norms[graph[number]] = norms[gradient] = survey.values[gradient].norm
    logs = [math.log10(norm) for norm in norms.values() if norm > 0.0]
    low, high = (min(logs), max(logs)) if logs else (0.0, 0.0)
    span = (high - low) or 1.0
    values = {
        node: ((math.log10(norm) - low) / span if norm > 0.0 else 0.0, f"norm {norm:.2g}")
        for node, norm in norms.items()
    }
    return Overlay("gradient", values, least=f"{10**low:.2g} or 0", most=f"{10**high:.2g}")


def nan_overlay(survey: Survey) -> Overlay:
    """Where the first bad number comes from, the path on which it reached an output, and what else is bad.

    Args:
        survey: of a machine over the graph.

    Raises:
        OptionError: no survey.
    """
    _check("nan_overlay", survey, Survey, "vm.survey()")
    values = dict.fromkeys(survey.values, (0.0, "finite"))
    values.update({node: (ELSEWHERE, _bad(survey.values[node])) for node in survey.bad})
    if survey.nan is not None:
        path = [node for node in survey.nan.path if node in survey.values]
        values.update({node: (ON_THE_PATH, f"on the path: {_bad(survey.values[node])}") for node in path})
        values[survey.nan.node] = (ORIGIN, f"comes from here: {_bad(survey.nan.value)}")
    return Overlay("NaN", values, least="finite", most="where it comes from")


def _check(what: str, given: object, wanted: type, source: str) -> None:
    """Refuse a machine or a graph in place of what it has measured."""
    if not isinstance(given, wanted):
        raise OptionError(
            f"{what}: this is no {wanted.__name__}", got=type(given).__name__, needs=source, hint=f"{what}({source})"
        )


def _bad(found: ValueSummary) -> str:
    """How many numbers are none."""
    counts = ((found.nans, "NaN"), (found.infinities, "infinite"))
    return f"{', '.join(f'{count} {name}' for count, name in counts if count)} of {found.type.size}"


def size(count: float) -> str:
    """A number of bytes as people read it."""
    unit = 0
    while count >= 1024 and unit < len(UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.3g} {UNITS[unit]}" if unit else f"{count} {UNITS[0]}"
