"""The character model of models/char_lm_train.py trained by torch's own nn.LSTM: the same sizes, data and solver.

python tests/bench/train_torch.py --seconds 600 [--threads 1] [--corpus FILE] [options of char_lm_train.py]

Prints what char_lm_train.py prints of an epoch, for the same time on the same machine; where no torch is, there is
nothing to compare with.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models")]

import numpy as np  # noqa: E402 - the project's folders must be on the path

from char_data import prepare  # noqa: E402
from char_model import cut_windows  # noqa: E402
from char_options import COMMAND, new_hyperparameters  # noqa: E402
from corpus import load_corpus  # noqa: E402
from options import parse_options  # noqa: E402


def network_of(symbols, chosen):
    """Embedding, recurrent layers, decoder: a call gives logits and states."""
    import torch

    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[chosen.cell]
    embedding = torch.nn.Embedding(symbols, chosen.embedding)
    layers = kind(chosen.embedding, chosen.hidden, num_layers=chosen.layers, dropout=chosen.dropout)
    decoder = torch.nn.Linear(chosen.hidden, symbols)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = torch.nn.ModuleList([embedding, layers, decoder])

        def forward(self, ids, state):
            hidden, state = layers(embedding(ids), state)
            return decoder(hidden), state

    return Network()


def solver_of(network, chosen):
    """The solver that was chosen, as torch has it."""
    import torch

    if chosen.solver == "adam":
        return torch.optim.Adam(network.parameters(), lr=chosen.learn_rate)
    if chosen.solver == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), lr=chosen.learn_rate, alpha=chosen.rho)
    raise SystemExit(f"train_torch: no {chosen.solver} here")


def cut_state(state):
    """The state for the next window: gradients stop here."""
    return tuple(each.detach() for each in state) if isinstance(state, tuple) else state.detach()


def nats(network, given, targets):
    """Of a text, per character."""
    import torch

    total, state = 0.0, None
    with torch.no_grad():
        for ids, expected in zip(given, targets, strict=True):
            logits, state = network(ids, state)
            total += float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), expected.flatten(), reduction="sum"))
    return total / targets.numel()


def main():
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=1)
    own, others = parser.parse_known_args()
    torch.set_num_threads(own.threads)
    options = parse_options(others, COMMAND)
    chosen = new_hyperparameters(options.given)
    torch.manual_seed(chosen.seed)
    data = prepare(load_corpus(options.corpus, chosen.reserved), chosen)
    print(*data.notes, chosen, sep="\n")

    def windows(text, batch):
        return [torch.from_numpy(np.ascontiguousarray(each)) for each in cut_windows(text, batch, chosen.bptt)]

    train = windows(data.train, chosen.batch)
    held_out = windows(data.held_out, min(chosen.batch, len(data.held_out) // (chosen.bptt + 1)))
    network = network_of(len(data.vocabulary), chosen)
    solver = solver_of(network, chosen)
    decay = chosen.decay_for(train[0].numel())
    epoch, characters, began = 0, 0, time.monotonic()
    while time.monotonic() - began < own.seconds:
        state, sums, count = None, 0.0, 0
        for ids, expected in zip(*train, strict=True):
            logits, state = network(ids, state)
            state = cut_state(state)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), expected.flatten())
            solver.zero_grad()
            loss.backward()
            if chosen.clip:
                torch.nn.utils.clip_grad_value_(network.parameters(), chosen.clip)
            if chosen.clip_norm:
                torch.nn.utils.clip_grad_norm_(network.parameters(), chosen.clip_norm)
            solver.step()
            sums, count = sums + float(loss.detach()), count + 1
            if time.monotonic() - began > own.seconds:
                break
        characters += count * expected.numel()
        epoch += 1
        for group in solver.param_groups:
            group["lr"] = chosen.learn_rate * decay**epoch
        seconds = time.monotonic() - began
        print(
            f"epoch {epoch}: train {sums / count:.3f}, held out {nats(network, *held_out):.4f} nats/character after "
            f"{seconds:.0f} s, {characters / seconds:,.0f} characters/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
