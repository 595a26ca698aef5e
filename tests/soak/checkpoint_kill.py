#!/usr/bin/env python3
"""Kill a process that saves checkpoints all the time: python tests/soak/checkpoint_kill.py [--kills 200] [--seed 0].

Each round starts a process that saves one checkpoint after another to the same file and says so after each, kills it
with SIGKILL at a random instant, and looks at the file: it must load, hold the last checkpoint that was confirmed or
the next one, and belong together. What a killed process leaves aside must be gone after the next one's first save.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from graphflow.binding import let  # noqa: E402 - the folder above must be found first
from graphflow.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402 - as above
from graphflow.dtypes import float32  # noqa: E402 - as above
from graphflow.graph import ExprGraph  # noqa: E402 - as above
from graphflow.tensortype import TensorType  # noqa: E402 - as above

SIZE = 60_000
LONGEST_WAIT = 0.05


@dataclass
class Tally:
    """What was found after the kills.

    Attributes:
        kills: how many processes were killed.
        saves: how many checkpoints they had confirmed, all together.
        unfinished: how many were killed while a file aside was being written.
        newer: how often the file held the checkpoint after the last confirmed one.
        problems: what must not happen, one line each.
    """

    kills: int
    saves: int
    unfinished: int
    newer: int
    problems: list[str]


def save_forever(path: Path, count: int) -> None:
    """Save checkpoints number count, count + 1, ... and write each number to stdout once it is saved."""
    node = ExprGraph().leaf(TensorType(float32, (SIZE,)), "w")
    while True:
        let(node, np.full(SIZE, count, np.float32))
        save_checkpoint(path, [node], extra={"count": count})
        os.write(1, b"%d\n" % count)
        count += 1


def saved_count(path: Path) -> int:
    """The number of the checkpoint; CheckpointError or AssertionError if it is not whole."""
    found = load_checkpoint(path)
    count = int(found.extra["count"])
    if not (found.tensors["w"] == count).all():
        raise AssertionError(f"the weights do not belong to checkpoint {count}")
    return count


def kill_one(path: Path, count: int, wait: float, tally: Tally) -> None:
    """Start a process that saves from `count` on, kill it `wait` seconds after its first save, look at the file."""
    command = [sys.executable, str(Path(__file__).resolve()), "--save", str(path), "--first", str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        leftovers = [each for each in aside(path) if f"-{process.pid}-" not in each]
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        lines = (first + process.stdout.read()).splitlines(keepends=True)
    confirmed = [int(line) for line in lines if line.endswith(b"\n")]
    tally.kills += 1
    tally.saves += len(confirmed)
    tally.unfinished += bool(aside(path))
    if not confirmed:
        tally.problems.append("the process ended before its first save")
        return
    if leftovers:
        tally.problems.append(f"left aside after a save: {leftovers}")
    try:
        found = saved_count(path)
    except (ValueError, AssertionError) as error:
        tally.problems.append(f"after checkpoint {confirmed[-1]}: {error}")
        return
    tally.newer += found == confirmed[-1] + 1
    if not confirmed[-1] <= found <= confirmed[-1] + 1:
        tally.problems.append(f"checkpoint {found} is there, {confirmed[-1]} was confirmed")


def aside(path: Path) -> list[str]:
    """The names of the files beside the checkpoint."""
    return sorted(each.name for each in path.parent.iterdir() if each.name != path.name)


def kill_many(folder: Path, kills: int, seed: int) -> Tally:
    """Kill one process after another; the file of one is the old file of the next."""
    path, chance, tally = folder / "run.json", random.Random(seed), Tally(0, 0, 0, 0, [])
    for _ in range(kills):
        count = saved_count(path) + 1 if path.exists() else 0
        kill_one(path, count, chance.uniform(0.0, LONGEST_WAIT), tally)
    return tally


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Kill a process that saves checkpoints all the time.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.save:
        save_forever(options.save, options.first)
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_many(Path(folder), options.kills, options.seed)
    print(f"{tally.kills} kills, {tally.saves} checkpoints confirmed, {tally.unfinished} killed while writing aside,")
    print(f"{tally.newer} killed between the rename and the confirmation, {len(tally.problems)} problems")
    print("\n".join(tally.problems), end="")
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
