"""The character language model: an embedding, layers of RNN, LSTM or GRU, a decoder; and the graph of a window.

The text is read as `batch` streams side by side, window by window of `bptt` steps, as in Grokking Deep Learning. What
is fed and expected at step t of window w, in stream b, is `given[w, t, b]` and `targets[w, t, b]`, which is the
character after it. The states after a window are the states before the next one; gradients stop between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import numpy.typing as npt

import graphflow as gf
from cells import Cell, State
from char_options import Hyperparameters

Ids = npt.NDArray[np.int64]
States = Sequence[npt.NDArray[np.float32]]


@final
class CharModel:
    """The weights and what one step does with them.

    Args:
        symbols: V, the size of the vocabulary.
        chosen: sizes, cell and first weights.
        backend: of the machines that run it: "auto", "numpy" or "native".
        threads: of the machines; None leaves it to them.

    Attributes:
        parameters: what a solver steps: each layer's, the embedding [V, embedding], the decoder [V, hidden] and [V].
        decoder: [V, hidden]: the embedding's table where it is tied.
        opening, closing: running text has neither.
    """

    opening = ()
    closing = None

    def __init__(
        self, symbols: int, chosen: Hyperparameters, backend: str = "auto", threads: int | None = None
    ) -> None:
        self.chosen, self.backend, self.threads = chosen, backend, threads
        self.graph = g = gf.ExprGraph("char_lm", seed=chosen.seed)
        size, hidden, is_he = chosen.embedding, chosen.hidden, chosen.weights == "he"
        self.cells = [
            Cell(
                g,
                chosen.cell,
                size if layer == 1 else hidden,
                hidden,
                name=f"{chosen.cell}{layer}",
                activation=chosen.activation,
                init=gf.he_n() if is_he else None,
                longest=max(chosen.bptt, 2) if chosen.bias_init == "chrono" else None,
            )
            for layer in range(1, chosen.layers + 1)
        ]
        first = gf.uniform_init(-0.5 / size, 0.5 / size) if is_he else None
        self.embedding = gf.nn.Embedding(g, symbols, size, init=first)
        parameters = [parameter for cell in self.cells for parameter in cell.parameters]
        parameters += self.embedding.parameters
        if chosen.tied:
            self.decoder = self.embedding.table
        else:
            init = gf.zeroes() if chosen.decoder_init == "zero" else gf.he_n() if is_he else gf.glorot_n()
            self.decoder = gf.matrix(g, (symbols, hidden), name="decoder.w", init=init)
            parameters.append(self.decoder)
        self.bias: gf.Node | None = None
        if chosen.decoder_bias:
            self.bias = gf.vector(g, symbols, name="decoder.b", init=gf.zeroes())
            parameters.append(self.bias)
        self.parameters: tuple[gf.Node, ...] = tuple(parameters)

    def first_values(self) -> list[npt.NDArray[np.float32]]:
        """What the states are before a text, [hidden] each."""
        first = np.zeros(self.chosen.hidden, np.float32)
        first[0] = self.chosen.first_state == "one"
        return [first] * len(self.chosen.state_names)

    def predict(self, x: gf.Node, state: State, dropout: float = 0.0) -> tuple[gf.Node, State]:
        """One step of all layers.

        Args:
            x: [embedding] or [batch, embedding].
            state: of all layers, as `Hyperparameters.state_names` has them.
            dropout: of what each layer hands upwards.

        Returns:
            the logits of what comes next, [V] or [batch, V], and the states after the step.
        """
        after: list[gf.Node] = []
        for cell in self.cells:
            new = cell(x, state[len(after) : len(after) + cell.states])
            after.extend(new)
            x = gf.dropout(new[0], dropout)
        logits = self.decoder @ x if x.is_vector else x @ self.decoder.T
        return logits if self.bias is None else logits + self.bias, tuple(after)

    def machine(self, outputs: Sequence[gf.Node], *, is_watching: bool = False) -> gf.TapeMachine:
        """A machine that computes the outputs and what they need; if it is watching, it stops at NaN and infinity."""
        return gf.TapeMachine(
            self.graph,
            outputs=outputs,
            backend=self.backend,
            watch_nan=is_watching,
            watch_inf=is_watching,
            seed=self.chosen.seed,
            threads=self.threads,
        )


def cut_windows(ids: Ids, batch: int, bptt: int) -> tuple[Ids, Ids]:
    """Cut a text into streams, and these into windows.

    Args:
        ids: [n], at least batch * (bptt + 1).
        batch: how many streams; what is left over at the end of the text is left out.
        bptt: steps of a window; what is left over at the end of each stream is left out.

    Returns:
        what is fed and what is expected, [windows, bptt, batch] each.

    Example:
        >>> given, targets = cut_windows(np.arange(12), 2, 2)
        >>> given.tolist(), targets.tolist()
        ([[[0, 6], [1, 7]], [[2, 8], [3, 9]]], [[[1, 7], [2, 8]], [[3, 9], [4, 10]]])
    """
    length = len(ids) // batch
    streams = ids[: length * batch].reshape(batch, length).T
    windows = (length - 1) // bptt
    shape = (windows, bptt, batch)
    return streams[: windows * bptt].reshape(shape), streams[1 : windows * bptt + 1].reshape(shape)


@final
class WindowGraph:
    """A window of the model with a loss at each step; built and compiled once, for all windows of a text.

    Which window it is, is a position in the whole text: of ids and targets alike. The states are inputs, which a run
    leaves as they are to be for the next window.

    Args:
        model: whose weights are used.
        given, targets: see `cut_windows`.
        is_training: without it there are no gradients and no dropout: for measuring.

    Attributes:
        nats: the sum of all losses, -log p[target].
        cost: what gradients are of.
        state: [batch, hidden] each, before the window.
        outputs: all that is computed.
    """

    trains_many = True

    def __init__(self, model: CharModel, given: Ids, targets: Ids, *, is_training: bool) -> None:
        self.model, self.windows = model, len(given)
        self.shape = given.shape[1:]
        g, chosen = model.graph, model.chosen
        steps, batch = self.shape
        with g.scope("training" if is_training else "measuring"):
            texts = [gf.tensor(g, each.shape, dtype=gf.int64, value=each) for each in (given, targets)]
            self.slots = tuple(text[0] for text in texts)
            ids, expected = self.slots
            self.state = tuple(gf.matrix(g, (batch, chosen.hidden), init=gf.zeroes()) for _ in chosen.state_names)
            state, losses = self.state, []
            for t in range(steps):
                with g.step(t):
                    x = model.embedding(ids[t])
                    logits, state = model.predict(x, state, chosen.dropout if is_training else 0.0)
                    losses.append(gf.softmax_cross_entropy(logits, expected[t]))
            self.losses = gf.stack(losses)
            self.nats = gf.sum(self.losses)
            self.cost = self.nats / {"mean": steps * batch, "steps": batch, "sum": 1}[chosen.loss]
            for before, after in zip(self.state, state, strict=True):
                gf.set_(before, after)  # the machine itself hands the state to the next window
        self.outputs: tuple[gf.Node, ...] = (self.nats, *state)
        if is_training:
            self.outputs += (self.cost, *gf.grad(self.cost, *model.parameters))
        self.machine = model.machine(self.outputs)
        self.forget()

    @property
    def characters(self) -> int:
        """How many targets a window has."""
        return int(np.prod(self.shape))

    def forget(self) -> None:
        """Bring the states to what they are before a text."""
        self.begin_with([np.tile(first, (self.shape[1], 1)) for first in self.model.first_values()])

    def begin_with(self, states: States) -> None:
        """Go on from these states, [batch, hidden] each."""
        for state, value in zip(self.state, states, strict=True):
            gf.let(state, value)

    def states_now(self) -> list[npt.NDArray[np.float32]]:
        """The states before the next window, copied."""
        return [state.value for state in self.state]

    def bind(self, window: int, states: States) -> None:
        """Prepare for a run of one window."""
        gf.unsafe_let_all(self.slots, (window, window))
        self.begin_with(states)

    def run(self, first: int, count: int, solver: gf.Solver | None = None) -> list[float]:
        """Go through some windows, from the states as they are.

        Args:
            first: which is the first.
            count: how many.
            solver: steps the weights after each.

        Returns:
            the nats of each. One that is not a finite number is the last: neither the solver's step nor the states
            after its window are taken.
        """
        positions = [[window, window] for window in range(first, first + count)]
        nats = self.machine.run_over(self.slots, positions, solver, record=self.nats, stop_unless_finite=True)
        return [float(each) for each in nats]
