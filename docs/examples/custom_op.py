"""An operation of one's own, first by numpy alone, then with a loop that becomes machine code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import graphflow as gf
from graphflow.loops import Map


@dataclass(frozen=True)
class Bump(gf.Op):
    """exp(-(x / width)²)."""

    width: float = 1.0
    symbol = "bump"

    def infer(self, x):
        return x

    def evaluate(self, x):
        return np.exp(-np.square(x / self.width))

    def gradient(self, dy, y, x):
        return (lambda: dy * y * (-2.0 / self.width**2) * x,)


@dataclass(frozen=True)
class FastBump(Bump):
    """The same with a loop."""

    overwrites = (0,)

    def lower(self, x):
        return Map.of(lambda number: (-(number / self.width) * (number / self.width)).exp(), x)


def main() -> dict[str, list[float]]:
    found = {}
    for op in (Bump(2.0), FastBump(2.0)):
        g = gf.ExprGraph()
        x = gf.vector(g, 3, name="x", dtype="float64", value=[0.0, 1.0, -2.0])
        y = gf.apply(op, x)
        y.name = "y"
        gf.grad(gf.sum(y), x)
        with gf.TapeMachine(g) as vm:
            vm.run_all()
            found[type(op).__name__] = [*y.value.tolist(), *x.grad.tolist()]
            print(op, vm.program.instructions[0].loop, y.value, x.grad)
    return found


if __name__ == "__main__":
    main()
