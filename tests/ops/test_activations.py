"""Bends between layers: values, far ends, gradients, options."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphflow as gf
from graphflow.ops.sampling import numbers
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import assert_gradients_match_differences, gradients, run


def normal_share(x):
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


# Each with what Python makes of one number.
BENDS = {
    "leaky_rectify": (gf.leaky_rectify, lambda x: x if x > 0 else 0.01 * x),
    "leaky_rectify 0.2": (lambda x: gf.leaky_rectify(x, 0.2), lambda x: x if x > 0 else 0.2 * x),
    "elu": (gf.elu, lambda x: x if x > 0 else math.expm1(x)),
    "elu 1.5": (lambda x: gf.elu(x, 1.5), lambda x: x if x > 0 else 1.5 * math.expm1(x)),
    "gelu": (gf.gelu, lambda x: x * normal_share(x)),
    "gelu tanh": (
        lambda x: gf.gelu(x, form="tanh"),
        lambda x: 0.5 * x * (1.0 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "swish": (gf.swish, lambda x: x / (1.0 + math.exp(-x))),
    "mish": (gf.mish, lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    "hard_tanh": (gf.hard_tanh, lambda x: min(max(x, -1.0), 1.0)),
    "hard_sigmoid": (gf.hard_sigmoid, lambda x: min(max(x / 6.0 + 0.5, 0.0), 1.0)),
}
every_bend = pytest.mark.parametrize("name", BENDS)


@pytest.fixture(params=available_backends())
def backend(request):
    return request.param


@every_bend
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_values(name, dtype, backend):
    function, by_python = BENDS[name]
    x = np.concatenate([np.linspace(-20, 20, 161), [1e-30, -1e-30, 300.0]]).astype(dtype)
    g = gf.ExprGraph()
    y = function(gf.vector(g, x.size, value=x))
    with gf.TapeMachine(g, outputs=y, backend=backend) as machine:
        machine.run_all()
    expected = np.array([by_python(each) for each in x.tolist()])
    assert y.dtype == dtype
    np.testing.assert_allclose(y.value, expected, rtol=16 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


@every_bend
def test_the_far_ends_are_limits(name):
    """Where x times something small is the limit 0, minus infinity gives 0 and not NaN."""
    low, high, nan = run(BENDS[name][0], np.array([-np.inf, np.inf, np.nan]))
    ends = {"leaky_rectify": -np.inf, "elu": -1.0, "elu 1.5": -1.5, "hard_tanh": -1.0}
    assert low == ends.get(name, -np.inf if "leaky" in name else 0.0)
    assert high == (1.0 if "hard" in name else np.inf)
    assert np.isnan(nan)


@every_bend
def test_gradients_of_first_and_second_order(name):
    function, _ = BENDS[name]
    x = numbers(2, 3, low=-3.0, high=3.0)
    assert_gradients_match_differences(function, x)
    assert_gradients_match_differences(lambda x: gf.grad(gf.sum(function(x) * x), x)[0], x)


@every_bend
def test_gradients_far_from_zero_are_finite(name):
    (found,), _ = gradients(BENDS[name][0], np.array([-1e4, -100.0, 100.0, 1e4]))
    assert np.isfinite(found).all()


def test_gradients_at_the_kinks():
    for function, expected in ((gf.leaky_rectify, 0.01), (gf.elu, 1.0), (lambda x: gf.elu(x, 0.5), 0.5)):
        (found,), weights = gradients(function, np.array([0.0]))
        np.testing.assert_allclose(found / weights, [expected])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: gf.gelu(x, form="exact"), gf.OptionError, "^gelu has no form 'exact'\n  needs   erf or tanh"),
        (lambda x: gf.leaky_rectify(x, "steep"), gf.OptionError, "^leaky_rectify: slope is no number\n  got "),
        (lambda x: gf.elu(x, float("nan")), gf.OptionError, "^elu: alpha is no number"),
        (lambda x: gf.mish(gf.cast(x, "int64")), gf.DTypeError, "^mish: not defined for"),
    ],
)  # fmt: skip
def test_misuse_is_refused(call, error, message):
    g = gf.ExprGraph()
    with pytest.raises(error, match=message):
        call(gf.vector(g, 3, name="x"))


def test_leaky_relu_is_another_name():
    assert gf.leaky_relu is gf.leaky_rectify
