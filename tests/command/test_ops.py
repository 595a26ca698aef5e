"""ops: every operation of the registry can be described."""

from __future__ import annotations

import pytest

from graphflow.command.ops import described
from graphflow.op import REGISTRY
from tests.command.programs import is_one_line, run

OWN = sorted(name for name, op in REGISTRY.items() if op.__module__.startswith("graphflow."))


@pytest.mark.parametrize("name", OWN)
def test_every_op_is_described(name):
    found = described(name)
    assert found.symbol == REGISTRY[name].symbol
    assert "->" in found.shapes
    assert found.loop
    assert all("= " in text or text.startswith("none") for text in found.gradients)


def test_the_table_has_a_line_for_each(capsys):
    lines = run(capsys, "ops").out.splitlines()
    assert lines[0].split()[0] == "symbol"
    assert {REGISTRY[name].symbol for name in OWN} <= {line.split()[0] for line in lines if line}


def test_one_op_in_full(capsys):
    assert run(capsys, "ops", "exp").out.splitlines() == [
        "Exp",
        "  symbol    exp",
        "  sample    x float32[3, 4] -> float32[3, 4]",
        "  loop      map exp(x)",
        "  gradient  dx = dy * y",
    ]


def test_a_pattern_looks_at_names_and_symbols(capsys):
    assert run(capsys, "ops", "matm*").out.startswith("MatMul  The product of vectors")
    assert "Gt\n" in run(capsys, "ops", "GT").out
    found = run(capsys, "ops", "log*").out
    assert {"Log", "Log1p", "LogSoftmax"} <= {line.split()[0] for line in found.splitlines() if line[:1].isalpha()}


def test_what_has_no_gradient_says_so(capsys):
    assert "none: not differentiable" in run(capsys, "ops", "Gt").out


def test_no_such_op(capsys):
    done = run(capsys, "ops", "nothing")
    assert done.code == 2
    assert is_one_line(done.err)
    assert "'*nothing*'" in done.err
