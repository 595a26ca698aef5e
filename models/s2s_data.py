"""From a corpus to numbers: sentences that fit the graph, a vocabulary, and what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpus import Corpus, fit_sentences, hold_out
from s2s_options import Hyperparameters
from seeds import HELD_OUT, generator_for
from vocabulary import Vocabulary

HELD_OUT_SHARE = 0.05
MOST_HELD_OUT = 1000  # enough for two digits of the loss; measuring them takes a tenth of a second


@dataclass(frozen=True)
class Data:
    """What a run learns from.

    Attributes:
        train, held_out: sentences as ids, 1 to T - 1 each.
        notes: what was cut, dropped and held out, one line each.
    """

    vocabulary: Vocabulary
    train: Sequence[Sequence[int]]
    held_out: Sequence[Sequence[int]]
    notes: tuple[str, ...]


def prepare(corpus: Corpus, chosen: Hyperparameters) -> Data:
    """Cut, number and divide the corpus.

    Raises:
        DataError: nothing is left to train on.
    """
    sentences, cut = fit_sentences(corpus.lines, chosen.max_sentence, chosen.split)
    vocabulary = Vocabulary.from_text(sentences, chosen.threshold)
    sentences, dropped = vocabulary.drop_unknown(sentences)
    share = default_share(len(set(sentences))) if chosen.validation is None else chosen.validation
    train, held_out = hold_out(sentences, share, generator_for(chosen.seed, HELD_OUT))
    divided = f"{len(train):,} sentences to train on, {len(held_out):,} held out, {len(vocabulary)} characters"
    notes = tuple(note for note in (*corpus.notes, cut, dropped, divided) if note)
    return Data(vocabulary, [vocabulary.encode(s) for s in train], [vocabulary.encode(s) for s in held_out], notes)


def default_share(different: int) -> float:
    """5 % of the different sentences, at most 1,000; none where that is less than one."""
    if round(HELD_OUT_SHARE * different) == 0:
        return 0.0
    return min(HELD_OUT_SHARE, MOST_HELD_OUT / different)
