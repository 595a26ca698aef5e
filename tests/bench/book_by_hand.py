"""W1, W1g, W1f by hand in numpy: the reference in float64, and a peer in float32.

The peer is written as an expert would: the gates of all steps stacked into one matrix on [x; h], buffers made once,
sigmoids through one tanh over all gates, gradients of weights as one product over time, one update over the flat block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from tests.bench.contender import Array, Arrays

STEPS, SYMBOLS, EMBEDDING, HIDDEN = 30, 65, 20, 100
LEARN_RATE, RHO, EPSILON, L2, CLIP = 0.01, 0.999, 1e-8, 1e-6, 5.0
GATES = {"lstm": ("input", "forget", "candidate", "output"), "gru": ("update", "reset", "memory")}
ROWS = 100  # sentences in a block of work


def first_weights(cell: str) -> Arrays:
    """The gates stacked on [x; h] as [gates * hidden, embedding + hidden], and the rest; float32."""
    random = np.random.default_rng(1)
    stacked = len(GATES[cell]) * HIDDEN
    shapes = {
        "gates": (stacked, EMBEDDING + HIDDEN),
        "bias": (stacked,),
        "embedding": (SYMBOLS, EMBEDDING),
        "decoder": (SYMBOLS, HIDDEN),
    }
    return {name: (random.normal(size=shape) * 0.1).astype(np.float32) for name, shape in shapes.items()}


def sentences(ids: Array | None) -> Array:
    """[ROWS, 1 + STEPS] int64: the first symbol and the targets; random without a text, times do not depend on it."""
    if ids is None:
        return np.random.default_rng(0).integers(0, SYMBOLS, (ROWS, STEPS + 1))
    return np.resize(ids % SYMBOLS, (ROWS, STEPS + 1)).astype(np.int64)


class Book(ABC):
    """What both cells share: the parameters in one block, the decoder, the soft feedback, the loss and RMSProp."""

    def __init__(self, weights: Arrays, dtype: type) -> None:
        count = sum(array.size for array in weights.values())
        self.block, self.slope, self.mean_square = (np.zeros(count, dtype) for _ in range(3))
        self.work = np.empty((2, count), dtype)
        self.weights, self.gradients = views(self.block, weights), views(self.slope, weights)
        for name, array in weights.items():
            self.weights[name][...] = array
        rows = len(weights["bias"])
        self.xh = np.zeros((STEPS + 1, EMBEDDING + HIDDEN), dtype)
        self.h = self.xh[:, EMBEDDING:]
        self.z = np.empty((STEPS, rows), dtype)
        self.dz = np.empty((STEPS, rows), dtype)
        self.dx = np.empty((STEPS, EMBEDDING), dtype)
        self.below, self.p, self.dlogits = (np.empty((STEPS, SYMBOLS), dtype) for _ in range(3))
        self.totals = np.empty((STEPS, 1), dtype)
        self.steps = np.arange(STEPS)

    def forward(self, start: int) -> Array:
        """The probabilities [STEPS, SYMBOLS]."""
        embedding, decoder = self.weights["embedding"], self.weights["decoder"]
        self.xh[0, :EMBEDDING] = embedding[start]
        for t in range(STEPS):
            self.cell(t)
            below, p = self.below[t], self.p[t]
            np.dot(decoder, self.h[t + 1], out=below)
            below -= below.max()
            np.exp(below, out=p)
            self.totals[t] = total = p.sum()
            p /= total
            np.dot(p, embedding, out=self.xh[t + 1, :EMBEDDING])
        return self.p

    def cost(self, targets: Array) -> float:
        """The sum of -log p[target]."""
        return float(np.log(self.totals).sum() - self.below[self.steps, targets].sum())

    def backward(self, start: int, targets: Array) -> None:
        """Fill the gradients of the latest forward run."""
        embedding, decoder = self.weights["embedding"], self.weights["decoder"]
        np.copyto(self.dlogits, self.p)
        self.dlogits[self.steps, targets] -= 1
        self.begin_backward()
        dh = np.zeros(HIDDEN, self.block.dtype)
        for t in reversed(range(STEPS)):
            dlogits = self.dlogits[t]
            if t + 1 < STEPS:
                dp = embedding @ self.dx[t + 1]
                dp -= self.p[t] @ dp
                dp *= self.p[t]
                dlogits += dp
            dh = self.cell_backward(t, dh + dlogits @ decoder)
        gradients = self.gradients
        self.gate_gradients(gradients["gates"])
        np.sum(self.dz, 0, out=gradients["bias"])
        np.dot(self.dlogits.T, self.h[1:], out=gradients["decoder"])
        np.dot(self.p[:-1].T, self.dx[1:], out=gradients["embedding"])
        gradients["embedding"][start] += self.dx[0]

    def update(self) -> None:
        """One step of RMSProp over all parameters at once."""
        change, root = self.work
        np.multiply(self.slope, self.slope, out=root)
        root *= 1 - RHO
        self.mean_square *= RHO
        self.mean_square += root
        np.add(self.mean_square, EPSILON, out=root)
        np.sqrt(root, out=root)
        np.clip(self.slope, -CLIP, CLIP, out=change)
        change *= LEARN_RATE
        change /= root
        np.multiply(self.block, L2, out=root)
        change += root
        self.block -= change

    @abstractmethod
    def cell(self, t: int) -> None: ...

    @abstractmethod
    def begin_backward(self) -> None: ...

    @abstractmethod
    def cell_backward(self, t: int, dh: Array) -> Array:
        """From the gradient of h[t + 1] to that of h[t], filling dz[t] and dx[t]."""

    @abstractmethod
    def gate_gradients(self, out: Array) -> None: ...


class LSTM(Book):
    """Gates in the order input, forget, candidate, output."""

    def __init__(self, weights: Arrays, dtype: type) -> None:
        super().__init__(weights, dtype)
        self.c = np.zeros((STEPS + 1, HIDDEN), dtype)
        self.tanh_c = np.empty((STEPS, HIDDEN), dtype)
        self.slopes = np.empty_like(self.z)
        # sigmoid(z) = tanh(z / 2) / 2 + 1/2, so one tanh does for all four gates.
        is_candidate = np.repeat([False, False, True, False], HIDDEN)
        self.scale = np.where(is_candidate, 1, 0.5).astype(dtype)
        self.shift = np.where(is_candidate, 0, 0.5).astype(dtype)

    def cell(self, t: int) -> None:
        z, c = self.z[t], self.c[t + 1]
        np.dot(self.weights["gates"], self.xh[t], out=z)
        z += self.weights["bias"]
        z *= self.scale
        np.tanh(z, out=z)
        z *= self.scale
        z += self.shift
        i, f, g, o = z.reshape(4, HIDDEN)
        np.multiply(f, self.c[t], out=c)
        c += i * g
        np.tanh(c, out=self.tanh_c[t])
        np.multiply(o, self.tanh_c[t], out=self.h[t + 1])

    def begin_backward(self) -> None:
        z = self.z.reshape(STEPS, 4, HIDDEN)
        slopes = np.multiply(z, 1 - z, out=self.slopes.reshape(z.shape))
        slopes[:, 2] = 1 - z[:, 2] ** 2
        # What each gate is multiplied by, so that dz[t] is one product with dc or dh.
        slopes[:, 0] *= z[:, 2]
        slopes[:, 1] *= self.c[:-1]
        slopes[:, 2] *= z[:, 0]
        slopes[:, 3] *= self.tanh_c
        self.dc_of_dh = z[:, 3] * (1 - self.tanh_c**2)
        self.dc = np.zeros(HIDDEN, self.block.dtype)

    def cell_backward(self, t: int, dh: Array) -> Array:
        self.dc += dh * self.dc_of_dh[t]
        slopes, dz = self.slopes[t], self.dz[t]
        np.multiply(slopes[: 3 * HIDDEN].reshape(3, HIDDEN), self.dc, out=dz[: 3 * HIDDEN].reshape(3, HIDDEN))
        np.multiply(slopes[3 * HIDDEN :], dh, out=dz[3 * HIDDEN :])
        self.dc *= self.z[t, HIDDEN : 2 * HIDDEN]
        dxh = dz @ self.weights["gates"]
        self.dx[t] = dxh[:EMBEDDING]
        return dxh[EMBEDDING:]

    def gate_gradients(self, out: Array) -> None:
        np.dot(self.dz.T, self.xh[:-1], out=out)


class GRU(Book):
    """Gates in the order update, reset, memory; h' = z m + (1 - z) h with m = tanh(wx x + wh (r h) + b)."""

    def __init__(self, weights: Arrays, dtype: type) -> None:
        super().__init__(weights, dtype)
        self.xrh = np.zeros_like(self.xh)

    def cell(self, t: int) -> None:
        gates, bias = self.weights["gates"], self.weights["bias"]
        xh, xrh, h = self.xh[t], self.xrh[t], self.h[t]
        zr, m = self.z[t, : 2 * HIDDEN], self.z[t, 2 * HIDDEN :]
        np.dot(gates[: 2 * HIDDEN], xh, out=zr)
        zr += bias[: 2 * HIDDEN]
        zr *= 0.5
        np.tanh(zr, out=zr)
        zr *= 0.5
        zr += 0.5
        xrh[:EMBEDDING] = xh[:EMBEDDING]
        np.multiply(zr[HIDDEN:], h, out=xrh[EMBEDDING:])
        np.dot(gates[2 * HIDDEN :], xrh, out=m)
        m += bias[2 * HIDDEN :]
        np.tanh(m, out=m)
        new = np.subtract(m, h, out=self.h[t + 1])
        new *= zr[:HIDDEN]
        new += h

    def begin_backward(self) -> None:
        z, r, m = self.z.reshape(STEPS, 3, HIDDEN).swapaxes(0, 1)
        h = self.h[:-1]
        self.of_z = (m - h) * z * (1 - z)
        self.of_r = h * r * (1 - r)
        self.of_m = z * (1 - m**2)

    def cell_backward(self, t: int, dh: Array) -> Array:
        gates, dz = self.weights["gates"], self.dz[t]
        np.multiply(self.of_m[t], dh, out=dz[2 * HIDDEN :])
        dxrh = dz[2 * HIDDEN :] @ gates[2 * HIDDEN :]
        drh = dxrh[EMBEDDING:]
        np.multiply(self.of_z[t], dh, out=dz[:HIDDEN])
        np.multiply(self.of_r[t], drh, out=dz[HIDDEN : 2 * HIDDEN])
        dxh = dz[: 2 * HIDDEN] @ gates[: 2 * HIDDEN]
        np.add(dxh[:EMBEDDING], dxrh[:EMBEDDING], out=self.dx[t])
        z, r = self.z[t, :HIDDEN], self.z[t, HIDDEN : 2 * HIDDEN]
        return dxh[EMBEDDING:] + drh * r + dh * (1 - z)

    def gate_gradients(self, out: Array) -> None:
        np.dot(self.dz[:, : 2 * HIDDEN].T, self.xh[:-1], out=out[: 2 * HIDDEN])
        np.dot(self.dz[:, 2 * HIDDEN :].T, self.xrh[:-1], out=out[2 * HIDDEN :])


def views(block: Array, like: Arrays) -> Arrays:
    """Arrays with the names and shapes of others, one behind the other in a flat block."""
    found, begin = {}, 0
    for name, array in like.items():
        found[name] = block[begin : begin + array.size].reshape(array.shape)
        begin += array.size
    return found


CELLS = {"lstm": LSTM, "gru": GRU}


def answer(cell: str, row: Array, dtype: type = np.float64) -> Arrays:
    """The cost and the gradients at the first weights."""
    book = CELLS[cell](first_weights(cell), dtype)
    book.forward(row[0])
    book.backward(row[0], row[1:])
    return {"cost": np.asarray(book.cost(row[1:])), **book.gradients}


def probabilities(row: Array, dtype: type = np.float64) -> Arrays:
    """What W1f computes, at the first weights."""
    return {"probabilities": LSTM(first_weights("lstm"), dtype).forward(row[0])}
