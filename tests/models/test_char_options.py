"""Options of the character model: the presets' figures, what is refused, and what a resumed run may change."""

from __future__ import annotations

import pytest

import options
from char_options import COMMAND, Hyperparameters, new_hyperparameters
from command_line import UsageError
from options import SOLVERS, check_same, names_of

BOOK = {
    "embedding": 512, "hidden": 512, "layers": 1, "solver": "vanilla", "learn_rate": 0.05, "decay": 0.99,
    "loss": "steps", "validation": 0.0, "dropout": 0.0, "tied": False, "weights": "he", "clip": None,
    "clip_norm": None, "l2_reg": None, "threshold": 1,
}  # fmt: skip
BOOK_RNN = {
    **BOOK, "cell": "rnn", "activation": "sigmoid", "batch": 32, "bptt": 16, "decoder_bias": True,
    "decoder_init": "random", "first_state": "zeros",
}  # fmt: skip
BOOK_LSTM = {
    **BOOK, "cell": "lstm", "bias_init": "zero", "batch": 16, "bptt": 25, "decoder_bias": False,
    "decoder_init": "zero", "first_state": "one",
}  # fmt: skip


def parse_options(arguments):
    return options.parse_options(arguments, COMMAND)


def chosen(*arguments):
    return new_hyperparameters(parse_options(arguments).given)


@pytest.mark.parametrize(("preset", "figures"), [("book-rnn", BOOK_RNN), ("book-lstm", BOOK_LSTM)])
def test_the_book_s_presets_are_the_chapter_s(preset, figures):
    book = chosen("--preset", preset)
    assert {name: getattr(book, name) for name in figures} == figures
    assert book.make_solver().state_dict()["options"] == {
        "learn_rate": 0.05, "l1_reg": 0.0, "l2_reg": 0.0, "clip": None, "batch_size": 1, "clip_norm": None,
    }  # fmt: skip
    assert parse_options(["--preset", preset]).limits(preset) == (100, None)


def test_the_default_is_what_was_measured_to_learn_best_in_a_minute():
    usual = chosen()
    assert (usual.cell, usual.hidden, usual.embedding, usual.layers) == ("gru", 256, 64, 1)
    assert (usual.batch, usual.bptt, usual.loss, usual.dropout, usual.decay) == (32, 32, "mean", 0.0, None)
    assert (usual.solver, usual.learn_rate, usual.clip, usual.clip_norm) == ("adam", 0.003, None, 1.0)


def test_what_is_given_goes_before_the_preset():
    book = chosen("--preset", "book-lstm", "--cell", "gru", "--batch", "4", "--decoder-bias", "--learn-rate", "1")
    assert (book.cell, book.batch, book.decoder_bias, book.learn_rate, book.bptt) == ("gru", 4, True, 1.0, 25)
    assert chosen("--preset", "book-rnn", "--no-decoder-bias").decoder_bias is False
    adam = chosen("--preset", "book-rnn", "--solver", "adam")  # with the usual rate of that solver
    assert (adam.solver, adam.learn_rate, adam.decay) == ("adam", 0.01, 0.99)


def test_the_default_run_is_stopped_by_the_clock_unless_its_length_is_given():
    assert parse_options([]).limits("minute") == (100, 45.0)
    assert parse_options(["--epochs", "2"]).limits("minute") == (2, None)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_every_solver_has_defaults_that_it_uses(solver):
    assert type(chosen("--solver", solver).make_solver()) is SOLVERS[solver]


def test_greedy_is_temperature_0():
    assert parse_options(["--greedy"]).temperature == 0.0
    assert parse_options([]).temperature == 0.7
    with pytest.raises(UsageError, match="--greedy is --temperature 0"):
        parse_options(["--greedy", "--temperature", "1"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bptt", "0"], "'0' is not a whole number from 1"),
        (["--batch", "0"], "'0' is not a whole number from 1"),
        (["--hidden", "1.5"], "is not a whole number"),
        (["--layers", "-1"], "is not a whole number"),
        (["--dropout", "1"], "is not a number from 0 to below 1"),
        (["--decay", "1.5"], "is not a number from 0 to 1"),
        (["--top-k", "0"], "is not a whole number from 1"),
        (["--cell", "transformer"], "invalid choice"),
        (["--tied"], "needs an embedding as large as the hidden state, and these are"),
        (["--preset", "book-lstm", "--tied"], "would be an embedding of zeros"),
        (["--cell", "rnn", "--bias-init", "chrono"], "is for gates"),
        (["--sample", "x"], "--sample needs --resume FILE"),
    ],
)
def test_refused_on_one_line(arguments, message):
    with pytest.raises(UsageError, match=message) as caught:
        chosen(*arguments)
    assert "\n" not in str(caught.value)


def test_a_resumed_run_keeps_its_hyperparameters():
    saved = chosen("--hidden", "8", "--tied", "--embedding", "8")
    check_same(saved, {"hidden": 8, "tied": True}, "run.json")
    for name in names_of(Hyperparameters):
        option = "--" + name.replace("_", "-")
        with pytest.raises(UsageError, match=f"{option} other differs from the checkpoint 'run.json'"):
            check_same(saved, {name: "other"}, "run.json")
