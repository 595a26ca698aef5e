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


def environment(**more: str) -> dict[str, str]:
    """Of such a program, started from anywhere."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "models")])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", **more}


def mpiexec(ranks: int, *command: str | Path, limit: float = LIMIT, **variables: str) -> Outcome:
    """Run a Python program on so many ranks, by the wheel's own mpiexec beside this Python; without it on 0."""
    prefix = [str(MPIEXEC), "-n", str(ranks)] if ranks else []
    began = time.monotonic()
    done = subprocess.run(
        [*prefix, sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
        env=environment(**variables),
    )
    return Outcome(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
