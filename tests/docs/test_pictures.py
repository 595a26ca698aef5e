"""The committed pictures show the graphs that the pages define."""

from __future__ import annotations

import html
import re

import pytest

from tests.docs.pages import PICTURES, ROOT, pages, run_page

DRAWN_BY = {
    "program": ROOT / "README.md",
    "lstm-step": ROOT / "docs" / "quickstart.md",
    "nan": ROOT / "docs" / "finding-a-nan.md",
    "tape": ROOT / "docs" / "how-it-works.md",
}
LARGEST = 100_000


def nodes_of_svg(text):
    """Node or instruction -> its lines, as a viewer sees them."""
    found = re.findall(r'<g id="[in]\d+" class="node">\s*<title>([in]\d+)</title>(.*?)(?=<!--|\Z)', text, re.DOTALL)
    lines = {name: re.findall(r"<text[^>]*>([^<]*)</text>", rest) for name, rest in found}
    return {name: [html.unescape(line) for line in each] for name, each in lines.items()}


def nodes_of_dot(text):
    """Node or instruction -> its lines, from Graphviz's language."""
    found = re.findall(r'^\s*([in]\d+) \[label="((?:[^"\\]|\\.)*)"', text, re.MULTILINE)
    return {name: html.unescape(label).split("\\n") for name, label in found}


@pytest.mark.parametrize("name", DRAWN_BY)
def test_the_picture_is_that_of_the_page(name, tmp_path):
    run_page(DRAWN_BY[name], tmp_path)
    wanted = nodes_of_dot((tmp_path / f"{name}.svg").read_text(encoding="utf-8"))
    shown = nodes_of_svg((PICTURES / f"{name}.svg").read_text(encoding="utf-8"))
    assert len(wanted) >= 7
    assert shown == wanted, "draw it anew: python -m tests.docs.pages draw PAGE"


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*")), ids=lambda path: path.name)
def test_pictures_are_small_harmless_and_used(path):
    text = path.read_text(encoding="utf-8")
    assert path.suffix == ".svg"
    assert len(text) < LARGEST
    assert "<script" not in text
    assert re.findall(r'href="(?!#)', text.replace("xmlns:xlink", "")) == []  # nothing from elsewhere
    assert any(f"pictures/{path.name}" in page.read_text(encoding="utf-8") for page in pages())
