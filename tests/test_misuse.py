"""Misuse, generated: what is wrong is refused with one family of errors, at the user's line, and changes nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphflow as gf
from tests.refusing import picture

BINARY = {
    "add": gf.add, "sub": gf.sub, "hadamard_prod": gf.hadamard_prod, "hadamard_div": gf.hadamard_div, "pow": gf.pow,
    "lt": gf.lt, "lte": gf.lte, "gt": gf.gt, "gte": gf.gte, "eq": gf.eq, "ne": gf.ne,
}  # fmt: skip
FLOAT_ONLY = {
    "exp": gf.exp, "log": gf.log, "log1p": gf.log1p, "expm1": gf.expm1, "sqrt": gf.sqrt, "tanh": gf.tanh,
    "sigmoid": gf.sigmoid, "softplus": gf.softplus, "rectify": gf.rectify, "softmax": gf.softmax,
    "log_softmax": gf.log_softmax, "log_sum_exp": gf.log_sum_exp, "mean": gf.mean,
}  # fmt: skip
MISFITS = [((3,), (4,)), ((2, 3), (3, 2)), ((2, 3), (2,)), ((2, 3, 4), (3, 3)), ((0,), (2,)), ((5, 1, 2), (4, 3))]


def all_refused(graph, acts):
    """Check that each of some named acts is refused, at a line of this file, and changes nothing; their number."""
    before = picture(graph)
    for name, act in acts.items():
        try:
            act()
        except gf.GraphflowError as error:
            text = str(error)
            assert "\n  line    test_misuse" in text, f"{name}:\n{text}"
            assert "\n  got " in text or "\n  needs " in text, f"{name}:\n{text}"
        else:
            pytest.fail(f"{name} is not refused")
        assert picture(graph) == before, f"{name} changes the graph"
    return len(acts)


@pytest.fixture
def small():
    """A graph with one of everything: inputs of four dtypes, a slice, a computed node, a cost."""
    g = gf.ExprGraph()
    nodes = {
        "v": gf.vector(g, 3, name="v", value=[1.0, 2.0, 3.0]),
        "m": gf.matrix(g, (2, 3), name="m", init=gf.ones()),
        "s": gf.scalar(g, name="s", value=0.5),
        "d": gf.vector(g, 3, name="d", dtype="float64", value=np.ones(3)),
        "i": gf.vector(g, 3, name="i", dtype="int64", value=[0, 1, 2]),
        "b": gf.vector(g, 3, name="b", dtype="bool", value=[True, False, True]),
    }
    nodes["row"] = nodes["m"][0]
    nodes["part"] = nodes["m"][:, 1:3]
    nodes["h"] = gf.tanh(nodes["v"])
    nodes["cost"] = gf.sum(nodes["h"])
    return g, type("Nodes", (), nodes)


# --- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BINARY)
def test_shapes_that_do_not_broadcast(name):
    g = gf.ExprGraph()
    pairs = [(gf.tensor(g, one), gf.tensor(g, other)) for one, other in MISFITS]
    acts = {}
    for x, y in pairs:
        acts |= {
            f"{x} {name} {y}": lambda x=x, y=y: BINARY[name](x, y),
            f"{y} {name} {x}": lambda x=x, y=y: BINARY[name](y, x),
        }
        acts[f"{x} {name} array"] = lambda x=x, y=y: BINARY[name](x, np.ones(y.shape))
        acts[f"array {name} {x}"] = lambda x=x, y=y: BINARY[name](np.ones(y.shape).tolist(), x)
    assert all_refused(g, acts) == 4 * len(MISFITS)


def test_shapes_that_do_not_multiply():
    g = gf.ExprGraph()
    shapes = [(), (3,), (4,), (2, 3), (3, 4), (2, 3, 4), (3, 4, 2), (0, 5)]
    nodes = [gf.tensor(g, shape) for shape in shapes]
    acts = {}
    for x, y in itertools.product(nodes, nodes):
        try:
            np.matmul(np.zeros(x.shape), np.zeros(y.shape))
        except ValueError:
            acts[f"{x} @ {y}"] = lambda x=x, y=y: x @ y
    assert all_refused(g, acts) > 30


def test_shapes_that_do_not_join_or_rearrange(small):
    g, n = small
    acts = {
        "concat of ranks": lambda: gf.concat([n.v, n.m]),
        "concat of sizes": lambda: gf.concat([n.m, n.part], axis=0),
        "concat of scalars": lambda: gf.concat([n.s, n.s]),
        "concat of nothing": lambda: gf.concat([]),
        "concat along no axis": lambda: gf.concat([n.v, n.v], axis=1),
        "concat of a node": lambda: gf.concat(n.m),
        "stack of shapes": lambda: gf.stack([n.v, n.s]),
        "stack along no axis": lambda: gf.stack([n.v, n.v], axis=3),
        "reshape": lambda: gf.reshape(n.m, (4, 2)),
        "reshape to nothing": lambda: gf.reshape(n.m, ()),
        "reshape to two unknowns": lambda: gf.reshape(n.m, (-1, -1)),
        "reshape to a fraction": lambda: gf.reshape(n.m, (-1, 4)),
        "reshape to text": lambda: gf.reshape(n.m, "ab"),
        "reshape to floats": lambda: gf.reshape(n.m, (2.0, 3.0)),
        "reshape to negatives": lambda: gf.reshape(n.m, (-2, -3)),
        "transpose": lambda: gf.transpose(n.m, (0, 0)),
        "transpose of too few": lambda: gf.transpose(n.m, (0,)),
        "transpose of no axes": lambda: gf.transpose(n.m, 1),
        "broadcast": lambda: gf.broadcast_to(n.m, (2, 4)),
        "broadcast down": lambda: gf.broadcast_to(n.m, (3,)),
        "squeeze": lambda: gf.squeeze(n.m, 0),
        "expand": lambda: gf.expand_dims(n.m, 5),
        "expand twice": lambda: gf.expand_dims(n.m, (0, 0)),
        "sum along no axis": lambda: gf.sum(n.m, 2),
        "sum along one twice": lambda: gf.sum(n.m, (0, -2)),
        "sum along text": lambda: gf.sum(n.m, "x"),
        "mean along no axis": lambda: gf.mean(n.v, -2),
        "max along no axis": lambda: gf.max(n.s, 0),
        "softmax along no axis": lambda: gf.softmax(n.v, 1),
        "softmax of a scalar": lambda: gf.softmax(n.s),
        "log_sum_exp along no axis": lambda: gf.log_sum_exp(n.m, axis=-3),
        "where": lambda: gf.where(n.b, n.part, n.v),
        "where of arrays": lambda: gf.where(n.b, n.v, np.ones(4)),
        "cross entropy": lambda: gf.softmax_cross_entropy(n.m, n.i),
        "cross entropy of a scalar": lambda: gf.softmax_cross_entropy(n.s, 0),
        "scatter": lambda: gf.scatter_add(n.i, n.m, 4),
        "scatter to negative rows": lambda: gf.scatter_add(n.i, n.v, -1),
        "scatter to half a row": lambda: gf.scatter_add(n.i, n.v, 1.5),
        "length of a scalar": lambda: len(n.s),
    }
    assert all_refused(g, acts) > 30


def test_values_of_another_shape(small):
    g, n = small
    values = [
        1.0,
        [1.0],
        [1.0] * 4,
        np.ones((3, 1)),
        np.ones((1, 3)),
        np.zeros((0,)),
        [[1.0, 2.0, 3.0]],
        np.ones((3, 3)),
    ]
    acts = {f"let {np.shape(value)}": lambda value=value: gf.let(n.v, value) for value in values}
    acts |= {f"unsafe_let {np.shape(value)}": lambda value=value: gf.unsafe_let(n.h, value) for value in values}
    acts |= {f"value= {np.shape(value)}": lambda value=value: gf.vector(g, 3, value=value) for value in values}
    acts["set_"] = lambda: gf.set_(n.v, n.cost)
    acts["init of another shape"] = lambda: gf.vector(g, 3, init=gf.values_of([1.0, 2.0]))
    acts["a matrix from one size"] = lambda: gf.matrix(g, (3,))
    acts["a vector from two sizes"] = lambda: gf.vector(g, (3, 2))
    assert all_refused(g, acts) >= 25


# --- dtypes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*BINARY, "matmul", "outer"])
def test_dtypes_are_not_mixed(name, small):
    g, n = small
    function = BINARY.get(name) or getattr(gf, name)
    kinds = (n.v, n.d, n.i, n.b)
    acts = {f"{x.dtype} {name} {y.dtype}": lambda x=x, y=y: function(x, y) for x, y in itertools.permutations(kinds, 2)}
    assert all_refused(g, acts) == 12


@pytest.mark.parametrize("name", FLOAT_ONLY)
def test_whole_numbers_and_bools_are_no_floats(name, small):
    g, n = small
    acts = {str(x.dtype): lambda x=x: FLOAT_ONLY[name](x) for x in (n.i, n.b)}
    acts |= {
        f"text {value!r}": lambda value=value: FLOAT_ONLY[name](value) for value in ("x", None, 3.0, [1.0], object())
    }
    assert all_refused(g, acts) == 7


def test_dtypes_that_an_op_does_not_take(small):
    g, n = small
    acts = {
        "bool + bool": lambda: n.b + n.b,
        "-bool": lambda: -n.b,
        "abs(bool)": lambda: gf.abs(n.b),
        "sum(bool)": lambda: gf.sum(n.b),
        "max(bool)": lambda: gf.max(n.b),
        "bool @ bool": lambda: n.b @ n.b,
        "bool < bool": lambda: n.b < n.b,
        "int / int": lambda: n.i / n.i,
        "int ** int": lambda: n.i**n.i,
        "int + 0.5": lambda: n.i + 0.5,
        "float & logic": lambda: gf.logical_and(n.v, n.b),
        "not float": lambda: gf.logical_not(n.v),
        "where float": lambda: gf.where(n.v, n.v, n.v),
        "where two kinds": lambda: gf.where(n.b, n.v, n.d),
        "float ids": lambda: gf.gather(n.m, n.v),
        "bool ids": lambda: gf.gather(n.m, n.b),
        "float ids in a list": lambda: gf.gather(n.m, [0.0, 1.0]),
        "float classes": lambda: gf.softmax_cross_entropy(n.v, n.s),
        "mask as index": lambda: n.m[n.b],
        "scatter bools": lambda: gf.scatter_add(n.i, n.b, 4),
        "concat of kinds": lambda: gf.concat([n.v, n.d]),
        "stack of kinds": lambda: gf.stack([n.v, n.i]),
        "cast to text": lambda: gf.cast(n.v, "text"),
        "cast to complex": lambda: gf.cast(n.v, complex),
        "cast to float16": lambda: n.v.astype("float16"),
        "cast to None": lambda: gf.cast(n.v, None),
        "dropout of ints": lambda: gf.dropout(n.i, 0.5),
        "grad by ints": lambda: gf.grad(n.cost, n.i),
        "set_ of another kind": lambda: gf.set_(n.v, n.d),
        "let floats to ints": lambda: gf.let(n.i, [0.5, 1.0, 2.0]),
        "let floats to bools": lambda: gf.let(n.b, [0.0, 1.0, 0.0]),
        "let ints to bools": lambda: gf.let(n.b, [0, 1, 0]),
        "let complex": lambda: gf.let(n.v, [1j, 0.0, 0.0]),
        "let text": lambda: gf.let(n.v, "abc"),
        "let None": lambda: gf.let(n.v, None),
        "let objects": lambda: gf.let(n.v, [object()] * 3),
        "let ragged lists": lambda: gf.let(n.m, [[1.0], [1.0, 2.0]]),
        "let a node": lambda: gf.let(n.v, n.h),
        "let dates": lambda: gf.let(n.v, np.array(["2020-01-01"] * 3, "datetime64[D]")),
        "a dtype of None": lambda: gf.vector(g, 3, dtype=complex),
        "a constant of text": lambda: gf.constant(g, "abc"),
        "a constant of None": lambda: gf.constant(g, None),
    }
    assert all_refused(g, acts) > 40


# --- graphs -----------------------------------------------------------------------------------------------------------


def test_nodes_of_another_graph(small):
    g, n = small
    other = gf.ExprGraph()
    far = gf.vector(other, 3, name="far", value=[1.0, 2.0, 3.0])
    ids = gf.vector(other, 3, dtype="int64", value=[0, 1, 2])
    truth = gf.vector(other, 3, dtype="bool", value=[True] * 3)
    one = gf.scalar(other, dtype="int64", value=1)
    acts = {name: lambda function=function: function(n.v, far) for name, function in BINARY.items()}
    acts |= {f"{name} turned": lambda function=function: function(far, n.v) for name, function in BINARY.items()}
    acts |= {
        "matmul": lambda: n.m @ far,
        "outer": lambda: gf.outer(n.v, far),
        "concat": lambda: gf.concat([n.v, far]),
        "stack": lambda: gf.stack([n.v, n.v, far]),
        "where": lambda: gf.where(truth, n.v, n.v),
        "logic": lambda: gf.logical_or(n.b, truth),
        "gather": lambda: gf.gather(n.m, ids),
        "index": lambda: n.m[ids],
        "scatter": lambda: gf.scatter_add(ids, n.v, 3),
        "cross entropy": lambda: gf.softmax_cross_entropy(n.v, one),
        "grad": lambda: gf.grad(n.cost, far),
        "backpropagate": lambda: gf.backpropagate([n.h], [far], [n.v]),
        "set_": lambda: gf.set_(n.v, far),
        "subgraph": lambda: g.subgraph(far),
        "outputs": lambda: gf.TapeMachine(g, outputs=far),
        "keep": lambda: gf.TapeMachine(g, keep=[far]),
        "watch": lambda: gf.TapeMachine(g, watch=far),
        "cost": lambda: gf.LispMachine(g, far),
        "function": lambda: gf.function([far], n.h),
        "value_of": lambda: gf.TapeMachine(g).value_of(far),
        "node_from_any": lambda: gf.node_from_any(g, far),
    }
    before = picture(other)
    assert all_refused(g, acts) > 35
    assert picture(other) == before


def test_what_is_no_graph_or_no_node(small):
    g, n = small
    nothing = (None, 3, "g", [g], object())
    acts = {}
    for value in nothing:
        acts |= {
            f"vector on {value!r:.9}": lambda value=value: gf.vector(value, 3),
            f"constant on {value!r:.9}": lambda value=value: gf.constant(value, 3.0),
            f"uniform on {value!r:.9}": lambda value=value: gf.uniform(value, 3),
            f"machine on {value!r:.9}": lambda value=value: gf.TapeMachine(value),
            f"lisp on {value!r:.9}": lambda value=value: gf.LispMachine(value),
            f"let {value!r:.9}": lambda value=value: gf.let(value, 3.0),
            f"read {value!r:.9}": lambda value=value: gf.read(value),
            f"set_ {value!r:.9}": lambda value=value: gf.set_(n.v, value),
            f"unsafe_let {value!r:.9}": lambda value=value: gf.unsafe_let(value, 3.0),
            f"grad {value!r:.9}": lambda value=value: gf.grad(value, n.v),
            f"grad by {value!r:.9}": lambda value=value: gf.grad(n.cost, value),
            f"subgraph {value!r:.9}": lambda value=value: g.subgraph(value),
        }
    acts |= {
        "truth of a node": lambda: bool(n.v),
        "truth of a comparison": lambda: bool(n.b),
        "numpy on a node": lambda: np.asarray(n.v),
        "a node as shape": lambda: gf.tensor(g, n.i),
        "a node as sizes": lambda: gf.uniform(g, n.i),
    }
    assert all_refused(g, acts) > 60


# --- values that are missing or stale ---------------------------------------------------------------------------------


# --- what users get wrong first ---------------------------------------------------------------------------------------

# Each with what the message says: the operation and its operands, what it got, what it needs, what to try.
MISTAKES = {
    "wrong axis": (lambda n: n.m.mean(2), "mean: there is no axis 2|got     2 axes|needs   an axis from -2 to 1"),
    "axis of a scalar": (lambda n: gf.max(n.s, 0), "max: there is no axis 0|got     0 axes"),
    "the same axis twice": (lambda n: gf.prod(n.m, (1, -1)), "prod: an axis is named twice in (1, -1)"),
    "a name for an axis": (lambda n: gf.argmax(n.m, "rows"), "argmax: axis 'rows' is no whole number"),
    "mixed dtypes": (
        lambda n: gf.max_between(n.v, n.d),
        "max_between: cannot combine v: float32[3] with d: float64[3]|gf.cast(d, 'float32')",
    ),
    "whole numbers and floats": (lambda n: n.i * n.v, "hadamard_prod: cannot combine i|gf.cast(i, 'float32')"),
    "the sine of whole numbers": (
        lambda n: gf.sin(n.i),
        "sin: not defined for i: int64[3]|needs   float32 or float64|gf.cast(i, 'float32')",
    ),
    "the sum of a mask": (lambda n: gf.sum(n.b), "sum: not defined for b|gf.cast(b, 'int64'), or gf.any(b)"),
    "floats as truth": (lambda n: n.v & n.b, "logical_and: not defined for v: float32[3]|gf.ne(v, 0)"),
    "sizes in concat": (
        lambda n: gf.concat([n.m, n.part], 0),
        "concat: cannot join m: float32[2, 3] and %|sizes 3 and 2 along axis 1|the same sizes along all axes but 0",
    ),
    "a node in place of a list": (lambda n: gf.concat(n.m), "concat: no list of nodes|gf.concat([x, y])"),
    "reshape to another size": (
        lambda n: n.m.reshape(4, 2),
        "reshape: cannot give m: float32[2, 3] the shape (4, 2)|got     6 elements|needs   8 elements",
    ),
    "reshape with a remainder": (lambda n: gf.reshape(n.m, (-1, 4)), "reshape: cannot give m|a multiple of 4"),
    "a negative rim": (lambda n: gf.pad(n.m, (-1, 0)), "pad: cannot pad m|got     widths=(-1, 0)"),
    "a rim for other axes": (
        lambda n: gf.pad(n.m, [(1, 1), (1, 1), (1, 1)]),
        "pad: cannot pad m|needs   a whole number, a pair, or 2 pairs",
    ),
    "an unknown rim": (lambda n: gf.pad(n.m, 1, "mirror"), "pad has no mode 'mirror'|constant, edge, reflect"),
    "parts that are not equal": (
        lambda n: gf.split(n.m, 2, axis=1),
        "split: cannot cut m: float32[2, 3] into equal parts|2 parts of 3 elements along axis 1|a divisor of the size",
    ),
    "cuts out of order": (lambda n: gf.split(n.v, [2, 1]), "split: cannot cut v|got     [2, 1] along axis 0|ascending"),
    "a column that is not there": (
        lambda n: n.m[:, 3],
        "slice: position 3 is out of range for m: float32[2, 3]|3 along axis 1|a position from -3 to 2",
    ),
    "ids out of range": (lambda n: gf.by_indices(n.m, [0, 3], 1), "by_indices: position 3 is out of range for m"),
    "floats as ids": (lambda n: gf.by_indices(n.m, n.v), "by_indices: cannot select from m|got     ids of float32"),
    "ids and a position": (lambda n: n.m[0, [1, 2]], "slice: cannot slice m: float32[2, 3] by ids and more"),
    "too few coordinates": (lambda n: gf.at(n.m, 1), "at: cannot find an element of m|got     1 numbers|2, one"),
    "bounds that cross": (lambda n: gf.clip(n.v, 1.0, -1.0), "clip: no number lies between the bounds|low <= high"),
    "a repeat for some elements": (lambda n: gf.repeat(n.v, [1, 2]), "repeat: cannot repeat the elements|1 number"),
    "a negative tile": (lambda n: gf.tile(n.v, -1), "tile: -1 says not how often|whole numbers of 0 or more"),
    "one-hot of floats": (lambda n: gf.one_hot(n.v.graph, n.v, 3), "one_hot: v: float32[3] are no ids|cast"),
    "too little for a variance": (lambda n: gf.var(n.s, ddof=1), "var: not defined for s|got     1 elements|ddof=1"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_the_message_for_a_frequent_mistake(small, name):
    g, n = small
    act, said = MISTAKES[name]
    all_refused(g, {name: lambda: act(n)})
    with pytest.raises(gf.GraphflowError) as caught:
        act(n)
    for part in said.split("|"):
        assert part in str(caught.value)
