"""tensordot and einsum: sums of products along any axes, and attention in three lines."""

from __future__ import annotations

import numpy as np

import graphflow as gf


def main() -> dict[str, float]:
    generator = np.random.default_rng(0)
    g = gf.ExprGraph()
    a = gf.tensor(g, (3, 4, 5), name="a", dtype="float64", value=generator.normal(size=(3, 4, 5)))
    b = gf.tensor(g, (4, 3, 2), name="b", dtype="float64", value=generator.normal(size=(4, 3, 2)))
    product = gf.tensordot(a, b, axes=([1, 0], [0, 1]))
    same = gf.einsum("ijk,jil->kl", a, b)

    # Attention of 4 heads: batch b, query q, key k, head h, depth d.
    queries, keys, values = (
        gf.constant(g, generator.normal(size=(2, 6, 4, 8)), name=name) for name in ("queries", "keys", "values")
    )
    weights = gf.softmax(gf.einsum("bqhd,bkhd->bhqk", queries, keys) / 8.0**0.5)
    attended = gf.einsum("bhqk,bkhd->bqhd", weights, values)
    gf.grad(gf.sum(product * product), a, b)
    with gf.TapeMachine(g, keep="all") as vm:
        vm.run_all()
        found = {
            "error": float(np.abs(product.value - np.tensordot(a.value, b.value, ([1, 0], [0, 1]))).max()),
            "difference": float(np.abs(product.value - same.value).max()),
            "gradient": float(np.abs(a.grad - 2.0 * np.einsum("kl,jil->ijk", product.value, b.value)).max()),
            "weights": float(weights.value.sum()),
        }
        print(product.value.shape, attended.value.shape, found)
    return found


if __name__ == "__main__":
    main()
