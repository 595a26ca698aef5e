"""Which part of a graph is drawn."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.viz import picture_of
from tests.viz.graphs import two_layers, unrolled
from tests.viz.test_ports import check_sound


def shown(picture):
    """The ids of the nodes with boxes of their own."""
    return {number for box in picture.boxes if not box.is_small for number in box.nodes}


def test_levels_around_a_node():
    g = gf.ExprGraph()
    chain = [gf.scalar(g, name="x")]
    for _ in range(20):
        chain.append(gf.neg(chain[-1]))
    middle = chain[10]
    picture = picture_of(g, around=middle, up=2, down=3)
    assert picture.nodes == {node.id for node in chain[8:14]}
    check_sound(picture)
    assert picture_of(g, around=middle, up=0, down=0).nodes == {middle.id}
    assert picture_of(g, around=middle, up=100, down=100).nodes == {node.id for node in g}


def test_the_direction():
    g = two_layers()
    forward, backward = (picture_of(g, direction=direction) for direction in ("forward", "backward"))
    assert {box.role for box in forward.boxes} == {"input", "parameter", "forward"}
    assert "forward" not in {box.role for box in backward.boxes}
    assert forward.nodes | backward.nodes == {node.id for node in g}
    check_sound(forward)
    check_sound(backward)


@pytest.mark.parametrize(("pattern", "parts"), [("hidden*", {"hidden"}), ("*", {"hidden", "output"})])
def test_scopes_are_selected(pattern, parts):
    g = two_layers()
    picture = picture_of(g, select=pattern)
    assert {cluster.title for cluster in picture.clusters} - {"gradient"} == parts


def test_what_is_done_with_a_named_input_is_selected():
    g = two_layers()
    (w,) = g.by_name("w")
    picture = picture_of(g, select="w", direction="forward")
    users = {node.id for node in g if w.id in {each.id for each in node.inputs} and node.gradient_of is None}
    assert picture.nodes >= users | {w.id}


def test_the_names_of_parameters_select_parts_of_steps():
    g = unrolled(12)
    picture = picture_of(g, select="decoder*", view="ports")
    assert picture.view == "ports"
    assert [cluster.title for cluster in picture.clusters if not cluster.role] == ["decoder", "∂ decoder"]
    assert "state 2" in {box.lines[0] for box in picture.boxes if box.role == "port"}
    check_sound(picture)


@pytest.mark.parametrize("wanted", [3, [3, 4], range(2)])
@pytest.mark.parametrize("view", ["auto", "ports", "collapsed", "raw"])
def test_steps_are_selected(wanted, view):
    g = unrolled(6)
    picture = picture_of(g, steps=wanted, view=view)
    steps = {node.step for node in g if node.id in shown(picture)} - {None}
    assert steps == ({wanted} if isinstance(wanted, int) else set(wanted))
    check_sound(picture)


def test_directions_of_steps():
    g = unrolled(12)
    forward, backward = (picture_of(g, direction=direction, view="ports") for direction in ("forward", "backward"))
    assert {cluster.role for cluster in forward.clusters} <= {"", "forward"}
    assert {cluster.role for cluster in backward.clusters} <= {"", "gradient"}
    for picture in (forward, backward):
        check_sound(picture)
        assert "t = 1 … 1" in next(cluster.title for cluster in picture.clusters if cluster.role)
    whole = picture_of(g, view="ports")
    assert len(forward.boxes) + len(backward.boxes) >= len(whole.boxes) - 2


def test_a_part_has_no_steps_of_its_own():
    g = unrolled(40)
    picture = picture_of(g, around=g.cost, up=5)
    assert picture.nodes < {node.id for node in g}
    check_sound(picture)


def test_an_input_stays_only_with_a_use():
    g = two_layers()
    (w,) = g.by_name("w")
    picture = picture_of(g, select="output*", direction="forward")
    assert w.id not in picture.nodes


def test_selections_leave_what_all_of_them_leave():
    g = two_layers()
    picture = picture_of(g, select="hidden", direction="forward")
    assert {g[number].scope for number in picture.nodes if g[number].op is not None} == {"hidden"}
    assert {g[number].gradient_of for number in picture.nodes} == {None}


def test_the_listing_of_a_part():
    g = two_layers()
    text = g.to_dot(view="text", select="hidden", direction="forward")
    assert "tanh" in text
    assert "sigmoid" not in text
    assert g.to_dot(view="text") == f"{g}\n"


@pytest.mark.parametrize(
    "options",
    [
        {"view": "circle"},
        {"view": None},
        {"direction": "up"},
        {"steps": 99},
        {"steps": []},
        {"steps": 1.5},
        {"steps": [None]},
        {"select": "nothing*"},
        {"select": 3},
        {"up": -1, "around": 0},
        {"down": 1.5, "around": 0},
        {"up": True, "around": 0},
    ],
)
def test_wrong_options_are_refused(options):
    g = unrolled(4)
    if "around" in options:
        options = {**options, "around": g.nodes[options["around"]]}
    with pytest.raises(gf.OptionError, match="to_dot"):
        g.to_dot(**options)


def test_nothing_left_is_refused():
    g = gf.ExprGraph()
    gf.neg(gf.scalar(g))
    with pytest.raises(gf.OptionError, match="nothing is left"):
        g.to_dot(direction="backward")


@pytest.mark.parametrize("around", [3, "x", gf.scalar(gf.ExprGraph())])
def test_around_something_else_is_refused(around):
    with pytest.raises(gf.GraphError):
        unrolled(4).to_dot(around=around)


def test_the_listing_is_no_picture():
    with pytest.raises(gf.OptionError, match="no picture"):
        picture_of(two_layers(), view="text")


def test_parts_and_nodes_draw_themselves(tmp_path):
    g = two_layers()
    node = g.cost.inputs[0]
    assert node.to_dot(legend=False) == g.subgraph(node).to_dot(legend=False)
    path = node.render(tmp_path / "node.svg", around=node, up=1)
    assert path.read_bytes().count(b'class="node"') > 2
    assert g.render(tmp_path / "listing.txt", view="text").read_text(encoding="utf-8") == f"{g}\n"
    with pytest.raises(gf.RenderError, match=r"\.txt"):
        g.render(tmp_path / "listing.svg", view="text")
    with pytest.raises(gf.RenderError, match=r"\.svg"):
        g.render(tmp_path / "listing.txt")
