"""From a corpus to numbers: a vocabulary, the text to train on, and the end of it that is held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from char_model import Ids
from char_options import Hyperparameters
from corpus import Corpus
from vocabulary import DataError, Vocabulary

HELD_OUT_SHARE = 0.05
MOST_HELD_OUT = 40_000  # characters; the loss of so many is known to one hundredth


@dataclass(frozen=True, eq=False)
class CharData:
    """What a run learns from.

    Attributes:
        train, held_out: the text as ids, [n] each.
        notes: what was dropped and held out, one line each.
    """

    vocabulary: Vocabulary
    train: Ids
    held_out: Ids
    notes: tuple[str, ...]


def prepare(corpus: Corpus, chosen: Hyperparameters) -> CharData:
    """Number and divide the text.

    Raises:
        DataError: it is too short for what was chosen.
    """
    vocabulary = Vocabulary.from_text(corpus.text, chosen.threshold, specials=())
    texts, dropped = vocabulary.drop_unknown([corpus.text])
    ids = np.array(vocabulary.encode("".join(texts)), np.int64)
    held = _held_out(len(ids), chosen)
    train, held_out = ids[: len(ids) - held], ids[len(ids) - held :]
    needed = chosen.batch * (chosen.bptt + 1)
    if len(train) < needed:
        raise DataError(
            f"{corpus.title} has {len(train):,} characters to train on, and --batch {chosen.batch} streams of --bptt "
            f"{chosen.bptt} steps and the character after them take {needed:,}: give less of one, or more text"
        )
    divided = f"{len(train):,} characters to train on, {held:,} held out, {len(vocabulary)} different ones"
    notes = tuple(note for note in (*corpus.notes, dropped, divided) if note)
    return CharData(vocabulary, train, held_out, notes)


def _held_out(count: int, chosen: Hyperparameters) -> int:
    """How many characters are held out: enough for a window, or none."""
    if chosen.validation == 0:
        return 0
    share = HELD_OUT_SHARE if chosen.validation is None else chosen.validation
    held = round(share * count)
    if chosen.validation is None:
        held = min(held, MOST_HELD_OUT)
        return held if held > chosen.bptt else 0
    if held <= chosen.bptt:
        raise DataError(
            f"a held-out share of {share:g} of {count:,} characters is no window of --bptt {chosen.bptt} steps and the "
            f"character after them"
        )
    return held
