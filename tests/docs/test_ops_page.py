"""docs/ops.md is what the operations say of themselves."""

from __future__ import annotations

import inspect

import pytest

import graphflow as gf
from docs import ops_page
from graphflow import ops
from graphflow.loops import Call
from graphflow.op import REGISTRY
from graphflow.tensortype import TensorType

OPS = {name: op for name, op in sorted(REGISTRY.items()) if op.__module__.startswith("graphflow.ops.")}
FUNCTIONS = {
    name: getattr(gf, name)
    for name in gf.__all__
    if inspect.isfunction(getattr(gf, name)) and getattr(gf, name).__module__.startswith("graphflow.ops.")
}


def test_the_page_is_current():
    assert ops_page.PAGE.read_text(encoding="utf-8") == ops_page.page(), ops_page.COMMAND


def test_every_op_and_every_function_is_on_it():
    text = ops_page.page()
    for op in OPS.values():
        assert f"### {op.symbol}" in text or f", {op.symbol}\n" in text or f"**{op.symbol.replace('_', ' ')}**" in text
    for name in FUNCTIONS:
        assert f"`{name}(" in text or f", {name}" in text


def test_every_family_is_listed():
    assert {op.__module__.rpartition(".")[2] for op in OPS.values()} <= set(ops.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_is_called_elsewhere(name):
    """Its docstring begins with the formula and has "Source: Gorgonia Sum; numpy sum; torch sum." or the like."""
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    assert ops_page.first_sentence(text)
    assert ops_page.SOURCE.search(text), f"{name}: no sentence that begins with Source:"


@pytest.mark.parametrize("name", OPS)
def test_what_has_no_loop_says_why(name):
    sample = next(iter(OPS[name].samples()))
    loop = sample.op.lower(*[TensorType(array.dtype, array.shape) for array in sample.inputs])
    assert isinstance(loop, Call) == bool(OPS[name].without_loop)
