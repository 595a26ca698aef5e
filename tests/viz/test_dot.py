"""to_dot: golden texts, and what stands in them."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

import graphflow as gf
from graphflow.viz.views import LIMIT
from tests.viz.graphs import GOLDEN, GOLDEN_TEXTS, GRAPHS, golden_text, steps, two_layers, unrolled


def edges(text: str, *, visible: bool = True) -> list[tuple[int, int]]:
    """The edges between nodes of the graph."""
    found = re.findall(r"^\s*n(\d+) -> n(\d+) \[(.*)\]$", text, re.MULTILINE)
    return sorted((int(tail), int(head)) for tail, head, rest in found if ("style=invis" not in rest) == visible)


def line_of(text: str, node: gf.Node) -> str:
    return next(line.strip() for line in text.splitlines() if line.strip().startswith(f"n{node.id} ["))


def depth_of(text: str, node: gf.Node) -> int:
    """How many frames stand around a node."""
    line = next(line for line in text.splitlines() if line.strip().startswith(f"n{node.id} ["))
    return len(line) - len(line.lstrip("\t")) - 1


@pytest.mark.parametrize("file", GOLDEN_TEXTS)
def test_golden_text(file):
    name, view = GOLDEN_TEXTS[file]
    assert golden_text(GRAPHS[name](), view) == (GOLDEN / f"{file}.gv").read_text(encoding="utf-8")


def test_no_golden_text_is_left_over():
    assert {path.stem for path in GOLDEN.iterdir()} == set(GOLDEN_TEXTS)


def test_another_process_gives_the_same_text():
    program = (
        "from tests.viz.graphs import *; import sys; "
        "texts = [golden_text(two_layers())]; "
        "texts += [golden_text(unrolled(6), view) for view in ('ports', 'collapsed', 'full')]; "
        "sys.stdout.buffer.write('\\n'.join(texts).encode())"
    )
    command = [sys.executable, "-c", program]
    texts = {
        subprocess.run(
            command, check=True, capture_output=True, cwd=GOLDEN.parents[2], env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    here = [golden_text(two_layers()), *[golden_text(unrolled(6), view) for view in ("ports", "collapsed", "full")]]
    assert texts == {"\n".join(here).encode()}


@pytest.mark.parametrize("build", [two_layers, steps])
def test_each_operand_that_is_drawn_has_an_edge_to_its_user(build):
    g = build()
    text = g.to_dot()
    drawn = {int(number) for number in re.findall(r"^\s*n(\d+) \[", text, re.MULTILINE)}
    wanted = sorted((operand.id, node.id) for node in g for operand in node.inputs if operand.id in drawn)
    assert edges(text) == wanted
    assert {node.id for node in g} - drawn == {node.id for node in g if node.is_constant}


def test_gradients_are_laid_out_upwards():
    g = two_layers()
    text = g.to_dot()
    gradient = {node.id for node in g if node.gradient_of is not None and node.op is not None}
    visible = {(tail, head) for tail, head in edges(text) if tail in gradient and head in gradient}
    assert visible
    assert {(head, tail) for tail, head in visible} == set(edges(text, visible=False))
    assert text.count("constraint=false") == sum(head in gradient for _, head in edges(text))


def test_what_the_user_reads_has_a_bold_frame():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    hidden, read = gf.tanh(x), gf.sigmoid(x)
    gf.read(read)
    named = gf.apply(gf.neg(x).op, hidden, name="named")
    root = gf.sum(named * read)
    (dx,) = gf.grad(root, x)
    text = g.to_dot()
    bold = {node.id for node in g if node.op is not None and "penwidth=3" in line_of(text, node)}
    assert bold >= {read.id, named.id, root.id, dx.id}
    assert hidden.id not in bold
    assert "penwidth" not in line_of(text, x)
    assert "penwidth=3" in line_of(g.subgraph(hidden).to_dot(), hidden)


def test_gradients_are_labelled_with_what_they_belong_to():
    g = gf.ExprGraph()
    x, w = gf.vector(g, 3, name="x"), gf.vector(g, 3)
    dx, dw = gf.grad(gf.sum(gf.tanh(x * w)), x, w)
    text = g.to_dot()
    assert 'label="∂x = hadamard_prod' in line_of(text, dx)
    assert f'label="∂%{w.id} = hadamard_prod' in line_of(text, dw)


def test_small_constants_stand_in_the_label_of_their_user():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    y = 1.0 - x * np.array([1.0, 2.5, -3.0])
    text = g.to_dot()
    assert 'label="sub(1, ·)' in line_of(text, y)
    assert 'label="hadamard_prod(·, [1, 2.5, -3])' in line_of(text, y.inputs[1])
    assert edges(text) == [(x.id, y.inputs[1].id), (y.inputs[1].id, y.id)]


@pytest.mark.parametrize("make", [lambda g: gf.constant(g, np.ones((2, 2))), lambda g: gf.constant(g, 2.0, name="two")])
def test_other_constants_are_drawn(make):
    g = gf.ExprGraph()
    constant = make(g)
    y = gf.neg(constant)
    text = g.to_dot()
    assert "shape=note" in line_of(text, constant)
    assert edges(text) == [(constant.id, y.id)]


def test_a_constant_that_nothing_uses_is_drawn():
    g = gf.ExprGraph()
    constant = gf.constant(g, 3.0)
    assert 'label="3\\nfloat32[]"' in line_of(g.to_dot(), constant)


def test_operands_are_numbered_where_there_are_several():
    g = gf.ExprGraph()
    a, b = gf.scalar(g), gf.scalar(g)
    gf.neg(gf.sub(b, a))
    text = g.to_dot()
    assert 'n1 -> n2 [color="#0072B2" headlabel=1]' in text
    assert 'n0 -> n2 [color="#0072B2" headlabel=2]' in text
    assert 'n2 -> n3 [color="#0072B2"]' in text


def test_steps_and_scopes_are_frames():
    g = steps()
    text = g.to_dot()
    assert re.findall(r'label="?(step \d|cell)', text) == ["step 0", "cell", "step 1", "cell", "step 2", "cell"]
    assert all(depth_of(text, node) == 2 for node in g if node.step is not None)


def test_a_parameter_stands_beside_its_users():
    g = gf.ExprGraph()
    w, shared = gf.scalar(g, name="w"), gf.scalar(g, name="shared")
    with g.step(0), g.scope("a"):
        x = gf.add(w, shared)
    with g.step(1), g.scope("b"):
        gf.add(x, shared)
    text = g.to_dot()
    assert depth_of(text, w) == 2
    assert depth_of(text, shared) == 0


@pytest.mark.parametrize(
    ("count", "with_scopes", "frames"), [(12, True, 24), (13, True, 13), (24, False, 24), (25, False, 0)]
)
def test_too_many_frames_are_left_out(count, with_scopes, frames):
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    for t in range(count):
        with g.step(t):
            if with_scopes:
                with g.scope("cell"):
                    x = gf.neg(x)
            else:
                x = gf.neg(x)
    assert len(re.findall(r"subgraph cluster_\d", g.to_dot())) == frames


def test_the_legend_shows_what_occurs():
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    y = gf.neg(x)
    assert re.findall(r"(legend_\w+) \[label", g.to_dot()) == [
        "legend_input",
        "legend_forward",
        "legend_bold",
        "legend_edges",
    ]
    gf.grad(y, x)
    assert "legend_parameter" in g.to_dot()
    assert "dashed" in g.to_dot()
    assert "legend" not in g.to_dot(legend=False)


def test_an_empty_graph_is_drawn():
    assert gf.ExprGraph().to_dot(legend=False).startswith("digraph graphflow {")


def test_a_part_of_a_graph_is_drawn_alone():
    g = two_layers()
    part = g.subgraph(g.cost)
    assert edges(part.to_dot(), visible=False) == []
    assert "legend_gradient" not in part.to_dot()


def test_a_large_graph_is_refused_with_what_to_do():
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    for _ in range(LIMIT):
        x = gf.neg(x)
    with pytest.raises(
        gf.RenderError, match=rf"{LIMIT + 1} nodes(.|\n)*at most {LIMIT}(.|\n)*graph\.subgraph.*limit={LIMIT + 1}"
    ):
        g.to_dot()
    assert f"n{LIMIT} [" in g.to_dot(limit=LIMIT + 1)


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, None, "300"])
def test_a_wrong_limit_is_refused(limit):
    with pytest.raises(gf.OptionError, match="limit"):
        gf.ExprGraph().to_dot(limit=limit)


def test_a_chain_is_drawn_without_recursion():
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    for _ in range(5_000):
        x = gf.neg(x)
    assert len(edges(g.to_dot(limit=10_000))) == 5_000
