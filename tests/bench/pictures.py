"""How long it takes to draw the 30-step LSTM of the book with its gradients, and how large the pictures are.

PYTHONPATH=.:models python tests/bench/pictures.py
"""

from __future__ import annotations

import resource
import time

from graphflow.viz import picture_of
from graphflow.viz.dot import dot_text
from graphflow.viz.render import draw
from s2s_model import SentenceGraph, Seq2Seq

ROUNDS = 7
CASES = {
    "ports": {"view": "ports"},
    "ports, forward": {"view": "ports", "direction": "forward"},
    "ports, fused": {"view": "ports", "fuse": True},
    "collapsed": {"view": "collapsed"},
    "full": {"view": "full"},
}


def main() -> None:
    model = Seq2Seq(67)
    SentenceGraph(model, "soft", counts_blank=True, is_training=True)
    graph = model.graph
    print(f"{len(graph):,} nodes; seconds of the processor, the best of {ROUNDS} rounds")
    for name, options in CASES.items():
        texts, drawings = [], []
        for _ in range(ROUNDS):
            start, before = time.process_time(), of_children()
            picture = picture_of(graph, **options)
            text = dot_text(picture)
            texts.append(time.process_time() - start)
            svg = draw(text, "svg", is_placed=picture.is_placed)
            drawings.append(of_children() - before)
        print(
            f"{name:<16} {len(picture.boxes):>6,} boxes  text {min(texts):.3f} s  drawing {min(drawings):.3f} s  "
            f"SVG {len(svg) / 1e6:.2f} MB"
        )


def of_children() -> float:
    """Seconds of the processor that the programs started here have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
