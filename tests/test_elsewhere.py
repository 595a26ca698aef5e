"""A name of another library leads to ours."""

from __future__ import annotations

import pytest

import graphflow as gf


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("HadamardProd", "hadamard_prod"),
        ("SoftMax", "softmax"),
        ("NewTapeMachine", "TapeMachine"),
        ("RMSPropSolver_", "RMSPropSolver"),
        ("Adam", "AdamSolver"),
        ("relu", "rectify"),
        ("silu", "swish"),
        ("multiply", "hadamard_prod"),
        ("sofmax", "softmax"),
        ("concatenate", "concat"),
        ("UnsafeLet", "unsafe_let"),
    ],
)
def test_the_name_that_is_meant(name, ours):
    with pytest.raises(AttributeError, match=f"graphflow has no '{name}'; try gf.{ours}$"):
        getattr(gf, name)


@pytest.mark.parametrize("name", ["yolo_v3", "__wrapped__", "_private"])
def test_what_means_nothing_here(name):
    with pytest.raises(AttributeError, match=f"graphflow has no '{name}'$"):
        getattr(gf, name)
    assert not hasattr(gf, name)
