"""Checkpoints: the values of nodes, a solver's state and the user's own data in one file, saved as a whole."""

from __future__ import annotations

import copy
import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, Protocol, cast, final, runtime_checkable

from graphflow import checkpoint_document as document
from graphflow.atomic_file import write_atomically
from graphflow.binding import let
from graphflow.errors import CheckpointError, GraphflowError, OptionError
from graphflow.json_values import SUPPORTED, Numbers
from graphflow.node import Node
from graphflow.values import Array

NO_SPACE = "free some space, or choose another folder"
NO_PERMISSION = "choose a place that you have permission for"
HINTS = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EACCES: NO_PERMISSION,
    errno.EPERM: NO_PERMISSION,
    errno.EROFS: NO_PERMISSION,
}


@runtime_checkable
class StatefulSolver(Protocol):
    """What a solver needs to be saved: `load_state_dict` takes what `state_dict` gave, all of it or nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on besides the weights and the gradients."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take that over."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint:
    """What a checkpoint file holds, already checked; made by `load_checkpoint`, bound to nothing.

    Attributes:
        path: the file it was read from.
        tensors: name -> value, read-only arrays, in the order in which they were saved.
        solver: what the solver's `state_dict` gave, None if no solver was saved.
        solver_kind: the solver's class, such as "RMSPropSolver", or None.
        extra: the dict given to `save_checkpoint`; arrays in it are read-only.
    """

    path: str
    tensors: Mapping[str, Array]
    solver: dict[str, Any] | None
    solver_kind: str | None
    extra: dict[str, Any]

    def __repr__(self) -> str:
        count = sum(array.size for array in self.tensors.values())
        return (
            f"<Checkpoint {self.path!r}: {len(self.tensors)} tensors of {count} numbers, "
            f"solver {self.solver_kind or 'none'}, extra {listed([*map(shown, self.extra)]) or 'nothing'}>"
        )

    def restore(self, nodes: Iterable[Node], solver: StatefulSolver | None = None) -> None:
        """Give the nodes the saved values, and the solver its saved state: all of them, or nothing is changed.

        Args:
            nodes: input nodes with the names, shapes and dtypes of the saved tensors, in any order.
            solver: of the saved kind; left out, the saved state is not used (to predict, say).

        Raises:
            CheckpointError: naming the nodes and tensors that have no partner, or another shape or dtype; another kind
                of solver, none saved, or a state that the solver refuses.

        Example:
            >>> import os, tempfile, graphflow as gf
            >>> g = gf.ExprGraph()
            >>> w = gf.vector(g, 2, name="w", value=[1.0, 2.0])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     gf.save_checkpoint(os.path.join(folder, "w.json"), [w])
            ...     gf.let(w, [0.0, 0.0])
            ...     gf.load_checkpoint(os.path.join(folder, "w.json")).restore([w])
            >>> w.value
            array([1., 2.], dtype=float32)
        """
        headline = f"cannot restore from the checkpoint {self.path!r}"
        named = nodes_by_name(nodes, headline)
        problems = mismatches(named, self.tensors)
        if problems:
            raise CheckpointError(
                headline,
                got=listed(problems),
                needs="for each saved tensor one node of the same name, shape and dtype",
                hint="build the model with the sizes and options that the checkpoint was saved with",
            )
        self._apply(named, solver, headline)

    def _apply(self, named: dict[str, Node], solver: StatefulSolver | None, headline: str) -> None:
        with ExitStack() as undo:  # what is on it is done in reverse order when anything fails, Ctrl-C too
            if solver is not None:
                state = self._state_for(solver, headline)
                undo.callback(solver.load_state_dict, copy.deepcopy(solver.state_dict()))
                load_solver(solver, state, headline)
            for name, node in named.items():
                undo.callback(put_back, node, node.value if node.is_bound else None)
                let(node, self.tensors[name])
            undo.pop_all()

    def _state_for(self, solver: object, headline: str) -> dict[str, Any]:
        check_is_stateful(solver, headline)
        kind = type(solver).__name__
        if self.solver is None:
            raise CheckpointError(
                headline,
                got=f"{kind}, but no solver was saved",
                needs="no solver",
                hint="leave solver= out: it starts afresh",
            )
        if kind != self.solver_kind:
            raise CheckpointError(headline, got=kind, needs=f"{self.solver_kind}, as was saved")
        return self.solver


def save_checkpoint(
    path: str | os.PathLike[str],
    nodes: Iterable[Node],
    *,
    solver: StatefulSolver | None = None,
    extra: Mapping[str, Any] | None = None,
    numbers: Numbers = "base64",
) -> None:
    """Write the nodes' values, the solver's state and `extra` to a file, wholly or not at all.

    The document is written aside, flushed, and renamed over the old one: killed at any instant, the old or the new file
    is there, complete. A symbolic link is followed. Equal content gives equal bytes.

    Args:
        path: the file; its folder must exist.
        nodes: input nodes that have values, each with a name of its own.
        solver: whose `state_dict()` is saved too.
        extra: anything else a resumed run needs (vocabulary, hyperparameters, generator state, position): None, bool,
            int of any size, float, str, numpy arrays and scalars, and lists, tuples, dicts with text keys of these.
        numbers: "base64", or "lists" for readers that know only JSON: exact as well, 4 times the size, slower; an array
            that holds NaN or infinity is in base64 there too, because JSON has no number for these.

    Raises:
        CheckpointError: naming the path and the reason; an old file is as it was.
        OptionError: `numbers` is neither.

    Example:
        >>> import os, tempfile, graphflow as gf
        >>> g = gf.ExprGraph()
        >>> w = gf.matrix(g, (2, 3), name="w", init=gf.glorot_n(1.0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gf.save_checkpoint(os.path.join(folder, "run.json"), [w], extra={"epoch": 3})
        ...     gf.load_checkpoint(os.path.join(folder, "run.json")).extra
        {'epoch': 3}

    Source: the Gorgonia chapter's lists of numbers in CHECKPOINT.bin; here with names, shapes, state and a digest.
    """
    if not isinstance(numbers, str) or numbers not in ("base64", "lists"):
        raise OptionError(f"save_checkpoint: numbers={shown(numbers)} is unknown", needs="'base64' or 'lists'")
    name = path_text(path, "save")
    headline = f"cannot save the checkpoint {name!r}"
    tensors = {name: value_of(node, headline) for name, node in nodes_by_name(nodes, headline).items()}
    if solver is not None:
        check_is_stateful(solver, headline)
    if extra is not None and not isinstance(extra, Mapping):
        raise CheckpointError(headline, got=f"extra of type {type(extra).__name__}", needs="a dict with text keys")
    kind, state = (None, None) if solver is None else (type(solver).__name__, solver.state_dict())
    try:
        data = document.write_document(document.Content(tensors, kind, state, dict(extra or {})), numbers)
    except ValueError as error:
        raise CheckpointError(headline, got=str(error), needs=SUPPORTED) from None
    try:
        write_atomically(name, data)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero character
        refuse(headline, error, name)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint and check all of it; nothing in it is executed, and nothing but the result is made.

    Args:
        path: a file that `save_checkpoint` wrote.

    Raises:
        CheckpointError: naming the path and what is wrong: no such file, no checkpoint, cut, damaged, a newer version,
            or a document that does not hold what it says.
    """
    name = path_text(path, "load")
    try:
        content = document.read_document(read_regular_file(name))
    except (OSError, ValueError, MemoryError) as error:
        refuse(f"cannot load the checkpoint {name!r}", error, name)
    return Checkpoint(name, MappingProxyType(dict(content.tensors)), content.solver, content.solver_kind, content.extra)


def read_regular_file(path: str) -> bytes:
    """The file's bytes, after a look at its size and its first line.

    Raises:
        OSError: what the system says.
        ValueError: no regular file, too large, or no checkpoint.
    """
    # Without O_NONBLOCK, opening a named pipe waits until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("this is not a regular file")
        if status.st_size > document.MAX_BYTES:
            raise ValueError(f"the file has {status.st_size} bytes; the limit is {document.MAX_BYTES}")
        with open(descriptor, "rb", closefd=False) as file:
            document.check_head(file.read(document.LONGEST_HEAD))
            file.seek(0)
            return file.read(status.st_size)
    finally:
        os.close(descriptor)


def nodes_by_name(nodes: Iterable[Node], headline: str) -> dict[str, Node]:
    """The nodes under their names.

    Raises:
        CheckpointError: not nodes, nodes that are no inputs, without a name, or two of one name.
    """
    if isinstance(nodes, Node) or not isinstance(nodes, Iterable):
        raise CheckpointError(headline, got=f"{shown(nodes)} as nodes", needs="a list of nodes", hint="[w, b]")
    members = list(nodes)
    strangers = [shown(node) for node in members if not isinstance(node, Node)]
    if strangers:
        raise CheckpointError(headline, got=listed(strangers), needs="nodes")
    computed = [shown(node) for node in members if not node.is_input]
    if computed:
        raise CheckpointError(headline, got=listed(computed), needs="inputs, such as parameters")
    unnamed = [f"{node} made at {node.origin}" for node in members if node.name is None]
    if unnamed:
        raise CheckpointError(headline, got=f"without a name: {listed(unnamed)}", needs="names", hint="name=")
    named: dict[str, Node] = {}
    double = []
    for node in members:
        if node.label in named:
            double.append(shown(node.label))
        named[node.label] = node
    if double:
        raise CheckpointError(headline, got=f"more than one node called {listed(double)}", needs="distinct names")
    return named


def value_of(node: Node, headline: str) -> Array:
    """A copy of the node's value.

    Raises:
        CheckpointError: it has none.
    """
    if not node.is_bound:
        raise CheckpointError(
            headline, got=f"no value of {shown(str(node))}", needs="a value for each node", where=node.origin
        )
    return node.value


def mismatches(named: Mapping[str, Node], tensors: Mapping[str, Array]) -> list[str]:
    """What keeps the tensors from being the values of the nodes, one phrase each."""
    problems = [f"no tensor for the node {described(name, named[name])}" for name in named if name not in tensors]
    problems += [f"no node for the tensor {described(name, tensors[name])}" for name in tensors if name not in named]
    problems += [
        f"the node {described(name, node)} for the tensor {described(name, tensors[name])}"
        for name, node in named.items()
        if name in tensors and (node.shape, node.dtype) != (tensors[name].shape, tensors[name].dtype)
    ]
    return problems


def check_is_stateful(solver: object, headline: str) -> None:
    """Refuse what has no state to save.

    Raises:
        CheckpointError: no solver of this project's form.
    """
    if isinstance(solver, type) or not isinstance(solver, StatefulSolver):
        raise CheckpointError(
            headline, got=f"{shown(solver)} as solver", needs="an object with state_dict and load_state_dict"
        )


def load_solver(solver: StatefulSolver, state: dict[str, Any], headline: str) -> None:
    """Give the solver a copy of its state, which it may keep and change.

    Raises:
        CheckpointError: it refuses it.
    """
    try:
        solver.load_state_dict(copy.deepcopy(state))
    except (GraphflowError, ValueError, TypeError, LookupError) as error:
        raise CheckpointError(
            headline,
            got=f"a state that {type(solver).__name__} refuses: {error}",
            needs="a solver with the options that were saved",
        ) from error


def put_back(node: Node, value: Array | None) -> None:
    """Undo `let`; None stands for a node that had no value."""
    if value is None:
        node.is_bound = False
        node.graph.version += 1  # as unbind_all does: machines look again
    else:
        let(node, value)


def described(name: str, owner: Node | Array) -> str:
    """Name, dtype and shape."""
    return f"{shown(name)} {owner.dtype}{list(owner.shape)}"


def shown(thing: object) -> str:
    """The thing on one line of bounded length, control characters escaped."""
    text = repr(thing)
    return text if len(text) <= 80 else text[:77] + "..."


def listed(texts: Sequence[str]) -> str:
    """The first few, and how many more."""
    return "; ".join(texts[:6]) + (f"; and {len(texts) - 6} more" if len(texts) > 6 else "")


def path_text(path: object, verb: str) -> str:
    """The path as text.

    Raises:
        CheckpointError: no path.
    """
    try:
        return os.fsdecode(cast("str", path))
    except TypeError:
        raise CheckpointError(f"cannot {verb} a checkpoint", got=f"{shown(path)} as path", needs="a path") from None


def refuse(headline: str, error: OSError | ValueError | MemoryError, path: str) -> NoReturn:
    """Say in this project's form what the system or a reader complained about.

    Raises:
        CheckpointError: always.
    """
    if isinstance(error, OSError):
        number = error.errno or 0
        hint = HINTS.get(number)
        folder = Path(path).parent
        if number == errno.ENOENT and not folder.is_dir():
            hint = f"os.makedirs({str(folder)!r})"
        reason = f"{error.strerror or error} ({errno.errorcode.get(number, number)})"
        raise CheckpointError(headline, got=reason, hint=hint) from error
    reason = "not enough memory" if isinstance(error, MemoryError) else str(error)
    raise CheckpointError(headline, got=reason, needs="a file as save_checkpoint writes it") from error
