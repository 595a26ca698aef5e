#!/usr/bin/env python3
"""Every op on shapes at random: python tests/soak/ops.py [--shapes 20] [--first 0] [--op NAME].

Each op of the registry is tried on its own samples and on as many drawn ones: values in float64 and float32 on every
installed backend, in place and with gaps in memory, gradients of first and second order against central differences,
and special numbers in every float input. What is wrong is printed with the op and the seed that draws it again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import graphflow.ops  # noqa: E402, F401 - the folder above must be found first; loading it registers every op
from graphflow.errors import GraphflowError  # noqa: E402 - as above
from graphflow.op import REGISTRY, Op, Sample  # noqa: E402 - as above
from graphflow.testing.agreement import available_backends  # noqa: E402 - as above
from graphflow.testing.contract import check_gradients, check_value, dtypes_of, is_float_input  # noqa: E402 - as above
from tests.ops.shapes import drawn_sample  # noqa: E402 - as above
from tests.ops.special_numbers import check_special_numbers  # noqa: E402 - as above

SECONDS_BETWEEN_LINES = 30.0


def samples_of(op: type[Op], first: int, shapes: int) -> Iterator[tuple[str, Sample]]:
    """The samples of an op and what draws them again: its own, then those of the seeds."""
    for place, sample in enumerate(op.samples()):
        yield f"sample {place}", sample
    for seed in range(first, first + shapes):
        sample = drawn_sample(op, np.random.default_rng(seed))
        if sample is not None:
            yield f"seed {seed}", sample


def problem_of(sample: Sample, backends: Sequence[str]) -> str | None:
    """What is wrong with an op on a sample; None if nothing is."""
    try:
        for dtype in dtypes_of(sample):
            check_value(sample, dtype, backends)
        check_gradients(sample, backends)
        if any(is_float_input(sample, index) for index in range(len(sample.inputs))):
            check_special_numbers(sample, backends)
    except (AssertionError, GraphflowError) as error:
        return str(error)
    return None


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Every op on shapes at random.")
    parser.add_argument("--shapes", type=int, default=20, help="drawn samples for each op")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--op", action="append", choices=sorted(REGISTRY), metavar="NAME", help="all of them")
    parser.add_argument("--backend", choices=available_backends(), action="append", help="all that are installed")
    options = parser.parse_args(arguments)
    backends, shown = options.backend or available_backends(), time.monotonic()
    tried = problems = 0
    for name in options.op or sorted(REGISTRY):
        for what, sample in samples_of(REGISTRY[name], options.first, options.shapes):
            tried += 1
            problem = problem_of(sample, backends)
            if problem is not None:
                problems += 1
                print(f"{name}, {what}: {problem}", flush=True)
            if time.monotonic() - shown > SECONDS_BETWEEN_LINES:
                shown = time.monotonic()
                print(f"{name}: {tried} samples, {problems} problems", flush=True)
    print(f"{len(options.op or REGISTRY)} ops, {tried} samples, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
