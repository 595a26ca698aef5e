"""Machines: the tape machine that compiles a graph, and the Lisp machine that walks it."""

from __future__ import annotations

from graphflow.vm.calling import function
from graphflow.vm.compiling import compile_graph
from graphflow.vm.lisp_machine import LispMachine
from graphflow.vm.profiling import Profile, ProfileGroup, ProfileRow
from graphflow.vm.tape_machine import TapeMachine

__all__ = ["LispMachine", "Profile", "ProfileGroup", "ProfileRow", "TapeMachine", "compile_graph", "function"]
