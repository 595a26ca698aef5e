"""Two numbers and their sum: build a graph, bind its inputs, run it as often as wanted."""

from __future__ import annotations

import graphflow as gf


def main() -> list[float]:
    g = gf.ExprGraph()
    x, y = gf.scalar(g, name="x", dtype="float64"), gf.scalar(g, name="y", dtype="float64")
    z = x + y
    z.name = "z"
    found = []
    with gf.TapeMachine(g) as vm:
        for a, b in ((2.0, 2.5), (1.0, -1.0)):
            gf.let(x, a)
            gf.let(y, b)
            vm.run_all()
            found.append(float(z.value))
            print(f"{a} + {b} = {z.value}")
    return found


if __name__ == "__main__":
    main()
