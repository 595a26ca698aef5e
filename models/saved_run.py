"""A run in a checkpoint: everything that a resumed run needs to be the one that never stopped.

Beside weights and solver state, which `gf.save_checkpoint` writes, the document's `extra` holds:

    program, version   what wrote it
    vocabulary         the characters in order
    hyperparameters    see the program's class of them
    corpus             source (what --corpus was), title, digest (SHA-256 of the text)
    position           see `figures.Position`

and what the program itself needs to go on (`Format.own`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import graphflow as gf
from corpus import Corpus
from figures import Position
from options import SOLVERS, Chosen, names_of
from training import Training
from vocabulary import SPECIALS, DataError, Vocabulary

MEMBERS = ("program", "version", "vocabulary", "hyperparameters", "corpus", "position")


@dataclass(frozen=True)
class Format:
    """What a program writes into its checkpoints.

    Attributes:
        program, version: what wrote it.
        kind: of the hyperparameters.
        unit: what is counted.
        own: name -> (type, what it is) of what only this program has.
        specials: that its vocabulary begins with.
    """

    program: str
    version: int
    kind: type[Chosen]
    unit: str
    own: Mapping[str, tuple[type, str]]
    specials: tuple[str, ...] = SPECIALS


@dataclass(frozen=True)
class SavedRun:
    """A checked checkpoint of this program.

    Attributes:
        source, title, digest: of the corpus.
        own: what only its program has.
    """

    checkpoint: gf.Checkpoint
    vocabulary: Vocabulary
    hyperparameters: Chosen
    source: str
    title: str
    digest: str
    position: Position
    own: dict[str, Any]

    @property
    def path(self) -> str:
        return self.checkpoint.path

    def check_corpus(self, corpus: Corpus) -> None:
        """Refuse another text than the one that the run began with.

        Raises:
            DataError: naming both.
        """
        if corpus.digest != self.digest:
            raise DataError(
                f"the checkpoint {self.path!r} was trained on {self.title} (SHA-256 {self.digest[:12]}...), and this "
                f"is {corpus.title} ({corpus.digest[:12]}...): resume with the same text"
            )

    def check_vocabulary(self, found: Vocabulary) -> None:
        """Refuse another vocabulary than the checkpoint's.

        Raises:
            DataError: naming the first character that differs.
        """
        saved = self.vocabulary
        if saved == found:
            return
        pairs = zip(saved.characters, found.characters, strict=False)
        at = next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(saved), len(found)))
        shown = [repr(v.characters[at]) if at < len(v) else "nothing" for v in (saved, found)]
        raise DataError(
            f"the checkpoint {self.path!r} has another vocabulary than this corpus: character {at} is {shown[0]} there "
            f"and {shown[1]} here"
        )

    def restore(self, training: Training) -> None:
        """Bring a new run to where this one was: all of it, or nothing.

        Raises:
            CheckpointError, DataError: something does not fit.
        """
        index = self.position.index
        if index >= training.total:
            raise _bad(self.path, f"position {index} in an epoch of {training.total} {training.unit}")
        try:
            training.check_state(self.position, self.own)
        except DataError as error:
            raise _bad(self.path, str(error)) from None
        self.checkpoint.restore(training.model.parameters, training.solver)
        training.resume(self.position, self.own)


def save_run(
    path: Path, training: Training, corpus: Corpus, tensors: Literal["base64", "lists"], layout: Format
) -> None:
    """Write the run, wholly or not at all.

    Raises:
        CheckpointError: it cannot be written; an older file is as it was.
    """
    extra = {
        "program": layout.program,
        "version": layout.version,
        "vocabulary": list(training.data.vocabulary.characters),
        "hyperparameters": training.chosen.as_dict(),
        "corpus": {"source": corpus.source, "title": corpus.title, "digest": corpus.digest},
        "position": training.position.as_dict(layout.unit),
        **training.own_state(),
    }
    gf.save_checkpoint(path, training.model.parameters, solver=training.solver, extra=extra, numbers=tensors)


def load_run(path: str | os.PathLike[str], layout: Format) -> SavedRun:
    """Read a checkpoint and check that it is one of the program's.

    Raises:
        CheckpointError, DataError: one line saying what is wrong.
    """
    checkpoint = gf.load_checkpoint(path)
    extra = checkpoint.extra
    if extra.get("program") != layout.program:
        raise _bad(checkpoint.path, "a checkpoint of another program")
    if extra.get("version") != layout.version:
        raise _bad(checkpoint.path, f"version {extra.get('version')!r}; this program reads {layout.version}")
    _check_members(extra, (*MEMBERS, *layout.own), "the run", checkpoint.path)
    corpus = extra["corpus"]
    _check_members(corpus, ("source", "title", "digest"), "corpus", checkpoint.path)
    if not all(isinstance(value, str) for value in corpus.values()):
        raise _bad(checkpoint.path, "a corpus that is not described by texts")
    for name, (kind, what) in layout.own.items():
        if type(extra[name]) is not kind:
            raise _bad(checkpoint.path, f"no {what} under {name!r}")
    try:
        vocabulary = Vocabulary.from_characters(extra["vocabulary"], layout.specials)
    except DataError as error:
        raise _bad(checkpoint.path, str(error)) from None
    chosen = _read_hyperparameters(extra["hyperparameters"], layout.kind, checkpoint.path)
    # Before a model of these sizes is made: whatever the file claims, it holds arrays of them.
    for name, size in chosen.tensor_sizes(len(vocabulary)).items():
        if name not in checkpoint.tensors or checkpoint.tensors[name].shape != size:
            raise _bad(checkpoint.path, f"no tensor {name!r} of shape {size}")
    return SavedRun(
        checkpoint,
        vocabulary,
        chosen,
        corpus["source"],
        corpus["title"],
        corpus["digest"],
        _read_position(extra["position"], layout.unit, checkpoint.path),
        {name: extra[name] for name in layout.own},
    )


def _bad(path: str, got: str) -> DataError:
    return DataError(f"the checkpoint {path!r} cannot be used: {got}")


def _check_members(value: object, wanted: tuple[str, ...], what: str, path: str) -> None:
    if not isinstance(value, dict):
        raise _bad(path, f"{what} is no JSON object")
    different = sorted(set(value) ^ set(wanted))
    if different:
        raise _bad(path, f"{what} {'lacks' if different[0] in wanted else 'has an unknown'} {different[0]!r:.40}")


def _read_hyperparameters(saved: dict[str, Any], kind: type[Chosen], path: str) -> Chosen:
    names = names_of(kind)
    _check_members(saved, names, "hyperparameters", path)
    hints = get_type_hints(kind)
    for name in names:
        value, hint = saved[name], hints[name]
        choices = SOLVERS if name == "solver" else get_args(hint)
        if hint is bool:
            is_good = isinstance(value, bool)
        elif hint is int:
            is_good = _is_whole(value) and value >= kind.LOWEST[name]
        elif hint is float:
            is_good = _is_number(value)
        elif float in choices:  # a number or None
            is_good = value is None or _is_number(value)
        else:
            is_good = isinstance(value, str) and value in choices
        if not is_good:
            raise _bad(path, f"hyperparameter {name} is {value!r:.40}")
    return kind(**saved)


def _read_position(saved: dict[str, Any], unit: str, path: str) -> Position:
    empty = Position().as_dict(unit)
    _check_members(saved, tuple(empty), "position", path)
    running, history = saved["running"], saved["history"]
    _check_members(running, tuple(empty["running"]), "running", path)
    whole = [saved["epoch"], saved["index"], saved[unit], saved["since_best"]]
    whole += [running["characters"], running[unit]]
    numbers = [running["nats"], running["seconds"], 0.0 if saved["best"] is None else saved["best"]]
    rows: list[Any] = history if isinstance(history, list) else [None]
    if not (
        all(_is_whole(value) for value in whole)
        and all(_is_number(value) for value in numbers)
        and all(isinstance(row, list) and len(row) == 3 for row in rows)
        and all(value is None or _is_whole(value) or _is_number(value) for row in rows for value in row)
    ):
        raise _bad(path, "a position that makes no sense")
    return Position.from_dict(saved, unit)


def _is_whole(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: object) -> bool:
    return type(value) is float and value >= 0
