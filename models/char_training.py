"""Training the character model: window after window, the state carried from one to the next."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, final

import numpy as np

import graphflow as gf
from char_data import CharData
from char_model import CharModel, Ids, States, WindowGraph, cut_windows
from char_options import Hyperparameters
from command_line import DivergedError, UsageError
from figures import Position, Totals
from sampling import Sampler
from sharing import Sharing
from training import Training
from vocabulary import DataError, Vocabulary

RECENT = 100  # windows
SAMPLE = 70  # characters, as in the book


@final
class CharTraining(Training):
    """A run of `char_lm_train.py`. Its streams go to the parts of a batch by turns.

    Attributes:
        states: of each own part, what the states are before its next window; used where there are several parts.
        steps: windows in all, where there are several parts.
        first_rate: the learning rate of the first epoch.
    """

    unit = "windows"
    counts_characters = True
    data: CharData
    chosen: Hyperparameters
    model: CharModel

    def __init__(
        self, data: CharData, chosen: Hyperparameters, backend: str = "auto", sharing: Sharing | None = None
    ) -> None:
        sharing = sharing or Sharing(gf.parallel.Alone())
        if chosen.batch % sharing.parts:
            raise UsageError(
                f"--batch {chosen.batch}: so many streams cannot be divided evenly among {sharing.parts} parts"
            )
        model = CharModel(len(data.vocabulary), chosen, backend, sharing.threads)
        given, targets = cut_windows(data.train, chosen.batch, chosen.bptt)
        super().__init__(data, chosen, model, sharing, total=len(given), recent=RECENT)
        # The windows of one own part after those of another: a position says which.
        given, targets = (
            np.concatenate([text[:, :, part :: sharing.parts] for part in sharing.own]) for text in (given, targets)
        )
        self.reports_epochs = chosen.preset != "minute"
        self.sampler = Sampler(model)
        self.evaluator = TextEvaluator(model, data.held_out)
        self.graph: WindowGraph = WindowGraph(model, given, targets, is_training=True)
        self.steps = 0
        self.decay = chosen.decay_for(self.total * chosen.bptt * chosen.batch)
        self.first_rate = self.solver.learn_rate
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """At the beginning of the text there is nothing to remember; the learning rate is the epoch's."""
        self.graph.forget()
        self.states: list[States] = [self.graph.states_now()] * len(self.sharing.own)
        self.solver.learn_rate = self.first_rate * self.decay**self.position.epoch

    def step(self, most: int = 1) -> int:
        index = self.position.index
        windows = range(index, min(index + most, self.total))
        began = time.perf_counter()
        if self.sharing.is_whole:
            losses = self.graph.run(index, len(windows), self.solver)
        else:
            losses = self.train_shared(windows)
        seconds = (time.perf_counter() - began) / len(losses)
        for nats in losses:
            self.count(nats, self.chosen.bptt * self.chosen.batch, 1, seconds)
        return len(losses)

    def train_shared(self, windows: Sequence[int]) -> list[float]:
        """What `WindowGraph.run` does, in parts; the nats of each window."""
        found: list[float] = []
        for self._window in windows:
            self._after: list[States] = []
            found.append(self.sharing.step(self._bind, self._nats, self.solver))
            if not math.isfinite(found[-1]):
                self._bind(self._bound)  # from the states before the window: what was wrong can be seen once more
                break
            self.states, self.steps = self._after, self.steps + 1
        return found

    def _bind(self, part: int) -> float:
        """Prepare for the running window of a part; what its gradient is to be multiplied by."""
        self._bound, which = part, part - self.sharing.own.start
        self.graph.bind(which * self.total + self._window, self.states[which])
        # Random numbers are those of the part, whichever process it runs on.
        self.graph.machine.runs = self.steps * self.sharing.parts + part
        return 1.0 if self.chosen.loss == "sum" else 1 / self.sharing.parts

    def _nats(self, part: int) -> float:
        """Of a part's window, after its run."""
        self._after.append(self.graph.states_now())
        return float(self.graph.nats.value)

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
        if self.sharing.is_whole:
            return {"state": self.graph.states_now(), "runs": self.graph.machine.runs}
        # Each process fills in the streams of its parts, the others add zeros.
        whole = [np.zeros((self.chosen.batch, self.chosen.hidden), np.float32) for _ in self.chosen.state_names]
        for part, states in zip(self.sharing.own, self.states, strict=True):
            for all_streams, state in zip(whole, states, strict=True):
                all_streams[part :: self.sharing.parts] = state
        for all_streams in whole:
            self.sharing.group.add(all_streams)
        return {"state": whole, "runs": self.steps}

    def check_state(self, position: Position, state: dict[str, Any]) -> None:
        wanted = [(self.chosen.batch, self.chosen.hidden)] * len(self.chosen.state_names)
        found = [
            each.shape if isinstance(each, np.ndarray) and each.dtype == np.float32 else None for each in state["state"]
        ]
        if found != wanted or state["runs"] < 0:
            raise DataError("no hidden state of this model")

    def resume_state(self, state: dict[str, Any]) -> None:
        self.begin_epoch()
        self.graph.machine.runs = self.steps = state["runs"]
        self.states = [[each[part :: self.sharing.parts] for each in state["state"]] for part in self.sharing.own]
        self.graph.begin_with(self.states[0])


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
