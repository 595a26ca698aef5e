"""The view of all nodes: places that do not overlap, the same for alike steps."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.viz import picture_of
from graphflow.viz.full import size_of
from graphflow.viz.layers import GAP, layered
from tests.viz import svg
from tests.viz.graphs import perceptron, steps, two_layers, unrolled
from tests.viz.test_ports import check_sound

# A graph without circles: each box may be used by those after it.
GRAPHS_OF_BOXES = st.integers(1, 30).flatmap(
    lambda count: st.tuples(
        st.lists(st.tuples(st.floats(1, 300), st.floats(1, 80)), min_size=count, max_size=count),
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=60).map(
            lambda pairs: [(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]]
        ),
    )
)


def overlaps(places):
    """Pairs of boxes (x, y, width, height) that share some area."""
    found = []
    ordered = sorted(places, key=lambda place: place[0] - place[2] / 2)
    for number, one in enumerate(ordered):
        for other in itertools.islice(ordered, number + 1, None):
            if other[0] - other[2] / 2 >= one[0] + one[2] / 2:
                break
            if abs(one[1] - other[1]) < (one[3] + other[3]) / 2 - 1e-6:
                found.append((one, other))
    return found


@given(GRAPHS_OF_BOXES)
def test_boxes_stand_below_what_they_come_from_and_apart(graph):
    sizes, edges = graph
    layout = layered(sizes, edges)
    for tail, head in edges:
        assert layout.points[head][1] < layout.points[tail][1]
    places = [(*point, width - 1e-6, height) for point, (width, height) in zip(layout.points, sizes, strict=True)]
    assert overlaps(places) == []
    for (x, y), (width, height) in zip(layout.points, sizes, strict=True):
        assert x - width / 2 >= -1e-6
        assert x + width / 2 <= layout.width + 1e-6
        assert y + height / 2 <= 1e-6
        assert y - height / 2 >= -layout.height - 1e-6


def test_one_box_and_none():
    assert layered([], []).points == ()
    assert layered([(10, 4)], []).points == ((5.0, -2.0),)


def test_a_box_stands_between_its_neighbours():
    layout = layered([(10, 10)] * 4, [(0, 3), (1, 3), (2, 3)])
    assert [x for x, _ in layout.points] == [5, 5 + 10 + GAP, 5 + 2 * (10 + GAP), 5 + 10 + GAP]


def test_what_nothing_leads_to_stands_just_above_its_first_use():
    layout = layered([(10, 10)] * 4, [(0, 1), (1, 2), (3, 2)])
    assert layout.points[3][1] == layout.points[1][1]


def test_a_long_chain_is_laid_out_without_recursion():
    count = 20_000
    layout = layered([(10, 10)] * count, list(itertools.pairwise(range(count))))
    assert {x for x, _ in layout.points} == {5}


@pytest.mark.parametrize("build", [steps, two_layers, unrolled, perceptron, gf.ExprGraph])
def test_all_nodes_are_drawn_apart(build):
    g = build()
    picture = picture_of(g, view="full")
    check_sound(picture)
    assert picture.is_placed
    assert picture.nodes == {node.id for node in g}
    assert overlaps([(*box.position, *size_of(box)) for box in picture.boxes if box.role]) == []


def test_each_node_has_a_box_of_its_own():
    g = unrolled(8)
    picture = picture_of(g, view="full")
    own = Counter(number for box in picture.boxes if not box.is_small for number in box.nodes[:1])
    computed = {node.id for node in g if node.op is not None}
    assert computed <= set(own)
    assert set(own.values()) == {1}


def test_alike_steps_are_laid_out_alike():
    g = unrolled(8)
    picture = picture_of(g, view="full")
    by_step = {t: [box for box in picture.boxes if box.step == t and not box.is_small] for t in range(1, 7)}
    first = by_step[1]
    for boxes in by_step.values():
        moved = {
            (round(box.position[0] - model.position[0], 3), round(box.position[1] - model.position[1], 3))
            for box, model in zip(boxes, first, strict=True)
        }
        assert len(moved) == 1
        assert moved.pop()[1] == 0
    headings = [box.lines[0] for box in picture.boxes if not box.role]
    assert headings == [f"t = {t}" for t in range(8)]


def test_edges_that_are_not_drawn_are_named():
    """An operand has an edge to its user, or stands as a pill or a sum beside it."""
    g = unrolled(5)
    picture = picture_of(g, view="full")
    nodes_of = {box.key: box.nodes[0] for box in picture.boxes if box.nodes}
    drawn = {(nodes_of[edge.tail], nodes_of[edge.head]) for edge in picture.edges}
    folded = {number for box in picture.boxes for number in box.nodes[1:]}
    wanted = {(operand.id, node.id) for node in g for operand in node.inputs if operand.id not in folded}
    assert drawn == wanted


def test_the_program_that_draws_keeps_the_places(tmp_path):
    g = unrolled(4)
    picture = picture_of(g, view="full")
    root = svg.parse(g.render(tmp_path / "full.svg", view="full").read_bytes())
    assert svg.dangers(root) == []
    drawn = set(svg.node_lines(root))
    assert drawn >= {box.key for box in picture.boxes}
    assert float(root.get("width").removesuffix("pt")) > 1000


def test_a_graph_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("graphflow.viz.views.LARGEST_FULL", 100)
    with pytest.raises(gf.RenderError, match=r"too large for the view 'full'(.|\n)*steps="):
        unrolled(6).to_dot(view="full")
