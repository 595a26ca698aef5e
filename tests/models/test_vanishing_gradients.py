"""The chapter's printed numbers; the lengths of gradients; the command."""

from __future__ import annotations

import argparse
import re
from unittest.mock import patch

import numpy as np
import pytest

import graphflow as gf
import vanishing_gradients
from command_line import UsageError
from tests.docs.pages import ROOT
from vanishing_gradients import main, observe_cell, parse_options, shown_distances, toy_tables

# As the chapter prints them: rows 1, 2, 3 and 10 of each table.
PRINTED = {
    "sigmoid": (
        [
            [0.93940638, 0.96852968],
            [0.9919462, 0.99121735],
            [0.99301385, 0.99302901],
            [0.99307291, 0.99307291],
        ],
        [
            [0.03439552, 0.03439552],
            [0.00118305, 0.00118305],
            [4.06916726e-05, 4.06916726e-05],
            [1.45938177e-14, 2.16938983e-14],
        ],
    ),
    "relu": (
        [
            [23.71814585, 23.98025559],
            [119.63916823, 118.852839],
            [595.05052421, 597.40951192],
            [46583049.71437107, 46577890.60826711],
        ],
        [[5, 5], [25, 25], [125, 125], [9765625, 9765625]],
    ),
}
SMALL = ["--distance", "6", "--updates", "3", "--hidden", "4", "--backend", "numpy"]


def test_the_32_printed_numbers_come_out():
    tables = toy_tables()
    found = {name: [table[[0, 1, 2, 9]] for table in both] for name, both in tables.items()}
    assert sum(np.size(table) for both in found.values() for table in both) == 32
    for name, both in PRINTED.items():
        for mine, printed in zip(found[name], both, strict=True):
            np.testing.assert_allclose(mine, printed, rtol=5e-6)


def test_the_relu_table_begins_one_row_late():
    first_of_the_listing = np.maximum(toy_tables()["sigmoid"][0][0] @ [[1, 4], [4, 1]], 0)
    np.testing.assert_allclose(first_of_the_listing, [4.8135251, 4.72615519], rtol=1e-7)
    np.testing.assert_allclose(first_of_the_listing @ [[1, 4], [4, 1]], PRINTED["relu"][0][0], rtol=5e-9)


def test_both_tables_are_printed(capsys):
    assert main(["--toy"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = [re.split(r" +", line.strip()) for line in out.splitlines() if re.match(r" +\d", line)]
    assert len(rows) == 20
    for part, start in enumerate((0, 10)):
        for name, columns in (("sigmoid", slice(1, 3)), ("relu", slice(3, 5))):
            shown = np.array([rows[start + row][columns] for row in (0, 1, 2, 9)], float)
            np.testing.assert_allclose(shown, PRINTED[name][part], rtol=5e-6)
    assert "begins one row late" in out


def options(**changed):
    return argparse.Namespace(**{**vars(parse_options(SMALL)), **changed})


@pytest.mark.parametrize(("kind", "bias"), vanishing_gradients.CELLS)
def test_every_cell_has_lengths_for_each_part_of_its_state(kind, bias):
    before, after = observe_cell(kind, bias, options(updates=20, distance=4))
    assert after.loss != before.loss
    for norms in (before, after):
        assert set(norms.relative) == ({"hidden", "cell"} if kind == "lstm" else {"hidden"})
        assert all(len(length) == 5 for length in norms.relative.values())
        assert all(length[0] == 1 for length in norms.relative.values())
        assert norms.at_answer > 0


def test_the_length_is_that_of_the_derivative():
    """A plain sigmoid cell by hand: dL/dh[t-1] = (dL/dh[t] * h (1 - h)) wh."""
    with patch.object(vanishing_gradients, "norms_of", lambda *arguments: arguments[1]):
        network, _ = observe_cell("rnn-sigmoid", "zero", options(updates=0, distance=5))
    weights = {each.name: each.value for each in network.parameters}
    expected = network.states[-1][0].grad
    with gf.TapeMachine(network.cost.graph, outputs=[s[0] for s in network.states], backend="numpy") as vm:
        vm.run_all()
        hidden = [state[0].value for state in network.states]
    for t in range(5, 0, -1):
        expected = (expected * hidden[t] * (1 - hidden[t])) @ weights["rnn.wh"]
        np.testing.assert_allclose(network.states[t - 1][0].grad, expected, rtol=1e-4, atol=1e-12)


def test_gates_with_chrono_biases_carry_gradients_further_from_the_start():
    for kind in ("lstm", "gru"):
        zero, chrono = (observe_cell(kind, bias, options(updates=0, distance=40)) for bias in ("zero", "chrono"))
        assert chrono[0].relative["hidden"][40] > 100 * zero[0].relative["hidden"][40]


def test_the_same_seed_prints_the_same(capsys):
    printed = []
    for seed in ("1", "1", "2"):
        assert main([*SMALL, "--seed", seed]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]
    assert len(re.findall(r"^ +6(?: +\d\.\de[+-]\d\d){8}$", printed[0], re.MULTILINE)) == 2


def test_the_picture(tmp_path, capsys):
    path = tmp_path / "lengths.svg"
    assert main([*SMALL, "--plot", str(path)]) == 0
    assert capsys.readouterr().err == ""
    text = path.read_text("utf-8")
    assert text.startswith("<?xml")
    assert len(text) < 100_000


def test_the_page_has_the_table_of_the_first_weights(capsys):
    """Rounded to two digits by the program; what comes after training depends on the processor's last digits."""
    page = (ROOT / "docs" / "vanishing-gradients.md").read_text("utf-8")
    assert main(["--updates", "0"]) == 0
    shown, printed = (
        text[text.index("With the first") : text.index("After ")] for text in (page, capsys.readouterr().out)
    )
    numbers = [np.array(re.findall(r"\d\.\d+(?:e[+-]\d+)?", text), float) for text in (shown, printed)]
    assert len(numbers[0]) > 60
    np.testing.assert_allclose(*numbers, rtol=0.2)
    assert re.sub(r"[\d.e+-]+", "", shown) == re.sub(r"[\d.e+-]+", "", printed)


def test_distances_that_are_shown():
    assert shown_distances(1) == [0, 1]
    assert shown_distances(50) == [0, 1, 2, 5, 10, 20, 50]
    assert shown_distances(60) == [0, 1, 2, 5, 10, 20, 50, 60]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--distance", "0"],
        ["--distance", "2001"],
        ["--updates", "-1"],
        ["--hidden", "0"],
        ["--hidden", "many"],
        ["--seed", "-1"],
        ["--backend", "gpu"],
        ["--toy", "--plot", "a.svg"],
        ["--dist", "5"],
        ["stray"],
    ],
)
def test_bad_options_are_refused_on_one_line(arguments, capsys):
    with pytest.raises(UsageError) as caught:
        parse_options(arguments)
    assert "\n" not in str(caught.value)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vanishing_gradients.py: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "message"), [("a.txt", "must end in .svg, .png or .pdf"), ("none/a.svg", "there is no folder")]
)
def test_a_picture_that_cannot_be_written_is_refused_before_anything_runs(tmp_path, name, message, capsys):
    assert main([*SMALL, "--plot", str(tmp_path / name)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
