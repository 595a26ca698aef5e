"""What all training programs do: read the command, train or resume under a reporter's eyes, save; or let a model write.

A program is a subclass of `Program`; its file calls `main`, and `run_script` where it is run as one.
"""

from __future__ import annotations

import io
import math
import signal
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

import graphflow as gf
from command_line import fail, run_command
from corpus import Corpus, load_corpus
from options import Chosen, Command, Options, check_same, parse_options
from plots import draw_run, open_folder
from progress import Metrics, open_progress
from reports import Reporter, cut_back
from sampling import Sampler, Writer
from saved_run import Format, SavedRun, load_run, save_run
from seeds import SAMPLES, generator_for
from sharing import Sharing
from stopping import Interruption, Limits
from training import Data, Follower, Observer, Training, run
from vocabulary import DataError, Vocabulary

C = TypeVar("C", bound=Chosen)
D = TypeVar("D", bound=Data)
T = TypeVar("T", bound=Training)


class Program(ABC, Generic[C, D, T]):
    """A training program: what differs from one to the other.

    Attributes:
        command: its command line.
        layout: of its checkpoints.
    """

    command: Command
    layout: Format

    @abstractmethod
    def new_hyperparameters(self, given: Mapping[str, Any]) -> C:
        """Those of a new run for which these were given.

        Raises:
            UsageError: they do not go together.
        """

    @abstractmethod
    def prepare(self, corpus: Corpus, chosen: C) -> D:
        """From a corpus to numbers.

        Raises:
            DataError: nothing is left to train on.
        """

    @abstractmethod
    def make_training(self, data: D, chosen: C, backend: str, sharing: Sharing) -> T:
        """A run at its beginning."""

    @abstractmethod
    def make_writer(self, symbols: int, chosen: C, backend: str) -> Writer:
        """A model to be given weights that were saved."""

    @abstractmethod
    def begin_text(self, prompt: str, vocabulary: Vocabulary) -> list[int]:
        """What is fed to continue a prompt.

        Raises:
            DataError: there is an unknown character in it.
        """

    @abstractmethod
    def show_text(self, prompt: str, written: Sequence[int], vocabulary: Vocabulary) -> str:
        """A prompt and what was written after it."""

    @abstractmethod
    def render(self, path: Path, symbols: int, chosen: C) -> Path:
        """Draw the graph with two steps in place of all: the others look like the second."""

    @abstractmethod
    def drawn_weights(self, training: T) -> npt.NDArray[np.float32]:
        """What the heat maps show: the decoder [symbols, hidden]."""

    def draw_inside(self, folder: Path, training: T) -> list[Path]:
        """Draw what the trained model does inside, if there is a way to look."""
        return []


AnyProgram = Program[Any, Any, Any]


def main(program: AnyProgram, arguments: Sequence[str], group: gf.parallel.Group) -> int:
    """Run the command; every failure is one line on stderr and an exit code.

    Where there are several processes, the first reads the command, corpus and checkpoint before the others do: what it
    complains about is said once.
    """

    def command() -> int:
        group.first(lambda: parse_options(arguments, program.command))
        options = parse_options(arguments, program.command)
        if options.sample is None:
            return train(program, options if group.is_first else options.silenced(), group)
        return write(program, options, options.sample) if group.is_first else 0

    name = program.command.name
    return run_command(name if group.is_first else f"rank {group.rank} of {group.size}: {name}", command)


def prepare_process() -> None:
    """For a script, when everything is loaded: Ctrl-C is an exception from here on, and any terminal will do."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):  # an old terminal gets escapes for what it cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run_script(main: Callable[[Sequence[str], gf.parallel.Group], int]) -> NoReturn:
    """Run a script's main function in all processes that were launched together, and exit."""
    prepare_process()
    sys.exit(gf.parallel.run(lambda group: main(sys.argv[1:], group)))


def train(program: AnyProgram, options: Options, group: gf.parallel.Group) -> int:
    """Begin or resume a run, and train."""
    sharing = Sharing(group, options.accumulate, options.deterministic_shards)
    saved = find_saved_run(program, options, group)
    if saved is not None:
        check_same(saved.hyperparameters, options.given, saved.path)
    chosen = program.new_hyperparameters(options.given) if saved is None else saved.hyperparameters
    chosen.make_solver()  # complains about its options before the corpus is read
    checkpoint = options.checkpoint or (Path(saved.path) if saved else None)
    if group.is_first and checkpoint is not None and not checkpoint.parent.is_dir():
        raise DataError(f"the checkpoint cannot be saved: there is no folder {str(checkpoint.parent)!r}")
    if options.plot_dir is not None:
        open_folder(options.plot_dir)
    corpus, data = load_data(program, options, chosen, saved, group)
    if options.render is not None:
        program.render(options.render, len(data.vocabulary), chosen)
    training = program.make_training(data, chosen, options.backend, sharing)
    if options.progress != "none":
        print(corpus.title, *data.notes, *training.describe(), describe_ignorance(data), sep="\n", file=sys.stderr)
    if saved is not None:
        saved.restore(training)
    if not sharing.is_whole:
        sharing.begin(training.model.graph, training.model.parameters, training.graph.machine)
    return observe(program, training, corpus, options, checkpoint)


def load_data(
    program: AnyProgram, options: Options, chosen: Chosen, saved: SavedRun | None, group: gf.parallel.Group
) -> tuple[Corpus, Data]:
    """The corpus that was asked for, or that of the saved run, which must be the same; the first process reads it."""

    def read() -> bytes:
        corpus = load_corpus(options.corpus or (saved.source if saved else None), chosen.reserved)
        if saved is not None:
            saved.check_corpus(corpus)
            saved.check_vocabulary(program.prepare(corpus, chosen).vocabulary)
        return corpus.to_bytes()

    corpus = Corpus.from_bytes(group.share(read))
    return corpus, program.prepare(corpus, chosen)


def describe_ignorance(data: Data) -> str:
    """What it costs to know nothing."""
    symbols = len(data.vocabulary)
    return f"knowing nothing costs {math.log(symbols):.3f} nats per character (all {symbols} equally likely)"


def find_saved_run(program: AnyProgram, options: Options, group: gf.parallel.Group) -> SavedRun | None:
    """The run to resume, if any; the first process reads and checks its file, the others get what is in it."""
    if options.resume is None:
        return None
    is_auto = options.resume == "auto"
    path = options.checkpoint if is_auto else Path(options.resume)
    found: SavedRun | None = None

    def read() -> bytes:
        nonlocal found
        if path is None or (is_auto and not path.exists()):
            return b""
        found = load_run(path, program.layout)
        return path.read_bytes() if group.size > 1 else b""

    content = group.share(read)
    if content and not group.is_first:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            file.write(content)
            file.flush()
            found = load_run(file.name, program.layout)
    return found


def observe(program: AnyProgram, training: Training, corpus: Corpus, options: Options, checkpoint: Path | None) -> int:
    """Train under a reporter's eyes, save, draw."""

    def save() -> None:
        if checkpoint is not None:
            training.check_weights()
            save_run(checkpoint, training, corpus, options.tensors, program.layout)

    before = program.drawn_weights(training)
    position, is_resumed = training.position, bool(training.position.items)
    epochs, seconds = options.limits(training.chosen.preset)
    total = None if seconds else epochs * training.total
    if options.metrics is not None and is_resumed:
        cut_back(options.metrics, training.unit, position.items)
    with (
        Interruption() as interruption,
        Metrics(options.metrics, append=is_resumed) as metrics,
        open_progress(options.progress, sys.stderr, total, unit=training.unit, done=position.items) as progress,
    ):
        reporter = Reporter(training, options, progress, metrics, save)
        follower = Follower(training, saves=checkpoint is not None)
        is_first = training.sharing.group.is_first
        observer: Observer = reporter if is_first else follower
        run(training, Limits(epochs, seconds, options.patience), observer, interruption)
    if options.plot_dir is not None:
        draw_run(options.plot_dir, before, program.drawn_weights(training), reporter.curve)
        program.draw_inside(options.plot_dir, training)
    if interruption.signal is None or not is_first:
        return 0
    saved = f"saved to {str(checkpoint)!r}" if checkpoint else "nothing was saved (--checkpoint FILE)"
    return fail(program.command.name, 128 + interruption.signal, f"interrupted; {saved}")


def write(program: AnyProgram, options: Options, prompt: str) -> int:
    """Continue a prompt with a saved model."""
    saved = load_run(str(options.resume), program.layout)
    seed = options.given.get("seed", saved.hyperparameters.seed)
    check_same(saved.hyperparameters, {k: v for k, v in options.given.items() if k != "seed"}, saved.path)
    symbols = program.begin_text(prompt, saved.vocabulary)
    model = program.make_writer(len(saved.vocabulary), saved.hyperparameters, options.backend)
    saved.checkpoint.restore(model.parameters)
    generator = generator_for(seed, SAMPLES)
    written = Sampler(model).write(symbols, options.temperature, generator, options.length, options.top_k)
    print(program.show_text(prompt, written, saved.vocabulary))
    return 0
