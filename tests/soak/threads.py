"""Many runs with helpers, of two machines at once, while threads change over often: always the same bits.

    python tests/soak/threads.py [seconds] [threads]

How threads meet depends on the machine and on the moment, so this is a command and no test.
"""

from __future__ import annotations

import sys
import threading
import time
from itertools import pairwise

import numpy as np

import graphflow as gf
from graphflow.backends.llvm import team


def network(seed: int) -> gf.ExprGraph:
    """Layers of random sizes, large enough to be divided; all of it differentiated."""
    generator = np.random.default_rng(seed)
    batch, *sizes = (int(size) for size in generator.integers(100, 400, 4))
    dtype = (gf.float32, gf.float64)[seed % 2]
    g = gf.ExprGraph(seed=seed)
    y = gf.matrix(g, (batch, sizes[0]), dtype=dtype, init=gf.glorot_n())
    weights = []
    for before, after in pairwise(sizes):
        weights.append(gf.matrix(g, (before, after), dtype=dtype, init=gf.glorot_n()))
        y = gf.tanh(y @ weights[-1])
    gf.grad(gf.sum(y * y), *weights)
    return g


def bits(machine: gf.TapeMachine) -> list[bytes]:
    return [machine._executable.array(each).tobytes() for _, each in sorted(machine.program.results.items())]


def repeat(machine: gf.TapeMachine, expected: list[bytes], pause: float, runs: int, wrong: list[str]) -> None:
    for number in range(runs):
        time.sleep(pause)
        machine.run_all()
        if bits(machine) != expected:
            wrong.append(f"run {number} of {machine}")


def main(seconds: float = 60.0, threads: int = 3) -> None:
    # More threads than cores: the more often one is interrupted in the middle of a chunk.
    team.available_cores = lambda: threads
    sys.setswitchinterval(1e-5)
    wrong: list[str] = []
    rounds, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and not wrong:
        # Gradients lie in the graph's memory, so each machine has a graph of its own.
        graphs = [network(2 * rounds + number) for number in range(2)]
        machines = [gf.TapeMachine(g, backend="native", threads=threads) for g in graphs]
        work = []
        for g, machine, pause in zip(graphs, machines, (0.0, 0.001), strict=True):
            with gf.TapeMachine(g, backend="native", threads=1) as alone:
                alone.run_all()
                expected = bits(alone)
            work.append((machine, expected, pause, 60, wrong))
        pool = [threading.Thread(target=repeat, args=each) for each in work]
        for each in pool:
            each.start()
        for each in pool:
            each.join()
        for machine in machines:
            machine.close()
        rounds += 1
        left = [each for each in threading.enumerate() if each.name == "graphflow helper"]
        wrong += [f"{len(left)} helpers are left"] if left else []
    print("\n".join(wrong) or f"{120 * rounds} runs with {threads} threads: the same bits, and no thread is left")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
