"""A user's program, for the graph in it: `train.py:graph`, `train.py:build`, `package.module:graph`, `train.py`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Final

from graphflow.errors import GraphError, GraphflowError
from graphflow.graph import GraphView
from graphflow.node import Node

FORMS: Final = "FILE.py:NAME or package.module:NAME"
GIVES: Final = "a graph, a node, something with a .graph, or a function without arguments that returns one"


def load_view(target: str) -> GraphView:
    """The graph that a target names. The program is run to its end, but not as `__main__`.

    Args:
        target: a file or module, and behind a colon the name of a graph, of a node, or of a function of no arguments
            that returns one; without a name the program's only graph.

    Raises:
        GraphError: no such program, it fails, or nothing of this name that is a graph.
    """
    place, name = _split(target)
    module = _load(place)
    if not name:
        return _only_graph(module, place)
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise GraphError(f"{place} has no {name!r}", needs=GIVES, hint=_known(module, place))
        found = getattr(found, part)
    view = as_view(found)
    if view is None and callable(found):
        view = as_view(_call(found, f"{place}:{name}"))
    if view is None:
        raise GraphError(f"{place}:{name} is no graph", got=type(found).__name__, needs=GIVES)
    return view


def as_view(found: object) -> GraphView | None:
    """A graph, the part that a node needs, or the graph of several nodes or of a model; None for anything else."""
    if isinstance(found, tuple | list) and found:
        found = found[0].graph if isinstance(found[0], Node) else found[0]
    if isinstance(found, Node):
        return found.graph.subgraph(found)
    if not isinstance(found, GraphView | type):
        found = getattr(found, "graph", None)
    return found if isinstance(found, GraphView) else None


def _split(target: str) -> tuple[str, str]:
    """The program and the name in it; a drive letter belongs to the path."""
    place, colon, name = target.rpartition(":")
    is_name = all(part.isidentifier() for part in name.split("."))
    return (place, name) if colon and len(place) > 1 and is_name else (target, "")


def _load(place: str) -> ModuleType:
    path = Path(place)
    if path.suffix == ".json":
        raise GraphError(
            f"{place} holds no graph",
            got="a checkpoint, which holds values" if path.is_file() else "the name of a checkpoint",
            needs=f"the program that builds the graph: {FORMS}",
            hint=f"`inspect {place}` for what it holds",
        )
    is_file = path.suffix == ".py" or path.exists()
    if is_file and not path.is_file():
        raise GraphError(f"there is no program {place}", needs=FORMS)
    # As for a program that is run: what lies beside it can be imported.
    sys.path.insert(0, str(path.resolve().parent) if is_file else str(Path.cwd()))
    try:
        # What the program prints must not get into a picture that goes to stdout.
        with contextlib.redirect_stdout(sys.stderr):
            return _run_file(path) if is_file else importlib.import_module(place)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and not is_file and place.startswith(str(error.name)):
            raise GraphError(f"there is no program {place}", needs=FORMS) from None
        raise GraphError(f"{place} cannot be loaded", got=_said(error)) from error


def _run_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise GraphError("this is no Python program", got=str(path), needs=FORMS)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses and the like look themselves up
    spec.loader.exec_module(module)
    return module


def _call(function: object, what: str) -> object:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return function() if callable(function) else None
    except (Exception, SystemExit) as error:
        raise GraphError(f"{what}() fails", got=_said(error), needs=GIVES) from error


def _said(error: BaseException) -> str:
    """What went wrong in the user's program, and at which line of it."""
    if isinstance(error, GraphflowError):
        return f"{type(error).__name__}: {str(error).splitlines()[0]} at {error.raised_at}"
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error}"  # which says where
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if len(frames) > 1 else ""
    return f"{type(error).__name__}: {error}{place}" if str(error) else f"{type(error).__name__}{place}"


def _only_graph(module: ModuleType, place: str) -> GraphView:
    graphs = {id(each): each for each in vars(module).values() if isinstance(each, GraphView)}
    if len(graphs) != 1:
        raise GraphError(
            f"{place} has {len(graphs) or 'no'} graphs to choose from", needs=FORMS, hint=_known(module, place)
        )
    return next(iter(graphs.values()))


def _can_be_called(found: object) -> bool:
    """Whether it is a function that needs no arguments."""
    try:
        return inspect.isfunction(found) and inspect.signature(found).bind() is not None
    except TypeError:
        return False


def _known(module: ModuleType, place: str) -> str | None:
    """Graphs, nodes and functions of the program, as targets."""
    names = [
        name
        for name, each in vars(module).items()
        if not name.startswith("_")
        and (
            isinstance(each, GraphView | Node)
            or (getattr(each, "__module__", None) == module.__name__ and _can_be_called(each))
        )
    ]
    return " or ".join(f"{place}:{name}" for name in names[:3]) or None
