"""softmax cross entropy: values and gradients at every size of logits, batches, ids out of range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.dtypes import int64
from graphflow.errors import PositionError
from graphflow.ops.losses import SoftmaxCrossEntropy, SoftmaxCrossEntropyGradient
from graphflow.ops.sampling import integers, numbers
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import assert_gradients_match_differences, gradients, run

SIZES = [1.0, 30.0, 100.0, 1e3, 1e4]


def expected_probabilities(logits):
    wide = np.asarray(logits, np.longdouble)
    exponentials = np.exp(wide - wide.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def expected_loss(logits, ids):
    wide = np.asarray(logits, np.longdouble)
    wide = wide - wide.max(-1, keepdims=True)
    chosen = np.take_along_axis(wide, np.asarray(ids)[..., None], -1)[..., 0]
    return (np.log(np.exp(wide).sum(-1)) - chosen).astype(np.float64)


def expected_gradient(logits, ids, dy):
    one_hot = np.eye(logits.shape[-1])[ids]
    return ((expected_probabilities(logits) - one_hot) * np.asarray(dy)[..., None]).astype(np.float64)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 3), max_size=3), st.integers(1, 6))
def test_values_for_any_shape_of_batch(batch, classes):
    logits, ids = 3.0 * numbers(*batch, classes), integers(*batch, high=classes)
    found = run(gf.softmax_cross_entropy, logits, ids)
    assert found.shape == tuple(batch)
    np.testing.assert_allclose(found, expected_loss(logits, ids), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size", SIZES)
def test_float32_is_right_for_logits_of_any_size(size):
    logits = (size * numbers(30, 65, low=-1.0, high=1.0)).astype(np.float32)
    ids = integers(30, high=65)
    found = run(gf.softmax_cross_entropy, logits, ids)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected_loss(logits, ids), rtol=2e-6, atol=2e-7)
    (gradient,), weights = gradients(lambda x: gf.softmax_cross_entropy(x, ids), logits)
    np.testing.assert_allclose(gradient, expected_gradient(logits, ids, weights), rtol=1e-4, atol=1e-6)


def test_it_is_minus_the_logarithm_of_the_probability():
    logits = numbers(5)
    found = run(lambda x: gf.softmax_cross_entropy(x, 3), logits)
    naive = run(lambda x: -gf.log(gf.softmax(x))[3], logits)
    np.testing.assert_allclose(found, naive, rtol=1e-14)
    assert found.shape == ()


def test_uniform_logits_cost_the_logarithm_of_the_classes():
    found = run(lambda x: gf.softmax_cross_entropy(x, [0, 64]), np.full((2, 65), -1e4, np.float32))
    np.testing.assert_allclose(found, np.log([65.0, 65.0]), rtol=1e-6)


def test_impossible_classes_and_nan():
    logits = np.array([[0.0, -np.inf], [0.0, -np.inf], [0.0, np.nan], [0.0, 0.0]])
    found = run(lambda x: gf.softmax_cross_entropy(x, [0, 1, 0, 0]), logits)
    np.testing.assert_array_equal(found, [0.0, np.inf, np.nan, np.log(2.0)])


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "ids"), [((3, 5), [0, 1]), ((5,), [0] * 5), ((3, 5), 0), ((5, 3), [[0] * 5]), ((), 0)]
)
def test_shapes_that_do_not_fit_are_refused(shape, ids):
    g = gf.ExprGraph()
    logits = gf.tensor(g, shape, name="logits")
    ids_node = gf.tensor(g, np.shape(ids), dtype=int64)
    with pytest.raises(gf.ShapeError, match="softmax_cross_entropy: cannot compare logits: float32"):
        gf.softmax_cross_entropy(logits, ids_node)
    assert len(g) == 2


def test_the_text_of_an_error():
    g = gf.ExprGraph()
    logits = gf.matrix(g, (3, 5), name="logits")
    ids = gf.vector(g, 5, dtype=int64, name="ids")
    with pytest.raises(gf.ShapeError) as caught:
        gf.softmax_cross_entropy(logits, ids)
    assert str(caught.value).splitlines()[:3] == [
        "softmax_cross_entropy: cannot compare logits: float32[3, 5] with the ids ids: int64[5]",
        "  got     logits (3, 5) and ids (5,)",
        "  needs   logits with the shape of the ids first, then one axis of classes",
    ]


def test_wrong_dtypes_and_no_classes_are_refused():
    g = gf.ExprGraph()
    logits = gf.matrix(g, (3, 5))
    with pytest.raises(gf.DTypeError, match="are no ids"):
        gf.softmax_cross_entropy(logits, gf.vector(g, 3))
    with pytest.raises(gf.DTypeError, match="not defined for n: int64"):
        gf.softmax_cross_entropy(gf.matrix(g, (3, 5), dtype=int64, name="n"), [0, 1, 2])
    with pytest.raises(gf.DTypeError, match="the ids are not whole numbers"):
        gf.softmax_cross_entropy(logits, [0.0, 1.0, 2.0])
    with pytest.raises(gf.ShapeError, match="has no classes"):
        gf.softmax_cross_entropy(gf.matrix(g, (0, 0)), [])
    with pytest.raises(gf.GraphflowError, match="is no node"):
        gf.softmax_cross_entropy([1.0], 0)


@pytest.mark.parametrize("bad", [[0, 5, 0], [0, 0, -1]])
def test_ids_out_of_range_are_refused_at_once_where_they_are_constant(bad):
    g = gf.ExprGraph()
    logits = gf.matrix(g, (3, 5))
    with pytest.raises(PositionError, match=r"softmax_cross_entropy: id .* is out of range"):
        gf.softmax_cross_entropy(logits, bad)
    assert len(g) == 1


@pytest.mark.parametrize("bad", [[0, 5, 0], [0, 0, -1]])
@pytest.mark.parametrize("machine_class", [gf.TapeMachine, gf.LispMachine])
def test_ids_out_of_range_are_refused_by_a_run_and_the_machine_goes_on(bad, machine_class):
    g = gf.ExprGraph()
    logits = gf.matrix(g, (3, 5), value=np.zeros((3, 5), np.float32))
    ids = gf.vector(g, 3, dtype=int64)
    loss = gf.softmax_cross_entropy(logits, ids)
    gf.grad(gf.sum(loss), logits)
    gf.read(loss)
    machine = machine_class(g)
    gf.let(ids, bad)
    with pytest.raises(PositionError, match="out of range"):
        machine.run_all()
    gf.let(ids, [4, 0, 2])
    machine.run_all()
    np.testing.assert_allclose(loss.value, np.log([5.0, 5.0, 5.0]), rtol=1e-6)


@pytest.mark.parametrize("bad", [[0, 5], [-1, 0]])
def test_ids_out_of_range_are_refused_by_the_numpy_evaluation(bad):
    with pytest.raises(PositionError, match="softmax_cross_entropy: id"):
        SoftmaxCrossEntropy().evaluate(numbers(2, 5), np.array(bad))
    with pytest.raises(PositionError, match="softmax_cross_entropy_gradient: id"):
        SoftmaxCrossEntropyGradient().evaluate(numbers(2, 5), np.array(bad), numbers(2))


# --- gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "ids"), [((5,), 2), ((3, 4), [0, 3, 3]), ((2, 2, 3), [[0, 1], [2, 0]]), ((2, 1), [0, 0])]
)
def test_gradients_match_differences(shape, ids):
    assert_gradients_match_differences(lambda x: gf.softmax_cross_entropy(x, ids), numbers(*shape))


def test_the_gradient_of_the_gradient_matches_differences():
    def gradient(x, w):
        loss = gf.softmax_cross_entropy(x, [1, 0, 3])
        return gf.grad(gf.sum(w * loss * loss), x)[0]

    assert_gradients_match_differences(gradient, numbers(3, 4), numbers(3, seed=2))


def test_the_gradient_of_the_gradient_of_one_row():
    def gradient(x):
        loss = gf.softmax_cross_entropy(x, 1)
        return gf.grad(loss * loss, x)[0]

    assert_gradients_match_differences(gradient, numbers(4))


def test_the_third_derivative_matches_differences():
    def second(x):
        (first,) = gf.grad(gf.sum(gf.softmax_cross_entropy(x, [1, 2])), x)
        return gf.grad(gf.sum(first * first), x)[0]

    assert_gradients_match_differences(second, numbers(2, 3))


# --- weights, rows that do not count, log-probabilities, distributions ------------------------------------------------


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("is_node", [False, True])
@pytest.mark.parametrize("ignore", [-1, 2])
def test_rows_of_an_ignored_id_cost_nothing_and_move_nothing(backend, is_node, ignore):
    logits, ids = numbers(4, 3), np.array([0, ignore, 1, ignore])
    weights = np.array([1.0, 2.0, 5.0])
    is_used = ids != ignore
    safe = np.where(is_used, ids, 0)
    expected = np.where(is_used, expected_loss(logits, safe) * weights[safe], 0.0)
    for build in (gf.softmax_cross_entropy, lambda x, *rest, **more: gf.nll(gf.log_softmax(x), *rest, **more)):
        g = gf.ExprGraph()
        x = gf.matrix(g, (4, 3), dtype="float64", value=logits)
        given_ids = gf.vector(g, 4, dtype="int64", value=ids) if is_node else ids
        loss = build(x, given_ids, weights=weights, ignore=ignore)
        gf.grad(gf.sum(loss), x)
        gf.TapeMachine(g, backend=backend, keep="all").run_all()
        np.testing.assert_allclose(loss.value, expected, rtol=1e-12)
        slope = expected_gradient(logits, safe, is_used * weights[safe])
        np.testing.assert_allclose(x.grad, slope, rtol=1e-12, atol=1e-15)


def test_an_id_out_of_range_that_is_not_ignored_is_refused():
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3))
    with pytest.raises(PositionError):
        gf.softmax_cross_entropy(x, [0, 3], ignore=-1)
    with pytest.raises(gf.ShapeError, match="nll: the weights do not fit"):
        gf.nll(x, [0, 1], weights=[1.0, 1.0])
    assert len(g) == 1


def test_nll_is_minus_the_chosen():
    s = numbers(2, 3, 4)
    ids = integers(2, 3, high=4)
    np.testing.assert_array_equal(run(lambda s: gf.nll(s, ids), s), -np.take_along_axis(s, ids[..., None], -1)[..., 0])
    assert_gradients_match_differences(lambda s: gf.nll(s * s, ids), s)


@pytest.mark.parametrize("size", SIZES)
def test_the_cross_entropy_of_distributions(size):
    logits = (size * numbers(6, 5, low=-1.0, high=1.0)).astype(np.float32)
    targets = expected_probabilities(numbers(6, 5, seed=1)).astype(np.float32)
    wide = logits.astype(np.float64)
    logarithms = np.log(expected_probabilities(wide)) if size < 1e3 else None
    found = run(gf.soft_cross_entropy, logits, targets)
    if logarithms is not None:
        np.testing.assert_allclose(found, -(targets * logarithms).sum(1).astype(np.float64), rtol=1e-5)
    one_hot = np.eye(5, dtype=np.float32)[[0, 1, 2, 3, 4, 0]]
    found = run(gf.soft_cross_entropy, logits, one_hot)
    np.testing.assert_allclose(found, expected_loss(logits, one_hot.argmax(1)), rtol=2e-6, atol=2e-7)


def test_the_cross_entropy_of_distributions_along_any_axis():
    x, t = numbers(3, 4, 2), numbers(4, 1, low=0.0, seed=1)
    assert run(lambda x, t: gf.soft_cross_entropy(x, t, 1), x, t).shape == (3, 2)
    assert_gradients_match_differences(lambda x, t: gf.soft_cross_entropy(x, t, 1), x, t)
