"""Overlays colour what is measured."""

from __future__ import annotations

import itertools

import pytest

import graphflow as gf
from graphflow.viz import Overlay, picture_of
from graphflow.viz.overlay import WITHOUT_VALUE, colour
from tests.viz.test_style import contrast, luminance


def test_weights_become_colours_and_texts_lines():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    y, z = gf.tanh(x), gf.neg(x)
    picture = picture_of(g, color_by=Overlay("time", {y: (0.5, "6 µs"), z: (1.0, "12\n µs")}))
    boxes = picture.box_by_key
    assert [boxes[f"n{node.id}"].fill for node in (x, y, z)] == [WITHOUT_VALUE, colour(0.5), colour(1.0)]
    assert boxes[f"n{y.id}"].lines[-1] == boxes[f"n{y.id}"].tooltip[-1] == "6 µs"
    assert boxes[f"n{z.id}"].lines[-1] == "12␊ µs"
    assert {"time: least", "time: most", "time: no value"} <= {line for entry in picture.legend for line in entry.lines}


def test_colours_grow_darker_and_carry_black_text():
    scale = [colour(step / 10) for step in range(11)]
    assert all(luminance(lighter) > luminance(darker) for lighter, darker in itertools.pairwise(scale))
    assert all(contrast(each, "#000000") > 7 for each in scale)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_weights_outside_the_scale_are_refused(weight):
    g = gf.ExprGraph()
    with pytest.raises(gf.OptionError, match="0 to 1"):
        Overlay("time", {gf.scalar(g): (weight, "")})


@pytest.mark.parametrize("value", [0.5, (0.5,), ("a", 0.5), ("0.5", "a"), "ab"])
def test_a_value_is_a_weight_with_a_text(value):
    x = gf.scalar(gf.ExprGraph(), name="x")
    with pytest.raises(gf.OptionError, match=r"Overlay: the value of x[^$]*0.25") as caught:
        Overlay("time", {x: value})
    assert "test_overlay.py:" in str(caught.value), "the line is the user's, not that of code made by dataclass"


def test_values_are_those_of_nodes():
    with pytest.raises(gf.GraphError, match="Overlay: 'x' is no node"):
        Overlay("time", {"x": (0.5, "a")})
    with pytest.raises(gf.OptionError, match="Overlay: values is not usable"):
        Overlay("time", [0.5])


@pytest.mark.parametrize("color_by", ["time", None, 3])
def test_an_unknown_colouring_is_refused(color_by):
    with pytest.raises(gf.OptionError, match="color_by"):
        gf.ExprGraph().to_dot(color_by=color_by)
