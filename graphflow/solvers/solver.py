"""Solver: what all solvers have in common. A step is a few operations over whole blocks of parameters."""

from __future__ import annotations

import abc
import inspect
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Never, NoReturn

import numpy as np

from graphflow.errors import GradientError, GraphError, OptionError, UnboundError
from graphflow.graph import ExprGraph, check_nodes
from graphflow.node import Node
from graphflow.solvers.gradients import length
from graphflow.solvers.memory import Member, Memory, Piece
from graphflow.solvers.options import bound, count, options_of, rate, refused, signature_of
from graphflow.solvers.saved_state import read_state
from graphflow.values import Array


class Solver(abc.ABC):
    """Changes parameters so that a cost falls: w is replaced by a function of w, its gradient and what is remembered.

    A subclass declares its options in the class body, names the arrays it keeps for each parameter in `moments` (they
    start at zero), says in `scratch_arrays` how many arrays it works in, and writes `update`. The options that all
    solvers have are below.

    Args:
        learn_rate: 0.001 unless given; may be set between steps, as all options may.
        batch_size: over how many examples the gradient was summed; it is divided by this.
        clip_norm: bound of the length of all gradients together, None for none; applied before everything else.

    Raises:
        OptionError: an option that the solver does not use, or a value outside its range.

    Example:
        >>> class SignSolver(Solver):
        ...     def update(self, weights, gradients, state, scratch, step):
        ...         weights -= self.learn_rate * np.sign(gradients)
        >>> SignSolver(learn_rate=0.5)
        SignSolver(learn_rate=0.5, batch_size=1, clip_norm=None)

    Source: Gorgonia's Solver.
    """

    __slots__ = ("_copied", "_graph", "_members", "_memory", "_nodes", "_options", "_pieces", "_steps", "_version")
    __signature__: ClassVar[inspect.Signature]
    moments: ClassVar[tuple[str, ...]] = ()
    scratch_arrays: ClassVar[int] = 1
    learn_rate = rate(0.001)
    batch_size = count(1)
    clip_norm = bound()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.__signature__ = signature_of(cls)

    def __init__(self, *values: Never, **options: float | None) -> None:
        mine = options_of(type(self))
        if values:
            name = type(self).__name__
            raise OptionError(
                f"{name}: options have names", got=repr(values)[:80], hint=f"{name}(learn_rate={values[0]!r:.40})"
            )
        for name, value in options.items():
            if name not in mine:
                ours = [each for each in _family(Solver) if each.__module__.startswith(f"{__package__}.")]
                raise refused(type(self), name, value, ours)
        self._options: dict[str, Any] = {
            name: option.checked(options.get(name, option.default), type(self).__name__)
            for name, option in mine.items()
        }
        self._memory = Memory(type(self).__name__, self.moments, self.scratch_arrays)
        self._steps = 0
        self._forget_pieces()

    def _forget_pieces(self) -> None:
        self._graph: ExprGraph | None = None
        self._version = -1
        self._nodes: tuple[Node, ...] = ()
        self._members: list[Member] = []
        self._copied: list[tuple[Member, Callable[[], Array]]] = []
        self._pieces: list[Piece] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._options.items())})"

    def __reduce__(self) -> NoReturn:
        raise OptionError(
            "solvers cannot be copied or pickled",
            got="a copy that would change other arrays than the parameters",
            hint="state_dict() of one and load_state_dict() of another",
        )

    # --- what a subclass writes -------------------------------------------------------------------------------------

    @abc.abstractmethod
    def update(
        self, weights: Array, gradients: Array, state: Mapping[str, Array], scratch: Sequence[Array], step: int
    ) -> None:
        """Change weights and state in place. All arrays are flat, of one dtype and equally long.

        It may be called several times in a step, for different parts of the parameters.

        Args:
            weights: the weights.
            gradients: read-only; clip_norm has been applied, batch_size has not.
            state: the moments by name.
            scratch: `scratch_arrays` arrays with anything in them.
            step: how many steps these weights take with this one, from 1.
        """

    def prepare(self, pieces: Sequence[Piece]) -> None:  # noqa: B027 - most solvers need nothing of the kind
        """What needs all parameters of the step together; called once before the updates."""

    # --- a step -----------------------------------------------------------------------------------------------------

    def step(self, nodes: Iterable[Node]) -> None:
        """Change the values of parameters by the gradients of the latest run. The gradients stay as they are.

        Args:
            nodes: parameters: inputs of one graph with a value and a gradient. They may differ from step to step.

        Raises:
            GraphError: no nodes, nodes that are no inputs, given twice, of several graphs, or of another than before.
            GradientError: `grad` was never called with respect to a node, or nothing has run since.
            UnboundError: a node has no value.
            CheckpointError: a state was loaded that does not fit these parameters.
        """
        if not self._is_as_before(nodes):
            self._regroup(nodes)
        for member, source in self._copied:
            member.block.gradient_of(member.node)[...] = source()
        # Infinite and undefined numbers are found by a machine's watch_nan and watch_inf, not by warnings.
        with np.errstate(all="ignore"):
            scale = self._scale()
            for piece in self._pieces:
                piece.scale = scale
            self.prepare(self._pieces)
            self._update_pieces(self._pieces)
        self._count_steps(1)

    def _count_steps(self, steps: int) -> None:
        for member in self._members:
            member.step += steps
        self._steps += steps

    def _update_pieces(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._update_piece(piece)

    def _update_piece(self, piece: Piece) -> None:
        self.update(piece.weights, piece.scaled_gradients(), piece.state, piece.scratch, piece.step)

    def _is_as_before(self, nodes: object) -> bool:
        # The graph's version is raised when values move or are unbound, and when gradients become other nodes.
        return (
            self._graph is not None
            and self._graph.version == self._version
            and isinstance(nodes, list | tuple)
            and len(nodes) == len(self._members)
            and all(map(operator.is_, nodes, self._nodes))
        )

    def _regroup(self, nodes: object) -> None:
        parameters = self._checked(nodes)
        sources = [gradient_source(node, type(self).__name__) for node in parameters]
        for source in sources:
            if source is not None:
                source()  # raises here, before anything is changed, if there is none
        self._members = self._memory.enter(parameters)
        self._copied = [
            (member, source) for member, source in zip(self._members, sources, strict=True) if source is not None
        ]
        self._pieces = self._memory.pieces(self._members)
        self._nodes = parameters
        self._graph = parameters[0].graph
        self._version = self._graph.version

    def _checked(self, nodes: object) -> tuple[Node, ...]:
        what = f"{type(self).__name__}.step"
        # A node can be iterated over, into slices that would be added to the graph.
        if isinstance(nodes, Node) or not isinstance(nodes, Iterable):
            raise GraphError(f"{what}: {nodes!r:.80} is no list of nodes", needs="a list of nodes", hint="step([w, b])")
        parameters = tuple(nodes)
        if not parameters:
            raise GraphError(f"{what}: there is nothing to step", got="no nodes", needs="at least one parameter")
        check_nodes(what, parameters)
        if self._graph is not None and parameters[0].graph is not self._graph:
            raise GraphError(
                f"{what}: {parameters[0]} belongs to another graph than the parameters of earlier steps",
                needs="one solver for each graph",
                where=parameters[0].origin,
            )
        met: set[int] = set()
        for node in parameters:
            if not node.is_input:
                raise GraphError(f"{what}: {node} is no parameter", got=repr(node), needs="inputs", where=node.origin)
            if node.id in met:
                raise GraphError(f"{what}: {node} is given twice", needs="distinct parameters", where=node.origin)
            if not node.is_bound:
                hint = f"gf.let({node.label}, ...)"
                raise UnboundError(f"{what}: {node} has no value", needs="a bound value", hint=hint, where=node.origin)
            met.add(node.id)
        return parameters

    def _scale(self) -> float:
        """What clip_norm multiplies all gradients by."""
        if self.clip_norm is None:
            return 1.0
        found = length([(piece.gradients, piece.scaled) for piece in self._pieces])
        return self.clip_norm / found if found > self.clip_norm else 1.0

    # --- saving -----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on besides weights and gradients, copied.

        Returns:
            {"solver": class, "options": {name: value}, "step": how many steps were taken,
            "state": {parameter: {"step": how many it has taken, moment: array in its shape}}}

        Raises:
            CheckpointError: a parameter has no name, or two have the same.
        """
        return {
            "solver": type(self).__name__,
            "options": dict(self._options),
            "step": self._steps,
            "state": self._memory.saved(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, options included; further steps are what they would have been there.

        Parameters take their part when they are stepped next, so this may come before the first step.

        Args:
            state: of a solver of the same class, in the same or another process.

        Raises:
            CheckpointError: another class, or anything missing, unknown or misshapen, naming it; nothing is changed.
        """
        saved = read_state(state, type(self).__name__, options_of(type(self)), self.moments)
        self._memory.load(saved.parameters)
        self._options, self._steps = saved.options, saved.step
        self._forget_pieces()


def _family(kind: type) -> list[type]:
    """The classes derived from one, at any distance, that are not abstract."""
    found: list[type] = []
    waiting = [kind]
    while waiting:
        derived: list[type] = waiting.pop().__subclasses__()
        found += [each for each in derived if not inspect.isabstract(each)]
        waiting += derived
    return found


def gradient_source(node: Node, owner: str) -> Callable[[], Array] | None:
    """None where a machine writes the gradient into the node's block; else what gives the present gradient.

    Raises:
        GradientError: there is no gradient, or no run has computed it.
    """
    graph = node.graph
    gradient = graph.gradients.get(node.id)
    if gradient is None:
        if node.id in graph.eager_gradients:  # of a LispMachine, which makes a new array in each run
            return lambda: graph.eager_gradients[node.id]
        hint = f"gf.grad(cost, {node.label})"
        raise GradientError(f"{owner}.step: {node} has no gradient", needs="a gradient", hint=hint, where=node.origin)
    if gradient.op is None or gradient.id in graph.overrides:  # a constant or an input; a value that the user gave
        return lambda: gradient.value
    if gradient.holder is None:
        raise GradientError(
            f"{owner}.step: the gradient of {node} has not been computed",
            needs="a run of a machine that was made after gf.grad",
            hint="vm.run_all()",
            where=node.origin,
        )
    return None
