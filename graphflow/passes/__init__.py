"""The compiler: from the user's nodes to a plan that says what to compute and where it lies.

The whole compiler is the tuple below, read from left to right. Up to `lower` the passes see ops, after it loop forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphflow.passes.absorb_transposes import absorb_transposes
from graphflow.passes.batch_products import batch_products
from graphflow.passes.commute_gathers import commute_gathers
from graphflow.passes.commute_scatters import commute_scatters
from graphflow.passes.evaluation import evaluate_mode
from graphflow.passes.fold import fold
from graphflow.passes.fuse import fuse
from graphflow.passes.join_products import join_products
from graphflow.passes.lay_together import lay_together
from graphflow.passes.lower import lower
from graphflow.passes.memory import place
from graphflow.passes.merge import merge
from graphflow.passes.plan import Plan, plan_of, verify
from graphflow.passes.prune import prune
from graphflow.passes.slice_lookups import slice_lookups
from graphflow.passes.split_totals import split_totals
from graphflow.passes.stabilise import stabilise
from graphflow.passes.sum_places import sum_places
from graphflow.passes.sum_products import sum_products
from graphflow.passes.sum_scatters import sum_scatters

Pass = Callable[[Plan], Plan]

PIPELINE: tuple[Pass, ...] = (
    prune,
    stabilise,
    fold,
    merge,
    prune,
    lower,
    absorb_transposes,
    slice_lookups,
    commute_gathers,
    commute_scatters,
    sum_places,
    sum_scatters,
    sum_products,
    batch_products,
    join_products,
    merge,
    prune,
    split_totals,
    fuse,
    prune,
    lay_together,
    place,
)
EVALUATION_PIPELINE: tuple[Pass, ...] = (evaluate_mode, *PIPELINE)
# What is needed to run at all: no value is changed, shared or left out.
PLAIN_PIPELINE: tuple[Pass, ...] = (lower, place)
# What keeps each value for itself: after these alone, an instruction stands for one of the user's nodes, or for a part
# of a long sum, which as one loop of thousands of terms would take long to compile.
SEPARATING: tuple[Pass, ...] = (evaluate_mode, stabilise, prune, lower, split_totals, place)
# After these an instruction may stand for several of the user's nodes, or a value for none that was computed.
BLENDING = (
    fold,
    fuse,
    absorb_transposes,
    slice_lookups,
    commute_gathers,
    commute_scatters,
    sum_places,
    sum_scatters,
    sum_products,
    batch_products,
    join_products,
)


def run_passes(plan: Plan, passes: Sequence[Pass] = PIPELINE) -> Plan:
    """The plan that comes out of the passes, one after the other."""
    for compiler_pass in passes:
        plan = compiler_pass(plan)
    return plan


__all__ = [
    "BLENDING",
    "EVALUATION_PIPELINE",
    "PIPELINE",
    "PLAIN_PIPELINE",
    "SEPARATING",
    "Pass",
    "Plan",
    "plan_of",
    "run_passes",
    "verify",
]
