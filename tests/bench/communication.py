"""How long processes take to add up their gradients: `mpiexec -n 2 python -m tests.bench.communication`.

Prints a table of sizes, and the two constants of `docs/parallel.md`'s model fitted to it: latency and bandwidth.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

import graphflow as gf

SIZES = tuple(4 * 4**power for power in range(13))  # bytes, up to 64 MiB


def microseconds(group: gf.parallel.Group, size: int) -> float:
    """The median time of an addition of arrays of so many bytes."""
    array = np.zeros(size // 4, np.float32)
    found = []
    for _ in range(max(5, min(500, 2**28 // size))):
        group.wait()
        began = time.perf_counter()
        group.add(array)
        found.append(1e6 * (time.perf_counter() - began))
    return statistics.median(found)


def main(group: gf.parallel.Group) -> None:
    rows = [(size, microseconds(group, size)) for size in SIZES]
    print(f"{group.size} ranks, {group.local_size} on this host")
    for size, time_taken in rows:
        print(f"{size:>12,} bytes {time_taken:>12,.1f} us {size / time_taken / 1000:>8.3f} GB/s")
    latency, bandwidth = rows[0][1], rows[-2][0] / rows[-2][1] / 1000
    print(f"latency {latency:.1f} us, bandwidth {bandwidth:.2f} GB/s of gradients")


if __name__ == "__main__":
    sys.exit(gf.parallel.run(main))
