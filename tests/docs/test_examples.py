"""The programs of docs/examples: each runs, learns, and gives the numbers that docs/examples.md says."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from docs.examples import convnet
from tests.docs.pages import ROOT

FOLDER = ROOT / "docs" / "examples"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py"))


def result(name, monkeypatch):
    """What the main function of a program gives."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look for their module.
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module.main()


def is_basic(found):
    return found == [4.5, 0.0]


def is_differentiation(found):
    sigmoid = 1.0 / (1.0 + np.exp(-1.0))
    slope = sigmoid * (1.0 - sigmoid)
    expected = {"y": 33.0, "dy": 29.0, "ddy": 18.0, "da": 4.0 * slope, "db": sigmoid + slope}
    return found == pytest.approx(expected, rel=1e-12)


def is_broadcasting(found):
    return found == {
        "y": [11.0, 22.0, 33.0, -14.0, -25.0, -36.0],
        "table": [1.0, 1.0, 1.0, -1.0, -1.0, -1.0],
        "row": [0.0, 0.0, 0.0],
        "column": [66.0, 75.0],
    }


def is_tensor_products(found):
    # The weights of 2 * 4 * 6 queries add up to 1 each.
    return found.pop("weights") == pytest.approx(48.0) and max(found.values()) < 1e-13


def is_linear_regression(found):
    slope, start, cost = found
    return abs(slope - 3.0) < 0.03 and abs(start + 0.5) < 0.03 and 0.005 < cost < 0.015


def is_autoencoder(found):
    before, after = found
    return after < before < 0.05 and after < 0.015


def is_concurrent_training(found):
    return all(first > 1.0 and last < 0.01 for first, last in found)


def is_custom_op(found):
    x = np.array([0.0, 1.0, -2.0])
    y = np.exp(-((x / 2.0) ** 2))
    expected = [*y, *(y * -0.5 * x)]
    return all(values == pytest.approx(expected, rel=1e-12) for values in found.values())


EXPECTED = {
    "autoencoder": is_autoencoder,
    "basic": is_basic,
    "broadcasting": is_broadcasting,
    "concurrent_training": is_concurrent_training,
    "custom_op": is_custom_op,
    "differentiation": is_differentiation,
    "digits": lambda share: share > 0.95,
    "linear_regression": is_linear_regression,
    "logistic_regression": lambda share: share > 0.9,
    "tensor_products": is_tensor_products,
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_program_gives_what_the_page_says(name, monkeypatch):
    found = result(name, monkeypatch)
    assert EXPECTED[name](found), found


def test_the_page_has_all_of_them():
    text = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    for name in PROGRAMS:
        assert f"(examples/{name}.py)" in text
    assert sorted([*EXPECTED, "convnet"]) == PROGRAMS


def test_a_convolutional_network_reads_digits(capsys):
    """Half the epochs of the program; guessing would read one digit of ten."""
    accuracy = convnet.train(epochs=4)
    assert accuracy > 0.92
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[-1].endswith(f"{accuracy:.1%} of 397 unseen digits read")
