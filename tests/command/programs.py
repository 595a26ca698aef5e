"""Running the command line, within this process and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple

from graphflow.command import main
from tests.architecture.source import ROOT


class Done(NamedTuple):
    """How a command ended: its exit code, what it printed, and what it complained about."""

    code: int
    out: str
    err: str


def run(capsys, *words):
    """Run a command in this process."""
    try:
        code = main(words)
    except SystemExit as end:  # argparse ends so
        code = end.code
    return Done(code, *capsys.readouterr())


def start(*words, folder, **environment):
    """Run a command in a process of its own, with warnings as errors."""
    command = [sys.executable, "-W", "error", "-m", "graphflow", *words]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, cwd=folder, env=settings, check=False, capture_output=True, text=True)
    return Done(done.returncode, done.stdout, done.stderr)


def is_one_line(text):
    """Whether a message is one line, and no traceback."""
    return text.endswith("\n") and text.count("\n") == 1 and "Traceback" not in text
