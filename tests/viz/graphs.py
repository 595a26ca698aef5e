"""Small graphs whose pictures are kept as golden texts; `python -m tests.viz.graphs` writes the texts anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

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


def unrolled(steps: int = 30, *, cell: type[gf.nn.LSTM | gf.nn.GRU] = gf.nn.LSTM, hidden: int = 4) -> gf.ExprGraph:
    """A character model with gradients: an embedding, a cell, a decoder; one loss for each step."""
    g = gf.ExprGraph("unrolled")
    network = cell(g, 3, hidden, name="cell")
    embedding, decoder = gf.nn.Embedding(g, 5, 3), gf.nn.Linear(g, hidden, 5, bias=False, name="decoder")
    zeros = gf.constant(g, np.zeros(hidden, np.float32), name="zeros")
    state: tuple[gf.Node, ...] = (zeros, zeros) if cell is gf.nn.LSTM else (zeros,)
    losses = []
    for t in range(steps):
        with g.step(t):
            x = embedding.table[t % 5]
            after = network(x, gf.nn.LSTMState(*state)) if cell is gf.nn.LSTM else network(x, *state)
            state = tuple(after) if cell is gf.nn.LSTM else (after,)
            losses.append(-gf.log(gf.softmax(decoder(state[0]))[1]))
    cost = gf.sum(gf.stack(losses))
    gf.grad(cost, *network.parameters, *embedding.parameters, *decoder.parameters)
    return g


def perceptron(layers: int = 3) -> gf.ExprGraph:
    """Layers with names and no steps."""
    g = gf.ExprGraph("perceptron")
    x = gf.matrix(g, (8, 4), name="x")
    weights = []
    for number in range(layers):
        layer = gf.nn.Linear(g, 4, 4, name=f"layer{number}")
        weights += layer.parameters
        x = gf.tanh(layer(x))
    gf.grad(gf.sum(x * x), *weights)
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


# Golden texts by file name: the graph and the view.
GOLDEN_TEXTS = {
    **{name: (name, "auto") for name in GRAPHS},
    **{f"steps_{view}": ("steps", view) for view in ("ports", "collapsed", "full")},
    **{f"two_layers_{view}": ("two_layers", view) for view in ("collapsed", "full")},
}


def golden_text(g: gf.ExprGraph, view: str = "auto") -> str:
    """The text of a graph without the line numbers of this file."""
    return re.sub(r"(made at graphs\.py):\d+", r"\1", g.to_dot(view=view))


def names_in(folder: Path) -> list[str]:
    """What a folder holds."""
    return sorted(path.name for path in folder.iterdir())


if __name__ == "__main__":
    for file, (name, view) in GOLDEN_TEXTS.items():
        (GOLDEN / f"{file}.gv").write_text(golden_text(GRAPHS[name](), view), encoding="utf-8")
