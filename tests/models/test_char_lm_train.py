"""The command: what it prints, its exit codes, its checkpoints, killed and resumed runs."""

from __future__ import annotations

import copy
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import char_lm_train
import graphflow as gf
from tests.models.char_examples import ARGUMENTS, TEXT, command, load, save, tiny_training, train_windows
from tests.models.s2s_examples import records
from tests.models.test_s2s_train import saved_state
from vocabulary import DataError

PROGRAM = Path(char_lm_train.__file__)
FIGURES = re.compile(r"epoch \d+(, \d+%)?: train \d\.\d{3} nats per character \(perplexity [\d.]+\)")
WINDOWS = 17  # of an epoch


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, "utf-8")
    return path


@pytest.fixture
def checkpoint(text, tmp_path, capsys):
    path = tmp_path / "run.json"
    code, *_ = command(capsys, *ARGUMENTS, "--corpus", text, "--epochs", "2", "--checkpoint", path)
    assert code == 0
    return path


# What it prints


@pytest.mark.parametrize("preset", ["book-rnn", "book-lstm"])
def test_each_epoch_has_its_perplexity_and_a_sample_of_70_characters(text, capsys, preset):
    arguments = ("--preset", preset, "--corpus", text, "--epochs", "3", "--progress", "lines", "--validation", "0.3")
    arguments += ("--cell", preset.removeprefix("book-"))
    code, out, err = command(capsys, *ARGUMENTS, *arguments)
    assert code == 0
    printed = out.splitlines()
    assert [line.split(":")[0] for line in printed[::2]] == ["epoch 1", "epoch 2", "epoch 3"]
    assert all(FIGURES.match(line) and "held out" in line and "characters/s" in line for line in printed[::2])
    assert all(re.fullmatch(r" {4}.{70}", line) for line in printed[1::2])
    assert "stopped: 3 epochs are done" in err
    assert "12 windows of 4 steps, batch 3, VanillaSolver(learn_rate=0.05" in err
    assert "150 characters to train on, 64 held out, 17 different ones" in err
    assert "\x1b" not in out + err


def test_the_first_figure_of_the_book_s_lstm_is_that_of_knowing_nothing(text, capsys):
    arguments = ("--preset", "book-lstm", "--corpus", text, "--epochs", "1", "--learn-rate", "0")
    _, out, _ = command(capsys, *ARGUMENTS, *arguments)
    assert "(perplexity 17)" in out  # its decoder is zero: all 17 characters are equally likely


def test_same_seed_same_run(text, capsys):
    arguments = (*ARGUMENTS, "--corpus", text, "--epochs", "2", "--report-every", "0", "--temperature", "1")
    texts = [command(capsys, *arguments, "--seed", seed)[1] for seed in ("1", "1", "2")]
    samples = [[line for line in text.splitlines() if line.startswith(" ")] for text in texts]
    assert samples[0] == samples[1] != samples[2]


def test_metrics_pictures_and_the_graph(text, tmp_path, capsys):
    metrics, plots, graph = tmp_path / "metrics.jsonl", tmp_path / "plots", tmp_path / "graph.svg"
    outputs = ("--metrics", metrics, "--plot-dir", plots)
    code, _, _ = command(capsys, *ARGUMENTS, "--corpus", text, "--epochs", "2", "--validation", "0.3", *outputs)
    assert code == 0
    lines = metrics.read_text("utf-8").splitlines()
    assert all('"characters_per_second"' in line for line in lines)
    found = records(metrics)
    assert [(r["event"], r["epoch"], r["windows"]) for r in found] == [("epoch", 1, 12), ("epoch", 2, 24)]
    assert all(r["held_out_nats"] > 0 and r["train_perplexity"] > 1 for r in found)
    assert sorted(path.name for path in plots.iterdir()) == ["decoder.png", "loss.png"]
    code, _, err = command(capsys, *ARGUMENTS, "--corpus", text, "--epochs", "0", "--render", graph)
    assert (code, graph.exists()) in ((0, True), (2, False))  # 2: nothing is installed that draws
    assert code == 0 or "install Graphviz" in err


# Samples from a checkpoint


def test_a_prompt_is_continued_and_nothing_is_trained(checkpoint, capsys):
    before = checkpoint.read_bytes()
    arguments = ("--resume", checkpoint, "--backend", "numpy", "--length", "30")
    code, out, err = command(capsys, *arguments, "--sample", "to b")
    assert (code, err) == (0, "")
    assert out.startswith("to b")
    assert len(out) == 4 + 30 + 1
    assert set(out) <= set(TEXT)
    assert command(capsys, *arguments, "--sample", "to b")[1] == out
    assert len({command(capsys, *arguments, "--sample", "", "--seed", seed)[1] for seed in range(5)}) > 1
    greedy = {command(capsys, *arguments, "--sample", "o", "--seed", seed, "--greedy")[1] for seed in range(3)}
    likeliest = {command(capsys, *arguments, "--sample", "o", "--seed", s, "--top-k", "1")[1] for s in range(3)}
    assert len(greedy) == 1
    assert likeliest == greedy
    assert checkpoint.read_bytes() == before


def test_a_prompt_with_an_unknown_character_is_refused(checkpoint, capsys):
    code, out, err = command(capsys, "--resume", checkpoint, "--sample", "tö", "--backend", "numpy")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "U+00F6" in err


# Exit codes


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ["--bptt", "0"], "argument --bptt"),
        (2, ["--solver", "adam", "--rho", "0.5"], "AdamSolver has no option 'rho'"),
        (2, ["--hidden", "99999999999"], "no memory"),
        (2, ["--tied"], "--tied needs an embedding as large as the hidden state"),
        (3, ["--bptt", "300"], "has 214 characters to train on, and --batch 3 streams of --bptt 300"),
        (3, ["--batch", "215"], "--batch 215 streams of --bptt 4 steps and the character after them take 1,075"),
        (3, ["--validation", "0.01"], "a held-out share of 0.01 of 214 characters is no window of --bptt 4"),
        (3, ["--corpus", "no such file"], "no such file"),
        (3, ["--checkpoint", "no such folder/run.json"], "no such folder"),
        (3, ["--resume", "no such file"], "No such file"),
        (1, ["--learn-rate", "1e38"], "diverged"),
    ],
)
def test_failures_are_one_line_and_an_exit_code(text, tmp_path, monkeypatch, capsys, code, arguments, message):
    monkeypatch.chdir(tmp_path)
    found, _, err = command(capsys, *ARGUMENTS, "--corpus", text, *arguments, "--epochs", "2")
    assert (found, err.count("\n")) == (code, 1)
    assert err.startswith("char_lm_train.py: ")
    assert message in err


def test_divergence_keeps_the_last_good_checkpoint(text, checkpoint, capsys):
    before = checkpoint.read_bytes()
    arguments = ("--corpus", text, "--checkpoint", checkpoint, "--save-every", "0", "--epochs", "3")
    arguments += ("--solver", "rmsprop", "--clip", "0", "--learn-rate", "1e38")
    code, _, err = command(capsys, *ARGUMENTS, *arguments)
    assert code == 1
    assert "diverged" in err
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ["--hidden", "9"], "--hidden 9 differs from the checkpoint"),
        (2, ["--preset", "book-rnn"], "--preset book-rnn differs from the checkpoint"),
        (3, ["--corpus", "builtin"], "was trained on"),
    ],
)
def test_a_resumed_run_cannot_become_another(checkpoint, capsys, code, arguments, message):
    before = checkpoint.read_bytes()
    found, out, err = command(capsys, "--resume", checkpoint, "--progress", "none", "--backend", "numpy", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert message in err
    assert checkpoint.read_bytes() == before


def test_the_programs_do_not_read_each_other_s_checkpoints(checkpoint, capsys):
    import s2s_train

    assert s2s_train.main(["--resume", str(checkpoint), "--backend", "numpy"]) == 3
    assert "a checkpoint of another program" in capsys.readouterr().err


# Checkpoints


def change(path, edit):
    """Change what is in the checkpoint, with a digest that fits."""
    checkpoint = gf.load_checkpoint(path)
    training = tiny_training()
    checkpoint.restore(training.model.parameters, training.solver)
    extra = copy.deepcopy(checkpoint.extra)
    edit(extra)
    gf.save_checkpoint(path, training.model.parameters, solver=training.solver, extra=extra)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda extra: extra.pop("state"), "the run lacks 'state'"),
        (lambda extra: extra.update(state={}), "no hidden state under 'state'"),
        (lambda extra: extra.update(runs=1.0), "no number of runs under 'runs'"),
        (lambda extra: extra.update(vocabulary=["b", "a"]), "not in sorted order"),
        (lambda extra: extra.update(vocabulary=["\x02", "a"]), "is reserved for START, END or BLANK"),
        (lambda extra: extra["vocabulary"].pop(), "no tensor 'embedding' of shape"),
        (lambda extra: extra["hyperparameters"].update(tied=1), "hyperparameter tied is 1"),
        (lambda extra: extra["hyperparameters"].update(bptt=0), "hyperparameter bptt is 0"),
        (lambda extra: extra["hyperparameters"].update(decay="x"), "hyperparameter decay is 'x'"),
        (lambda extra: extra["hyperparameters"].update(layers=2), "no tensor 'lstm2.input.wh' of shape"),
        (lambda extra: extra["position"].update(windows=-1), "a position that makes no sense"),
        (lambda extra: extra["position"].update(index=99), "position 99 in an epoch of 17 windows"),
        (lambda extra: extra.update(state=extra["state"][:1]), "no hidden state of this model"),
        (lambda extra: extra.update(state=[each[:1] for each in extra["state"]]), "no hidden state of this model"),
        (lambda extra: extra.update(runs=-1), "no hidden state of this model"),
    ],
)
def test_a_checkpoint_that_is_wrong_is_refused(tmp_path, edit, message):
    path, training = tmp_path / "run.json", tiny_training()
    train_windows(training, 5)
    save(path, training)
    change(path, edit)
    with pytest.raises(DataError, match=message) as caught:
        load(path).restore(tiny_training())
    assert "\n" not in str(caught.value)


def test_a_vocabulary_that_is_not_the_text_s_is_refused(checkpoint, capsys):
    def rename(extra):
        extra["vocabulary"][-1] = "z"

    changed = gf.load_checkpoint(checkpoint)
    extra = copy.deepcopy(changed.extra)
    rename(extra)
    training = tiny_training()
    changed.restore(training.model.parameters, training.solver)
    gf.save_checkpoint(checkpoint, training.model.parameters, solver=training.solver, extra=extra)
    code, _, err = command(capsys, "--resume", checkpoint, "--progress", "none", "--backend", "numpy")
    assert code == 3
    assert "has another vocabulary than this corpus: character 16 is 'z' there and 'u' here" in err


# Resuming


def run_program(*arguments):
    """Start the program in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(PROGRAM.parents[1])}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def test_resume_goes_on_with_the_saved_hyperparameters_and_the_metrics(text, tmp_path, capsys):
    straight, parts = tmp_path / "straight.json", tmp_path / "parts.json"
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    first = (*ARGUMENTS, "--corpus", text, "--solver", "adam", "--validation", "0.2", "--decay", "0.9")
    first += ("--dropout", "0.1")
    assert command(capsys, *first, "--epochs", "5", "--checkpoint", straight, "--metrics", one)[0] == 0
    again = ("--backend", "numpy", "--progress", "none", "--checkpoint", parts, "--metrics", other)
    assert command(capsys, *first, *again, "--epochs", "2", "--resume", "auto")[0] == 0  # nothing there: anew
    assert command(capsys, *again, "--epochs", "3", "--resume", parts)[0] == 0
    assert command(capsys, *again, "--epochs", "5", "--resume", "auto")[0] == 0
    assert comparable(parts) == comparable(straight)
    assert records(other) == records(one)


def test_killed_in_the_middle_of_an_epoch_and_resumed_it_is_the_run_that_never_stopped(text, tmp_path, capsys):
    straight, killed = tmp_path / "straight.json", tmp_path / "killed.json"
    common = (*ARGUMENTS, "--corpus", text, "--save-every", "0", "--report-every", "0", "--epochs", "25")
    assert command(capsys, *common, "--checkpoint", straight)[0] == 0
    arguments = (*common, "--resume", "auto", "--checkpoint", killed)
    process = run_program(*arguments)
    deadline = time.monotonic() + 60
    while not killed.exists():  # until it trains
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 0 < gf.load_checkpoint(killed).extra["position"]["windows"] < 25 * WINDOWS
    assert command(capsys, *arguments)[0] == 0
    assert comparable(killed) == comparable(straight)


def comparable(path):
    """What is in a checkpoint, arrays as bytes, without the time that was measured."""
    tensors, solver, step, extra = saved_state(path)
    return tensors, solver, step, extra | {"state": [np.asarray(each).tobytes() for each in extra["state"]]}
