"""When a run ends: limits, and the user's Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, Self, final

SAME_SIGNAL = 1.0  # seconds


@final
class Interruption(AbstractContextManager["Interruption"]):
    """Ctrl-C and SIGTERM set `signal`, so that the batch can be finished; a second one ends the program at once.

    One that follows within a second is the same one: a wrapper such as `timeout` hands on what the terminal has sent to
    all.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.signal: int | None = None
        self._now, self._noted_at = now, 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal, self._noted_at = number, self._now()
        elif self._now() - self._noted_at > SAME_SIGNAL:
            raise KeyboardInterrupt


@dataclass(frozen=True)
class Limits:
    """When a run ends: after so many epochs, seconds of this process, or epochs without a better held-out loss."""

    epochs: int
    seconds: float | None = None
    patience: int | None = None


@final
class Clock:
    """Says when it is time again.

    Args:
        interval: seconds; 0 is always time.
    """

    def __init__(self, interval: float, now: Callable[[], float] = time.monotonic) -> None:
        self.interval, self.now = interval, now
        self.last = now()

    def is_due(self) -> bool:
        return self.now() - self.last >= self.interval

    def restart(self) -> None:
        self.last = self.now()
