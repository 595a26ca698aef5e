"""Threads that help with large products.

A large product is a number of chunks. The thread that runs the program puts them up and takes them one by one, from the
front; helpers take them from the back, so that over the steps of a network each core meets the same parts of a weight.
Nobody is waited for but those who have begun a chunk. Which thread computes a chunk makes no difference to its bits.

Helpers are Python threads. Between runs they wait for a lock; during a run they are in machine code, without Python's
own lock, and while there is nothing to do they pause, and after a while let others have the processor.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from math import prod
from typing import final

import llvmlite.binding as llvm
import numpy as np

from graphflow.backends.cores import available_cores
from graphflow.backends.llvm.host import Host, MachineCode
from graphflow.backends.llvm.writer import SHARE
from graphflow.loops import Contract, Convolve, Loop
from graphflow.tape.program import Instruction, Operand
from graphflow.values import Array

# Words of a team; what is written by different threads lies on different cache lines.
YIELD, IS_RUNNING, TICKET, FUNCTION, RECORD, DONE, WORDS = 1, 2, 8, 16, 17, 24, 32
# Looks at the ticket before others get the processor, and before a helper leaves a run that has no work for it (a few
# tenths of a second).
PATIENCE, ENDURANCE = 2048, 2**19


def _place(name: str, word: int) -> str:
    return f"%{name} = getelementptr i64, ptr %team, i64 {word}"


# A ticket is the number of the job (upper half), the first chunk to be taken and the one behind the last (16 bits
# each).
CODE = f"""
define i64 @rest(ptr %team, i64 %turn) {{
entry:
  PAUSE
  %next = add i64 %turn, 1
  %is_early = icmp slt i64 %turn, {PATIENCE}
  br i1 %is_early, label %end, label %look
look:
  {_place("yield", YIELD)}
  %give_way = load ptr, ptr %yield, align 8
  %is_missing = icmp eq ptr %give_way, null
  br i1 %is_missing, label %end, label %yield_now
yield_now:
  %ignored = call i32 %give_way()
  br label %end
end:
  ret i64 %next
}}

define void @share(ptr %team, ptr %function, ptr %record, i64 %count) {{
entry:
  {_place("functions", FUNCTION)}
  {_place("records", RECORD)}
  {_place("ticket", TICKET)}
  {_place("done", DONE)}
  store atomic ptr %function, ptr %functions monotonic, align 8
  store atomic ptr %record, ptr %records monotonic, align 8
  store atomic i64 0, ptr %done monotonic, align 8
  %before = load atomic i64, ptr %ticket monotonic, align 8
  %number = and i64 %before, -4294967296
  %following = add i64 %number, 4294967296
  %fresh = or i64 %following, %count
  store atomic i64 %fresh, ptr %ticket release, align 8
  br label %head
head:
  %own = phi i64 [ 0, %entry ], [ %own, %claim ], [ %more, %work ]
  %seen = load atomic i64, ptr %ticket acquire, align 8
  %stop = and i64 %seen, 65535
  %shifted = lshr i64 %seen, 16
  %first = and i64 %shifted, 65535
  %is_open = icmp ult i64 %first, %stop
  br i1 %is_open, label %claim, label %wait
claim:
  %taken = add i64 %seen, 65536
  %answer = cmpxchg ptr %ticket, i64 %seen, i64 %taken acq_rel monotonic, align 8
  %is_mine = extractvalue {{ i64, i1 }} %answer, 1
  br i1 %is_mine, label %work, label %head
work:
  call void %function(ptr %record, i64 %first)
  %more = add i64 %own, 1
  br label %head
wait:
  %others = sub i64 %count, %own
  br label %look
look:
  %turn = phi i64 [ 0, %wait ], [ %turned, %pause ]
  %finished = load atomic i64, ptr %done acquire, align 8
  %is_over = icmp eq i64 %finished, %others
  br i1 %is_over, label %end, label %pause
pause:
  %turned = call i64 @rest(ptr %team, i64 %turn)
  br label %look
end:
  ret void
}}

define void @help(ptr %team) {{
entry:
  {_place("running", IS_RUNNING)}
  {_place("functions", FUNCTION)}
  {_place("records", RECORD)}
  {_place("ticket", TICKET)}
  {_place("done", DONE)}
  br label %head
head:
  %turn = phi i64 [ 0, %entry ], [ %turn, %claim ], [ 0, %work ], [ %turned, %pause ]
  %seen = load atomic i64, ptr %ticket acquire, align 8
  %stop = and i64 %seen, 65535
  %shifted = lshr i64 %seen, 16
  %first = and i64 %shifted, 65535
  %is_open = icmp ult i64 %first, %stop
  br i1 %is_open, label %claim, label %idle
claim:
  %function = load atomic ptr, ptr %functions monotonic, align 8
  %record = load atomic ptr, ptr %records monotonic, align 8
  %last = sub i64 %stop, 1
  %taken = sub i64 %seen, 1
  %answer = cmpxchg ptr %ticket, i64 %seen, i64 %taken acq_rel monotonic, align 8
  %is_mine = extractvalue {{ i64, i1 }} %answer, 1
  br i1 %is_mine, label %work, label %head
work:
  call void %function(ptr %record, i64 %last)
  %ignored = atomicrmw add ptr %done, i64 1 release, align 8
  br label %head
idle:
  %is_on = load atomic i64, ptr %running monotonic, align 8
  %is_running = icmp ne i64 %is_on, 0
  %endures = icmp slt i64 %turn, {ENDURANCE}
  %stays = and i1 %is_running, %endures
  br i1 %stays, label %pause, label %end
pause:
  %turned = call i64 @rest(ptr %team, i64 %turn)
  br label %head
end:
  ret void
}}
"""
HELP = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@final
class TeamCode:
    """What threads run for each other, in machine code of its own: one for all programs of a host."""

    def __init__(self, host: Host) -> None:
        is_intel = llvm.get_process_triple().partition("-")[0] in ("x86_64", "amd64", "i686", "i386")
        pause = "call void @llvm.x86.sse2.pause()" if is_intel else ""
        declaration = "declare void @llvm.x86.sse2.pause()\n" if is_intel else ""
        self._code = MachineCode(declaration + CODE.replace("PAUSE", pause), host)
        found = self._code.addresses(["share", "help"])
        self.share = found["share"]
        self.help: Callable[[int], None] = HELP(found["help"])
        # Where there is no such function, helpers keep their processor for as long as a run lasts.
        self.give_way: int = llvm.address_of_symbol("sched_yield") or 0


@lru_cache(maxsize=8)
def team_code_of(host: Host) -> TeamCode:
    """The code of a host."""
    return TeamCode(host)


def threads_for(instructions: Sequence[Instruction], chunks: Sequence[int], wanted: int | None) -> int:
    """How many threads may work on a program.

    Args:
        instructions: of the program.
        chunks: of how many each instruction's kernel consists.
        wanted: how many the user wants; None is all cores if that is worth it.
    """
    if max(chunks, default=0) <= 1:
        return 1
    if wanted is None:
        works = [multiplications(each.loop, each.inputs) for each in instructions]
        shared = sum(work for work, count in zip(works, chunks, strict=True) if count > 1)
        # Helpers keep a core busy for as long as a run lasts: that must pay.
        wanted = available_cores() if 2 * shared >= sum(works) else 1
    return min(wanted, available_cores(), max(chunks))


def multiplications(loop: Loop, inputs: Sequence[Operand]) -> int:
    """Those of a contraction, also one of windows; nothing else counts."""
    shapes = [operand.type.shape for operand in inputs]
    if isinstance(loop, Convolve):
        shapes[0] = loop.view.shape
        loop = loop.product
    if not isinstance(loop, Contract):
        return 0
    found = 0
    for first in range(0, len(inputs), 2):
        sizes: dict[int, int] = {}
        for labels, shape in zip((loop.left, loop.right), shapes[first : first + 2], strict=True):
            for label, size in zip(labels, shape, strict=True):
                sizes[label] = max(size, sizes.get(label, 1))
        found += prod(sizes.values())
    return found


class _Helper:
    """One more thread. It must not hold the team: that would keep the team, and so itself, alive for ever."""

    def __init__(self, code: TeamCode, words: Array) -> None:
        self._code, self._words = code, words
        self._gate = threading.Lock()
        self._gate.acquire()
        self._is_dismissed = False
        self.thread = threading.Thread(target=self._work, name="graphflow helper", daemon=True)

    def _work(self) -> None:
        address = self._words.ctypes.data
        while not self._is_dismissed:
            self._gate.acquire()
            if not self._is_dismissed:
                self._code.help(address)

    def wake(self) -> None:
        """Let it into the run, now or as soon as it has come back from the last one."""
        if self._gate.locked():
            with suppress(RuntimeError):  # somebody else has opened the gate in between
                self._gate.release()

    def dismiss(self) -> None:
        """Let it end."""
        self._is_dismissed = True
        self.wake()


@final
class Team:
    """The helpers of one program: `with team:` round each run calls them in.

    They are made by the first run, and end with `close` or with the team.

    Args:
        host: whose code it is.
        helpers: how many there are besides the thread that runs the program.

    Attributes:
        address: what a kernel in chunks finds in the context.
    """

    def __init__(self, host: Host, helpers: int) -> None:
        self._code = team_code_of(host)
        memory = np.zeros(WORDS + 8, np.int64)
        begin = -memory.ctypes.data % 64 // 8
        self._words = memory[begin : begin + WORDS]
        self._words[SHARE], self._words[YIELD] = self._code.share, self._code.give_way
        self.address = int(self._words.ctypes.data)
        self._count = helpers
        self._helpers: list[_Helper] = []
        self._dismissal = weakref.finalize(self, _dismiss, self._helpers)

    def __enter__(self) -> None:
        # Not yet made; or gone, as after a fork. The last one is started last.
        if not self._helpers or not self._helpers[-1].thread.is_alive():
            self._start()
        self._words[IS_RUNNING] = 1
        for helper in self._helpers:
            helper.wake()

    def __exit__(self, *_: object) -> None:
        self._words[IS_RUNNING] = 0

    def close(self, *, is_final: bool = True) -> None:
        """End the helpers, after the chunks that they are at. A run that is under way goes on without them.

        Args:
            is_final: whether to wait for their end; the garbage collector must not, for it may hold what they need.
        """
        self._words[IS_RUNNING] = 0
        self._dismissal()
        for helper in self._helpers if is_final else ():
            if helper.thread.is_alive() and helper.thread is not threading.current_thread():
                helper.thread.join()

    def _start(self) -> None:
        _dismiss(self._helpers)
        self._helpers.clear()
        if not self._dismissal.alive:
            return
        self._helpers += [_Helper(self._code, self._words) for _ in range(self._count)]
        with suppress(RuntimeError):  # where no more threads can be had, those that run must do
            for helper in self._helpers:
                helper.thread.start()
        if not self._dismissal.alive:  # closed in another thread meanwhile
            _dismiss(self._helpers)


def _dismiss(helpers: list[_Helper]) -> None:
    for helper in helpers:
        helper.dismiss()
