"""Where in the user's program something was made: `train.py:41`."""

from __future__ import annotations

import contextlib
import functools
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

PACKAGE = __package__
PACKAGE_FOLDER = str(Path(__file__).resolve().parent) + "/"
# Frames that stand between the package and its caller without being the user's.
NOT_THE_USER = (PACKAGE_FOLDER, contextlib.__file__, "<frozen ")
# The file of code made from text: of dataclasses' methods here, but also of what a user gives to `python -c`.
FROM_TEXT = "<string>"


class Origin(NamedTuple):
    """A place in the user's program.

    Looking up a line number walks the code object's line table, so only the offset is stored when a node is made
    and the line is worked out when somebody asks.
    """

    code: CodeType
    offset: int

    @property
    def file(self) -> str:
        return self.code.co_filename

    @property
    def function(self) -> str:
        return self.code.co_name

    @property
    def line(self) -> int:
        for start, end, line in self.code.co_lines():
            if start <= self.offset < end and line is not None:
                return line
        return self.code.co_firstlineno

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


@functools.cache
def _is_the_users(file: str) -> bool:
    return not file.startswith(NOT_THE_USER)


def _is_made_here(frame: FrameType) -> bool:
    """Whether it is a method that `dataclass` has written for a class of the package."""
    return frame.f_code.co_filename == FROM_TEXT and frame.f_globals.get("__package__", "").startswith(PACKAGE)


def user_origin() -> Origin:
    """The innermost place on the call stack that is not inside graphflow itself."""
    frame: FrameType = sys._getframe(1)  # noqa: SLF001 - the one way to see the caller cheaply
    while frame.f_back is not None and (not _is_the_users(frame.f_code.co_filename) or _is_made_here(frame)):
        frame = frame.f_back
    return Origin(frame.f_code, frame.f_lasti)
