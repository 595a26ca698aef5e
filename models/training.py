"""Training: what a run of any of the programs is, and the loop that trains until a limit is reached.

What is trained on lies in items (sentences or windows of text), which an epoch takes once each.
"""

from __future__ import annotations

import math
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, final

import numpy as np

import graphflow as gf
from command_line import DivergedError
from figures import Position, Recent, Totals
from options import Chosen
from sampling import Sampler
from sharing import Sharing
from stopping import Interruption, Limits
from vocabulary import Vocabulary

AT_ONCE = 0.05  # seconds between two looks at the limits and the user's signals


class Data(Protocol):
    """What a run learns from; `notes` say what was left out and how it was divided, one line each."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def notes(self) -> tuple[str, ...]: ...


class Model(Protocol):
    """Weights, and machines over them."""

    @property
    def parameters(self) -> tuple[gf.Node, ...]: ...

    def machine(self, outputs: Sequence[gf.Node], *, is_watching: bool = False) -> gf.TapeMachine:
        """A machine that computes the outputs; if it is watching, it stops at NaN and infinity."""


class Graph(Protocol):
    """What trains: what it computes, and whether several batches take less time together than one by one."""

    @property
    def outputs(self) -> Sequence[gf.Node]: ...

    @property
    def trains_many(self) -> bool: ...


class Evaluator(Protocol):
    """What measures."""

    def measure(self) -> float | None:
        """Nats per character of what is held out; None where nothing is."""


class Training(ABC):
    """A run: model, solver, data, and where it is.

    Args:
        data, chosen, model: what it learns from, how, and what learns.
        sharing: with whom.
        total: how many items an epoch has.
        recent: over how many of the latest items figures are taken.

    Attributes:
        unit: what an item is.
        counts_characters: whether its speed is told in characters, not items, per second.
        reports_epochs: whether each epoch is reported, however short it is.
        graph, evaluator, sampler: three graphs over the model's weights: to train, to measure, to write.
        recent: of the latest batches, at most an epoch's.
    """

    unit: ClassVar[str]
    counts_characters: ClassVar[bool]
    reports_epochs: bool = False
    data: Data
    chosen: Chosen
    model: Model
    graph: Graph
    evaluator: Evaluator
    sampler: Sampler

    def __init__(self, data: Data, chosen: Chosen, model: Model, sharing: Sharing, *, total: int, recent: int) -> None:
        self.data, self.chosen, self.model, self.sharing, self.total = data, chosen, model, sharing, total
        self.solver = chosen.make_solver()
        self.position = Position()
        self.recent = Recent(min(recent, total))

    # --- what the programs say ----------------------------------------------------------------------------------------

    @abstractmethod
    def begin_epoch(self) -> None:
        """Prepare for the epoch that begins."""

    @abstractmethod
    def step(self, most: int = 1) -> int:
        """Train on the next batches of the epoch; how many it did.

        Args:
            most: how many at most.

        Raises:
            DivergedError: a loss is not a finite number; the weights are as they were when it was found.
        """

    @abstractmethod
    def write_sample(self, temperature: float, generator: np.random.Generator, top_k: int | None) -> list[int]:
        """Symbols to show while it trains."""

    @abstractmethod
    def describe(self) -> list[str]:
        """The model and what trains it, one line each."""

    @abstractmethod
    def own_state(self) -> dict[str, Any]:
        """For the checkpoint: what this run needs to go on, besides weights, solver and position. All processes ask."""

    @abstractmethod
    def check_state(self, position: Position, state: dict[str, Any]) -> None:
        """Refuse a position or state that does not fit this run.

        Raises:
            DataError: saying what it is.
        """

    @abstractmethod
    def resume_state(self, state: dict[str, Any]) -> None:
        """Take over what `own_state` gave and `check_state` found right."""

    # --- what is the same for all -------------------------------------------------------------------------------------

    def resume(self, position: Position, state: dict[str, Any]) -> None:
        """Go to where a saved run was; weights and solver are restored from the checkpoint itself."""
        self.position = position
        self.resume_state(state)

    @property
    def weights(self) -> int:
        """How many the model has."""
        return sum(math.prod(parameter.shape) for parameter in self.model.parameters)

    @property
    def is_epoch_done(self) -> bool:
        return self.position.index >= self.total

    def count(self, nats: float, characters: int, items: int, seconds: float) -> None:
        """Note that so much has been trained on.

        Raises:
            DivergedError: the loss is not a finite number.
        """
        if not math.isfinite(nats):
            raise self.sharing.diverged(self.explain_divergence)
        self.position.index += items
        self.position.items += items
        for totals in (self.position.running, self.recent):
            totals.add(nats, characters, items, seconds)

    def close_epoch(self) -> tuple[Totals, float | None]:
        """End the epoch and begin the next; the totals of the one that ended, and the held-out loss after it.

        Raises:
            DivergedError: the held-out loss is not a finite number; nothing has changed.
        """
        position, held_out = self.position, self.measure_for_all()
        if held_out is not None and not math.isfinite(held_out):
            done = f"{position.items:,} {self.unit}"
            raise DivergedError(f"the held-out loss is {held_out} after {done}: it diverged")
        ended, position.running = position.running, Totals()
        position.epoch, position.index = position.epoch + 1, 0
        position.history.append([position.items, ended.mean, held_out])
        if held_out is not None:
            is_better = position.best is None or held_out < position.best
            position.best = held_out if is_better else position.best
            position.since_best = 0 if is_better else position.since_best + 1
        self.begin_epoch()
        return ended, held_out

    def measure_for_all(self) -> float | None:
        """The held-out loss: rank 0 measures, and all go by its figure."""

        def measured() -> bytes:
            found = self.evaluator.measure()
            return b"" if found is None else struct.pack("<d", found)

        found = self.sharing.group.share(measured)
        return struct.unpack("<d", found)[0] if found else None

    def rate(self, totals: Totals) -> float:
        """Items or characters per second."""
        return totals.rate(totals.characters if self.counts_characters else totals.items)

    def check_weights(self) -> None:
        """Look at all weights: done before they are saved, and before they write.

        Raises:
            DivergedError: one is not a finite number; the step that made it so had a finite loss.
        """
        if not all(bool(np.isfinite(parameter.value).all()) for parameter in self.model.parameters):
            raise DivergedError(self.explain_divergence())

    def explain_divergence(self) -> str:
        """Run the same items once more, watching: which node was the first that is not a finite number."""
        watching = self.model.machine(self.graph.outputs, is_watching=True)
        what, where = "a loss that is not a finite number", ""
        try:
            watching.run_all()
        except gf.NumericalError as error:
            what, where = error.headline, f", made at {error.where}" if error.where else ""
        done = f"{self.position.items:,} {self.unit}"
        return f"training diverged after {done}: {what}{where}; try a smaller --learn-rate, or --clip"


class Observer(ABC):
    """What is told of a run."""

    @property
    def saves_now(self) -> bool:
        """Whether it is time to save."""
        return False

    def save(self) -> None:  # noqa: B027 - an observer need not save
        """Save the run; called on all processes together when the first says `saves_now`."""

    @abstractmethod
    def batch(self) -> None:
        """After each batch, or several in a row, that does not end an epoch."""

    @abstractmethod
    def epoch(self, ended: Totals, held_out: float | None) -> None:
        """After each epoch; the next one has begun."""

    @abstractmethod
    def stopped(self, why: str) -> None:
        """At the end."""


@final
class Follower(Observer):
    """On all processes but the first: takes part in saving, and says nothing.

    Args:
        training: the run.
        saves: whether it is saved at all.
    """

    def __init__(self, training: Training, *, saves: bool) -> None:
        self.training, self.saves = training, saves

    def save(self) -> None:
        if self.saves:
            self.training.own_state()

    def batch(self) -> None:
        pass

    def epoch(self, ended: Totals, held_out: float | None) -> None:
        pass

    def stopped(self, why: str) -> None:
        self.save()


def run(training: Training, limits: Limits, observer: Observer, interruption: Interruption) -> None:
    """Train until a limit is reached or the user interrupts, on all processes at the same batch.

    Raises:
        DivergedError: the loss is not a finite number.
    """
    began = time.monotonic()
    most = 1
    group = training.sharing.group
    while True:
        why = _why_stop(training, limits, interruption, time.monotonic() - began)
        if group.size > 1:
            why, most, saves = _agreed(group, why, most, observer.saves_now)
        else:
            saves = observer.saves_now
        if saves:
            observer.save()
        if why is not None:
            break
        before = time.perf_counter()
        done = training.step(most)
        if training.graph.trains_many:
            most = max(1, min(2 * most, int(done * AT_ONCE / (time.perf_counter() - before))))
        if training.is_epoch_done:
            training.check_weights()
            observer.epoch(*training.close_epoch())
        else:
            observer.batch()
    observer.stopped(why)


def _agreed(group: gf.parallel.Group, why: str | None, most: int, saves: bool) -> tuple[str | None, int, bool]:
    """Whether to stop, as soon as one process says so; how many batches, and whether to save, as the first says."""
    mine = (float(most), float(saves)) if group.is_first else (0.0, 0.0)
    stops, batches, saving = group.sums(float(why is not None), *mine)
    return (why or "another process was interrupted") if stops else None, int(batches), bool(saving)


def _why_stop(training: Training, limits: Limits, interruption: Interruption, seconds: float) -> str | None:
    position = training.position
    if interruption.signal is not None:
        return "interrupted"
    if position.epoch >= limits.epochs:
        return f"{limits.epochs:,} epochs are done"
    if limits.seconds is not None and seconds >= limits.seconds:
        return f"{limits.seconds:g} seconds are over"
    if limits.patience is not None and position.since_best >= limits.patience:
        return f"the held-out loss has not fallen for {limits.patience} epochs"
    return None
