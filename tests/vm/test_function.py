"""function and compile_graph."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import graphflow as gf


def model():
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x")
    b = gf.scalar(g, name="b")
    w = gf.matrix(g, (2, 2), name="w", init=gf.ones())
    return SimpleNamespace(g=g, x=x, b=b, w=w, y=w @ x + b)


def test_a_function_takes_values_and_gives_values(backend):
    m = model()
    run = gf.function([m.x, m.b], m.y, backend=backend)
    assert run([1.0, 2.0], 0.5).tolist() == [3.5, 3.5]
    assert run(np.array([0.0, 1.0]), -1).tolist() == [0.0, 0.0]


def test_several_outputs_come_as_a_tuple(backend):
    m = model()
    cost = gf.sum(m.y)
    (dw,) = gf.grad(cost, m.w)
    found = gf.function([m.x, m.b], [cost, dw], backend=backend)([1.0, 2.0], 0.0)
    assert isinstance(found, tuple)
    assert [each.tolist() for each in found] == [6.0, [[1.0, 2.0], [1.0, 2.0]]]
    single = gf.function([m.x, m.b], [m.y], backend=backend)([1.0, 2.0], 0.0)
    assert isinstance(single, tuple)


def test_an_output_may_be_an_input_a_constant_or_listed_twice(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    c = gf.constant(g, 4.0)
    y = x + c
    found = gf.function([x], [x, y, y, c], backend=backend)(1.0)
    assert [float(each) for each in found] == [1.0, 5.0, 5.0, 4.0]


def test_dropout_can_be_switched_off(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 50, name="x")
    y = gf.dropout(x, 0.5)
    assert (gf.function([x], y, backend=backend)(np.ones(50)) == 0).any()
    assert (gf.function([x], y, backend=backend, eval_mode=True)(np.ones(50)) == 1).all()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (lambda m: ([m.y, m.b, m.x], m.y), gf.GraphError, "is no input"),
        (lambda m: ([m.x, m.b, m.x], m.y), gf.GraphError, "listed twice"),
        (lambda m: ([m.x, m.b, m.w], gf.tanh(m.x)), gf.GraphError, "not used"),
        (lambda m: ([m.x], m.y), gf.UnboundError, "b: float32.. has no value and is not among the inputs"),
        (lambda m: ([m.x, m.b], []), gf.GraphError, "nothing to compute"),
        (lambda m: ([m.x, 3.0], m.y), gf.GraphError, "is no node"),
        (lambda m: ([m.x, m.b], [3.0]), gf.GraphError, "is no node"),
        (lambda m: (m.x, gf.tanh(m.x)), gf.GraphError, "single node"),
        (lambda m: ([m.x, gf.scalar(gf.ExprGraph())], m.y), gf.GraphError, "another graph"),
        (lambda m: ([m.x, gf.constant(m.x.graph, 1.0)], m.x + 1.0), gf.GraphError, "is no input"),
    ],
)
def test_wrong_inputs_and_outputs_are_refused(arguments, error, text):
    m = model()
    inputs, outputs = arguments(m)
    before = len(m.g)
    with pytest.raises(error, match=text):
        gf.function(inputs, outputs)
    assert len(m.g) == before


def test_wrong_values_are_refused_and_none_is_bound(backend):
    m = model()
    run = gf.function([m.x, m.b], m.y, backend=backend)
    run([1.0, 2.0], 0.5)
    for values, error in (
        (([5.0, 5.0], "text"), gf.BindingError),
        (([5.0, 5.0], [1.0]), gf.ShapeError),
        (([5.0, 5.0], None), gf.BindingError),
        (([5.0, 5.0], 1e39), gf.BindingError),
        (([5.0, 5.0], 1j), gf.BindingError),
        (([5.0, 5.0],), gf.GraphError),
        (([5.0, 5.0], 1.0, 1.0), gf.GraphError),
        ((), gf.GraphError),
        (([5.0, 5.0], m.x), gf.GraphflowError),
    ):
        with pytest.raises(error):
            run(*values)
        assert (m.x.value.tolist(), m.b.value) == ([1.0, 2.0], 0.5)
    assert run([1.0, 2.0], 0.5).tolist() == [3.5, 3.5]


def test_a_function_follows_weights_and_slices(backend):
    g = gf.ExprGraph()
    w = gf.matrix(g, (3, 2), init=gf.ranged_from(0))
    x = gf.scalar(g, name="x")
    row = w[0]
    run = gf.function([x], row * x, backend=backend)
    assert run(1.0).tolist() == [0.0, 1.0]
    gf.unsafe_let(row, 2)
    assert run(1.0).tolist() == [4.0, 5.0]
    gf.let(w, np.zeros((3, 2)))
    assert run(1.0).tolist() == [0.0, 0.0]


def test_compiling_alone_runs_nothing():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    y = gf.tanh(x * 2.0)
    y.name = "y"
    z = gf.sum(y)
    program = gf.compile_graph(g)
    assert isinstance(program, gf.Program)
    assert program.results.keys() == {y.id, z.id}
    assert len(gf.compile_graph(g, y)) < len(program)
    assert len(gf.compile_graph(g, keep="all").results) == 3
    assert [instruction.node.graph for instruction in program] == [g] * len(program)
    with pytest.raises(gf.ValueNotKept):
        y.value  # noqa: B018 - reading is what is tested
