"""`graph.explain`: how a node comes about, in words that are bounded on any graph."""

from __future__ import annotations

import inspect

import pytest

import graphflow as gf
from graphflow.explanation import neighbourhood, spoken
from graphflow.testing import random_network


def here():
    """The line of the caller."""
    return inspect.currentframe().f_back.f_lineno


def recurrent(steps):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    w = gf.matrix(g, (3, 3), name="w")
    h = x
    for t in range(steps):
        with g.step(t), g.scope("cell"):
            h = gf.tanh(w @ h)
    cost = gf.sum(h) * 2.0
    cost.name = "cost"
    (dw,) = gf.grad(cost, w)
    return g, x, w, h, cost, dw


def without_lines(text):
    return [line.rpartition("  test_explanation.py")[0] or line for line in text.splitlines()]


def test_a_value_is_told_from_its_inputs_on():
    g, *_, cost, _ = recurrent(30)
    assert without_lines(g.explain(cost)) == [
        f"cost: float32[] = hadamard_prod(%62, %63), made at {cost.origin}",
        "It takes 62 operations on 2 inputs. The longest chain of them:",
        "  w: float32[3, 3], a parameter, as a gradient was taken of it",
        "  step 0, cell:",
        "    %2: float32[3] = matmul(w, x)",
        "        The product of vectors, matrices and batches of matrices.",
        "    %3: float32[3] = tanh(%2)",
        "        map tanh(x)",
        "  steps 1 to 29: the same, up to %61",
        "  %62: float32[] = sum(%61)",
        "      reduce sum axes [0]",
        "  cost: float32[] = hadamard_prod(%62, %63)",
        "      map (x0 * x1)",
        "What is read:",
        "  x: float32[3], an input",
        "  w: float32[3, 3], a parameter, as a gradient was taken of it",
    ]


def test_a_gradient_is_told_from_the_cost_back():
    g, *_, dw = recurrent(30)
    lines = without_lines(g.explain(dw))
    assert lines[0].startswith(f"{dw.label}: float32[3, 3] = total(")
    assert lines[1:10] == [
        "It is the gradient of cost with respect to w, of the same shape.",
        "It comes back from cost through 62 operations, by the longest way:",
        "  cost: float32[] = hadamard_prod(%62, %63)",
        "  %62: float32[] = sum(%61)",
        "  step 29, cell:",
        "    %61: float32[3] = tanh(%60)",
        "    %60: float32[3] = matmul(w, %59)",
        "  steps 28 to 0: the same, down to %2",
        "  w: float32[3, 3]",
    ]


def test_a_node_of_the_backward_pass_is_told_what_it_is_for():
    g, _, _, h, _, dw = recurrent(4)
    node = next(node for node in g if node.gradient_of is h)
    text = g.explain(node)
    assert f"It belongs to the backward pass, to the gradient of {h} = tanh(%8)  {h.origin}\n" in text
    assert spoken(dw) == "the gradient of w"
    assert spoken(node) == node.label


def test_inputs_and_constants_are_told_by_who_reads_them():
    g, x, w, _, cost, dw = recurrent(6)
    assert without_lines(g.explain(x)) == ["x: float32[3], an input", "It is read by %2 = matmul."]
    assert g.explain(w).splitlines()[1] == (
        f"It is read by %2 = matmul, %4 = matmul, %6 = matmul, %8 = matmul and 2 more. Its gradient is {dw.label}."
    )
    constant = next(operand for operand in cost.inputs if operand.is_constant)
    assert without_lines(g.explain(constant))[0] == f"{constant}, the constant 2"
    lonely = gf.scalar(g, name="lonely")
    assert g.explain(lonely).endswith("It is read by nobody.")


def test_a_stable_form_is_told_as_one():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    logs = gf.log(gf.softmax(x))
    gf.grad(gf.sum(logs), x)
    (form,) = (g[number] for number, owner in g.form_owners.items() if owner is logs)
    assert f"It belongs to the stable form of {logs} = log(%1), which gradients go through" in g.explain(form)


def test_named_costs_of_several_gradients_are_told_apart():
    g = gf.ExprGraph()
    x, y = gf.scalar(g, name="x"), gf.scalar(g, name="y")
    one, other = gf.exp(x), gf.tanh(y)
    one.name, other.name = "one", "other"
    (dx,) = gf.grad(one, x)
    (dy,) = gf.grad(other, y)
    assert "the gradient of one with respect to x" in g.explain(dx)
    assert "the gradient of other with respect to y" in g.explain(dy)


@pytest.mark.parametrize("seed", range(10))
def test_any_node_can_be_explained(seed):
    g = random_network(seed, 4).graph
    for node in g:
        lines = g.explain(node).splitlines()
        assert node.label in lines[0]
        assert len(lines) <= 50


def test_huge_graphs_have_short_texts():
    g = gf.ExprGraph()
    h = x = gf.vector(g, 2, name="x")
    for t in range(5_000):
        with g.step(t):
            h = gf.tanh(h) if t % 3 else gf.exp(h)
    for _ in range(5_000):
        h = gf.sigmoid(h)
    many = gf.concat([gf.vector(g, 2) for _ in range(500)] + [h], axis=0)
    cost = gf.sum(many)
    (dx,) = gf.grad(cost, x)
    for node in (cost, dx, x):
        lines = g.explain(node).splitlines()
        assert len(lines) <= 50
        assert max(map(len, lines)) < 200
    assert "more lines ..." in g.explain(cost)
    assert "and 493 more inputs" in g.explain(cost)
    assert len(neighbourhood(many)) < 200


def test_what_is_no_node_here_is_refused():
    g = gf.ExprGraph()
    with pytest.raises(gf.GraphError, match="explain: 'x' is no node"):
        g.explain("x")
    with pytest.raises(gf.GraphError, match="another graph"):
        g.explain(gf.scalar(gf.ExprGraph()))
    x = gf.scalar(g, name="x")
    line = here() - 1
    assert f"test_explanation.py:{line}" in g.subgraph(x).explain(x)
