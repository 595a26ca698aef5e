"""What a notebook shows: a picture where that is possible, a line always, a traceback never."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.viz import mime_bundle, notebook, render
from tests.viz import svg
from tests.viz.graphs import GRAPHS, two_layers, unrolled


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_shows_itself(name):
    g = GRAPHS[name]()
    bundle = g._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == repr(g)
    assert svg.dangers(svg.parse(bundle["text/html"]).find("{*}svg")) == []
    assert "<?xml" not in bundle["text/html"]
    assert "<!DOCTYPE svg" not in bundle["text/html"]


def test_a_node_shows_what_it_is_computed_from():
    g = two_layers()
    node = g.cost.inputs[0]
    bundle = mime_bundle(node)
    shown = svg.node_lines(svg.parse(bundle["text/html"]))
    assert bundle["text/plain"] == repr(node)
    assert {name for name in shown if name.startswith("n")} == {f"n{each.id}" for each in g.subgraph(node)}


def test_a_large_graph_shows_a_line():
    g = gf.ExprGraph()
    x = gf.scalar(g)
    for _ in range(notebook.LIMIT):
        x = gf.neg(x)
    bundle = g._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    assert (
        f"No picture: the graph is too large to be drawn node by node ({notebook.LIMIT + 1} nodes)."
        in bundle["text/plain"]
    )


def test_a_large_picture_is_left_out(monkeypatch):
    monkeypatch.setattr(notebook, "LARGEST_PICTURE", 1000)
    bundle = two_layers()._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    assert "render() or to_html() makes a file" in bundle["text/plain"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (gf.RenderError("no engine", hint="install it"), "No picture: no engine (install it)."),
        (ValueError(), "No picture: ValueError."),
    ],
)
def test_no_error_leaves_the_notebook(monkeypatch, error, sentence):
    def fail(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(notebook, "draw_picture", fail)
    g = two_layers()
    assert g._repr_mimebundle_() == {"text/plain": f"{g!r}\n{sentence}"}


def program_of(g):
    """The program of a machine for a graph whose inputs need no values."""
    with gf.TapeMachine(g) as vm:
        return vm.program


def test_a_program_shows_its_listing_as_a_table():
    g = two_layers()
    program = program_of(g)
    bundle = program._repr_mimebundle_(include=None, exclude=None)
    table = svg.parse(bundle["text/html"]).find("table")
    rows = [[cell.text or "" for cell in row] for row in table.iter("tr")]
    assert rows[0] == list(notebook.HEADING)
    assert len(rows) == len(program) + 1
    for number, (row, instruction) in enumerate(zip(rows[1:], program, strict=True)):
        assert row[0] == str(number)
        assert row[3] == str(instruction.output.type)
        assert row[4] == str(instruction.loop)
    assert bundle["text/plain"].splitlines()[-1] == str(program).splitlines()[-1]
    assert len(bundle["text/plain"].splitlines()) == len(program) + 1


def test_names_in_a_listing_are_text():
    g = gf.ExprGraph()
    y = gf.tanh(gf.vector(g, 2, name="x"))
    y.name = "<script>alert(1)</script>\x02" + "x" * 1000
    html = program_of(g)._repr_mimebundle_()["text/html"]
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert len(html) < 5000
    svg.parse(html)


def test_a_long_program_shows_its_ends():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x")
    for _ in range(notebook.MOST_ROWS):
        x = gf.matmul(gf.outer(x, x), x)
    program = program_of(g)
    bundle = program._repr_mimebundle_()
    left_out = len(program) - notebook.MOST_ROWS
    assert left_out > 0
    assert f"{left_out:,} instructions are left out" in bundle["text/html"]
    assert len(bundle["text/plain"].splitlines()) == notebook.MOST_ROWS + 2
    assert f"<td>{len(program) - 1}</td>" in bundle["text/html"]


def test_an_unrolled_network_shows_its_repeated_step():
    bundle = unrolled(30)._repr_mimebundle_()
    assert "text/html" in bundle
    assert len(bundle["text/html"]) < 400_000


def test_nothing_that_draws_is_no_traceback(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(render.sysconfig, "get_path", lambda _: "/nowhere")
    g = two_layers()
    for shown in (g, g.cost, g.subgraph(g.cost)):
        bundle = shown._repr_mimebundle_()
        assert list(bundle) == ["text/plain"]
        assert "No picture: nothing is installed that draws graphs" in bundle["text/plain"]
    assert "text/html" in program_of(g)._repr_mimebundle_()
