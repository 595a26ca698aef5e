"""A loop over records that reads the processor's counter of ticks between them.

Going back to Python after each record takes longer than most records do, so the readings are taken in machine code.
A fence before each reading lets what came before come to its end; otherwise a processor that works ahead books the
time of one record on the next.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import final

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt

from graphflow.backends.llvm.host import Host, MachineCode
from graphflow.backends.timing import Positioned, Stopwatch, clock, nothing, stopwatch, without

# readings[0] is taken before the first record, readings[i + 1] after record i.
TIMED_DRIVER = """
declare i64 @llvm.readcyclecounter()
declare void @llvm.x86.sse2.lfence()

define void @timed(ptr %table, i64 %count, ptr %readings) {
entry:
  call void @llvm.x86.sse2.lfence()
  %first = call i64 @llvm.readcyclecounter()
  store i64 %first, ptr %readings, align 8
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %body, label %end
body:
  %place = getelementptr ptr, ptr %table, i64 %i
  %record = load ptr, ptr %place, align 8
  %function = load ptr, ptr %record, align 8
  call void %function(ptr %record)
  call void @llvm.x86.sse2.lfence()
  %ticks = call i64 @llvm.readcyclecounter()
  %next = add i64 %i, 1
  %reading = getelementptr i64, ptr %readings, i64 %next
  store i64 %ticks, ptr %reading, align 8
  br label %head
end:
  ret void
}

define void @nothing(ptr %record) {
  ret void
}
"""
TIMED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
EMPTY_RECORDS = 1000
CALIBRATION_NANOSECONDS = 5_000_000


@final
class TickCounter:
    """Times stretches of records by the processor's ticks.

    Attributes:
        cost: ticks of a record that does nothing.
        nanoseconds_per_tick: found by running such records for some milliseconds of the wall clock.
    """

    def __init__(self, host: Host) -> None:
        self._code = MachineCode(TIMED_DRIVER, host)
        addresses = self._code.addresses(["timed", "nothing"])
        self._timed: Callable[[int, int, int], None] = TIMED(addresses["timed"])
        self._calibrate(addresses["nothing"])

    def _calibrate(self, function: int) -> None:
        record = np.array([function], np.int64)
        table = np.full(EMPTY_RECORDS, record.ctypes.data, np.int64)
        address = int(table.ctypes.data)
        first, begun = int(self.ticks(address, 1)[0]), clock()
        found = []
        # Nothing but this between the first pair of readings and the last, or the two clocks would not match.
        while clock() - begun < CALIBRATION_NANOSECONDS:
            found.append(self.ticks(address, EMPTY_RECORDS))
        last, ended = int(self.ticks(address, 1)[0]), clock()
        self.cost = float(np.median(np.diff(found)))
        self.nanoseconds_per_tick = (ended - begun) / (last - first)

    def ticks(self, table: int, count: int) -> npt.NDArray[np.int64]:
        """Run records; `count` + 1 readings."""
        readings = np.empty(count + 1, np.int64)
        self._timed(table, count, readings.ctypes.data)
        return readings

    def watch(self, table: int, count: int) -> Stopwatch:
        """Times `count` records from an address on."""
        return lambda: without(self.cost, np.diff(self.ticks(table, count))) * self.nanoseconds_per_tick


@lru_cache(maxsize=1)
def has_ticks() -> bool:
    """Whether a program may read this processor's counter: elsewhere than on x86 that is for the system alone."""
    return str(llvm.get_process_triple()).startswith("x86_64")


def stretches_timed(
    runner: Positioned,
    stretches: Sequence[tuple[int, int, Callable[[], object] | None]],
    table: int,
    drive: Callable[[int, int], object],
    host: Host,
) -> Stopwatch:
    """Times a program that is run in stretches.

    Args:
        runner: whose `position` says how far a run came.
        stretches: first instruction, the one behind the last, and what runs them in place of the table.
        table: address of the table of records.
        drive: runs records from an address on.
        host: the processor.
    """
    counter = TickCounter(host) if has_ticks() else None
    empty = partial(drive, table, 0)

    def watch_of(first: int, stop: int, action: Callable[[], object] | None) -> Stopwatch:
        if action is not None:
            return stopwatch(runner, [action], nothing)
        if counter is None:
            return stopwatch(runner, [partial(drive, table + 8 * number, 1) for number in range(first, stop)], empty)
        return counter.watch(table + 8 * first, stop - first)

    watches = [(stretch[0], watch_of(*stretch)) for stretch in stretches]

    def run() -> npt.NDArray[np.float64]:
        found = [np.empty(0)]
        for first, watch in watches:
            try:
                found.append(watch())
            finally:
                runner.position = first + 1
        return np.concatenate(found)

    return run
