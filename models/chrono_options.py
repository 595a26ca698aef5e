"""The options of `chrono_experiment.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from command_line import Parser, UsageError, number
from corpus import NAMES
from options import BACKENDS
from recurrent import GATED

TaskName = Literal["copy", "adding", "text"]
TASKS: tuple[TaskName, ...] = get_args(TaskName)
COUNT = 3  # symbols to copy
FORMS = (".csv", ".json")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the figures depend on.

    Attributes:
        tasks, cells, delays: each is tried with each; text has one length of its own.
        seeds: how many; the first is `seed`.
        updates: of the solver, in each run.
        learn_rate: of Adam.
        corpus: of the text; None for the default.
    """

    tasks: tuple[TaskName, ...] = TASKS
    cells: tuple[Literal["lstm", "gru"], ...] = GATED
    delays: tuple[int, ...] = (20, 50, 100)
    seeds: int = 3
    seed: int = 0
    updates: int = 1000
    hidden: int = 48
    batch: int = 32
    learn_rate: float = 0.01
    corpus: str | None = None


QUICK = {"delays": (10, 30), "seeds": 2, "updates": 60, "hidden": 16, "batch": 16}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The whole command."""

    setting: Setting
    backend: str
    plot: Path | None
    metrics: Path | None
    is_quiet: bool


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        UsageError: one line saying what is wrong.
    """
    values = vars(_parser().parse_args(arguments))
    rest = {name: values.pop(name) for name in ("backend", "plot", "metrics", "is_quiet")}
    preset = QUICK if values.pop("quick") else {}
    given = {name: value for name, value in values.items() if value is not None}
    options = Options(setting=Setting(**{**preset, **given}), **rest)
    if options.metrics is not None and options.metrics.suffix not in FORMS:
        raise UsageError(f"--metrics {str(options.metrics)!r}: the name must end in {' or '.join(FORMS)}")
    if options.setting.corpus is not None and "text" not in options.setting.tasks:
        raise UsageError("--corpus is for the text, which is not among --tasks")
    return options


def _parser() -> Parser:
    count = number(int, 1)
    parser = Parser(
        prog="chrono_experiment.py",
        description="Gated cells with chrono biases against zero biases: the same weights, the same batches, and what "
        "is learnt after the same number of updates. The table goes to stdout, progress to stderr.",
        epilog="In parentheses: what holds where the option is not given. Exit codes: 0, 1 training diverged, 2 usage, "
        "3 bad data or a file that cannot be written, 130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it runs, not who wins")
    parser.add_argument("--tasks", type=_list_of(_one_of(TASKS)), metavar="LIST", help="(copy,adding,text)")
    parser.add_argument("--cells", type=_list_of(_one_of(GATED)), metavar="LIST", help="(lstm,gru)")
    parser.add_argument(
        "--delays",
        type=_list_of(number(int, COUNT, 2000)),
        metavar="LIST",
        help="steps over which is remembered, for copy and adding (20,50,100)",
    )
    parser.add_argument("--seeds", type=count, metavar="N", help="runs of each kind (3)")
    parser.add_argument("--seed", type=number(int, 0), metavar="N", help="the first of the seeds (0)")
    parser.add_argument("--updates", type=count, metavar="N", help="of the weights in a run (1000)")
    parser.add_argument("--hidden", type=count, metavar="N", help="size of the state (48)")
    parser.add_argument("--batch", type=count, metavar="N", help="sequences for one update (32)")
    parser.add_argument("--learn-rate", type=number(float, 0), metavar="X", help="of Adam (0.01)")
    parser.add_argument(
        "--corpus",
        metavar="NAME",
        help=f"of the text: {', '.join(NAMES)} (standard input), or the path of a UTF-8 text; Shakespeare where it is "
        "installed, else builtin",
    )
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="what runs the graphs (auto)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the losses: .svg, .png or .pdf (matplotlib)")
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="every run: .json with its curve, or .csv")
    parser.add_argument("--quiet", dest="is_quiet", action="store_true", help="no progress")
    return parser


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(choices)}")
        return text

    return convert


def _list_of(convert_one: Callable[[str], object]) -> Callable[[str], tuple[object, ...]]:
    def convert(text: str) -> tuple[object, ...]:
        found = tuple(convert_one(part.strip()) for part in text.split(","))
        if len(set(found)) < len(found):
            raise argparse.ArgumentTypeError(f"{text!r} names one of them twice")
        return found

    return convert
