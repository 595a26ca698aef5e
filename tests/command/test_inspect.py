"""inspect: what a checkpoint holds, or one line that says why it cannot be known."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from tests.command.programs import is_one_line, run


def saved(path, values, **options):
    """A checkpoint of vectors, by name."""
    g = gf.ExprGraph()
    nodes = [gf.tensor(g, np.shape(value), name=name, value=value) for name, value in values.items()]
    gf.save_checkpoint(path, nodes, **options)
    return str(path)


def test_tensors_solver_and_extra_are_shown(capsys, tmp_path):
    g = gf.ExprGraph()
    w = gf.matrix(g, (2, 2), name="w", value=[[1.0, 2.0], [3.0, 6.0]])
    b = gf.vector(g, 3, name="b", init=gf.zeroes())
    gf.grad(gf.sum(w * w) + gf.sum(b * b), w, b)
    solver = gf.AdamSolver(learn_rate=0.25)
    with gf.TapeMachine(g) as vm:
        vm.run_all()
        solver.step([w, b])
    gf.let(w, [[1.0, 2.0], [3.0, 6.0]])
    path = str(tmp_path / "run.json")
    gf.save_checkpoint(path, [w, b], solver=solver, extra={"letters": ["a"] * 7, "epoch": 3, "table": np.zeros((2, 3))})
    done = run(capsys, "inspect", path)
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert "digest OK" in done.out
    assert "2 tensors of 7 numbers" in done.out
    assert ["w", "float32", "2x2", "1", "6", "3", "1.871"] in lines
    assert ["b", "float32", "3", "0", "0", "0", "0", "all", "0"] in lines
    assert ["solver", "AdamSolver,", "step", "1,", "state", "of", "2", "parameters"] in lines
    assert "learn_rate=0.25" in done.out
    assert "['a', 'a', 'a', 'a', 'a', 'a', ...] (7 items)" in done.out
    assert ["epoch", "3"] in lines
    assert "float64[2, 3]" in done.out


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1.0, np.nan, 3.0, np.inf], ["x", "float32", "4", "1", "3", "2", "1", "2", "not", "finite"]),
        ([np.nan], ["x", "float32", "1", "nothing", "finite"]),
        (np.zeros((0, 3), np.float32), ["x", "float32", "0x3", "empty"]),
        (2.0, ["x", "float32", "scalar", "2", "2", "2", "0"]),
    ],
)
def test_what_is_not_finite_is_counted_and_left_out(capsys, tmp_path, value, expected):
    done = run(capsys, "inspect", saved(tmp_path / "x.json", {"x": value}))
    assert done.out.splitlines()[4].split() == expected


def test_an_empty_checkpoint(capsys, tmp_path):
    done = run(capsys, "inspect", saved(tmp_path / "x.json", {}))
    assert "0 tensors of 0 numbers" in done.out
    assert done.out.splitlines()[-2:] == ["solver  none saved", "extra   nothing"]


def test_hostile_names_and_values_stay_text(capsys, tmp_path):
    name = "\x1b[31mred\n\x02"
    path = saved(
        tmp_path / "x.json",
        {name: [1.0]},
        extra={"\x1b]0;title\x07": "\x1b[2J" + "y" * 999, "d": {"a": [1], "b": "\x00"}},
    )
    done = run(capsys, "inspect", path)
    assert "␛[31mred␊␂" in done.out
    assert "(1,003 characters)" in done.out
    assert all(character.isprintable() or character == "\n" for character in done.out)
    assert len(done.out.splitlines()) == 9


@pytest.mark.parametrize("content", [None, b"", b"hello", b'{"format":"graphflow-checkpoint","version":9,\n'])
def test_a_bad_file_is_one_line_and_code_2(capsys, tmp_path, content):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    done = run(capsys, "inspect", str(path))
    assert (done.code, done.out) == (2, "")
    assert is_one_line(done.err)
    assert done.err.startswith("python -m graphflow inspect: cannot load the checkpoint")


def test_one_flipped_bit_is_found(capsys, tmp_path):
    path = tmp_path / "x.json"
    saved(path, {"x": [1.0, 2.0]})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = run(capsys, "inspect", str(path))
    assert done.code == 2
    assert "digest" in done.err


def test_a_file_name_cannot_command_the_terminal(capsys):
    done = run(capsys, "inspect", "\x1b[31m\n.json")
    assert is_one_line(done.err)
    assert "\x1b" not in done.err
