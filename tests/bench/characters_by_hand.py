"""W2 and W3 by hand in numpy: the reference in float64, and a peer in float32.

The projection of the inputs, the decoder and all gradients of weights are products over all steps at once; only the
recurrent product is done step by step. Folded, the embedding is multiplied by the input weights once for each symbol
and the rows are looked up afterwards: less arithmetic where there are fewer symbols than steps x batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from tests.bench.book_by_hand import views
from tests.bench.contender import Array, Arrays

SYMBOLS, SIZE, LEARN_RATE = 65, 512, 0.05
BATCH = {"W2": 16, "W3": 32}
STEPS = {"W2": 25, "W3": 16}
GATES = {"W2": ("input", "forget", "candidate", "output"), "W3": ("gate",)}
WINDOWS = 4  # in a block of work


def first_weights(workload: str) -> Arrays:
    """The gates stacked: wx and wh [gates * SIZE, SIZE]; float32."""
    random = np.random.default_rng(1)
    rows = len(GATES[workload]) * SIZE
    shapes = {
        "embedding": (SYMBOLS, SIZE),
        "wx": (rows, SIZE),
        "wh": (rows, SIZE),
        "bias": (rows,),
        "decoder": (SYMBOLS, SIZE),
    }
    return {name: (random.normal(size=shape) * SIZE**-0.5).astype(np.float32) for name, shape in shapes.items()}


def first_state(workload: str) -> tuple[Array, ...]:
    """Hidden (and cell) [BATCH, SIZE]; not zero, so that the check sees them."""
    random = np.random.default_rng(2)
    count = 2 if workload == "W2" else 1
    return tuple((random.normal(size=(BATCH[workload], SIZE)) * 0.1).astype(np.float32) for _ in range(count))


def windows(workload: str, ids: Array | None) -> tuple[Array, Array]:
    """Symbols and targets, each int64 [WINDOWS, STEPS, BATCH]: streams of text, shifted by one for the targets."""
    batch, length = BATCH[workload], WINDOWS * STEPS[workload]
    if ids is None:
        text = np.random.default_rng(0).integers(0, SYMBOLS, batch * (length + 1))
    else:
        text = np.resize(ids % SYMBOLS, batch * (length + 1))
    streams = text.reshape(batch, length + 1).T
    shape = (WINDOWS, STEPS[workload], batch)
    return streams[:-1].reshape(shape).copy(), streams[1:].reshape(shape).copy()


class Characters(ABC):
    """What both cells share."""

    def __init__(self, workload: str, dtype: type, *, is_folded: bool) -> None:
        weights = first_weights(workload)
        count = sum(array.size for array in weights.values())
        self.block, self.slope = np.zeros(count, dtype), np.zeros(count, dtype)
        self.weights, self.gradients = views(self.block, weights), views(self.slope, weights)
        for name, array in weights.items():
            self.weights[name][...] = array
        self.steps, self.batch, self.is_folded = STEPS[workload], BATCH[workload], is_folded
        self.tokens = self.steps * self.batch
        self.rows = np.arange(self.tokens)
        self.hs = np.zeros((self.steps + 1, self.batch, SIZE), dtype)
        self.z = np.empty((self.steps, self.batch, len(weights["bias"])), dtype)
        self.product = np.empty(self.z.shape[1:], dtype)
        self.dz = np.empty_like(self.z)
        self.start([each.astype(dtype) for each in first_state(workload)])

    def window(self, ids: Array, targets: Array) -> float:
        """Forward and backward over one window: the cost, the sum over steps of the mean over the batch."""
        w = self.weights
        ids, targets = ids.ravel(), targets.ravel()
        flat = self.z.reshape(self.tokens, -1)
        if self.is_folded:
            table = w["embedding"] @ w["wx"].T
            table += w["bias"]
            np.take(table, ids, 0, out=flat)
        else:
            x = w["embedding"][ids]
            np.dot(x, w["wx"].T, out=flat)
            flat += w["bias"]
        for t in range(self.steps):
            np.dot(self.hs[t], w["wh"].T, out=self.product)
            self.z[t] += self.product
            self.cell(t)
        hidden = self.hs[1:].reshape(self.tokens, SIZE)
        logits = hidden @ w["decoder"].T
        logits -= logits.max(1, keepdims=True)
        p = np.exp(logits)
        totals = p.sum(1, keepdims=True)
        cost = float(np.log(totals).sum() - logits[self.rows, targets].sum()) / self.batch
        p /= totals
        p[self.rows, targets] -= 1
        p /= self.batch
        np.dot(p.T, hidden, out=self.gradients["decoder"])
        self.backward(p @ w["decoder"])
        one_hot = (ids == np.arange(SYMBOLS)[:, None]).astype(p.dtype)
        self.input_gradients(one_hot, None if self.is_folded else x)
        return cost

    def backward(self, from_decoder: Array) -> None:
        """From the gradients of all hidden states to dz and what follows from it."""
        from_decoder = from_decoder.reshape(self.steps, self.batch, SIZE)
        self.begin_backward()
        dh = np.zeros((self.batch, SIZE), from_decoder.dtype)
        for t in reversed(range(self.steps)):
            dh += from_decoder[t]
            self.cell_backward(t, dh)
            np.dot(self.dz[t], self.weights["wh"], out=dh)
        dz = self.dz.reshape(self.tokens, -1)
        np.dot(dz.T, self.hs[:-1].reshape(self.tokens, SIZE), out=self.gradients["wh"])
        np.sum(dz, 0, out=self.gradients["bias"])

    def input_gradients(self, one_hot: Array, x: Array | None) -> None:
        """Rows are added up by a product with [SYMBOLS, tokens] of zeros and ones, quicker than np.add.at."""
        w, gradients, dz = self.weights, self.gradients, self.dz.reshape(self.tokens, -1)
        if x is None:
            by_symbol = one_hot @ dz
            np.dot(by_symbol.T, w["embedding"], out=gradients["wx"])
            np.dot(by_symbol, w["wx"], out=gradients["embedding"])
        else:
            np.dot(dz.T, x, out=gradients["wx"])
            np.dot(one_hot, dz @ w["wx"], out=gradients["embedding"])

    def update(self) -> None:
        """Gradient descent over the whole block; the gradients are used up."""
        self.slope *= LEARN_RATE
        self.block -= self.slope

    def start(self, state: list[Array]) -> None:
        """Set the state before the first step."""
        self.hs[0] = state[0]

    def carry(self) -> None:
        """The last state of this window is the first of the next."""
        self.hs[0] = self.hs[-1]

    @abstractmethod
    def cell(self, t: int) -> None: ...

    @abstractmethod
    def begin_backward(self) -> None: ...

    @abstractmethod
    def cell_backward(self, t: int, dh: Array) -> None: ...


class RNN(Characters):
    """h' = sigmoid(z)."""

    def cell(self, t: int) -> None:
        h = np.multiply(self.z[t], 0.5, out=self.hs[t + 1])
        np.tanh(h, out=h)
        h *= 0.5
        h += 0.5

    def begin_backward(self) -> None:
        h = self.hs[1:]
        np.multiply(h, 1 - h, out=self.z)

    def cell_backward(self, t: int, dh: Array) -> None:
        np.multiply(dh, self.z[t], out=self.dz[t])


class LSTM(Characters):
    """Gates in the order input, forget, candidate, output."""

    def start(self, state: list[Array]) -> None:
        self.hs[0] = state[0]
        self.cs = np.zeros_like(self.hs)
        self.cs[0] = state[1]
        self.tanh_c = np.empty_like(self.hs[1:])
        is_candidate = np.repeat([False, False, True, False], SIZE)
        # sigmoid(z) = tanh(z / 2) / 2 + 1/2, so one tanh does for all four gates.
        self.scale = np.where(is_candidate, 1, 0.5).astype(self.hs.dtype)
        self.shift = np.where(is_candidate, 0, 0.5).astype(self.hs.dtype)

    def carry(self) -> None:
        super().carry()
        self.cs[0] = self.cs[-1]

    def gates(self) -> Array:
        """[4, STEPS, BATCH, SIZE], a view."""
        return self.z.reshape(self.steps, self.batch, 4, SIZE).transpose(2, 0, 1, 3)

    def cell(self, t: int) -> None:
        z, c = self.z[t], self.cs[t + 1]
        z *= self.scale
        np.tanh(z, out=z)
        z *= self.scale
        z += self.shift
        i, f, g, o = self.gates()[:, t]
        np.multiply(f, self.cs[t], out=c)
        c += i * g
        np.tanh(c, out=self.tanh_c[t])
        np.multiply(o, self.tanh_c[t], out=self.hs[t + 1])

    def begin_backward(self) -> None:
        self.dc = np.zeros((self.batch, SIZE), self.z.dtype)

    def cell_backward(self, t: int, dh: Array) -> None:
        # Step by step, because all of it at once would no longer fit into the cache.
        i, f, g, o = self.gates()[:, t]
        tanh_c, dz = self.tanh_c[t], self.dz[t].reshape(self.batch, 4, SIZE)
        self.dc += dh * o * (1 - tanh_c * tanh_c)
        np.multiply(self.dc * g, i * (1 - i), out=dz[:, 0])
        np.multiply(self.dc * self.cs[t], f * (1 - f), out=dz[:, 1])
        np.multiply(self.dc * i, 1 - g * g, out=dz[:, 2])
        np.multiply(dh * tanh_c, o * (1 - o), out=dz[:, 3])
        self.dc *= f


CELLS = {"W2": LSTM, "W3": RNN}


def answer(workload: str, ids: Array | None, dtype: type = np.float64, *, is_folded: bool = False) -> Arrays:
    """The cost and the gradients at the first weights, for the first window."""
    given, targets = windows(workload, ids)
    network = CELLS[workload](workload, dtype, is_folded=is_folded)
    cost = network.window(given[0], targets[0])
    return {"cost": np.asarray(cost), **network.gradients}
