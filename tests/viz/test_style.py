"""Roles can be told apart by shape, and by lightness where there is no colour; the text can be read on each."""

from __future__ import annotations

import itertools

import pytest

import graphflow as gf
from graphflow.viz.style import STYLES, role_of


def luminance(colour: str) -> float:
    """Relative luminance as in WCAG 2.2 (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_no_two_roles_share_a_shape():
    assert len({(style.shape, style.corners) for style in STYLES.values()}) == len(STYLES)


@pytest.mark.parametrize("pair", list(itertools.combinations(STYLES, 2)))
def test_fills_differ_in_grey(pair):
    one, other = (luminance(STYLES[role].fill) for role in pair)
    assert abs(one - other) > 0.05


@pytest.mark.parametrize("role", STYLES)
def test_text_and_frames_stand_out(role):
    style = STYLES[role]
    assert contrast(style.fill, "#000000") > 7
    assert contrast(style.line, "#FFFFFF") > 3
    assert contrast(style.line, style.fill) > 2


def test_roles():
    g = gf.ExprGraph()
    x, w = gf.vector(g, 3, name="x"), gf.vector(g, 3, name="w")
    table = gf.constant(g, [1.0, 2.0, 3.0])
    y = gf.sum(x * w * table)
    (dw,) = gf.grad(y, w)
    roles = [role_of(node, g.gradients) for node in (x, w, table, y, dw)]
    assert roles == ["input", "parameter", "constant", "forward", "gradient"]
