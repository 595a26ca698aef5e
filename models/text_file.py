r"""Reading a text from a file or from standard input: strict UTF-8, or one sentence that says what is wrong where.

What comes back has "\n" as its only line end: CRLF, CR, NEL, form feeds and every other boundary that
`str.splitlines` knows are turned into it. A byte order mark at the very beginning is taken off.
"""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import BinaryIO

from vocabulary import DataError

MAX_BYTES = 256 * 1024 * 1024  # more than this is not learnt in a lifetime, and /dev/zero has no end
_CHUNK = 1 << 20
_HEAD = 4096  # how much is looked at to tell what kind of file it is

_MARKS = (  # the longer ones first: UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# Control characters that a text has no use for; a binary file is full of them.
_STRANGE = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1b")


class MissingFileError(DataError):
    """There is no such file: perhaps the user meant something else by the name."""


def read_text_file(path: str | os.PathLike[str]) -> str:
    """Read a UTF-8 text file (an ordinary file, a pipe, a device).

    Raises:
        DataError: missing, a folder, unreadable, too large, empty, binary, or not UTF-8 (with the byte offset).
    """
    name = repr(os.fspath(path))
    try:
        with Path(path).open("rb") as stream:
            data = _read_bytes(stream, name)
    except IsADirectoryError:
        raise DataError(f"{name} is a folder: name a text file in it") from None
    except FileNotFoundError:
        raise MissingFileError(f"there is no file {name}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, which no file system takes
        if isinstance(error, DataError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{name} cannot be read: {reason}") from None
    return decode_text(data, name)


def read_text_stream(stream: BinaryIO | None, name: str = "standard input") -> str:
    """Read a UTF-8 text from an open binary stream to its end; raises as `read_text_file` does."""
    if stream is None:
        raise DataError(f"{name} is closed")
    try:
        data = _read_bytes(stream, name)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} cannot be read: {error}") from None
    return decode_text(data, name)


def decode_text(data: bytes | bytearray, name: str) -> str:
    """Decode strict UTF-8 with any line ends; `name` is what errors call the text."""
    if not data:
        raise DataError(f"{name} is empty")
    _refuse_other_kinds(data, name)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if _is_binary(data):
            raise DataError(f"{name} is a binary file, not a text") from None
        at = error.start
        line = data.count(b"\n", 0, at) + 1
        raise DataError(
            f"{name} is not UTF-8: byte 0x{data[at]:02X} at offset {at} (line {line}): {error.reason}; "
            f"convert it first, for example with iconv -f latin1 -t utf-8"
        ) from None
    return "\n".join(text.removeprefix("\ufeff").splitlines())


def _read_bytes(stream: BinaryIO, name: str) -> bytearray:
    """Read to the end, but stop at the first block that shows that this is no text, or is too much."""
    data = bytearray()
    while chunk := stream.read(_CHUNK):
        data += chunk
        if len(data) > MAX_BYTES:
            raise DataError(f"{name} holds more than {MAX_BYTES >> 20} MiB: train on a part of it")
        if b"\0" in chunk:
            break  # refused by _refuse_other_kinds, which says what it looks like
    return data


def _refuse_other_kinds(data: bytes | bytearray, name: str) -> None:
    convert = "convert it first, for example with iconv -f {} -t utf-8"
    for mark, kind in _MARKS:
        if data.startswith(mark):
            raise DataError(f"{name} is {kind}, not UTF-8: {convert.format(kind.lower())}")
    at = data.find(b"\0")
    if at < 0:
        return
    head = data[:_HEAD]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) > len(head) // 5 and min(even, odd) <= len(head) // 50:
        kind = "utf-16be" if even > odd else "utf-16le"
        raise DataError(f"{name} looks like UTF-16 without a byte order mark, not UTF-8: {convert.format(kind)}")
    if _is_binary(data):
        raise DataError(f"{name} is a binary file, not a text (a NUL byte at offset {at})")
    line = data.count(b"\n", 0, at) + 1
    raise DataError(f"{name} holds a NUL byte at offset {at} (line {line}): remove it, no text has one")


def _is_binary(data: bytes | bytearray) -> bool:
    head = data[:_HEAD]
    strange = len(head) - len(head.translate(None, _STRANGE))
    return strange > 4 and strange * 50 > len(head)  # a text may hold a stray one
