"""Problems that users reported to Gorgonia (github.com/gorgonia/gorgonia/issues), or that show when it is run.

Each test is named after the issue, where there is one, and says what went wrong there.
"""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing.agreement import available_backends


@pytest.fixture(params=available_backends())
def backend(request):
    return request.param


def run(g, backend, **options):
    machine = gf.TapeMachine(g, backend=backend, **options)
    machine.run_all()
    return machine


# --- reported ---------------------------------------------------------------------------------------------------------


def test_issue_576_values_of_reused_registers(backend):
    """The value of an intermediate node, read after a run, belonged to another node that had taken its register."""
    g = gf.ExprGraph()
    x = gf.vector(g, 4, name="x", value=[0.1, 0.2, 0.3, 0.4])
    a = x + 1.0
    b = a * 2.0
    c = gf.tanh(b)
    d = gf.exp(c)
    cost = gf.sum(d)
    gf.grad(cost, x)
    values = {a: np.float32([1.1, 1.2, 1.3, 1.4])}
    values[b] = values[a] * 2
    values[c] = np.tanh(values[b])
    values[d] = np.exp(values[c])
    run(g, backend)
    for node in (a, b, c, d):
        with pytest.raises(gf.ValueNotKept):
            node.value  # noqa: B018 - reading is what is tested
    for ways in ({"keep": (a, b, c, d)}, {"keep": "all"}):
        run(g, backend, **ways)
        for node, expected in values.items():
            np.testing.assert_allclose(node.value, expected, rtol=1e-6)
    for node, expected in values.items():
        reading = gf.read(node)
        run(g, backend)
        np.testing.assert_allclose(reading.value, expected, rtol=1e-6)


def test_issue_569_log_and_softmax_together(backend):
    """log(softmax(x)) turned the softmax node itself into its logarithm: who fed it back got log p."""
    g = gf.ExprGraph()
    table = gf.matrix(g, (3, 2), dtype="float64", value=np.arange(6.0).reshape(3, 2))
    logits = gf.vector(g, 3, name="logits", dtype="float64", value=[1.0, 2.0, 4.0])
    p = gf.softmax(logits)
    p.name = "p"
    fed_back = p @ table
    cost = -gf.log(p)[2] + gf.sum(fed_back)
    gf.grad(cost, logits, table)
    run(g, backend)
    expected = np.exp([1.0, 2.0, 4.0]) / np.exp([1.0, 2.0, 4.0]).sum()
    np.testing.assert_allclose(p.value, expected, rtol=1e-12)
    np.testing.assert_allclose(cost.value, -np.log(expected[2]) + (expected @ table.value).sum(), rtol=1e-12)
    np.testing.assert_allclose(table.grad, np.tile(expected[:, None], 2), rtol=1e-12)


def test_issue_543_gradients_are_not_added_up_between_runs(backend):
    """Bound gradients grew with every run unless a solver set them to zero."""
    g = gf.ExprGraph()
    w = gf.vector(g, 2, name="w", value=[1.0, 2.0])
    cost = gf.sum(w * w)
    gf.grad(cost, w)
    machine = gf.TapeMachine(g, backend=backend)
    for _ in range(3):
        machine.run_all()
        assert w.grad.tolist() == [2.0, 4.0]
    machine.reset()
    machine.run_all()
    assert w.grad.tolist() == [2.0, 4.0]


def test_issue_466_adam_clips_the_gradient_before_its_moments(backend):
    """Clipping had no effect on Adam's moments: one huge gradient spoiled many later steps."""
    moved = {}
    for huge in (5.0, 1e6):
        g = gf.ExprGraph()
        w = gf.scalar(g, name="w", dtype="float64", value=0.0)
        scale = gf.scalar(g, name="scale", dtype="float64", value=huge)
        gf.grad(w * scale, w)
        machine = gf.TapeMachine(g, backend=backend)
        solver = gf.AdamSolver(learn_rate=0.1, clip=5.0)
        machine.run_all()
        solver.step([w])
        gf.let(scale, 0.5)
        machine.run_all()
        solver.step([w])
        moved[huge] = float(w.value)
    assert moved[5.0] == moved[1e6]
    m, v = 0.9 * (0.1 * 5.0) + 0.1 * 0.5, 0.999 * (0.001 * 25.0) + 0.001 * 0.25
    second = 0.1 * (m / (1 - 0.9**2)) / (np.sqrt(v / (1 - 0.999**2)) + 1e-8)
    assert moved[5.0] == pytest.approx(-0.1 - second, rel=1e-6)


def test_issue_363_a_negation_at_the_end(backend):
    """With Neg as the last operation the gradient came out as zero."""
    g = gf.ExprGraph()
    x = gf.vector(g, 3, value=[1.0, 2.0, 3.0])
    cost = -gf.sum(x * x)
    gf.grad(cost, x)
    run(g, backend)
    assert x.grad.tolist() == [-2.0, -4.0, -6.0]
    assert cost.value == -14.0


def test_issue_323_softmax_is_differentiable(backend):
    """The stable softmax had no gradient."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3), dtype="float64", value=[[1.0, 2.0, 3.0], [1e4, 1e4, -1e4]])
    p = gf.softmax(x)
    p.name = "p"
    gf.grad(gf.sum(p * [1.0, 2.0, 3.0]), x)
    run(g, backend)
    weights = np.array([1.0, 2.0, 3.0])
    expected = p.value * (weights - (p.value * weights).sum(-1, keepdims=True))
    np.testing.assert_allclose(x.grad, expected, atol=1e-15)
    assert np.isfinite(x.grad).all()


def test_issue_182_constants_get_no_derivatives(backend):
    """Constants were given derivatives, and a second run used wrong ones."""
    g = gf.ExprGraph()
    x = gf.scalar(g, value=3.0)
    two = gf.constant(g, 2.0)
    gf.grad(x * two + two, x)
    machine = gf.TapeMachine(g, backend=backend)
    for _ in range(2):
        machine.run_all()
        assert (x.grad, two.value) == (2.0, 2.0)
    with pytest.raises(gf.GradientError, match="has no gradient"):
        two.grad  # noqa: B018 - reading is what is tested
    with pytest.raises(gf.BindingError):
        gf.let(two, 3.0)


def test_issue_217_summing_a_column(backend):
    """The sum of a (2, 1) product failed."""
    g = gf.ExprGraph()
    a = gf.matrix(g, (2, 3), init=gf.ranged_from(1))
    b = gf.matrix(g, (3, 1), init=gf.ones())
    product = a @ b
    total = gf.sum(product)
    gf.grad(total, a, b)
    run(g, backend)
    assert product.shape == (2, 1)
    assert total.value == 21.0
    assert a.grad.tolist() == [[1.0] * 3] * 2
    assert b.grad.tolist() == [[5.0], [7.0], [9.0]]


def test_issue_266_the_maximum_on_the_lisp_machine():
    """Max, and whatever was made of it, had a gradient of zero on the Lisp machine."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3), value=[[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]])
    machine = gf.LispMachine(g, gf.sum(gf.max(x, axis=1)))
    machine.run_all()
    assert x.grad.tolist() == [[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]


def test_issue_280_the_lisp_machine_takes_a_cost():
    """No cost could be named: all roots had to be scalars."""
    g = gf.ExprGraph()
    x = gf.vector(g, 2, value=[1.0, 2.0])
    x * 5.0
    machine = gf.LispMachine(g, gf.sum(x * x))
    machine.run_all()
    assert machine.gradient(x).tolist() == [2.0, 4.0]


def test_issue_403_an_embedding_layer(backend):
    g = gf.ExprGraph()
    embedding = gf.nn.Embedding(g, 5, 3, init=gf.ranged_from(0))
    ids = gf.vector(g, 4, name="ids", dtype="int64", value=[4, 0, 4, 1])
    rows = embedding(ids)
    gf.grad(gf.sum(rows * rows), embedding.table)
    rows.name = "rows"
    run(g, backend)
    assert rows.value[0].tolist() == [12.0, 13.0, 14.0]
    assert embedding.table.grad.tolist() == [[0, 2, 4], [6, 8, 10], [0] * 3, [0] * 3, [48, 52, 56]]


# --- found by running it ----------------------------------------------------------------------------------------------


def test_a_second_grad_on_the_same_graph(backend):
    """d(x^3)/dx at 3 came out as 9."""
    g = gf.ExprGraph()
    x = gf.scalar(g, value=3.0)
    square = x * x
    gf.grad(square, x)
    gf.grad(square * x, x)
    run(g, backend)
    assert x.grad == 27.0


def test_slices_that_differ_by_256_are_two(backend):
    """Slice bounds were hashed as one byte, so rows 1 and 257 became one node."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (300, 2), init=gf.ranged_from(0))
    difference = x[257] - x[1]
    run(g, backend)
    assert difference.value.tolist() == [512.0, 512.0]


def test_a_rebound_slice_is_not_merged_with_one_made_later(backend):
    """A rebound slice kept its old hash, and a later slice at the old place was merged with it."""
    g = gf.ExprGraph()
    x = gf.vector(g, 4, value=[1.0, 2.0, 3.0, 4.0])
    first = x[0]
    gf.unsafe_let(first, 3)
    second = x[0]
    both = first * 10.0 + second
    run(g, backend)
    assert both.value == 41.0


def test_inputs_and_constants_of_one_name_are_several(backend):
    """Inputs of one name were one node, and constants were looked up by their name."""
    g = gf.ExprGraph()
    x, y = gf.scalar(g, name="x", value=1.0), gf.scalar(g, name="x", value=2.0)
    a, b = gf.constant(g, 3.0, name="c"), gf.constant(g, 4.0, name="c")
    total = x + y * 10.0 + a * 100.0 + b * 1000.0
    run(g, backend)
    assert total.value == 4321.0
    assert g.by_name("x") != ()
    assert len(g.by_name("x")) == len(g.by_name("c")) == 2


def test_dropout_layers_are_not_merged_and_have_the_right_gradient(backend):
    """Dropout layers were merged although their rates differ; the gradient divided by p instead of 1 - p."""
    g = gf.ExprGraph()
    x = gf.vector(g, 400, init=gf.ones())
    one, other = gf.dropout(x, 0.2), gf.dropout(x, 0.6)
    (dx,) = gf.grad(gf.sum(one), x)
    run(g, backend, keep=[one, other])
    assert not np.array_equal(one.value, other.value)
    assert set(np.round(dx.value, 5).tolist()) == {0.0, 1.25}
    np.testing.assert_array_equal(dx.value, one.value)


def test_running_without_a_reset(backend):
    """A second run without a reset did nothing and reported no error."""
    g = gf.ExprGraph()
    x = gf.scalar(g, value=1.0)
    y = x * 2.0
    machine = run(g, backend)
    gf.let(x, 5.0)
    machine.run_all()
    assert y.value == 10.0


def test_the_outer_product_has_a_gradient_for_any_shape(backend):
    """It failed unless the result was square."""
    g = gf.ExprGraph()
    x, y = gf.vector(g, 2, value=[1.0, 2.0]), gf.vector(g, 3, value=[3.0, 4.0, 5.0])
    gf.grad(gf.sum(gf.outer_prod(x, y)), x, y)
    run(g, backend)
    assert (x.grad.tolist(), y.grad.tolist()) == ([12.0, 12.0], [3.0, 3.0, 3.0])


def test_log_sum_exp_of_a_matrix(backend):
    """It gave a wrong value, or refused matrices."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 2), dtype="float64", value=[[0.0, 0.0], [1e3, -1e3]])
    for axis, expected in ((0, [1e3, np.log(1 + np.exp(-1e3))]), (1, [np.log(2.0), 1e3])):
        y = gf.log_sum_exp(x, axis)
        run(g, backend, outputs=y)
        np.testing.assert_allclose(y.value, expected)


def test_log_of_one_minus_sigmoid_and_its_kind_are_stable(backend):
    """log(1 - sigmoid(x)), exp(x) - 1 and log(1 + x) were computed as written: the constant 1 was not recognised."""
    g = gf.ExprGraph()
    x = gf.scalar(g, value=1e-6)
    logit = gf.scalar(g, value=1e3)
    y = gf.log(1.0 - gf.sigmoid(logit)), gf.exp(x) - 1.0, gf.log(1.0 + x)
    gf.grad(y[0] + y[1] + y[2], x, logit)
    run(g, backend, keep="all")
    np.testing.assert_allclose([node.value for node in y], [-1e3, np.expm1(1e-6), np.log1p(1e-6)], rtol=1e-6)
    np.testing.assert_allclose([logit.grad, x.grad], [-1.0, 2.0], rtol=1e-6)


def test_pull_536_binary_xent_of_certainty_is_no_nan(backend):
    """0 * log(0) made the loss and its gradient NaN."""
    g = gf.ExprGraph()
    p = gf.vector(g, 2, value=[0.0, 1.0])
    loss = gf.binary_xent(p, [0.0, 1.0])
    gf.grad(gf.sum(loss), p)
    run(g, backend, keep="all")
    assert loss.value.tolist() == [0.0, 0.0]
    assert p.grad.tolist() == [1.0, -1.0]


@pytest.mark.parametrize("p", [1, 3])
def test_norms_of_negative_numbers(backend, p):
    """For p other than 2 the absolute value was left out."""
    g = gf.ExprGraph()
    x = gf.vector(g, 2, dtype="float64", value=[-3.0, 1.0])
    y = gf.norm(x, p)
    gf.grad(y, x)
    run(g, backend, keep="all")
    np.testing.assert_allclose(y.value, {1: 4.0, 3: 28.0 ** (1 / 3)}[p])
    np.testing.assert_allclose(x.grad, {1: [-1.0, 1.0], 3: np.array([-9.0, 1.0]) / 28.0 ** (2 / 3)}[p])


def test_a_full_tensordot_is_a_scalar(backend):
    """The full contraction of two vectors declared shape () and gave shape (1)."""
    g = gf.ExprGraph()
    x, y = gf.vector(g, 2, value=[1.0, 2.0]), gf.vector(g, 2, value=[3.0, 4.0])
    z = gf.tensordot(x, y, 1)
    gf.grad(z, x)
    run(g, backend)
    assert z.shape == z.value.shape == ()
    assert z.value == 11.0
    assert x.grad.tolist() == [3.0, 4.0]


def test_the_mean_of_ctc_losses_scales_their_gradient(backend):
    """The mean reduction divided the losses and left the gradient as it was."""
    gradients = {}
    for reduction in ("mean", "sum"):
        g = gf.ExprGraph()
        x = gf.tensor(g, (4, 2, 3), dtype="float64", value=np.log(np.full((4, 2, 3), 1 / 3)))
        gf.grad(gf.ctc_loss(x, [[1, 2], [2, 1]], reduction=reduction), x)
        run(g, backend)
        gradients[reduction] = x.grad
    np.testing.assert_allclose(gradients["mean"], gradients["sum"] / 4, rtol=1e-12)
    np.testing.assert_allclose(gradients["sum"].sum(-1), -1.0, rtol=1e-12)


def test_diag_flat_has_a_gradient(backend):
    """It had none."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 2), value=[[1.0, 2.0], [3.0, 4.0]])
    gf.grad(gf.sum(gf.diag_flat(x) ** 2.0), x)
    run(g, backend)
    assert x.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_sparsemax_has_the_right_gradient_on_the_lisp_machine():
    """It was one of those that failed there."""
    g = gf.ExprGraph()
    x = gf.vector(g, 3, dtype="float64", value=[1.0, 0.5, -1.0])
    (dx,) = gf.grad(gf.sparsemax(x)[0], x)
    gf.LispMachine(g).run_all()
    np.testing.assert_allclose(dx.value, [0.5, -0.5, 0.0])


def test_gathering_checks_its_ids_and_has_a_gradient(backend):
    """ByIndices gave row 0 for an id out of range, and a wrong gradient along axis 1."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3), init=gf.ones())
    with pytest.raises(gf.PositionError):
        gf.gather(x, [2])
    gf.grad(gf.sum(gf.gather(x.T, [2, 0, 2])), x)
    run(g, backend)
    assert x.grad.tolist() == [[1.0, 0.0, 2.0]] * 2


def test_a_whole_number_cost_is_refused():
    """An integer cost made Grad dereference a nil pointer."""
    g = gf.ExprGraph()
    x = gf.vector(g, 2, dtype="int64")
    with pytest.raises(gf.DTypeError):
        gf.grad(gf.sum(x), x)


def test_vector_lengths_are_checked_when_the_product_is_made():
    """They were not checked before the run."""
    g = gf.ExprGraph()
    with pytest.raises(gf.ShapeError, match="inner sizes 3 and 4"):
        gf.vector(g, 3) @ gf.vector(g, 4)


def test_broadcasting_beyond_four_axes(backend):
    """A fifth axis ran over into the other operand's bits."""
    g = gf.ExprGraph()
    x = gf.tensor(g, (2, 1, 1, 1, 3), init=gf.ones())
    y = gf.tensor(g, (2, 2, 1, 1, 1), init=gf.ones())
    z = x + y
    gf.grad(gf.sum(z), x, y)
    run(g, backend)
    assert z.shape == (2, 2, 1, 1, 3)
    assert (x.grad.max(), y.grad.max()) == (2.0, 3.0)


def test_an_exception_in_an_op_is_an_error_not_the_end(backend):
    """A panic inside an op killed the process; here ids out of range raise, and the machine goes on."""
    g = gf.ExprGraph()
    ids = gf.vector(g, 1, dtype="int64", value=[9])
    rows = gf.gather(gf.matrix(g, (2, 2), init=gf.ones()), ids)
    machine = gf.TapeMachine(g, backend=backend)
    with pytest.raises(gf.PositionError):
        machine.run_all()
    gf.let(ids, [1])
    machine.run_all()
    assert rows.value.tolist() == [[1.0, 1.0]]


# --- operations whose values or gradients were wrong there ------------------------------------------------------------


def slopes(function, backend, *values):
    """The gradients of sum(function(*nodes)), in float64."""
    g = gf.ExprGraph()
    nodes = [gf.tensor(g, np.shape(value), dtype="float64", value=value) for value in values]
    found = gf.grad(gf.sum(function(*nodes)), *nodes)
    run(g, backend)
    return [node.value for node in found]


def test_the_gradient_of_log2(backend):
    """It was multiplied by ln 2 instead of divided."""
    found = slopes(gf.log2, backend, [0.5, 4.0])[0]
    np.testing.assert_allclose(found, np.array([2.0, 0.25]) / np.log(2), rtol=1e-14)


def test_the_gradient_of_inverse_sqrt(backend):
    """It was wrong on the tape machine; only the other one was tested."""
    np.testing.assert_allclose(slopes(gf.inverse_sqrt, backend, [4.0, 0.25])[0], [-1.0 / 16, -4.0], rtol=1e-14)


def test_a_tied_maximum_passes_its_gradient_once(backend):
    """The whole gradient went to each of the tied elements."""
    assert slopes(lambda x: gf.max(x, 1), backend, [[3.0, 3.0, 1.0], [0.0, 2.0, 1.0]])[0].tolist() == [
        [0.5, 0.5, 0.0],
        [0.0, 1.0, 0.0],
    ]


@pytest.mark.parametrize("function", [gf.max_between, gf.min_between])
def test_the_side_that_was_not_taken_gets_no_gradient(function, backend):
    """MaxBetween and MinBetween gave it to the wrong side on the Lisp machine."""
    x, y = [1.0, 5.0], [2.0, 4.0]
    of_x, of_y = slopes(function, backend, x, y)
    first = [0.0, 1.0] if function is gf.max_between else [1.0, 0.0]
    assert (of_x.tolist(), of_y.tolist()) == (first, first[::-1])
    g = gf.ExprGraph()
    a, b = gf.vector(g, 2, value=x), gf.vector(g, 2, value=y)
    machine = gf.LispMachine(g, gf.sum(function(a, b)))
    machine.run_all()
    assert (a.grad.tolist(), b.grad.tolist()) == (first, first[::-1])


def test_at_runs(backend):
    """At was never executed on the tape machine."""
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3), init=gf.ranged_from(0))
    element = gf.at(x, 1, 2)
    gf.grad(element * element, x)
    run(g, backend, keep=[element])
    assert element.value == 5.0
    assert x.grad.tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 10.0]]


def test_the_gradient_of_by_indices_along_axis_1(backend):
    found = slopes(lambda x: gf.by_indices(x, [2, 0, 2], 1) * [1.0, 10.0, 100.0], backend, np.ones((2, 3)))[0]
    assert found.tolist() == [[10.0, 0.0, 101.0]] * 2


def test_an_id_out_of_range_along_any_axis_is_refused():
    """ByIndices gave row 0."""
    x = gf.matrix(gf.ExprGraph(), (2, 3))
    for ids, axis in (([2], 0), ([0, 3], 1), ([-4], 1)):
        with pytest.raises(gf.PositionError, match="is out of range"):
            gf.by_indices(x, ids, axis)


def test_concat_along_axis_1_has_a_gradient(backend):
    """On the Lisp machine it failed."""
    of_x, of_y = slopes(lambda x, y: gf.square(gf.concat([x, y], 1)), backend, [[1.0], [2.0]], [[3.0, 4.0], [5.0, 6.0]])
    assert of_x.tolist() == [[2.0], [4.0]]
    assert of_y.tolist() == [[6.0, 8.0], [10.0, 12.0]]
    g = gf.ExprGraph()
    a, b = gf.matrix(g, (2, 1), init=gf.ones()), gf.matrix(g, (2, 2), init=gf.ones())
    gf.LispMachine(g, gf.sum(gf.concat([a, b], 1))).run_all()
    assert a.grad.tolist() == [[1.0], [1.0]]


def test_a_power_with_a_scalar_exponent_has_a_gradient(backend):
    """On the Lisp machine it failed."""
    assert slopes(lambda x: x**3.0, backend, [2.0, -1.0])[0].tolist() == [12.0, 3.0]
    g = gf.ExprGraph()
    x = gf.vector(g, 2, value=[2.0, -1.0])
    gf.LispMachine(g, gf.sum(x**3.0)).run_all()
    np.testing.assert_allclose(x.grad, [12.0, 3.0], rtol=1e-6)


def test_log_of_one_minus_sigmoid_and_its_kind_are_stable(backend):
    """log(1 - sigmoid), exp - 1 and log(1 + x) were computed as written."""
    for function, x, expected, slope in (
        (lambda x: gf.log(1.0 - gf.sigmoid(x)), 100.0, -100.0, -1.0),
        (lambda x: gf.exp(x) - 1.0, 1e-20, 1e-20, 1.0),
        (lambda x: gf.log(1.0 + x), 1e-20, 1e-20, 1.0),
    ):
        g = gf.ExprGraph()
        node = gf.scalar(g, dtype="float64", value=x)
        y = function(node)
        y.name = "y"
        gf.grad(y, node)
        run(g, backend)
        np.testing.assert_allclose([y.value, node.grad], [expected, slope], rtol=1e-12)


def test_an_empty_slice_is_empty_and_positions_may_be_negative(backend):
    """S(3, 3) meant the whole axis, and negative positions were unsupported."""
    g = gf.ExprGraph()
    x = gf.vector(g, 5, init=gf.ranged_from(0))
    empty, last = x[3:3], x[-2:] * 1.0
    assert empty.shape == (0,)
    run(g, backend, outputs=last)
    assert last.value.tolist() == [3.0, 4.0]


def test_a_full_reduction_can_keep_its_axes():
    """KeepDims could not keep a full reduction."""
    x = gf.matrix(gf.ExprGraph(), (2, 3))
    assert gf.sum(x, keepdims=True).shape == gf.argmax(x, keepdims=True).shape == (1, 1)
