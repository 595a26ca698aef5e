#!/usr/bin/env python3
"""Functions of numbers, positions and running sums against numpy: python tests/bench/functions.py [--size 256].

Each on a square matrix, in float32 and float64: millions of elements per second, the best of several runs, native and
numpy in turn. numpy has no error function; `math.erf`, element by element, stands for it.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import graphflow.ops  # noqa: E402, F401 - the folder above must be found first; loading it registers every op
from graphflow.op import REGISTRY, Op  # noqa: E402 - as above
from graphflow.tensortype import TensorType  # noqa: E402 - as above
from graphflow.testing.loops_alone import LoopAlone  # noqa: E402 - as above

ROUNDS = 15
# Each op with what numpy calls it; the numbers it is given lie between -10 and 10 times the last entry.
CASES: dict[str, tuple[str, tuple[object, ...], Callable[..., object], float]] = {
    "sin": ("Sin", (), np.sin, 1.0),
    "cos": ("Cos", (), np.cos, 1.0),
    "sin of large angles": ("Sin", (), np.sin, 1e8),
    "arctan": ("Arctan", (), np.arctan, 1.0),
    "exp": ("Exp", (), np.exp, 1.0),
    "erf": ("Erf", (), np.frompyfunc(math.erf, 1, 1), 1.0),
    "floor": ("Floor", (), np.floor, 1.0),
    "argmax along rows": ("Argmax", (1,), lambda x: np.argmax(x, 1), 1.0),
    "argmax along columns": ("Argmax", (0,), lambda x: np.argmax(x, 0), 1.0),
    "cumsum along rows": ("Cumsum", (1,), lambda x: np.cumsum(x, 1), 1.0),
    "cumsum along columns": ("Cumsum", (0,), lambda x: np.cumsum(x, 0), 1.0),
    "prod along rows": ("Prod", ((1,),), lambda x: np.prod(x, 1), 0.1),
}


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def rates(op: Op, by_numpy: Callable[..., object], x: np.ndarray) -> tuple[float, float]:
    """Millions of elements per second, native and numpy."""
    value_type = TensorType(x.dtype, x.shape)
    alone = LoopAlone(op.lower(value_type), [value_type], op.infer(value_type), backend="native")
    alone.run([x])
    native, numpys = [], []
    for _ in range(ROUNDS):
        native.append(seconds(lambda: alone._executable.run(1)))
        numpys.append(seconds(lambda: by_numpy(x)))
    return x.size / min(native) / 1e6, x.size / min(numpys) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Functions of numbers against numpy.")
    parser.add_argument("--size", type=int, default=256, help="rows and columns of the matrix")
    size = parser.parse_args().size
    x = np.random.default_rng(0).uniform(-10.0, 10.0, (size, size))
    print(f"{'million elements per second':<24}{'native':>10}{'numpy':>10}")
    for dtype in (np.float32, np.float64):
        for name, (op, fields, by_numpy, scale) in CASES.items():
            native, numpys = rates(REGISTRY[op](*fields), by_numpy, (x * scale).astype(dtype))
            print(f"{name:<21}{np.dtype(dtype).name[-2:]:>6}{native:>10.0f}{numpys:>10.0f}")


if __name__ == "__main__":
    main()
