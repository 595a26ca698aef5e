"""One step of a recurrent network: RNN, LSTM and GRU, with separate matrices for each gate as the books write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, final

from graphflow.construct import matrix, vector
from graphflow.errors import GraphError, OptionError
from graphflow.graph import ExprGraph
from graphflow.initializers import Initializer, glorot_n, zeroes
from graphflow.nn.layers import apply_weights
from graphflow.node import Node
from graphflow.ops.elementary import sigmoid, tanh

Activation = Callable[[Node], Node]


@final
class Gate:
    """wx x + b + wh h + bh, what every gate computes before its squashing function.

    Args:
        g, inputs, hidden: as for LSTM.
        name: prefix of the parameters' names.
        bias: initialiser of b and bh.
        init: initialiser of the matrices.
        bias_sets: 1 for b alone, 2 for b and bh, 0 for none.

    Attributes:
        wx: [hidden, inputs]; wh: [hidden, hidden]; b, bh: [hidden] or None.
    """

    def __init__(
        self,
        g: ExprGraph,
        inputs: int,
        hidden: int,
        name: str,
        *,
        bias: Initializer | None,
        init: Initializer | None,
        dtype: object,
        bias_sets: int = 1,
    ) -> None:
        if bias_sets not in {0, 1, 2}:
            raise OptionError("nn: bias_sets is not usable", got=repr(bias_sets), needs="0, 1 or 2")
        self.wx = matrix(g, (hidden, inputs), name=f"{name}.wx", init=init or glorot_n(), dtype=dtype)
        self.wh = matrix(g, (hidden, hidden), name=f"{name}.wh", init=init or glorot_n(), dtype=dtype)
        sets = [
            vector(g, hidden, name=f"{name}.{each}", init=bias or zeroes(), dtype=dtype)
            for each in ("b", "bh")[:bias_sets]
        ]
        self.b, self.bh = [*sets, None, None][:2]
        self.parameters = (self.wx, self.wh, *sets)

    def __call__(self, x: Node, h: Node) -> Node:
        y = _plus(apply_weights(self.wx, x) + apply_weights(self.wh, h), self.b)
        return _plus(y, self.bh)

    def after_reset(self, x: Node, h: Node, reset: Node) -> Node:
        """wx x + b + reset * (wh h + bh)."""
        return _plus(apply_weights(self.wx, x), self.b) + reset * _plus(apply_weights(self.wh, h), self.bh)


def _plus(x: Node, bias: Node | None) -> Node:
    return x if bias is None else x + bias


class LSTMState(NamedTuple):
    """What an LSTM hands from step to step: hidden [hidden] and cell [hidden], or with a leading batch axis."""

    hidden: Node
    cell: Node


@final
class LSTM:
    """Long short-term memory.

        i = sigmoid(gate_i(x, h))    f = sigmoid(gate_f(x, h))    o = sigmoid(gate_o(x, h))
        candidate = tanh(gate_c(x, h))
        cell' = f * cell + i * candidate
        hidden' = o * tanh(cell')

    Args:
        g: the graph.
        inputs, hidden: sizes of x and of the state.
        name: prefix of the parameters' names, such as `lstm.forget.wx`.
        biases: initialisers for the biases of the gates by name (input, forget, output, candidate); zeros elsewhere.
        init: initialiser of the matrices, Glorot's normal one by default.
        bias_sets: biases of each gate: 1 as above, 2 as in torch and ONNX (one beside each matrix), 0 for none.
        peepholes: whether the gates see the cell too, element by element: those of input and forget the cell before the
            step, that of the output the cell after it. The weights are `lstm.forget.peephole` and so on.
        coupled: whether f = 1 - i, so that there is no forget gate.
        gate_activation: in place of sigmoid.
        activation: in place of tanh, for the candidate.
        output_activation: in place of tanh, for the cell on its way out; None: the same as for the candidate.

    Raises:
        OptionError: bias_sets is none of 0, 1, 2.

    Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000; peepholes: Gers & Schmidhuber 2000;
        options as of ONNX LSTM.
    """

    GATES = ("input", "forget", "output", "candidate")

    def __init__(
        self,
        g: ExprGraph,
        inputs: int,
        hidden: int,
        *,
        name: str = "lstm",
        biases: dict[str, Initializer] | None = None,
        init: Initializer | None = None,
        dtype: object = "float32",
        bias_sets: int = 1,
        peepholes: bool = False,
        coupled: bool = False,
        gate_activation: Activation = sigmoid,
        activation: Activation = tanh,
        output_activation: Activation | None = None,
    ) -> None:
        biases = biases or {}
        made = {
            gate: Gate(
                g, inputs, hidden, f"{name}.{gate}", bias=biases.get(gate), init=init, dtype=dtype, bias_sets=bias_sets
            )
            for gate in self.GATES
            if not (coupled and gate == "forget")
        }
        self.input, self.output, self.candidate = made["input"], made["output"], made["candidate"]
        self.forget = made.get("forget")
        self.peepholes = {
            gate: vector(g, hidden, name=f"{name}.{gate}.peephole", init=init or zeroes(), dtype=dtype)
            for gate in made
            if peepholes and gate != "candidate"
        }
        self.gate_activation, self.activation = gate_activation, activation
        self.output_activation = output_activation or activation
        gates = tuple(parameter for gate in made.values() for parameter in gate.parameters)
        self.parameters = (*gates, *self.peepholes.values())

    def __call__(self, x: Node, state: LSTMState) -> LSTMState:
        """One step: x [inputs] or [batch, inputs], and the state before it, to the state after it.

        Raises:
            GraphError: no LSTMState, such as the hidden state alone.
        """
        if not isinstance(state, LSTMState):
            raise GraphError(
                "LSTM: the state is no LSTMState",
                got=f"{state!r:.80}",
                needs="a hidden state and a cell",
                hint="gf.nn.LSTMState(hidden, cell)",
            )
        if self.forget is None:
            let_in = self._opened("input", self.input, x, state.hidden, state.cell)
            kept = 1.0 - let_in
        else:
            kept = self._opened("forget", self.forget, x, state.hidden, state.cell)
            let_in = self._opened("input", self.input, x, state.hidden, state.cell)
        cell = kept * state.cell + let_in * self.activation(self.candidate(x, state.hidden))
        let_out = self._opened("output", self.output, x, state.hidden, cell)
        return LSTMState(let_out * self.output_activation(cell), cell)

    def _opened(self, name: str, gate: Gate, x: Node, h: Node, cell: Node) -> Node:
        """How far a gate is open."""
        y = gate(x, h)
        return self.gate_activation(y + self.peepholes[name] * cell if self.peepholes else y)

    def activations(self, x: Node, state: LSTMState) -> dict[str, Node]:
        """What the gates let through in that step, by name: to be looked at, such as with `gf.viz.gate_maps`.

        The nodes are made anew; compiled together with those of the step they are computed once.

        Args:
            x: [inputs] or [batch, inputs].
            state: before the step.
        """
        gates = {"input": self.input, "forget": self.forget, "output": self.output}
        after = self(x, state).cell if self.peepholes else state.cell
        found = {
            name: self._opened(name, gate, x, state.hidden, after if name == "output" else state.cell)
            for name, gate in gates.items()
            if gate is not None
        }
        return found | {"candidate": self.activation(self.candidate(x, state.hidden))}


@final
class GRU:
    """Gated recurrent unit, with the reset gate before the product as in the paper.

        z = sigmoid(update(x, h))    r = sigmoid(reset(x, h))
        memory = tanh(wx x + wh (r * h) + b)
        h' = z * memory + (1 - z) * h

    Args:
        g, inputs, hidden, name: as for LSTM.
        biases: initialisers for the biases by name (update, reset, memory); zeros elsewhere.
        init: as for LSTM.
        bias_sets: as for LSTM.
        reset_after: whether the reset gate comes after the product: memory = tanh(wx x + b + r * (wh h + bh)), as in
            torch, and in ONNX with linear_before_reset.
        update_keeps: whether z is the share of the old state, h' = z * h + (1 - z) * memory, as in torch and ONNX.
        gate_activation: in place of sigmoid.
        activation: in place of tanh.

    Raises:
        OptionError: bias_sets is none of 0, 1, 2.

    Source: Cho et al. 2014; which of z and 1 - z is which is as in the Gorgonia chapter; options as of ONNX GRU.
    """

    GATES = ("update", "reset", "memory")

    def __init__(
        self,
        g: ExprGraph,
        inputs: int,
        hidden: int,
        *,
        name: str = "gru",
        biases: dict[str, Initializer] | None = None,
        init: Initializer | None = None,
        dtype: object = "float32",
        bias_sets: int = 1,
        reset_after: bool = False,
        update_keeps: bool = False,
        gate_activation: Activation = sigmoid,
        activation: Activation = tanh,
    ) -> None:
        biases = biases or {}
        self.reset_after, self.update_keeps = reset_after, update_keeps
        self.gate_activation, self.activation = gate_activation, activation
        self.update, self.reset, self.memory = (
            Gate(
                g, inputs, hidden, f"{name}.{gate}", bias=biases.get(gate), init=init, dtype=dtype, bias_sets=bias_sets
            )
            for gate in self.GATES
        )
        gates = (self.update, self.reset, self.memory)
        self.parameters = tuple(parameter for gate in gates for parameter in gate.parameters)

    def __call__(self, x: Node, h: Node) -> Node:
        """One step: x [inputs] or [batch, inputs], and the hidden state before it, to the one after it."""
        z = self.gate_activation(self.update(x, h))
        memory = self._memory(x, h, self.gate_activation(self.reset(x, h)))
        return z * h + (1.0 - z) * memory if self.update_keeps else z * memory + (1.0 - z) * h

    def _memory(self, x: Node, h: Node, reset: Node) -> Node:
        """What the step would remember."""
        if self.reset_after:
            return self.activation(self.memory.after_reset(x, h, reset))
        return self.activation(self.memory(x, reset * h))

    def activations(self, x: Node, h: Node) -> dict[str, Node]:
        """What the gates let through in that step, by name; see `LSTM.activations`."""
        update, reset = self.gate_activation(self.update(x, h)), self.gate_activation(self.reset(x, h))
        return {"update": update, "reset": reset, "memory": self._memory(x, h, reset)}


@final
class RNN:
    """The plain recurrent cell: h' = activation(wx x + wh h + b).

    Args:
        g, inputs, hidden, name: as for LSTM.
        bias: initialiser of b, zeros by default.
        activation: tanh, sigmoid, rectify or another function from a node to one of its type.
        init: as for LSTM.
        bias_sets: as for LSTM.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> cell = RNN(g, 3, 2, activation=gf.sigmoid)
        >>> h = cell(gf.vector(g, 3, value=[0, 0, 0]), gf.vector(g, 2, value=[0, 0]))
        >>> with gf.TapeMachine(g, outputs=[h]) as vm:
        ...     vm.run_all()
        >>> h.value
        array([0.5, 0.5], dtype=float32)

    Source: Elman 1990.
    """

    def __init__(
        self,
        g: ExprGraph,
        inputs: int,
        hidden: int,
        *,
        name: str = "rnn",
        bias: Initializer | None = None,
        activation: Activation = tanh,
        init: Initializer | None = None,
        dtype: object = "float32",
        bias_sets: int = 1,
    ) -> None:
        self.activation = activation
        self.gate = Gate(g, inputs, hidden, name, bias=bias, init=init, dtype=dtype, bias_sets=bias_sets)
        self.parameters = self.gate.parameters

    def __call__(self, x: Node, h: Node) -> Node:
        """One step: x [inputs] or [batch, inputs], and the hidden state before it, to the one after it."""
        return self.activation(self.gate(x, h))
