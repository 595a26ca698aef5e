"""einsum, tensordot, dot and batches of products: against numpy on every backend, gradients, loops, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.graph import ancestors
from graphflow.loops import Contract, View
from graphflow.ops.sampling import numbers
from graphflow.testing import check_gradient
from graphflow.testing.agreement import available_backends
from tests.ops.elementwise import run

BACKENDS = available_backends()

EQUATIONS = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "ij,jk": ((2, 3), (3, 4)),
    "ij,jk->ki": ((2, 3), (3, 4)),
    "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
    "bij,bjk->ikb": ((2, 3, 4), (2, 4, 5)),
    "bqhd,bkhd->bhqk": ((2, 3, 2, 4), (2, 5, 2, 4)),
    "bhqk,bkhd->bqhd": ((2, 2, 3, 5), (2, 5, 2, 4)),
    "ijk,kjl->il": ((2, 3, 4), (4, 3, 5)),
    "ijk,jil->kl": ((2, 3, 4), (3, 2, 5)),
    "i,i->": ((3,), (3,)),
    "i,j->ij": ((3,), (4,)),
    "i,j->ji": ((3,), (4,)),
    "ij,ij->ij": ((3, 4), (3, 4)),
    "ij,ij->i": ((3, 4), (3, 4)),
    "ij,j->ij": ((3, 4), (4,)),
    "ij,i->ji": ((3, 4), (3,)),
    "ii->i": ((3, 3),),
    "ii": ((3, 3),),
    "iij->j": ((3, 3, 2),),
    "iji->j": ((3, 2, 3),),
    "iii": ((3, 3, 3),),
    "ij->ji": ((2, 3),),
    "ba": ((2, 3),),
    "ij->": ((2, 3),),
    "ij->j": ((2, 3),),
    "ij,kl->": ((2, 3), (4, 2)),
    "ij,jk,kl->il": ((2, 3), (3, 4), (4, 2)),
    "bi,ijk,bk->bj": ((2, 3), (3, 4, 5), (2, 5)),
    "ij,jk,kl,lm->im": ((2, 3), (3, 4), (4, 2), (2, 3)),
    "i,i,i->": ((3,), (3,), (3,)),
    "...ij,...jk->...ik": ((5, 2, 3), (5, 3, 4)),
    "...ij,...jk": ((5, 1, 2, 3), (2, 3, 4)),
    "i...,i...->...": ((3, 2, 4), (3, 4)),
    "...->...": ((2, 3),),
    "...i->i...": ((2, 3, 4),),
    "...ii->...i": ((2, 3, 3),),
    "ij,jk->ik ": ((2, 1), (3, 4)),
    " i j , j -> i ": ((2, 3), (3,)),
    ",i->i": ((), (3,)),
    "Aa,ab->Ab": ((2, 3), (3, 4)),
    "ij,jk-> ik": ((2, 0), (0, 4)),
    "ij,jk->k": ((0, 3), (3, 4)),
}


def arrays_for(shapes):
    return [numbers(*shape, seed=place) for place, shape in enumerate(shapes)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_is_numpys(equation, backend):
    arrays = arrays_for(EQUATIONS[equation])
    expected = np.einsum(equation, *arrays)
    found = run(lambda *nodes: gf.einsum(equation, *nodes), *arrays, backend=backend)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    single = [array.astype(np.float32) for array in arrays]
    found = run(lambda *nodes: gf.einsum(equation, *nodes), *single, backend=backend)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_gradients_of_einsum(equation):
    arrays = arrays_for(EQUATIONS[equation])
    if all(array.size for array in arrays):
        check_gradient(lambda *nodes: gf.einsum(equation, *nodes), *arrays, order=2)


@st.composite
def equations(draw):
    """An equation of up to three operands over five letters, and sizes for them."""
    letters = st.sampled_from("abcde")
    parts = draw(st.lists(st.lists(letters, max_size=4), min_size=1, max_size=3))
    used = sorted({letter for part in parts for letter in part})
    out = draw(st.permutations(used))[: draw(st.integers(0, len(used)))] if used else []
    sizes = {letter: draw(st.integers(0, 3)) for letter in "abcde"}
    equation = ",".join("".join(part) for part in parts) + "->" + "".join(out)
    return equation, [tuple(sizes[letter] for letter in part) for part in parts]


@settings(max_examples=150)
@given(equations())
def test_any_einsum_is_numpys(drawn):
    equation, shapes = drawn
    arrays = arrays_for(shapes)
    expected = np.einsum(equation, *arrays)
    for backend in BACKENDS:
        found = run(lambda *nodes: gf.einsum(equation, *nodes), *arrays, backend=backend)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def contractions(node):
    """The products behind a node, and how many elements are moved for them."""
    loops = [each.op.lower(*[operand.type for operand in each.inputs]) for each in ancestors([node]) if each.op]
    return [loop for loop in loops if isinstance(loop, Contract)], [loop for loop in loops if isinstance(loop, View)]


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bqhd,bkhd->bhqk", ((2, 3, 2, 4), (2, 5, 2, 4))),
        ("bhqk,bkhd->bqhd", ((2, 2, 32, 32), (2, 32, 2, 32))),
        ("ijk,jkl->il", ((2, 3, 4), (3, 4, 5))),
        ("ij,jk->ki", ((2, 3), (3, 4))),
    ],
)
def test_products_of_matrices_move_nothing(equation, shapes):
    g = gf.ExprGraph()
    products, views = contractions(gf.einsum(equation, *[gf.tensor(g, shape) for shape in shapes]))
    assert len(products) == 1
    assert len(products[0].summed) == 1
    assert not views


def test_several_summed_axes_become_one():
    g = gf.ExprGraph()
    y = gf.einsum("ijk,kjl->il", gf.tensor(g, (2, 3, 4)), gf.tensor(g, (4, 3, 5)))
    products, views = contractions(y)
    assert [len(loop.summed) for loop in products] == [1]
    assert len(views) == 1


@pytest.mark.parametrize("equation", ["aecb,cdef->afdb", "be,febc->ecf"])
def test_small_products_become_a_large_one_that_is_moved(equation):
    """Written where they belong they would be hundreds of small ones; the compiler does not undo it."""
    sizes = dict(zip("abcdef", (20, 4, 4, 6, 4, 20), strict=True))
    shapes = [tuple(sizes[letter] for letter in part) for part in equation.partition("->")[0].split(",")]
    g = gf.ExprGraph()
    y = gf.einsum(equation, *[gf.tensor(g, shape, init=gf.ones()) for shape in shapes])
    machine = gf.TapeMachine(g, outputs=[y], backend="numpy")
    loops = [instruction.loop for instruction in machine.program.instructions]
    (product,) = [loop for loop in loops if isinstance(loop, Contract)]
    rows = [label for label in product.left if label not in product.right]
    columns = [label for label in product.right if label not in product.left]
    assert list(product.out)[-len(rows + columns) :] == rows + columns


def test_the_cheapest_pair_comes_first():
    g = gf.ExprGraph()
    vector, first, second = gf.vector(g, 50), gf.matrix(g, (50, 50)), gf.matrix(g, (50, 50))
    for operands, equation in (((first, second, vector), "ij,jk,k->i"), ((vector, first, second), "i,ij,jk->k")):
        products, _ = contractions(gf.einsum(equation, *operands))
        assert [len(loop.left) + len(loop.right) for loop in products] == [3, 3]


@pytest.mark.parametrize(
    ("equation", "shapes", "words"),
    [
        ("ij,jk->ik", ((2, 3),), "1 operands"),
        ("ij", ((2, 3), (3, 4)), "2 operands"),
        ("ij,jk->ik", ((2, 3), (4, 5)), "sizes 3 and 4 for 'j'"),
        ("ii->i", ((2, 3),), "sizes 2 and 3 for 'i'"),
        ("ii->i", ((1, 3),), "sizes 1 and 3 for 'i'"),
        ("ijk->i", ((2, 3),), "got     2 axes"),
        ("i->i", ((2, 3),), "got     2 axes"),
        ("ij->k", ((2, 3),), "letters of the operands"),
        ("ij->ii", ((2, 3),), "letters of the operands"),
        ("i1->i", ((2, 3),), "got     '1'"),
        ("i->j->i", ((2,),), "got     '-'"),
        ("...i......->i", ((2,),), "got     '.'"),
        ("...i->i", ((3, 2),), "'...' in the result"),
        ("...i,...i->...", ((3, 2), (4, 2)), "axis -1 of '...'"),
        (3, ((2,),), "3 is no equation"),
    ],
)
def test_equations_that_do_not_fit_are_refused(equation, shapes, words):
    g = gf.ExprGraph()
    nodes = [gf.tensor(g, shape) for shape in shapes]
    with pytest.raises(gf.ShapeError) as caught:
        gf.einsum(equation, *nodes)
    assert words in str(caught.value)
    assert str(caught.value).startswith("einsum: ")
    assert len(g) == len(nodes)


def test_dtypes_are_refused_and_nothing_is_left_behind():
    g = gf.ExprGraph()
    x, y = gf.matrix(g, (2, 2)), gf.matrix(g, (2, 2), dtype="float64")
    for refused in (
        lambda: gf.einsum("ii,ij->j", x, y),
        lambda: gf.tensordot(gf.transpose(x), y, 2),
        lambda: gf.einsum("ij,jk->ik", x > 0.0, x > 0.0),
    ):
        before = len(g)
        with pytest.raises(gf.DTypeError):
            refused()
        assert not [node for node in g.nodes[before:] if node.op and node.op.symbol in ("sum", "slice", "contraction")]
    with pytest.raises(gf.GraphError, match="einsum: no operand is a node"):
        gf.einsum("i,i->", [1.0], [2.0])


def test_arrays_stand_for_constants():
    table = numbers(3, 4)
    x = numbers(2, 3, seed=1)
    np.testing.assert_allclose(run(lambda x: gf.einsum("ij,jk->ik", x, table), x), x @ table)
    np.testing.assert_allclose(run(lambda x: gf.tensordot(x, table, 1), x), x @ table)


def test_whole_numbers_are_multiplied_as_such():
    a = np.array([[2**53 + 1, 0], [0, 1]])
    for backend in BACKENDS:
        assert run(lambda x: gf.einsum("ij,jk->ki", x, x), a, backend=backend).tolist() == (a @ a).T.tolist()


# --- tensordot and dot ------------------------------------------------------------------------------------------------

TENSORDOTS = {
    "two": ((2, 3, 4), (3, 4, 5), 2),
    "none": ((2, 3), (4,), 0),
    "one": ((2, 3), (3, 4), 1),
    "pairs": ((2, 3, 4), (4, 3, 5), ([1, 2], [1, 0])),
    "numbers": ((2, 3, 4), (5, 3), (1, -1)),
    "apart": ((3, 2, 4), (4, 5, 3), ((0, 2), (2, 0))),
    "all": ((2, 3), (2, 3), 2),
    "of vectors": ((3,), (3,), 1),
    "nothing to sum": ((2, 0), (0, 3), 1),
    "no pairs": ((2,), (3,), ([], [])),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", TENSORDOTS)
def test_tensordot_is_numpys(name, backend):
    first, second, axes = TENSORDOTS[name]
    arrays = arrays_for((first, second))
    expected = np.tensordot(*arrays, axes)
    found = run(lambda x, y: gf.tensordot(x, y, axes), *arrays, backend=backend)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", sorted(set(TENSORDOTS) - {"nothing to sum"}))
def test_gradients_of_tensordot(name):
    first, second, axes = TENSORDOTS[name]
    check_gradient(lambda x, y: gf.tensordot(x, y, axes), *arrays_for((first, second)), order=2)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (3, "0 to 2"),
        (-1, "0 to 2"),
        (([0], [0, 1]), "no pairs"),
        (([0, 0], [0, 1]), "named twice"),
        ((5, 0), "no axis 5"),
        ((0, 0), "sizes 2 and 3 along axes 0 and 0"),
        ("axes", "no pairs"),
        (None, "are no axes"),
        (0.5, "are no axes"),
    ],
)
def test_axes_that_do_not_fit_are_refused(axes, words):
    g = gf.ExprGraph()
    x, y = gf.matrix(g, (2, 3)), gf.matrix(g, (3, 4))
    with pytest.raises(gf.ShapeError, match="tensordot: ") as caught:
        gf.tensordot(x, y, axes)
    assert words in str(caught.value)
    assert len(g) == 2


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "shapes", [((), (3,)), ((2, 3), ()), ((3,), (3,)), ((2, 3), (3, 4)), ((2, 3, 4), (4,)), ((2, 4), (5, 4, 3))]
)
def test_dot_is_numpys(shapes, backend):
    arrays = arrays_for(shapes)
    found = run(gf.dot, *arrays, backend=backend)
    np.testing.assert_allclose(found, np.dot(*arrays), rtol=1e-12)
    check_gradient(gf.dot, *arrays)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transpose_left", [False, True])
@pytest.mark.parametrize("transpose_right", [False, True])
def test_batched_matmul_reads_transposes(backend, transpose_left, transpose_right):
    x, y = numbers(2, 1, 3, 4), numbers(5, 4, 2, seed=1)
    given = [np.swapaxes(a, -1, -2).copy() if turn else a for a, turn in ((x, transpose_left), (y, transpose_right))]

    def build(a, b):
        return gf.batched_matmul(a, b, transpose_left=transpose_left, transpose_right=transpose_right)

    np.testing.assert_allclose(run(build, *given, backend=backend), x @ y, rtol=1e-12)
    check_gradient(build, *given)
