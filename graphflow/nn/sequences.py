"""Cells along a sequence: step after step, forwards, backwards, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from graphflow.errors import ShapeError
from graphflow.graph import check_nodes
from graphflow.nn.cells import LSTMState
from graphflow.node import Node
from graphflow.ops.joining import concat

State = TypeVar("State", Node, LSTMState)


def unroll(
    cell: Callable[[Node, State], State], inputs: Sequence[Node], state: State, *, backwards: bool = False
) -> tuple[list[Node], State]:
    """The hidden state after each step, and the last state; step t of the graph is that of input t.

    Args:
        cell: RNN, LSTM, GRU or another function of an input and a state.
        inputs: one node for each step.
        state: before the first step.
        backwards: whether the last input comes first; the results are in the order of the inputs all the same.

    Raises:
        ShapeError: no inputs. GraphError: an input is no node.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> xs = [gf.vector(g, 3) for _ in range(4)]
        >>> hidden, last = unroll(gf.nn.RNN(g, 3, 2), xs, gf.vector(g, 2))
        >>> print(len(hidden), hidden[3] is last)
        4 True
    """
    check_nodes("unroll", inputs)
    if not inputs:
        raise ShapeError("unroll: there is no step", got="no inputs", needs="at least one")
    hidden: dict[int, Node] = {}
    for t in reversed(range(len(inputs))) if backwards else range(len(inputs)):
        with inputs[t].graph.step(t):
            state = cell(inputs[t], state)
        hidden[t] = state.hidden if isinstance(state, LSTMState) else state
    return [hidden[t] for t in range(len(inputs))], state


def bidirectional(
    forwards: Callable[[Node, State], State],
    backwards: Callable[[Node, State], State],
    inputs: Sequence[Node],
    states: tuple[State, State],
) -> tuple[list[Node], tuple[State, State]]:
    """Two cells along a sequence, one from either end; their hidden states side by side, along the last axis.

    Args:
        forwards: the cell that begins at the first input.
        backwards: the cell that begins at the last input.
        inputs: one node for each step.
        states: those of the two cells before their first steps.

    Raises:
        ShapeError: no inputs. GraphError: an input is no node.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> xs = [gf.vector(g, 3) for _ in range(4)]
        >>> cells = gf.nn.RNN(g, 3, 2, name="there"), gf.nn.RNN(g, 3, 2, name="back")
        >>> both, _ = bidirectional(*cells, xs, (gf.vector(g, 2), gf.vector(g, 2)))
        >>> print(both[0].type)
        float32[4]

    Source: Schuster & Paliwal 1997.
    """
    there, first = unroll(forwards, inputs, states[0])
    back, second = unroll(backwards, inputs, states[1], backwards=True)
    both = []
    for t, pair in enumerate(zip(there, back, strict=True)):
        with inputs[t].graph.step(t):
            both.append(concat(list(pair), axis=-1))
    return both, (first, second)
