"""A run beside the machine's own, in which every value stays where it is, to look for the first bad number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from graphflow.backends import Backend, storage_of
from graphflow.explanation import defined, spoken
from graphflow.node import Node
from graphflow.origin import Origin
from graphflow.tape.program import Instruction, Operand, Program
from graphflow.values import Array
from graphflow.vm.compiling import Request, collector_paused, compile_apart
from graphflow.vm.failures import explain, unbound
from graphflow.vm.summary import ValueSummary, operand_names

# Of a path, so many nodes are printed at its beginning and at its end.
PATH_BEGINNING, PATH_END, MOST_REACHED = 4, 3, 6

Home = tuple[str, int]
"""Kind and key of a place: with nothing shared, they tell one value and the views of it from all others."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class NanReport:
    """Where NaN or infinity came from, and where it went; `print(report)` tells it.

    Made by `TapeMachine.find_nan`.

    Attributes:
        kind: "NaN" or "infinity".
        node: the first node that has it though what it reads has not.
        number: of the instruction that computes it, counted in the order in which nodes are computed; None where the
            value was bound, or is a constant.
        loop: what the instruction does; "" where there is none.
        value: its numbers.
        first: index of the first bad element.
        inputs: name and numbers of each value that the instruction reads.
        path: from the node to an output, the cost where it is reached; each reads the one before it.
        reached: the outputs that it has spread to, the cost first; the cost and gradients count as outputs.
        outputs: how many outputs there are.
        spread: how many computed values it has spread to, itself included.
        values: how many values are computed.
    """

    kind: str
    node: Node
    number: int | None
    loop: str
    value: ValueSummary
    first: tuple[int, ...]
    inputs: tuple[tuple[str, ValueSummary], ...]
    path: tuple[Node, ...]
    reached: tuple[Node, ...]
    outputs: int
    spread: int
    values: int

    @property
    def line(self) -> Origin:
        """The user's line that made the node; of a gradient the line that made what it is the gradient of."""
        return (self.node if self.node.gradient_of is None else self.node.gradient_of).origin

    def __str__(self) -> str:
        """The node, the line, what it read, and the path."""
        node = self.node
        if self.number is not None:
            how = f"computed by instruction {self.number}: {self.loop}"
        else:
            how = "a constant" if node.is_constant else "bound to it"
        bad = self.value.nans if self.kind == "NaN" else self.value.infinities
        others = f"; {self.value.numbers}" if self.value.nans + self.value.infinities < self.value.type.size else ""
        rows = [
            ("line", self._line()),
            ("op", "" if node.op is None else defined(node)),
            ("value", f"{bad} of {self.value.type.size} elements, the first at {self.first}{others}"),
            ("inputs", "; ".join(f"{name}: {summary}" for name, summary in self.inputs)),
            ("path", " -> ".join(_shortened(self.path))),
            ("spread", self._spread()),
        ]
        return "\n".join([f"{self.kind} in {node}, {how}", *(f"  {label:<7} {text}" for label, text in rows if text)])

    def __repr__(self) -> str:
        return f"<NanReport: {self.kind} in {self.node}>"

    def _line(self) -> str:
        step = "" if self.node.step is None else f", step {self.node.step}"
        scope = f", scope {self.node.scope}" if self.node.scope else ""
        if self.node.gradient_of is None:
            return f"{self.line}{step}{scope}"
        return f"{self.line}{step}{scope}: in the gradient of {self.node.gradient_of}, taken at {self.node.origin}"

    def _spread(self) -> str:
        names = [spoken(node) for node in self.reached[:MOST_REACHED]]
        rest = len(self.reached) - len(names)
        outputs = ", ".join(names) + (f" and {rest} more" if rest else "") if names else "none"
        return (
            f"{self.spread} of {self.values} computed values; outputs reached: {outputs} "
            f"({len(self.reached)} of {self.outputs})"
        )


def _shortened(path: tuple[Node, ...]) -> list[str]:
    texts = [defined(node) for node in path]
    rest = len(texts) - PATH_BEGINNING - PATH_END
    if rest > 1:
        texts[PATH_BEGINNING:-PATH_END] = [f"{rest} more"]
    return texts


@final
@dataclass(frozen=True, eq=False, repr=False)
class Survey:
    """What each node of a run has come to; `gf.viz` draws it.

    Made by `TapeMachine.survey`.

    Attributes:
        values: for each node that is bound or computed, its numbers. A node whose stable form is computed instead has
            those of the form.
        nan: as `TapeMachine.find_nan` gives it.
        bad: the nodes that have NaN or infinity, what is bound first.
    """

    values: Mapping[Node, ValueSummary]
    nan: NanReport | None
    bad: tuple[Node, ...]

    def __repr__(self) -> str:
        return f"<Survey of {len(self.values)} nodes, {len(self.bad)} of them bad>"


@final
class Inspection:
    """One run of a request on the values that are bound now; what is computed stays readable, and nothing is changed.

    Args:
        request: what to compute.
        backend: what runs it.
        seed, run: of the random nodes.

    Attributes:
        program: an instruction for each node, as far as one is enough.

    Raises:
        UnboundError: an input has no value. What an instruction raises.
    """

    def __init__(self, request: Request, backend: Backend, seed: int, run: int) -> None:
        self.request = request
        with collector_paused():
            self.program: Program = compile_apart(request)
            for node in self.program.inputs:
                if not node.is_bound and node.id not in request.graph.overrides:
                    raise unbound(node)
            storage = storage_of(self.program, request.graph.positions, seed, request.graph.overrides)
            self._executable = backend.compile(self.program, storage)
        try:
            with np.errstate(all="ignore"):
                self._executable.run(run)
        except BaseException as error:
            number = max(0, self._executable.position - 1)
            explain(error, number, self.program.instructions[number], self.array)
            raise
        finally:
            self._executable.close()

    def array(self, operand: Operand) -> Array:
        """The numbers of an operand, shared."""
        return self._executable.array(operand)

    def leaves(self) -> Iterator[tuple[Home, Node, Array]]:
        """What is bound and what is constant, in order of creation."""
        for node in self.program.inputs:
            value = self.request.graph.overrides.get(node.id, node.storage)
            if value is not None:
                yield ("input", node.id), node, value


def home(operand: Operand) -> Home:
    """Where an operand lies, whatever part of it is read."""
    return operand.place.kind, operand.place.key


@final
class Spread:
    """Which values of an inspection are bad, and which of them is bad because of which.

    Args:
        inspection: a run.
        inf: whether infinity is bad, too.

    Attributes:
        origins: where bad numbers arise though what is read has none, in the order of the run.
        sources: home of a bad value -> homes of the bad values that it reads.
        node_at, array_at: for each bad value the node that it stands for, and its numbers.
        number_at: for each computed bad value the number of its instruction.
        asked: the nodes whose values matter, the cost first: outputs, and what `grad` was given and has returned.
        outputs: those of them that are bad, and where they lie.
    """

    def __init__(self, inspection: Inspection, *, inf: bool) -> None:
        self._inf = inf
        self._home_of = {number: home(operand) for number, operand in inspection.program.results.items()}
        self.origins: list[Home] = []
        self.sources: dict[Home, list[Home]] = {}
        self.node_at: dict[Home, Node] = {}
        self.array_at: dict[Home, Array] = {}
        self.number_at: dict[Home, int] = {}
        for place, node, array in inspection.leaves():
            self._note(place, node, array, [])
        for number, instruction in enumerate(inspection.program):
            bad = [each for each in enumerate(instruction.inputs) if self.is_bad(inspection.array(each[1]))]
            for position, operand in bad:
                if home(operand) not in self.sources:
                    self._note(home(operand), _operand_node(instruction, position), inspection.array(operand), [])
            place = home(instruction.output)
            if self._note(
                place, instruction.node, inspection.array(instruction.output), [home(operand) for _, operand in bad]
            ):
                self.number_at[place] = number
        self.asked = _asked(inspection)
        self.outputs = dict(self._bad_outputs(inspection))

    def _note(self, place: Home, node: Node, array: Array, sources: list[Home]) -> bool:
        if not self.is_bad(array):
            return False
        self.node_at[place], self.array_at[place], self.sources[place] = node, array, sources
        if not sources:
            self.origins.append(place)
        return True

    def is_bad(self, array: Array) -> bool:
        """Whether there is a number in it that should not be."""
        if array.dtype.kind != "f":
            return False
        return not np.isfinite(array).all() if self._inf else bool(np.isnan(array).any())

    def _bad_outputs(self, inspection: Inspection) -> Iterator[tuple[Node, Home]]:
        for node in self.asked:
            operand = inspection.program.results.get(node.id)
            if operand is None:
                place: Home = ("input", node.id)
            else:
                place = home(operand)
                if not self.is_bad(inspection.array(operand)):
                    continue
            if place in self.sources:
                yield node, place

    def origin(self) -> Home | None:
        """Where what has reached an output arose first; else where anything bad was bound or computed first.

        A constant that reaches no output is taken to be meant: infinity is a mask's friend.
        """
        seen = set(self.outputs.values())
        waiting = list(seen)
        while waiting:
            for source in self.sources[waiting.pop()]:
                if source not in seen:
                    seen.add(source)
                    waiting.append(source)
        harmful = [place for place in self.origins if place in seen]
        others = [place for place in self.origins if place[0] != "constant"]
        return next(iter((*harmful, *others)), None)

    def reached_from(self, origin: Home) -> dict[Home, Home | None]:
        """What an origin has spread to: home -> the home through which it was reached first, nearest first."""
        users: dict[Home, list[Home]] = {}
        for place, sources in self.sources.items():
            for source in sources:
                users.setdefault(source, []).append(place)
        found: dict[Home, Home | None] = {origin: None}
        waiting = deque([origin])
        while waiting:
            place = waiting.popleft()
            for user in users.get(place, ()):
                if user not in found:
                    found[user] = place
                    waiting.append(user)
        return found

    def path(self, reached: dict[Home, Home | None]) -> tuple[Node, ...]:
        """The nodes from the origin to the first output that it has reached; to the farthest value where there is none.

        Args:
            reached: what `reached_from` gives for the origin.
        """
        ends = [place for place in self.outputs.values() if place in reached]
        place: Home | None = ends[0] if ends else next(reversed(reached))
        nodes: list[Node] = []
        while place is not None:
            node = self.node_at[place]
            if nodes:
                nodes += self._views_between(nodes[-1], node, place)
            if not nodes or nodes[-1] is not node:
                nodes.append(node)
            place = reached[place]
        return tuple(reversed(nodes))

    def _views_between(self, user: Node, source: Node, place: Home) -> Iterator[Node]:
        """The nodes through which a node reads another one and which cost nothing, since they lie in its memory."""
        while user is not source and all(operand is not source for operand in user.inputs):
            views = [operand for operand in user.inputs if self._home_of.get(operand.id) == place]
            if not views:
                return
            user = views[0]
            yield user


def _asked(inspection: Inspection) -> list[Node]:
    graph, results = inspection.request.graph, inspection.program.results
    nodes = {node.id: node for node in inspection.request.roots}
    nodes.update({number: node for number, node in graph.results.items() if number in results})
    return sorted(nodes.values(), key=lambda node: (node is not graph.cost, node.id))


def _operand_node(instruction: Instruction, position: int) -> Node:
    """The node of a constant that an instruction reads; the instruction's own where a pass has put it there."""
    nodes = instruction.node.inputs
    is_same = [node.type for node in nodes] == [operand.type for operand in instruction.inputs]
    return nodes[position] if is_same else instruction.node


def report_of(inspection: Inspection, *, inf: bool) -> NanReport | None:
    """The first bad number of a run, and where it went; None where all is finite.

    Args:
        inspection: the run.
        inf: whether infinity is bad, too.
    """
    return _report(inspection, Spread(inspection, inf=inf))


def survey_of(inspection: Inspection, *, inf: bool) -> Survey:
    """All values of a run in a few numbers, and what is bad among them."""
    spread = Spread(inspection, inf=inf)
    arrays = {node: array for _, node, array in inspection.leaves()}
    graph, results = inspection.request.graph, inspection.program.results
    arrays |= {graph[number]: inspection.array(results[number]) for number in sorted(results)}
    bad = tuple(node for node, array in arrays.items() if spread.is_bad(array))
    return Survey({node: ValueSummary.of(array) for node, array in arrays.items()}, _report(inspection, spread), bad)


def _report(inspection: Inspection, spread: Spread) -> NanReport | None:
    origin = spread.origin()
    if origin is None:
        return None
    array, number = spread.array_at[origin], spread.number_at.get(origin)
    value = ValueSummary.of(array)
    places = np.isnan(array) if value.nans else np.isinf(array)
    loop, inputs = "", tuple[tuple[str, ValueSummary], ...]()
    if number is not None:
        instruction = inspection.program.instructions[number]
        arrays = [inspection.array(operand) for operand in instruction.inputs]
        loop = str(instruction.loop)
        inputs = tuple(zip(operand_names(instruction), map(ValueSummary.of, arrays), strict=True))
    reached = spread.reached_from(origin)
    return NanReport(
        kind="NaN" if value.nans else "infinity",
        node=spread.node_at[origin],
        number=number,
        loop=loop,
        value=value,
        first=tuple(np.argwhere(places)[0].tolist()) if array.ndim else (),
        inputs=inputs,
        path=spread.path(reached),
        reached=tuple(node for node, place in spread.outputs.items() if place in reached),
        outputs=len(spread.asked),
        spread=sum(place in spread.number_at for place in reached),
        values=len(inspection.program),
    )
