"""Gradients as formulas."""

from __future__ import annotations

import graphflow as gf
from graphflow.command.formulas import expression


def test_expressions_read_as_formulas():
    g = gf.ExprGraph()
    a, b = gf.vector(g, 2, name="a"), gf.vector(g, 2, name="b")
    assert expression(a * (b + 1.0)) == "a * (b + 1)"
    assert expression((a + b) * (a - b)) == "(a + b) * (a - b)"
    assert expression(-gf.exp(a)) == "-exp(a)"
    assert expression(gf.sum(a, 0, keepdims=True)) == "sum(a, axes=(0,), keepdims=True)"
    assert expression(a * [1.0, 2.0]) == "a * constant float32[2]"
