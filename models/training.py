"""Training: one batch after another, in an order that a saved run finds again; and measuring."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import numpy as np

import graphflow as gf
from command_line import DivergedError
from figures import Position, Recent, Totals
from options import Hyperparameters
from s2s_data import ORDER, Data, generator_for
from s2s_model import BatchGraph, SentenceGraph, Seq2Seq, Unrolled, characters_in
from sampling import Sampler
from stopping import Interruption, Limits

MEASURED_AT_ONCE = 100
RECENT = 2000  # sentences
AT_ONCE = 0.05  # seconds between two looks at the limits and the user's signals


def build_graph(model: Seq2Seq, chosen: Hyperparameters) -> Unrolled:
    """The graph that trains: the book's for one sentence, with a batch axis for more."""
    counts_blank = chosen.padding == "counted"
    if chosen.batch == 1:
        return SentenceGraph(model, chosen.feed, counts_blank=counts_blank, is_training=True)
    return BatchGraph(model, chosen.feed, counts_blank=counts_blank, is_training=True, batch=chosen.batch)


def build_model(symbols: int, chosen: Hyperparameters, backend: str = "auto") -> Seq2Seq:
    """The weights that a run begins with."""
    return Seq2Seq(
        symbols,
        embedding=chosen.embedding,
        hidden=chosen.hidden,
        cell=chosen.cell,
        bias_init=chosen.bias_init,
        steps=chosen.max_sentence,
        seed=chosen.seed,
        backend=backend,
    )


@final
class Training:
    """A run: model, solver, data, and where it is.

    Attributes:
        graph, evaluator, sampler: three graphs over the model's weights: to train, to measure, to write.
        recent: of the latest batches, at most an epoch's.
        order_state: of the generator, as it was before the running epoch's order was drawn.
    """

    def __init__(self, data: Data, chosen: Hyperparameters, backend: str = "auto") -> None:
        self.data, self.chosen = data, chosen
        self.solver = chosen.make_solver()
        self.model = build_model(len(data.vocabulary), chosen, backend)
        self.sampler = Sampler(self.model)
        self.evaluator = Evaluator(self.model, chosen, data.held_out)
        self.graph = build_graph(self.model, chosen)
        self.position = Position()
        self.recent = Recent(min(RECENT, len(data.train)))
        self.generator = generator_for(chosen.seed, ORDER)
        self.draw_order()

    def draw_order(self) -> None:
        """Shuffle the sentences for the epoch that begins."""
        self.order_state: dict[str, Any] = dict(self.generator.bit_generator.state)
        self.order = self.generator.permutation(len(self.data.train))

    def resume(self, position: Position, order_state: dict[str, Any]) -> None:
        """Go to where a saved run was; weights and solver are restored from the checkpoint itself."""
        self.generator.bit_generator.state = order_state
        self.draw_order()
        self.position = position

    @property
    def is_epoch_done(self) -> bool:
        return self.position.index >= len(self.data.train)

    def step(self, most: int = 1) -> int:
        """Train on the next batches of the epoch; how many it did.

        Args:
            most: how many at most.

        Raises:
            DivergedError: a loss is not a finite number; the weights are as they were when it was found.
        """
        position, size = self.position, self.chosen.batch
        end = min(position.index + most * size, len(self.data.train))
        batches = [
            [self.data.train[i] for i in self.order[start : min(start + size, end)]]
            for start in range(position.index, end, size)
        ]
        began = time.perf_counter()
        losses = self.graph.train(batches, self.solver)
        seconds = (time.perf_counter() - began) / len(losses)
        for nats, batch in zip(losses, batches, strict=False):
            if not math.isfinite(nats):
                raise DivergedError(self.explain_divergence())
            position.index += len(batch)
            position.sentences += len(batch)
            for totals in (position.running, self.recent):
                totals.add(nats, characters_in(batch), len(batch), seconds)
        return len(losses)

    def close_epoch(self) -> tuple[Totals, float | None]:
        """End the epoch and begin the next; the totals of the one that ended, and the held-out loss after it.

        Raises:
            DivergedError: the held-out loss is not a finite number; nothing has changed.
        """
        position, held_out = self.position, self.evaluator.measure()
        if held_out is not None and not math.isfinite(held_out):
            raise DivergedError(f"the held-out loss is {held_out} after {position.sentences:,} sentences: it diverged")
        ended, position.running = position.running, Totals()
        position.epoch, position.index = position.epoch + 1, 0
        position.history.append([position.sentences, ended.mean, held_out])
        if held_out is not None:
            is_better = position.best is None or held_out < position.best
            position.best = held_out if is_better else position.best
            position.since_best = 0 if is_better else position.since_best + 1
        self.draw_order()
        return ended, held_out

    def check_weights(self) -> None:
        """Look at all weights: done before they are saved, and before they write.

        Raises:
            DivergedError: one is not a finite number; the step that made it so had a finite loss.
        """
        if not all(bool(np.isfinite(parameter.value).all()) for parameter in self.model.parameters):
            raise DivergedError(self.explain_divergence())

    def explain_divergence(self) -> str:
        """Run the same sentences once more, watching: which node was the first that is not a finite number."""
        watching = self.model.machine(self.graph.outputs, is_watching=True)
        what, where = "a loss that is not a finite number", ""
        try:
            watching.run_all()
        except gf.NumericalError as error:
            what, where = error.headline, f", made at {error.where}" if error.where else ""
        done = f"{self.position.sentences:,} sentences"
        return f"training diverged after {done}: {what}{where}; try a smaller --learn-rate, or --clip"


@final
class Evaluator:
    """Measures sentences that are not trained on, with the same feed.

    Args:
        model: whose weights are used, as they are when it measures.
        chosen: its feed.
        sentences: all are measured; where there are none, so is nothing.
    """

    def __init__(self, model: Seq2Seq, chosen: Hyperparameters, sentences: Sequence[Sequence[int]]) -> None:
        self.sentences = sentences
        self.graph: BatchGraph | None = None
        if sentences:
            size = min(len(sentences), MEASURED_AT_ONCE)
            self.graph = BatchGraph(model, chosen.feed, counts_blank=False, is_training=False, batch=size)

    def measure(self) -> float | None:
        """Nats per character over all targets that are not BLANK; None where there are no sentences."""
        if self.graph is None:
            return None
        totals = Totals()
        for at in range(0, len(self.sentences), self.graph.batch):
            part = self.sentences[at : at + self.graph.batch]
            totals.add(*self.graph.run(part), len(part), 0.0)
        return totals.mean


class Observer(ABC):
    """What is told of a run."""

    @abstractmethod
    def batch(self) -> None:
        """After each batch, or several in a row, that does not end an epoch."""

    @abstractmethod
    def epoch(self, ended: Totals, held_out: float | None) -> None:
        """After each epoch; the next one has begun."""

    @abstractmethod
    def stopped(self, why: str) -> None:
        """At the end."""


def run(training: Training, limits: Limits, observer: Observer, interruption: Interruption) -> None:
    """Train until a limit is reached or the user interrupts.

    Raises:
        DivergedError: the loss is not a finite number.
    """
    began = time.monotonic()
    most = 1
    while (why := _why_stop(training, limits, interruption, time.monotonic() - began)) is None:
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
