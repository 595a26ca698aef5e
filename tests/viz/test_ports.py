"""Unrolled graphs: alike steps are found, drawn once, and nothing is lost."""

from __future__ import annotations

import random
import re

import pytest

import graphflow as gf
from graphflow.testing import random_graph
from graphflow.viz import picture_of
from graphflow.viz.labels import MINUS, TIMES
from graphflow.viz.parts import parts_of
from graphflow.viz.steps import Steps
from tests.viz.graphs import perceptron, steps, two_layers, unrolled

CELLS = (gf.nn.LSTM, gf.nn.GRU)


def groups(g):
    return [group.title for group in Steps(g.nodes, g.gradients).groups]


def lines(picture, role=None):
    """The labels of all boxes, or of those of one role."""
    return [" / ".join(box.lines) for box in picture.boxes if role in {None, box.role}]


def check_sound(picture):
    """Each edge and each frame has its ends, each box a key of its own."""
    keys = [box.key for box in picture.boxes]
    assert len(set(keys)) == len(keys)
    clusters = {"", *(cluster.key for cluster in picture.clusters)}
    assert {box.cluster for box in picture.boxes} | {cluster.parent for cluster in picture.clusters} <= clusters
    assert {end for edge in picture.edges for end in (edge.tail, edge.head)} <= set(keys)


@pytest.mark.parametrize("cell", CELLS)
def test_alike_steps_are_found(cell):
    assert groups(unrolled(30, cell=cell)) == [f"t = 1 … 28 ({TIMES}28)", "t = 0", "t = 29"]


def test_inputs_and_losses_made_outside_the_steps_belong_to_them():
    g = gf.ExprGraph()
    w, h = gf.matrix(g, (3, 3), name="w"), gf.vector(g, 3, name="h")
    inputs = [gf.vector(g, 3, name=f"x{t}") for t in range(6)]
    states = []
    for t in range(6):
        with g.step(t):
            h = gf.tanh(w @ h + inputs[t])
            states.append(h)
    losses = [gf.sum(h * h) for h in states]
    cost = gf.sum(gf.stack(losses))
    gf.grad(cost, w)
    found = Steps(g.nodes, g.gradients)
    assert [found.step_of[node.id] for node in inputs] == list(range(6))
    assert [found.step_of[node.id] for node in losses] == list(range(6))
    assert w.id not in found.step_of
    assert cost.id not in found.step_of
    assert len(found.groups[0].steps) >= 4


def test_what_only_one_step_has_is_not_taken_into_it():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    first = h = gf.exp(x)
    for t in range(4):
        with g.step(t):
            h = gf.tanh(h)
    last = gf.sum(h)
    found = Steps(g.nodes, g.gradients)
    assert {x.id, first.id, last.id}.isdisjoint(found.step_of)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("view", ["ports", "collapsed", "full"])
def test_each_node_is_in_the_picture(cell, view):
    g = unrolled(12, cell=cell)
    picture = picture_of(g, view=view)
    assert picture.nodes == {node.id for node in g}
    check_sound(picture)
    assert picture.view == view


def test_the_size_of_the_picture_does_not_depend_on_the_number_of_steps():
    pictures = [picture_of(unrolled(count), view="ports") for count in (6, 30)]
    assert len(pictures[0].boxes) == len(pictures[1].boxes)
    assert len(pictures[1].boxes) < 200


def test_an_lstm_can_be_read_off_the_ports():
    g = unrolled(30)
    picture = picture_of(g)
    assert picture.view == "ports"
    assert [cluster.title for cluster in picture.clusters if cluster.role] == [
        f"forward, t = 1 … 28 ({TIMES}28)",
        f"backward, t = 1 … 28 ({TIMES}28)",
    ]
    frames = [cluster.title for cluster in picture.clusters if not cluster.role]
    gates = [f"cell.{gate}" for gate in gf.nn.LSTM.GATES]
    assert sorted(frames) == sorted([*gates, "decoder", *(f"∂ {name}" for name in [*gates, "decoder"])])
    forward = lines(picture, "forward")
    assert {"state 1 = add / float32[4]", "state 2 = hadamard_prod / float32[4]"} <= set(forward)
    assert sum(line.startswith("sigmoid") for line in forward) == 3
    flags = lines(picture, "port")
    # Four gates take the hidden state of the step before, the new memory the old one.
    assert flags.count(f"state 2, t {MINUS} 1") >= 4
    assert f"state 1, t {MINUS} 1" in flags
    assert flags.count("to t + 1") == 2
    assert "∂ from t + 1" in flags
    assert f"∂ to t {MINUS} 1" in flags


def test_each_parameter_is_a_pill_beside_its_use_and_each_gradient_a_sum():
    g = unrolled(30)
    picture = picture_of(g)
    repeated = {number for box in picture.boxes if box.is_small and box.role == "parameter" for number in box.nodes}
    assert repeated == set(g.gradients)
    sums = [box for box in picture.boxes if box.is_small and box.role == "gradient"]
    assert {number for box in sums for number in box.nodes} == {node.id for node in g.gradients.values()}
    assert all(box.lines[1] == "sum over t" for box in sums)


def test_a_box_names_the_nodes_of_all_steps():
    g = unrolled(30)
    picture = picture_of(g)
    tanh = [box for box in picture.boxes if box.lines[0] == "tanh" and box.role == "forward"]
    assert [len(box.nodes) for box in tanh] == [30, 30]
    assert all(box.key == f"n{box.nodes[0]}" for box in tanh)
    assert all("the same in t = 0 … 29" in box.tooltip for box in tanh)


def test_what_is_used_of_another_step_has_a_flag_and_no_edge():
    g = unrolled(8)
    picture = picture_of(g, view="ports")
    boxes = picture.box_by_key
    kinds = {box.key: box.cluster for box in picture.boxes}
    outer = {cluster.key: cluster.parent for cluster in picture.clusters}

    def pass_of(key):
        cluster = kinds[key]
        while outer.get(cluster):
            cluster = outer[cluster]
        return cluster

    crossing = [edge for edge in picture.edges if pass_of(edge.tail) and pass_of(edge.head)]
    assert all(pass_of(edge.tail) == pass_of(edge.head) for edge in crossing)
    assert any(boxes[edge.tail].role == "port" for edge in picture.edges)


def test_collapsed_shows_each_kind_of_step_and_what_it_hands_on():
    picture = picture_of(unrolled(30), view="collapsed")
    titles = [cluster.title for cluster in picture.clusters if cluster.role == "forward"]
    assert titles == ["forward, t = 0", f"forward, t = 1 … 28 ({TIMES}28)", "forward, t = 29"]
    assert {edge.label for edge in picture.edges} >= {f"t {MINUS} 1", "t + 1"}


def test_many_kinds_of_steps_are_refused():
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    for t in range(90):
        with g.step(t):
            for _ in range(t):
                x = gf.neg(x)
    with pytest.raises(gf.RenderError, match="too large for the view"):
        g.to_dot(view="collapsed")


def test_without_steps_the_view_of_steps_is_refused():
    with pytest.raises(gf.RenderError, match=r"needs steps(.|\n)*collapsed"):
        two_layers().to_dot(view="ports")


def test_without_steps_scopes_are_collapsed():
    g = perceptron(40)
    picture = picture_of(g)
    assert picture.view == "scopes"
    assert picture.nodes == {node.id for node in g}
    check_sound(picture)
    assert {"layer7 / 5 nodes", "layer0 / 6 nodes"} <= set(lines(picture, "forward"))
    assert any(line.startswith("∂ layer7 / ") for line in lines(picture, "gradient"))


def test_deep_scopes_are_collapsed_to_fewer():
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    for outer in range(5):
        for inner in range(50):
            with g.scope(f"outer{outer}"), g.scope(f"inner{inner}"):
                x = gf.neg(x)
    picture = picture_of(g, view="collapsed")
    assert [box.lines[0] for box in picture.boxes if box.lines[0] != "no scope"] == [f"outer{n}" for n in range(5)]


def test_parts_come_from_scopes_or_from_the_names_of_parameters():
    g = perceptron(2)
    parts = parts_of(g.nodes)
    names = [parts[node.id] for node in g if node.op is not None and node.op.symbol == "tanh"]
    assert names == ["layer0", "layer1"]
    g = two_layers()
    assert {parts_of(g.nodes)[node.id] for node in g} == {"", "hidden", "output"}


def test_parts_lie_within_scopes_and_are_not_said_twice():
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3), name="x")
    w = gf.matrix(g, (4, 3), name="decoder.w")
    with g.scope("training"):
        turned = w.T
        y = gf.tanh(gf.exp(x) @ turned)
    with g.scope("decoder"):
        z = gf.neg(w)
    parts = parts_of(g.nodes)
    assert [parts[node.id] for node in (w, turned, y, z)] == [
        "decoder",
        "training/decoder",
        "training/decoder",
        "decoder",
    ]


def test_small_graphs_are_drawn_node_by_node():
    assert picture_of(steps()).view == "raw"
    assert picture_of(steps(), view="ports").view == "ports"


def test_views_do_not_change_the_graph():
    g = unrolled(6)
    before = str(g)
    for view in ("ports", "collapsed", "full", "text"):
        g.to_dot(view=view)
    assert str(g) == before


@pytest.mark.parametrize("view", ["ports", "collapsed", "full"])
def test_keys_are_plain_words(view):
    """So that the ids of elements and the titles of an SVG file are the keys themselves."""
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    for t in range(-5, 1):
        with g.step(t):
            x = gf.neg(x) * x
    picture = picture_of(g, view=view)
    assert {box.key for box in picture.boxes if not re.fullmatch(r"\w+", box.key)} == set()
    assert picture.nodes == {node.id for node in g}


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_with_random_steps_and_scopes_are_drawn_whole(seed):
    g = random_graph(seed=seed).graph
    generator = random.Random(seed)
    computed = [node for node in g if node.op is not None]
    for node in computed:
        node.step = generator.choice((None, -1, 0, 1)) if seed % 2 else node.id * 6 // len(g)
        node.scope = generator.choice(("", "a", "a/b", "c"))
    for options in ({"view": "ports"}, {"view": "ports", "fuse": True}, {"view": "collapsed"}, {"view": "full"}):
        picture = picture_of(g, **options)
        check_sound(picture)
        assert picture.nodes == {node.id for node in g}
    for options in ({"direction": "forward"}, {"select": "a*"}, {"around": computed[-1], "up": 4}):
        for view in ("ports", "collapsed", "full"):
            try:
                check_sound(picture_of(g, view=view, **options))
            except gf.RenderError:
                assert view != "full"  # what is left may have no steps


def test_a_gradient_that_is_used_has_a_box():
    g = gf.ExprGraph()
    w, x = gf.scalar(g, name="w"), gf.scalar(g, name="x")
    for t in range(3):
        with g.step(t):
            x = gf.tanh(w * x)
    (dw,) = gf.grad(x, w)
    gf.exp(dw)
    picture = picture_of(g, view="ports")
    check_sound(picture)
    assert f"n{dw.id}" in picture.box_by_key
