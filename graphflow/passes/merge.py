"""Compute equal expressions once."""

from __future__ import annotations

from collections.abc import Hashable

from graphflow.op import Op
from graphflow.passes.plan import Kinds, Plan, Value, reduced


def merge(plan: Plan) -> Plan:
    """Let equal pure expressions and equal constants be one value.

    Inputs, random values and whatever has a run-time position are never merged: they can be told apart by rebinding.
    """
    first: dict[Hashable, int] = {}
    stands: list[int] = []
    kinds, is_pure = Kinds(), list[bool]()
    for number, value in enumerate(plan.values):
        what = value.loop if value.op is None else value.op
        if what is None:
            key = _of_leaf(value)
            stands.append(number if key is None else first.setdefault(key, number))
            continue
        kind = kinds.number(what)
        if kind == len(is_pure):
            # What passes have made of several ops is pure: they join and split, and leave the rest alone.
            is_pure.append(what.is_pure if isinstance(what, Op) else True)
        key = (kind, *[stands[operand] for operand in value.inputs])
        stands.append(first.setdefault(key, number) if is_pure[kind] else number)
    return reduced(plan, stands)


def _of_leaf(value: Value) -> Hashable:
    """What two leaves must agree in to be one; an input is only itself."""
    return None if value.constant is None else (value.type, value.constant.tobytes())
