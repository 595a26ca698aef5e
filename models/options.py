"""The options that all training programs have: solvers, the length of a run, saving, showing, sampling.

What makes a run what it is are its hyperparameters; each program has a class of them (`s2s_options.py`,
`char_options.py`). They go into the checkpoint. A resumed run takes them from there; giving another one explicitly is
an error.
"""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import graphflow as gf
from command_line import Parser, UsageError, number
from corpus import NAMES
from progress import MODES, Mode
from vocabulary import Choice

BACKENDS = ("auto", "numpy", "native")
TENSORS: Mapping[str, Literal["base64", "lists"]] = {"base64": "base64", "numbers": "lists"}

TEMPERATURE = 0.7
MINUTE_SECONDS = 45.0  # with loading and compiling, a run of this length ends within a minute


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


class Chosen(ABC):
    """Hyperparameters: what a run's numbers depend on besides the corpus. A program has a frozen dataclass of its own.

    Attributes:
        LOWEST: of each whole number.
        preset: `minute` where a run is stopped by the clock.
        reserved: what to do about characters that stand for START, END and BLANK.
        solver: by name; the solver's options are handed to it where they are not None, a clip of 0 is none.
        seed: of weights, order and samples.
    """

    LOWEST: ClassVar[Mapping[str, int]]
    preset: str
    reserved: Choice
    solver: str
    seed: int

    @abstractmethod
    def tensor_sizes(self, symbols: int) -> dict[str, tuple[int, ...]]:
        """Shapes by name of some tensors that a checkpoint holds; sizes of the others follow from them."""

    def make_solver(self) -> gf.Solver:
        """The solver with its options.

        Raises:
            OptionError: an option that it does not use, or out of range.
        """
        given = {name: getattr(self, name) for name in SOLVER_OPTIONS}
        used = {n: v for n, v in given.items() if v is not None and not (n.startswith("clip") and v == 0)}
        return SOLVERS[self.solver](**used)

    def as_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {name: getattr(self, name) for name in names_of(type(self))}


def names_of(kind: type[Chosen]) -> tuple[str, ...]:
    """The names of the hyperparameters."""
    return tuple(field.name for field in fields(kind))  # type: ignore[arg-type]  # each is a dataclass


@dataclass(frozen=True)
class Command:
    """What differs between the programs' command lines.

    Attributes:
        name: of the program's file.
        description: for --help.
        kind: of the hyperparameters.
        add_hyperparameters: gives the parser their options.
        epochs, samples: where nothing is given: how long a run is, and how many samples a report has.
    """

    name: str
    description: str
    kind: type[Chosen]
    add_hyperparameters: Callable[[argparse.ArgumentParser], None]
    epochs: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class Options:
    """The whole command.

    Attributes:
        given: the hyperparameters that were written in the command, by name.
        max_seconds: None for no limit.
        top_k: sample from so many of the most probable characters; None for all.
    """

    given: Mapping[str, Any]
    corpus: str | None
    epochs: int
    is_length_given: bool
    max_seconds: float | None
    patience: int | None
    checkpoint: Path | None
    save_every: float
    tensors: Literal["base64", "lists"]
    resume: str | None
    sample: str | None
    temperature: float
    top_k: int | None
    length: int
    report_every: float
    samples: int
    progress: Mode
    metrics: Path | None
    plot_dir: Path | None
    render: Path | None
    backend: str
    accumulate: int
    deterministic_shards: int | None

    def silenced(self) -> Options:
        """The same for a process that writes nothing."""
        return replace(self, progress="none", metrics=None, plot_dir=None, render=None)

    def limits(self, preset: str) -> tuple[int, float | None]:
        """How many epochs, and how many seconds at most.

        The default run is stopped by the clock, unless its length is given in epochs.
        """
        by_clock = not self.is_length_given and self.max_seconds is None and preset == "minute"
        seconds = MINUTE_SECONDS if by_clock else self.max_seconds
        return self.epochs, seconds or None


def check_same(saved: Chosen, given: Mapping[str, Any], path: str) -> None:
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


def add_solver(
    group: argparse._ArgumentGroup, *, usual: str, rate: str, rho: str, l2_reg: str, clip: str, clip_norm: str
) -> None:
    """Add the options of solvers, each with what holds where it is not given."""
    positive = number(float, 0)
    group.add_argument("--solver", choices=tuple(SOLVERS), help=f"({usual})")
    group.add_argument("--learn-rate", type=positive, metavar="X", help=f"({rate})")
    group.add_argument("--rho", type=number(float, 0, 1, open_end=True), metavar="X", help=f"memory of RMSProp ({rho})")
    group.add_argument("--l2-reg", type=positive, metavar="X", help=l2_reg)
    group.add_argument(
        "--clip", type=positive, metavar="X", help=f"bound of each element of the gradient ({clip}; 0: none)"
    )
    group.add_argument("--clip-norm", type=positive, metavar="X", help=f"bound of the gradient's length ({clip_norm})")
    group.add_argument("--seed", type=number(int, 0), metavar="N", help="of weights, order and samples (0)")


def add_data(parser: argparse.ArgumentParser, validation: str) -> argparse._ArgumentGroup:
    """Add the options of the corpus."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "--corpus",
        metavar="NAME",
        help=f"{', '.join(NAMES)} (standard input), or the path of a UTF-8 "
        "text; Shakespeare where it is installed, else builtin",
    )
    data.add_argument("--threshold", type=number(int, 1), metavar="N", help="drop characters that occur less often (1)")
    data.add_argument("--reserved", choices=get_args(Choice), help="characters 0x02 to 0x04 in the text (error)")
    data.add_argument(
        "--validation",
        type=number(float, 0, 1, open_end=True),
        metavar="SHARE",
        help=f"held out of the training ({validation})",
    )
    return data


def _add_run(parser: argparse.ArgumentParser, epochs: int) -> None:
    seconds = number(float, 0)
    length = parser.add_argument_group("length of the run")
    length.add_argument("--epochs", type=number(int, 0), metavar="N", help=f"({epochs})")
    length.add_argument(
        "--max-seconds",
        type=seconds,
        metavar="S",
        help=f"of training; 0: no limit ({MINUTE_SECONDS:g}; none with --epochs or the preset of a book)",
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


def _add_showing(parser: argparse.ArgumentParser, samples: int) -> None:
    seconds = number(float, 0)
    showing = parser.add_argument_group("showing")
    showing.add_argument(
        "--report-every",
        type=seconds,
        metavar="S",
        default=5.0,
        help="seconds between two reports on stdout (5; 0: at each epoch's end and only there)",
    )
    showing.add_argument(
        "--samples", type=number(int, 0), metavar="N", default=samples, help=f"texts in a report ({samples})"
    )
    showing.add_argument(
        "--temperature",
        type=number(float, 0),
        metavar="T",
        help="of samples: 0 takes the most probable character, 1 the model's own distribution, more is wilder (0.7)",
    )
    showing.add_argument("--greedy", action="store_true", help="the same as --temperature 0")
    showing.add_argument(
        "--top-k", type=number(int, 1), metavar="N", help="sample from the N most probable characters only (all)"
    )
    running = parser.add_argument_group("running")
    running.add_argument("--backend", choices=BACKENDS, default="auto", help="what runs the graph (auto)")
    running.add_argument(
        "--accumulate",
        type=number(int, 1),
        metavar="K",
        default=1,
        help="parts of a batch that each process goes through one after the other (1)",
    )
    running.add_argument(
        "--deterministic-shards",
        type=number(int, 1),
        metavar="S",
        help="parts of a batch in all, added up in one order: then 1, 2 and 4 processes give the same to the last bit",
    )
    showing.add_argument("--progress", choices=MODES, default="auto", help="on stderr (auto)")
    showing.add_argument("--metrics", type=Path, metavar="FILE", help="figures as JSON Lines")
    showing.add_argument(
        "--plot-dir", type=Path, metavar="DIR", help="heat map of the decoder, loss curve, and more (matplotlib)"
    )
    showing.add_argument("--render", type=Path, metavar="FILE", help="draw two of the T steps: .svg, .png or .pdf")
    sampling = parser.add_argument_group("sampling without training")
    sampling.add_argument("--sample", metavar="TEXT", help="continue TEXT with the model of --resume FILE")
    sampling.add_argument("--length", type=number(int, 1), metavar="N", default=200, help="characters at most (200)")


def parse_options(arguments: Sequence[str], command: Command) -> Options:
    """Read the command line.

    Raises:
        UsageError: one line saying what is wrong.
    """
    parser = Parser(
        prog=command.name,
        description=f"{command.description} Results go to stdout, progress to stderr. Exit codes: 0, 1 training "
        "diverged, 2 usage, 3 bad data or checkpoint, 130 interrupted, after saving.",
        epilog="In parentheses: what holds where the option is not given.",
        allow_abbrev=False,
    )
    command.add_hyperparameters(parser)
    _add_run(parser, command.epochs)
    _add_showing(parser, command.samples)
    values = vars(parser.parse_args(arguments))
    given = {name: value for name in names_of(command.kind) if (value := values.pop(name)) is not None}
    values["tensors"] = TENSORS[values["tensors"]]
    values["is_length_given"] = values["epochs"] is not None
    values["epochs"] = command.epochs if values["epochs"] is None else values["epochs"]
    if values.pop("greedy"):
        if values["temperature"] is not None:
            raise UsageError("--greedy is --temperature 0: give one of the two")
        values["temperature"] = 0.0
    elif values["temperature"] is None:
        values["temperature"] = TEMPERATURE
    options = Options(given=given, **values)
    _check_together(options)
    return options


def _check_together(options: Options) -> None:
    if options.resume == "auto" and options.checkpoint is None:
        raise UsageError("--resume auto needs --checkpoint FILE")
    if options.sample is not None and options.resume in (None, "auto"):
        raise UsageError("--sample needs --resume FILE: a trained model")
    if options.accumulate > 1 and options.deterministic_shards is not None:
        raise UsageError("--deterministic-shards says how many parts there are: leave --accumulate out")
