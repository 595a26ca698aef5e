"""What the programs share as commands: options that are checked, and failures that are one line and an exit code."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import graphflow as gf
from vocabulary import DataError, make_visible


class DivergedError(Exception):
    """The model's numbers are no longer finite. The message is one line; the program prints it and exits with 1."""


class DivergedElsewhereError(DivergedError):
    """They are finite here and not on another process, which says so."""


class UsageError(Exception):
    """The command is not usable. The message is one line; the program prints it and exits with 2."""


class Parser(argparse.ArgumentParser):
    """Reports what is wrong by raising a UsageError."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (--help lists the options)")


def number(
    kind: type[int | float], low: float, high: float = math.inf, *, open_end: bool = False
) -> Callable[[str], float]:
    """A converter for argparse: a finite number from low to high, which open_end excludes."""

    def convert(text: str) -> int | float:
        try:
            value = kind(text)
            is_good = math.isfinite(value) and low <= value <= high and not (open_end and value == high)
        except (ValueError, OverflowError):
            is_good = False
        if not is_good:
            what = "a whole number" if kind is int else "a number"
            end = "" if high == math.inf else f" to {'below ' if open_end else ''}{high:g}"
            up = " or more" if high == math.inf else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {low:g}{end}{up}")
        return value

    return convert


def run_command(program: str, command: Callable[[], int]) -> int:
    """Run the command; every failure is one line on stderr and an exit code.

    Args:
        program: its name, which stands before the message.
        command: gives the exit code where nothing fails.
    """
    try:
        return command()
    except DivergedElsewhereError:
        return 1
    except DivergedError as error:
        return fail(program, 1, error)
    except (DataError, gf.CheckpointError) as error:
        return fail(program, 3, error)
    except (UsageError, gf.GraphflowError, MemoryError) as error:  # graphflow's: sizes and options that cannot be had
        return fail(program, 2, error)
    except BrokenPipeError:  # whoever read stdout has gone; there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return fail(program, 130, "interrupted")


def fail(program: str, code: int, error: object) -> int:
    """Say on one line what is wrong."""
    text = "not enough memory" if isinstance(error, MemoryError) else str(error)
    print(f"{program}: {make_visible(one_line(text))}", file=sys.stderr)
    return code


def one_line(text: str) -> str:
    """A message of graphflow's on one line: what is wrong, got, needs and try; not the line of this program."""
    first, *rows = text.split("\n")
    parts = [" ".join(row.split()) for row in rows]
    return "; ".join([first, *(part for part in parts if part and part.split()[0] not in ("node", "line"))])
