"""Start a program of this folder several times under MPI, each case with a time limit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).parents[2]
MPIEXEC = Path(sys.executable).parent / "mpiexec"
LIMIT = 60.0  # seconds


@dataclass(frozen=True)
class Outcome:
    """How a program ended."""

    code: int
    out: str
    err: str
    seconds: float


def mpiexec(ranks: int, *command: str | Path, limit: float = LIMIT, **environment: str) -> Outcome:
    """Run a Python program on so many ranks: the wheel's own mpiexec, beside this Python."""
    prefix = [str(MPIEXEC), "-n", str(ranks)] if ranks else []
    path = os.pathsep.join([str(ROOT), str(ROOT / "models")])
    began = time.monotonic()
    done = subprocess.run(
        [*prefix, sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", **environment},
    )
    return Outcome(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
