"""How much more several processes train: `mpiexec -n 2 python -m tests.bench.scaling --corpus YOUR_TEXT.txt`.

Prints sentences per second of the Gorgonia chapter's LSTM (W1: soft feedback, RMSProp) at several batch sizes, and
characters per second of the Grokking chapter's (W2). Compare with the same command without mpiexec. A batch is that of
all processes together: the rows of W1 with twice the batch on two processes are weak scaling, those with the same
batch are strong scaling.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "models"))

import char_data
import char_options
import graphflow as gf
import s2s_data
import s2s_options
from char_training import CharTraining
from corpus import load_corpus
from s2s_training import SentenceTraining
from sharing import Sharing
from training import Training

SECONDS = 1.5
ROUNDS = 3


def rate(training: Training, group: gf.parallel.Group) -> float:
    """Items per second of all processes together: the median of some rounds."""
    if not training.sharing.is_whole:
        training.sharing.begin(training.model.graph, training.model.parameters, training.graph.machine)
    at_once = 32
    training.step(at_once)
    found = []
    for _ in range(ROUNDS):
        done, began = 0, time.perf_counter()
        while group.sums(time.perf_counter() - began < SECONDS)[0] == group.size:
            before = training.position.items
            training.step(at_once)
            done += training.position.items - before
            if training.position.index + at_once * 256 > training.total:
                training.position.index = 0
        found.append(done / (time.perf_counter() - began))
    return statistics.median(found)


def main(group: gf.parallel.Group) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 2, 8, 16, 32, 64, 128, 256])
    corpus = load_corpus(parser.parse_args().corpus)
    batches = parser.parse_args().batches
    print(f"{group.size} processes")
    for batch in batches:
        if batch % group.size:
            continue
        sentences = s2s_options.new_hyperparameters({"preset": "book", "batch": batch})
        training = SentenceTraining(s2s_data.prepare(corpus, sentences), sentences, "native", Sharing(group))
        print(f"W1, batch {batch:>3}: {rate(training, group):>9,.0f} sentences/s", flush=True)
    for batch in (16, 32):
        windows = char_options.new_hyperparameters({"preset": "book-lstm", "batch": batch})
        reader = CharTraining(char_data.prepare(corpus, windows), windows, "native", Sharing(group))
        characters = rate(reader, group) * batch * windows.bptt
        print(f"W2, batch {batch:>3}: {characters:>9,.0f} characters/s", flush=True)


if __name__ == "__main__":
    sys.exit(gf.parallel.run(main))
