"""Train a character language model on Shakespeare or any text, and let it write: `char_lm_train.py --help`."""

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
from char_data import CharData, prepare
from char_model import CharModel, WindowGraph, cut_windows
from char_options import COMMAND, Hyperparameters, new_hyperparameters
from char_training import CharTraining, first_symbols
from corpus import Corpus
from saved_run import Format
from sharing import Sharing
from vocabulary import Vocabulary, make_visible

OWN = {"state": (list, "hidden state"), "runs": (int, "number of runs")}
LAYOUT = Format("graphflow char_lm", 1, Hyperparameters, "windows", OWN, specials=())


@final
class CharProgram(program.Program[Hyperparameters, CharData, CharTraining]):
    """Running text, read in windows."""

    command = COMMAND
    layout = LAYOUT

    def new_hyperparameters(self, given: Mapping[str, Any]) -> Hyperparameters:
        return new_hyperparameters(given)

    def prepare(self, corpus: Corpus, chosen: Hyperparameters) -> CharData:
        return prepare(corpus, chosen)

    def make_training(self, data: CharData, chosen: Hyperparameters, backend: str, sharing: Sharing) -> CharTraining:
        return CharTraining(data, chosen, backend, sharing)

    def make_writer(self, symbols: int, chosen: Hyperparameters, backend: str) -> CharModel:
        return CharModel(symbols, chosen, backend)

    def begin_text(self, prompt: str, vocabulary: Vocabulary) -> list[int]:
        return vocabulary.encode(prompt) or first_symbols(vocabulary)

    def show_text(self, prompt: str, written: Sequence[int], vocabulary: Vocabulary) -> str:
        text = prompt + vocabulary.decode(written, visible=False)
        return "\n".join(make_visible(line) for line in text.split("\n"))

    def render(self, path: Path, symbols: int, chosen: Hyperparameters) -> Path:
        model = CharModel(symbols, chosen, "numpy")
        given, targets = cut_windows(np.zeros(3 * chosen.batch, np.int64), chosen.batch, 2)
        graph = WindowGraph(model, given, targets, is_training=True)
        return model.graph.subgraph(graph.cost).render(path)

    def drawn_weights(self, training: CharTraining) -> npt.NDArray[np.float32]:
        return training.model.decoder.value


def main(arguments: Sequence[str], group: gf.parallel.Group | None = None) -> int:
    """Run the command; every failure is one line on stderr and an exit code."""
    return program.main(CharProgram(), arguments, group or gf.parallel.Alone())


if __name__ == "__main__":
    program.run_script(main)
