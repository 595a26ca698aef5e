"""Products of matrices: GF/s of the native kernels beside numpy's BLAS and the processor's peak, one thread.

Run by `python -m tests.bench.products [float32|float64] [64|32|16] [nn|nt|tn|tt|gemv]`.
"""

from __future__ import annotations

import os
import sys
import time

# The number of BLAS threads must stand before numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from graphflow.backends.llvm.host import DRIVE, DRIVER, MachineCode
from graphflow.backends.llvm.writer import Writer
from graphflow.loops import Contract
from tests.backends.llvm.product_kernels import Case, Kernels, host_with

ROUNDS = 25
# How both factors lie: "n" as the product reads them, "t" transposed. "gemv n" is a matrix times a vector.
SHAPES = [
    ("gemv n", 400, 1, 100), ("gemv n", 100, 1, 100), ("gemv n", 100, 1, 20), ("gemv n", 65, 1, 100),
    ("gemv n", 400, 1, 120), ("gemv n", 33, 1, 77), ("gemv n", 2048, 1, 512),
    ("gemv t", 100, 1, 400), ("gemv t", 100, 1, 100), ("gemv t", 20, 1, 400), ("gemv t", 100, 1, 65),
    ("gemv t", 120, 1, 400), ("gemv t", 77, 1, 33), ("gemv t", 512, 1, 2048),
    ("nn", 400, 100, 1), ("tn", 400, 100, 30), ("tn", 100, 20, 30), ("tn", 65, 100, 30),
    ("nn", 30, 100, 400), ("nt", 30, 400, 100), ("nt", 30, 65, 100),
    ("nn", 16, 512, 512), ("nt", 16, 512, 512), ("nt", 16, 2048, 512), ("nn", 16, 512, 2048), ("nt", 32, 512, 512),
    ("nn", 32, 512, 512), ("tn", 512, 512, 16), ("tn", 2048, 512, 16), ("tn", 512, 512, 400), ("nt", 400, 512, 512),
    ("nn", 400, 512, 512), ("nt", 128, 512, 784), ("nn", 128, 512, 784), ("nn", 128, 784, 512), ("tn", 784, 512, 128),
    ("tn", 512, 784, 128), ("nt", 128, 10, 512), ("nn", 128, 10, 512), ("nn", 128, 512, 10), ("tn", 10, 512, 128),
    ("tt", 128, 512, 512), ("nn", 512, 512, 512), ("nn", 1024, 1024, 1024), ("nt", 65, 16, 512),
]  # fmt: skip


def case_of(kind: str, rows: int, columns: int, summed: int, dtype: str) -> Case:
    """Arrays of a product of these sizes."""
    generator = np.random.default_rng(0)

    def matrix(first: int, second: int, is_turned: bool) -> np.ndarray:
        made = generator.normal(size=(second, first) if is_turned else (first, second)).astype(dtype)
        return made.T if is_turned else made

    left = matrix(rows, summed, kind in ("tn", "tt", "gemv t"))
    if kind.startswith("gemv"):
        return Case(Contract((0, 1), (1,), (0,)), left, matrix(summed, 1, False)[:, 0], np.empty(rows, dtype))
    right = matrix(summed, columns, kind in ("nt", "tt"))
    return Case(Contract((0, 1), (1, 2), (0, 2)), left, right, np.empty((rows, columns), dtype))


def peak(host, dtype: str) -> float:
    """GF/s of 12 independent chains of multiply-adds in registers."""
    writer = Writer("peak", host.vector_bytes)
    element, lanes = ("float", host.vector_bytes // 4) if dtype == "float32" else ("double", host.vector_bytes // 8)
    place = writer.operand(0)
    chains = 12 if host.vector_bytes > 16 else 8
    firsts = [writer.load(place, element, lanes) for _ in range(chains)]
    factor = writer.load(place, element, lanes)
    rounds = 10_000
    lasts = writer.loop(rounds, 1, lambda _, held: [writer.fma(each, factor, factor) for each in held], firsts)
    total = lasts[0]
    for each in lasts[1:]:
        total = writer.add(total, each)
    writer.store(total, place)
    code = MachineCode("\n".join([*sorted(writer.declarations), DRIVER, writer.text()]), host)
    found = code.addresses(["drive", "peak"])
    memory = np.zeros(64, dtype)
    record = np.array([found["peak"], 0, memory.ctypes.data], np.int64)
    table = np.array([record.ctypes.data], np.int64)
    drive = DRIVE(found["drive"])
    seconds = min(clocked(lambda: drive(table.ctypes.data, 1)) for _ in range(200))
    return 2 * rounds * chains * lanes / seconds / 1e9


def clocked(call) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def row(kernels: Kernels, number: int, shape: tuple[str, int, int, int], top: float) -> str:
    """A row of the table: kernel and BLAS by turns, the best round of each."""
    kind, rows, columns, summed = shape
    case, work = kernels.cases[number], 2 * rows * columns * summed
    times = max(1, int(2e6 / work))
    table = kernels.table(number, times)
    mine, other = [], []
    for _ in range(ROUNDS):
        mine.append(clocked(lambda: kernels.drive(table)) / times)
        other.append(clocked(lambda: [np.dot(case.left, case.right, out=case.output) for _ in range(times)]) / times)
    best, blas = min(mine), min(other)
    rate, bandwidth = work / best / 1e9, sum(array.nbytes for array in case.arrays) / best / 1e9
    return (
        f"{kind:6} {f'{rows} x {columns} x {summed}':>24} {best * 1e6:>9.2f} {rate:>6.1f} {rate / top:>8.0%} "
        f"{bandwidth:>6.0f} {blas * 1e6:>9.2f} {blas / best:>5.2f}"
    )


def main() -> None:
    words = sys.argv[1:]
    dtype = next((word for word in words if word.startswith("float")), "float32")
    widths = [int(word) for word in words if word.isdigit()] or [64, 32, 16]
    host = next(host for host in map(host_with, widths) if host is not None)
    kinds = [word for word in words if word in ("nn", "nt", "tn", "tt", "gemv")]
    shapes = [shape for shape in SHAPES if not kinds or shape[0].split()[0] in kinds]
    start = time.perf_counter()
    kernels = Kernels([case_of(*shape, dtype) for shape in shapes], host)
    compiled = time.perf_counter() - start
    top = peak(host, dtype)
    print(f"{dtype}, vectors of {host.vector_bytes} bytes, peak {top:.1f} GF/s, compiled in {compiled:.2f} s")
    print(
        f"{'':6} {'rows x columns x summed':>24} {'us':>9} {'GF/s':>6} {'of peak':>8} {'GB/s':>6} {'BLAS us':>9}  gain"
    )
    for number, shape in enumerate(shapes):
        print(row(kernels, number, shape, top))


if __name__ == "__main__":
    main()
