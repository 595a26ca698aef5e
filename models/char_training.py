"""Training the character model: window after window, the state carried from one to the next."""

from __future__ import annotations

import time
from typing import Any, final

import numpy as np

import graphflow as gf
from char_data import CharData
from char_model import CharModel, Ids, WindowGraph, cut_windows
from char_options import Hyperparameters
from command_line import DivergedError
from figures import Position, Totals
from sampling import Sampler
from training import Training
from vocabulary import DataError, Vocabulary

RECENT = 100  # windows
SAMPLE = 70  # characters, as in the book


@final
class CharTraining(Training):
    """A run of `char_lm_train.py`.

    Attributes:
        rate: the learning rate of the first epoch; None where the solver finds its own.
    """

    unit = "windows"
    counts_characters = True
    data: CharData
    chosen: Hyperparameters
    model: CharModel

    def __init__(self, data: CharData, chosen: Hyperparameters, backend: str = "auto") -> None:
        model = CharModel(len(data.vocabulary), chosen, backend)
        given, targets = cut_windows(data.train, chosen.batch, chosen.bptt)
        super().__init__(data, chosen, model, total=len(given), recent=RECENT)
        self.reports_epochs = chosen.preset != "minute"
        self.sampler = Sampler(model)
        self.evaluator = TextEvaluator(model, data.held_out)
        self.graph: WindowGraph = WindowGraph(model, given, targets, is_training=True)
        self.first_rate = self.solver.learn_rate
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """At the beginning of the text there is nothing to remember; the learning rate is the epoch's."""
        self.graph.forget()
        self.solver.learn_rate = self.first_rate * self.chosen.decay**self.position.epoch

    def step(self, most: int = 1) -> int:
        index = self.position.index
        began = time.perf_counter()
        losses = self.graph.run(index, min(most, self.total - index), self.solver)
        seconds = (time.perf_counter() - began) / len(losses)
        for nats in losses:
            self.count(nats, self.graph.characters, 1, seconds)
        return len(losses)

    def check_weights(self) -> None:
        super().check_weights()
        if not all(bool(np.isfinite(state.value).all()) for state in self.graph.state):
            raise DivergedError(self.explain_divergence())

    def write_sample(self, temperature: float, generator: np.random.Generator, top_k: int | None) -> list[int]:
        return self.sampler.write(first_symbols(self.data.vocabulary), temperature, generator, SAMPLE, top_k)

    def describe(self) -> list[str]:
        chosen = self.chosen
        layers = f"{chosen.layers} layers" if chosen.layers > 1 else "1 layer"
        kind = f"{chosen.activation} rnn" if chosen.cell == "rnn" else chosen.cell
        return [
            f"{layers}, {kind} of {chosen.hidden}, embedding {chosen.embedding}: {self.weights:,} weights",
            f"{self.total:,} windows of {chosen.bptt} steps, batch {chosen.batch}, {self.solver}",
            f"backend {self.graph.machine.backend}",
        ]

    def own_state(self) -> dict[str, Any]:
        return {"state": [state.value for state in self.graph.state], "runs": self.graph.machine.runs}

    def check_state(self, position: Position, state: dict[str, Any]) -> None:
        wanted = [node.shape for node in self.graph.state]
        found = [
            each.shape if isinstance(each, np.ndarray) and each.dtype == np.float32 else None for each in state["state"]
        ]
        if found != wanted or state["runs"] < 0:
            raise DataError("no hidden state of this model")

    def resume_state(self, state: dict[str, Any]) -> None:
        self.begin_epoch()
        self.graph.machine.runs = state["runs"]
        for node, value in zip(self.graph.state, state["state"], strict=True):
            gf.let(node, value)


def first_symbols(vocabulary: Vocabulary) -> list[int]:
    """What is fed where nothing is given to begin with: a newline, or the first character where there is none."""
    return [vocabulary.characters.index("\n") if "\n" in vocabulary.characters else 0]


@final
class TextEvaluator:
    """Measures a text that is not trained on, in streams and windows like those of the training.

    Args:
        model: whose weights are used, as they are when it measures.
        text: ids; where there are none, nothing is measured.
    """

    def __init__(self, model: CharModel, text: Ids) -> None:
        self.graph: WindowGraph | None = None
        if len(text):
            bptt = model.chosen.bptt
            batch = min(model.chosen.batch, len(text) // (bptt + 1))
            self.graph = WindowGraph(model, *cut_windows(text, batch, bptt), is_training=False)

    def measure(self) -> float | None:
        """Nats per character; None where there is no text."""
        if self.graph is None:
            return None
        self.graph.forget()
        totals = Totals()
        for nats in self.graph.run(0, self.graph.windows):
            totals.add(nats, self.graph.characters, 1, 0.0)
        return totals.mean
