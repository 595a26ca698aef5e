"""Tools for testing graphs and ops of your own: they compare what the engine does with what it must do.

    check_gradient           a gradient against central differences
    assert_backends_agree    compiled machines against the LispMachine, over new inputs and slice positions
    check_op                 an op class against the whole contract of `graphflow.Op`
    random_graph             a random but reproducible graph, for comparing machines
    random_network           the same for recurrent networks: one cell at many time steps

What is found wrong is raised as an AssertionError that names the op or node and the numbers.
"""

from __future__ import annotations

from graphflow.testing.agreement import assert_backends_agree
from graphflow.testing.contract import check_op
from graphflow.testing.differences import check_gradient
from graphflow.testing.random_graphs import RandomGraph, random_graph
from graphflow.testing.random_networks import random_network

__all__ = ["RandomGraph", "assert_backends_agree", "check_gradient", "check_op", "random_graph", "random_network"]
