"""W1 and W1g: the Gorgonia chapter's 30-step network, one sentence at a time, trained on random sentences.

    python tests/bench/book_lstm.py [lstm|gru] [--backend auto|numpy|native] [--profile]

Prints nodes, instructions, seconds to build and compile, and medians of rebinding, run and solver step; with --profile
also the microseconds of each instruction.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

import graphflow as gf

STEPS, SYMBOLS, EMBEDDING, HIDDEN = 30, 65, 20, 100


def build(g: gf.ExprGraph, cell_name: str) -> tuple[gf.Node, tuple[gf.Node, ...], tuple[gf.Node, ...]]:
    """The cost, the parameters, and the slices that a sentence rebinds: the start row, then 30 targets."""
    embedding = gf.nn.Embedding(g, SYMBOLS, EMBEDDING)
    cell = (gf.nn.LSTM if cell_name == "lstm" else gf.nn.GRU)(g, EMBEDDING, HIDDEN)
    decoder = gf.nn.Linear(g, HIDDEN, SYMBOLS, bias=False, name="decoder")
    nothing = gf.constant(g, np.zeros(HIDDEN, np.float32))
    state = gf.nn.LSTMState(nothing, nothing) if cell_name == "lstm" else nothing
    x = embedding.row()
    rebindable = [x]
    cost = None
    for t in range(STEPS):
        with g.step(t):
            state = cell(x, state)
            prediction = gf.softmax(decoder(state.hidden if cell_name == "lstm" else state))
            chosen = prediction[0]
            rebindable.append(chosen)
            loss = -gf.log(chosen)
            cost = loss if cost is None else cost + loss
            x = prediction @ embedding.table
    return cost, (*cell.parameters, *embedding.parameters, *decoder.parameters), tuple(rebindable)


def seconds_of(
    machine: gf.TapeMachine, slices: tuple[gf.Node, ...], rows: np.ndarray[Any, Any], solver: gf.Solver
) -> float:
    """Processor time of one of these sentences, where `run_over` does all of it."""
    begin = time.process_time()
    machine.run_over(slices, rows, solver)
    return (time.process_time() - begin) / len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cell", nargs="?", choices=("lstm", "gru"), default="lstm")
    parser.add_argument("--backend", choices=("auto", "numpy", "native"), default="auto")
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    g = gf.ExprGraph(seed=1)
    cost, parameters, rebindable = build(g, arguments.cell)
    forward = len(g)
    gf.grad(cost, *parameters)
    built = time.perf_counter()
    machine = gf.TapeMachine(g, backend=arguments.backend)
    compiled = time.perf_counter()
    solver = gf.RMSPropSolver(learn_rate=0.01, rho=0.999, eps=1e-8, l2_reg=1e-6, clip=5.0)
    rows = np.random.default_rng(0).integers(3, SYMBOLS, (arguments.sentences, STEPS + 1))
    seconds: dict[str, list[float]] = {"rebind": [], "run": [], "step": []}
    for number, row in enumerate(rows):
        times = [time.perf_counter()]
        gf.unsafe_let_all(rebindable, row)
        times.append(time.perf_counter())
        machine.run_all()
        times.append(time.perf_counter())
        solver.step(parameters)
        times.append(time.perf_counter())
        if number >= 20:  # warm
            for name, first, last in zip(seconds, times, times[1:], strict=False):
                seconds[name].append(last - first)
    medians = {name: statistics.median(values) * 1e6 for name, values in seconds.items()}
    total = statistics.median([sum(each) for each in zip(*seconds.values(), strict=True)])
    print(f"{arguments.cell}: {forward} forward nodes, {len(g)} with gradients, {len(machine.program)} instructions")
    print(f"build and differentiate {built - begin:.3f} s, compile {compiled - built:.3f} s, backend {machine.backend}")
    print(f"medians in us: rebind {medians['rebind']:.1f}, run {medians['run']:.0f}, solver {medians['step']:.0f}")
    print(f"{total * 1e3:.2f} ms per sentence, {1 / total:.0f} sentences/s")
    whole = statistics.median(seconds_of(machine, rebindable, part, solver) for part in np.array_split(rows, 10))
    print(f"by run_over, processor time, {whole * 1e3:.3f} ms per sentence, {1 / whole:.0f} sentences/s")
    if arguments.profile:
        print(machine.profile())


if __name__ == "__main__":
    main()
