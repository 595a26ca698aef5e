"""Each use of randomness has a generator of its own, so that none depends on how often another was asked."""

from __future__ import annotations

import numpy as np

WEIGHTS, HELD_OUT, ORDER, SAMPLES = range(4)


def generator_for(seed: int, use: int, *more: int) -> np.random.Generator:
    """The generator for one use of randomness."""
    return np.random.default_rng([seed, use, *more])
