"""Layers and cells: each makes its parameters once and adds the nodes of one application whenever it is called.

Nothing here runs anything; the parameters are ordinary inputs with initialisers.
"""

from __future__ import annotations

from graphflow.nn.cells import GRU, LSTM, RNN, LSTMState
from graphflow.nn.layers import Embedding, Linear, apply_weights
from graphflow.nn.networks import BatchNorm, Conv, Dropout, GroupNorm, LayerNorm, Sequential
from graphflow.nn.sequences import bidirectional, unroll

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "BatchNorm",
    "Conv",
    "Dropout",
    "Embedding",
    "GroupNorm",
    "LSTMState",
    "LayerNorm",
    "Linear",
    "Sequential",
    "apply_weights",
    "bidirectional",
    "unroll",
]
