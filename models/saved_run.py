"""A run in a checkpoint: everything that a resumed run needs to be the one that never stopped.

Beside weights and solver state, which `gf.save_checkpoint` writes, the document's `extra` holds:

    program, version   what wrote it
    vocabulary         the characters in order
    hyperparameters    see `options.Hyperparameters`
    corpus             source (what --corpus was), title, digest (SHA-256 of the text)
    position           see `training.Position`
    order              the generator's state before it drew the running epoch's order
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import graphflow as gf
from corpus import Corpus
from figures import Position, Totals
from options import LOWEST, SOLVERS, Hyperparameters
from s2s_data import ORDER, generator_for
from training import Training
from vocabulary import DataError, Vocabulary

PROGRAM, VERSION = "graphflow s2s", 1
MEMBERS = ("program", "version", "vocabulary", "hyperparameters", "corpus", "position", "order")


@dataclass(frozen=True)
class SavedRun:
    """A checked checkpoint of this program.

    Attributes:
        source, title, digest: of the corpus.
        order: state of the generator of orders.
    """

    checkpoint: gf.Checkpoint
    vocabulary: Vocabulary
    hyperparameters: Hyperparameters
    source: str
    title: str
    digest: str
    position: Position
    order: dict[str, Any]

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

    def restore(self, training: Training) -> None:
        """Bring a new run to where this one was: all of it, or nothing.

        Raises:
            CheckpointError, DataError: something does not fit.
        """
        count, index = len(training.data.train), self.position.index
        if index >= count or index % training.chosen.batch:
            raise _bad(self.path, f"position {index} in an epoch of {count} sentences")
        try:
            generator_for(0, ORDER).bit_generator.state = self.order
        except (TypeError, ValueError, KeyError, OverflowError):
            raise _bad(self.path, "no generator state under 'order'") from None
        self.checkpoint.restore(training.model.parameters, training.solver)
        training.resume(self.position, self.order)


def save_run(path: Path, training: Training, corpus: Corpus, tensors: Literal["base64", "lists"]) -> None:
    """Write the run, wholly or not at all.

    Raises:
        CheckpointError: it cannot be written; an older file is as it was.
    """
    chosen = training.chosen
    extra = {
        "program": PROGRAM,
        "version": VERSION,
        "vocabulary": list(training.data.vocabulary.characters),
        "hyperparameters": {field.name: getattr(chosen, field.name) for field in fields(chosen)},
        "corpus": {"source": corpus.source, "title": corpus.title, "digest": corpus.digest},
        "position": training.position.as_dict(),
        "order": training.order_state,
    }
    gf.save_checkpoint(path, training.model.parameters, solver=training.solver, extra=extra, numbers=tensors)


def load_run(path: str | os.PathLike[str]) -> SavedRun:
    """Read a checkpoint and check that it is one of this program.

    Raises:
        CheckpointError, DataError: one line saying what is wrong.
    """
    checkpoint = gf.load_checkpoint(path)
    extra = checkpoint.extra
    if extra.get("program") != PROGRAM:
        raise _bad(checkpoint.path, "a checkpoint of another program")
    if extra.get("version") != VERSION:
        raise _bad(checkpoint.path, f"version {extra.get('version')!r}; this program reads {VERSION}")
    _check_members(extra, MEMBERS, "the run", checkpoint.path)
    corpus = extra["corpus"]
    _check_members(corpus, ("source", "title", "digest"), "corpus", checkpoint.path)
    if not all(isinstance(value, str) for value in corpus.values()):
        raise _bad(checkpoint.path, "a corpus that is not described by texts")
    if not isinstance(extra["order"], dict):
        raise _bad(checkpoint.path, "no generator state under 'order'")
    try:
        vocabulary = Vocabulary.from_characters(extra["vocabulary"])
    except DataError as error:
        raise _bad(checkpoint.path, str(error)) from None
    chosen = _read_hyperparameters(extra["hyperparameters"], checkpoint.path)
    # Before a model of these sizes is made: whatever the file claims, it holds arrays of them.
    sizes = {"embedding": (len(vocabulary), chosen.embedding), "decoder.w": (len(vocabulary), chosen.hidden)}
    for name, size in sizes.items():
        if name not in checkpoint.tensors or checkpoint.tensors[name].shape != size:
            raise _bad(checkpoint.path, f"no tensor {name!r} of shape {size}")
    return SavedRun(
        checkpoint,
        vocabulary,
        chosen,
        corpus["source"],
        corpus["title"],
        corpus["digest"],
        _read_position(extra["position"], checkpoint.path),
        extra["order"],
    )


def _bad(path: str, got: str) -> DataError:
    return DataError(f"the checkpoint {path!r} cannot be used: {got}")


def _check_members(value: object, wanted: tuple[str, ...], what: str, path: str) -> None:
    if not isinstance(value, dict):
        raise _bad(path, f"{what} is no JSON object")
    different = sorted(set(value) ^ set(wanted))
    if different:
        raise _bad(path, f"{what} {'lacks' if different[0] in wanted else 'has an unknown'} {different[0]!r:.40}")


def _read_hyperparameters(saved: dict[str, Any], path: str) -> Hyperparameters:
    hints = get_type_hints(Hyperparameters)
    _check_members(saved, tuple(hints), "hyperparameters", path)
    for name, hint in hints.items():
        value, choices = saved[name], SOLVERS if name == "solver" else get_args(hint)
        if hint is int:
            is_good = _is_whole(value) and value >= LOWEST[name]
        elif float in choices:  # a number or None
            is_good = value is None or _is_number(value)
        else:
            is_good = isinstance(value, str) and value in choices
        if not is_good:
            raise _bad(path, f"hyperparameter {name} is {value!r:.40}")
    return Hyperparameters(**saved)


def _read_position(saved: dict[str, Any], path: str) -> Position:
    _check_members(saved, tuple(field.name for field in fields(Position)), "position", path)
    running, history = saved["running"], saved["history"]
    _check_members(running, tuple(field.name for field in fields(Totals)), "running", path)
    whole = [saved["epoch"], saved["index"], saved["sentences"], saved["since_best"]]
    whole += [running["characters"], running["sentences"]]
    numbers = [running["nats"], running["seconds"], 0.0 if saved["best"] is None else saved["best"]]
    rows: list[Any] = history if isinstance(history, list) else [None]
    if not (
        all(_is_whole(value) for value in whole)
        and all(_is_number(value) for value in numbers)
        and all(isinstance(row, list) and len(row) == 3 for row in rows)
        and all(value is None or _is_whole(value) or _is_number(value) for row in rows for value in row)
    ):
        raise _bad(path, "a position that makes no sense")
    return Position(**(saved | {"running": Totals(**running)}))


def _is_whole(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: object) -> bool:
    return type(value) is float and value >= 0
