"""The command: what it prints, its exit codes, killed and interrupted runs."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import graphflow as gf
import s2s_train
from tests.models.s2s_examples import ARGUMENTS, LINES, command, records

PROGRAM = Path(s2s_train.__file__)
FIGURES = re.compile(r"epoch \d+(, \d+%)?: train \d\.\d{3} nats per character \(perplexity [\d.]+\)")


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES) + "\n", "utf-8")
    return path


def run_program(*arguments, **options):
    """Start the program in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(PROGRAM.parents[1])}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,
    )


def saved_state(path):
    """What is in a checkpoint, without the time that was measured."""
    checkpoint = gf.load_checkpoint(path)
    extra = dict(checkpoint.extra)
    extra["position"]["running"]["seconds"] = 0.0
    tensors = {name: array.tobytes() for name, array in checkpoint.tensors.items()}
    solver = {
        name: {key: value if isinstance(value, int) else value.tobytes() for key, value in members.items()}
        for name, members in checkpoint.solver["state"].items()
    }
    return tensors, solver, checkpoint.solver["step"], extra


# What it prints


def test_results_on_stdout_and_progress_on_stderr(lines, capsys):
    arguments = (*ARGUMENTS, "--corpus", lines, "--validation", "0.2", "--report-every", "0", "--samples", "2")
    code, out, err = command(capsys, *arguments, "--epochs", "3", "--progress", "lines")
    assert code == 0
    printed = out.splitlines()
    assert [line.split(":")[0] for line in printed[::3]] == ["epoch 1", "epoch 2", "epoch 3"]
    assert all(FIGURES.match(line) and "held out" in line and "sentences/s" in line for line in printed[::3])
    assert all(line.startswith("    ") for i, line in enumerate(printed) if i % 3)
    assert "stopped: 3 epochs are done" in err
    assert "10 sentences to train on, 2 held out, 12 characters" in err
    assert "\r" not in out + err
    assert "\x1b" not in out + err


def test_same_seed_same_run(lines, capsys):
    arguments = (*ARGUMENTS, "--corpus", lines, "--epochs", "2", "--report-every", "0", "--temperature", "1")
    texts = [command(capsys, *arguments, "--seed", seed)[1] for seed in ("1", "1", "2")]
    samples = [[line for line in text.splitlines() if line.startswith(" ")] for text in texts]
    assert samples[0] == samples[1] != samples[2]


def test_it_reports_between_when_epochs_are_long(lines, capsys):
    arguments = (*ARGUMENTS, "--corpus", lines, "--epochs", "1", "--batch", "4")
    code, out, _ = command(capsys, *arguments, "--report-every", "1e-9")
    assert code == 0
    assert re.findall(r"^epoch [^:]*", out, re.MULTILINE) == ["epoch 1, 33%", "epoch 1, 67%", "epoch 1"]


def test_a_run_that_the_clock_stops_reports_at_the_end(lines, capsys):
    code, out, _ = command(capsys, *ARGUMENTS, "--corpus", lines, "--max-seconds", "0.3", "--report-every", "100")
    assert code == 0
    assert len(FIGURES.findall(out)) in (1, 2)  # the first epoch, and the end


def test_the_book_s_preset_trains(lines, capsys):
    arguments = ("--preset", "book", "--epochs", "1", "--cell", "gru", "--bias-init", "chrono", "--progress", "lines")
    code, out, err = command(capsys, *ARGUMENTS, "--corpus", lines, *arguments)
    assert code == 0
    assert FIGURES.match(out)
    assert "gru of 8" in err
    assert "soft feed, batch 1, RMSPropSolver(learn_rate=0.01, rho=0.999," in err


def test_standard_input(monkeypatch, capsys):
    text = "\n".join(LINES).encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    code, out, _ = command(capsys, *ARGUMENTS, "--corpus", "-", "--epochs", "1")
    assert code == 0
    assert FIGURES.match(out)


def test_metrics_pictures_and_the_graph(lines, tmp_path, capsys):
    metrics, plots, graph = tmp_path / "metrics.jsonl", tmp_path / "plots", tmp_path / "graph.svg"
    outputs = ("--metrics", metrics, "--plot-dir", plots)
    code, _, _ = command(capsys, *ARGUMENTS, "--corpus", lines, "--epochs", "2", "--validation", "0.2", *outputs)
    assert code == 0
    found = records(metrics)
    assert [(r["event"], r["epoch"], r["sentences"]) for r in found] == [("epoch", 1, 10), ("epoch", 2, 20)]
    assert all(r["held_out_nats"] > 0 and r["train_perplexity"] > 1 for r in found)
    pictures = ["decoder.png", "gates.png", "gradients.png", "loss.png", "probabilities.png"]
    assert sorted(path.name for path in plots.iterdir()) == pictures
    code, _, err = command(capsys, *ARGUMENTS, "--corpus", lines, "--epochs", "0", "--render", graph)
    assert (code, graph.exists()) in ((0, True), (2, False))  # 2: nothing is installed that draws
    assert code == 0 or "install Graphviz" in err


# Samples from a checkpoint


@pytest.fixture
def checkpoint(lines, tmp_path, capsys):
    path = tmp_path / "run.json"
    code, *_ = command(capsys, *ARGUMENTS, "--corpus", lines, "--epochs", "2", "--checkpoint", path)
    assert code == 0
    return path


def test_a_prompt_is_continued_and_nothing_is_trained(checkpoint, capsys):
    before = checkpoint.read_bytes()
    arguments = ("--resume", checkpoint, "--sample", "to b", "--backend", "numpy", "--length", "9")
    code, out, err = command(capsys, *arguments)
    assert (code, err) == (0, "")
    assert re.fullmatch(r"␂to b[a-z ␂␄]{0,9}␃?\n", out)
    assert checkpoint.read_bytes() == before
    assert command(capsys, *arguments)[1] == out
    others = {command(capsys, *arguments, "--seed", seed, "--temperature", "2")[1] for seed in range(5)}
    assert len(others) > 1


@pytest.mark.parametrize("prompt", ["tö", "to\x03", "to\x02be"])
def test_a_prompt_with_an_unknown_character_is_refused(checkpoint, capsys, prompt):
    code, out, err = command(capsys, "--resume", checkpoint, "--sample", prompt, "--backend", "numpy")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "U+00F6" in err or "is reserved for START, END or BLANK" in err


# Exit codes


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ["--hidden", "none"], "argument --hidden"),
        (2, ["--solver", "adam", "--rho", "0.5"], "AdamSolver has no option 'rho'"),
        (2, ["--hidden", "99999999999"], "no memory"),
        (2, ["--render", "graph.bmp"], "ending in one of .svg, .png, .pdf"),
        (3, ["--corpus", "no such file"], "no such file"),
        (3, ["--checkpoint", "no such folder/run.json"], "no such folder"),
        (3, ["--resume", "no such file"], "No such file"),
        (3, ["--metrics", "no such folder/m.jsonl"], "metrics cannot be written"),
        (3, ["--validation", "0.99"], "leaves none left to train on"),
        (1, ["--learn-rate", "1e38", "--clip", "0"], "diverged"),
    ],
)
def test_failures_are_one_line_and_an_exit_code(lines, tmp_path, monkeypatch, capsys, code, arguments, message):
    monkeypatch.chdir(tmp_path)
    found, _, err = command(capsys, *ARGUMENTS, "--corpus", lines, *arguments, "--epochs", "2")
    assert (found, err.count("\n")) == (code, 1)
    assert err.startswith("s2s_train.py: ")
    assert message in err


def test_divergence_keeps_the_last_good_checkpoint(lines, checkpoint, capsys):
    before = checkpoint.read_bytes()
    arguments = ("--corpus", lines, "--checkpoint", checkpoint, "--save-every", "0", "--epochs", "3", "--clip", "0")
    code, _, err = command(capsys, *ARGUMENTS, *arguments, "--learn-rate", "1e38")
    assert code == 1
    assert "diverged" in err
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ["--hidden", "9"], "--hidden 9 differs from the checkpoint"),
        (2, ["--preset", "book"], "--preset book differs from the checkpoint"),
        (3, ["--corpus", "builtin"], "was trained on"),
    ],
)
def test_a_resumed_run_cannot_become_another(checkpoint, capsys, code, arguments, message):
    before = checkpoint.read_bytes()
    found, out, err = command(capsys, "--resume", checkpoint, "--progress", "none", "--backend", "numpy", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert message in err
    assert checkpoint.read_bytes() == before


# Resuming


def test_resume_goes_on_with_the_saved_hyperparameters_and_the_metrics(lines, tmp_path, capsys):
    straight, parts = tmp_path / "straight.json", tmp_path / "parts.json"
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    first = (*ARGUMENTS, "--corpus", lines, "--batch", "5", "--solver", "adam", "--validation", "0.2")
    assert command(capsys, *first, "--epochs", "5", "--checkpoint", straight, "--metrics", one)[0] == 0
    again = ("--backend", "numpy", "--progress", "none", "--checkpoint", parts, "--metrics", other)
    assert command(capsys, *first, *again, "--epochs", "2", "--resume", "auto")[0] == 0  # nothing there: anew
    assert command(capsys, *again, "--epochs", "3", "--resume", parts)[0] == 0
    assert command(capsys, *again, "--epochs", "5", "--resume", "auto")[0] == 0
    assert saved_state(parts) == saved_state(straight)
    assert records(other) == records(one)


def test_records_later_than_the_checkpoint_are_taken_back(lines, checkpoint, tmp_path, capsys):
    metrics = tmp_path / "metrics.jsonl"
    later = '{"event": "epoch", "epoch": 3, "sentences": 36}\n{"event": "epoch", "epoch": 4, "sent'
    metrics.write_text('{"event": "epoch", "epoch": 2, "sentences": 24}\n' + later, "utf-8")
    arguments = ("--resume", checkpoint, "--epochs", "3", "--metrics", metrics, "--progress", "none")
    assert command(capsys, *arguments, "--backend", "numpy")[0] == 0
    assert [record["epoch"] for record in records(metrics)] == [2, 3]
    metrics.write_text("my diary\n", "utf-8")
    code, _, err = command(capsys, *arguments, "--backend", "numpy")
    assert (code, metrics.read_text("utf-8")) == (3, "my diary\n")
    assert "a line is no record of this program" in err


def test_killed_at_any_moment_and_resumed_it_is_the_run_that_never_stopped(lines, tmp_path, capsys):
    straight, killed = tmp_path / "straight.json", tmp_path / "killed.json"
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    common = (
        *ARGUMENTS,
        "--corpus",
        lines,
        "--batch",
        "1",
        "--feed",
        "soft",
        "--save-every",
        "0",
        "--report-every",
        "0",
    )
    epochs = ("--epochs", "100")
    assert command(capsys, *common, *epochs, "--checkpoint", straight, "--metrics", one)[0] == 0
    arguments = (*common, *epochs, "--resume", "auto", "--checkpoint", killed, "--metrics", other)
    positions = []
    for wait in (0.0, 0.05):
        process = run_program(*arguments)
        deadline = time.monotonic() + 60
        seen = killed.read_bytes() if killed.exists() else None
        while (killed.read_bytes() if killed.exists() else None) == seen:  # until it trains
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        positions.append(gf.load_checkpoint(killed).extra["position"]["sentences"])
    assert command(capsys, *arguments)[0] == 0
    assert 0 < positions[0] < positions[1] < 100 * len(LINES)
    assert saved_state(killed) == saved_state(straight)
    assert records(other) == records(one)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_saves_and_says_so(lines, tmp_path, number, code):
    path = tmp_path / "run.json"
    arguments = (*ARGUMENTS, "--corpus", lines, "--max-seconds", "60", "--checkpoint", path, "--report-every", "0.01")
    process = run_program(*arguments)
    assert process.stdout.readline()  # it has reported, so it trains
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.count("\n")) == (code, 1)
    assert f"interrupted; saved to {str(path)!r}" in err
    assert gf.load_checkpoint(path).extra["position"]["sentences"] > 0


def test_a_reader_that_goes_away_is_no_traceback_and_loses_nothing(lines, tmp_path):
    path = tmp_path / "run.json"
    arguments = ("--corpus", lines, "--max-seconds", "60", "--report-every", "0.01", "--checkpoint", path)
    process = run_program(*ARGUMENTS, *arguments)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert gf.load_checkpoint(path).extra["position"]["sentences"] > 0
