"""What is counted while a model trains, and where a run is."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, final


@dataclass
class Totals:
    """Nats over a number of targets that are not BLANK, and the seconds it took to train on them."""

    nats: float = 0.0
    characters: int = 0
    sentences: int = 0
    seconds: float = 0.0

    def add(self, nats: float, characters: int, sentences: int, seconds: float) -> None:
        self.nats += nats
        self.characters += characters
        self.sentences += sentences
        self.seconds += seconds

    @property
    def mean(self) -> float:
        """Nats per character; NaN where there is none."""
        return self.nats / self.characters if self.characters else math.nan

    @property
    def rate(self) -> float:
        """Sentences per second."""
        return self.sentences / self.seconds if self.seconds else 0.0


@final
class Recent:
    """Totals of the latest batches, for a figure that neither jumps nor lags.

    Args:
        sentences: how many at most, if a batch has no more.
    """

    def __init__(self, sentences: int) -> None:
        self.totals = Totals()
        self._most = sentences
        self._batches: deque[tuple[float, int, int, float]] = deque()

    def add(self, nats: float, characters: int, sentences: int, seconds: float) -> None:
        self._batches.append((nats, characters, sentences, seconds))
        self.totals.add(nats, characters, sentences, seconds)
        while self.totals.sentences > self._most and len(self._batches) > 1:
            nats, characters, sentences, seconds = self._batches.popleft()
            self.totals.add(-nats, -characters, -sentences, -seconds)


@dataclass
class Position:
    """Where a run is; all of it goes into the checkpoint.

    Attributes:
        epoch: how many epochs are finished.
        index: how many sentences of the running one are done.
        sentences: how many were done in all.
        running: of the running epoch.
        best, since_best: the lowest held-out loss of an epoch, and how many epochs ago that was.
        history: [sentences, train, held out] of each finished epoch, in nats per character; None for nothing held out.
    """

    epoch: int = 0
    index: int = 0
    sentences: int = 0
    running: Totals = field(default_factory=Totals)
    best: float | None = None
    since_best: int = 0
    history: list[list[float | int | None]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return asdict(self)
