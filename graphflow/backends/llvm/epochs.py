"""The loop over rows of positions, in machine code: bind, run the tape, record a number, carry over, step the solver.

A plan is an array of words, in the order of `WORDS`. What is carried over is three words each: address of the source,
of the target, bytes. A solver's calls are four words each: function, record, address
of the first row's numbers, bytes from one row's numbers to the next.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import final

import numpy as np

from graphflow.backends import Rows
from graphflow.backends.llvm.host import Host, MachineCode
from graphflow.backends.llvm.updates import NUMBERS
from graphflow.backends.llvm.writer import ALARM, POSITIONS, RUN

WORDS = (
    ("drive", "ptr"), ("table", "ptr"), ("instructions", "i64"), ("context", "ptr"), ("rows", "i64"),
    ("starts", "ptr"), ("cells", "ptr"), ("width", "i64"), ("recorded", "ptr"), ("bytes", "i64"), ("values", "ptr"),
    ("needs_finite", "i64"), ("carries", "ptr"), ("carry_count", "i64"), ("calls", "ptr"), ("call_count", "i64"),
)  # fmt: skip
LOADS = "\n".join(
    f"  %{name}.place = getelementptr i64, ptr %plan, i64 {number}\n  %{name} = load {kind}, ptr %{name}.place, align 8"
    for number, (name, kind) in enumerate(WORDS)
)
# The positions stay where they are while this runs.
LOOP = f"""
define i64 @run_rows(ptr %plan) {{
entry:
{LOADS}
  %is_double = icmp eq i64 %bytes, 8
  %takes_all = icmp eq i64 %needs_finite, 0
  %positions_place = getelementptr i64, ptr %context, i64 {POSITIONS}
  %positions = load ptr, ptr %positions_place, align 8
  %alarm = getelementptr i64, ptr %context, i64 {ALARM}
  %run_place = getelementptr i64, ptr %context, i64 {RUN}
  br label %row_head
row_head:
  %row = phi i64 [ 0, %entry ], [ %next_row, %calls_head ]
  %more_rows = icmp slt i64 %row, %rows
  br i1 %more_rows, label %bind, label %end
bind:
  %before = mul i64 %row, %width
  %own_starts = getelementptr i64, ptr %starts, i64 %before
  br label %bind_head
bind_head:
  %index = phi i64 [ 0, %bind ], [ %next_index, %bind_body ]
  %more_cells = icmp slt i64 %index, %width
  br i1 %more_cells, label %bind_body, label %run
bind_body:
  %cell_place = getelementptr i64, ptr %cells, i64 %index
  %cell = load i64, ptr %cell_place, align 8
  %start_place = getelementptr i64, ptr %own_starts, i64 %index
  %start = load i64, ptr %start_place, align 8
  %position = getelementptr i64, ptr %positions, i64 %cell
  store i64 %start, ptr %position, align 8
  %next_index = add i64 %index, 1
  br label %bind_head
run:
  call void %drive(ptr %table, i64 %instructions)
  %met = load i64, ptr %alarm, align 8
  %is_well = icmp eq i64 %met, 0
  br i1 %is_well, label %read, label %end
read:
  br i1 %is_double, label %read_double, label %read_float
read_double:
  %as_double = load double, ptr %recorded, align 8
  br label %record
read_float:
  %as_float = load float, ptr %recorded, align 4
  %widened = fpext float %as_float to double
  br label %record
record:
  %value = phi double [ %as_double, %read_double ], [ %widened, %read_float ]
  %nothing = fsub double %value, %value
  %is_finite = fcmp oeq double %nothing, 0.0
  %goes_on = or i1 %is_finite, %takes_all
  br i1 %goes_on, label %keep, label %end
keep:
  %value_place = getelementptr double, ptr %values, i64 %row
  store double %value, ptr %value_place, align 8
  %next_row = add i64 %row, 1
  %run_number = load i64, ptr %run_place, align 8
  %next_run = add i64 %run_number, 1
  store i64 %next_run, ptr %run_place, align 8
  br label %carries_head
carries_head:
  %carry = phi i64 [ 0, %keep ], [ %next_carry, %bytes_head ]
  %more_carries = icmp slt i64 %carry, %carry_count
  br i1 %more_carries, label %carry_over, label %calls_head
carry_over:
  %carry_word = mul i64 %carry, 3
  %source_place = getelementptr i64, ptr %carries, i64 %carry_word
  %target_place = getelementptr i64, ptr %source_place, i64 1
  %size_place = getelementptr i64, ptr %source_place, i64 2
  %source = load ptr, ptr %source_place, align 8
  %carry_target = load ptr, ptr %target_place, align 8
  %size = load i64, ptr %size_place, align 8
  %whole = and i64 %size, -32
  %next_carry = add i64 %carry, 1
  br label %blocks_head
blocks_head:
  %done = phi i64 [ 0, %carry_over ], [ %next_done, %blocks_body ]
  %more_blocks = icmp slt i64 %done, %whole
  br i1 %more_blocks, label %blocks_body, label %bytes_head
blocks_body:
  %block_from = getelementptr i8, ptr %source, i64 %done
  %block_to = getelementptr i8, ptr %carry_target, i64 %done
  %block = load <32 x i8>, ptr %block_from, align 1
  store <32 x i8> %block, ptr %block_to, align 1
  %next_done = add i64 %done, 32
  br label %blocks_head
bytes_head:
  %at = phi i64 [ %whole, %blocks_head ], [ %next_at, %bytes_body ]
  %more_bytes = icmp slt i64 %at, %size
  br i1 %more_bytes, label %bytes_body, label %carries_head
bytes_body:
  %byte_from = getelementptr i8, ptr %source, i64 %at
  %byte_to = getelementptr i8, ptr %carry_target, i64 %at
  %byte = load i8, ptr %byte_from, align 1
  store i8 %byte, ptr %byte_to, align 1
  %next_at = add i64 %at, 1
  br label %bytes_head
calls_head:
  %number = phi i64 [ 0, %carries_head ], [ %next_number, %call ]
  %more_calls = icmp slt i64 %number, %call_count
  br i1 %more_calls, label %call, label %row_head
call:
  %word = shl i64 %number, 2
  %function_place = getelementptr i64, ptr %calls, i64 %word
  %record_place = getelementptr i64, ptr %function_place, i64 1
  %numbers_place = getelementptr i64, ptr %function_place, i64 2
  %stride_place = getelementptr i64, ptr %function_place, i64 3
  %function = load ptr, ptr %function_place, align 8
  %record_address = load ptr, ptr %record_place, align 8
  %numbers = load ptr, ptr %numbers_place, align 8
  %stride = load i64, ptr %stride_place, align 8
  %shift = mul i64 %row, %stride
  %own_numbers = getelementptr i8, ptr %numbers, i64 %shift
  %target = getelementptr i64, ptr %record_address, i64 {2 + NUMBERS}
  store ptr %own_numbers, ptr %target, align 8
  call void %function(ptr %record_address)
  %next_number = add i64 %number, 1
  br label %calls_head
end:
  ret i64 %row
}}
"""
RUN_ROWS = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)


@final
class RowLoop:
    """The loop in machine code of its own: one for all programs of a host."""

    def __init__(self, host: Host) -> None:
        self._code = MachineCode(LOOP, host)
        self._run: Callable[[int], int] = RUN_ROWS(self._code.addresses(["run_rows"])["run_rows"])

    def run(
        self,
        rows: Rows,
        recorded: int,
        carried: Sequence[int],
        *,
        drive: int,
        table: int,
        instructions: int,
        context: int,
    ) -> int:
        """How many rows were done: it stops where a kernel sets the alarm, or at a number that is to be finite.

        Args:
            rows: what to do.
            recorded: address of the number that is recorded.
            carried: address of the source of each value that is carried over.
            drive: address of the driver.
            table: addresses of the program's records.
            instructions: how many these are.
            context: of the program.
        """
        calls = [
            (each.function, each.record.ctypes.data, each.numbers.ctypes.data, each.numbers.strides[0])
            for each in rows.calls
        ]
        call_words = np.array(calls, np.int64)
        carries = [
            (source, each.target.ctypes.data, each.target.nbytes)
            for source, each in zip(carried, rows.carries, strict=True)
        ]
        carry_words = np.array(carries, np.int64)
        starts, cells, values = rows.starts, rows.cells, rows.values
        words = (
            *(drive, table, instructions, context, len(starts), starts.ctypes.data, cells.ctypes.data, cells.size),
            *(recorded, rows.recorded.type.dtype.itemsize, values.ctypes.data, int(rows.needs_finite)),
            *(carry_words.ctypes.data, len(carries), call_words.ctypes.data, len(calls)),
        )
        plan = np.array(words, np.int64)
        return self._run(plan.ctypes.data)


@lru_cache(maxsize=8)
def row_loop_of(host: Host) -> RowLoop:
    """The loop of a host."""
    return RowLoop(host)
