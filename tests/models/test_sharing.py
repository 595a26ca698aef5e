"""Training on several processes: what one learns, several learn; and whatever ends one of them ends all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import graphflow as gf
from sharing import Sharing
from tests.models.char_examples import ARGUMENTS as CHAR_ARGUMENTS
from tests.models.s2s_examples import ARGUMENTS, LINES, records
from tests.parallel.launch import MPIEXEC, ROOT, environment, mpiexec

S2S, CHAR = ROOT / "models" / "s2s_train.py", ROOT / "models" / "char_lm_train.py"
QUIET = ("--report-every", "0", "--samples", "0")
S2S_RUN = (S2S, *ARGUMENTS, *QUIET, "--epochs", "3", "--batch", "4", "--validation", "0.2")
CHAR_RUN = (CHAR, *CHAR_ARGUMENTS, *QUIET, "--epochs", "3", "--batch", "4", "--bptt", "5", "--dropout", "0.1")


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(LINES * 3), encoding="utf-8")
    return path


def trained(ranks, command, corpus, checkpoint, *more):
    """Run it, and give the weights."""
    outcome = mpiexec(ranks, *command, "--corpus", corpus, "--checkpoint", checkpoint, *more)
    assert (outcome.code, outcome.err) == (0, ""), outcome
    return weights(checkpoint)


def weights(checkpoint):
    return gf.load_checkpoint(checkpoint).tensors


def same(one, other):
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


def close(one, other):
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("command", [S2S_RUN, CHAR_RUN[:-2]], ids=["s2s", "char_lm"])
def test_two_processes_learn_what_one_learns(command, corpus, tmp_path):
    metrics = [tmp_path / f"{ranks}.jsonl" for ranks in (0, 2)]
    alone = trained(0, command, corpus, tmp_path / "0.json", "--metrics", metrics[0])
    both = trained(2, command, corpus, tmp_path / "2.json", "--metrics", metrics[1])
    close(alone, both)
    for one, other in zip(*map(records, metrics), strict=True):
        assert one.pop("event") == other.pop("event")
        assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize("command", [S2S_RUN, CHAR_RUN], ids=["s2s", "char_lm"])
def test_shards_give_the_same_bits_on_any_number_of_processes(command, corpus, tmp_path):
    runs = [
        trained(ranks, command, corpus, tmp_path / f"{ranks}.json", "--deterministic-shards", "4")
        for ranks in (0, 2, 4)
    ]
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])
    extras = [gf.load_checkpoint(tmp_path / f"{ranks}.json").extra["position"] for ranks in (0, 2, 4)]
    for extra in extras:
        del extra["running"]
    assert extras[0] == extras[1] == extras[2]


def test_one_sentence_for_each_process_and_an_empty_part_at_the_end(corpus, tmp_path):
    """29 sentences in rounds of 3: the third process has nothing in the last round."""
    command = (S2S, *ARGUMENTS, *QUIET, "--epochs", "2", "--batch", "1", "--validation", "0.19")
    together = trained(3, command, corpus, tmp_path / "3.json")
    alone = trained(0, (*command[:-4], "--batch", "3", *command[-2:]), corpus, tmp_path / "0.json")
    close(alone, together)


def test_a_process_goes_through_several_parts(corpus, tmp_path):
    close(
        trained(0, CHAR_RUN[:-2], corpus, tmp_path / "0.json"),
        trained(2, CHAR_RUN[:-2], corpus, tmp_path / "2.json", "--accumulate", "2"),
    )


@pytest.mark.parametrize("command", [S2S_RUN, CHAR_RUN], ids=["s2s", "char_lm"])
def test_a_run_is_resumed_by_another_number_of_processes(command, corpus, tmp_path):
    whole = trained(2, command, corpus, tmp_path / "whole.json", "--deterministic-shards", "4")
    part = tmp_path / "part.json"
    first = [*command]
    first[first.index("--epochs") + 1] = "1"
    trained(4, first, corpus, part, "--deterministic-shards", "4")
    trained(0, [*command, "--resume", "auto"], corpus, part, "--deterministic-shards", "4")
    assert same(whole, weights(part))


def test_a_mistake_is_told_once(tmp_path):
    outcome = mpiexec(2, *S2S_RUN, "--corpus", tmp_path / "nothing.txt")
    assert outcome.code == 3
    assert len(outcome.err.splitlines()) == 1
    assert outcome.err.startswith("s2s_train.py: ")
    outcome = mpiexec(2, S2S, "--batch", "none")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    outcome = mpiexec(2, S2S, "--help")
    assert (outcome.code, outcome.err, outcome.out.count("usage:")) == (0, "", 1)


def test_streams_and_shards_that_cannot_be_divided(corpus):
    outcome = mpiexec(3, *CHAR_RUN, "--corpus", corpus)
    assert outcome.code == 2
    assert "--batch 4: so many streams cannot be divided evenly among 3 parts" in outcome.err
    outcome = mpiexec(0, *CHAR_RUN, "--corpus", corpus, "--deterministic-shards", "3")
    assert outcome.code == 2
    with pytest.raises(gf.OptionError, match="shards cannot be divided"):
        Sharing(gf.parallel.Alone(), shards=0)


@pytest.mark.parametrize("command", [S2S_RUN, CHAR_RUN], ids=["s2s", "char_lm"])
def test_a_loss_that_is_not_finite_is_told_once(command, corpus):
    outcome = mpiexec(2, *command, "--corpus", corpus, "--solver", "vanilla", "--learn-rate", "1e38", "--clip", "0")
    assert outcome.code == 1
    lines = outcome.err.splitlines()
    assert len(lines) == 1, lines
    assert "training diverged after" in lines[0]


@contextlib.contextmanager
def started(*command, **streams):
    """A job that does not outlive its test."""
    process = subprocess.Popen([str(MPIEXEC), *command], env=environment(), **streams)
    try:
        yield process
    finally:
        process.terminate()  # mpiexec ends what it has started
        process.wait(timeout=20)


def wait_for(path):
    """Wait until something has been written."""
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_at_the_same_batch_and_the_run_is_saved(number, corpus, tmp_path):
    checkpoint, metrics = tmp_path / "run.json", tmp_path / "metrics.jsonl"
    endless = [*map(str, S2S_RUN)]
    endless[endless.index("--epochs") + 1] = "1000000"
    command = [*endless, "--corpus", str(corpus), "--checkpoint", str(checkpoint), "--metrics", str(metrics)]
    with started("-n", "2", sys.executable, *command, stderr=subprocess.PIPE, text=True) as process:
        wait_for(metrics)
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode in {130, 143}
    assert "interrupted; saved to" in said
    assert said.count("s2s_train.py") == 1
    position = gf.load_checkpoint(checkpoint).extra["position"]
    assert position["sentences"] > 0
    resumed = [*endless]
    resumed[resumed.index("--epochs") + 1] = str(position["epoch"] + 1)
    trained(2, resumed, corpus, checkpoint, "--resume", "auto")


def test_a_killed_process_ends_all(corpus, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    endless = [*map(str, S2S_RUN)]
    endless[endless.index("--epochs") + 1] = "1000000"
    command = [*endless, "--corpus", str(corpus), "--metrics", str(metrics)]
    noted = tmp_path / "pid"
    noting = f"""
import os, pathlib, runpy, sys
pathlib.Path({str(noted)!r}).write_text(str(os.getpid()))
sys.argv = {command!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    one, other = [sys.executable, *command], [sys.executable, "-c", noting]
    with started("-n", "1", *one, ":", "-n", "1", *other, stderr=subprocess.DEVNULL) as process:
        wait_for(metrics)
        os.kill(int(noted.read_text()), signal.SIGKILL)
        began = time.monotonic()
        process.wait(timeout=20)
    assert process.returncode != 0
    assert time.monotonic() - began < 10
    assert json.loads(metrics.read_text("utf-8").splitlines()[0])["event"] == "epoch"
