"""Small graphs whose pictures are kept as golden texts; `python -m tests.viz.graphs` writes the texts anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import graphflow as gf

GOLDEN = Path(__file__).parent / "golden"

HOSTILE_NAMES = (
    "",
    " ",
    "<b>bold</b>",
    '<a href="https://example.org">x</a>',
    "<script>alert(1)</script>",
    r"\N \G \L \T \H \E \n \l \r",
    "\\",
    '\\"',
    "a\x00b",
    "\x02\x03\x04",
    "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    '"]; evil [',
    '" URL="javascript:alert(1)" x="',
    "n0:port:ne",
    "n1 -> n2; }",
    "&lt;&amp;&foo;&#0;&#x1b;&nbsp;&;",
    "]]></text><script/>",
    "<!-- --> <?php ?> <!DOCTYPE x>",
    "/* comment */ // # \\",
    "%s %n {0} $HOME `id`",
    "two\nlines\r\nand\ttabs",
    "emoji 😀 שלום العربية 漢字",
    "\u202eright to left\u2066",
    "\ud800 lone surrogate",
    "\ufffe\uffff\U0010ffff",
    "graph",
    "digraph { subgraph strict",
    "x" * 100_000,
    "\\" * 99_999,
    "a" * 19 + "&#0;" * 3,
)


def two_layers() -> gf.ExprGraph:
    """Scopes, parameters, gradients, folded constants."""
    g = gf.ExprGraph("two layers")
    x = gf.matrix(g, (4, 3), name="x")
    w, v = gf.matrix(g, (3, 5), name="w"), gf.matrix(g, (5, 2), name="v")
    with g.scope("hidden"):
        h = gf.tanh(x @ w)
    with g.scope("output"):
        y = gf.sigmoid(h @ v)
    cost = gf.sum(y * y) + 0.5 * gf.sum(w * w)
    gf.grad(cost, w, v)
    return g


def steps() -> gf.ExprGraph:
    """Time steps with a scope in each, and a node that is read."""
    g = gf.ExprGraph()
    w, h = gf.matrix(g, (2, 2), name="w"), gf.vector(g, 2, name="h")
    for t in range(3):
        with g.step(t), g.scope("cell"):
            h = gf.tanh(w @ h + gf.vector(g, 2, name=f"x{t}"))
    gf.read(h.inputs[0])
    gf.slice_(h, 1)
    return g


def hostile() -> gf.ExprGraph:
    """A sum over inputs with hostile names, in a hostile scope of a hostile graph."""
    g = gf.ExprGraph('<i>"]; \\G &lt;')
    total = gf.scalar(g, name="x", value=1.0)
    for name in HOSTILE_NAMES:
        total = gf.add(total, gf.scalar(g, name=name))
    with g.scope("<b>/\\N \x02"):
        gf.tanh(total)
    return g


GRAPHS: dict[str, Callable[[], gf.ExprGraph]] = {"two_layers": two_layers, "steps": steps, "hostile": hostile}


def golden_text(g: gf.ExprGraph) -> str:
    """The text of a graph without the line numbers of this file."""
    return re.sub(r"(made at graphs\.py):\d+", r"\1", g.to_dot())


def names_in(folder: Path) -> list[str]:
    """What a folder holds."""
    return sorted(path.name for path in folder.iterdir())


if __name__ == "__main__":
    for name, build in GRAPHS.items():
        (GOLDEN / f"{name}.gv").write_text(golden_text(build()), encoding="utf-8")
