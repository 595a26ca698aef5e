"""render: files, the program that draws, and everything that can go wrong with either."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

import graphflow as gf
from graphflow.viz import picture_of, render
from tests.viz import svg
from tests.viz.graphs import GRAPHS, names_in, steps, two_layers, unrolled

MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-"}

COPY = "import sys; sys.stdout.buffer.write(' '.join(sys.argv[1:]).encode() + sys.stdin.buffer.read())"
FAIL = "import sys; sys.stderr.write('first\\nsyntax error in line 3\\n'); sys.exit(3)"
SILENT = "import sys; sys.stdin.buffer.read()"
DEAF = "import time; time.sleep(60)"


def install(folder: Path, name: str, program: str) -> None:
    """Put a program of this name into a folder."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{program}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The only folder in which programs are found."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(render.sysconfig, "get_path", lambda _name: str(tmp_path / "nothing"))
    return folder


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_drawn(name, tmp_path):
    g = GRAPHS[name]()
    path = tmp_path / "graph.svg"
    assert g.render(path) == path
    root = svg.parse(path.read_bytes())
    drawn = {node for node in svg.node_lines(root) if not node.startswith("legend_")}
    assert drawn == set(re.findall(r"^\s*(n\d+) \[", g.to_dot(), re.MULTILINE))
    assert svg.dangers(root) == []
    assert names_in(tmp_path) == ["graph.svg"]


def test_a_png_is_drawn(tmp_path):
    path = gf.ExprGraph("empty").render(str(tmp_path / "GRAPH.PNG"))
    assert path == tmp_path / "GRAPH.PNG"
    assert path.read_bytes().startswith(MAGIC["png"])


@pytest.mark.parametrize(("form", "arguments"), [("svg", b"-Tsvg"), ("png", b"-Tpng -Gdpi=144"), ("pdf", b"-Tpdf")])
def test_dot_gets_the_text(programs, pictures, form, arguments):
    install(programs, "dot", COPY)
    install(programs, "graphviz-pure", FAIL)
    g = two_layers()
    assert g.render(pictures / f"g.{form}").read_bytes() == arguments + g.to_dot().encode()


def test_options_are_handed_on(programs, pictures):
    install(programs, "dot", COPY)
    g = two_layers()
    path = g.subgraph(g.cost).render(pictures / "g.svg", legend=False)
    assert path.read_bytes() == b"-Tsvg" + g.subgraph(g.cost).to_dot(legend=False).encode()
    with pytest.raises(gf.RenderError, match="at most 3"):
        g.render(pictures / "g.svg", limit=3)


def test_graphviz_pure_stands_in_for_dot(programs, pictures):
    install(programs, "graphviz-pure", COPY)
    assert two_layers().render(pictures / "g.svg").read_bytes().startswith(b"-Tsvgdigraph")
    with pytest.raises(gf.RenderError, match=r"cannot draw pdf(.|\n)*\.svg or \.png"):
        two_layers().render(pictures / "g.pdf")


@pytest.mark.parametrize("name", ["dot", "graphviz-pure"])
def test_a_view_with_places_of_its_own_is_not_laid_out_again(programs, pictures, name):
    install(programs, name, COPY)
    text = steps().render(pictures / "g.svg", view="full").read_bytes()
    assert text == b"-Kneato -n2 -Tsvg" + steps().to_dot(view="full").encode()


@pytest.mark.parametrize("view", ["ports", "collapsed", "full"])
def test_graphviz_pure_draws_every_view(monkeypatch, tmp_path, view):
    monkeypatch.setenv("PATH", str(tmp_path))
    picture = picture_of(unrolled(4), view=view)
    root = svg.parse(render.draw_picture(picture, "svg"))
    assert set(svg.node_lines(root)) >= {box.key for box in picture.boxes}
    assert svg.dangers(root) == []


def test_graphviz_pure_is_found_beside_python(programs, pictures, monkeypatch):
    install(pictures, "graphviz-pure", COPY)
    monkeypatch.setattr(render.sysconfig, "get_path", lambda name: {"scripts": str(pictures)}[name])
    assert two_layers().render(pictures / "g.svg").read_bytes().startswith(b"-Tsvgdigraph")


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_without_a_program_the_message_says_what_to_install(programs, pictures, form):
    with pytest.raises(gf.RenderError, match=r"graphviz\.org(.|\n)*graphflow-engine\[render\](.|\n)*to_dot\(\)"):
        two_layers().render(pictures / f"g.{form}")
    assert names_in(pictures) == []


@pytest.mark.parametrize(
    ("program", "message"),
    [(FAIL, r"dot failed(.|\n)*exit code 3: syntax error in line 3"), (SILENT, r"dot failed(.|\n)*no message")],
)
def test_a_program_that_fails_leaves_the_old_picture(programs, pictures, program, message):
    install(programs, "dot", program)
    (pictures / "g.svg").write_text("old")
    with pytest.raises(gf.RenderError, match=message):
        two_layers().render(pictures / "g.svg")
    assert (pictures / "g.svg").read_text() == "old"
    assert names_in(pictures) == ["g.svg"]


def test_drawing_is_given_up_in_time(programs, pictures):
    install(programs, "dot", DEAF)
    start = time.monotonic()
    with pytest.raises(gf.RenderError, match=r"within 0\.3 s(.|\n)*graph\.subgraph.*timeout="):
        two_layers().render(pictures / "g.svg", timeout=0.3)
    assert time.monotonic() - start < 20
    assert names_in(pictures) == []


def test_a_program_that_cannot_be_started_is_named(programs, pictures):
    (programs / "dot").write_bytes(b"\x7fELF no program")
    (programs / "dot").chmod(0o755)
    with pytest.raises(gf.RenderError, match=r"dot cannot be started"):
        two_layers().render(pictures / "g.svg")


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "60", None])
def test_a_wrong_timeout_is_refused(programs, pictures, timeout):
    install(programs, "dot", COPY)
    with pytest.raises(gf.OptionError, match="timeout"):
        two_layers().render(pictures / "g.svg", timeout=timeout)


@pytest.mark.parametrize("name", ["g.gif", "g", "g.svg.", ".svg", "g.dot", ""])
def test_another_ending_is_refused(pictures, name):
    with pytest.raises(gf.RenderError, match=r"\.svg, \.png, \.pdf"):
        two_layers().render(pictures / name)
    assert names_in(pictures) == []


def test_what_writes_other_files_is_named(pictures):
    for name, hint in (("a.html", "graph.to_html"), ("a.gv", "graph.to_dot"), ("a.txt", "view='text'")):
        with pytest.raises(gf.RenderError, match=f"try     .*{hint}"):
            gf.ExprGraph().render(pictures / name)
    with pytest.raises(gf.RenderError, match="try     graph.render"):
        gf.ExprGraph().to_html(pictures / "a.svg")


def test_an_option_that_is_none_is_refused_in_the_name_of_what_was_called(pictures):
    g = gf.ExprGraph()
    with pytest.raises(gf.OptionError, match=r"render: there is no option 'colour_by'[^$]*try     color_by="):
        g.render(pictures / "a.svg", colour_by="role")
    with pytest.raises(gf.OptionError, match=r"to_html: there is no option 'view'[^$]*try     views="):
        g.to_html(view="raw")


@pytest.mark.parametrize("path", [None, 3, b"g.svg", ["g.svg"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(gf.RenderError, match="needs   a str or a Path"):
        two_layers().render(path)


def test_a_missing_folder_is_named(pictures):
    with pytest.raises(gf.RenderError, match=r"no folder(.|\n)*missing"):
        two_layers().render(pictures / "missing" / "g.svg")


def test_a_folder_in_place_of_the_file_is_refused(programs, pictures):
    install(programs, "dot", COPY)
    (pictures / "g.svg").mkdir()
    with pytest.raises(gf.RenderError, match=r"cannot be written(.|\n)*directory"):
        two_layers().render(pictures / "g.svg")


def test_a_path_that_no_system_takes_is_refused(programs, pictures):
    install(programs, "dot", COPY)
    for name in ("a\0b.svg", "x" * 300 + ".svg", "no\0folder/g.svg"):
        with pytest.raises(gf.RenderError):
            two_layers().render(pictures / name)
