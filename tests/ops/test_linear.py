"""Products of vectors, matrices and batches: against numpy, against differences, and what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.autodiff import grad
from graphflow.construct import matrix, scalar, tensor, vector
from graphflow.dtypes import int64
from graphflow.errors import DTypeError, GraphError, ShapeError
from graphflow.graph import ExprGraph, ancestors, apply
from graphflow.loops import Contract
from graphflow.ops.linear import MatMul, Outer, matmul, outer, outer_prod
from graphflow.ops.reductions import sum as total
from graphflow.ops.sampling import f32, numbers
from graphflow.ops.shape import Transpose
from tests.ops.small_machine import check_gradients, inputs_like, run, squares

SIZE = st.integers(0, 4)


@st.composite
def operands(draw):
    """Two shapes whose product numpy knows, of every kind: vectors, matrices, batches, size-1 and empty axes."""
    rows, inner, columns = draw(SIZE), draw(SIZE), draw(SIZE)
    batch = draw(st.lists(SIZE, max_size=2))
    shapes = []
    for matrix_shape in ((rows, inner), (inner, columns)):
        if draw(st.booleans()):
            shapes.append((inner,))
        else:
            own = [draw(st.sampled_from([1, size])) for size in batch]
            shapes.append((*own[draw(st.integers(0, len(own))) :], *matrix_shape))
    return tuple(shapes)


@given(operands(), st.booleans(), st.booleans())
def test_products_are_numpys(shapes, transpose_left, transpose_right):
    a, b = (numbers(*shape, seed=seed) for seed, shape in enumerate(shapes))
    x, y = inputs_like(a, b)
    feeds = {x: a, y: b}
    for lowered in (False, True):
        np.testing.assert_allclose(run(matmul(x, y), feeds=feeds, lowered=lowered), np.matmul(a, b), atol=1e-12)

    transpose_left, transpose_right = transpose_left and a.ndim > 1, transpose_right and b.ndim > 1
    stored = np.swapaxes(a, -1, -2) if transpose_left else a, np.swapaxes(b, -1, -2) if transpose_right else b
    x, y = inputs_like(*stored)
    product = apply(MatMul(transpose_left, transpose_right), x, y)
    for lowered in (False, True):
        found = run(product, feeds={x: stored[0], y: stored[1]}, lowered=lowered)
        np.testing.assert_allclose(found, np.matmul(a, b), atol=1e-12)


@pytest.mark.parametrize("sample", [*MatMul.samples()], ids=lambda s: f"{s.op} {[a.shape for a in s.inputs]}")
def test_gradients_of_products_and_their_gradients(sample):
    check_gradients(lambda *nodes: apply(sample.op, *nodes), sample.inputs)


@given(operands())
def test_gradients_of_products_have_the_operands_types(shapes):
    x, y = inputs_like(*(np.empty(shape) for shape in shapes))
    dx, dy = grad(squares(matmul(x, y)), x, y)
    ddx, ddy = grad(squares(dx, dy), x, y)
    assert dx.type == ddx.type == x.type
    assert dy.type == ddy.type == y.type


@pytest.mark.parametrize("sample", [*Outer.samples()], ids=lambda s: f"{[a.shape for a in s.inputs]}")
def test_gradients_of_outer_products_and_their_gradients(sample):
    check_gradients(outer, sample.inputs)


@given(st.lists(SIZE, max_size=2), st.lists(SIZE, max_size=2))
def test_outer_products_are_numpys(left, right):
    a, b = numbers(*left), numbers(*right, seed=1)
    x, y = inputs_like(a, b)
    for lowered in (False, True):
        found = run(outer(x, y), feeds={x: a, y: b}, lowered=lowered)
        np.testing.assert_array_equal(found, np.multiply.outer(a, b))


def test_outer_has_gorgonias_name_too():
    assert outer_prod is outer


def test_the_operator_takes_arrays_on_both_sides():
    g = ExprGraph()
    x = vector(g, 2, value=[1.0, 2.0])
    table = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert run(table @ x).tolist() == [5.0, 11.0, 17.0]
    assert run(x @ table.T).tolist() == [5.0, 11.0, 17.0]
    assert (table @ x).type == f32(3)


def test_whole_numbers_are_multiplied_as_such():
    g = ExprGraph()
    a, b = tensor(g, (2, 2), dtype=int64, value=[[2**53 + 1, 0], [0, 1]]), vector(g, 2, dtype=int64, value=[1, 3])
    assert run(a @ b).tolist() == run(a @ b, lowered=True).tolist() == [2**53 + 1, 3]
    assert run(outer(b, b), lowered=True).tolist() == [[1, 3], [3, 9]]


@pytest.mark.parametrize(
    ("left", "right", "form"),
    [
        ((3,), (3,), "contract b,b->"),
        ((2, 3), (3,), "contract ab,b->a"),
        ((3,), (3, 4), "contract b,bc->c"),
        ((2, 3), (3, 4), "contract ab,bc->ac"),
        ((5, 2, 3), (3, 4), "contract abc,cd->abd"),
        ((5, 2, 3), (5, 3, 4), "contract abc,acd->abd"),
        ((6, 1, 2, 3), (5, 3, 4), "contract abcd,bde->abce"),
        ((3,), (5, 3, 4), "contract c,acd->ad"),
        ((5, 2, 3), (3,), "contract abc,c->ab"),
    ],
)
def test_the_loop_form(left, right, form):
    assert str(MatMul().lower(f32(*left), f32(*right))) == form


def test_the_loop_form_of_transposed_operands():
    assert str(MatMul(transpose_left=True, transpose_right=True).lower(f32(3, 2), f32(4, 3))) == "contract ba,cb->ac"
    assert str(MatMul(transpose_left=True).lower(f32(5, 3, 2), f32(3))) == "contract acb,c->ab"
    assert str(Outer().lower(f32(2, 3), f32(4))) == "contract ab,c->abc"


@pytest.mark.parametrize("sample", [*MatMul.samples()], ids=lambda s: f"{s.op} {[a.shape for a in s.inputs]}")
def test_gradients_transpose_nothing(sample):
    x, y = inputs_like(*sample.inputs)
    first = grad(squares(apply(sample.op, x, y)), x, y)
    second = grad(squares(*first), x, y)
    assert not [node for node in ancestors(second) if isinstance(node.op, Transpose)]


def test_the_gradient_of_a_matrix_vector_product_is_two_nodes():
    g = ExprGraph()
    w, x = matrix(g, (2, 3), name="w"), vector(g, 3, name="x")
    y = w @ x
    dw, dx = grad(total(y * y), w, x)
    assert dw.op == Outer()
    assert dw.inputs[1] is x
    assert dx.op == MatMul(transpose_left=True)
    assert dx.inputs[0] is w
    assert dw.inputs[0] is dx.inputs[1]


def test_a_matrix_used_by_a_batch_gets_its_gradient_in_one_product():
    g = ExprGraph()
    x, w = tensor(g, (5, 7, 3)), matrix(g, (3, 4), name="w")
    (dw,) = grad(total(x @ w), w)
    assert isinstance(dw.op, MatMul)
    assert [node.shape for node in dw.inputs] == [(35, 3), (35, 4)]


# --- what is refused --------------------------------------------------------------------------------------------------


def refused(function, error):
    with pytest.raises(error) as caught:
        function()
    return str(caught.value)


def test_the_message_for_sizes_that_do_not_fit():
    g = ExprGraph()
    x, w = matrix(g, (30, 20), name="x"), matrix(g, (100, 20), name="w")
    before = len(g)
    line = inspect.currentframe().f_lineno + 2
    with pytest.raises(ShapeError) as caught:
        x @ w
    assert str(caught.value) == (
        "matmul: cannot multiply x: float32[30, 20] by w: float32[100, 20]\n"
        "  got     inner sizes 20 and 100\n"
        "  needs   the last size of the left operand equal to the second to last of the right\n"
        "  try     x @ w.T\n"
        f"  line    test_linear.py:{line}"
    )
    assert len(g) == before
    assert (x @ w.T).shape == (30, 100)


@pytest.mark.parametrize(
    ("left", "right", "advice"),
    [
        ((2, 3), (4, 3), "x @ w.T"),
        ((3,), (2, 3), "x @ w.T"),
        ((5, 2, 3), (4, 3), "x @ w.T"),
        ((3, 2), (3, 4), "x.T @ w"),
        ((3, 2), (3,), "x.T @ w"),
        ((3, 2), (4, 3), "w @ x"),
        ((2, 3), (4, 5), None),
        ((3,), (4,), None),
        ((5, 2, 3), (5, 2, 4), None),
        ((5, 2, 3), (7,), None),
    ],
)
def test_advice_is_given_only_where_it_works(left, right, advice):
    g = ExprGraph()
    x, w = tensor(g, left, name="x"), tensor(g, right, name="w")
    message = refused(lambda: x @ w, ShapeError)
    found = [line.split(maxsplit=1)[1] for line in message.splitlines() if line.startswith("  try")]
    assert found == ([advice] if advice else [])
    fits = {"x @ w.T": lambda: x @ w.T, "x.T @ w": lambda: x.T @ w, "w @ x": lambda: w @ x}
    if advice:
        assert fits[advice]().dims >= 1


def test_other_refusals():
    g = ExprGraph()
    x, w, s = tensor(g, (2, 3, 4), name="x"), tensor(g, (3, 4, 5), name="w"), scalar(g, name="s")
    before = len(g)
    assert "batch axes (2,) and (3,)" in refused(lambda: x @ w, ShapeError)
    assert "try     s * x" in refused(lambda: s @ x, ShapeError)
    assert "needs   the last size of the left operand equal to the size of the right" in refused(
        lambda: x @ vector(g, 3), ShapeError
    )
    assert "float32 and float64" in refused(lambda: x @ vector(g, 4, dtype="float64"), DTypeError)
    assert "got     bool" in refused(lambda: matmul(vector(g, 2, dtype="bool"), vector(g, 2, dtype="bool")), DTypeError)
    assert "got     bool" in refused(lambda: outer(vector(g, 2, dtype="bool"), vector(g, 2, dtype="bool")), DTypeError)
    assert "another graph" in refused(lambda: x @ vector(ExprGraph(), 4), GraphError)
    assert "no operand is a node" in refused(lambda: matmul([1.0], [2.0]), GraphError)
    assert all(node.op is None for node in g.nodes[before:])


@pytest.mark.parametrize("bad", [*MatMul.bad_samples(), *Outer.bad_samples()], ids=str)
def test_bad_samples_are_refused(bad):
    with pytest.raises(bad.error):
        bad.op.infer(*bad.types)


def test_the_form_is_plain_data():
    assert MatMul().lower(f32(2, 3), f32(3)) == Contract((0, 1), (1,), (0,))
    assert MatMul() == MatMul(transpose_left=False)
    assert MatMul() != MatMul(transpose_left=True)
