"""What the tests of the character model share: a tiny text, tiny runs, and the mathematics once more in plain numpy."""

from __future__ import annotations

import numpy as np

import char_lm_train
from char_data import prepare
from char_options import new_hyperparameters
from char_training import CharTraining
from corpus import Corpus
from saved_run import load_run, save_run

TEXT = "to be, or not to be:\nthat is the question.\n" * 5
TINY = {"cell": "lstm", "hidden": 7, "embedding": 5, "batch": 3, "bptt": 4, "validation": 0.0, "seed": 3}
SIZES = ("--cell", "lstm", "--hidden", "7", "--embedding", "5", "--batch", "3", "--bptt", "4", "--validation", "0")
ARGUMENTS = ("--backend", "numpy", "--progress", "none", *SIZES)


def tiny_corpus(text=TEXT):
    return Corpus("tiny", "a tiny corpus", text)


def tiny_training(text=TEXT, backend="numpy", **given):
    chosen = new_hyperparameters({**TINY, **given})
    return CharTraining(prepare(tiny_corpus(text), chosen), chosen, backend)


def save(path, training, tensors="base64"):
    """Write a run's checkpoint."""
    save_run(path, training, tiny_corpus(), tensors, char_lm_train.LAYOUT)


def load(path):
    """Read a run's checkpoint."""
    return load_run(path, char_lm_train.LAYOUT)


def train_windows(training, count, most=1):
    """So many windows or a few more, epochs closed as they end."""
    end = training.position.items + count
    while training.position.items < end:
        training.step(min(most, end - training.position.items))
        if training.is_epoch_done:
            training.close_epoch()


def state_of(training):
    """Everything that a resumed run must agree in, bit by bit; measured times are left out."""
    position = training.position.as_dict("windows")
    del position["running"]["seconds"]
    solver = training.solver.state_dict()
    moments = {
        f"{name}.{key}": value.tobytes() if isinstance(value, np.ndarray) else value
        for name, members in solver["state"].items()
        for key, value in members.items()
    }
    return {
        "weights": [parameter.value.tobytes() for parameter in training.model.parameters],
        "solver": (solver["options"], solver["step"], moments),
        "states": [state.value.tobytes() for state in training.graph.state],
        "runs": training.graph.machine.runs,
        "position": position,
    }


def command(capsys, *arguments):
    """Run the command in this process: exit code, stdout, stderr."""
    code = char_lm_train.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# The mathematics, in float64, a batch at a time, without a graph


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


SQUASH = {"sigmoid": sigmoid, "tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}


def cell_step(weights, name, chosen, x, state):
    """One layer's states after a step: x [batch, inputs], states [batch, hidden], the hidden one first."""

    def gate(part, h):
        return x @ weights[f"{name}{part}.wx"].T + h @ weights[f"{name}{part}.wh"].T + weights[f"{name}{part}.b"]

    if chosen.cell == "rnn":
        return (SQUASH[chosen.activation](gate("", state[0])),)
    if chosen.cell == "gru":
        z, r = sigmoid(gate(".update", state[0])), sigmoid(gate(".reset", state[0]))
        return (z * np.tanh(gate(".memory", r * state[0])) + (1 - z) * state[0],)
    h, c = state
    c = sigmoid(gate(".forget", h)) * c + sigmoid(gate(".input", h)) * np.tanh(gate(".candidate", h))
    return sigmoid(gate(".output", h)) * np.tanh(c), c


def window_losses(weights, chosen, given, targets, states):
    """-log p of each target [bptt, batch], and the states after the window.

    Args:
        weights: by name, in float64.
        chosen: the hyperparameters.
        given: ids [bptt, batch].
        targets: as well.
        states: for each layer its states [batch, hidden].
    """
    decoder = weights["embedding"] if chosen.tied else weights["decoder.w"]
    bias = weights["decoder.b"] if chosen.decoder_bias else 0.0
    losses = np.empty(given.shape)
    for t, (ids, expected) in enumerate(zip(given, targets, strict=True)):
        x = weights["embedding"][ids]
        after = []
        for layer, state in enumerate(states, 1):
            after.append(cell_step(weights, f"{chosen.cell}{layer}", chosen, x, state))
            x = after[-1][0]
        states = after
        logits = x @ decoder.T + bias
        logs = logits - logits.max(1, keepdims=True)
        logs -= np.log(np.exp(logs).sum(1, keepdims=True))
        losses[t] = -logs[np.arange(len(ids)), expected]
    return losses, states


def weights_of(model):
    """In float64, by name."""
    return {parameter.name: parameter.value.astype(np.float64) for parameter in model.parameters}


def first_states(chosen):
    """As the book begins a text: for each layer its states [batch, hidden]."""
    first = np.zeros((chosen.batch, chosen.hidden))
    first[:, 0] = chosen.first_state == "one"
    return [(first,) * (2 if chosen.cell == "lstm" else 1)] * chosen.layers
