"""The experiment: fair to both arms, the same twice, and what it makes of its runs."""

from __future__ import annotations

import csv
import json
import re
import shlex
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from chrono_experiment import main, points, train
from chrono_options import QUICK, Setting, parse_options
from chrono_report import Comparison, Run, comparisons, print_table
from command_line import UsageError
from memory_tasks import CopyTask
from tests.docs.pages import ROOT, blocks
from tests.models.s2s_examples import LINES

SMALL = (
    "--delays", "4,6", "--seeds", "2", "--updates", "5", "--hidden", "4", "--batch", "3", "--backend", "numpy",
    "--quiet",
)  # fmt: skip
TASK = CopyTask(9, 1, symbols=4)
ROW = re.compile(r"^(copy|adding|text) +(\d+) +(lstm|gru) .* (\d) of [12] +(chrono|zero|neither)$", re.MULTILINE)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES * 5) + "\n", "utf-8")
    return str(path)


def table(capsys, *arguments):
    assert main([*SMALL, *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def fake(bias, seed, *losses, cell="lstm", task=TASK):
    return Run(task, cell, bias, seed, tuple((10 * i, loss) for i, loss in enumerate(losses)), 1.0)


def compared(zero, chrono):
    arms = (
        tuple(fake(bias, seed, 2.0, loss) for seed, loss in enumerate(losses))
        for bias, losses in (("zero", zero), ("chrono", chrono))
    )
    return Comparison(TASK, "lstm", *arms)


# What it prints


def test_the_same_seed_gives_the_same_table(capsys):
    arguments = ("--tasks", "copy,adding", "--delays", "4", "--cells", "gru")
    first, again, other = (table(capsys, *arguments, "--seed", seed) for seed in ("3", "3", "4"))
    assert first == again != other
    assert [row[:3] for row in ROW.findall(first)] == [("copy", "4", "gru"), ("adding", "4", "gru")]


def test_each_task_with_each_delay_and_cell(capsys, corpus):
    out = table(capsys, "--corpus", corpus, "--seeds", "1", "--updates", "1")
    assert [row[:3] for row in ROW.findall(out)] == [
        (task, delay, cell)
        for task, delays in (("copy", ("4", "6")), ("adding", ("4", "6")), ("text", ("30",)))
        for delay in delays
        for cell in ("lstm", "gru")
    ]
    assert "3 pieces of it in each run" in out


def test_only_what_is_asked_for(capsys):
    found = ROW.findall(table(capsys, "--tasks", "adding", "--cells", "gru", "--delays", "7"))
    assert [row[:3] for row in found] == [("adding", "7", "gru")]


def test_progress_goes_to_stderr(capsys):
    loud = [argument for argument in SMALL if argument != "--quiet"]
    assert main([*loud, "--tasks", "copy", "--cells", "gru", "--delays", "4"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"[\d.]+ nats.*", "", line) for line in lines] == [
        f"copy 4 gru {bias:<13} seed {seed}: " for seed in (0, 1) for bias in ("zero", "chrono")
    ]


def test_the_range_says_who_is_lower_and_equal_seeds_are_paired():
    assert (compared([2.0, 1.9], [1.8, 1.0]).lower, compared([2.0, 1.9], [1.8, 1.0]).wins) == ("chrono", 2)
    assert (compared([1.0, 1.1], [1.2, 1.3]).lower, compared([1.0, 1.1], [1.2, 1.3]).wins) == ("zero", 0)
    assert (compared([1.0, 1.3], [0.9, 1.2]).lower, compared([1.0, 1.3], [0.9, 1.2]).wins) == ("neither", 2)
    assert compared([1.0], [1.0]).lower == "neither"


def test_runs_are_sorted_into_comparisons():
    other = CopyTask(12, 1, symbols=4)
    runs = [
        fake(bias, seed, 1.0, cell=cell, task=task)
        for task in (TASK, other)
        for cell in ("lstm", "gru")
        for seed in (0, 1)
        for bias in ("zero", "chrono")
    ]
    found = comparisons(runs)
    assert [(each.task, each.cell) for each in found] == [(t, c) for t in (TASK, other) for c in ("lstm", "gru")]
    for each in found:
        assert [(run.bias, run.seed) for run in (*each.zero, *each.chrono)] == [
            ("zero", 0), ("zero", 1), ("chrono", 0), ("chrono", 1),
        ]  # fmt: skip


def test_the_table_shows_median_and_range(capsys):
    both = compared([2.0, 1.0, 1.25], [0.5, 0.25, 0.75])
    print_table(Setting(), [run for pair in zip(both.zero, both.chrono, strict=True) for run in pair], ["a note"])
    row = capsys.readouterr().out.splitlines()[4]
    assert re.split(r" {2,}", row) == [
        "copy", "9", "lstm", "nats per symbol", "1.386", "1.25 (1 to 2)", "0.5 (0.25 to 0.75)",
        "3 of 3", "chrono",
    ]  # fmt: skip


# The page


def commands_of(page, program):
    """What the page tells to type, as lists of arguments."""
    typed = [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]
    return [shlex.split(line)[2:] for line in typed if program in line]


def test_the_page_shows_commands_that_are_understood_and_rows_that_agree_with_themselves():
    page = (ROOT / "docs" / "chrono.md").read_text("utf-8")
    found = commands_of(page, "models/chrono_experiment.py")
    assert found
    assert parse_options(found[0]).setting == Setting()  # the table is of the command that stands above it
    assert all(parse_options(each) for each in found)
    rows = [re.split(r" {2,}", line) for line in page.splitlines() if re.match(r"(copy|adding|text)  ", line)]
    assert len(rows) >= 14
    for row in rows:
        (zero, chrono), seeds = ([float(n) for n in re.findall(r"[\d.e-]+\d", arm)] for arm in row[-4:-2]), row[-2]
        assert zero[1] <= zero[0] <= zero[2]
        assert chrono[1] <= chrono[0] <= chrono[2]
        assert row[-1] == ("chrono" if chrono[2] < zero[1] else "zero" if zero[2] < chrono[1] else "neither")
        wins, count = map(int, seeds.split(" of "))
        assert row[-1] == "neither" or wins == (count if row[-1] == "chrono" else 0)


# Fair to both


def test_both_arms_see_the_same_batches_and_the_tests_are_others():
    seen = {}
    draw = TASK.draw
    for bias in ("zero", "chrono"):
        seen[bias] = []

        def record(*arguments, into=seen[bias], **options):
            values = draw(*arguments, **options)
            into.append(values[1])
            return values

        with patch.object(TASK, "draw", record):
            train(Setting(updates=4, batch=50, hidden=3), TASK, "gru", bias, 0, "numpy")
    np.testing.assert_array_equal(seen["zero"], seen["chrono"])
    assert len({bytes(expected) for expected in seen["zero"]}) == 16 + 4


def test_remembering_over_20_steps_begins_at_once_with_chrono_biases_only():
    setting = Setting(updates=100, hidden=16, batch=16, learn_rate=0.01)
    zero, chrono = (train(setting, CopyTask(20, 1, symbols=4), "lstm", bias, 0, "auto") for bias in ("zero", "chrono"))
    assert zero.loss > 1.3  # knowing nothing is log 4 = 1.386
    assert chrono.loss < 1.0
    assert zero.curve[0][0] == 0
    assert zero.curve[-1][0] == 100


def test_the_loss_is_measured_evenly_and_at_the_end():
    assert points(1) == [1]
    assert points(7) == [1, 2, 3, 4, 5, 6, 7]
    assert points(1000) == list(range(50, 1001, 50))
    assert points(59)[-1] == 59
    assert len(points(59)) == 20


def test_a_run_that_diverges_ends_the_program(capsys):
    assert main([*SMALL, "--tasks", "adding", "--learn-rate", "1e30"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"chrono_experiment.py: adding over 4 steps, lstm with zero .*smaller --learn-rate\n", err)


# Files


def test_every_run_as_json(tmp_path, capsys):
    path = tmp_path / "runs.json"
    arguments = ("--tasks", "copy", "--cells", "gru", "--delays", "4")
    out = table(capsys, *arguments, "--metrics", str(path))
    found = json.loads(path.read_text("utf-8"))
    assert found["setting"]["delays"] == [4]
    assert len(found["runs"]) == 2 * 2
    for run in found["runs"]:
        assert run["curve"][-1] == [5, run["loss"]]
        assert len(run["curve"]) == 6
        assert f"{run['loss']:.4g}" in out
    again = tmp_path / "again.json"
    table(capsys, *arguments, "--metrics", str(again))
    assert again.read_bytes() == path.read_bytes()


def test_every_run_as_csv(tmp_path, capsys, corpus):
    path = tmp_path / "runs.csv"
    arguments = ("--tasks", "copy,text", "--cells", "gru", "--delays", "4", "--seeds", "1", "--updates", "1")
    table(capsys, *arguments, "--metrics", str(path), "--corpus", corpus)
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert [row["task"] for row in rows] == ["copy"] * 2 + ["text"] * 2
    assert {row["unit"] for row in rows} == {"nats per symbol", "nats per character"}
    assert {row["knowing_nothing"] for row in rows if row["task"] == "text"} == {""}


def test_the_picture(tmp_path, capsys):
    path = tmp_path / "losses.svg"
    table(capsys, "--tasks", "copy,adding", "--seeds", "1", "--cells", "lstm", "--plot", str(path))
    text = path.read_text("utf-8")
    assert len(text) < 150_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--plot", "losses.txt"), "must end in .svg, .png or .pdf"),
        (("--plot", "none/losses.svg"), "there is no folder"),
        (("--metrics", "none/runs.csv"), "there is no folder"),
        (("--corpus", "nowhere.txt"), "there is no file"),
    ],
)
def test_files_that_cannot_be_had_are_refused_before_anything_runs(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, *arguments]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


# Options


def test_quick_gives_way_to_what_is_given():
    assert parse_options(["--quick"]).setting == replace(Setting(), **QUICK)
    assert parse_options(["--quick", "--seeds", "5"]).setting == replace(Setting(), **{**QUICK, "seeds": 5})
    assert parse_options([]).setting == Setting()
    assert parse_options(["--delays", "8, 9"]).setting.delays == (8, 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "copy,sing"], "'sing' is none of copy, adding, text"),
        (["--tasks", ""], "is none of"),
        (["--cells", "rnn"], "'rnn' is none of lstm, gru"),
        (["--cells", "gru,gru"], "names one of them twice"),
        (["--delays", "2"], "from 3 to 2000"),
        (["--delays", "10,x"], "not a whole number"),
        (["--delays", "10,,20"], "not a whole number"),
        (["--seeds", "0"], "from 1 or more"),
        (["--updates", "0"], "from 1 or more"),
        (["--hidden", "-3"], "from 1 or more"),
        (["--batch", "0"], "from 1 or more"),
        (["--learn-rate", "nan"], "not a number"),
        (["--seed", "-1"], "from 0 or more"),
        (["--metrics", "runs.txt"], "must end in .csv or .json"),
        (["--tasks", "copy", "--corpus", "builtin"], "--corpus is for the text"),
        (["--backend", "gpu"], "invalid choice"),
        (["--upd", "3"], "unrecognized"),
    ],
)
def test_bad_options_are_refused_on_one_line(arguments, message, capsys):
    with pytest.raises(UsageError) as caught:
        parse_options(arguments)
    assert message in str(caught.value)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("chrono_experiment.py: ")
    assert err.count("\n") == 1
