"""Derivatives are nodes: the slope of x³ + 2x, the slope of that, and the derivatives of a function of two numbers."""

from __future__ import annotations

import graphflow as gf


def main() -> dict[str, float]:
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x", dtype="float64", value=3.0)
    y = x**3.0 + 2.0 * x
    (dy,) = gf.grad(y, x)
    (ddy,) = gf.grad(dy, x)
    a = gf.scalar(g, name="a", dtype="float64", value=0.5)
    b = gf.scalar(g, name="b", dtype="float64", value=2.0)
    da, db = gf.grad(gf.sigmoid(a * b) * b, a, b)
    nodes = {"y": y, "dy": dy, "ddy": ddy, "da": da, "db": db}
    with gf.TapeMachine(g, keep="all") as vm:
        vm.run_all()
        found = {name: float(node.value) for name, node in nodes.items()}
    print(found)
    return found


if __name__ == "__main__":
    main()
