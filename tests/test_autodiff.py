"""grad and backpropagate: what is differentiated, with respect to what, how often, and what is refused."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.testing import check_gradient


def run(*nodes):
    """The values of nodes by a tape and by a Lisp machine, which must agree."""
    g = nodes[0].graph
    with gf.TapeMachine(g, outputs=nodes, backend="numpy") as machine:
        machine.run_all()
        found = [machine.value_of(node) for node in nodes]
    gf.LispMachine(g).run_all()
    for node, value in zip(nodes, found, strict=True):
        np.testing.assert_allclose(value, node.value, rtol=1e-6, atol=1e-7)
    return found[0] if len(found) == 1 else found


# --- what is differentiated -------------------------------------------------------------------------------------------


def test_the_gradient_is_a_node_of_the_inputs_type():
    g = gf.ExprGraph()
    x = gf.matrix(g, (2, 3), dtype="float64", init=gf.ones())
    (dx,) = gf.grad(gf.sum(x * x), x)
    assert dx.type == x.type
    assert dx.graph is g
    assert run(dx).tolist() == [[2.0] * 3] * 2


def test_gradients_come_in_the_order_of_wrt():
    g = gf.ExprGraph()
    x, y = gf.scalar(g, value=2.0), gf.scalar(g, value=3.0)
    cost = x * x * y
    assert [float(value) for value in run(*gf.grad(cost, y, x))] == [4.0, 12.0]
    assert (gf.grad(cost, x)[0].type, len(gf.grad(cost, x, y))) == (x.type, 2)


def test_the_same_node_twice_among_wrt():
    g = gf.ExprGraph()
    x = gf.scalar(g, value=2.0)
    first, second = gf.grad(x * x, x, x)
    assert first is second
    assert run(first) == 4.0
    assert x.grad == 4.0


def test_a_cost_is_its_own_gradient_of_one():
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x", value=2.0)
    cost = x * x
    itself, dx = gf.grad(cost, cost, x)
    assert [float(value) for value in run(itself, dx)] == [1.0, 4.0]
    (one,) = gf.grad(x, x)
    assert run(one) == 1.0
    assert x.grad == 1.0


def test_computed_nodes_and_constants_can_be_wrt():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, value=[1.0, 2.0])
    c = gf.constant(g, [3.0, 4.0])
    hidden = x * c
    cost = gf.sum(hidden * hidden)
    d_hidden, dx, dc = gf.grad(cost, hidden, x, c)
    assert [value.tolist() for value in run(d_hidden, dx, dc)] == [[6.0, 16.0], [18.0, 64.0], [6.0, 32.0]]
    assert hidden.grad.tolist() == [6.0, 16.0]


def test_a_wrt_on_the_way_from_another_passes_the_gradient_on():
    g = gf.ExprGraph()
    x = gf.scalar(g, value=3.0)
    a = x * x
    b = a * a
    db, da, dx = gf.grad(b, b, a, x)
    assert [float(value) for value in run(db, da, dx)] == [1.0, 18.0, 108.0]


def test_a_node_used_many_times_collects_all_its_gradients():
    g = gf.ExprGraph()
    x = gf.scalar(g, value=2.0)
    y = x + x * x + x * x * x + x + gf.where(x > 0.0, x, 0.0)
    (dx,) = gf.grad(y, x)
    assert run(dx) == 1 + 4 + 12 + 1 + 1


def test_a_gradient_that_is_zero_everywhere_is_zeros():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, value=[1.0, -2.0, 3.0])
    (dx,) = gf.grad(gf.sum(gf.sign(x)) * 3.0, x)
    assert run(dx).tolist() == [0.0, 0.0, 0.0]
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_gradients_through_slices_follow_their_positions():
    g = gf.ExprGraph()
    x = gf.vector(g, 4, value=[1.0, 2.0, 3.0, 4.0])
    one, part = x[0], x[1:3]
    (dx,) = gf.grad(one * one + gf.sum(part), x)
    assert run(dx).tolist() == [2.0, 1.0, 1.0, 0.0]
    gf.unsafe_let(one, 3)
    gf.unsafe_let(part, gf.S(0, 2))
    assert run(dx).tolist() == [1.0, 1.0, 0.0, 8.0]


# --- again and again --------------------------------------------------------------------------------------------------


def test_gradients_of_gradients():
    g = gf.ExprGraph()
    x = gf.scalar(g, dtype="float64", value=0.7)
    y = gf.sigmoid(x * x)
    expected = []
    current = y
    for _ in range(4):
        (current,) = gf.grad(current, x)
        expected.append(float(run(current)))
    step = 1e-4
    for order in (1, 2, 3):
        sides = []
        for shift in (step, -step):
            h = gf.ExprGraph()
            z = gf.scalar(h, dtype="float64", value=0.7 + shift)
            node = gf.sigmoid(z * z)
            for _ in range(order):
                (node,) = gf.grad(node, z)
            sides.append(float(run(node)))
        assert expected[order] == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_calling_grad_again_changes_nothing(calls):
    g = gf.ExprGraph()
    x = gf.scalar(g, value=3.0)
    cube = x * x * x
    found = [gf.grad(cube, x)[0] for _ in range(calls)]
    assert all(float(value) == 27.0 for value in [run(node) for node in found])


def test_a_growing_graph():
    """In Gorgonia the second gradient reuses derivatives of the first: 9 instead of 27."""
    g = gf.ExprGraph()
    x = gf.scalar(g, value=3.0)
    square = x * x
    (d_square,) = gf.grad(square, x)
    cube = square * x
    (d_cube,) = gf.grad(cube, x)
    (d_both,) = gf.grad(cube + d_square, x)
    assert [float(value) for value in run(d_square, d_cube, d_both)] == [6.0, 27.0, 29.0]
    assert g.cost is not cube


def test_two_costs_share_their_parameters():
    g = gf.ExprGraph()
    w = gf.vector(g, 2, value=[1.0, 2.0])
    first, second = gf.sum(w * w), gf.sum(w * 3.0)
    (d_first,) = gf.grad(first, w)
    (d_second,) = gf.grad(second, w)
    assert [value.tolist() for value in run(d_first, d_second)] == [[2.0, 4.0], [3.0, 3.0]]
    assert w.grad.tolist() == [3.0, 3.0]


# --- stable forms -----------------------------------------------------------------------------------------------------


NAIVE = {
    "log softmax": (lambda x: gf.log(gf.softmax(x)), gf.log_softmax),
    "log of a slice of softmax": (lambda x: gf.log(gf.softmax(x)[1]), lambda x: gf.log_softmax(x)[1]),
    "log of a moved softmax": (lambda x: gf.log(gf.reshape(gf.softmax(x), (1, 3)).T), gf.log_softmax),
    "log sigmoid": (lambda x: gf.log(gf.sigmoid(x)), lambda x: -gf.softplus(-x)),
    "log 1 - sigmoid": (lambda x: gf.log(1.0 - gf.sigmoid(x)), lambda x: -gf.softplus(x)),
    "log 1 + exp": (lambda x: gf.log(1.0 + gf.exp(x)), gf.softplus),
    "log exp + 1": (lambda x: gf.log(gf.exp(x) + 1.0), gf.softplus),
    "log1p exp": (lambda x: gf.log1p(gf.exp(x)), gf.softplus),
    "log sum exp": (lambda x: gf.log(gf.sum(gf.exp(x))), gf.log_sum_exp),
    "softmax by hand": (lambda x: by_hand(gf.exp(x)), gf.softmax),
    "log softmax by hand": (lambda x: gf.log(by_hand(gf.exp(x))), gf.log_softmax),
}


def by_hand(exponentials):
    return exponentials / gf.sum(exponentials)


@pytest.mark.parametrize("name", NAIVE)
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_naive_spellings_are_as_good_as_stable_ones(name, scale):
    naive, stable = NAIVE[name]
    found = []
    for build in (naive, stable):
        g = gf.ExprGraph()
        x = gf.vector(g, 3, value=np.array([1.0, -0.5, 0.25], np.float32) * np.float32(scale))
        y = build(x)
        (dx,) = gf.grad(gf.sum(y), x)
        with gf.TapeMachine(g, outputs=[y, dx]) as machine:
            machine.run_all()
        found.append((y.value.ravel(), dx.value))
    for got, wanted in zip(*found, strict=True):
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_what_is_read_stays_what_was_written():
    """Gorgonia turns the softmax itself into its logarithm, for everybody who reads it."""
    g = gf.ExprGraph()
    x = gf.vector(g, 3, value=[1.0, 2.0, 3.0])
    p = gf.softmax(x)
    p.name = "p"
    logarithm = gf.log(p)
    (dx, dp) = gf.grad(gf.sum(logarithm * [0.0, 1.0, 0.0]), x, p)
    with gf.TapeMachine(g) as machine:
        machine.run_all()
    assert p.value.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(dp.value, [0.0, 1.0 / p.value[1], 0.0], rtol=1e-6)
    np.testing.assert_allclose(dx.value, [0, 1, 0] - p.value, atol=1e-6)


@pytest.mark.parametrize("inner", range(4))
def test_nodes_inside_a_stable_form_can_be_wrt(inner):
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", dtype="float64", value=[0.3, -0.2])
    one = gf.constant(g, 1.0, dtype="float64")
    e = gf.exp(x)
    shifted = one + e
    y = gf.log(shifted)
    node = (x, one, e, shifted)[inner]
    (found,) = gf.grad(gf.sum(y), node)
    sigmoid = 1 / (1 + np.exp([-0.3, 0.2]))
    expected = [sigmoid, (1 - sigmoid).sum(), 1 / (1 + np.exp([0.3, -0.2])), 1 - sigmoid]
    np.testing.assert_allclose(run(found), expected[inner], rtol=1e-12)


def test_stable_forms_found_by_an_earlier_grad_serve_a_later_one():
    g = gf.ExprGraph()
    z = gf.vector(g, 3, value=[1e4, 0.0, -1e4])
    x = z * 1.0
    p, q = by_hand(gf.exp(x)), 1.0 - gf.sigmoid(x)
    gf.grad(gf.sum(p * [1.0, 2.0, 3.0]) + gf.sum(q), z)
    of_p = gf.grad(gf.sum(gf.log(p)), x, z)
    of_q = gf.grad(gf.sum(gf.log(q)), x, z)
    with gf.TapeMachine(g, outputs=[*of_p, *of_q], backend="numpy") as machine:
        machine.run_all()
    for node in of_p:
        np.testing.assert_allclose(node.value, [-2.0, 1.0, 1.0], rtol=1e-6)
    for node in of_q:
        np.testing.assert_allclose(node.value, [-1.0, -0.5, 0.0], rtol=1e-6)


@given(st.lists(st.sampled_from(["tanh", "log", "double", "share", "slice", "max"]), max_size=8), st.integers(0, 5))
def test_chains_of_anything_have_right_gradients(steps, seed):
    def build(x):
        y = x
        for step in steps:
            if step == "tanh":
                y = gf.tanh(y)
            elif step == "log":
                y = gf.log(gf.softmax(y * 0.5, axis=0))
            elif step == "double":
                y = y * y * 0.5 + y
            elif step == "share":
                y = y + x * y
            elif step == "slice":
                y = gf.concat([y[1:], y[:1]])
            else:
                y = y + gf.max(y * 0.1) + gf.tanh(gf.min(y))
        return y

    check_gradient(build, np.random.default_rng(seed).uniform(-1.0, 1.0, 3), tolerance=1e-5)


# --- backpropagate ----------------------------------------------------------------------------------------------------


def test_several_outputs_with_gradients_of_their_own():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, value=[1.0, 2.0])
    y, z = x * 2.0, gf.sum(x * x)
    dy, dz = gf.vector(g, 2, value=[10.0, 20.0]), gf.scalar(g, value=0.5)
    (dx,) = gf.backpropagate([y, z], [dy, dz], [x])
    assert run(dx).tolist() == [21.0, 42.0]


def test_an_output_may_lie_before_another_or_be_listed_twice_or_be_wrt():
    g = gf.ExprGraph()
    x = gf.scalar(g, value=3.0)
    a = x * x
    b = a * 2.0
    one = gf.constant(g, 1.0)
    (dx, da) = gf.backpropagate([a, b, a], [one, one, one], [x, a])
    assert [float(value) for value in run(dx, da)] == [24.0, 4.0]
    (itself,) = gf.backpropagate([x], [one], [x])
    assert run(itself) == 1.0


def test_the_gradient_of_an_output_may_depend_on_wrt():
    g = gf.ExprGraph()
    x = gf.scalar(g, value=3.0)
    (dx,) = gf.backpropagate([x * x], [x], [x])
    assert run(dx) == 18.0


# --- bookkeeping ------------------------------------------------------------------------------------------------------


def test_gradient_nodes_remember_step_scope_line_and_forward_node():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, value=[1.0, 2.0])
    with g.step(4), g.scope("cell"):
        hidden = gf.tanh(x)
    before = len(g)
    gf.grad(gf.sum(hidden), x)
    line = inspect.currentframe().f_lineno - 1
    new = [node for node in g.nodes[before + 1 :] if not node.is_constant]
    assert {str(node.origin) for node in new} == {f"test_autodiff.py:{line}"}
    of_tanh = [node for node in new if node.gradient_of is hidden]
    assert of_tanh
    assert {(node.step, node.scope) for node in of_tanh} == {(4, "cell")}
    after = gf.tanh(x)
    assert (after.step, after.scope, after.gradient_of) == (None, "", None)


def test_parameters_lie_in_one_block_with_their_gradients():
    g = gf.ExprGraph()
    w, b = gf.matrix(g, (2, 2), init=gf.ones()), gf.vector(g, 3, value=[1.0, 2.0, 3.0])
    d = gf.scalar(g, dtype="float64", value=5.0)
    gf.grad(gf.sum(w) + gf.sum(b) + gf.cast(d, "float32"), w, b, d)
    single, double = g.blocks
    assert single.values.tolist() == [1.0] * 4 + [1.0, 2.0, 3.0]
    assert (double.values.tolist(), double.values.dtype) == ([5.0], np.float64)
    assert (w.value.tolist(), b.value.tolist()) == ([[1.0, 1.0], [1.0, 1.0]], [1.0, 2.0, 3.0])
    gf.TapeMachine(g).run_all()
    assert single.gradients.tolist() == [1.0] * 7


def test_grad_before_anything_ran_is_not_kept():
    g = gf.ExprGraph()
    x = gf.scalar(g, value=1.0)
    with pytest.raises(gf.GradientError, match="x.*no gradient|has no gradient"):
        x.grad  # noqa: B018 - reading is what is tested
    gf.grad(x * x, x)
    with pytest.raises(gf.ValueNotKept):
        x.grad  # noqa: B018 - reading is what is tested


# --- what is refused --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Odd(gf.Op):
    """An op whose gradient breaks the contract in one way or another."""

    how: str
    symbol = "odd"

    def infer(self, x):
        return x

    def evaluate(self, x):
        return x

    def gradient(self, dy, y, x):
        made = dy * 2.0
        if self.how == "too many":
            return (made, made)
        if self.how == "no tuple":
            return made
        if self.how == "wrong shape":
            return (gf.sum(made),)
        if self.how == "wrong dtype":
            return (gf.cast(made, "float64"),)
        raise ZeroDivisionError("inside the gradient")


def odd(how):
    return lambda x: (gf.grad, gf.sum(gf.apply(Odd(how), x)), x)


def ids_beside(x):
    return x.graph.by_name("i")[0]


def rounded(x):
    return gf.cast(gf.cast(x, "int64"), "float32")


# Each gives a function and its arguments; what the arguments are made of is in the graph before the call.
REFUSED = {
    "a vector as cost": (lambda x: (gf.grad, x * 2.0, x), gf.GradientError),
    "a matrix as cost": (lambda x: (gf.grad, gf.outer(x, x), x), gf.GradientError),
    "one element, but an axis": (lambda x: (gf.grad, x[:1] * 1.0, x), gf.GradientError),
    "a cost of whole numbers": (lambda x: (gf.grad, gf.sum(ids_beside(x)), x), gf.DTypeError),
    "a cost of bools": (lambda x: (gf.grad, gf.sum(x) > 0.0, x), gf.DTypeError),
    "wrt not reached": (lambda x: (gf.grad, gf.sum(x * x), x, gf.scalar(x.graph)), gf.GradientError),
    "wrt made from the cost": (lambda x: (gf.grad, gf.sum(x), gf.sum(x) * 2.0), gf.GradientError),
    "wrt behind a comparison": (lambda x: (gf.grad, gf.sum(gf.cast(x > 0.5, x.dtype)), x), gf.GradientError),
    "wrt behind a cast": (lambda x: (gf.grad, gf.sum(rounded(x)), x), gf.GradientError),
    "wrt of whole numbers": (lambda x: (gf.grad, gf.sum(gf.gather(x, ids_beside(x))), ids_beside(x)), gf.DTypeError),
    "no wrt": (lambda x: (gf.grad, gf.sum(x)), gf.GradientError),
    "wrt of another graph": (lambda x: (gf.grad, gf.sum(x), gf.scalar(gf.ExprGraph())), gf.GraphError),
    "wrt that is no node": (lambda x: (gf.grad, gf.sum(x), 3.0), gf.GraphError),
    "a list of wrt": (lambda x: (gf.grad, gf.sum(x), [x]), gf.GraphError),
    "a cost that is no node": (lambda x: (gf.grad, 3.0, x), gf.GraphError),
    "too many gradients": (odd("too many"), gf.OpContractError),
    "no tuple of gradients": (odd("no tuple"), gf.OpContractError),
    "a gradient of another shape": (odd("wrong shape"), gf.OpContractError),
    "a gradient of another dtype": (odd("wrong dtype"), gf.OpContractError),
    "a gradient that raises": (odd("raise"), ZeroDivisionError),
    "outputs without gradients": (lambda x: (gf.backpropagate, [x], [], [x]), gf.GradientError),
    "no outputs": (lambda x: (gf.backpropagate, [], [], [x]), gf.GradientError),
    "a gradient of the wrong type": (lambda x: (gf.backpropagate, [x], [gf.sum(x)], [x]), gf.ShapeError),
    "a node in place of outputs": (lambda x: (gf.backpropagate, x, x, x), gf.GraphError),
}


def everything(g):
    """What grad may change, by numbers: == between nodes would add nodes."""
    forms = {number: form.id for number, form in g.stable_forms.items() if form is not None}
    gradients = {number: node.id for number, node in g.gradients.items()}
    return [id(node) for node in g], g.version, len(g.blocks), gradients, list(g.results), forms, list(g.form_owners)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_differentiated_is_refused_and_changes_nothing(name):
    make, error = REFUSED[name]
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, 2.0, 3.0])
    gf.vector(g, 2, name="i", dtype="int64", value=[0, 2])
    cost = gf.sum(gf.log(gf.softmax(x)))
    gf.grad(cost, x)
    act, *arguments = make(x)
    before = everything(g)
    with pytest.raises(error) as caught:
        act(*arguments)
    if error is not ZeroDivisionError:
        assert "\n  line    test_autodiff.py:" in str(caught.value)
    assert everything(g) == before
    assert g.cost is cost
    gf.TapeMachine(g).run_all()
    assert x.grad.shape == (3,)


def test_after_a_refusal_a_right_call_works():
    g = gf.ExprGraph()
    x, other = gf.vector(g, 3, value=[1.0, 2.0, 3.0]), gf.scalar(g)
    cost = gf.sum(gf.log(gf.softmax(x)) * [1.0, 0.0, 0.0])
    with pytest.raises(gf.GradientError, match="does not depend on"):
        gf.grad(cost, x, other)
    (dx,) = gf.grad(cost, x)
    p = np.exp([1.0, 2.0, 3.0]) / np.exp([1.0, 2.0, 3.0]).sum()
    np.testing.assert_allclose(run(dx), [1, 0, 0] - p, atol=1e-6)
