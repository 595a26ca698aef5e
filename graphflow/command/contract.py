"""What a command is, and how its words get onto the screen."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from graphflow.errors import GraphflowError
from graphflow.viz.labels import visible
from graphflow.vm.tracing import aligned

SCREEN: Final = 80
GAP: Final = "  "


@dataclass(frozen=True)
class Command:
    """One word after `python -m graphflow`.

    Args:
        name: the word.
        summary: what it does, on a line.
        examples: arguments behind the name, with what each does.
        add_arguments: gives the parser its options.
        run: does it, and returns the lines to print.
    """

    name: str
    summary: str
    examples: tuple[tuple[str, str], ...]
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Iterable[str]]


def one_line(error: GraphflowError) -> str:
    """What an error says, without the lines that only a program needs: what is wrong, got, needed, to be tried."""
    headline = str(error).splitlines()[0]
    parts = (("got", error.got), ("needs", error.needs), ("try", error.hint))
    said = "; ".join(f"{label} {text}" for label, text in parts if text)
    return flat(f"{headline} ({said})" if said else headline)


def flat(text: str) -> str:
    """The text as one line that a terminal takes for text, whatever stands in it."""
    return visible(text, len(text))


def columns() -> int | None:
    """The width of the terminal; None where the output goes elsewhere and need not fit."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return None


def table(rows: Sequence[Sequence[str]], width: int | None = None, *, numbers: Collection[int] = ()) -> list[str]:
    """The rows in columns.

    Args:
        rows: of equal length; the first may be a heading.
        width: where lines are cut; None for nowhere.
        numbers: the columns that are set to the right.
    """
    return [cut(line, width) for line in aligned(rows, right=numbers).split("\n")]


def cut(line: str, width: int | None) -> str:
    """The line, or its beginning where it is too long."""
    return line if width is None or len(line) <= width else line[: width - 1] + "…"
