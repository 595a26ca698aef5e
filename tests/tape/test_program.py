"""Programs: the listing, and what it says about each instruction."""

from __future__ import annotations

import re
import textwrap

import numpy as np

import graphflow as gf
from graphflow.passes.plan import Place
from graphflow.tape.program import Operand
from graphflow.tensortype import TensorType


def lines(text):
    return textwrap.dedent(text).strip("\n")


def listed(program):
    """The listing without the users' lines, which move with this file."""
    return re.sub(r"  test_program\.py:\d+", "", str(program))


def test_the_program_of_the_first_example():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    w = gf.matrix(g, (2, 3), name="w", init=gf.glorot_n(1.0))
    b = gf.vector(g, 2, name="b", init=gf.zeroes())
    y = gf.tanh(w @ x + b)
    cost = gf.sum(y * y)
    gf.grad(cost, w, b)
    assert listed(gf.compile_graph(g)) == lines(
        """
            0  arena[0] <- contract ab,b->a (input[1], input[0]) float32[2]
            1  arena[0] <- map tanh((x0 + x1)) (arena[0], input[2]) float32[2]
            2  arena[64] <- map (x * x) (arena[0]) float32[2]
            3  arena[128] <- reduce sum axes [0] (arena[64]) float32[]
            4  gradient[2] <- map t0 = x0 * x1; ((t0 + t0) * (1 - x2)) (constant[7], arena[0], arena[64]) float32[2]
            5  gradient[1] <- contract a,b->ab (gradient[2], input[0]) float32[2, 3]
        6 instructions, 192 bytes of arena, 3 inputs, 1 constants, 3 values to read
        """
    )


def test_each_line_names_step_result_loop_operands_type_name_and_origin():
    g = gf.ExprGraph()
    x = gf.matrix(g, (4, 3), name="x")
    with g.step(7):
        row = x[2]
        row.name = "row"
    (line, totals) = str(gf.compile_graph(g)).splitlines()
    assert re.fullmatch(
        r"    0  t=7 arena\[0\] <- view \[\$0, 0\+1\*i0\] \(input\[0\]\) float32\[3\]  row  test_program.py:\d+", line
    )
    assert totals == "1 instructions, 64 bytes of arena, 1 inputs, 0 constants, 1 values to read"


def test_assignments_are_listed():
    g = gf.ExprGraph()
    x = gf.scalar(g, name="x", value=1.0)
    y = gf.exp(x)
    gf.set_(x, y)
    assert "\n  set  x <- %1\n" in str(gf.compile_graph(g))


def test_operands_say_where_they_lie():
    kind = TensorType(np.dtype("float32"), (2, 3))
    place = Place("arena", 64, 0, (3, 1), (2, 3))
    assert str(Operand(kind, place)) == "arena[64]"
    assert str(Operand(kind, place._replace(offset=4))) == "arena[64]+4"
    assert str(Operand(kind, place._replace(kind="input", key=5, strides=(1, 2)))) == "input[5] by (1, 2)"
    assert str(Operand(kind._replace(shape=(2, 1)), place._replace(strides=(1, 17)))) == "arena[64]"


def test_a_program_counts_walks_and_shows_itself():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    gf.sum(gf.softmax(x))
    program = gf.compile_graph(g)
    assert len(list(program)) == len(program) == 2
    assert repr(program) == "<Program of 2 instructions>"
    assert [instruction.node for instruction in program] == list(g.nodes[1:])
    assert program.inputs == (x,)


def test_printing_the_same_graph_twice_gives_the_same_text():
    texts = set()
    for _ in range(3):
        g = gf.ExprGraph()
        x = gf.vector(g, 3, name="x")
        gf.grad(gf.sum(gf.log(gf.softmax(x * x))), x)
        texts.add(str(gf.compile_graph(g)))
    assert len(texts) == 1
