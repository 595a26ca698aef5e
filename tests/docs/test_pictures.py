"""The committed pictures show the graphs that the pages define."""

from __future__ import annotations

import html
import re

import pytest

from tests.docs.pages import PICTURES, ROOT, pages, run_page

GALLERY = ROOT / "docs" / "gallery.md"
DRAWN_BY = {
    "program": ROOT / "README.md",
    "lstm-step": ROOT / "docs" / "quickstart.md",
    "nan": ROOT / "docs" / "finding-a-nan.md",
    "tape": ROOT / "docs" / "how-it-works.md",
    "tutorial-lstm": ROOT / "docs" / "tutorial-sequences.md",
    **dict.fromkeys(re.findall(r"\]\(pictures/([\w-]+)\.svg\)", GALLERY.read_text(encoding="utf-8")), GALLERY),
}
LARGEST = 150_000
KEY = r"[a-z]\w*"  # of a box


def nodes_of_svg(text):
    """Node -> its lines, as a viewer sees them."""
    found = re.findall(rf'<g id="{KEY}" class="node">\s*<title>({KEY})</title>(.*?)(?=<!--|\Z)', text, re.DOTALL)
    lines = {name: re.findall(r"<text[^>]*>([^<]*)</text>", rest) for name, rest in found}
    return {name: [html.unescape(line) for line in each] for name, each in lines.items()}


def nodes_of_dot(text):
    """Node -> its lines, from Graphviz's language."""
    found = re.findall(rf'^\s*({KEY}) \[label=("(?:[^"\\]|\\.)*"|\S+)', text, re.MULTILINE)
    boxes = [(name, label) for name, label in found if name != "graph"]
    return {name: html.unescape(label.strip('"')).split("\\n") for name, label in boxes}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """What Graphviz is given for each picture; a page is run once."""
    folders = {page: tmp_path_factory.mktemp(page.stem) for page in DRAWN_BY.values()}
    for page, folder in folders.items():
        run_page(page, folder)
    return {name: (folders[page] / f"{name}.svg").read_text(encoding="utf-8") for name, page in DRAWN_BY.items()}


@pytest.mark.parametrize("name", DRAWN_BY)
def test_the_picture_is_that_of_the_page(name, texts):
    wanted = nodes_of_dot(texts[name])
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
