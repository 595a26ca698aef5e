"""`inspect FILE`: what a checkpoint holds, after all of it was checked."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from graphflow.checkpoint import Checkpoint, load_checkpoint
from graphflow.command.contract import GAP, Command, columns, cut, flat, table
from graphflow.values import Array
from graphflow.viz.labels import LONGEST_NAME, visible

HEADING: Final = ("name", "dtype", "shape", "min", "max", "mean", "std", "remarks")
LONGEST_VALUE: Final = 60
SHOWN_ITEMS: Final = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A file."""
    parser.add_argument("file", metavar="FILE", help="a checkpoint that gf.save_checkpoint wrote")


def run(options: argparse.Namespace) -> list[str]:
    """Tensors with statistics, the solver, and the keys of `extra`.

    Raises:
        CheckpointError: no such file, or no sound checkpoint.
    """
    found = load_checkpoint(options.file)
    size = Path(options.file).stat().st_size
    count = sum(array.size for array in found.tensors.values())
    lines = [
        f"{flat(found.path)}: {size:,} bytes, digest OK",
        f"{_number(len(found.tensors), 'tensor')} of {_number(count, 'number')}",
        "",
    ]
    if found.tensors:
        rows = [HEADING, *(_row(name, array) for name, array in found.tensors.items())]
        lines += [*table(rows, numbers=(3, 4, 5, 6)), ""]
    lines += [*_solver(found), *_extra(found.extra)]
    width = columns()
    return [cut(line, width) for line in lines]


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _row(name: str, array: Array) -> tuple[str, ...]:
    head = (visible(name, LONGEST_NAME), str(array.dtype), "x".join(map(str, array.shape)) or "scalar")
    if not array.size:
        return (*head, "", "", "", "", "empty")
    finite = np.isfinite(array)
    numbers = array[finite].astype(np.float64)
    if not numbers.size:
        return (*head, "", "", "", "", "nothing finite")
    with np.errstate(over="ignore"):  # numbers near the largest have an infinite spread
        spread = (numbers.min(), numbers.max(), numbers.mean(), numbers.std())
    wrong = array.size - numbers.size
    remark = f"{wrong:,} not finite" if wrong else "" if numbers.any() else "all 0"
    return (*head, *(f"{each:.4g}" for each in spread), remark)


def _solver(found: Checkpoint) -> list[str]:
    if found.solver is None:
        return ["solver  none saved"]
    state = found.solver
    parts = [visible(str(found.solver_kind))]
    if isinstance(state.get("step"), int):
        parts.append(f"step {state['step']:,}")
    if isinstance(state.get("state"), Mapping):
        parts.append(f"state of {_number(len(state['state']), 'parameter')}")
    lines = [f"solver  {', '.join(parts)}"]
    options = state.get("options")
    if isinstance(options, Mapping):
        lines += _filled([f"{name}={visible(repr(value), LONGEST_VALUE)}" for name, value in options.items()])
    return lines


def _filled(words: Sequence[str]) -> list[str]:
    """The words in lines that fit a screen."""
    lines = [" " * 6]
    for word in words:
        if len(lines[-1]) + len(GAP) + len(word) > 80 and lines[-1].strip():
            lines.append(" " * 6)
        lines[-1] += GAP + word
    return [line for line in lines if line.strip()]


def _extra(extra: Mapping[str, object]) -> list[str]:
    if not extra:
        return ["extra   nothing"]
    rows = [(visible(name, LONGEST_NAME), _value(value)) for name, value in extra.items()]
    first, *others = table(rows)
    return [f"extra   {first}", *(f"        {line}" for line in others)]


@functools.singledispatch
def _value(value: object) -> str:
    """A saved value in a few words."""
    return visible(repr(value), LONGEST_VALUE)


@_value.register
def _(value: np.ndarray) -> str:
    return f"{value.dtype}[{', '.join(map(str, value.shape))}]"


@_value.register
def _(value: str) -> str:
    return visible(repr(value[: 2 * LONGEST_VALUE]), LONGEST_VALUE) + (
        f" ({len(value):,} characters)" * (len(value) > LONGEST_VALUE)
    )


@_value.register(list)
@_value.register(tuple)
def _(value: Sequence[object]) -> str:
    shown = ", ".join(_brief(each) for each in value[:SHOWN_ITEMS])
    return f"[{shown}]" if len(value) <= SHOWN_ITEMS else f"[{shown}, ...] ({len(value):,} items)"


@_value.register
def _(value: dict) -> str:  # type: ignore[type-arg]  # as above
    shown = ", ".join(
        f"{visible(str(key), LONGEST_NAME)}: {_brief(each)}" for key, each in [*value.items()][:SHOWN_ITEMS]
    )
    return f"{{{shown}}}" if len(value) <= SHOWN_ITEMS else f"{{{shown}, ...}} ({len(value):,} entries)"


def _brief(value: object) -> str:
    """A value within another."""
    if isinstance(value, list | tuple | dict):
        return f"{type(value).__name__} of {len(value):,}"
    if isinstance(value, np.ndarray):
        return _value(value)
    return visible(repr(value), 24)


INSPECT: Final = Command(
    "inspect",
    "show what a checkpoint holds: tensors, statistics, solver, extra",
    (("run.json", "what is in a saved run, and whether the file is sound"),),
    add_arguments,
    run,
)
