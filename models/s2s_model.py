"""The book's sequence model: an embedding, an LSTM or GRU, a decoder; and the graphs of T steps that train it.

The weights are made once, by `Seq2Seq`. Around them lie two unrolled graphs, which say the same in two ways:
`SentenceGraph` is the book's, vectors and rebindable slices, for one sentence at a time; `BatchGraph` has an axis of
sentences and takes ids. A third one, for sampling, has a single step (`sampling.py`).

What is fed and what is expected, for the sentence "to" and 5 steps:

    step        0      1    2     3      4
    fed         START  t    o     BLANK  BLANK      with soft feedback p[0] @ embedding and so on instead of t and o
    target      t      o    END   BLANK  BLANK
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, final

import numpy as np
import numpy.typing as npt

import graphflow as gf
from cells import BiasInit, Cell, State

Gated = Literal["lstm", "gru"]
Feed = Literal["soft", "teacher"]
Batch = Sequence[Sequence[int]]


@final
class Seq2Seq:
    """The weights and what one step does with them.

    Args:
        symbols: V, the size of the vocabulary; START, END and BLANK are its numbers 0, 1 and 2.
        embedding, hidden: sizes.
        cell: `lstm` (states hidden and cell) or `gru` (state hidden).
        bias_init: `zero`, or `chrono` for gates that remember for up to `steps` steps.
        steps: T, of the graphs.
        seed: of the first weights.
        backend, threads: of the machines that run it: "auto", "numpy" or "native"; None leaves the threads to them.

    Attributes:
        parameters: what a solver steps: the cell's, the embedding [V, embedding], the decoder [V, hidden].
        opening, closing: what is fed before a text, and the character after which it is over.
    """

    START, END, BLANK = 0, 1, 2
    opening = (START,)
    closing = END

    def __init__(
        self,
        symbols: int,
        *,
        embedding: int = 20,
        hidden: int = 100,
        cell: Gated = "lstm",
        bias_init: BiasInit = "zero",
        steps: int = 30,
        seed: int = 0,
        backend: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.symbols, self.hidden, self.steps = symbols, hidden, steps
        self.backend, self.threads = backend, threads
        self.graph = g = gf.ExprGraph("s2s", seed=seed)
        longest = steps if bias_init == "chrono" else None
        self.cell = Cell(g, cell, embedding, hidden, longest=longest)
        self.embedding = gf.nn.Embedding(g, symbols, embedding)
        self.decoder = gf.nn.Linear(g, hidden, symbols, bias=False, name="decoder")
        self.parameters: tuple[gf.Node, ...] = (
            *self.cell.parameters,
            *self.embedding.parameters,
            *self.decoder.parameters,
        )

    @property
    def states(self) -> int:
        """How many vectors [hidden] are handed from step to step."""
        return self.cell.states

    def first_state(self, *batch: int) -> State:
        """Zeros, [hidden] or [batch, hidden]."""
        return (gf.constant(self.graph, np.zeros((*batch, self.hidden), np.float32), name="zeros"),) * self.states

    def step(self, x: gf.Node, state: State) -> State:
        """One step of the cell: x [embedding] or [batch, embedding]; the hidden state comes first in the result."""
        return self.cell(x, state)

    def predict(self, x: gf.Node, state: State) -> tuple[gf.Node, State]:
        """One step as `step`; the logits of what comes next, and the states after it."""
        after = self.step(x, state)
        return self.decoder(after[0]), after

    def first_values(self) -> list[npt.NDArray[np.float32]]:
        """What the states are before a sentence: zeros."""
        return [np.zeros(self.hidden, np.float32)] * self.states

    def machine(self, outputs: Sequence[gf.Node], *, is_watching: bool = False) -> gf.TapeMachine:
        """A machine that computes the outputs and what they need; if it is watching, it stops at NaN and infinity."""
        return gf.TapeMachine(
            self.graph,
            outputs=outputs,
            backend=self.backend,
            watch_nan=is_watching,
            watch_inf=is_watching,
            threads=self.threads,
        )


def characters_in(sentences: Batch) -> int:
    """How many targets are not BLANK: each character and the END."""
    return sum(len(ids) + 1 for ids in sentences)


class Unrolled(ABC):
    """T steps of the model with a loss for each, and the gradients of their sum.

    Args:
        model: whose weights are used.
        feed: what step t is given: the true character before it (`teacher`), or all characters weighted by the
            probabilities that step t - 1 gave them (`soft`).
        counts_blank: whether steps beyond the sentence's end, whose target is BLANK, count in the cost.
        is_training: without it there are no gradients: for measuring.

    Attributes:
        losses: [T] or [T, batch], -log p[target] in nats.
        cost: the sum over the steps that count, the mean over the sentences.
        others: what else is computed.
        machine: runs all of it.
        trains_many: whether several batches are trained on in less time than one by one.
    """

    losses: gf.Node
    cost: gf.Node
    trains_many: bool
    others: tuple[gf.Node, ...] = ()

    def __init__(self, model: Seq2Seq, feed: Feed, *, counts_blank: bool, is_training: bool) -> None:
        self.model, self.feed, self.counts_blank = model, feed, counts_blank
        self.build()
        self.outputs = (self.cost, self.losses, *self.others)
        if is_training:
            self.outputs += gf.grad(self.cost, *model.parameters)
        self.machine = model.machine(self.outputs)

    @abstractmethod
    def build(self) -> None:
        """Make the nodes."""

    @abstractmethod
    def bind(self, sentences: Sequence[Sequence[int]]) -> None:
        """Say which sentences the next run is about: ids of 1 to T - 1 characters each."""

    def run(self, sentences: Sequence[Sequence[int]]) -> tuple[float, int]:
        """Bind and run.

        Returns:
            the sum of the losses over the targets that are not BLANK, in nats, and how many these are.
        """
        self.bind(sentences)
        self.machine.run_all()
        return self.nats_of(sentences), characters_in(sentences)

    def nats_of(self, sentences: Batch) -> float:
        """The sum of the latest run's losses over the targets of these sentences that are not BLANK, in nats."""
        losses = self.losses.value.reshape(self.model.steps, -1)
        return sum(float(losses[: len(ids) + 1, column].sum(dtype=np.float64)) for column, ids in enumerate(sentences))

    @abstractmethod
    def train(self, batches: Sequence[Batch], solver: gf.Solver) -> list[float]:
        """Run each batch, and step the solver after it.

        Returns:
            the nats of each, as `run` gives them. One that is not a finite number is the last, and its step is not
            taken.
        """

    def fed_and_targets(self, sentence: Sequence[int]) -> tuple[list[int], list[int]]:
        """The characters fed and expected at each step; see the table at the head of this file."""
        count = len(sentence)
        if not 1 <= count < self.model.steps:
            raise ValueError(f"a sentence needs 1 to {self.model.steps - 1} characters, not {count}")
        rest = [self.model.BLANK] * (self.model.steps - count - 1)
        return [self.model.START, *sentence, *rest], [*sentence, self.model.END, *rest]


@final
class SentenceGraph(Unrolled):
    """The book's graph: one sentence, and nothing but slice positions changes from one to the next."""

    trains_many = True

    def build(self) -> None:
        model, g = self.model, self.model.graph
        table, steps = model.embedding.table, model.steps
        # Row n says which steps a sentence of n characters has, END included; which row it is, is rebound.
        self.within = gf.constant(g, np.tri(steps, dtype=bool), name="within")[0]
        blank = table[model.BLANK]
        state = model.first_state()
        self.rows: list[gf.Node] = []
        self.picked: list[gf.Node] = []
        losses: list[gf.Node] = []
        probabilities = None
        for t in range(steps):
            with g.step(t):
                if probabilities is None or self.feed == "teacher":
                    x = table[model.START]
                    self.rows.append(x)
                else:
                    x = gf.where(self.within[t], probabilities @ table, blank)
                state = model.step(x, state)
                probabilities = gf.softmax(model.decoder(state[0]))
                self.picked.append(probabilities[model.BLANK])  # sliced before the logarithm: one number, not V
                losses.append(-gf.log(self.picked[-1]))
        self.losses = gf.stack(losses)
        self.nats = self.losses @ gf.cast(self.within, gf.float32)
        self.cost = gf.sum(self.losses) if self.counts_blank else self.nats
        self.others = (self.nats,)
        self.slots = (self.within, *self.rows, *self.picked)

    def bind(self, sentences: Sequence[Sequence[int]]) -> None:
        (sentence,) = sentences
        gf.unsafe_let_all(self.slots, self.positions(sentence))

    def positions(self, sentence: Sequence[int]) -> list[int]:
        """Where the slots stand for a sentence."""
        fed, targets = self.fed_and_targets(sentence)
        return [len(sentence), *fed[: len(self.rows)], *targets]

    def train(self, batches: Sequence[Batch], solver: gf.Solver) -> list[float]:
        positions = [self.positions(sentence) for (sentence,) in batches]
        nats = self.machine.run_over(self.slots, positions, solver, record=self.nats, stop_unless_finite=True)
        return [float(each) for each in nats]


@final
class BatchGraph(Unrolled):
    """The same with a leading axis of sentences: ids and weights are inputs, losses come from the logits at once.

    Args:
        batch: how many sentences at most; where fewer are bound, the others weigh nothing.
    """

    trains_many = False

    def __init__(self, model: Seq2Seq, feed: Feed, *, counts_blank: bool, is_training: bool, batch: int) -> None:
        self.batch = batch
        super().__init__(model, feed, counts_blank=counts_blank, is_training=is_training)

    def build(self) -> None:
        model, g = self.model, self.model.graph
        table, size = model.embedding.table, (model.steps, self.batch)
        self.fed = gf.tensor(g, size, dtype=gf.int64, name="fed")
        self.targets = gf.tensor(g, size, dtype=gf.int64, name="targets")
        self.weights = gf.tensor(g, size, name="weights")
        rows = model.embedding(self.fed)
        state = model.first_state(self.batch)
        hidden: list[gf.Node] = []
        for t in range(model.steps):
            with g.step(t):
                x = rows[t]
                if t > 0 and self.feed == "soft":
                    soft = gf.softmax(model.decoder(hidden[-1])) @ table
                    x = gf.where(gf.expand_dims(gf.eq(self.fed[t], model.BLANK), 1), x, soft)
                state = model.step(x, state)
                hidden.append(state[0])
        logits = model.decoder(gf.reshape(gf.stack(hidden), (-1, model.hidden)))
        self.losses = gf.reshape(gf.softmax_cross_entropy(logits, gf.ravel(self.targets)), size)
        self.cost = gf.sum(self.losses * self.weights)

    def bind(self, sentences: Sequence[Sequence[int]]) -> None:
        fed = np.full((self.model.steps, self.batch), self.model.BLANK, np.int64)
        targets = fed.copy()
        weights = np.zeros(fed.shape, np.float32)
        for column, sentence in enumerate(sentences):
            fed[:, column], targets[:, column] = self.fed_and_targets(sentence)
            counted = self.model.steps if self.counts_blank else len(sentence) + 1
            weights[:counted, column] = 1 / len(sentences)
        gf.let(self.fed, fed)
        gf.let(self.targets, targets)
        gf.let(self.weights, weights)

    def train(self, batches: Sequence[Batch], solver: gf.Solver) -> list[float]:
        found: list[float] = []
        for sentences in batches:
            nats, _ = self.run(sentences)
            found.append(nats)
            if not math.isfinite(nats):
                break
            solver.step(self.model.parameters)
        return found
