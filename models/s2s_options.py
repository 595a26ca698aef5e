"""The hyperparameters of `s2s_train.py`, its presets, and their options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, final, get_args

from cells import BiasInit
from command_line import number
from corpus import SPLITS, Split
from options import SOLVER_DEFAULTS, Chosen, Command, add_data, add_solver
from s2s_model import Feed, Gated
from vocabulary import Choice

Preset = Literal["minute", "book"]
Padding = Literal["ignored", "counted"]


@final
@dataclass(frozen=True, kw_only=True)
class Hyperparameters(Chosen):
    """What a run's numbers depend on besides the corpus.

    Attributes:
        validation: the held-out share; None is 5 %, at most 1,000 sentences.
        padding: whether steps beyond a sentence's end count in the cost.
        learn_rate, rho, l2_reg, clip, clip_norm: handed to the solver where they are not None; a clip of 0 is none.
    """

    LOWEST: ClassVar[Mapping[str, int]] = MappingProxyType(
        {"threshold": 1, "max_sentence": 2, "hidden": 1, "embedding": 1, "batch": 1, "seed": 0}
    )

    preset: Preset = "minute"
    split: Split = "words"
    threshold: int = 1
    reserved: Choice = "error"
    validation: float | None = None
    max_sentence: int = 30
    cell: Gated = "lstm"
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

    def tensor_sizes(self, symbols: int) -> dict[str, tuple[int, ...]]:
        return {"embedding": (symbols, self.embedding), "decoder.w": (symbols, self.hidden)}


BOOK = {"feed": "soft", "padding": "counted", "batch": 1, "solver": "rmsprop"}
BOOK_SOLVER = {"learn_rate": 0.01, "rho": 0.999, "l2_reg": 1e-6, "clip": 5.0}


def new_hyperparameters(given: Mapping[str, Any]) -> Hyperparameters:
    """Preset, then the solver's own defaults, then what was given."""
    preset = given.get("preset", "minute")
    values: dict[str, Any] = dict(BOOK) if preset == "book" else {}
    solver = given.get("solver", "rmsprop")
    is_book = preset == "book" and solver == "rmsprop"
    return Hyperparameters(**{**values, **(BOOK_SOLVER if is_book else SOLVER_DEFAULTS[solver]), **given})


def add_hyperparameters(parser: argparse.ArgumentParser) -> None:
    """Add their options; where one is not given, it is None."""
    count = number(int, 1)
    model = parser.add_argument_group("model")
    model.add_argument(
        "--preset",
        choices=get_args(Preset),
        help="minute: learns best in the first minute; book: the "
        "chapter's: soft feedback, batch 1, padding counted, RMSProp with rho 0.999, 300 epochs",
    )
    model.add_argument("--cell", choices=get_args(Gated), help="(lstm)")
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
    add_solver(
        learning,
        usual="rmsprop",
        rate="0.01",
        rho="0.98; book: 0.999",
        l2_reg="1e-6 with RMSProp, else 0",
        clip="5",
        clip_norm="none",
    )
    data = add_data(parser, "0.05, at most 1,000 sentences")
    data.add_argument("--split", choices=SPLITS, help="how sentences that are too long are cut (words)")


COMMAND = Command(
    name="s2s_train.py",
    description="Train the 30-step LSTM or GRU of the Gorgonia book's chapter on text, and let it write.",
    kind=Hyperparameters,
    add_hyperparameters=add_hyperparameters,
    epochs=300,
    samples=3,
)
