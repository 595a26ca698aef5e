"""Train the Gorgonia book's sequence model on Shakespeare or any text, and let it write: `s2s_train.py --help`."""

from __future__ import annotations

import io
import math
import os
import signal
import sys

if __name__ == "__main__":  # until everything is loaded, Ctrl-C ends the program without a word
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# Products as small as these gain nothing from threads; and with one, a run is the same on any number of cores.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported

from collections.abc import Sequence  # noqa: E402 - as above, for all of these
from pathlib import Path  # noqa: E402

from command_line import fail, run_command  # noqa: E402
from corpus import Corpus, load_corpus  # noqa: E402
from options import Hyperparameters, Options, check_same, new_hyperparameters, parse_options  # noqa: E402
from plots import draw_run, open_folder, render_steps  # noqa: E402
from progress import Metrics, open_progress  # noqa: E402
from reports import Reporter, cut_back  # noqa: E402
from s2s_data import SAMPLES, Data, check_vocabulary, generator_for, prepare  # noqa: E402
from sampling import Sampler  # noqa: E402
from saved_run import SavedRun, load_run, save_run  # noqa: E402
from stopping import Interruption, Limits  # noqa: E402
from training import Training, build_model, run  # noqa: E402
from vocabulary import START, DataError, make_visible  # noqa: E402

PROGRAM = "s2s_train.py"


def main(arguments: Sequence[str]) -> int:
    """Run the command; every failure is one line on stderr and an exit code."""

    def command() -> int:
        options = parse_options(arguments)
        return train(options) if options.sample is None else write(options, options.sample)

    return run_command(PROGRAM, command)


def train(options: Options) -> int:
    """Begin or resume a run, and train."""
    saved = find_saved_run(options)
    if saved is not None:
        check_same(saved.hyperparameters, options.given, saved.path)
    chosen = new_hyperparameters(options.given) if saved is None else saved.hyperparameters
    chosen.make_solver()  # complains about its options before the corpus is read
    checkpoint = options.checkpoint or (Path(saved.path) if saved else None)
    if checkpoint is not None and not checkpoint.parent.is_dir():
        raise DataError(f"the checkpoint cannot be saved: there is no folder {str(checkpoint.parent)!r}")
    if options.plot_dir is not None:
        open_folder(options.plot_dir)
    corpus, data = load_data(options, chosen, saved)
    if options.render is not None:
        render_steps(options.render, len(data.vocabulary), chosen)
    training = Training(data, chosen, options.backend)
    if options.progress != "none":
        print(corpus.title, *data.notes, *describe(training), sep="\n", file=sys.stderr)
    if saved is not None:
        saved.restore(training)
    return observe(training, corpus, options, checkpoint)


def load_data(options: Options, chosen: Hyperparameters, saved: SavedRun | None) -> tuple[Corpus, Data]:
    """The corpus that was asked for, or that of the saved run, which must be the same."""
    if saved is None:
        corpus = load_corpus(options.corpus, chosen.reserved)
        return corpus, prepare(corpus, chosen)
    corpus = load_corpus(options.corpus or saved.source, chosen.reserved)
    saved.check_corpus(corpus)
    data = prepare(corpus, chosen)
    check_vocabulary(saved.vocabulary, data.vocabulary, saved.path)
    return corpus, data


def describe(training: Training) -> list[str]:
    """The model, what trains it, and what it costs to know nothing."""
    chosen, symbols = training.chosen, len(training.data.vocabulary)
    weights = sum(math.prod(parameter.shape) for parameter in training.model.parameters)
    return [
        f"{chosen.cell} of {chosen.hidden}, embedding {chosen.embedding}: {weights:,} weights",
        f"{chosen.max_sentence} steps, {chosen.feed} feed, batch {chosen.batch}, {training.solver}",
        f"backend {training.graph.machine.backend}",
        f"knowing nothing costs {math.log(symbols):.3f} nats per character (all {symbols} equally likely)",
    ]


def find_saved_run(options: Options) -> SavedRun | None:
    """The run to resume, if any."""
    if options.resume is None:
        return None
    if options.resume != "auto":
        return load_run(options.resume)
    path = options.checkpoint
    return load_run(path) if path is not None and path.exists() else None


def observe(training: Training, corpus: Corpus, options: Options, checkpoint: Path | None) -> int:
    """Train under a reporter's eyes, save, draw."""

    def save() -> None:
        if checkpoint is not None:
            training.check_weights()
            save_run(checkpoint, training, corpus, options.tensors)

    before = training.model.decoder.w.value
    position, is_resumed = training.position, bool(training.position.sentences)
    epochs, seconds = options.limits(training.chosen.preset)
    total = None if seconds else epochs * len(training.data.train)
    if options.metrics is not None and is_resumed:
        cut_back(options.metrics, position.sentences)
    with (
        Interruption() as interruption,
        Metrics(options.metrics, append=is_resumed) as metrics,
        open_progress(options.progress, sys.stderr, total, done=position.sentences) as progress,
    ):
        reporter = Reporter(training, options, progress, metrics, save)
        run(training, Limits(epochs, seconds, options.patience), reporter, interruption)
    if options.plot_dir is not None:
        draw_run(options.plot_dir, before, training.model.decoder.w.value, reporter.curve)
    if interruption.signal is None:
        return 0
    saved = f"saved to {str(checkpoint)!r}" if checkpoint else "nothing was saved (--checkpoint FILE)"
    return fail(PROGRAM, 128 + interruption.signal, f"interrupted; {saved}")


def write(options: Options, prompt: str) -> int:
    """Continue a prompt with a saved model."""
    saved = load_run(str(options.resume))
    seed = options.given.get("seed", saved.hyperparameters.seed)
    check_same(saved.hyperparameters, {k: v for k, v in options.given.items() if k != "seed"}, saved.path)
    symbols = saved.vocabulary.encode(prompt)
    model = build_model(len(saved.vocabulary), saved.hyperparameters, options.backend)
    saved.checkpoint.restore(model.parameters)
    generator = generator_for(seed, SAMPLES)
    written = Sampler(model).write(symbols, options.temperature, generator, options.length)
    print(make_visible(START + prompt) + saved.vocabulary.decode(written))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):  # an old terminal gets escapes for what it cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
