"""Solvers that state what they do to one weight: numpy carries that out call by call, LLVM as one loop."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Never

import numpy as np

from graphflow.backends import Call
from graphflow.backends.choice import choose_backend
from graphflow.backends.updates import NumpyUpdate
from graphflow.dtypes import DType, float32
from graphflow.node import Node
from graphflow.scalars import Scalar, ScalarUpdate, trace_update
from graphflow.solvers.memory import Piece
from graphflow.solvers.solver import Solver
from graphflow.values import Array

if TYPE_CHECKING:
    from graphflow.backends.llvm.lengths import NativeLength
    from graphflow.backends.llvm.updates import NativeUpdate

Coefficients = Mapping[str, Scalar]

# More coefficients than any rule has.
MOST_COEFFICIENTS = 32


class LinkedPiece(NamedTuple):
    """A piece with what machine code needs to know of it: a record, and the array that the record's numbers are in."""

    piece: Piece
    record: Array
    address: int
    numbers: Array


class RuleSolver(Solver):
    """A solver whose step replaces each weight and its moments by a function of themselves, the gradient, and numbers.

    A subclass writes `rule` and `coefficients`. Which coefficients there are says which parts of the rule are in force,
    and code is made once for each such choice; their values may change from step to step at no cost.

    Example:
        >>> import graphflow as gf
        >>> class HalvingSolver(RuleSolver):
        ...     moments = ("change",)
        ...
        ...     def coefficients(self, step):
        ...         return {"learn_rate": self.learn_rate, "kept": 0.5**step}
        ...
        ...     def rule(self, w, g, state, coefficients):
        ...         change = state["change"] * coefficients["kept"] + g * coefficients["learn_rate"]
        ...         return w - change, {"change": change}
        >>> graph = gf.ExprGraph()
        >>> w = gf.scalar(graph, name="w", value=4.0)
        >>> _ = gf.grad(w * w, w)
        >>> with gf.TapeMachine(graph) as vm:
        ...     vm.run_all()
        ...     HalvingSolver(learn_rate=0.25).step([w])
        >>> w.value
        array(2., dtype=float32)
    """

    is_steady: ClassVar[bool] = False
    """Whether `coefficients` gives the same numbers in each step, as long as no option is set."""

    __slots__ = ("_length", "_linked", "_linked_from", "_machine_code", "_numpy_updates")
    # As many as a rule with every option works in.
    scratch_arrays = 3

    def __init__(self, *values: Never, **options: float | None) -> None:
        super().__init__(*values, **options)
        self._numpy_updates: dict[tuple[DType, tuple[str, ...]], NumpyUpdate] = {}
        self._machine_code: dict[tuple[DType, tuple[str, ...]], NativeUpdate | None] = {}
        self._linked: list[LinkedPiece] = []
        self._length: NativeLength | None = None
        self._linked_from: Sequence[Piece] | None = None

    # --- what a subclass writes -------------------------------------------------------------------------------------

    @abc.abstractmethod
    def coefficients(self, step: int) -> dict[str, float]:
        """The numbers that the rule needs, only those of the parts that are in force.

        Args:
            step: how many steps the weights take with this one, from 1.
        """

    @abc.abstractmethod
    def rule(
        self, weights: Scalar, gradients: Scalar, state: Mapping[str, Scalar], coefficients: Coefficients
    ) -> tuple[Scalar, dict[str, Scalar]]:
        """What a weight and its moments are replaced by.

        It is called to be recorded, not in every step, so it must not read options but by `coefficients`.

        Args:
            weights: the weight.
            gradients: its gradient; clip_norm has been applied, batch_size has not.
            state: the moments by name.
            coefficients: what `coefficients` gives.

        Returns:
            The new weight, and those moments that change.
        """

    def in_force(self, *names: str) -> dict[str, float]:
        """Coefficients for those options that do something, by the names that `regularised` and its kin know."""
        found: dict[str, float] = {}
        for name in names:
            value = self._options[name]
            if name == "batch_size" and value != 1:
                found["per_example"] = 1 / value
            elif name == "clip" and value is not None:
                found |= {"highest": value, "lowest": -value}
            elif name not in ("batch_size", "clip") and value:
                found[name] = value
        return found

    # --- carrying it out ----------------------------------------------------------------------------------------------

    def update(
        self, weights: Array, gradients: Array, state: Mapping[str, Array], scratch: Sequence[Array], step: int
    ) -> None:
        """The rule by numpy."""
        coefficients = self.coefficients(step)
        key = (weights.dtype, tuple(coefficients))
        if key not in self._numpy_updates:
            self._numpy_updates[key] = NumpyUpdate(self._traced(*key))
        moments = [state[name] for name in self.moments]
        self._numpy_updates[key].run([weights, gradients, *moments, *coefficients.values()], scratch)

    def _link(self) -> None:
        """Make the records of the pieces, where they have changed and machine code is to be had."""
        if self._linked_from is not self._pieces:
            is_native = choose_backend("auto")[1] == "native"
            self._linked = linked(self._pieces, self.moments) if is_native else []
            self._length = length_of(self._pieces) if is_native else None
            self._linked_from = self._pieces

    def _scale(self) -> float:
        self._link()
        if self.clip_norm is None or self._length is None:
            return super()._scale()
        found = math.sqrt(self._length.squares())
        return self.clip_norm / found if found > self.clip_norm else 1.0

    def _update_pieces(self, pieces: Sequence[Piece]) -> None:
        self._link()
        if not self._linked:
            super()._update_pieces(pieces)
            return
        numbers, step, run = None, 0, None
        for each in self._linked:
            # Most often all pieces have one dtype and have taken equally many steps.
            if each.numbers is not numbers or each.piece.step != step:
                numbers, step = each.numbers, each.piece.step
                run = self._prepared(each)
            if run is None:
                self._update_piece(each.piece)
            else:
                run(each.address)

    def calls_ahead(self, nodes: Sequence[Node], steps: int) -> list[Call] | None:
        """The next steps as calls of machine code, for whoever makes them; None where only `step` can.

        That is so before the first step of these parameters, on the numpy backend, where a subclass has a way of its
        own, and where clip_norm is to hold for other gradients than float32, whose squares can be out of range.

        Args:
            nodes: parameters, as `step` takes them.
            steps: how many.
        """
        if not self._is_by_rule() or not self._is_as_before(nodes) or self._copied:
            return None
        if self._linked_from is not self._pieces or not self._linked:
            return None
        if self.clip_norm is not None and self._length is None:
            return None
        updates: list[Call] = []
        tables: dict[tuple[DType, int], tuple[int, Array] | None] = {}
        for each in self._linked:
            key = (each.piece.weights.dtype, each.piece.step)
            if key not in tables:
                tables[key] = self._table(*key, steps)
            table = tables[key]
            if table is None:
                return None
            updates.append(Call(table[0], each.record.copy(), table[1]))
        return [*self._scaling([each[1] for each in tables.values() if each]), *updates]

    def _scaling(self, tables: Sequence[Array]) -> list[Call]:
        """What clip_norm needs called before the updates: it writes the last of their numbers."""
        if self.clip_norm is None or self._length is None:
            return []
        code, nothing = self._length.code, np.zeros((1, 1))
        calls = [Call(code.squares, record.copy(), nothing) for record in self._length.records]
        for numbers in tables:
            record = self._length.scale_record(self.clip_norm, numbers.shape[1] - 1)
            calls.append(Call(code.scale, record, numbers))
        return calls

    def have_stepped(self, steps: int) -> None:
        """So many of the steps that `calls_ahead` told of have been made."""
        self._count_steps(steps)

    def _is_by_rule(self) -> bool:
        own = type(self)
        return (own.step, own.prepare, own.update) == (Solver.step, Solver.prepare, RuleSolver.update)

    def _table(self, dtype: DType, first: int, steps: int) -> tuple[int, Array] | None:
        """Where the code for some steps lies, and their numbers, [steps, numbers]; None where there is no one code."""
        wanted = range(first, first + 1 if self.is_steady else first + steps)
        # What clip_norm makes of the gradients is written here when they are known.
        last = {} if self.clip_norm is None else {"clip_norm": 1.0}
        rows = [self.coefficients(step) | last for step in wanted]
        names = tuple(rows[0])
        code = self._code(dtype, names)
        if code is None or any(tuple(row) != names for row in rows):
            return None
        with np.errstate(all="ignore"):
            numbers = np.array([tuple(row.values()) for row in rows], dtype)
        return code.address, np.broadcast_to(numbers, (steps, len(names)))

    def _prepared(self, linked_piece: LinkedPiece) -> Callable[[int], None] | None:
        """The machine code for a piece, its numbers being those of this step; None where there can be none."""
        coefficients = self.coefficients(linked_piece.piece.step)
        if self.clip_norm is not None:
            coefficients["clip_norm"] = linked_piece.piece.scale
        numbers = linked_piece.numbers
        numbers[: len(coefficients)] = tuple(coefficients.values())
        code = self._code(numbers.dtype, tuple(coefficients))
        return None if code is None else code.run

    def _code(self, dtype: DType, names: tuple[str, ...]) -> NativeUpdate | None:
        """The rule with these coefficients as machine code; None where there can be none."""
        key = (dtype, names)
        if key not in self._machine_code:
            from graphflow.backends.llvm.native import NativeBackend
            from graphflow.backends.llvm.updates import native_update

            self._machine_code[key] = native_update(self._traced(*key), 2 + len(self.moments), NativeBackend().host)
        return self._machine_code[key]

    def _traced(self, dtype: DType, names: tuple[str, ...]) -> ScalarUpdate:
        """The rule as an update of weights, gradients and moments, the coefficients behind them."""

        def replaced(weights: Scalar, gradients: Scalar, *others: Scalar) -> dict[int, Scalar]:
            kept = len(self.moments)
            coefficients = dict(zip(names, others[kept:], strict=True))
            if "clip_norm" in coefficients:
                gradients = gradients * coefficients["clip_norm"]
            state = dict(zip(self.moments, others[:kept], strict=True))
            weights, changed = self.rule(weights, gradients, state, coefficients)
            return {0: weights} | {2 + self.moments.index(name): value for name, value in changed.items()}

        return trace_update(replaced, [dtype] * (2 + len(self.moments) + len(names)))


def linked(pieces: Sequence[Piece], moments: Sequence[str]) -> list[LinkedPiece]:
    """The pieces with their records, for machine code; needs llvmlite."""
    from graphflow.backends.llvm.updates import update_record

    numbers: dict[DType, Array] = {}
    found = []
    for piece in pieces:
        dtype = piece.weights.dtype
        own = numbers.setdefault(dtype, np.zeros(MOST_COEFFICIENTS, dtype))
        record = update_record([piece.weights, piece.gradients, *[piece.state[name] for name in moments]], own)
        found.append(LinkedPiece(piece, record, int(record.ctypes.data), own))
    return found


def length_of(pieces: Sequence[Piece]) -> NativeLength | None:
    """The length of the gradients by machine code; None where squares of them can be out of its range."""
    from graphflow.backends.llvm.lengths import NativeLength
    from graphflow.backends.llvm.native import NativeBackend

    if any(piece.gradients.dtype != float32 for piece in pieces):
        return None
    return NativeLength([piece.gradients for piece in pieces], NativeBackend().host)


# --- what several rules begin with ------------------------------------------------------------------------------------


def per_example(gradient: Scalar, coefficients: Coefficients) -> Scalar:
    """g / batch_size."""
    return gradient * coefficients["per_example"] if "per_example" in coefficients else gradient


def clipped(gradient: Scalar, coefficients: Coefficients) -> Scalar:
    """g brought into [-clip, clip]."""
    if "highest" not in coefficients:
        return gradient
    return gradient.maximum(coefficients["lowest"]).minimum(coefficients["highest"])


def with_penalties(total: Scalar, weights: Scalar, coefficients: Coefficients) -> Scalar:
    """x + l1_reg * sign(w) + l2_reg * w."""
    if "l1_reg" in coefficients:
        total = total + weights.sign() * coefficients["l1_reg"]
    if "l2_reg" in coefficients:
        total = total + weights * coefficients["l2_reg"]
    return total


def regularised(weights: Scalar, gradient: Scalar, coefficients: Coefficients) -> Scalar:
    """clip((g + l1_reg * sign(w) + l2_reg * w) / batch_size)."""
    return clipped(per_example(with_penalties(gradient, weights, coefficients), coefficients), coefficients)
