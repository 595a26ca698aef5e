from __future__ import annotations

import sys

from graphflow.origin import PACKAGE_FOLDER, Origin, user_origin


def here() -> int:
    """The line of the caller."""
    return sys._getframe(1).f_lineno


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
    inside = compile("def made_by_an_op():\n    return user_origin()\n", PACKAGE_FOLDER + "ops/linear.py", "exec")
    names = {"user_origin": user_origin}
    exec(inside, names)  # noqa: S102 - the one way to have a frame whose file lies in the package
    origin, line = names["made_by_an_op"](), here()
    assert (origin.file, origin.line) == (__file__, line)


def test_a_folder_whose_name_begins_like_the_package_is_the_users():
    beside = PACKAGE_FOLDER.rstrip("/") + "_models/train.py"
    names = {"user_origin": user_origin}
    exec(compile("origin = user_origin()", beside, "exec"), names)  # noqa: S102 - as above
    assert names["origin"].file == beside
    assert str(names["origin"]) == "train.py:1"


def test_an_offset_outside_the_code_gives_its_first_line():
    code = here.__code__
    assert Origin(code, 10**6).line == code.co_firstlineno
