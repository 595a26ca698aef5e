"""Shapes that differ broadcast as in numpy, and gradients are summed back to the shapes they belong to."""

from __future__ import annotations

import graphflow as gf


def main() -> dict[str, list[float]]:
    g = gf.ExprGraph()
    table = gf.matrix(g, (2, 3), name="table", value=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    row = gf.vector(g, 3, name="row", value=[10.0, 20.0, 30.0])
    column = gf.matrix(g, (2, 1), name="column", value=[[1.0], [-1.0]])
    y = (table + row) * column
    y.name = "y"
    gf.grad(gf.sum(y), table, row, column)
    with gf.TapeMachine(g) as vm:
        vm.run_all()
        found = {
            "y": y.value.ravel().tolist(),
            "table": table.grad.ravel().tolist(),
            "row": row.grad.tolist(),
            "column": column.grad.ravel().tolist(),
        }
    print(found)
    return found


if __name__ == "__main__":
    main()
