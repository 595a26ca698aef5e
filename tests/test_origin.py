from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType

from graphflow.origin import PACKAGE_FOLDER, Origin, user_origin


def here() -> int:
    """The line of the caller."""
    return sys._getframe(1).f_lineno


def ask() -> Origin:
    return user_origin()


def as_if_in(path: str) -> Callable[[], Origin]:
    """`ask`, as if it stood in another file."""
    return FunctionType(ask.__code__.replace(co_filename=path), globals())


def test_the_origin_is_the_calling_line():
    origin, line = user_origin(), here()
    assert (origin.file, origin.line) == (__file__, line)
    assert origin.function == "test_the_origin_is_the_calling_line"
    assert str(origin) == f"test_origin.py:{line}"


def test_lines_are_told_apart_within_one_statement():
    first, second = (
        user_origin(),
        user_origin(),
    )
    assert second.line == first.line + 1


def test_calls_inside_the_package_are_passed_over():
    inside = as_if_in(PACKAGE_FOLDER + "ops/linear.py")
    origin, line = inside(), here()
    assert (origin.file, origin.line) == (__file__, line)


def test_a_folder_whose_name_begins_like_the_package_is_the_users():
    beside = PACKAGE_FOLDER.rstrip("/") + "_models/train.py"
    assert as_if_in(beside)().file == beside


def test_an_offset_outside_the_code_gives_its_first_line():
    assert Origin(here.__code__, 10**6).line == here.__code__.co_firstlineno
