"""Elementwise chains stand in one box, where the compiler can make them one loop."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.viz import picture_of
from tests.viz.graphs import two_layers, unrolled
from tests.viz.test_ports import check_sound


def labels(picture):
    return [box.lines[0] for box in picture.boxes if box.role == "forward"]


def test_a_chain_is_one_box():
    g = gf.ExprGraph()
    x, w, b = gf.vector(g, 3, name="x"), gf.matrix(g, (4, 3), name="w"), gf.vector(g, 4, name="b")
    y = gf.tanh(gf.neg(w @ x + b))
    picture = picture_of(g, fuse=True)
    assert labels(picture) == ["matmul", "add → neg → tanh"]
    check_sound(picture)
    assert picture.nodes == {node.id for node in g}
    joined = picture.box_by_key[f"n{y.id}"]
    assert joined.lines[1] == str(y.type)
    assert joined.is_bold
    assert sorted((edge.tail, edge.head) for edge in picture.edges) == [
        ("n0", "n3"), ("n1", "n3"), ("n2", f"n{y.id}"), ("n3", f"n{y.id}"),
    ]  # fmt: skip


def test_what_is_read_twice_or_by_the_user_keeps_its_box():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    twice, read = gf.neg(x), gf.exp(x)
    gf.read(read)
    gf.tanh(twice * gf.sigmoid(twice))
    gf.log(read)
    assert labels(picture_of(g, fuse=True)) == ["neg", "exp", "sigmoid → hadamard_prod → tanh", "log"]


def test_a_value_read_twice_by_one_node_joins_it():
    g = gf.ExprGraph()
    x = gf.neg(gf.vector(g, 3, name="x"))
    gf.tanh(x * x)
    assert labels(picture_of(g, fuse=True)) == ["neg → hadamard_prod → tanh"]


def test_a_fold_takes_in_what_it_folds_and_is_not_taken_in():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    gf.sqrt(gf.sum(x * x))
    assert labels(picture_of(g, fuse=True)) == ["hadamard_prod → sum", "sqrt"]


def test_what_is_repeated_along_an_axis_is_not_taken_in():
    g = gf.ExprGraph()
    x, y = gf.vector(g, 3, name="x"), gf.matrix(g, (2, 3), name="y")
    gf.neg(x) * y
    assert "neg" in labels(picture_of(g, fuse=True))


def test_long_chains_are_shortened():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    for _ in range(30):
        x = gf.neg(x)
    gf.tanh(x)
    picture = picture_of(g, fuse=True)
    assert labels(picture) == ["neg → neg → 28 more → tanh"]
    assert len(picture.boxes[-1].nodes) == 31
    assert sum(line.endswith(": neg") for line in picture.boxes[-1].tooltip) == 30


@pytest.mark.parametrize("view", ["raw", "ports", "collapsed", "full"])
def test_nothing_is_lost(view):
    g = unrolled(5)
    plain, joined = (picture_of(g, view=view, fuse=fuse, limit=1000) for fuse in (False, True))
    assert joined.nodes == plain.nodes
    assert len(joined.boxes) == len(plain.boxes) if view == "full" else len(joined.boxes) < len(plain.boxes)
    check_sound(joined)


def test_an_lstm_step_is_its_formulas():
    found = labels(picture_of(unrolled(6), view="ports", fuse=True))
    assert found.count("add → add → sigmoid") == 3
    assert "state 1 = hadamard_prod → hadamard_prod → add" in found


def test_scopes_stay_as_they_are():
    g = two_layers()
    assert picture_of(g, view="collapsed", fuse=True) == picture_of(g, view="collapsed")
