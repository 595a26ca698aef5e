"""Which bytes belong to which value while a placed plan runs: to check that nobody reads what another has written."""

from __future__ import annotations

import numpy as np

from graphflow.errors import MachineError
from graphflow.loops import Concat
from graphflow.passes.plan import Place, Plan
from graphflow.tensortype import TensorType
from graphflow.values import Array

Bytes = slice | Array


def bytes_of(value_type: TensorType, place: Place) -> Bytes:
    """Which bytes a value occupies, counted from the beginning of the arena or of its storage."""
    dtype, shape = value_type
    start = place.offset * dtype.itemsize + (place.key if place.kind == "arena" else 0)
    if 0 in shape:
        return slice(0, 0)
    if place.is_contiguous(shape):
        return slice(start, start + value_type.bytes)
    offsets: Array = np.array(start)
    for size, stride in zip(shape, place.strides, strict=True):
        offsets = np.add.outer(offsets, np.arange(size) * stride * dtype.itemsize)
    found: Array = np.add.outer(offsets, np.arange(dtype.itemsize)).ravel()
    return found


def verify_places(plan: Plan) -> None:
    """Check that every value still lies where it was put whenever it is read, and that kept ones do at the end.

    Raises:
        MachineError: naming the first value that was overwritten too early, or was never written.
    """
    owners: dict[tuple[str, int], Array] = {}
    roots: list[int] = []

    def owned(number: int) -> Array:
        value = plan.values[number]
        assert value.place is not None  # noqa: S101 - for the type checker: called for placed plans
        key = (value.place.kind, 0 if value.place.kind == "arena" else value.place.key)
        if key not in owners:
            size = plan.arena_bytes if key[0] == "arena" else value.type.bytes
            owners[key] = np.full(size, -1)
        return owners[key]

    def require(number: int, reader: str) -> None:
        value = plan.values[number]
        assert value.place is not None  # noqa: S101 - as above
        if value.place.kind in {"arena", "gradient"}:
            found = np.unique(owned(number)[bytes_of(value.type, value.place)])
            # What lies inside another value belongs to that one as soon as it is whole.
            whole, _ = plan.together.get(roots[number], (roots[number], 0))
            if found.tolist() not in ([], [roots[number]], [whole]):
                raise MachineError(
                    f"plan: {reader} reads %{number}, where %{found.max()} has been written",
                    got=str(value.place),
                    needs=f"what %{roots[number]} has put there",
                )

    for number, value in enumerate(plan.values):
        is_whole = value.is_alias and isinstance(value.loop, Concat)
        roots.append(roots[value.inputs[0]] if value.is_alias and not is_whole else number)
        if is_whole or not (value.is_alias or value.is_leaf):
            for operand in value.inputs:
                require(operand, f"%{number}")
            assert value.place is not None  # noqa: S101 - as above
            owned(number)[bytes_of(value.type, value.place)] = number
    for node in plan.kept:
        require(plan.became[node], f"the user's node %{node}")
