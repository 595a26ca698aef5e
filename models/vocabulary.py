"""The characters a model knows, and their numbers: the corpus' characters in sorted order, after START, END, BLANK.

A model of running text has no use for those three, and no numbers for them.
A character is one Unicode code point. The order depends on nothing but the set of characters, so that two
runs over one corpus, and a checkpoint, agree about every number.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

START = "\x02"
END = "\x03"
BLANK = "\x04"
SPECIALS = (START, END, BLANK)

Choice = Literal["error", "drop"]

_DELETE_SPECIALS = dict.fromkeys(map(ord, SPECIALS))
_MOST_NAMED = 8  # how many characters a one-line statement names before it says "and others"


class DataError(ValueError):
    """The user's data cannot be used. The message is one line; the command line prints it and exits with 3."""


def name_character(character: str) -> str:
    r"""Say which character is meant, also when it cannot be seen: `'é' U+00E9`, `'\x02' U+0002`."""
    return f"{character!r} U+{ord(character):04X}"


def make_visible(text: str) -> str:
    r"""Show control characters as their pictures (START as U+2402, newline as U+240A); the rest as it is.

    Args:
        text: any text.
    Returns:
        the text without a control character in it, safe to print on a terminal.
    Example:
        >>> make_visible("\x02to be\x03") == "\u2402to be\u2403"
        True
    """
    if text.isprintable():
        return text
    return "".join(_picture(c) if unicodedata.category(c) == "Cc" else c for c in text)


def _picture(control: str) -> str:
    code = ord(control)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\\x{code:02x}"  # Unicode has no pictures of 0x80 to 0x9F


def remove_specials(text: str, choice: Choice = "error", where: str = "text") -> tuple[str, int]:
    """Keep 0x02, 0x03 and 0x04 out of a text: the model uses them for START, END and BLANK.

    Args:
        text: the text to check.
        choice: `error` refuses a text that holds one, `drop` takes them out.
        where: what the text is called in the error.
    Returns:
        the text without them, and how many were dropped.
    Raises:
        DataError: one is there and the choice is `error`; it names the line and the place in it.
    """
    _check_choice("reserved", choice, ("error", "drop"))
    found = [text.index(special) for special in SPECIALS if special in text]
    if not found:
        return text, 0
    if choice == "error":
        at = min(found)
        line = text.count("\n", 0, at) + 1
        column = at - text.rfind("\n", 0, at)
        raise DataError(
            f"{where}: line {line}, character {column} (offset {at}): {name_character(text[at])} is reserved "
            f"for START, END or BLANK; remove it, or ask for such characters to be dropped"
        )
    cleaned = text.translate(_DELETE_SPECIALS)
    return cleaned, len(text) - len(cleaned)


@dataclass(frozen=True)
class Vocabulary:
    r"""A fixed, ordered set of characters; `characters[i]` is the character numbered i.

    Args:
        characters: the specials, then different characters in sorted order.
        specials: START, END, BLANK; or none, for running text.
    Raises:
        DataError: anything else.
    Example:
        >>> words = Vocabulary.from_text(["to be", "or not"])
        >>> len(words), words.encode("bob"), words.decode([0, 5, 7, 1]) == "\u2402eo\u2403"
        (10, [4, 7, 4], True)
    """

    characters: tuple[str, ...]
    specials: tuple[str, ...] = SPECIALS
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "characters", tuple(self.characters))
        _check_characters(self.characters, self.specials)
        # The specials are not in the table: a text can never turn into START, END or BLANK.
        ordinary = enumerate(self.characters[len(self.specials) :], len(self.specials))
        object.__setattr__(self, "_ids", {character: i for i, character in ordinary})

    @classmethod
    def from_text(
        cls,
        texts: str | Iterable[str],
        threshold: int = 1,
        reserved: Choice = "error",
        specials: tuple[str, ...] = SPECIALS,
    ) -> Vocabulary:
        """Collect the characters of the texts that occur at least `threshold` times.

        Args:
            texts: one text, or many (the lines of a corpus).
            threshold: characters rarer than this are left out; a text with such a character is then encoded
                with `unknown="skip"`, or cleaned first by `drop_unknown`.
            reserved: what to do about 0x02 to 0x04 in a text: `error`, or `drop` (they get no second number).
            specials: see the class.
        Raises:
            DataError: nothing is left, a reserved character is found, or a lone surrogate.
        """
        if isinstance(threshold, bool) or not isinstance(threshold, int) or threshold < 1:
            raise DataError(f"the threshold must be a whole number from 1 up, not {threshold!r}")
        counts: Counter[str] = Counter()
        for number, text in enumerate([texts] if isinstance(texts, str) else texts, 1):
            counts.update(remove_specials(text, reserved, f"text {number}")[0])
        kept = sorted(character for character, count in counts.items() if count >= threshold)
        if not counts:
            raise DataError("there is no text to take a vocabulary from")
        if not kept:
            commonest, count = counts.most_common(1)[0]
            raise DataError(
                f"threshold {threshold} drops every character: the commonest, "
                f"{name_character(commonest)}, occurs {count:,} times"
            )
        return cls((*specials, *kept), specials)

    @classmethod
    def from_characters(cls, characters: Sequence[str], specials: tuple[str, ...] = SPECIALS) -> Vocabulary:
        """Rebuild a vocabulary from the `characters` of a checkpoint, checking every one (see the class)."""
        if isinstance(characters, str) or not isinstance(characters, Sequence):
            raise DataError(f"vocabulary: a list of characters is needed, not {type(characters).__name__}")
        return cls(tuple(characters), specials)

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def start(self) -> int:
        """The number of START, which is fed before the first character."""
        return 0

    @property
    def end(self) -> int:
        """The number of END, the target right after the last character."""
        return 1

    @property
    def blank(self) -> int:
        """The number of BLANK, fed and expected after END."""
        return 2

    def encode(self, text: str, unknown: Literal["error", "skip"] = "error") -> list[int]:
        """Turn a text into numbers, one for each character.

        Args:
            text: ordinary characters; 0x02 to 0x04 count as unknown, they never become START, END or BLANK.
            unknown: `error`, or `skip` to leave unknown characters out; `len(text) - len(result)` were skipped.
        Returns:
            numbers from 3 up, or from 0 where there are no specials.
        Raises:
            DataError: a character is unknown; it names the character and its place.
        """
        _check_choice("unknown", unknown, ("error", "skip"))
        ids = self._ids
        if unknown == "skip":
            return [ids[character] for character in text if character in ids]
        try:
            return [ids[character] for character in text]
        except KeyError:
            at, character = next((at, c) for at, c in enumerate(text) if c not in ids)
            reason = "is reserved for START, END or BLANK" if character in SPECIALS else "is not in the vocabulary"
            raise DataError(f"character {at + 1} of {_shorten(text)}: {name_character(character)} {reason}") from None

    def decode(self, ids: Iterable[int], visible: bool = True) -> str:
        """Turn numbers into text.

        Args:
            ids: numbers from 0 to `len(self) - 1`.
            visible: show START, END, BLANK and every other control character as a picture (`make_visible`);
                otherwise each is given as it is.
        Raises:
            DataError: a number is out of range.
        """
        characters = []
        for at, number in enumerate(ids):
            if not 0 <= number < len(self.characters):
                raise DataError(f"number {number} at place {at} names no character: there are {len(self)}")
            characters.append(self.characters[number])
        text = "".join(characters)
        return make_visible(text) if visible else text

    def drop_unknown(self, texts: Iterable[str]) -> tuple[list[str], str]:
        """Take unknown characters out of the texts, and texts out that are blank after that.

        Returns:
            the texts left, and a one-line statement of what was dropped ("" when nothing was).
        """
        ids = self._ids
        kept: list[str] = []
        dropped: Counter[str] = Counter()
        emptied = 0
        for text in texts:
            if ids.keys() >= set(text):
                kept.append(text)
                continue
            dropped.update(character for character in text if character not in ids)
            cleaned = "".join(character for character in text if character in ids)
            if cleaned.strip():
                kept.append(cleaned)
            else:
                emptied += 1
        return kept, _state_dropped(dropped, emptied)


def _check_characters(characters: tuple[str, ...], specials: tuple[str, ...]) -> None:
    if specials not in ((), SPECIALS):
        raise DataError("vocabulary: the specials are START, END and BLANK, or none")
    for at, character in enumerate(characters):
        if not isinstance(character, str) or len(character) != 1:
            raise DataError(f"vocabulary: entry {at} is {_shorten(character)}, not a single character")
        if unicodedata.category(character) == "Cs":
            raise DataError(f"vocabulary: entry {at} is {name_character(character)}, half a character (a surrogate)")
    if characters[: len(specials)] != specials:
        raise DataError("vocabulary: the first three entries must be START 0x02, END 0x03 and BLANK 0x04")
    seen: dict[str, int] = {}
    for at, character in enumerate(characters):
        if character in seen:
            raise DataError(f"vocabulary: {name_character(character)} is entry {seen[character]} and entry {at}")
        seen[character] = at
    ordinary = characters[len(specials) :]
    reserved = next((character for character in ordinary if character in SPECIALS and not specials), None)
    if reserved is not None:
        raise DataError(f"vocabulary: {name_character(reserved)} is reserved for START, END or BLANK")
    if not ordinary:
        raise DataError("vocabulary: there is no character besides START, END and BLANK")
    for before, after in pairwise(ordinary):
        if before > after:
            raise DataError(
                f"vocabulary: not in sorted order, {name_character(before)} stands before {name_character(after)}"
            )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise DataError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _state_dropped(dropped: Counter[str], emptied: int) -> str:
    if not dropped:
        return ""
    named = ", ".join(f"{name_character(c)} x {n:,}" for c, n in dropped.most_common(_MOST_NAMED))
    others = f" and {len(dropped) - _MOST_NAMED:,} others" if len(dropped) > _MOST_NAMED else ""
    lost = f"; {emptied:,} sentences had nothing else and are left out" if emptied else ""
    return f"dropped {dropped.total():,} characters that are not in the vocabulary: {named}{others}{lost}"
