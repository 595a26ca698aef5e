"""Names of any kind are shown, and do nothing: 1,000 of them go through the program that draws."""

from __future__ import annotations

import random
import types

import pytest

import graphflow as gf
from graphflow.viz import picture_of
from graphflow.viz.labels import LONGEST_NAME, visible
from graphflow.viz.render import draw, draw_picture
from tests.viz import svg
from tests.viz.graphs import HOSTILE_NAMES

PIECES = (
    *(name for name in HOSTILE_NAMES if len(name) < 100),
    *(chr(code) for code in range(0x20)),
    *"\\\"'<>&;:|{}[]()=-+*/#%$^~`_.,!?@ \u00a0\u2028\u200b\u0301é\ue000\U0001f600",
    *(f"\\{letter}" for letter in "NGLETHnlr"),
    *(
        "<B>",
        "</B>",
        "<BR/>",
        "<TABLE>",
        "<IMG SRC='x'/>",
        "URL=x",
        "href=x",
        "xlink:href=",
        "onload=",
        "&#106;",
        "&amp",
    ),
)
BATCHES = 10
NAMES_IN_A_BATCH = 100


def names(batch: int) -> list[str]:
    """The hostile names by hand in the first batch, and random mixtures of their pieces."""
    generator = random.Random(batch)
    by_hand = list(HOSTILE_NAMES) if batch == 0 else []
    mixtures = [
        "".join(generator.choices(PIECES, k=generator.choice((1, 2, 3, 5, 30))))
        for _ in range(NAMES_IN_A_BATCH - len(by_hand))
    ]
    return by_hand + mixtures


def as_shown(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("batch", range(BATCHES))
def test_hostile_names_are_shown_and_do_nothing(batch):
    chosen = names(batch)
    g = gf.ExprGraph(chosen[-1])
    for name in chosen:
        with g.scope(chosen[-2]), g.step(batch):
            gf.neg(gf.scalar(g, name=name))
    root = svg.parse(draw(g.to_dot(view="raw", legend=False), "svg"))
    assert svg.dangers(root) == []
    assert set(svg.node_lines(root)) == {f"n{node.id}" for node in g}
    shown = svg.node_lines(root)
    for node in g.inputs:
        wanted = as_shown(visible(node.name, LONGEST_NAME)) or node.label
        assert [line for line in shown[f"n{node.id}"] if line.strip()][-2:] == [
            line for line in (wanted, "float32[]") if line.strip()
        ]


@pytest.mark.parametrize("view", ["ports", "collapsed", "full"])
def test_hostile_names_do_nothing_in_the_views_of_large_graphs(view):
    """Each name is that of a parameter and of a value of a step."""
    chosen = [*HOSTILE_NAMES, *names(1)[:20]]
    g = gf.ExprGraph(chosen[3])
    states = [gf.scalar(g, name=name) for name in chosen]
    weights = [gf.scalar(g, name=name[:50]) for name in chosen]
    for t in range(3):
        with g.step(t), g.scope(chosen[8]), g.scope(chosen[4]):
            states = [
                gf.apply(gf.neg(state).op, state * weight, name=name)
                for state, weight, name in zip(states, weights, chosen, strict=True)
            ]
    gf.grad(gf.sum(gf.stack(states)), *weights)
    root = svg.parse(draw_picture(picture_of(g, view=view), "svg"))
    assert svg.dangers(root) == []
    drawn = svg.node_lines(root)
    wanted = {as_shown(visible(name, LONGEST_NAME)).strip() for name in chosen}
    shown = {line.strip() for lines in drawn.values() for line in lines}
    assert {name for name in wanted if not any(name in line for line in shown)} == set()


@pytest.mark.parametrize("batch", range(BATCHES))
def test_hostile_names_beside_their_uses_do_nothing(batch):
    chosen = names(batch)
    g = gf.ExprGraph(chosen[-1])
    inputs = [gf.scalar(g, name=name) for name in chosen]
    for t in range(2):
        with g.step(t), g.scope(chosen[-3]):
            gf.stack(inputs)
    wanted = {as_shown(visible(name, LONGEST_NAME)).strip() for name in chosen}
    for view in ("ports", "collapsed", "full"):
        root = svg.parse(draw_picture(picture_of(g, view=view, legend=False), "svg"))
        assert svg.dangers(root) == []
        drawn = {key: " ".join(lines).strip() for key, lines in svg.node_lines(root).items() if key.startswith("p")}
        assert len(drawn) == len(chosen) * (2 if view == "full" else 1)
        assert wanted - set(drawn.values()) <= {""}


def test_tooltips_show_the_name_and_the_place():
    g = gf.ExprGraph()
    for name in HOSTILE_NAMES:
        gf.neg(gf.scalar(g, name=name))
    shown = svg.tooltips(svg.parse(draw(g.to_dot(), "svg")))
    for node in g.inputs:
        lines = shown[f"n{node.id}"].split("\n")
        assert lines[0] == f"%{node.id}: input"
        assert lines[1].split() == ["name", *visible(node.name).replace("\\", "\N{SET MINUS}").split()]
        assert lines[2].startswith("made at test_hostile_names.py:")


def test_symbols_of_ops_and_names_of_files_are_shown_and_do_nothing(monkeypatch):
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    program = types.FunctionType(compile("y = gf.neg(x)", '<b>"\\N\x02&#0;', "exec"), {"gf": gf, "x": x})
    program()
    monkeypatch.setattr(type(g[1].op), "symbol", "<i>\\N\x03</i>")
    root = svg.parse(draw(g.to_dot(), "svg"))
    assert svg.dangers(root) == []
    assert svg.node_lines(root)["n1"][0] == "<i>\\N␃</i>"
    assert svg.tooltips(root)["n1"].endswith("␂&#0;:1")


def test_titles_and_scopes_between_angle_brackets_are_text():
    g = gf.ExprGraph("<table>&lt;\\G</table>")
    with g.scope("<font color='red'>"):
        gf.scalar(g, name="<b>")
    root = svg.parse(draw(g.to_dot(), "svg"))
    texts = [element.text for element in root.iter() if svg.local_name(element.tag) == "text"]
    assert {"<table>&lt;\\G</table>", "<font color='red'>", "<b>"} <= set(texts)
    assert svg.dangers(root) == []


def test_dangers_are_seen():
    document = '<svg xmlns:x="http://www.w3.org/1999/xlink"><a x:href="y"/><script/><g onload="z"/></svg>'
    assert svg.dangers(svg.parse(document)) == ["<a href>", "<script>", "<g onload>"]
