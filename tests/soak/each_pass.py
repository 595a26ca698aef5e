#!/usr/bin/env python3
"""Each pass alone against none: python tests/soak/each_pass.py [--graphs 1000] [--first 0] [--only NAME].

Random graphs and random recurrent networks in turn. Each is compiled by the passes that are needed to run at all, and
by these with one pass more, for every pass of the pipeline; then by the whole pipeline. Three rounds with new inputs
and slice positions must give the same values, gradients included. What differs is printed with the call that makes the
graph again; at the end, in how many graphs each pass found something to change.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from graphflow.backends import storage_of  # noqa: E402 - the folder above must be found first
from graphflow.backends.choice import choose_backend  # noqa: E402 - as above
from graphflow.errors import GraphflowError  # noqa: E402 - as above
from graphflow.passes import PIPELINE, PLAIN_PIPELINE, Pass, Plan, verify  # noqa: E402 - as above
from graphflow.passes.lifetimes import verify_places  # noqa: E402 - as above
from graphflow.passes.lower import lower  # noqa: E402 - as above
from graphflow.passes.memory import place  # noqa: E402 - as above
from graphflow.testing import RandomGraph, random_graph, random_network  # noqa: E402 - as above
from graphflow.testing.agreement import available_backends  # noqa: E402 - as above
from graphflow.testing.closeness import GRAPH, difference  # noqa: E402 - as above
from graphflow.vm.compiling import compile_request, request_of  # noqa: E402 - as above

Values = dict[int, npt.NDArray[np.generic]]
ROUNDS = 3
SECONDS_BETWEEN_LINES = 30.0


def discovered() -> dict[str, tuple[Pass, ...]]:
    """Each pass of the pipeline with what it needs to run: what stands before `lower` sees ops, after it loop forms."""
    found: dict[str, tuple[Pass, ...]] = {}
    border = PIPELINE.index(lower)
    for number, each in enumerate(PIPELINE):
        if each not in PLAIN_PIPELINE:
            passes = (each, lower, place) if number < border else (lower, each, place)
            found[each.__name__ if number < border else f"{each.__name__}, lowered"] = passes
    return found


ALONE = discovered()
ALL = "all together"


@dataclass(frozen=True)
class Case:
    """A graph, the call that makes it, and what it gives with no pass at all."""

    call: str
    graph: RandomGraph
    expected: list[Values]


@dataclass
class Changes:
    """A pass, wrapped: whether it has changed a plan. What it leaves is verified."""

    inner: Pass
    has_changed: bool = field(default=False)

    def __call__(self, plan: Plan) -> Plan:
        result = self.inner(plan)
        verify(result)
        if self.inner is place:
            verify_places(result)
        self.has_changed = self.has_changed or are_different(plan, result)
        return result


def are_different(one: Plan, other: Plan) -> bool:
    """Whether two plans compute anything in another way."""
    if len(one.values) != len(other.values) or one.became != other.became or one.together != other.together:
        return True
    pairs = [(x, y) for x, y in zip(one.values, other.values, strict=True) if x is not y]
    return any(x.constant is not y.constant or x._replace(constant=None) != y._replace(constant=None) for x, y in pairs)


def made(seed: int) -> tuple[str, RandomGraph]:
    """The graph of a seed, and the call that makes it: general ones and networks in turn."""
    if seed % 2:
        size = 4 + seed // 2 % 6
        return f"random_network(seed={seed}, size={size})", random_network(seed, size)
    size = 5 + seed // 2 % 30
    return f"random_graph(seed={seed}, size={size})", random_graph(seed, size)


def case_of(seed: int, backend: str = "numpy") -> Case:
    call, graph = made(seed)
    return Case(call, graph, values_of(graph, PLAIN_PIPELINE, backend))


def values_of(case: RandomGraph, passes: Sequence[Pass], backend: str) -> list[Values]:
    """What a list of passes computes: everything that can be read, in three rounds."""
    program = compile_request(request_of(case.graph, passes=passes))
    executable = choose_backend(backend)[0].compile(program, storage_of(program, case.graph.positions, 0, {}))
    generator = np.random.default_rng(case.seed)
    found = []
    for number in range(1, ROUNDS + 1):
        case.rebind(generator)
        with np.errstate(all="ignore"):
            executable.run(number)
        found.append({node: executable.array(operand).copy() for node, operand in program.results.items()})
    return found


def problem_of(case: Case, passes: Sequence[Pass], backend: str = "numpy") -> tuple[str | None, bool]:
    """What is wrong with what the passes make of a case, and whether they changed anything besides lowering."""
    watched = [Changes(each) for each in passes]
    try:
        found = values_of(case.graph, watched, backend)
    except GraphflowError as error:
        return str(error), True
    has_changed = any(each.has_changed for each in watched if each.inner not in PLAIN_PIPELINE)
    tolerance = max(GRAPH.get(node.dtype, 0.0) for node in case.graph.inputs)
    for number, (values, expected) in enumerate(zip(found, case.expected, strict=True)):
        if values.keys() != expected.keys():
            return "other nodes can be read", has_changed
        for node, value in expected.items():
            wrong = difference(values[node], value, tolerance if value.dtype.kind == "f" else 0.0)
            if wrong is not None:
                return f"round {number}: {case.graph.graph[node]} {wrong}", has_changed
    return None, has_changed


def try_many(seeds: Iterable[int], names: Sequence[str], backend: str) -> tuple[int, Counter[str]]:
    """The number of problems, which are printed, and in how many graphs each pass changed something."""
    problems, fired = 0, Counter[str]()
    shown = time.monotonic()
    for count, seed in enumerate(seeds, 1):
        case = case_of(seed, backend)
        for name in names:
            problem, has_changed = problem_of(case, ALONE.get(name, PIPELINE), backend)
            fired[name] += has_changed
            if problem is not None:
                problems += 1
                print(f"{name}: {case.call}: {problem}", flush=True)
        if time.monotonic() - shown > SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            print(f"{count} graphs, {problems} problems", flush=True)
    return problems, fired


def report(fired: Counter[str], names: Sequence[str], graphs: int) -> Iterator[str]:
    """In how many graphs each pass changed something."""
    width = max(map(len, names))
    for name in names:
        yield f"  {name:<{width}}  changed {fired[name]:>6} of {graphs} graphs, {fired[name] / max(1, graphs):.0%}"


def main(arguments: Sequence[str], write: Callable[[str], object] = print) -> int:
    names = (*ALONE, ALL)
    parser = argparse.ArgumentParser(description="Each pass alone against none.")
    parser.add_argument("--graphs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", choices=names, action="append", help="a pass; by default all")
    parser.add_argument("--backend", choices=available_backends(), default="numpy")
    options = parser.parse_args(arguments)
    tried = options.only or names
    problems, fired = try_many(range(options.first, options.first + options.graphs), tried, options.backend)
    for line in report(fired, tried, options.graphs):
        write(line)
    write(f"{options.graphs} graphs from seed {options.first}, {options.backend}, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
