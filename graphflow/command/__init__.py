"""The command line, `python -m graphflow COMMAND`: one file for each command.

    contract    what a command is; tables
    loading     a user's program, for the graph in it
    render      a picture of a graph
    inspect     what a checkpoint holds
    ops         the operations; formulas writes their gradients
    doctor      versions and settings, for a bug report

A mistake is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final, NoReturn

from graphflow.command.contract import Command, one_line
from graphflow.command.doctor import DOCTOR
from graphflow.command.inspect import INSPECT
from graphflow.command.ops import OPS
from graphflow.command.render import RENDER
from graphflow.errors import GraphflowError
from graphflow.version import VERSION

PROGRAM: Final = "python -m graphflow"
COMMANDS: Final = (RENDER, INSPECT, OPS, DOCTOR)
MISTAKE: Final = 2
INTERRUPTED: Final = 130


class Parser(argparse.ArgumentParser):
    """Says on one line what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISTAKE, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code.

    Args:
        arguments: the words behind `python -m graphflow`.
    """
    options = parser().parse_args(arguments)
    command: Command = options.command
    try:
        write(command.run(options))
    except GraphflowError as error:
        sys.stderr.write(f"{PROGRAM} {command.name}: {one_line(error)}\n")
        return MISTAKE
    except BrokenPipeError:
        # Whoever read has enough. Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def write(lines: Iterable[str]) -> None:
    """Print the lines, also where the terminal lacks a character."""
    encoding = sys.stdout.encoding or "utf-8"
    text = "".join(f"{line}\n" for line in lines)
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def parser() -> Parser:
    """The parser of all commands."""
    rows = [(f"{PROGRAM} {each.name} {each.examples[0][0]}".rstrip(), each.examples[0][1]) for each in COMMANDS]
    root = Parser(
        prog=PROGRAM,
        description="Look at graphs, checkpoints, operations and this installation of graphflow.",
        epilog=examples(rows),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    root.add_argument("--version", action="version", version=f"graphflow {VERSION}")
    words = root.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for command in COMMANDS:
        added = words.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=examples([(f"{PROGRAM} {command.name} {line}".rstrip(), what) for line, what in command.examples]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(added)
        added.set_defaults(command=command)
    return root


def examples(rows: Iterable[tuple[str, str]]) -> str:
    """The end of a help text: commands to copy, each below what it does."""
    return "\n".join(["examples:", *(f"  # {what}\n  {line}" for line, what in rows)])
