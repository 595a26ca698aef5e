"""Tasks that ask what a recurrent network remembers: copying after a delay, adding two marked numbers, lines of text.

A task makes its graph around a cell, and draws batches for it. What is fed and expected, for `CopyTask(delay=4,
count=2)` and the letters b and d, a dot for the blank and a question mark for the sign to answer:

    step        0  1  2  3  4  5
    fed         b  d  .  .  ?  .
    expected                b  d
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

import graphflow as gf
from cells import State
from corpus import Corpus, fit_sentences, hold_out
from recurrent import Recurrent
from seeds import HELD_OUT, generator_for
from vocabulary import Vocabulary

Array = npt.NDArray[Any]
MakeCell = Callable[[gf.ExprGraph, int], Recurrent]


@dataclass(frozen=True)
class Network:
    """An unrolled graph.

    Attributes:
        inputs: what `Task.draw` gives values for, in its order.
        cost: the mean loss, in the task's unit.
        states: after each step.
        parameters: what a solver steps.
    """

    inputs: tuple[gf.Node, ...]
    cost: gf.Node
    states: Sequence[State]
    parameters: tuple[gf.Node, ...]

    def bind(self, values: Sequence[Array]) -> None:
        """Give the inputs the values of a batch."""
        for node, value in zip(self.inputs, values, strict=True):
            gf.let(node, value)


class Task(ABC):
    """What is to be learnt.

    Attributes:
        name: of the kind of task.
        unit: of its loss.
        delay: over how many steps something must be remembered at most.
        steps: of the graph.
        knowing_nothing: the loss of the best answer that looks at nothing; None where that is not known.
    """

    name: str
    unit: str
    delay: int
    steps: int
    knowing_nothing: float | None

    @abstractmethod
    def build(self, g: gf.ExprGraph, make_cell: MakeCell, batch: int) -> Network:
        """Make the graph for batches of this size; `make_cell` takes the graph and the size of what is fed."""

    @abstractmethod
    def draw(self, generator: np.random.Generator, batch: int, *, is_test: bool = False) -> tuple[Array, ...]:
        """The values of a batch; for tests out of what is held back from the training, where anything is."""


@final
class CopyTask(Task):
    """Say again, `delay` steps later, the symbols that were fed.

    Args:
        delay: steps between a symbol and its answer, at least count.
        count: how many symbols are fed in a row.
        symbols: out of how many different ones.

    Source: Hochreiter and Schmidhuber 1997; in this form Arjovsky, Shah and Bengio 2016. There the blanks are
    expected too, and count in the loss; here the answers alone do.
    """

    name, unit = "copy", "nats per symbol"

    def __init__(self, delay: int, count: int = 5, symbols: int = 8) -> None:
        if not 1 <= count <= delay:
            raise ValueError(f"{count} symbols are not over when the first is asked for after {delay} steps")
        self.delay, self.count, self.symbols = delay, count, symbols
        self.blank, self.sign = symbols, symbols + 1
        self.steps = delay + count
        self.knowing_nothing: float | None = math.log(symbols)

    def build(self, g: gf.ExprGraph, make_cell: MakeCell, batch: int) -> Network:
        fed = gf.tensor(g, (self.steps, batch), dtype=gf.int64, name="fed")
        expected = gf.tensor(g, (self.count, batch), dtype=gf.int64, name="expected")
        embedding = gf.nn.Embedding(g, self.symbols + 2, self.symbols)
        cell = make_cell(g, self.symbols)
        decoder = gf.nn.Linear(g, cell.hidden, self.symbols, name="decoder")
        states = cell.unroll(embedding(fed), self.steps)
        cost = gf.mean(losses_of(decoder, states[self.delay :], expected))
        parameters = (*embedding.parameters, *cell.parameters, *decoder.parameters)
        return Network((fed, expected), cost, states, parameters)

    def draw(self, generator: np.random.Generator, batch: int, *, is_test: bool = False) -> tuple[Array, ...]:
        """Fed [steps, batch] and expected [count, batch]."""
        expected = generator.integers(self.symbols, size=(self.count, batch))
        fed = np.full((self.steps, batch), self.blank)
        fed[: self.count] = expected
        fed[self.delay] = self.sign
        return fed, expected


@final
class AddingTask(Task):
    """Numbers from 0 to 1, one of the first half and one of the second are marked: their sum at the end.

    Args:
        delay: the steps, 2 or more; the mark in the first half lies so many steps back at most.

    Source: Hochreiter and Schmidhuber 1997.
    """

    name, unit = "adding", "squared error"

    def __init__(self, delay: int) -> None:
        if delay < 2:
            raise ValueError(f"two numbers do not fit into {delay} steps")
        self.delay = self.steps = delay
        self.knowing_nothing: float | None = 1 / 6  # the variance of the sum, whose mean is 1

    def build(self, g: gf.ExprGraph, make_cell: MakeCell, batch: int) -> Network:
        fed = gf.tensor(g, (self.steps, batch, 2), name="fed")
        expected = gf.tensor(g, (batch, 1), name="expected")
        cell = make_cell(g, 2)
        decoder = gf.nn.Linear(g, cell.hidden, 1, name="decoder")
        states = cell.unroll(fed, self.steps)
        cost = gf.mean(gf.square(decoder(states[-1][0]) - expected))
        return Network((fed, expected), cost, states, (*cell.parameters, *decoder.parameters))

    def draw(self, generator: np.random.Generator, batch: int, *, is_test: bool = False) -> tuple[Array, ...]:
        """Fed [steps, batch, 2], a number and whether it is marked, and expected [batch, 1]."""
        numbers = generator.uniform(size=(self.steps, batch))
        marks = np.zeros((self.steps, batch))
        half, columns = self.steps // 2, np.arange(batch)
        marks[generator.integers(half, size=batch), columns] = 1
        marks[generator.integers(half, self.steps, size=batch), columns] = 1
        expected = (numbers * marks).sum(axis=0)
        return np.stack([numbers, marks], axis=2).astype(np.float32), expected[:, None].astype(np.float32)


@final
class TextTask(Task):
    """The lines of a text, each character after the ones before it, up to its end.

    Args:
        corpus: whose lines are cut between words where they do not fit.
        steps: of the graph: a piece has at most steps - 1 characters.
        seed: which pieces are held out; a twentieth, at most 1,000.

    Raises:
        DataError: the corpus is too small.
    """

    name, unit = "text", "nats per character"

    def __init__(self, corpus: Corpus, steps: int = 30, seed: int = 0) -> None:
        pieces, _ = fit_sentences(corpus.lines, steps)
        self.vocabulary = Vocabulary.from_text(pieces)
        share = min(0.05, 1000 / len(pieces))
        parts = hold_out(pieces, share, generator_for(seed, HELD_OUT))
        self.train, self.held_out = ([self.vocabulary.encode(piece) for piece in part] for part in parts)
        self.delay = self.steps = steps
        self.knowing_nothing: float | None = None

    def build(self, g: gf.ExprGraph, make_cell: MakeCell, batch: int) -> Network:
        size, symbols = (self.steps, batch), len(self.vocabulary)
        fed = gf.tensor(g, size, dtype=gf.int64, name="fed")
        expected = gf.tensor(g, size, dtype=gf.int64, name="expected")
        weights = gf.tensor(g, size, name="weights")
        embedding = gf.nn.Embedding(g, symbols, 20)
        cell = make_cell(g, 20)
        decoder = gf.nn.Linear(g, cell.hidden, symbols, name="decoder")
        states = cell.unroll(embedding(fed), self.steps)
        cost = gf.sum(losses_of(decoder, states, expected) * gf.ravel(weights))
        parameters = (*embedding.parameters, *cell.parameters, *decoder.parameters)
        return Network((fed, expected, weights), cost, states, parameters)

    def draw(self, generator: np.random.Generator, batch: int, *, is_test: bool = False) -> tuple[Array, ...]:
        """Fed and expected [steps, batch], and the weights [steps, batch], which are 0 beyond the end and sum to 1."""
        pieces = self.held_out if is_test else self.train
        fed = np.full((self.steps, batch), self.vocabulary.blank)
        expected, weights = fed.copy(), np.zeros((self.steps, batch), np.float32)
        fed[0] = self.vocabulary.start
        for column, number in enumerate(generator.integers(len(pieces), size=batch)):
            piece = pieces[number]
            end = len(piece)
            fed[1 : end + 1, column] = expected[:end, column] = piece
            expected[end, column] = self.vocabulary.end
            weights[: end + 1, column] = 1
        return fed, expected, weights / weights.sum()


def losses_of(decoder: gf.nn.Linear, states: Sequence[State], expected: gf.Node) -> gf.Node:
    """-log p[expected], in the order of steps and then columns.

    Args:
        decoder: from hidden to symbols.
        states: of the steps that answer, hidden [batch, hidden] first in each.
        expected: int64 [steps, batch].
    """
    hidden = gf.stack([state[0] for state in states])
    logits = decoder(gf.reshape(hidden, (-1, hidden.shape[-1])))
    return gf.softmax_cross_entropy(logits, gf.ravel(expected))
