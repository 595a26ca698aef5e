"""The table of slice positions: run-time integers that forward and gradient kernels read on every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt


class PositionTable:
    """Cells of int64; a rebindable node owns one cell for each position it has.

    `cells` is replaced when the table grows, so whoever holds it must look whether it still is the same object.
    """

    def __init__(self) -> None:
        self.cells: npt.NDArray[np.int64] = np.zeros(16, np.int64)
        self.count = 0

    def allocate(self, starts: Sequence[int]) -> int:
        """Take new cells with these contents; the number of the first is returned."""
        slot = self.count
        self.count += len(starts)
        if self.count > self.cells.size:
            larger = np.zeros(max(2 * self.cells.size, self.count), np.int64)
            larger[:slot] = self.cells[:slot]
            self.cells = larger
        self.cells[slot : self.count] = starts
        return slot

    def read(self, slot: int, count: int) -> tuple[int, ...]:
        """What cells hold now."""
        return tuple(self.cells[slot : slot + count].tolist())


@final
@dataclass(frozen=True)
class S:
    """A position or a range along an axis, for `node[S(3)]` and `unsafe_let(row, S(7))`.

    Args:
        start: the first position.
        end: one past the last; left out, `S(start)` means that one position and the axis is dropped.
        step: stride, 1 unless said.

    Example:
        >>> S(1, 4).as_key()
        slice(1, 4, 1)
        >>> S(3).as_key()
        3

    Source: Gorgonia S.
    """

    start: int
    end: int | None = None
    step: int = 1

    def as_key(self) -> int | slice:
        """The same in Python's own indexing."""
        return self.start if self.end is None else slice(self.start, self.end, self.step)
