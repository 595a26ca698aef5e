"""Products of matrices as bare kernels: written, compiled and called on arrays, without a graph round them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graphflow.backends.llvm.host import DRIVE, DRIVER, Host, MachineCode, this_host
from graphflow.backends.llvm.kernels import write_kernel
from graphflow.dtypes import float32, float64
from graphflow.loops import Contract
from graphflow.passes.plan import Place
from graphflow.tape.program import Instruction, Operand
from graphflow.tensortype import TensorType

DTYPES = {np.dtype(np.float32): float32, np.dtype(np.float64): float64}
WIDTHS = (64, 32, 16)


def host_with(vector_bytes):
    """This processor used up to a width of vectors; None where it has none so wide."""
    own = this_host()
    if vector_bytes == own.vector_bytes:
        return own
    if vector_bytes > own.vector_bytes:
        return None
    return Host("x86-64-v3" if vector_bytes == 32 else "x86-64", "", vector_bytes)


def operand_of(array):
    """An array as an operand of an instruction."""
    strides = tuple(stride // array.itemsize for stride in array.strides)
    return Operand(TensorType(DTYPES[array.dtype], array.shape), Place("input", 0, 0, strides, array.shape))


class Case(NamedTuple):
    """A contraction and the arrays it works on; `more` are further pairs, left and right in turn."""

    loop: Contract
    left: np.ndarray
    right: np.ndarray
    output: np.ndarray
    more: tuple[np.ndarray, ...] = ()

    @property
    def arrays(self):
        """In the order of the operands."""
        return (self.left, self.right, *self.more, self.output)


class Kernels:
    """The kernels of some cases, in one piece of machine code.

    Attributes:
        written: whether there is a kernel, case by case.
        chunks: of how many chunks each kernel consists.
        context: what word 1 of each record points to.
    """

    def __init__(self, cases, host):
        self.cases = list(cases)
        texts, declarations, self.written, self.chunks = [DRIVER], set(), [], []
        for number, case in enumerate(self.cases):
            operands = [operand_of(array) for array in case.arrays]
            # The node only names the instruction in messages; a kernel never reads it.
            instruction = Instruction(case.loop, tuple(operands[:-1]), operands[-1], None)
            writer = write_kernel(instruction, f"kernel{number}", host.vector_bytes)
            self.written.append(writer is not None)
            self.chunks.append(0 if writer is None else writer.chunks)
            if writer is not None:
                texts.append(writer.text())
                declarations |= writer.declarations
        self.text = "\n".join([*sorted(declarations), *texts])
        self._code = MachineCode(self.text, host)
        names = [f"kernel{number}" for number, is_written in enumerate(self.written) if is_written]
        self._found = self._code.addresses(["drive", *names])
        self._drive = DRIVE(self._found["drive"])
        self.context = np.zeros(3, np.int64)

    def table(self, number, times=1):
        """The records of one case, to be run several times by one call."""
        case = self.cases[number]
        words = [
            self._found[f"kernel{number}"],
            self.context.ctypes.data,
            *[array.ctypes.data for array in case.arrays],
        ]
        record = np.array(words, np.int64)
        return record, np.full(times, record.ctypes.data, np.int64)

    def drive(self, table):
        """Run a table of records."""
        self._drive(table[1].ctypes.data, len(table[1]))

    def run(self, number):
        """Run the kernel of one case once."""
        self.drive(self.table(number))
