"""Machines: the tape machine that compiles a graph, and the Lisp machine that walks it."""

from __future__ import annotations

from graphflow.vm.calling import function
from graphflow.vm.compiling import compile_graph, passes_of
from graphflow.vm.inspecting import NanReport, Survey
from graphflow.vm.lisp_machine import LispMachine
from graphflow.vm.profiling import Profile, ProfileGroup, ProfileRow
from graphflow.vm.summary import ValueSummary
from graphflow.vm.tape_machine import TapeMachine
from graphflow.vm.tracing import Trace, TraceRow

__all__ = [
    "LispMachine",
    "NanReport",
    "Profile",
    "ProfileGroup",
    "ProfileRow",
    "Survey",
    "TapeMachine",
    "Trace",
    "TraceRow",
    "ValueSummary",
    "compile_graph",
    "function",
    "passes_of",
]
