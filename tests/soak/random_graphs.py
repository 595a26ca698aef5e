#!/usr/bin/env python3
"""Random graphs on every machine: python tests/soak/random_graphs.py [--graphs 10000] [--first 0] [--paranoid].

Every third is a recurrent network. Each graph runs on the tape of each installed backend and on the LispMachine, three
rounds with new inputs and slice positions, gradients included; whatever differs is printed with the call that makes the
graph again. With --paranoid
every instruction is watched for changes beside its output, and memory is filled with NaN once it is dead: slower, and
2,000 graphs are a good number.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from graphflow.errors import GraphflowError  # noqa: E402 - the folder above must be found first
from graphflow.testing import RandomGraph, assert_backends_agree, random_graph, random_network  # noqa: E402 - as above
from graphflow.testing.agreement import available_backends  # noqa: E402 - as above

SECONDS_BETWEEN_LINES = 30.0


def made(seed: int) -> tuple[str, RandomGraph]:
    """The graph of a seed, and the call that makes it; sizes of 5 to 44 expressions or 3 to 12 time steps in turn."""
    if seed % 3 == 2:
        size = 3 + seed % 10
        return f"random_network(seed={seed}, size={size})", random_network(seed, size)
    size = 5 + seed % 40
    return f"random_graph(seed={seed}, size={size})", random_graph(seed, size)


def try_one(seed: int, backends: Sequence[str]) -> str | None:
    """What is wrong with the graph of a seed; None if nothing is."""
    call, case = made(seed)
    keep = "all" if seed % 7 == 0 else ()
    try:
        assert_backends_agree(case.graph, 3, backends, seed=seed, rebind=case.rebind, keep=keep)
    except (AssertionError, GraphflowError) as error:
        return f"{call}: {error}"
    return None


def try_many(first: int, graphs: int, backends: Sequence[str]) -> list[str]:
    """What is wrong, one text for each graph."""
    problems: list[str] = []
    shown = time.monotonic()
    for seed in range(first, first + graphs):
        problem = try_one(seed, backends)
        if problem is not None:
            problems.append(problem)
            print(problem, flush=True)
        if time.monotonic() - shown > SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            print(f"{seed - first + 1} graphs, {len(problems)} problems", flush=True)
    return problems


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Random graphs on every machine.")
    parser.add_argument("--graphs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--backend", choices=available_backends(), action="append", help="all that are installed")
    parser.add_argument("--paranoid", action="store_true")
    options = parser.parse_args(arguments)
    if options.paranoid:
        os.environ["GRAPHFLOW_PARANOID"] = "1"
    problems = try_many(options.first, options.graphs, options.backend or available_backends())
    mode = "paranoid, " if options.paranoid else ""
    print(f"{options.graphs} graphs from seed {options.first}, {mode}{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
