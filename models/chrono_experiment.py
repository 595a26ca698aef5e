"""Chrono initialisation against zero biases, as the Gorgonia book's chapter proposes: `chrono_experiment.py --help`.

Tallec and Ollivier 2018 ("Can recurrent neural networks warp time?") let the gates of an LSTM or GRU begin with biases
that remember over the number of steps that the task asks for. Both arms of a comparison have the same weights and see
the same batches; whichever has the lower loss in the end is named, or neither where the ranges over the seeds overlap.
"""

from __future__ import annotations

import sys

import one_thread  # noqa: F401 - before numpy is imported

# isort: split
import time
from collections.abc import Iterator, Sequence

import numpy as np

import graphflow as gf
from cells import BiasInit
from chrono_options import COUNT, Options, Setting, parse_options
from chrono_report import BIASES, Run, draw_runs, print_table, write_metrics
from command_line import DivergedError, run_command
from corpus import load_corpus
from curves import check_picture, check_target
from memory_tasks import AddingTask, CopyTask, Network, Task, TextTask
from program import prepare_process
from recurrent import Kind, Recurrent
from seeds import HELD_OUT, ORDER, generator_for

POINTS = 20  # of a curve
TEST_BATCHES = 16


def main(arguments: Sequence[str]) -> int:
    """Run the command; every failure is one line on stderr and an exit code."""

    def command() -> int:
        options = parse_options(arguments)
        check_picture(options.plot)
        check_target(options.metrics)
        compare(options)
        return 0

    return run_command("chrono_experiment.py", command)


def compare(options: Options) -> None:
    """All runs, the table, and the files that are asked for."""
    setting = options.setting
    tasks, notes = make_tasks(setting)
    runs = []
    for run in all_runs(setting, tasks, options.backend):
        runs.append(run)
        if not options.is_quiet:
            print(run, file=sys.stderr)
    print_table(setting, runs, notes)
    if options.metrics is not None:
        write_metrics(options.metrics, setting, runs)
    if options.plot is not None:
        gf.viz.save_figure(draw_runs(runs), options.plot)


def make_tasks(setting: Setting) -> tuple[list[Task], list[str]]:
    """The tasks in the order of the table, and what is to be said of the text.

    Raises:
        DataError: the corpus cannot be had.
    """
    tasks: list[Task] = []
    notes: list[str] = []
    if "copy" in setting.tasks:
        tasks += [CopyTask(delay, COUNT) for delay in setting.delays]
    if "adding" in setting.tasks:
        tasks += [AddingTask(delay) for delay in setting.delays]
    if "text" in setting.tasks:
        corpus = load_corpus(setting.corpus)
        tasks.append(TextTask(corpus))
        notes = [*corpus.notes, f"text: {corpus.title}, {setting.updates * setting.batch:,} pieces of it in each run"]
    return tasks, notes


def all_runs(setting: Setting, tasks: Sequence[Task], backend: str) -> Iterator[Run]:
    """One after the other; the two arms of a comparison follow each other."""
    for task in tasks:
        for cell in setting.cells:
            for seed in range(setting.seed, setting.seed + setting.seeds):
                for bias in BIASES:
                    yield train(setting, task, cell, bias, seed, backend)


def train(setting: Setting, task: Task, cell: Kind, bias: BiasInit, seed: int, backend: str) -> Run:
    """One run.

    Raises:
        DivergedError: a loss is not a finite number.
    """
    began = time.perf_counter()
    g = gf.ExprGraph(seed=seed)

    def make_cell(graph: gf.ExprGraph, inputs: int) -> Recurrent:
        return Recurrent(graph, cell, inputs, setting.hidden, bias_init=bias, longest=task.delay, seed=seed)

    network = task.build(g, make_cell, setting.batch)
    gradients = gf.grad(network.cost, *network.parameters)
    generator, test_generator = (generator_for(seed, use) for use in (ORDER, HELD_OUT))
    tests = [task.draw(test_generator, setting.batch, is_test=True) for _ in range(TEST_BATCHES)]
    solver = gf.AdamSolver(learn_rate=setting.learn_rate, clip_norm=1.0)
    with (
        gf.TapeMachine(g, outputs=[network.cost, *gradients], backend=backend) as vm,
        gf.TapeMachine(g, outputs=[network.cost], backend=backend) as measuring,
    ):

        def measure() -> float:
            return float(np.mean([cost_of(measuring, network, values) for values in tests]))

        curve = [(0, measure())]
        for stop in points(setting.updates):
            for _ in range(stop - curve[-1][0]):
                cost_of(vm, network, task.draw(generator, setting.batch))
                solver.step(network.parameters)
            curve.append((stop, measure()))
            if not np.isfinite(curve[-1][1]):
                name = f"{task.name} over {task.delay} steps, {cell} with {bias} biases, seed {seed}"
                raise DivergedError(f"{name}: the loss is {curve[-1][1]}; try a smaller --learn-rate")
    return Run(task, cell, bias, seed, tuple(curve), time.perf_counter() - began)


def cost_of(vm: gf.TapeMachine, network: Network, values: Sequence[np.ndarray]) -> float:
    """Bind and run."""
    network.bind(values)
    vm.run_all()
    return float(network.cost.value)


def points(updates: int) -> list[int]:
    """After how many updates the loss is measured: up to POINTS times, evenly, the last time at the end."""
    count = min(POINTS, updates)
    return [updates * number // count for number in range(1, count + 1)]


if __name__ == "__main__":
    prepare_process()
    sys.exit(main(sys.argv[1:]))
