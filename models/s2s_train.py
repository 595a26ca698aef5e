"""Train the Gorgonia book's sequence model on Shakespeare or any text, and let it write: `s2s_train.py --help`."""

from __future__ import annotations

import signal

if __name__ == "__main__":  # until everything is loaded, Ctrl-C ends the program without a word
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import one_thread  # noqa: F401 - before numpy is imported

# isort: split
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

import graphflow as gf
import program
from corpus import Corpus
from looking import draw_look, look
from s2s_data import Data, prepare
from s2s_model import SentenceGraph, Seq2Seq
from s2s_options import COMMAND, Hyperparameters, new_hyperparameters
from s2s_training import SentenceTraining, build_model
from saved_run import Format
from sharing import Sharing
from vocabulary import START, Vocabulary, make_visible

LAYOUT = Format("graphflow s2s", 1, Hyperparameters, "sentences", {"order": (dict, "generator state")})


@final
class SequenceProgram(program.Program[Hyperparameters, Data, SentenceTraining]):
    """The chapter's: sentences, each from START to END."""

    command = COMMAND
    layout = LAYOUT

    def new_hyperparameters(self, given: Mapping[str, Any]) -> Hyperparameters:
        return new_hyperparameters(given)

    def prepare(self, corpus: Corpus, chosen: Hyperparameters) -> Data:
        return prepare(corpus, chosen)

    def make_training(self, data: Data, chosen: Hyperparameters, backend: str, sharing: Sharing) -> SentenceTraining:
        return SentenceTraining(data, chosen, backend, sharing)

    def make_writer(self, symbols: int, chosen: Hyperparameters, backend: str) -> Seq2Seq:
        return build_model(symbols, chosen, backend)

    def begin_text(self, prompt: str, vocabulary: Vocabulary) -> list[int]:
        return vocabulary.encode(prompt)

    def show_text(self, prompt: str, written: Sequence[int], vocabulary: Vocabulary) -> str:
        return make_visible(START + prompt) + vocabulary.decode(written)

    def render(self, path: Path, symbols: int, chosen: Hyperparameters) -> Path:
        size, hidden = chosen.embedding, chosen.hidden
        model = Seq2Seq(symbols, embedding=size, hidden=hidden, cell=chosen.cell, steps=2, backend="numpy")
        counts_blank = chosen.padding == "counted"
        graph = SentenceGraph(model, chosen.feed, counts_blank=counts_blank, is_training=True)
        return model.graph.subgraph(graph.cost).render(path)

    def drawn_weights(self, training: SentenceTraining) -> npt.NDArray[np.float32]:
        return training.model.decoder.w.value

    def draw_inside(self, folder: Path, training: SentenceTraining) -> list[Path]:
        """Let a copy of the model read the first sentence that it has not learned, if there is one."""
        data = training.data
        copy = build_model(len(data.vocabulary), training.chosen)
        for mine, trained in zip(copy.parameters, training.model.parameters, strict=True):
            gf.let(mine, trained.value)
        return draw_look(folder, look(copy, [*data.held_out, *data.train][0]), data.vocabulary)


def main(arguments: Sequence[str], group: gf.parallel.Group | None = None) -> int:
    """Run the command; every failure is one line on stderr and an exit code."""
    return program.main(SequenceProgram(), arguments, group or gf.parallel.Alone())


if __name__ == "__main__":
    program.run_script(main)
