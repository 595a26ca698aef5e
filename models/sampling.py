"""Letting the model write: one step at a time, each chosen character fed back, until END.

The graph has a single step and lies beside the unrolled one, over the same weights: what a solver does to them is seen
here at once, and nothing is compiled again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import numpy.typing as npt

import graphflow as gf
from command_line import DivergedError
from s2s_model import Seq2Seq


def distribution(logits: npt.ArrayLike, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """p^(1/T), scaled to sum to 1, where p = softmax(logits).

    T = 1 is p itself. A lower T makes the probable ones more probable, and T = 0 is the most probable one alone (the
    first of several); a higher T makes all of them more alike.

    Args:
        logits: [symbols], of any size.
        temperature: T, 0 or more.

    Example:
        >>> distribution([0.0, np.log(3.0)]).round(3).tolist()
        [0.25, 0.75]
        >>> distribution([0.0, np.log(3.0)], 0.5).round(3).tolist()
        [0.1, 0.9]
    """
    if not temperature >= 0:
        raise ValueError(f"the temperature must be 0 or more, not {temperature!r}")
    below = np.asarray(logits, np.float64)
    below = below - below.max()
    if temperature == 0:
        weights = np.zeros_like(below)
        weights[int(below.argmax())] = 1.0
    else:
        with np.errstate(over="ignore"):  # a tiny T: exp(-infinity) is the 0 that is meant
            weights = np.exp(below / temperature)
    result: npt.NDArray[np.float64] = weights / weights.sum()
    return result


def choose(logits: npt.ArrayLike, temperature: float, generator: np.random.Generator) -> int:
    """Draw a number from `distribution(logits, temperature)`; T = 0 does not ask the generator."""
    probabilities = distribution(logits, temperature)
    if temperature == 0:
        return int(probabilities.argmax())
    return int(generator.choice(len(probabilities), p=probabilities))


@final
class Sampler:
    """Writes with a model.

    Args:
        model: whose weights are used, as they are when it writes.
    """

    def __init__(self, model: Seq2Seq) -> None:
        self.model = model
        g = model.graph
        with g.scope("sampling"):
            self.row = model.embedding.row(model.START)
            self.state = tuple(gf.vector(g, model.hidden, init=gf.zeroes()) for _ in range(model.states))
            after = model.step(self.row, self.state)
            self.logits = model.decoder(after[0])
            for before, new in zip(self.state, after, strict=True):
                gf.set_(before, new)  # the machine itself hands the state to the next step
        self.machine = model.machine((self.logits, *after))

    def start(self, prompt: Sequence[int]) -> npt.NDArray[np.float32]:
        """Feed START and the prompt to a fresh state; the logits of what comes next [symbols]."""
        for state in self.state:
            gf.let(state, np.zeros(self.model.hidden, np.float32))
        logits = self.feed(self.model.START)
        for symbol in prompt:
            logits = self.feed(symbol)
        return logits

    def feed(self, symbol: int) -> npt.NDArray[np.float32]:
        """Feed one symbol; the logits of what comes next [symbols]."""
        gf.unsafe_let(self.row, symbol)
        self.machine.run_all()
        return self.logits.value

    def write(self, prompt: Sequence[int], temperature: float, generator: np.random.Generator, most: int) -> list[int]:
        """Continue a prompt up to END, which is the last number, or up to `most` symbols.

        Args:
            prompt: ids of characters; [] begins a sentence.
            temperature: see `distribution`.
            generator: the same one in the same state gives the same text.
            most: where to stop if END does not come.

        Raises:
            DivergedError: the model's numbers are not finite.
        """
        written: list[int] = []
        logits = self.start(prompt)
        while len(written) < most:
            if not np.isfinite(logits).all():
                raise DivergedError("the model's numbers are not finite: it diverged; try a smaller --learn-rate")
            written.append(choose(logits, temperature, generator))
            if written[-1] == self.model.END:
                break
            logits = self.feed(written[-1])
        return written
