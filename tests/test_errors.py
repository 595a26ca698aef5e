from __future__ import annotations

import inspect
import re

import pytest

from graphflow import errors
from graphflow.errors import GraphflowError, NumericalError, ShapeError, UnboundError
from graphflow.origin import user_origin

FAMILY = {
    "ShapeError": ValueError,
    "DTypeError": TypeError,
    "GraphError": ValueError,
    "GradientError": ValueError,
    "BindingError": ValueError,
    "UnboundError": RuntimeError,
    "PositionError": IndexError,
    "ValueNotKept": LookupError,
    "MachineError": RuntimeError,
    "NumericalError": ArithmeticError,
    "OptionError": TypeError,
    "OpContractError": TypeError,
    "CheckpointError": ValueError,
    "RenderError": RuntimeError,
}


def without_line(error: GraphflowError) -> str:
    """The message without the line it was raised at."""
    return re.sub(r"\n  line    test_errors.py:\d+$", "", str(error))


@pytest.mark.parametrize(("name", "builtin"), FAMILY.items())
def test_each_error_is_of_the_family_and_also_a_fitting_builtin(name, builtin):
    kind = getattr(errors, name)
    assert issubclass(kind, GraphflowError)
    assert issubclass(kind, builtin)
    with pytest.raises(builtin):
        raise kind("no")


def test_the_family_is_complete_and_drawn_in_the_docstring():
    found = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, GraphflowError) and kind is not GraphflowError
    }
    drawn = dict(re.findall(r"── (\w+) +\((\w+)\)", errors.__doc__ or ""))
    assert found == set(FAMILY)
    assert drawn == {name: builtin.__name__ for name, builtin in FAMILY.items()}


def test_narrower_errors_are_caught_by_the_wider_ones():
    assert issubclass(UnboundError, errors.BindingError)
    assert issubclass(NumericalError, errors.MachineError)


def test_the_parts_come_in_one_order():
    where = user_origin()
    error = ShapeError("cannot", got="this", needs="that", hint="the other", where=where)
    assert str(error).splitlines() == [
        "cannot",
        "  got     this",
        "  needs   that",
        "  try     the other",
        f"  node    made at test_errors.py:{where.line}",
        f"  line    test_errors.py:{where.line + 1}",
    ]


def test_parts_that_are_not_known_leave_no_line():
    assert without_line(ShapeError("cannot", needs="that")) == "cannot\n  needs   that"


def test_operands_stand_in_the_headline_and_in_the_hint():
    error = ShapeError("cannot multiply {0} by {1}", hint="{0} @ {1}.T", operands=["float32[3]", "float32[4]"])
    assert without_line(error) == "cannot multiply float32[3] by float32[4]\n  try     float32[3] @ float32[4].T"


def test_the_operands_are_named_once_the_nodes_are_known():
    error = ShapeError("cannot multiply {0} by {1}", hint="{0} @ {1}.T", operands=["float32[3]", "float32[4]"])
    error.about("matmul", ["x: float32[3]", "w: float32[4]"], ["x", "w"])
    assert without_line(error) == "matmul: cannot multiply x: float32[3] by w: float32[4]\n  try     x @ w.T"


def test_braces_in_the_names_of_nodes_are_only_text():
    error = ShapeError("cannot take {0}", hint="{0}.T", operands=["float32[3]"])
    error.about("sum", ["{1}: float32[3]"], ["{1}"])
    assert without_line(error) == "sum: cannot take {1}: float32[3]\n  try     {1}.T"


def test_braces_in_a_headline_without_operands_are_only_text():
    assert without_line(ShapeError("{'a': 1} is no shape", hint="{}")) == "{'a': 1} is no shape\n  try     {}"


def test_the_line_is_that_of_the_user():
    with pytest.raises(errors.DTypeError) as caught:
        errors_of_the_package()
    assert caught.value.raised_at.file == __file__
    assert caught.value.raised_at.function == "errors_of_the_package"


def errors_of_the_package() -> None:
    from graphflow.dtypes import as_dtype

    as_dtype("float16")
