"""Layers and cells: each makes its parameters once and adds the nodes of one application whenever it is called.

Nothing here runs anything; the parameters are ordinary inputs with initialisers.
"""

from __future__ import annotations

from graphflow.nn.cells import GRU, LSTM, RNN, LSTMState
from graphflow.nn.layers import Embedding, Linear, apply_weights

__all__ = ["GRU", "LSTM", "RNN", "Embedding", "LSTMState", "Linear", "apply_weights"]
