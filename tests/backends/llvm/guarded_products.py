"""Products whose operands touch pages that must not be read or written; a process of its own, since a slip ends it.

Run by `python -m tests.backends.llvm.guarded_products`; with the word `slip` behind it, it shows that a slip is fatal.
"""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np

from tests.backends.llvm.product_kernels import WIDTHS, Kernels, host_with
from tests.backends.llvm.test_products import TURNS, product_case, reference, tolerance

PAGE = mmap.PAGESIZE


class GuardedPages:
    """Memory between two pages that nobody may touch."""

    def __init__(self, size):
        self.pages = -(-size // PAGE)
        self.memory = mmap.mmap(-1, (self.pages + 2) * PAGE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        for page in (0, self.pages + 1):
            forbid(self.start + page * PAGE)

    def array(self, like, *, at_end):
        """A copy of an array in the same layout, that ends or begins where the guard does."""
        flat = np.ascontiguousarray(like.transpose(order_of(like)))
        first = self.start + PAGE + (self.pages * PAGE - flat.nbytes if at_end else 0)
        room = (ctypes.c_char * flat.nbytes).from_address(first)
        placed = np.frombuffer(room, flat.dtype).reshape(flat.shape)
        placed[...] = flat
        return placed.transpose(np.argsort(order_of(like)))


def forbid(address):
    """Make a page one that ends the process when it is touched."""
    if sys.platform == "win32":
        old = ctypes.c_ulong()
        is_done = ctypes.windll.kernel32.VirtualProtect(ctypes.c_void_p(address), PAGE, 1, ctypes.byref(old))
    else:
        is_done = ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), 0) == 0
    assert is_done


def order_of(array):
    """The axes from the widest stride to the narrowest."""
    return sorted(range(array.ndim), key=lambda axis: -array.strides[axis])


def main():
    generator = np.random.default_rng(7)
    cases, kept = [], []
    sizes = [(5, 37, 21), (19, 23, 40), (65, 35, 70), (1, 33, 65), (8, 1, 33), (70, 150, 290), (3, 3, 3), (50, 10, 600)]
    for dtype in ("float32", "float64"):
        for layouts in TURNS:
            for kind in ("matrix", "matrix vector", "vector matrix"):
                for each in sizes:
                    case = product_case(generator, *each, dtype, layouts, kind)
                    kept.append([GuardedPages(array.nbytes) for array in (case.left, case.right, case.output)])
                    cases.append(case)
    if "slip" in sys.argv:
        ctypes.memset(kept[0][0].start, 0, 1)
    for host in [found for found in map(host_with, WIDTHS) if found is not None]:
        for at_end in (True, False):
            placed = [
                case._replace(
                    left=pages[0].array(case.left, at_end=at_end),
                    right=pages[1].array(case.right, at_end=at_end),
                    output=pages[2].array(case.output, at_end=at_end),
                )
                for case, pages in zip(cases, kept, strict=True)
            ]
            kernels = Kernels(placed, host)
            for number, case in enumerate(placed):
                kernels.run(number)
                assert (abs(case.output - reference(case)) <= tolerance(case)).all(), case.loop
    print("right")


if __name__ == "__main__":
    main()
