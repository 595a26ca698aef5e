"""Vocabulary: the numbers of the characters, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vocabulary import BLANK, END, SPECIALS, START, DataError, Vocabulary, make_visible, remove_specials

TEXTS = st.lists(st.text(st.characters(exclude_characters=SPECIALS, exclude_categories=["Cs"])), min_size=1)


def test_specials_come_first_then_the_characters_in_sorted_order():
    vocabulary = Vocabulary.from_text(["beta", "alpha\u00e9", "\U0001f40d"])
    assert vocabulary.characters == (START, END, BLANK, "a", "b", "e", "h", "l", "p", "t", "é", "🐍")
    assert (vocabulary.start, vocabulary.end, vocabulary.blank) == (0, 1, 2)
    assert len(vocabulary) == 12


def test_order_depends_on_nothing_but_the_characters():
    assert Vocabulary.from_text(["abc", "bca"]) == Vocabulary.from_text("cab") == Vocabulary.from_text(iter("bacc"))


def test_threshold_drops_rarer_characters():
    vocabulary = Vocabulary.from_text(["aaab", "abbc"], threshold=3)
    assert vocabulary.characters[3:] == ("a", "b")
    with pytest.raises(DataError, match="'c' U\\+0063 is not in the vocabulary"):
        vocabulary.encode("abc")
    assert vocabulary.encode("abc", unknown="skip") == [3, 4]


def test_threshold_that_drops_everything_names_the_commonest():
    with pytest.raises(DataError, match="threshold 9 drops every character: the commonest, 'a' U\\+0061, occurs 3"):
        Vocabulary.from_text(["abaca"], threshold=9)


@pytest.mark.parametrize("threshold", [0, -1, 1.5, True, "2"])
def test_bad_thresholds_are_refused(threshold):
    with pytest.raises(DataError, match="threshold must be a whole number from 1 up"):
        Vocabulary.from_text(["ab"], threshold=threshold)


@pytest.mark.parametrize("texts", [[], "", [""]])
def test_no_text_is_refused(texts):
    with pytest.raises(DataError, match="no text"):
        Vocabulary.from_text(texts)


@given(TEXTS)
def test_encode_and_decode_are_inverse(texts):
    if not any(texts):
        texts = ["x"]
    vocabulary = Vocabulary.from_text(texts)
    for text in texts:
        ids = vocabulary.encode(text)
        assert all(3 <= number < len(vocabulary) for number in ids)
        assert vocabulary.decode(ids, visible=False) == text
    assert Vocabulary.from_characters(list(vocabulary.characters)) == vocabulary


@pytest.mark.parametrize(
    ("text", "place", "name"), [("bad", 3, "'d' U+0064"), ("é", 1, "'é' U+00E9"), ("ab\0", 3, "U+0000")]
)
def test_fault_6_an_unknown_character_is_named_and_never_becomes_start(text, place, name):
    vocabulary = Vocabulary.from_text(["ab"])
    with pytest.raises(DataError) as error:
        vocabulary.encode(text)
    assert f"character {place} of" in str(error.value)
    assert name in str(error.value)
    skipped = vocabulary.encode(text, unknown="skip")
    assert vocabulary.start not in skipped
    assert len(text) - len(skipped) == 1


@pytest.mark.parametrize("special", SPECIALS)
def test_fault_7_a_reserved_character_gets_no_second_number(special):
    with pytest.raises(DataError, match=rf"text 2: line 2, character 3 \(offset 6\): '\\x0{ord(special)}'"):
        Vocabulary.from_text(["fine", f"one\nab{special}c"])
    vocabulary = Vocabulary.from_text([f"ab{special}c"], reserved="drop")
    assert vocabulary.characters == (*SPECIALS, "a", "b", "c")
    with pytest.raises(DataError, match="is reserved for START, END or BLANK"):
        vocabulary.encode(f"a{special}")
    assert vocabulary.encode(f"a{special}b", unknown="skip") == [3, 4]


def test_remove_specials_counts_what_it_drops():
    assert remove_specials("a\x02b\x03\x04c\x02", "drop") == ("abc", 4)
    assert remove_specials("abc") == ("abc", 0)
    with pytest.raises(DataError, match="reserved must be one of error, drop"):
        remove_specials("abc", "ignore")


def test_decode_shows_control_characters_as_pictures():
    vocabulary = Vocabulary.from_text(["a\n\x1b\x7f\x85é"])
    everything = range(len(vocabulary))
    assert vocabulary.decode(everything) == "\u2402\u2403\u2404\u240a\u241ba\u2421\\x85é"
    assert vocabulary.decode(everything, visible=False) == "\x02\x03\x04\n\x1ba\x7f\x85é"
    assert make_visible("ordinary") == "ordinary"


@pytest.mark.parametrize("number", [-1, 5])
def test_decode_refuses_a_number_out_of_range(number):
    with pytest.raises(DataError, match=f"number {number} at place 1 names no character: there are 5"):
        Vocabulary.from_text("ab").decode([0, number])


@pytest.mark.parametrize(
    ("characters", "message"),
    [
        ([*SPECIALS, "a", "b", "a"], "'a' U+0061 is entry 3 and entry 5"),
        ([*SPECIALS, "a", END], "'\\x03' U+0003 is entry 1 and entry 4"),
        (["a", "b"], "the first three entries must be START"),
        ([END, START, BLANK, "a"], "the first three entries must be START"),
        ([START, END], "the first three entries must be START"),
        ([*SPECIALS, "ab"], "entry 3 is 'ab', not a single character"),
        ([*SPECIALS, ""], "entry 3 is '', not a single character"),
        ([*SPECIALS, 7], "entry 3 is 7, not a single character"),
        ([*SPECIALS, None], "entry 3 is None, not a single character"),
        ([*SPECIALS, "x" * 1000], "not a single character"),
        ([*SPECIALS, "\ud800"], "a surrogate"),
        ([*SPECIALS, "b", "a"], "not in sorted order, 'b' U+0062 stands before 'a' U+0061"),
        ([*SPECIALS], "no character besides"),
        ([], "the first three entries must be START"),
        ("\x02\x03\x04ab", "a list of characters is needed, not str"),
        ({"a": 1}, "a list of characters is needed, not dict"),
        (None, "a list of characters is needed, not NoneType"),
    ],
)
def test_from_characters_refuses_what_no_vocabulary_wrote(characters, message):
    with pytest.raises(DataError) as error:
        Vocabulary.from_characters(characters)
    assert message in str(error.value)
    assert len(str(error.value)) < 150
    assert "\n" not in str(error.value)


def test_a_vocabulary_is_frozen():
    vocabulary = Vocabulary.from_text("ab")
    with pytest.raises(dataclasses.FrozenInstanceError):
        vocabulary.characters = ()


def test_drop_unknown_says_what_went():
    vocabulary = Vocabulary.from_text(["aaa bbb"])
    assert vocabulary.drop_unknown(["ab", "ba"]) == (["ab", "ba"], "")
    texts, statement = vocabulary.drop_unknown(["ab", "aczb", "zz", "z \x02"])
    assert texts == ["ab", "ab"]
    assert statement == (
        "dropped 6 characters that are not in the vocabulary: 'z' U+007A x 4, 'c' U+0063 x 1, '\\x02' U+0002 x 1; "
        "2 sentences had nothing else and are left out"
    )
    _, statement = vocabulary.drop_unknown(["0123456789"])
    assert "and 2 others" in statement


def test_unknown_must_be_error_or_skip():
    with pytest.raises(DataError, match="unknown must be one of error, skip"):
        Vocabulary.from_text("ab").encode("ab", unknown="ignore")
