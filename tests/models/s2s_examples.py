"""What the tests of the sequence model share: tiny data, tiny runs, and the mathematics once more in plain numpy."""

from __future__ import annotations

import json

import numpy as np

import s2s_train
from corpus import Corpus
from s2s_data import prepare
from s2s_model import Seq2Seq
from s2s_options import Hyperparameters, new_hyperparameters
from s2s_train import LAYOUT
from s2s_training import SentenceTraining
from saved_run import load_run, save_run

LINES = ("to be", "or not", "to see", "a bee", "bob", "so", "to", "o", "snob", "best", "toe", "nest")
TINY = {"hidden": 8, "embedding": 4, "max_sentence": 7, "validation": 0.0}
SIZES = ("--hidden", "8", "--embedding", "4", "--max-sentence", "7", "--validation", "0")
ARGUMENTS = ("--backend", "numpy", "--progress", "none", *SIZES)


def tiny_model(symbols=9, **options):
    return Seq2Seq(symbols, **{"embedding": 4, "hidden": 8, "steps": 6, "seed": 3, "backend": "numpy", **options})


def tiny_corpus(lines=LINES):
    return Corpus("tiny", "a tiny corpus", "\n".join(lines))


def tiny_training(lines=LINES, backend="numpy", **given):
    chosen = new_hyperparameters({**TINY, **given})
    assert isinstance(chosen, Hyperparameters)
    return SentenceTraining(prepare(tiny_corpus(lines), chosen), chosen, backend)


def save(path, training, corpus=None, tensors="base64"):
    """Write a run's checkpoint."""
    save_run(path, training, corpus or tiny_corpus(), tensors, LAYOUT)


def load(path):
    """Read a run's checkpoint."""
    return load_run(path, LAYOUT)


def train_batches(training, count):
    """Exactly so many batches, epochs closed as they end."""
    for _ in range(count):
        training.step()
        if training.is_epoch_done:
            training.close_epoch()


def state_of(training):
    """Everything that a resumed run must agree in, bit by bit; measured times are left out."""
    position = training.position.as_dict("sentences")
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
        "generator": training.generator.bit_generator.state,
        "order": training.order.tolist(),
        "position": position,
    }


def command(capsys, *arguments):
    """Run the command in this process: exit code, stdout, stderr."""
    code = s2s_train.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def records(path):
    """The metrics without what a clock measured."""
    found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [{k: v for k, v in record.items() if k != "seconds" and not k.endswith("_per_second")} for record in found]


# The mathematics, in float64


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_softmax(x):
    below = x - x.max()
    return below - np.log(np.exp(below).sum())


def reference_step(weights, x, state):
    """One step of the cell whose weights these are; the hidden state first."""

    def gate(name, h):
        return weights[f"{name}.wx"] @ x + weights[f"{name}.wh"] @ h + weights[f"{name}.b"]

    if "lstm.forget.b" in weights:
        hidden, cell = state
        write = sigmoid(gate("lstm.input", hidden)) * np.tanh(gate("lstm.candidate", hidden))
        cell = sigmoid(gate("lstm.forget", hidden)) * cell + write
        return sigmoid(gate("lstm.output", hidden)) * np.tanh(cell), cell
    (hidden,) = state
    z, r = sigmoid(gate("gru.update", hidden)), sigmoid(gate("gru.reset", hidden))
    memory = np.tanh(gate("gru.memory", r * hidden))
    return (z * memory + (1 - z) * hidden,)


def reference_steps(model, sentence, feed):
    """Hidden state, log p and target of each step, computed from the book's definition without a graph."""
    weights = {parameter.name: parameter.value.astype(np.float64) for parameter in model.parameters}
    table, decoder = weights["embedding"], weights["decoder.w"]
    state = tuple(np.zeros(model.hidden) for _ in range(model.states))
    count, steps, p = len(sentence), [], None
    for t in range(model.steps):
        if t == 0:
            x = table[model.START]
        elif t > count:
            x = table[model.BLANK]
        else:
            x = table[sentence[t - 1]] if feed == "teacher" else p @ table
        state = reference_step(weights, x, state)
        logs = log_softmax(decoder @ state[0])
        p = np.exp(logs)
        target = sentence[t] if t < count else model.END if t == count else model.BLANK
        steps.append((state[0], logs, target))
    return steps


def reference_losses(model, sentence, feed):
    """-log p[target] of each step [T]."""
    return np.array([-logs[target] for _, logs, target in reference_steps(model, sentence, feed)])
