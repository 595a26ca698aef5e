"""The options of `s2s_train.py`: what makes a run what it is (Hyperparameters), and how it is looked at and saved.

Hyperparameters go into the checkpoint. A resumed run takes them from there; giving another one explicitly is an error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import graphflow as gf
from command_line import Parser, UsageError, number
from corpus import NAMES, SPLITS, Split
from progress import MODES, Mode
from s2s_model import BiasInit, Cell, Feed
from vocabulary import Choice

Preset = Literal["minute", "book"]
Padding = Literal["ignored", "counted"]
BACKENDS = ("auto", "numpy", "native")
TENSORS: Mapping[str, Literal["base64", "lists"]] = {"base64": "base64", "numbers": "lists"}

MINUTE_SECONDS = 45.0  # with loading and compiling, a run of this length ends within a minute
EPOCHS = 300


SOLVERS: Mapping[str, Callable[..., gf.Solver]] = {
    "adagrad": gf.AdaGradSolver,
    "adam": gf.AdamSolver,
    "adamw": gf.AdamWSolver,
    "barzilai-borwein": gf.BarzilaiBorweinSolver,
    "momentum": gf.MomentumSolver,
    "rmsprop": gf.RMSPropSolver,
    "vanilla": gf.VanillaSolver,
}
# Where --solver is given and nothing else; clip keeps the early steps of the plain ones from leaping away.
SOLVER_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "adagrad": {"learn_rate": 0.05},
    "adam": {"learn_rate": 0.01},
    "adamw": {"learn_rate": 0.01},
    "barzilai-borwein": {},
    "momentum": {"learn_rate": 0.01, "clip": 5.0},
    "rmsprop": {"learn_rate": 0.01, "rho": 0.98, "l2_reg": 1e-6, "clip": 5.0},
    "vanilla": {"learn_rate": 0.1, "clip": 5.0},
}
SOLVER_OPTIONS = ("learn_rate", "rho", "l2_reg", "clip", "clip_norm")


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What a run's numbers depend on besides the corpus.

    Attributes:
        validation: the held-out share; None is 5 %, at most 1,000 sentences.
        padding: whether steps beyond a sentence's end count in the cost.
        learn_rate, rho, l2_reg, clip, clip_norm: handed to the solver where they are not None; a clip of 0 is none.
    """

    preset: Preset = "minute"
    split: Split = "words"
    threshold: int = 1
    reserved: Choice = "error"
    validation: float | None = None
    max_sentence: int = 30
    cell: Cell = "lstm"
    feed: Feed = "teacher"
    bias_init: BiasInit = "zero"
    padding: Padding = "ignored"
    hidden: int = 100
    embedding: int = 20
    batch: int = 32
    solver: str = "rmsprop"
    learn_rate: float | None = None
    rho: float | None = None
    l2_reg: float | None = None
    clip: float | None = None
    clip_norm: float | None = None
    seed: int = 0

    def make_solver(self) -> gf.Solver:
        """The solver with its options.

        Raises:
            OptionError: an option that it does not use, or out of range.
        """
        given = {name: getattr(self, name) for name in SOLVER_OPTIONS}
        used = {n: v for n, v in given.items() if v is not None and not (n.startswith("clip") and v == 0)}
        return SOLVERS[self.solver](**used)


LOWEST = {"threshold": 1, "max_sentence": 2, "hidden": 1, "embedding": 1, "batch": 1, "seed": 0}
BOOK = {"feed": "soft", "padding": "counted", "batch": 1, "solver": "rmsprop"}
BOOK_SOLVER = {"learn_rate": 0.01, "rho": 0.999, "l2_reg": 1e-6, "clip": 5.0}
HYPERPARAMETERS = tuple(field.name for field in fields(Hyperparameters))


@dataclass(frozen=True, kw_only=True)
class Options:
    """The whole command.

    Attributes:
        given: the hyperparameters that were written in the command, by name.
        max_seconds: None for no limit.
    """

    given: Mapping[str, Any]
    corpus: str | None
    epochs: int | None
    max_seconds: float | None
    patience: int | None
    checkpoint: Path | None
    save_every: float
    tensors: Literal["base64", "lists"]
    resume: str | None
    sample: str | None
    temperature: float
    length: int
    report_every: float
    samples: int
    progress: Mode
    metrics: Path | None
    plot_dir: Path | None
    render: Path | None
    backend: str

    def limits(self, preset: Preset) -> tuple[int, float | None]:
        """How many epochs, and how many seconds at most.

        The default run is stopped by the clock, unless its length is given in epochs.
        """
        by_clock = self.epochs is None and self.max_seconds is None and preset == "minute"
        seconds = MINUTE_SECONDS if by_clock else self.max_seconds
        return EPOCHS if self.epochs is None else self.epochs, seconds or None


def new_hyperparameters(given: Mapping[str, Any]) -> Hyperparameters:
    """Preset, then the solver's own defaults, then what was given."""
    preset = given.get("preset", "minute")
    values: dict[str, Any] = dict(BOOK) if preset == "book" else {}
    solver = given.get("solver", "rmsprop")
    is_book = preset == "book" and solver == "rmsprop"
    return Hyperparameters(**{**values, **(BOOK_SOLVER if is_book else SOLVER_DEFAULTS[solver]), **given})


def check_same(saved: Hyperparameters, given: Mapping[str, Any], path: str) -> None:
    """Refuse to resume with other hyperparameters than the checkpoint's.

    Raises:
        UsageError: naming the first that differs.
    """
    for name, value in given.items():
        if getattr(saved, name) != value:
            option = "--" + name.replace("_", "-")
            raise UsageError(
                f"{option} {value} differs from the checkpoint {path!r}, which was trained with "
                f"{getattr(saved, name)}; leave {option} out, or start anew without --resume"
            )


# --- the command line ----------------------------------------------------------------------------------------------


def _add_hyperparameters(parser: argparse.ArgumentParser) -> None:
    count, rate = number(int, 1), number(float, 0)
    model = parser.add_argument_group("model")
    model.add_argument(
        "--preset",
        choices=get_args(Preset),
        help="minute: learns best in the first minute; book: the "
        "chapter's: soft feedback, batch 1, padding counted, RMSProp with rho 0.999, 300 epochs",
    )
    model.add_argument("--cell", choices=get_args(Cell), help="(lstm)")
    model.add_argument(
        "--feed",
        choices=get_args(Feed),
        help="what a step is given: the true character before it, or "
        "the mixture the step before predicted (teacher; book: soft)",
    )
    model.add_argument("--bias-init", choices=get_args(BiasInit), help="(zero)")
    model.add_argument("--hidden", type=count, metavar="N", help="(100)")
    model.add_argument("--embedding", type=count, metavar="N", help="(20)")
    model.add_argument(
        "--max-sentence",
        type=number(int, 2, 1000),
        metavar="T",
        help="steps of the graph (30); a sentence has at most T - 1 characters",
    )
    model.add_argument(
        "--padding", choices=get_args(Padding), help="steps beyond the end, in the cost (ignored; book: counted)"
    )
    learning = parser.add_argument_group("learning")
    learning.add_argument("--batch", type=count, metavar="N", help="sentences for one step of the solver (32; book: 1)")
    learning.add_argument("--solver", choices=tuple(SOLVERS), help="(rmsprop)")
    learning.add_argument("--learn-rate", type=rate, metavar="X", help="(0.01)")
    learning.add_argument(
        "--rho", type=number(float, 0, 1, open_end=True), metavar="X", help="memory of RMSProp (0.98; book: 0.999)"
    )
    learning.add_argument("--l2-reg", type=rate, metavar="X", help="1e-6 with RMSProp, else 0")
    learning.add_argument("--clip", type=rate, metavar="X", help="bound of each element of the gradient (5; 0: none)")
    learning.add_argument("--clip-norm", type=rate, metavar="X", help="bound of the gradient's length (none)")
    learning.add_argument("--seed", type=number(int, 0), metavar="N", help="of weights, order and samples (0)")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--corpus",
        metavar="NAME",
        help=f"{', '.join(NAMES)} (standard input), or the path of a UTF-8 "
        "text; Shakespeare where it is installed, else builtin",
    )
    data.add_argument("--split", choices=SPLITS, help="how sentences that are too long are cut (words)")
    data.add_argument("--threshold", type=count, metavar="N", help="drop characters that occur less often (1)")
    data.add_argument("--reserved", choices=get_args(Choice), help="characters 0x02 to 0x04 in the text (error)")
    data.add_argument(
        "--validation",
        type=number(float, 0, 1, open_end=True),
        metavar="SHARE",
        help="held out of the training (0.05, at most 1,000 sentences)",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    seconds = number(float, 0)
    length = parser.add_argument_group("length of the run")
    length.add_argument("--epochs", type=number(int, 0), metavar="N", help=f"({EPOCHS})")
    length.add_argument(
        "--max-seconds",
        type=seconds,
        metavar="S",
        help=f"of training; 0: no limit ({MINUTE_SECONDS:g}; none with --epochs or --preset book)",
    )
    length.add_argument(
        "--patience",
        type=number(int, 1),
        metavar="N",
        help="stop after N epochs in which the held-out loss did not fall (never)",
    )
    saving = parser.add_argument_group("saving")
    saving.add_argument("--checkpoint", type=Path, metavar="FILE", help="save the run here (with --resume FILE: FILE)")
    saving.add_argument(
        "--save-every",
        type=seconds,
        metavar="S",
        default=30.0,
        help="seconds between two savings (30; 0: after every batch); the run is also saved when it stops",
    )
    saving.add_argument(
        "--resume",
        metavar="FILE|auto",
        help="go on from a checkpoint, exactly as if the run had never "
        "stopped; auto: from --checkpoint if that exists, else anew",
    )
    saving.add_argument("--tensors", choices=tuple(TENSORS), default="base64", help="how weights are written (base64)")


def _add_showing(parser: argparse.ArgumentParser) -> None:
    seconds = number(float, 0)
    showing = parser.add_argument_group("showing")
    showing.add_argument(
        "--report-every",
        type=seconds,
        metavar="S",
        default=5.0,
        help="seconds between two reports on stdout (5; 0: at each epoch's end and only there)",
    )
    showing.add_argument("--samples", type=number(int, 0), metavar="N", default=3, help="lines of text in a report (3)")
    showing.add_argument(
        "--temperature",
        type=number(float, 0),
        metavar="T",
        default=0.7,
        help="of samples: 0 takes the most probable character, 1 the model's own distribution, more is wilder (0.7)",
    )
    running = parser.add_argument_group("running")
    running.add_argument("--backend", choices=BACKENDS, default="auto", help="what runs the graph (auto)")
    showing.add_argument("--progress", choices=MODES, default="auto", help="on stderr (auto)")
    showing.add_argument("--metrics", type=Path, metavar="FILE", help="figures as JSON Lines")
    showing.add_argument(
        "--plot-dir", type=Path, metavar="DIR", help="heat map of the decoder, loss curve (matplotlib)"
    )
    showing.add_argument("--render", type=Path, metavar="FILE", help="draw two of the T steps: .svg, .png or .pdf")
    sampling = parser.add_argument_group("sampling without training")
    sampling.add_argument("--sample", metavar="TEXT", help="continue TEXT with the model of --resume FILE, up to END")
    sampling.add_argument("--length", type=number(int, 1), metavar="N", default=200, help="characters at most (200)")


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        UsageError: one line saying what is wrong.
    """
    parser = Parser(
        prog="s2s_train.py",
        description="Train the 30-step LSTM or GRU of the Gorgonia book's chapter on text, and let it write. Results "
        "go to stdout, progress to stderr. Exit codes: 0, 1 training diverged, 2 usage, 3 bad data or checkpoint, "
        "130 interrupted, after saving.",
        epilog="In parentheses: what holds where the option is not given.",
        allow_abbrev=False,
    )
    _add_hyperparameters(parser)
    _add_run(parser)
    _add_showing(parser)
    values = vars(parser.parse_args(arguments))
    given = {name: value for name in HYPERPARAMETERS if (value := values.pop(name)) is not None}
    values["tensors"] = TENSORS[values["tensors"]]
    options = Options(given=given, **values)
    _check_together(options)
    return options


def _check_together(options: Options) -> None:
    if options.resume == "auto" and options.checkpoint is None:
        raise UsageError("--resume auto needs --checkpoint FILE")
    if options.sample is not None and options.resume in (None, "auto"):
        raise UsageError("--sample needs --resume FILE: a trained model")
