"""Each thing that ranks tell one another, checked on each of them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import graphflow as gf


def main(group):
    assert group.local_size == group.size
    assert group.share(lambda: b"text of rank %d" % group.rank) == b"text of rank 0"
    assert group.share(lambda: b"") == b""
    arrays = [np.full((2, 3), group.rank, np.float32), np.full((3, 2), group.rank, np.float64).T]
    group.share_arrays(arrays)
    assert all((array == 0).all() for array in arrays)
    total = np.arange(5, dtype=np.float32) + group.rank
    group.add(total)
    ranks = range(group.size)
    assert total.tolist() == [sum(i + rank for rank in ranks) for i in range(5)]
    assert group.sums(group.rank, 0.5) == [sum(ranks), 0.5 * group.size]
    assert group.gather(b"%d!" % group.rank) == [b"%d!" % rank for rank in ranks]
    # Numbers whose sum depends on the order: pairs of neighbours first.
    numbers = np.random.default_rng(0).standard_normal((group.size, 7)).astype(np.float32)
    mine = numbers[group.rank].copy()
    group.add_in_pairs(mine, np.empty_like(mine))
    while len(numbers) > 1:
        numbers = numbers[::2] + numbers[1::2]
    assert mine.tobytes() == numbers[0].tobytes()

    g = gf.ExprGraph(seed=group.rank)
    w = gf.matrix(g, (2, 2), name="w", init=gf.glorot_n(1.0))
    group.share_parameters([w])
    group.check_same("the weights", w.value)
    if group.size > 2:
        with pytest.raises(gf.MachineError, match="the ranks differ between the processes") as caught:
            group.check_same("the ranks", b"%d" % (group.rank // 2))
        assert "rank 2, 3" in str(caught.value)
    group.wait()
    print("all is well")


if __name__ == "__main__":
    sys.exit(gf.parallel.run(main))
