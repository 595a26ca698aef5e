"""to_html: the page as text. What it does in a browser is tested in test_page_in_browser.py."""

from __future__ import annotations

import html.parser
import json
import re

import pytest

import graphflow as gf
from graphflow.viz.labels import LONGEST_NAME, visible
from graphflow.viz.page_data import NOT_BOUND, NOT_KEPT, NOT_RUN, script_json
from graphflow.viz.page_svg import page_svg
from tests.viz import svg
from tests.viz.graphs import GRAPHS, hostile, two_layers, unrolled
from tests.viz.test_hostile_names import BATCHES, names

LARGEST_PROGRAM = 50_000
# What a page consists of, and what draws in it.
PLAIN_TAGS = {
    "aside", "body", "button", "dd", "dialog", "div", "dl", "dt", "footer", "h1", "h2", "head", "header", "html",
    "input", "main", "meta", "noscript", "p", "script", "small", "style", "template", "title", "ul",
    *svg.HARMLESS - {"a", "title"},
}  # fmt: skip


class Outline(html.parser.HTMLParser):
    """The tags of a page, and the texts of its scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._inside = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag in {"script", "style"}:
            self.texts.append("")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside in {"script", "style"}:
            self.texts[-1] += data


def data_of(text):
    """The JSON document of a page."""
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)[1])


def nodes_of(text):
    """The nodes of a page, by number."""
    data = data_of(text)
    rows = [[data["texts"][each] for each in row[: data["shared"]]] + row[data["shared"] :] for row in data["rows"]]
    nodes = {node["id"]: node for node in (dict(zip(data["columns"], row, strict=True)) for row in rows)}
    for node in nodes.values():
        if isinstance(node["value"], int):
            node["value"] = data["texts"][node["value"]]
    return nodes


@pytest.mark.parametrize("name", GRAPHS)
def test_the_page_loads_nothing_and_runs_only_its_own_script(name):
    outline = Outline(GRAPHS[name]().to_html())
    assert [tag for tag, attributes in outline.tags if {"src", "href", "style"} & set(attributes)] == []
    assert [key for _, attributes in outline.tags for key in attributes if key.startswith("on")] == []
    assert [tag for tag, _ in outline.tags].count("script") == 2
    assert not {"link", "iframe", "img", "object", "embed", "base", "form"} & {tag for tag, _ in outline.tags}
    assert "http" not in (outline.texts[0] + outline.texts[2]).replace("http://www.w3.org/2000/svg", "")


def test_the_policy_allows_this_script_and_style_alone():
    import base64
    import hashlib

    outline = Outline(two_layers().to_html())
    (policy,) = [each["content"] for tag, each in outline.tags if tag == "meta" and "http-equiv" in each]
    style, _, script = outline.texts
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_program_of_the_page_is_small():
    outline = Outline(two_layers().to_html())
    assert len(outline.texts[0]) + len(outline.texts[2]) < LARGEST_PROGRAM


def test_every_node_is_told():
    g = two_layers()
    nodes = nodes_of(g.to_html())
    assert set(nodes) == {node.id for node in g}
    matmul = nodes[next(node.id for node in g if node.scope == "hidden" and node.op is not None)]
    assert (matmul["op"], matmul["type"], matmul["scope"]) == ("matmul", "float32[4, 5]", "hidden")
    assert matmul["origin"].startswith("graphs.py:")
    assert [nodes[number]["label"] for number in matmul["inputs"]] == ["x", "w"]
    gradient = next(node for node in nodes.values() if node["label"] == "∂w = total")
    assert nodes[gradient["gradientOf"]]["label"] == "w"
    assert data_of(g.to_html())["gradients"] == {str(number): node.id for number, node in g.gradients.items()}


def test_values_are_told_once_there_are_some():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    y = gf.log(x)
    z = gf.sum(y)
    assert [node["value"] for node in nodes_of(g.to_html()).values()] == [
        NOT_BOUND, NOT_RUN, NOT_RUN,
    ]  # fmt: skip
    with gf.TapeMachine(g, keep="all") as vm:
        gf.let(x, [-1.0, 0.0, 1.0])
        vm.run_all()
        nodes = nodes_of(g.to_html())
    assert nodes[x.id]["value"] == [-1.0, 1.0, 0.0, 0, 0, "[-1, 0, 1]"]
    assert nodes[y.id]["value"] == [0.0, 0.0, 0.0, 1, 1, "[nan, -inf, 0]"]
    assert nodes[z.id]["value"] == [None, None, None, 1, 0, "nan"]


def test_a_value_that_is_gone_says_why():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, 2.0, 3.0])
    y = gf.exp(gf.tanh(x))
    with gf.TapeMachine(g, outputs=[y]) as vm:
        vm.run_all()
        assert nodes_of(g.to_html())[y.inputs[0].id]["value"] == NOT_KEPT


def test_a_part_of_a_graph():
    g = two_layers()
    part = g.subgraph(g.cost.inputs[0])
    nodes = nodes_of(part.to_html())
    assert set(nodes) == {node.id for node in part}
    assert g.cost.inputs[0].to_html() == part.to_html()


def test_into_a_file(tmp_path):
    path = tmp_path / "g.html"
    assert two_layers().to_html(path) == path
    assert path.read_text(encoding="utf-8") == two_layers().to_html()


def views_of(text):
    """The names of the views of a page, which has a drawing of each."""
    names = [view["name"] for view in data_of(text)["views"]]
    assert re.findall(r'<template data-view="(\w+)"><svg ', text) == names
    return names


def test_the_views_are_those_that_the_graph_has():
    assert views_of(two_layers().to_html())[0] == "raw"
    assert views_of(unrolled(5).to_html())[:2] == ["ports", "collapsed"]
    g = gf.ExprGraph()
    gf.exp(gf.vector(g, 3, name="x"))
    assert views_of(g.to_html()) == ["raw"]


def test_the_views_that_were_asked_for():
    assert views_of(unrolled(3).to_html(views=["collapsed", "ports"])) == ["collapsed", "ports"]
    assert views_of(unrolled(3).to_html(views=["raw"], direction="forward")) == ["raw"]
    with pytest.raises(gf.RenderError, match="needs steps"):
        two_layers().to_html(views=["ports"])


@pytest.mark.parametrize("options", [{"views": "raw"}, {"views": []}, {"views": ["raw", "raw"]}, {"views": ["x"]}])
def test_views_that_are_none(options):
    with pytest.raises(gf.OptionError, match="view"):
        two_layers().to_html(**options)


def test_the_boxes_of_a_page_are_in_its_drawing_and_its_data():
    g = unrolled(5)
    text = g.to_html()
    for view, drawn in zip(
        data_of(text)["views"], re.findall(r"<template.*?</template>", text, re.DOTALL), strict=True
    ):
        keys = set(re.findall(r'class="node" data-key="([^"]*)"', drawn))
        assert keys == set(view["keys"])
        shown = {number for key in keys for number in (view["boxes"][key] if key in view["boxes"] else [int(key[1:])])}
        assert shown <= {node.id for node in g}
        assert set(re.findall(r'data-(?:tail|head)="([^"]*)"', drawn)) <= keys


@pytest.mark.parametrize("path", ["g.svg", "g", 3])
def test_another_kind_of_file_is_refused(path):
    with pytest.raises(gf.RenderError):
        two_layers().to_html(path)


def test_a_graph_too_large_is_refused():
    with pytest.raises(gf.RenderError, match=r"33 nodes[^$]*try     view='full'"):
        two_layers().to_html(limit=3)


def test_hostile_names_end_nothing():
    text = hostile().to_html()
    outline = Outline(text)
    assert [tag for tag, _ in outline.tags].count("script") == 2
    assert {tag for tag, _ in outline.tags if tag in {"b", "i", "iframe"}} == set()
    assert re.search(r"<title>&lt;i&gt;&quot;]; \\G &amp;lt;</title>", text)
    labels = [node["label"] for node in nodes_of(text).values()]
    assert "<script>alert(1)</script>" in labels
    assert "␂␃␄" in labels
    text.encode()


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_hostile_name_gets_out_of_its_place(batch):
    chosen = names(batch)
    g = gf.ExprGraph(chosen[-1])
    inputs = []
    for name in chosen:
        with g.scope(chosen[-2]):
            inputs.append(gf.scalar(g, name=name))
    text = g.to_html(views=["raw"])
    tags = [tag for tag, _ in Outline(text).tags]
    assert [tags.count(tag) for tag in ("script", "style", "template", "title")] == [2, 1, 1, 1]
    assert set(tags) <= PLAIN_TAGS
    told = nodes_of(text)
    assert all(told[each.id]["label"] == (visible(each.name, LONGEST_NAME) or each.label) for each in inputs)


def test_json_within_a_script_element():
    data = {"a": "</script><!--<script>&\u2028\ud800", "b": [1, None]}
    text = script_json(data)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == data
    with pytest.raises(ValueError, match="JSON"):
        script_json(float("nan"))


DRAWN = b"""<svg viewBox="0.00 0.00 10.25 20.00" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">
<script>alert(1)</script><style>*{}</style>
<g id="graph0" class="graph" transform="translate(4 8.5)" onload="alert(1)"><title>graphflow</title>
<polygon fill="white" stroke="transparent" points="0,0 1,1"/>
<g id="n1" class="node"><title>n1</title><g id="a_n1"><a xlink:href="javascript:alert(1)" xlink:title="tip">
<path fill="none" stroke="#000000" d="M1.256,2.00C-3.14,4"/>
<text x="1.00" y="2.55" onclick="x" font-size="11.00">a &lt; b</text>
</a></g></g>
<g id="edge1" class="edge"><title>n1:ne-&gt;n2:w</title><path d="M1,2"/></g>
<foreignObject><b/></foreignObject></g></svg>"""


def test_only_what_draws_is_kept_of_an_svg():
    assert page_svg(DRAWN) == (
        '<svg viewBox="0 0 10.2 20" fill="none"><g class="graph" transform="translate(4 8.5)">'
        '<g class="node" data-key="n1"><path stroke="#000000" d="M1.2,2C-3.1,4"/>'
        '<text x="1" y="2.5" font-size="11">a &lt; b</text></g>'
        '<g class="edge" data-tail="n1" data-head="n2"><path d="M1,2"/></g></g></svg>'
    )


def test_graphviz_pure_draws_it_too(monkeypatch):
    g = two_layers()
    wanted = g.to_html()
    monkeypatch.setenv("PATH", "")
    found = g.to_html()
    keys, ends = r'data-key="([^"]*)"', r'data-tail="([^"]*)" data-head="([^"]*)"'
    assert sorted(re.findall(keys, found)) == sorted(re.findall(keys, wanted))
    assert sorted(re.findall(ends, found)) == sorted(re.findall(ends, wanted))
    assert data_of(found) == data_of(wanted)


def test_what_is_no_svg_is_refused():
    with pytest.raises(gf.RenderError, match="no SVG"):
        page_svg(b"digraph {}")


@pytest.mark.parametrize("name", GRAPHS)
def test_the_svg_is_well_formed_and_harmless(name):
    text = GRAPHS[name]().to_html()
    for element in re.findall(r"<svg .*?</svg>", text, re.DOTALL):
        assert svg.dangers(svg.parse(element)) == []


def test_each_view_is_there_once():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x")
    for number in range(40):
        with g.scope(f"layer{number % 4}"):
            for _ in range(10):
                x = gf.tanh(x)
    names = views_of(g.to_html())
    assert names[0] == "scopes"
    assert len(set(names)) == len(names)
