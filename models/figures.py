"""What is counted while a model trains, and where a run is."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, final


@dataclass
class Totals:
    """Nats over a number of targets, and the seconds it took to train on them.

    Attributes:
        characters: how many targets, BLANK not counted.
        items: how many sentences or windows these were in.
    """

    nats: float = 0.0
    characters: int = 0
    items: int = 0
    seconds: float = 0.0

    def add(self, nats: float, characters: int, items: int, seconds: float) -> None:
        self.nats += nats
        self.characters += characters
        self.items += items
        self.seconds += seconds

    @property
    def mean(self) -> float:
        """Nats per character; NaN where there is none."""
        return self.nats / self.characters if self.characters else math.nan

    def rate(self, count: int) -> float:
        """So many of something per second."""
        return count / self.seconds if self.seconds else 0.0


@final
class Recent:
    """Totals of the latest batches, for a figure that neither jumps nor lags.

    Args:
        items: how many at most, if a batch has no more.
    """

    def __init__(self, items: int) -> None:
        self.totals = Totals()
        self._most = items
        self._batches: deque[tuple[float, int, int, float]] = deque()

    def add(self, nats: float, characters: int, items: int, seconds: float) -> None:
        self._batches.append((nats, characters, items, seconds))
        self.totals.add(nats, characters, items, seconds)
        while self.totals.items > self._most and len(self._batches) > 1:
            nats, characters, items, seconds = self._batches.popleft()
            self.totals.add(-nats, -characters, -items, -seconds)


@dataclass
class Position:
    """Where a run is; all of it goes into the checkpoint.

    Attributes:
        epoch: how many epochs are finished.
        index: how many items (sentences or windows) of the running one are done.
        items: how many were done in all.
        running: of the running epoch.
        best, since_best: the lowest held-out loss of an epoch, and how many epochs ago that was.
        history: [items, train, held out] of each finished epoch, in nats per character; None for nothing held out.
    """

    epoch: int = 0
    index: int = 0
    items: int = 0
    running: Totals = field(default_factory=Totals)
    best: float | None = None
    since_best: int = 0
    history: list[list[float | int | None]] = field(default_factory=list)

    def as_dict(self, unit: str) -> dict[str, Any]:
        """For the checkpoint, where items have the name of what they are."""
        found = asdict(self)
        found["running"] = _renamed(found["running"], "items", unit)
        return _renamed(found, "items", unit)

    @classmethod
    def from_dict(cls, saved: dict[str, Any], unit: str) -> Position:
        """From what `as_dict` gave."""
        running = Totals(**_renamed(saved["running"], unit, "items"))
        return cls(**_renamed(saved | {"running": running}, unit, "items"))


def _renamed(members: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if name == old else name: value for name, value in members.items()}
