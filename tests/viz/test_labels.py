"""Labels are short, visible and literal."""

from __future__ import annotations

import html

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.viz.labels import LONGEST_LINE, attributes, details, headline, label, numbers, tooltip, visible


@pytest.mark.parametrize("code", range(0x20))
def test_control_characters_have_symbols_of_their_own(code):
    assert visible(chr(code)) == chr(0x2400 + code)


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 50))
def test_visible_text_is_short_and_printable(text, longest):
    shown = visible(text, longest)
    assert len(shown) <= longest
    assert all(character.isprintable() or character == "\ufffd" for character in shown)
    assert len(shown) == min(len(text), longest)
    shown.encode()


def test_ordinary_text_stays_as_it_is():
    assert visible("lstm.forget.wx é 漢字 😀") == "lstm.forget.wx é 漢字 😀"


def test_long_text_keeps_its_ends():
    shown = visible("first" + "x" * 100_000 + "last")
    assert shown.startswith("first")
    assert shown.endswith("last")
    assert len(shown) == LONGEST_LINE


@given(st.text())
def test_a_label_means_its_text(text):
    shown = visible(text)
    assert html.unescape(label([shown]).replace("\\\\", "\\")) == shown
    assert "\\" not in tooltip([shown])


def test_lines_are_joined_by_what_graphviz_reads_as_a_new_line():
    assert label(["a\\n", "b"]) == r"a\\n\nb"
    assert tooltip(["a\\n", "b"]) == "a\N{SET MINUS}n\\nb"


def test_headlines():
    g = gf.ExprGraph()
    x, nameless = gf.vector(g, 3, name="x"), gf.vector(g, 3)
    y = gf.apply(gf.tanh(x).op, x, name="y")
    power = x**2.0
    table = gf.constant(g, np.zeros((3, 3)))
    assert [headline(node) for node in (x, nameless, y, table)] == ["x", "%1", "y = tanh", f"%{table.id}"]
    assert headline(power) == "pow"
    assert headline(power, folded={power.inputs[1].id}) == "pow(·, 2)"
    assert headline(power, "x", {power.inputs[1].id}) == "∂x = pow(·, 2)"


def test_numbers_are_short():
    assert numbers(np.float32(1 / 3).reshape(())) == "0.3333"
    assert numbers(np.array([1, -2])) == "[1, -2]"
    assert numbers(np.array(True)) == "True"
    assert numbers(np.array([np.nan, -np.inf])) == "[nan, -inf]"


def test_details_say_where_a_node_comes_from():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    with g.step(2), g.scope("outer"), g.scope("inner"):
        y = gf.sum(x)
    (dx,) = gf.grad(y, x)
    assert details(x)[:2] == ["%0: input", "name x"]
    assert {"step 2", "scope outer/inner"} < set(details(y))
    assert f"gradient, belongs to %{y.id}: float32[]" in details(dx)
    assert all(details(node)[-1].startswith("made at test_labels.py:") for node in g)


def test_attributes_hold_no_addresses():
    g = gf.ExprGraph()
    y = gf.sum(gf.matrix(g, (2, 3)), axis=1)
    assert "axes=(1,)" in attributes(y.op)
    assert all(" at 0x" not in attributes(node.op) for node in g if node.op is not None)
