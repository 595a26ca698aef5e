"""Letting the model write: one step at a time, each chosen character fed back.

The graph has a single step and lies beside the unrolled one, over the same weights: what a solver does to them is seen
here at once, and nothing is compiled again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, final

import numpy as np
import numpy.typing as npt

import graphflow as gf
from cells import State
from command_line import DivergedError


class Writer(Protocol):
    """What a model needs to write.

    Attributes:
        embedding: a row of it is what a step is given.
        opening: what is fed before each text; may be nothing.
        closing: the symbol after which a text is over; None for none.
        parameters: the weights.
    """

    graph: gf.ExprGraph
    parameters: tuple[gf.Node, ...]
    embedding: gf.nn.Embedding

    @property
    def opening(self) -> tuple[int, ...]: ...

    @property
    def closing(self) -> int | None: ...

    def first_values(self) -> list[npt.NDArray[np.float32]]:
        """What the states are before a text."""

    def predict(self, x: gf.Node, state: State) -> tuple[gf.Node, State]:
        """The logits of what comes after x, and the states after it."""

    def machine(self, outputs: Sequence[gf.Node]) -> gf.TapeMachine:
        """A machine that computes the outputs."""


def distribution(logits: npt.ArrayLike, temperature: float = 1.0, top_k: int | None = None) -> npt.NDArray[np.float64]:
    """p^(1/T), scaled to sum to 1, where p = softmax(logits).

    T = 1 is p itself. A lower T makes the probable ones more probable, and T = 0 is the most probable one alone (the
    first of several); a higher T makes all of them more alike.

    Args:
        logits: [symbols], of any size.
        temperature: T, 0 or more.
        top_k: only so many of the most probable ones are possible (of equals the first); None for all.

    Example:
        >>> distribution([0.0, np.log(3.0)]).round(3).tolist()
        [0.25, 0.75]
        >>> distribution([0.0, np.log(3.0)], 0.5).round(3).tolist()
        [0.1, 0.9]
        >>> distribution([0.0, np.log(2.0), np.log(3.0)], top_k=2).round(3).tolist()
        [0.0, 0.4, 0.6]
    """
    if not temperature >= 0:
        raise ValueError(f"the temperature must be 0 or more, not {temperature!r}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"at least one must be possible, not {top_k!r}")
    below = np.asarray(logits, np.float64)
    below = below - below.max()
    if temperature == 0:
        weights = np.zeros_like(below)
        weights[int(below.argmax())] = 1.0
    else:
        with np.errstate(over="ignore"):  # a tiny T: exp(-infinity) is the 0 that is meant
            weights = np.exp(below / temperature)
    if top_k is not None:
        weights[np.argsort(-below, kind="stable")[top_k:]] = 0.0
    result: npt.NDArray[np.float64] = weights / weights.sum()
    return result


def choose(logits: npt.ArrayLike, temperature: float, generator: np.random.Generator, top_k: int | None = None) -> int:
    """Draw a number from `distribution(logits, temperature, top_k)`; T = 0 does not ask the generator."""
    probabilities = distribution(logits, temperature, top_k)
    if temperature == 0:
        return int(probabilities.argmax())
    return int(generator.choice(len(probabilities), p=probabilities))


@final
class Sampler:
    """Writes with a model.

    Args:
        model: whose weights are used, as they are when it writes.
    """

    def __init__(self, model: Writer) -> None:
        self.model = model
        g = model.graph
        with g.scope("sampling"):
            self.row = model.embedding.row()
            self.state = tuple(gf.vector(g, len(first), init=gf.zeroes()) for first in model.first_values())
            self.logits, after = model.predict(self.row, self.state)
            for before, new in zip(self.state, after, strict=True):
                gf.set_(before, new)  # the machine itself hands the state to the next step
        self.machine = model.machine((self.logits, *after))

    def start(self, prompt: Sequence[int]) -> npt.NDArray[np.float32]:
        """Feed what opens a text and the prompt to a fresh state; the logits of what comes next [symbols]."""
        for state, first in zip(self.state, self.model.first_values(), strict=True):
            gf.let(state, first)
        symbols = (*self.model.opening, *prompt)
        if not symbols:
            raise ValueError("there is nothing to begin with")
        for symbol in symbols:
            logits = self.feed(symbol)
        return logits

    def feed(self, symbol: int) -> npt.NDArray[np.float32]:
        """Feed one symbol; the logits of what comes next [symbols]."""
        gf.unsafe_let(self.row, symbol)
        self.machine.run_all()
        return self.logits.value

    def write(
        self,
        prompt: Sequence[int],
        temperature: float,
        generator: np.random.Generator,
        most: int,
        top_k: int | None = None,
    ) -> list[int]:
        """Continue a prompt up to the model's closing symbol, which is the last number, or up to `most` symbols.

        Args:
            prompt: ids of characters; [] begins a text, where the model knows how.
            temperature: see `distribution`.
            top_k: as well.
            generator: the same one in the same state gives the same text.
            most: where to stop if the end does not come.

        Raises:
            DivergedError: the model's numbers are not finite.
        """
        written: list[int] = []
        logits = self.start(prompt)
        while len(written) < most:
            if not np.isfinite(logits).all():
                raise DivergedError("the model's numbers are not finite: it diverged; try a smaller --learn-rate")
            written.append(choose(logits, temperature, generator, top_k))
            if written[-1] == self.model.closing:
                break
            logits = self.feed(written[-1])
        return written
