"""Batch, layer and group normalisation against numpy, training and evaluation, and what a checkpoint keeps of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends

BACKENDS = available_backends()


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(2.0, 3.0, shape)


def normalised(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def evaluated(function, *values, backend="numpy", dtype="float64", **options):
    g = gf.ExprGraph()
    y = function(*[gf.tensor(g, np.shape(value), dtype=dtype, value=value) for value in values])
    with gf.TapeMachine(g, outputs=[y], backend=backend, **options) as vm:
        vm.run_all()
        return y.value


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 7), (2, 3, 5, 4), (1, 3, 2, 2)])
def test_values(backend, dtype, shape):
    x, scale, bias = numbers(*shape), numbers(3, seed=1), numbers(3, seed=2)
    beside = (1, 3, *(1,) * (len(shape) - 2))
    options = {"backend": backend, "dtype": dtype}
    bound = {"rtol": 1e-11, "atol": 1e-11} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-4}
    batch = normalised(x, (0, *range(2, len(shape)))) * scale.reshape(beside) + bias.reshape(beside)
    np.testing.assert_allclose(evaluated(gf.batch_norm, x, scale, bias, **options), batch, **bound)
    layer = normalised(x, (len(shape) - 1,))
    np.testing.assert_allclose(evaluated(gf.layer_norm, x, **options), layer, **bound)
    several = tuple(range(1, len(shape)))
    scale, bias = numbers(*shape[1:], seed=1), numbers(*shape[1:], seed=2)
    found = evaluated(lambda x, s, b: gf.layer_norm(x, s, b, axis=several, eps=0.1), x, scale, bias, **options)
    np.testing.assert_allclose(found, normalised(x, several, 0.1) * scale + bias, **bound)


@pytest.mark.parametrize("backend", BACKENDS)
def test_group_norm(backend):
    x, scale, bias = numbers(2, 6, 3, 5), numbers(6, seed=1), numbers(6, seed=2)
    for groups in (1, 2, 3, 6):
        parts = normalised(x.reshape(2, groups, -1), (2,)).reshape(x.shape)
        expected = parts * scale[:, None, None] + bias[:, None, None]
        found = evaluated(lambda x, s, b, n=groups: gf.group_norm(x, n, s, b), x, scale, bias, backend=backend)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_a_large_mean_costs_no_precision():
    x = (1000.0 + np.random.default_rng(0).normal(size=(64, 3))).astype("float32")
    found = evaluated(gf.batch_norm, x, dtype="float32")
    np.testing.assert_allclose(found, normalised(x.astype(float), (0,)), atol=2e-3)


def test_gradients():
    x, scale, bias = numbers(3, 4, 2), numbers(4, seed=1), numbers(4, seed=2)
    check_gradient(gf.batch_norm, x, scale, bias, order=2)
    check_gradient(lambda x, s, b: gf.group_norm(x, 2, s, b), x, scale, bias, order=2)
    check_gradient(lambda x, s, b: gf.layer_norm(x, s, b, axis=1), x, scale, bias, order=2)


class Network:
    """Batch normalisation with running statistics."""

    def __init__(self, momentum=0.25):
        g = gf.ExprGraph()
        self.x = gf.tensor(g, (4, 2, 3), dtype="float64", name="x")
        self.mean = gf.vector(g, 2, dtype="float64", name="mean", init=gf.zeroes())
        self.variance = gf.vector(g, 2, dtype="float64", name="variance", init=gf.ones())
        self.y = gf.batch_norm(self.x, running_mean=self.mean, running_variance=self.variance, momentum=momentum)
        self.y.name = "y"
        gf.grad(gf.sum(self.y * np.arange(24.0).reshape(4, 2, 3)), self.x)
        self.graph = g


@pytest.mark.parametrize("backend", BACKENDS)
def test_running_statistics(backend):
    """Training moves them, evaluation uses them and leaves them, and a checkpoint brings them back."""
    net = Network()
    mean, variance = np.zeros(2), np.ones(2)
    with gf.TapeMachine(net.graph, backend=backend) as training:
        for seed in range(3):
            x = numbers(4, 2, 3, seed=seed)
            gf.let(net.x, x)
            training.run_all()
            np.testing.assert_allclose(net.y.value, normalised(x, (0, 2)), rtol=1e-10)
            mean = 0.75 * mean + 0.25 * x.mean((0, 2))
            variance = 0.75 * variance + 0.25 * x.var((0, 2), ddof=1)
            np.testing.assert_allclose(net.mean.value, mean, rtol=1e-12)
            np.testing.assert_allclose(net.variance.value, variance, rtol=1e-12)
    with gf.TapeMachine(net.graph, backend=backend, eval_mode=True) as evaluation:
        x = numbers(4, 2, 3, seed=9)
        gf.let(net.x, x)
        evaluation.run_all()
        beside = (1, 2, 1)
        divisor = np.sqrt(variance.reshape(beside) + 1e-5)
        np.testing.assert_allclose(net.y.value, (x - mean.reshape(beside)) / divisor, rtol=1e-10)
        np.testing.assert_allclose(net.mean.value, mean, rtol=1e-12)
        np.testing.assert_allclose(net.variance.value, variance, rtol=1e-12)
        # What evaluation computes is linear in x, and so its gradient says.
        np.testing.assert_allclose(net.x.grad, np.arange(24.0).reshape(4, 2, 3) / divisor, rtol=1e-10)


def test_the_first_normalisation_updates_the_statistics():
    """A network that is written down again for tests does not take the statistics away from training."""
    net = Network()
    one = gf.tensor(net.graph, (1, 2, 3), dtype="float64", name="one", value=numbers(1, 2, 3, seed=5))
    tested = gf.batch_norm(one, running_mean=net.mean, running_variance=net.variance)
    x = numbers(4, 2, 3)
    gf.let(net.x, x)
    with gf.TapeMachine(net.graph, outputs=[net.y]) as training:
        training.run_all()
    np.testing.assert_allclose(net.mean.value, 0.25 * x.mean((0, 2)), rtol=1e-12)
    with gf.TapeMachine(net.graph, outputs=[tested], eval_mode=True) as vm:
        vm.run_all()
    beside = (1, 2, 1)
    expected = (one.value - net.mean.value.reshape(beside)) / np.sqrt(net.variance.value.reshape(beside) + 1e-5)
    np.testing.assert_allclose(tested.value, expected, rtol=1e-10)


def test_a_checkpoint_keeps_the_running_statistics(tmp_path):
    first, second = Network(), Network()
    with gf.TapeMachine(first.graph) as vm:
        gf.let(first.x, numbers(4, 2, 3))
        vm.run_all()
    path = tmp_path / "statistics.json"
    gf.save_checkpoint(path, [first.mean, first.variance])
    gf.load_checkpoint(path).restore([second.mean, second.variance])
    np.testing.assert_array_equal(second.mean.value, first.mean.value)
    np.testing.assert_array_equal(second.variance.value, first.variance.value)


def test_one_element_for_each_channel_is_no_error():
    """A graph for prediction may have one row, though its variance is 0."""
    found = evaluated(gf.batch_norm, [[3.0, 4.0]])
    np.testing.assert_array_equal(found, [[0.0, 0.0]])


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_and_the_mode_of_the_machine(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 1000, name="x", value=np.ones(1000))
    y = gf.dropout(x, 0.25)
    y.name = "y"
    gf.grad(gf.sum(y), x)
    with gf.TapeMachine(g, backend=backend, seed=7) as vm:
        vm.run_all()
        first, kept = y.value, y.value > 0
        np.testing.assert_allclose(first[kept], 1 / 0.75, rtol=1e-6)
        assert 650 < kept.sum() < 850
        np.testing.assert_array_equal(x.grad, first)
    with gf.TapeMachine(g, backend=backend, seed=7) as vm:
        vm.run_all()
        np.testing.assert_array_equal(y.value, first)
    with gf.TapeMachine(g, backend=backend, eval_mode=True) as vm:
        vm.run_all()
        np.testing.assert_array_equal(y.value, np.ones(1000))
        np.testing.assert_array_equal(x.grad, np.ones(1000))


@pytest.mark.parametrize("backend", BACKENDS)
def test_by_mode_chooses_values_and_gradients(backend):
    g = gf.ExprGraph()
    a, b = gf.scalar(g, dtype="float64", value=3.0), gf.scalar(g, dtype="float64", value=5.0)
    y = gf.by_mode(a * a, b * 2.0)
    y.name = "y"
    gf.grad(y, a, b)
    for eval_mode, expected in ((False, (9.0, 6.0, 0.0)), (True, (10.0, 0.0, 2.0))):
        with gf.TapeMachine(g, backend=backend, eval_mode=eval_mode) as vm:
            vm.run_all()
            assert (y.value, a.grad, b.grad) == expected


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda t: gf.batch_norm(t.vector), gf.ShapeError),
        (lambda t: gf.batch_norm(t.x, t.vector), gf.ShapeError),
        (lambda t: gf.batch_norm(t.x, t.exact), gf.DTypeError),
        (lambda t: gf.batch_norm(t.x, eps=-1.0), gf.OptionError),
        (lambda t: gf.batch_norm(t.x, momentum=2.0), gf.OptionError),
        (lambda t: gf.batch_norm(t.x, running_mean=t.two), gf.OptionError),
        (lambda t: gf.batch_norm(t.x, running_mean=t.two, running_variance=t.sum), gf.BindingError),
        (lambda t: gf.batch_norm(t.empty), gf.ShapeError),
        (lambda t: gf.layer_norm(t.x, axis=5), gf.ShapeError),
        (lambda t: gf.layer_norm(t.x, t.two), gf.ShapeError),
        (lambda t: gf.layer_norm(t.ids), gf.DTypeError),
        (lambda t: gf.group_norm(t.x, 3), gf.ShapeError),
        (lambda t: gf.group_norm(t.x, 0), gf.OptionError),
        (lambda t: gf.group_norm(t.x, 2, eps="small"), gf.OptionError),
        (lambda t: gf.by_mode(t.x, t.two), gf.ShapeError),
    ],
)
def test_refusals_change_nothing(call, error):
    g = gf.ExprGraph()
    two = gf.vector(g, 2)
    tensors = SimpleNamespace(
        x=gf.tensor(g, (3, 2, 4)), vector=gf.vector(g, 5), exact=gf.vector(g, 2, dtype="float64"),
        two=two, sum=two + two,
        empty=gf.tensor(g, (0, 2)), ids=gf.matrix(g, (3, 2), dtype="int64"),
    )  # fmt: skip
    before = len(g.nodes)
    with pytest.raises(error):
        call(tensors)
    assert len(g.nodes) == before
