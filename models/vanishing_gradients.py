"""How gradients vanish and explode on their way back through time: `vanishing_gradients.py --help`.

First the toy of chapter 14 of Grokking Deep Learning, as a graph; its printed numbers come out. The table of relu there
begins one row late: the listing's own first row, [4.8135251 4.72615519], is not printed, and the last one printed
would be its eleventh. So relu begins from that row here, and the ten rows agree.

Then recurrent cells: how long the gradient of the loss of one answer is, with respect to the state so many steps before
it, relative to that at the answer; with the first weights, and after a short training to name a symbol that was fed
that many steps ago.
"""

from __future__ import annotations

import argparse
import sys

import one_thread  # noqa: F401 - before numpy is imported

# isort: split
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import graphflow as gf
from cells import BiasInit
from command_line import DivergedError, Parser, UsageError, number, run_command
from curves import COLOURS, Curve, Panel, check_picture, draw_panels
from memory_tasks import CopyTask, Network
from options import BACKENDS
from recurrent import Kind, Recurrent
from seeds import HELD_OUT, ORDER, generator_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

PROGRAM = "vanishing_gradients.py"
WEIGHTS = [[1.0, 4.0], [4.0, 1.0]]
ROWS = 10
CELLS: tuple[tuple[Kind, BiasInit], ...] = (
    ("rnn-sigmoid", "zero"),
    ("rnn-tanh", "zero"),
    ("lstm", "zero"),
    ("lstm", "chrono"),
    ("gru", "zero"),
    ("gru", "chrono"),
)
BATCH, SYMBOLS, LEARN_RATE = 32, 4, 3e-3


# --- the chapter's toy -----------------------------------------------------------------------------------------------


def toy_tables() -> Mapping[str, tuple[Floats, Floats]]:
    """Of sigmoid and relu: ten activations [10, 2], and the gradients [10, 2] of the sum of the last.

    a[t] = squash(a[t - 1] @ weights); row k of the gradients is with respect to the activation k steps before the last.
    """
    g = gf.ExprGraph()
    weights = gf.constant(g, np.array(WEIGHTS), name="weights")

    def chain(squash: Callable[[gf.Node], gf.Node], activation: gf.Node) -> list[gf.Node]:
        activations = [activation]
        for t in range(ROWS):
            with g.step(t):
                activations.append(squash(activations[-1] @ weights))
        return activations

    sigmoid = chain(gf.sigmoid, gf.sigmoid(gf.vector(g, 2, dtype="float64", name="x", value=[1.0, 0.01])))
    # The listing goes on from the sigmoid's first row; what it prints begins one row later.
    relu = chain(gf.rectify, gf.rectify(sigmoid[1] @ weights))
    tables = {
        name: (nodes[1:], gf.grad(gf.sum(nodes[-1]), *reversed(nodes[:-1])))
        for name, nodes in (("sigmoid", sigmoid), ("relu", relu))
    }
    with gf.TapeMachine(g, keep=[*sigmoid, *relu]) as vm:
        vm.run_all()
        values = {name: [np.array([node.value for node in nodes]) for nodes in both] for name, both in tables.items()}
    return {name: (activations, gradients) for name, (activations, gradients) in values.items()}


def print_toy() -> None:
    """Both tables, beside each other as in the chapter."""
    tables = toy_tables()
    print("The toy: a = squash(a @ [[1, 4], [4, 1]]), ten times")
    for number_of_part, part in enumerate(("activations", "gradients")):
        print(f"\n{'row':>4}  {'sigmoid ' + part:<34}  relu {part}")
        for row in range(ROWS):
            pairs = [" ".join(f"{value:<16.9g}" for value in table[number_of_part][row]) for table in tables.values()]
            print(f"{row + 1:>4}  {pairs[0]:<34}  {pairs[1]}".rstrip())
    print("\nThe chapter prints rows 1, 2, 3 and 10. Its relu table begins one row late: the listing's own first row")
    print("is [4.8135251 4.72615519], from which relu begins here too.\n")


# --- recurrent cells -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Norms:
    """Of one cell, at one time of its training.

    Attributes:
        cell: such as `lstm chrono`.
        loss: in nats; log 4 is knowing nothing.
        at_answer: the gradient's length at the answer.
        relative: by the part of the state (hidden, cell), the length so many steps before the answer over the one at
            the answer, [distance + 1].
    """

    cell: str
    loss: float
    at_answer: float
    relative: Mapping[str, Floats]


def observe_cell(kind: Kind, bias_init: BiasInit, options: argparse.Namespace) -> tuple[Norms, Norms]:
    """The norms with the first weights, and after the training."""
    task = CopyTask(options.distance, count=1, symbols=SYMBOLS)
    g = gf.ExprGraph(seed=options.seed)

    def make_cell(graph: gf.ExprGraph, inputs: int) -> Recurrent:
        return Recurrent(
            graph, kind, inputs, options.hidden, bias_init=bias_init, longest=max(task.delay, 2), seed=options.seed
        )

    network = task.build(g, make_cell, BATCH)
    generator = generator_for(options.seed, ORDER)
    probe = task.draw(generator_for(options.seed, HELD_OUT), BATCH)
    wrt = [node for state in network.states for node in state]
    gradients = gf.grad(network.cost, *wrt, *network.parameters)
    name = f"{kind} {bias_init}" if kind in ("lstm", "gru") else kind
    with gf.TapeMachine(g, outputs=[network.cost, *gradients], backend=options.backend) as vm:

        def look() -> Norms:
            network.bind(probe)
            vm.run_all()
            return norms_of(name, network)

        before = look()
        solver = gf.AdamSolver(learn_rate=LEARN_RATE, clip_norm=1.0)
        for _ in range(options.updates):
            network.bind(task.draw(generator, BATCH))
            vm.run_all()
            if not np.isfinite(network.cost.value):
                raise DivergedError(f"the loss of {name} is {network.cost.value}")
            solver.step(network.parameters)
        return before, look()


def norms_of(name: str, network: Network) -> Norms:
    """What the latest run found."""
    parts = ("hidden", "cell")[: len(network.states[0])]
    lengths = {
        part: np.array([np.linalg.norm(state[place].grad.astype(np.float64)) for state in reversed(network.states)])
        for place, part in enumerate(parts)
    }
    at_answer = float(lengths["hidden"][0])
    relative = {part: length / (length[0] or 1.0) for part, length in lengths.items()}
    return Norms(name, float(network.cost.value), at_answer, relative)


def print_norms(title: str, found: Sequence[Norms], distances: Sequence[int]) -> None:
    """One column for each cell and part of its state."""
    columns = [(norms, part) for norms in found for part in norms.relative]
    print(title)
    heads = [[*norms.cell.split(" "), part] for norms, part in columns]
    rows = [[head[0] for head in heads], [head[1] if len(head) == 3 else "" for head in heads], [h[-1] for h in heads]]
    rows.append([f"{norms.loss:.4f}" for norms, _ in columns])
    rows.append([f"{norms.at_answer:.2g}" if part == "hidden" else "" for norms, part in columns])
    rows += [[f"{norms.relative[part][distance]:.1e}" for norms, part in columns] for distance in distances]
    labels = ["", "", "distance", "loss", "length at 0", *map(str, distances)]
    for label, row in zip(labels, rows, strict=True):
        print(f"{label:>11}" + "".join(f" {text:>11}" for text in row))
    print()


def shown_distances(distance: int) -> list[int]:
    """0, 1, 2, 5, 10, 20, 50 and so on, and the last."""
    steps = [round(factor * 10**power) for power in range(4) for factor in (1, 2, 5)]
    return sorted({0, distance, *(step for step in steps if step < distance)})


# --- the picture -----------------------------------------------------------------------------------------------------

GREY, BLACK, BLUE, RED = COLOURS[4], COLOURS[3], COLOURS[0], COLOURS[1]
STYLES = {
    "rnn-sigmoid": (GREY, "-"),
    "rnn-tanh": (BLACK, "-"),
    "lstm zero": (BLUE, "--"),
    "lstm chrono": (BLUE, "-"),
    "gru zero": (RED, "--"),
    "gru chrono": (RED, "-"),
}
SMALLEST = 1e-12


def draw_norms(before: Sequence[Norms], after: Sequence[Norms], updates: int) -> Figure:
    """Length by distance on a logarithmic axis: with the first weights, and after the training."""
    panels = [
        Panel(
            title,
            [
                Curve(np.arange(len(length)), length, norms.cell, *STYLES[norms.cell])
                for norms in found
                for length in [norms.relative["hidden"]]
            ],
            "steps before the answer",
            "gradient's length, relative",
            smallest=SMALLEST,
            has_legend=found is before,
        )
        for title, found in (("first weights", before), (f"after {updates:,} updates", after))
    ]
    return draw_panels(panels, 2)


# --- the command -----------------------------------------------------------------------------------------------------


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Raises:
        UsageError: one line saying what is wrong.
    """
    parser = Parser(
        prog=PROGRAM,
        description="Gradients that vanish and explode: the toy of Grokking Deep Learning's chapter 14, and the "
        "length of gradients in recurrent cells by distance in steps.",
        epilog="In parentheses: what holds where the option is not given. Exit codes: 0, 1 training diverged, 2 usage, "
        "3 a file that cannot be written, 130 interrupted.",
        allow_abbrev=False,
    )
    count = number(int, 1)
    parser.add_argument("--toy", action="store_true", help="only the chapter's toy")
    parser.add_argument(
        "--distance", type=number(int, 1, 2000), metavar="N", default=50, help="steps from the symbol to its name (50)"
    )
    parser.add_argument("--updates", type=number(int, 0), metavar="N", default=300, help="of the training (300)")
    parser.add_argument("--hidden", type=count, metavar="N", default=24, help="size of the state (24)")
    parser.add_argument("--seed", type=number(int, 0), metavar="N", default=0, help="of weights and symbols (0)")
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="what runs the graphs (auto)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the lengths: .svg, .png or .pdf (matplotlib)")
    options = parser.parse_args(arguments)
    if options.toy and options.plot is not None:
        raise UsageError("--plot draws what --toy leaves out: give one of the two")
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the command; every failure is one line on stderr and an exit code."""

    def command() -> int:
        options = parse_options(arguments)
        check_picture(options.plot)
        print_toy()
        if not options.toy:
            compare_cells(options)
        return 0

    return run_command(PROGRAM, command)


def compare_cells(options: argparse.Namespace) -> None:
    """Both tables, and the picture where it is asked for."""
    pairs = [observe_cell(kind, bias_init, options) for kind, bias_init in CELLS]
    before, after = [first for first, _ in pairs], [second for _, second in pairs]
    print(
        f"Name one of {SYMBOLS} symbols fed {options.distance} steps ago (knowing nothing: {np.log(SYMBOLS):.4f} nats)."
    )
    print("The gradient's length so many steps before the answer, over that at the answer (distance 0).\n")
    distances = shown_distances(options.distance)
    print_norms("With the first weights", before, distances)
    print_norms(f"After {options.updates:,} updates of {BATCH} symbols", after, distances)
    if options.plot is not None:
        gf.viz.save_figure(draw_norms(before, after, options.updates), options.plot)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
