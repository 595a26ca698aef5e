"""What one core can do: reading from the caches and from beyond, and multiplying and adding; and what that allows.

Measured with machine code through llvmlite where that is installed (numpy's calls are too long for the small caches).
"""

from __future__ import annotations

import ctypes
import importlib.util
import time
from collections.abc import Callable

import numpy as np

from tests.bench.contender import Work

KILOBYTE = 1024
SIZES = {"L1": 16 * KILOBYTE, "L2": 256 * KILOBYTE, "beyond": 16 * KILOBYTE * KILOBYTE}
STREAMS, CHAINS = 8, 12
ROUNDS_OF_PRODUCTS = 20_000


def reader(lanes: int) -> str:
    """LLVM IR of `read(data, bytes, times, out)`, which adds up all numbers."""
    vector, width = f"<{lanes} x float>", 4 * lanes
    step = STREAMS * width
    phis = "\n".join(f"  %s{k} = phi {vector} [ zeroinitializer, %entry ], [ %a{k}, %inner ]" for k in range(STREAMS))
    loads = "\n".join(
        f"  %i{k} = add i64 %at, {k * width}\n  %p{k} = getelementptr i8, ptr %data, i64 %i{k}\n"
        f"  %v{k} = load {vector}, ptr %p{k}, align 64\n  %a{k} = fadd {vector} %s{k}, %v{k}"
        for k in range(STREAMS)
    )
    totals = "\n".join(
        f"  %t{k} = fadd {vector} {'zeroinitializer' if k == 0 else f'%t{k - 1}'}, %a{k}" for k in range(STREAMS)
    )
    return f"""
define void @read(ptr %data, i64 %bytes, i64 %times, ptr %out) {{
entry:
  br label %inner
inner:
  %at = phi i64 [ 0, %entry ], [ %around, %inner ]
  %round = phi i64 [ 0, %entry ], [ %rounds, %inner ]
{phis}
{loads}
  %next = add i64 %at, {step}
  %full = icmp eq i64 %next, %bytes
  %around = select i1 %full, i64 0, i64 %next
  %more = zext i1 %full to i64
  %rounds = add i64 %round, %more
  %done = icmp eq i64 %rounds, %times
  br i1 %done, label %end, label %inner
end:
{totals}
  store {vector} %t{STREAMS - 1}, ptr %out, align 64
  ret void
}}
"""


def multiplier(lanes: int) -> str:
    """LLVM IR of `multiply(times, out)`: chains of multiply-adds that do not wait for one another."""
    vector, width, fma = f"<{lanes} x float>", 4 * lanes, f"@llvm.fma.v{lanes}f32"
    chains = "\n".join(f"  %s{k} = phi {vector} [ zeroinitializer, %entry ], [ %a{k}, %inner ]" for k in range(CHAINS))
    products = "\n".join(
        f"  %a{k} = call {vector} {fma}({vector} %s{k}, {vector} %x, {vector} %x)" for k in range(CHAINS)
    )
    stores = "\n".join(
        f"  %o{k} = getelementptr i8, ptr %out, i64 {k * width}\n  store {vector} %a{k}, ptr %o{k}, align 64"
        for k in range(CHAINS)
    )
    return f"""
declare {vector} {fma}({vector}, {vector}, {vector})
define void @multiply(i64 %times, ptr %out) {{
entry:
  %x = load {vector}, ptr %out, align 64
  br label %inner
inner:
  %round = phi i64 [ 0, %entry ], [ %next, %inner ]
{chains}
{products}
  %next = add i64 %round, 1
  %done = icmp eq i64 %next, %times
  br i1 %done, label %end, label %inner
end:
{stores}
  ret void
}}
"""


def speeds() -> dict[str, float]:
    """GB/s read from L1, L2 and beyond, and GFLOP/s of multiply-adds, of one core: the best of several tries."""
    if importlib.util.find_spec("llvmlite") is None:
        return numpy_speeds()
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    lanes = 16 if features.get("avx512f") else 8 if features.get("avx2") else 4
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=2
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(reader(lanes) + multiplier(lanes)), machine)
    engine.finalize_object()
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    read = ctypes.CFUNCTYPE(None, pointer, number, number, pointer)(engine.get_function_address("read"))
    multiply = ctypes.CFUNCTYPE(None, number, pointer)(engine.get_function_address("multiply"))
    memory = aligned(SIZES["beyond"])
    out = aligned(CHAINS * 64)
    found = {}
    for name, size in SIZES.items():
        times = max(2, 8 * KILOBYTE * KILOBYTE // size)
        seconds = best_of(lambda size=size, times=times: read(memory.ctypes.data, size, times, out.ctypes.data))
        found[name] = size * times / seconds / 1e9
    out[:] = 0.5
    operations = 2 * CHAINS * lanes * ROUNDS_OF_PRODUCTS

    def products() -> None:
        out[:] = 0.5
        multiply(ROUNDS_OF_PRODUCTS, out.ctypes.data)

    found["multiply-add"] = operations / best_of(products) / 1e9
    return found


def numpy_speeds() -> dict[str, float]:
    """The same with numpy: sums for the bandwidths, a product of matrices for the arithmetic."""
    found = {}
    for name, size in SIZES.items():
        data = np.ones(size // 4, np.float32)
        found[name] = size / best_of(lambda data=data: np.dot(data, data)) / 1e9
    square = np.ones((512, 512), np.float32)
    found["multiply-add"] = 2 * 512**3 / best_of(lambda: square @ square) / 1e9
    return found


def aligned(size: int) -> np.ndarray:
    """Ones, float32, that begin at a multiple of 64 bytes."""
    block = np.ones(size // 4 + 16, np.float32)
    begin = -block.ctypes.data % 64 // 4
    return block[begin : begin + size // 4]


def best_of(call: Callable[[], object], tries: int = 40) -> float:
    """Seconds of the quickest of some calls."""
    found = []
    for _ in range(tries):
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return min(found)


def limit(work: Work, found: dict[str, float], threads: int) -> dict[str, object]:
    """Units per second if nothing but the unavoidable took time, one thing after another.

    Args:
        work: of one unit.
        found: what `speeds` measured.
        threads: over how many cores large work is spread.
    """
    cores = threads if work.is_threaded else 1
    parts = {
        "weights through L2": work.reads / found["L2"] / 1e3 / cores,
        "products": work.operations / found["multiply-add"] / 1e3 / cores,
        "update": work.updates / found["L2"] / 1e3 / cores,
    }
    return {"rate": 1e6 / sum(parts.values()), "parts": parts, "threads": cores}
