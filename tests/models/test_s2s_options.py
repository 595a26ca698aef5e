"""Options: the presets, what is refused, and what a resumed run may change."""

from __future__ import annotations

import pytest

import graphflow as gf
import options
from command_line import UsageError
from options import SOLVERS, check_same, names_of
from s2s_options import COMMAND, Hyperparameters, new_hyperparameters

BOOK = {
    "preset": "book", "cell": "lstm", "feed": "soft", "bias_init": "zero", "padding": "counted", "hidden": 100,
    "embedding": 20, "max_sentence": 30, "batch": 1, "solver": "rmsprop", "learn_rate": 0.01, "rho": 0.999,
    "l2_reg": 1e-6, "clip": 5.0, "clip_norm": None, "threshold": 1,
}  # fmt: skip


def parse_options(arguments):
    return options.parse_options(arguments, COMMAND)


def chosen(*arguments):
    return new_hyperparameters(parse_options(arguments).given)


def test_the_book_preset_is_the_chapter_s():
    book = chosen("--preset", "book")
    assert {name: getattr(book, name) for name in BOOK} == BOOK
    assert book.make_solver().state_dict()["options"] == {
        "learn_rate": 0.01, "rho": 0.999, "eps": 1e-8, "l2_reg": 1e-6, "clip": 5.0, "batch_size": 1, "clip_norm": None,
    }  # fmt: skip
    assert parse_options(["--preset", "book"]).limits("book") == (300, None)


def test_what_is_given_goes_before_the_preset():
    book = chosen("--preset", "book", "--feed", "teacher", "--batch", "4", "--rho", "0.9", "--bias-init", "chrono")
    assert (book.feed, book.batch, book.rho, book.bias_init, book.padding) == ("teacher", 4, 0.9, "chrono", "counted")


def test_the_default_run_is_stopped_by_the_clock_unless_its_length_is_given():
    assert parse_options([]).limits("minute") == (300, 45.0)
    assert parse_options(["--epochs", "2"]).limits("minute") == (2, None)
    assert parse_options(["--max-seconds", "0"]).limits("minute") == (300, None)
    assert parse_options(["--epochs", "2", "--max-seconds", "1.5"]).limits("book") == (2, 1.5)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_every_solver_has_defaults_that_it_uses(solver):
    assert type(chosen("--solver", solver).make_solver()) is SOLVERS[solver]


def test_a_clip_of_0_is_none():
    assert chosen("--clip", "0").make_solver().state_dict()["options"]["clip"] is None


def test_an_option_that_the_solver_does_not_use_is_refused():
    with pytest.raises(gf.OptionError, match="AdamSolver has no option 'rho'"):
        chosen("--solver", "adam", "--rho", "0.9").make_solver()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--hidden", "0"],
        ["--hidden", "many"],
        ["--embedding", "1.5"],
        ["--max-sentence", "1"],
        ["--batch", "-1"],
        ["--epochs", "-1"],
        ["--learn-rate", "nan"],
        ["--learn-rate", "inf"],
        ["--l2-reg", "-1"],
        ["--rho", "1"],
        ["--validation", "1"],
        ["--temperature", "-0.1"],
        ["--seed", "-1"],
        ["--feed", "hard"],
        ["--hid", "5"],
        ["--sample", "x"],
        ["--sample", "x", "--resume", "auto", "--checkpoint", "c"],
        ["--resume", "auto"],
        ["stray"],
        ["--hidden", "9" * 5000],
    ],
)
def test_refused_on_one_line(arguments):
    with pytest.raises(UsageError) as caught:
        parse_options(arguments)
    assert "\n" not in str(caught.value)


def test_a_resumed_run_keeps_its_hyperparameters():
    saved = chosen("--hidden", "8")
    check_same(saved, {"hidden": 8, "seed": 0}, "run.json")
    for name in names_of(Hyperparameters):
        option = "--" + name.replace("_", "-")
        with pytest.raises(UsageError, match=f"{option} other differs from the checkpoint 'run.json'"):
            check_same(saved, {name: "other"}, "run.json")
