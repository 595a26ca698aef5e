"""Training the sequence model: one batch of sentences after another, in an order that a saved run finds again."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, final

import numpy as np

import graphflow as gf
from figures import Position, Totals
from s2s_data import Data
from s2s_model import Batch, BatchGraph, SentenceGraph, Seq2Seq, Unrolled, characters_in
from s2s_options import Hyperparameters
from sampling import Sampler
from seeds import ORDER, generator_for
from sharing import Sharing
from training import Training
from vocabulary import DataError

MEASURED_AT_ONCE = 100
RECENT = 2000  # sentences


def build_graph(model: Seq2Seq, chosen: Hyperparameters, batch: int) -> Unrolled:
    """The graph that trains: the book's for one sentence, with a batch axis for more."""
    counts_blank = chosen.padding == "counted"
    if batch == 1:
        return SentenceGraph(model, chosen.feed, counts_blank=counts_blank, is_training=True)
    return BatchGraph(model, chosen.feed, counts_blank=counts_blank, is_training=True, batch=batch)


def build_model(symbols: int, chosen: Hyperparameters, backend: str = "auto", threads: int | None = None) -> Seq2Seq:
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
        threads=threads,
    )


@final
class SentenceTraining(Training):
    """A run of `s2s_train.py`.

    Attributes:
        batch: sentences for one step of the solver: as chosen, or one for each part where that is more.
        order_state: of the generator, as it was before the running epoch's order was drawn.
    """

    unit = "sentences"
    counts_characters = False
    data: Data
    chosen: Hyperparameters
    model: Seq2Seq

    def __init__(
        self, data: Data, chosen: Hyperparameters, backend: str = "auto", sharing: Sharing | None = None
    ) -> None:
        sharing = sharing or Sharing(gf.parallel.Alone())
        model = build_model(len(data.vocabulary), chosen, backend, sharing.threads)
        super().__init__(data, chosen, model, sharing, total=len(data.train), recent=RECENT)
        self.batch = max(chosen.batch, sharing.parts)
        self.sampler = Sampler(model)
        self.evaluator = SentenceEvaluator(model, chosen, data.held_out)
        self.graph: Unrolled = build_graph(model, chosen, math.ceil(self.batch / sharing.parts))
        self.generator = generator_for(chosen.seed, ORDER)
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Shuffle the sentences for the epoch that begins."""
        self.order_state: dict[str, Any] = dict(self.generator.bit_generator.state)
        self.order = self.generator.permutation(len(self.data.train))

    def step(self, most: int = 1) -> int:
        position, size = self.position, self.batch
        end = min(position.index + most * size, len(self.data.train))
        batches = [
            [self.data.train[i] for i in self.order[start : min(start + size, end)]]
            for start in range(position.index, end, size)
        ]
        began = time.perf_counter()
        losses = self.graph.train(batches, self.solver) if self.sharing.is_whole else self.train_shared(batches)
        seconds = (time.perf_counter() - began) / len(losses)
        for nats, batch in zip(losses, batches, strict=False):
            self.count(nats, characters_in(batch), len(batch), seconds)
        return len(losses)

    def train_shared(self, batches: Sequence[Batch]) -> list[float]:
        """What `Unrolled.train` does, in parts; the nats of each batch."""
        found: list[float] = []
        for batch in batches:
            parts = [batch[part :: self.sharing.parts] for part in range(self.sharing.parts)]

            def bind(part: int, parts: Sequence[Batch] = parts, size: int = len(batch)) -> float:
                self.graph.bind(parts[part] or parts[0])
                return len(parts[part]) / size

            def nats(part: int, parts: Sequence[Batch] = parts) -> float:
                return self.graph.nats_of(parts[part])

            found.append(self.sharing.step(bind, nats, self.solver))
            if not math.isfinite(found[-1]):
                break
        return found

    def write_sample(self, temperature: float, generator: np.random.Generator, top_k: int | None) -> list[int]:
        return self.sampler.write([], temperature, generator, self.chosen.max_sentence, top_k)

    def describe(self) -> list[str]:
        chosen = self.chosen
        return [
            f"{chosen.cell} of {chosen.hidden}, embedding {chosen.embedding}: {self.weights:,} weights",
            f"{chosen.max_sentence} steps, {chosen.feed} feed, batch {self.batch}, {self.solver}",
            f"backend {self.graph.machine.backend}",
        ]

    def own_state(self) -> dict[str, Any]:
        return {"order": self.order_state}

    def check_state(self, position: Position, state: dict[str, Any]) -> None:
        if position.index % self.chosen.batch:
            raise DataError(f"position {position.index} in an epoch of {self.total} sentences")
        try:
            generator_for(0, ORDER).bit_generator.state = state["order"]
        except (TypeError, ValueError, KeyError, OverflowError):
            raise DataError("no generator state under 'order'") from None

    def resume_state(self, state: dict[str, Any]) -> None:
        self.generator.bit_generator.state = state["order"]
        self.begin_epoch()


@final
class SentenceEvaluator:
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
