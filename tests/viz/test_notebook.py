"""What a notebook shows: a picture where that is possible, a line always, a traceback never."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.viz import mime_bundle, notebook
from tests.viz import svg
from tests.viz.graphs import GRAPHS, two_layers


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
    assert "render() makes a file" in bundle["text/plain"]


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

    monkeypatch.setattr(notebook, "draw", fail)
    g = two_layers()
    assert g._repr_mimebundle_() == {"text/plain": f"{g!r}\n{sentence}"}
