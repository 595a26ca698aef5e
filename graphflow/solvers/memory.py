"""What a solver keeps of the parameters: moments as large as the parameter blocks, and how often each was stepped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, final

import numpy as np

from graphflow.blocks import ParameterBlock, adopt_parameters, block_of
from graphflow.dtypes import DType
from graphflow.errors import CheckpointError
from graphflow.node import Node
from graphflow.solvers.saved_state import SavedParameter
from graphflow.values import Array, aligned_zeros

# Elements that are updated together: what one update touches then stays in the cache of a core, however large the
# block is. `python -m tests.solvers.measure_steps 5600000`, float32 on an EPYC with 1 MiB of level 2 cache for each
# core: a step of Adam takes 23 ms instead of 42, one of RMSProp 16 instead of 39.
PIECE: Final = 65_536


@final
@dataclass(eq=False)
class Member:
    """A parameter that the solver has met."""

    node: Node
    block: ParameterBlock
    start: int
    stop: int
    step: int = 0


@final
@dataclass(eq=False)
class Piece:
    """Neighbouring elements of a block that have taken the same number of steps; all arrays are flat and equally long.

    Attributes:
        weights: changed in place.
        gradients: what the machine computed; read-only.
        state: the moments by name, changed in place.
        scratch: arrays to work in, shared by all pieces.
        scaled: another one, for the gradients after clip_norm.
        member: one of the parameters that lie here.
        scale: what clip_norm multiplies the gradients by.
    """

    weights: Array
    gradients: Array
    state: dict[str, Array]
    scratch: tuple[Array, ...]
    scaled: Array
    member: Member
    scale: float = 1.0

    @property
    def step(self) -> int:
        """The number of the step that is under way, from 1."""
        return self.member.step + 1

    def scaled_gradients(self) -> Array:
        """The gradients after clip_norm; valid until another piece is asked."""
        if self.scale == 1.0:
            return self.gradients
        return np.multiply(self.gradients, self.scale, out=self.scaled)


@final
@dataclass(eq=False)
class Memory:
    """The members and their moments.

    Attributes:
        owner: the solver's class, for messages.
        moments: names of the arrays that are kept for each parameter.
        scratch_arrays: how many arrays an update works in.
        waiting: loaded, but not yet stepped: name -> state.
    """

    owner: str
    moments: tuple[str, ...]
    scratch_arrays: int
    members: dict[int, Member] = field(default_factory=dict)
    waiting: dict[str, SavedParameter] = field(default_factory=dict)
    arrays: dict[ParameterBlock, dict[str, Array]] = field(default_factory=dict)
    scratch: dict[DType, tuple[Array, ...]] = field(default_factory=dict)

    def enter(self, nodes: Sequence[Node]) -> list[Member]:
        """The members that the nodes are; those met for the first time start with the loaded state, or afresh.

        Raises:
            CheckpointError: a state was loaded, and it does not fit; nobody has entered.
        """
        fresh = [node for node in nodes if node.id not in self.members]
        if self.waiting:
            refuse_misfits(self.owner, fresh, self.waiting)
        if fresh:
            # `grad` has put parameters into blocks; this is for gradients that a LispMachine found without it.
            adopt_parameters(fresh[0].graph, fresh)
        for node in fresh:
            block = block_of(node)
            assert block is not None  # noqa: S101 - for the type checker: all of them have just been adopted
            if block not in self.arrays:
                self.arrays[block] = {name: aligned_zeros(block.values.size, node.dtype) for name in self.moments}
            member, arrays = Member(node, block, *block.spans[node.id]), self.arrays[block]
            saved = self.waiting.pop(node.label, None)
            if saved is not None:
                member.step = saved.step
                for name in self.moments:
                    arrays[name][member.start : member.stop] = saved.moments[name].ravel()
            self.members[node.id] = member
        return [self.members[node.id] for node in nodes]

    def pieces(self, members: Sequence[Member]) -> list[Piece]:
        """The members as few long pieces: neighbours are joined, and what is too long for the cache is cut."""
        found = []
        for run in runs(members):
            last = run[-1].stop
            starts = range(run[0].start, last, PIECE)
            found += [self._piece(run[0], start, min(start + PIECE, last)) for start in starts]
        return found

    def _piece(self, member: Member, start: int, stop: int) -> Piece:
        block, dtype = member.block, member.node.dtype
        if dtype not in self.scratch or self.scratch[dtype][0].size < stop - start:
            self.scratch[dtype] = tuple(np.empty(stop - start, dtype) for _ in range(self.scratch_arrays + 1))
        *scratch, scaled = (array[: stop - start] for array in self.scratch[dtype])
        gradients = block.gradients[start:stop]
        gradients.flags.writeable = False
        state = {name: array[start:stop] for name, array in self.arrays[block].items()}
        return Piece(block.values[start:stop], gradients, state, tuple(scratch), scaled, member)

    def saved(self) -> dict[str, dict[str, Any]]:
        """Name -> step and moments, copied.

        Raises:
            CheckpointError: a parameter has no name, or two have the same.
        """
        result: dict[str, dict[str, Any]] = {
            name: {"step": each.step} | {key: array.copy() for key, array in each.moments.items()}
            for name, each in self.waiting.items()
        }
        for member in self.members.values():
            name = member.node.name
            if name is None or name in result:
                raise CheckpointError(
                    f"{self.owner}.state_dict: cannot tell the parameters apart",
                    got=f"{member.node} without a name" if name is None else f"two parameters named {name!r:.80}",
                    needs="a name of its own for each parameter",
                    hint="name= when making it",
                    where=member.node.origin,
                )
            result[name] = {"step": member.step} | {
                key: array[member.start : member.stop].reshape(member.node.shape).copy()
                for key, array in self.arrays[member.block].items()
            }
        return result

    def load(self, states: dict[str, SavedParameter]) -> None:
        """Forget everything; parameters take these states when they are stepped next.

        Raises:
            CheckpointError: they do not fit the parameters met so far; nothing is forgotten.
        """
        # A state that was saved before the first step is empty, and fits everything.
        if states:
            refuse_misfits(self.owner, [member.node for member in self.members.values()], states)
        self.members.clear()
        self.arrays.clear()
        self.waiting = states


def refuse_misfits(owner: str, nodes: Sequence[Node], states: Mapping[str, SavedParameter]) -> None:
    """Compare parameters with the states that are meant for them.

    Raises:
        CheckpointError: naming every parameter that has no state, or one of another shape or dtype.
    """
    problems = []
    met = set()
    for node in nodes:
        state = states.get(node.label) if node.name is not None and node.name not in met else None
        met.add(node.name)
        if state is None:
            problems.append(f"nothing for {node}")
        problems += [
            f"{name} of {node.label} as {array.dtype}{list(array.shape)} for {node}"
            for name, array in (state.moments if state else {}).items()
            if (array.shape, array.dtype) != (node.shape, node.dtype)
        ]
    if problems:
        more = f"; and {len(problems) - 6} more" if len(problems) > 6 else ""
        raise CheckpointError(
            f"{owner}: the loaded state does not fit the parameters",
            got="; ".join(problems[:6]) + more,
            needs="a state of each parameter, by name, of its shape and dtype",
            hint="build the model with the names and sizes that the state was saved with",
        )


def runs(members: Sequence[Member]) -> list[list[Member]]:
    """Members in the order in which they lie, those together that touch and have taken equally many steps."""
    places = {id(block): place for place, block in enumerate(dict.fromkeys(member.block for member in members))}
    ordered = sorted(members, key=lambda member: (places[id(member.block)], member.start, member.stop))
    found = [ordered[:1]]
    for before, member in pairwise(ordered):
        is_next = member.block is before.block and member.start == before.stop and member.step == before.step
        if is_next:
            found[-1].append(member)
        else:
            found.append([member])
    return found
