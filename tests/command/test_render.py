"""render: a picture of what a program builds; every mistake is one line."""

from __future__ import annotations

import re

import pytest

from tests.command.programs import is_one_line, run, start
from tests.viz import svg

PROGRAM = """
import neighbour
import graphflow as gf

print("hello")
graph = gf.ExprGraph("mine")
x = gf.vector(graph, 3, name="x")
cost = gf.sum(gf.tanh(x))


def build():
    print("building")
    return neighbour.build()


def pair():
    return cost, x


def fails():
    raise ValueError("no data")


def ends():
    raise SystemExit(3)


class Holder:
    part = graph.subgraph(x)


class Model:
    def __init__(self):
        self.graph = graph


number = 3
if __name__ == "__main__":
    raise AssertionError("run as a program")
"""
NEIGHBOUR = """
import graphflow as gf


def build():
    g = gf.ExprGraph()
    return gf.exp(gf.scalar(g, name="t"))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a program, in which the test runs; what it imports is forgotten."""
    import sys

    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "neighbour.py").write_text(NEIGHBOUR, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name in {"program", "neighbour", "broken", "two", "saved", "unrolled"}:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("target", "count"),
    [
        ("program.py:graph", 3),
        ("program.py", 3),
        ("program:graph", 3),
        ("program.py:cost", 3),
        ("program.py:build", 2),
        ("program.py:pair", 3),
        ("program.py:Holder.part", 1),
        ("program.py:Model", 3),
    ],
)
def test_what_can_be_named(capsys, folder, target, count):
    done = run(capsys, "render", target, "-o", "x.svg")
    assert done.code == 0, done.err
    assert done.out.startswith(f"x.svg: of a graph of {count} nodes")
    assert len(svg.node_lines(svg.parse((folder / "x.svg").read_bytes()))) >= count


def test_without_a_file_the_text_is_printed(capsys, folder):
    done = run(capsys, "render", "program.py:build", "--no-legend")
    assert done.out.startswith("digraph graphflow {\n")
    assert "legend" not in done.out
    assert done.err == "hello\nbuilding\n"


def test_the_text_into_a_file(capsys, folder):
    done = run(capsys, "render", "program.py:graph", "-o", "x.gv")
    assert done.code == 0
    assert (folder / "x.gv").read_text(encoding="utf-8").startswith("digraph")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing.py:graph",), "there is no program nothing.py"),
        (("nothing.at.all:graph",), "there is no program nothing.at.all"),
        (("program.py:nothing",), "has no 'nothing'"),
        (("program.py:nothing",), "try program.py:graph or program.py:x or program.py:cost"),
        (("program.py:number",), "is no graph (got int"),
        (("program.py:fails",), "got ValueError: no data at program.py:21"),
        (("program.py:ends",), "got SystemExit: 3"),
        (("neighbour.py",), "has no graphs to choose from"),
        (("neighbour.py",), "try neighbour.py:build"),
        (("broken.py",), "got ZeroDivisionError: division by zero at broken.py:1"),
        (("unfit.py",), "got ShapeError: add: cannot combine a: float32[2] with b: float32[3] at unfit.py:4"),
        (("two.py",), "has 2 graphs to choose from"),
        (("wrong.py",), "(wrong.py, line 1))"),
        (("run.json",), "run.json holds no graph (got a checkpoint, which holds values"),
        ((".",), "there is no program ."),
        (("program.py:graph", "-o", "x.txt"), "cannot draw this kind of file"),
        (("program.py:graph", "-o", "x.txt"), "try view='text'"),
        (("program.py:graph", "-o", "none/x.svg"), "there is no folder"),
        (("program.py:graph", "-o", "none/x.gv"), "cannot be written"),
        (("program.py:graph", "--limit", "2"), "3 nodes"),
        (("program.py:graph", "--around", "cost"), "there is no node called 'cost' (try x or a number such as %0)"),
        (("program.py:graph", "--steps", "2-1"), "argument --steps: '2-1' are no steps; they are written as 3"),
        (("program.py:graph", "--steps", "a"), "argument --steps: 'a' are no steps"),
        (("program.py:graph", "--view", "other"), "invalid choice"),
        (("program.py:graph", "--checkpoint", "none.json"), "No such file"),
        (("program.py:graph", "--limit", "0"), "limit is not usable"),
        (("program.py:graph", "-o", "x.svg", "--timeout", "-1"), "timeout is not usable"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(capsys, folder, words, said):
    (folder / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    (folder / "wrong.py").write_text("def\n", encoding="utf-8")
    unfit = "import graphflow as gf\ng = gf.ExprGraph()\na, b = (gf.vector(g, n, name='ab'[n - 2]) for n in (2, 3))\n"
    (folder / "unfit.py").write_text(f"{unfit}a + b\n", encoding="utf-8")
    (folder / "two.py").write_text("import graphflow as gf\na, b = gf.ExprGraph(), gf.ExprGraph()\n", encoding="utf-8")
    (folder / "run.json").write_text("{}", encoding="utf-8")
    done = run(capsys, "render", *words)
    assert (done.code, done.out) == (2, "")
    complaint = done.err.replace("hello\n", "").replace("building\n", "")
    assert is_one_line(complaint)
    assert said in complaint
    assert sorted(path.name for path in folder.iterdir() if path.suffix in {".svg", ".gv"}) == []


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ((), 5),
        (("--view", "raw", "--direction", "backward"), None),
        (("--around", "x", "--up", "0", "--down", "1"), 3),
        (("--around", "%1", "--up", "1", "--down", "0"), 3),
        (("--select", "x"), 3),
        (("--select", "nothing*"), None),
        (("--steps", "0"), None),
    ],
)
def test_parts(capsys, folder, options, count):
    done = run(capsys, "render", "program.py:graph", "--no-legend", *options)
    if count is None:  # nothing is left of this small graph
        assert (done.code, done.out) == (2, "")
        assert is_one_line(done.err.replace("hello\n", ""))
    else:
        assert len(re.findall(r"^\tn\d", done.out, re.MULTILINE)) == count


def test_steps_of_an_unrolled_graph(capsys, folder):
    (folder / "unrolled.py").write_text("from tests.viz.graphs import unrolled\n", encoding="utf-8")
    done = run(capsys, "render", "unrolled.py:unrolled", "--view", "ports")
    assert "forward, t = 1" in done.out
    done = run(capsys, "render", "unrolled.py:unrolled", "--view", "raw", "--steps", "1,3-4", "--direction", "forward")
    assert {title for title in ("step 1", "step 3", "step 4", "step 5") if f'"{title}"' in done.out} == {
        "step 1", "step 3", "step 4",
    }  # fmt: skip


def test_a_page(capsys, folder):
    done = run(capsys, "render", "program.py:graph", "-o", "x.html", "--view", "raw")
    assert done.code == 0, done.err
    assert "<title>mine</title>" in (folder / "x.html").read_text(encoding="utf-8")


def test_a_page_with_the_values_of_a_checkpoint(capsys, folder):
    program = (
        "import graphflow as gf\nimport sys\ng = gf.ExprGraph()\nw = gf.vector(g, 2, name='w', value=[5.0, 7.25])\n"
    )
    (folder / "saved.py").write_text(program + "gf.save_checkpoint('w.json', [w])\ngf.let(w, [0.0, 0.0])\n")
    done = run(capsys, "render", "saved.py:g", "-o", "x.html", "--checkpoint", "w.json")
    assert done.code == 0, done.err
    assert '"[5, 7.25]"' in (folder / "x.html").read_text(encoding="utf-8")
    done = run(capsys, "render", "program.py:graph", "-o", "y.html", "--checkpoint", "w.json")
    assert (done.code, done.out) == (2, "")
    assert "no node for the tensor 'w' float32[2]" in done.err


def test_in_a_process_of_its_own(folder):
    done = start("render", "program.py:graph", "-o", "x.svg", folder=folder)
    assert done.code == 0, done.err
    assert (folder / "x.svg").exists()
