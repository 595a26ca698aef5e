"""One kernel for each kind of instruction: equal loops on equal types and strides share their machine code."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from graphflow.backends.llvm.elementwise import (
    fixed_offset,
    write_concat,
    write_map,
    write_place,
    write_reshape,
    write_view,
)
from graphflow.backends.llvm.folding import write_reduce
from graphflow.backends.llvm.lookups import write_gather, write_scatter
from graphflow.backends.llvm.products import write_contract, write_convolve
from graphflow.backends.llvm.random_numbers import write_random
from graphflow.backends.llvm.row_programs import write_rows
from graphflow.backends.llvm.scans import write_scan
from graphflow.backends.llvm.writer import Writer
from graphflow.dtypes import int64
from graphflow.loops import (
    Concat,
    Contract,
    Convolve,
    Gather,
    Loop,
    Map,
    Place,
    Random,
    Reduce,
    Reshape,
    Rows,
    Scan,
    Scatter,
    View,
)
from graphflow.tape.program import Instruction, Operand

WRITERS: dict[type[Loop], Callable[..., bool]] = {
    Map: write_map, Reduce: write_reduce, Rows: write_rows, Contract: write_contract, Convolve: write_convolve,
    View: write_view, Reshape: write_reshape, Place: write_place, Concat: write_concat, Gather: write_gather,
    Scatter: write_scatter, Random: write_random, Scan: write_scan,
}  # fmt: skip


class Signature(NamedTuple):
    """What a kernel depends on: the loop without run-time data, and how each operand lies in memory."""

    loop: Hashable
    operands: tuple[Hashable, ...]


def signatures_of(instructions: Iterable[Instruction]) -> Iterator[Signature]:
    """For each instruction the signature that it shares with all that run the same kernel.

    Equal signatures are one object, so that looking them up again compares no contents.
    """
    known: dict[Hashable, Signature] = {}
    # Instructions live as long as this runs, so identity is a safe key; time steps share their loops.
    loops: dict[int, Hashable] = {}
    for instruction in instructions:
        loop = instruction.loop
        plain = loops.get(id(loop))
        if plain is None:
            plain = loops[id(loop)] = _without_positions(loop)
        shapes = tuple([(type_, place.strides) for type_, place in (*instruction.inputs, instruction.output)])
        found = Signature(plain, shapes)
        yield known.setdefault(found, found)


def _without_positions(loop: Loop) -> Loop:
    """The loop with its starts, slots and stream left to the record."""
    if isinstance(loop, View):
        slots = tuple(None if slot is None else 0 for slot in loop.slots)
        return replace(loop, starts=(0,) * len(loop.starts), slots=slots)
    if isinstance(loop, Place):
        view = _without_positions(loop.view)
        return Place(loop.shape, view) if isinstance(view, View) else loop
    if isinstance(loop, Random):
        return replace(loop, stream=0)
    return loop


def write_kernel(instruction: Instruction, name: str, vector_bytes: int) -> Writer | None:
    """The kernel of an instruction, or None where it has none and numpy must do it."""
    write = WRITERS.get(type(instruction.loop))
    if write is None:
        return None
    writer = Writer(name, vector_bytes)
    if 0 in instruction.output.type.shape:
        # There is nothing to do, but ids would have to be looked at.
        ids = [each for each in instruction.inputs if each.type.dtype == int64 and 0 not in each.type.shape]
        return None if ids else writer
    is_written = write(writer, instruction.loop, instruction.inputs, instruction.output)
    return writer if is_written else None


def record_words(instruction: Instruction, addresses: Sequence[int]) -> list[int]:
    """The words behind a record's first two: addresses of the operands' first elements, then numbers of cells.

    Args:
        instruction: what the record is for.
        addresses: of the first elements of the inputs and of the output.
    """
    words = list(addresses)
    loop = instruction.loop
    if isinstance(loop, View):
        source = instruction.inputs[0]
        words[0] += fixed_offset(loop, source) * source.type.dtype.itemsize
        words += _slots(loop)
    elif isinstance(loop, Place):
        output = instruction.output
        words.append(addresses[-1] + fixed_offset(loop.view, output) * output.type.dtype.itemsize)
        words += _slots(loop.view)
    elif isinstance(loop, Random):
        words.append(signed_word(loop.stream))
    return words


def signed_word(number: int) -> int:
    """A number below 2**64 as the signed one with the same bits."""
    return number - 2**64 if number >= 2**63 else number


def _slots(view: View) -> list[int]:
    return [slot for slot in view.slots if slot is not None]


__all__ = ["Operand", "Signature", "record_words", "signatures_of", "signed_word", "write_kernel"]
