"""Kernels of windows: they touch nothing beyond their operands, and give the same bits for any number of threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends.llvm import team as teams


def test_nothing_beyond_an_operand_is_touched():
    """Each operand ends where a page ends that is followed by one that must not be touched, or begins behind one."""
    command = [sys.executable, "-m", "tests.backends.llvm.guarded_windows"]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "right"


@pytest.mark.parametrize("batch", [1, 5])
def test_the_same_bits_for_any_number_of_threads(monkeypatch, batch):
    """Images are shared out, or panels of columns where there is a single image or these are added up."""
    monkeypatch.setattr(teams, "available_cores", lambda: 3)
    generator = np.random.default_rng(0)
    g = gf.ExprGraph()
    x = gf.tensor(g, (batch, 32, 20, 20), name="x", value=generator.normal(size=(batch, 32, 20, 20)))
    f = gf.tensor(g, (40, 32, 3, 3), name="f", value=generator.normal(size=(40, 32, 3, 3)))
    y = gf.conv2d(x, f, pad=1)
    gradients = gf.grad(gf.sum(gf.square(y)), x, f)
    found = []
    for threads in (1, 2, 3, None):
        with gf.TapeMachine(g, outputs=[y, *gradients], backend="native", threads=threads) as machine:
            assert machine._executable.threads == (threads or 3)
            machine.run_all()
            found.append([node.value.tobytes() for node in (y, *gradients)])
    assert found[0] == found[1] == found[2] == found[3]
