"""Solvers: they change the parameters by the gradients. `Solver` is abstract, the others are final."""

from __future__ import annotations

from graphflow.solvers.adagrad import AdaGradSolver
from graphflow.solvers.adam import AdamSolver
from graphflow.solvers.adamw import AdamWSolver
from graphflow.solvers.barzilai_borwein import BarzilaiBorweinSolver
from graphflow.solvers.momentum import MomentumSolver
from graphflow.solvers.rmsprop import RMSPropSolver
from graphflow.solvers.solver import Solver
from graphflow.solvers.vanilla import VanillaSolver

__all__ = [
    "AdaGradSolver",
    "AdamSolver",
    "AdamWSolver",
    "BarzilaiBorweinSolver",
    "MomentumSolver",
    "RMSPropSolver",
    "Solver",
    "VanillaSolver",
]
