"""Each solver takes the options that it uses, with values in their range, and no others."""

from __future__ import annotations

import copy
import inspect
import math

import numpy as np
import pytest

import graphflow as gf
from tests.solvers.reference import DEFAULTS, OWN_OPTIONS, SHARED_OPTIONS
from tests.solvers.situations import SOLVERS

ALL_OPTIONS = sorted(DEFAULTS)
NO_NUMBERS = [True, np.True_, "0.1", [0.1], 1j, math.nan, math.inf, -math.inf, 10**400, np.array([0.1])]
OUT_OF_RANGE = {
    "learn_rate": [-0.1, None],
    "batch_size": [0, -1, 1.5, None],
    "clip": [0, -1.0],
    "clip_norm": [0.0, -1],
    "l1_reg": [-1e-9, None],
    "l2_reg": [-1e-9, None],
    "momentum": [-0.1, 1, 1.5, None],
    "rho": [-0.1, 1, None],
    "beta1": [-0.1, 1.0, None],
    "beta2": [-0.1, 1.0, None],
    "eps": [0, -1e-8, None],
    "weight_decay": [-0.1, None],
}


def taken(kind):
    return {*OWN_OPTIONS[kind], *SHARED_OPTIONS}


@pytest.mark.parametrize("kind", SOLVERS)
@pytest.mark.parametrize("option", ALL_OPTIONS)
def test_an_option_is_used_or_refused(kind, option):
    value = DEFAULTS[option] or 0.5
    if option in taken(kind):
        assert getattr(getattr(gf, kind)(**{option: value}), option) == value
    else:
        with pytest.raises(gf.OptionError) as error:
            getattr(gf, kind)(**{option: value})
        text = str(error.value)
        assert f"{kind} has no option {option!r}" in text
        assert all(name in error.value.needs for name in taken(kind))
        owners = [name for name in SOLVERS if option in OWN_OPTIONS[name]]
        assert all(owner in error.value.hint for owner in owners)


@pytest.mark.parametrize("kind", SOLVERS)
def test_defaults_are_those_of_gorgonia(kind):
    solver = getattr(gf, kind)()
    assert {name: getattr(solver, name) for name in taken(kind)} == {name: DEFAULTS[name] for name in taken(kind)}


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (kind, option, value)
        for kind in SOLVERS
        for option in sorted(taken(kind))
        for value in [*NO_NUMBERS, *OUT_OF_RANGE[option]]
    ],
)
def test_values_out_of_range_are_refused_when_made_and_when_set(kind, option, value):
    with pytest.raises(gf.OptionError, match=option):
        getattr(gf, kind)(**{option: value})
    solver = getattr(gf, kind)()
    with pytest.raises(gf.OptionError, match=f"{kind}: {option}="):
        setattr(solver, option, value)
    assert getattr(solver, option) == DEFAULTS[option]


@pytest.mark.parametrize("value", [1, np.int64(1), np.float32(1), np.float64(1), 1.0])
def test_any_kind_of_number_becomes_a_python_number(value):
    solver = gf.RMSPropSolver(learn_rate=value, clip=value, batch_size=value)
    assert (type(solver.learn_rate), type(solver.clip), type(solver.batch_size)) == (float, float, int)
    assert (solver.learn_rate, solver.clip, solver.batch_size) == (1, 1, 1)


@pytest.mark.parametrize(
    ("kind", "wrong", "hint"),
    [
        (
            "AdamWSolver",
            "l1_reg",
            (
                "weight_decay=, which acts on the weights directly; l1_reg is an option of "
                "AdaGradSolver, AdamSolver, MomentumSolver and VanillaSolver"
            ),
        ),
        ("AdamSolver", "learning_rate", "learn_rate="),
        ("RMSPropSolver", "batchsize", "batch_size="),
        ("VanillaSolver", "momentum", "momentum is an option of MomentumSolver"),
        ("MomentumSolver", "beta1", "beta1 is an option of AdamSolver and AdamWSolver"),
        ("MomentumSolver", "zzz", None),
    ],
)
def test_the_hint_says_what_was_meant(kind, wrong, hint):
    with pytest.raises(gf.OptionError) as error:
        getattr(gf, kind)(**{wrong: 0.1})
    assert error.value.hint == hint


def test_the_message_in_full():
    with pytest.raises(gf.OptionError) as error:
        gf.RMSPropSolver(momentum=0.9)
    assert str(error.value).splitlines()[:-1] == [
        "RMSPropSolver has no option 'momentum'",
        "  got     momentum=0.9",
        "  needs   only what it uses: learn_rate, rho, eps, l2_reg, clip, batch_size, clip_norm",
        "  try     momentum is an option of MomentumSolver",
    ]


def test_options_are_given_by_name():
    with pytest.raises(gf.OptionError, match=r"VanillaSolver\(learn_rate=0.1\)"):
        gf.VanillaSolver(0.1)


@pytest.mark.parametrize("kind", SOLVERS)
def test_help_shows_the_options_and_the_docstring_explains_each(kind):
    solver = getattr(gf, kind)
    assert set(inspect.signature(solver).parameters) == taken(kind)
    assert all(option in solver.__doc__.split("Args:")[1] for option in taken(kind))
    assert repr(solver()).startswith(f"{kind}(learn_rate=0.001, ")


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_misspelt_attribute_is_refused(kind):
    with pytest.raises(AttributeError):
        getattr(gf, kind)().learning_rate = 0.1


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_solver_is_not_copied(kind):
    with pytest.raises(gf.OptionError, match="state_dict"):
        copy.deepcopy(getattr(gf, kind)())


def test_a_solver_without_update_cannot_be_made():
    class Half(gf.Solver):
        pass

    with pytest.raises(TypeError, match="update"):
        Half()
