"""What a name that graphflow lacks may have meant: Gorgonia's, torch's or numpy's word for something, or a slip."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

SOLVER = "Solver"


def suggestion(name: str, exported: Mapping[str, object]) -> str | None:
    """The exported name that is meant: by its spelling elsewhere, which its docstring gives as source, or the nearest.

    Example:
        >>> def rectify(x):
        ...     "The larger of x and 0. Source: Gorgonia Rectify; torch relu."
        >>> suggestion("relu", {"rectify": rectify}), suggestion("Rectify", {"rectify": rectify})
        ('rectify', 'rectify')
    """
    words = {name.lower(), snake_case(name)}
    for ours in (snake_case(name), name.lower(), f"{name}{SOLVER}", f"{name.title()}{SOLVER}"):
        if ours in exported:
            return ours
    for ours, value in exported.items():
        _, _, source = (getattr(value, "__doc__", None) or "").partition("Source:")
        if not words.isdisjoint(re.findall(r"\w+", source.lower())):
            return ours
    plain = {ours.replace("_", "").lower(): ours for ours in exported}
    near = difflib.get_close_matches(name.replace("_", "").lower(), plain, n=1, cutoff=0.75)
    return plain[near[0]] if near else None


def snake_case(name: str) -> str:
    """`HadamardProd` as `hadamard_prod`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
