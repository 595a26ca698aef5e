"""The hyperparameters of `char_lm_train.py`, its presets, and their options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, final, get_args

from cells import Activation, BiasInit, Kind
from command_line import UsageError, number
from options import SOLVER_DEFAULTS, SOLVER_OPTIONS, Chosen, Command, add_data, add_solver
from vocabulary import Choice

Preset = Literal["minute", "book-rnn", "book-lstm"]
Loss = Literal["mean", "steps", "sum"]
Weights = Literal["glorot", "he"]
DecoderInit = Literal["random", "zero"]
FirstState = Literal["zeros", "one"]


HALVING = 8_000_000  # characters


@final
@dataclass(frozen=True, kw_only=True)
class Hyperparameters(Chosen):
    """What a run's numbers depend on besides the corpus.

    Attributes:
        validation: the held-out share, the end of the text; None is 5 %, at most 40,000 characters.
        activation: of the plain RNN.
        tied: whether the decoder's weights are the embedding's.
        weights: `glorot`, or `he` as in the book: matrices N(0, 2 / inputs), embedding uniform in +-0.5 / its size.
        first_state: zeros, or 1 in each vector's first element.
        batch: how many streams of text are read side by side.
        bptt: steps of a window, at whose edges gradients stop.
        loss: what gradients are of: the mean over steps and streams, the sum over steps of the mean over streams, or
            the sum over both.
        dropout: of what each layer hands upwards.
        decay: what the learning rate is multiplied by after each epoch; None halves it every `HALVING` characters.
        learn_rate, rho, l2_reg, clip, clip_norm: handed to the solver where they are not None; a clip of 0 is none.
    """

    LOWEST: ClassVar[Mapping[str, int]] = MappingProxyType(
        {"threshold": 1, "embedding": 1, "hidden": 1, "layers": 1, "batch": 1, "bptt": 1, "seed": 0}
    )

    preset: Preset = "minute"
    threshold: int = 1
    reserved: Choice = "error"
    validation: float | None = None
    cell: Kind = "lstm"
    activation: Activation = "tanh"
    embedding: int = 64
    hidden: int = 256
    layers: int = 1
    tied: bool = False
    decoder_bias: bool = True
    decoder_init: DecoderInit = "random"
    weights: Weights = "glorot"
    bias_init: BiasInit = "zero"
    first_state: FirstState = "zeros"
    batch: int = 32
    bptt: int = 32
    loss: Loss = "mean"
    dropout: float = 0.0
    decay: float | None = None
    solver: str = "adam"
    learn_rate: float | None = None
    rho: float | None = None
    l2_reg: float | None = None
    clip: float | None = None
    clip_norm: float | None = None
    seed: int = 0

    @property
    def state_names(self) -> tuple[str, ...]:
        """Of the vectors that are handed from step to step, the lowest layer's first."""
        kinds = ("hidden", "cell") if self.cell == "lstm" else ("hidden",)
        return tuple(f"{self.cell}{layer}.{kind}" for layer in range(1, self.layers + 1) for kind in kinds)

    def decay_for(self, characters: int) -> float:
        """What the learning rate is multiplied by after an epoch of so many characters.

        Example:
            >>> Hyperparameters().decay_for(4_000_000), Hyperparameters(decay=0.99).decay_for(4_000_000)
            (0.7071067811865476, 0.99)
        """
        return 0.5 ** (characters / HALVING) if self.decay is None else self.decay

    def tensor_sizes(self, symbols: int) -> dict[str, tuple[int, ...]]:
        gate = {"rnn": f"rnn{self.layers}", "lstm": f"lstm{self.layers}.input", "gru": f"gru{self.layers}.update"}
        sizes: dict[str, tuple[int, ...]] = {"embedding": (symbols, self.embedding)}
        sizes[f"{gate[self.cell]}.wh"] = (self.hidden, self.hidden)
        return sizes if self.tied else sizes | {"decoder.w": (symbols, self.hidden)}


# The chapter's two networks. Its last listing trains on all steps of a window, the first one by mistake on the last.
BOOK = {
    "embedding": 512,
    "hidden": 512,
    "validation": 0.0,
    "weights": "he",
    "loss": "steps",
    "decay": 0.99,
    "solver": "vanilla",
    "learn_rate": 0.05,
}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "minute": {"cell": "gru", "solver": "adam", "learn_rate": 0.003, "clip_norm": 1.0},
    "book-rnn": {**BOOK, "cell": "rnn", "activation": "sigmoid", "batch": 32, "bptt": 16},
    "book-lstm": {
        **BOOK,
        "cell": "lstm",
        "batch": 16,
        "bptt": 25,
        "decoder_bias": False,
        "decoder_init": "zero",
        "first_state": "one",
    },
}


def new_hyperparameters(given: Mapping[str, Any]) -> Hyperparameters:
    """Preset, then the defaults of another solver than the preset's, then what was given.

    Raises:
        UsageError: they do not go together.
    """
    values = dict(PRESETS[given.get("preset", "minute")])
    usual = values.get("solver", Hyperparameters.solver)
    if given.get("solver", usual) != usual:
        values = {name: value for name, value in values.items() if name not in SOLVER_OPTIONS}
        values |= SOLVER_DEFAULTS[given["solver"]]
    chosen = Hyperparameters(**{**values, **given})
    if chosen.tied and chosen.embedding != chosen.hidden:
        raise UsageError(
            f"--tied needs an embedding as large as the hidden state, and these are {chosen.embedding} and "
            f"{chosen.hidden}: give --embedding and --hidden the same number"
        )
    if chosen.tied and chosen.decoder_init == "zero":
        raise UsageError("--tied decoders are the embedding: --decoder-init zero would be an embedding of zeros")
    if chosen.bias_init == "chrono" and chosen.cell == "rnn":
        raise UsageError("--bias-init chrono is for gates, and --cell rnn has none")
    return chosen


def _add_model(parser: argparse.ArgumentParser) -> None:
    count = number(int, 1)
    model = parser.add_argument_group("model")
    model.add_argument(
        "--preset",
        choices=get_args(Preset),
        help="minute: learns best in the first minute; book-rnn, book-lstm: the chapter's networks of 512, trained by "
        "gradient descent on all steps of a window, rate 0.05, times 0.99 after each epoch, 100 epochs",
    )
    model.add_argument("--cell", choices=get_args(Kind), help="(gru; books: rnn, lstm)")
    model.add_argument("--activation", choices=get_args(Activation), help="of --cell rnn (tanh; book-rnn: sigmoid)")
    model.add_argument("--embedding", type=count, metavar="N", help="(64; books: 512)")
    model.add_argument("--hidden", type=count, metavar="N", help="(256; books: 512)")
    model.add_argument("--layers", type=count, metavar="N", help="(1)")
    flag = argparse.BooleanOptionalAction
    model.add_argument("--tied", action=flag, help="the decoder's weights are the embedding's (no)")
    model.add_argument("--decoder-bias", action=flag, help="(yes; book-lstm: no)")
    model.add_argument("--decoder-init", choices=get_args(DecoderInit), help="(random; book-lstm: zero)")
    model.add_argument("--weights", choices=get_args(Weights), help="at first: Glorot's, or the book's (glorot)")
    model.add_argument("--bias-init", choices=get_args(BiasInit), help="of the gates (zero)")
    model.add_argument(
        "--first-state", choices=get_args(FirstState), help="zeros, or 1 in the first element (zeros; book-lstm: one)"
    )


def add_hyperparameters(parser: argparse.ArgumentParser) -> None:
    """Add their options; where one is not given, it is None."""
    _add_model(parser)
    learning = parser.add_argument_group("learning")
    streams = "streams of text that are read side by side (32; book-lstm: 16)"
    learning.add_argument("--batch", type=number(int, 1), metavar="N", help=streams)
    steps = "steps of a window, at whose edges gradients stop (32; book-rnn: 16, book-lstm: 25)"
    learning.add_argument("--bptt", type=number(int, 1, 1000), metavar="T", help=steps)
    learning.add_argument(
        "--loss",
        choices=get_args(Loss),
        help="what gradients are of: the mean over a window's steps and streams, the sum over steps of the mean over "
        "streams, or the sum over both (mean; books: steps)",
    )
    fraction = number(float, 0, 1, open_end=True)
    learning.add_argument("--dropout", type=fraction, metavar="P", help="of what each layer hands upwards (0)")
    learning.add_argument(
        "--decay",
        type=number(float, 0, 1),
        metavar="X",
        help="factor of the learning rate in each epoch (halves it with every 8 million characters; books: 0.99)",
    )
    add_solver(
        learning,
        usual="adam; books: vanilla",
        rate="0.003; books: 0.05",
        rho="0.98",
        l2_reg="(0; 1e-6 with RMSProp)",
        clip="none",
        clip_norm="1; books: none",
    )
    add_data(parser, "0.05, at most 40,000 characters; books: 0")


COMMAND = Command(
    name="char_lm_train.py",
    description="Train a character language model, an RNN, LSTM or GRU, on running text, and let it write.",
    kind=Hyperparameters,
    add_hyperparameters=add_hyperparameters,
    epochs=100,
    samples=1,
)
