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
            assert "\n  line    test_misuse.py:" in text, f"{name}:\n{text}"
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


def test_unbound_inputs():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    ids = gf.scalar(g, name="ids", dtype="int64")
    y = gf.tanh(x)
    z = y[0] * gf.gather(y, ids)
    (dx,) = gf.grad(z, x)
    machines = {
        "tape": gf.TapeMachine(g),
        "numpy": gf.TapeMachine(g, backend="numpy"),
        "kept": gf.TapeMachine(g, keep="all"),
        "watching": gf.TapeMachine(g, watch_nan=True),
        "outputs": gf.TapeMachine(g, outputs=[dx, z]),
        "part": gf.TapeMachine(g.subgraph(y)),
        "lisp": gf.LispMachine(g),
        "lisp with a cost": gf.LispMachine(g, z),
    }
    acts = {name: machine.run_all for name, machine in machines.items()}
    acts |= {
        "step": machines["tape"].step,
        "run_over": lambda: machines["tape"].run_over((z.inputs[0],), [[1]]),
        "value": lambda: x.value,
        "gradient": lambda: x.grad,
        "reading": lambda: gf.Reading(x).value,
        "function": lambda: gf.function([ids], z),
        "value_of": lambda: machines["tape"].value_of(x),
    }
    assert all_refused(g, acts) > 10
    assert {machine.runs for name, machine in machines.items() if "lisp" not in name} == {0}
    gf.let(x, [1.0, 2.0, 3.0])
    assert all_refused(g, {name: machine.run_all for name, machine in machines.items() if name != "part"}) == 7
    gf.let(ids, 1)
    for machine in machines.values():
        machine.run_all()


def test_values_that_nobody_kept_or_that_are_not_there_yet(small):
    g, n = small
    far = gf.sum(n.h * n.h)
    acts = {f"{node} before any run": lambda node=node: node.value for node in (n.h, n.cost, n.row, far)}
    acts["a reading before any run"] = lambda: gf.Reading(n.h).value
    acts["a gradient that was never asked for"] = lambda: n.v.grad
    assert all_refused(g, acts) == 6
    gf.grad(n.cost, n.v)
    assert all_refused(g, {"a gradient before any run": lambda: n.v.grad}) == 1
    machine = gf.TapeMachine(g)
    machine.run_all()
    acts = {
        "fused away": lambda: n.h.value,
        "fused away, from the machine": lambda: machine.value_of(n.h),
        "another gradient": lambda: n.m.grad,
    }
    later = far * 2.0
    acts["made after the machine"] = lambda: later.value
    assert all_refused(g, acts) == 4
    assert far.value > 0


def test_closed_machines(small):
    g, n = small
    gf.grad(n.cost, n.v)
    for backend in ("numpy", "auto"):
        machine = gf.TapeMachine(g, backend=backend)
        machine.run_all()
        machine.close()
        acts = {
            "run_all": machine.run_all,
            "step": machine.step,
            "reset": machine.reset,
            "run_over": lambda machine=machine: machine.run_over((n.row,), [[1]]),
            "run_over with a solver": lambda machine=machine: machine.run_over((n.row,), [[1]], gf.VanillaSolver()),
            "run_over of nothing": lambda machine=machine: machine.run_over((), np.zeros((0, 0), int)),
        }
        assert all_refused(g, acts) == 6
        assert n.cost.value.shape == ()


# --- positions --------------------------------------------------------------------------------------------------------

FAR = (3, -4, 10, 2**31, 2**63, -(2**63), 2**70)


def test_positions_out_of_range_or_of_another_kind(small):
    g, n = small
    keys = [
        *FAR,
        1.5,
        "a",
        True,
        (0, 0, 0),
        (..., ...),
        (0, 1.0),
        np.float64(1.0),
        np.array([0.5]),
        slice(0, 2, 0),
        slice("a", "b"),
    ]
    acts = {f"m[{key!r}]": lambda key=key: n.m[key] for key in keys}
    acts |= {f"m[:, {key!r}]": lambda key=key: n.m[:, key] for key in FAR}
    acts |= {f"s[{key!r}]": lambda key=key: n.s[key] for key in (0, -1, (0,), slice(0, 1), [0])}
    acts["m[S(2)]"] = lambda: n.m[gf.S(2)]
    acts["m[[0, 5]]"] = lambda: n.m[[0, 5]]
    acts["m[a node of another kind]"] = lambda: n.m[n.v]
    assert all_refused(g, acts) > 25


def test_rebinding_that_is_wrong(small):
    g, n = small
    constant = gf.constant(g, 1.0)
    positions = [*FAR, 2, -3, 1.5, "a", None, True, [0], (0, 0), gf.S(2), gf.S(0, 2), slice(0, 2), n.v, np.ones(3)]
    acts = {f"row to {value!r:.30}": lambda value=value: gf.unsafe_let(n.row, value) for value in positions}
    ranges = [3, gf.S(0, 3), gf.S(2, 4), gf.S(-1, 1), slice(0, 4), slice(0, 3, 2), (0, 0), gf.S(0, 1), (gf.S(1, 4),)]
    acts |= {f"part to {value!r:.30}": lambda value=value: gf.unsafe_let(n.part, value) for value in ranges}
    acts |= {
        f"{value!r:.30} for {node}": lambda node=node, value=value: gf.unsafe_let(node, value)
        for node in (n.h, n.cost, n.v)
        for value in (gf.S(1), slice(0, 1), (gf.S(0), gf.S(1)))
    }
    bulk = [([n.row], [5]), ([n.row, n.row], [0]), ([n.row, n.h], [0, 0]), ([n.row], [None]), ([n.row], "0")]
    bulk += [([n.v], [0]), (n.row, [0]), ([n.row], 0), ([n.row, 3], [0, 0]), ([n.row], [[0]]), ([n.row, n.row], [1, 2])]
    acts |= {f"all {number}": lambda pair=pair: gf.unsafe_let_all(*pair) for number, pair in enumerate(bulk)}
    acts["None for an input"] = lambda: gf.unsafe_let(n.v, None)
    acts["a constant"] = lambda: gf.unsafe_let(constant, 2.0)
    assert all_refused(g, acts) > 40


# --- gradients --------------------------------------------------------------------------------------------------------


def test_costs_that_are_no_scalars(small):
    g, n = small
    for shape in [(1,), (3,), (1, 1), (2, 2), (0,), (1, 0), (4, 1, 2), (1, 1, 1, 1), (7,), (2, 3)]:
        x = gf.tensor(g, shape, init=gf.ones())
        y = gf.tanh(x)
        acts = {f"{shape}": lambda x=x, y=y: gf.grad(y, x), f"{shape} itself": lambda x=x: gf.grad(x, x)}
        acts[f"{shape} on the Lisp machine"] = lambda y=y: gf.LispMachine(g, y)
        assert all_refused(g, acts) == 3
    acts = {"whole": lambda: gf.grad(whole, n.v), "truth": lambda: gf.grad(truth, n.v)}
    whole, truth = gf.sum(n.i), n.cost > 0.0
    assert all_refused(g, acts) == 2


def test_wrt_that_the_cost_does_not_come_from(small):
    g, n = small
    later, before = gf.exp(n.cost), gf.vector(g, 3, value=[1.0] * 3)
    beside = gf.exp(n.h)
    cut = gf.sum(gf.cast(n.v > 0.0, "float32"))
    rounded = gf.sum(gf.cast(gf.cast(n.v, "int64"), "float32"))
    acts = {
        "an input beside": lambda: gf.grad(n.cost, n.m),
        "two, one beside": lambda: gf.grad(n.cost, n.v, n.m),
        "a node made later": lambda: gf.grad(n.cost, later),
        "a node beside": lambda: gf.grad(n.cost, beside),
        "a slice beside": lambda: gf.grad(n.cost, n.row),
        "a new input": lambda: gf.grad(n.cost, before),
        "the cost of another": lambda: gf.grad(n.cost, cut),
        "behind a comparison": lambda: gf.grad(cut, n.v),
        "behind a cast": lambda: gf.grad(rounded, n.v),
        "another dtype": lambda: gf.grad(n.cost, n.d),
        "whole numbers": lambda: gf.grad(n.cost, n.i),
        "bools": lambda: gf.grad(n.cost, n.b),
        "nothing": lambda: gf.grad(n.cost),
        "from the cost's own gradient": lambda: gf.backpropagate([n.h], [n.v], [n.m]),
    }
    assert all_refused(g, acts) > 10


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_huge_and_impossible_sizes(small):
    g, n = small
    sizes = [
        (2**62,),
        (2**40, 2**40),
        (2**31, 2**31, 2**31),
        (-1,),
        (3, -2),
        (10**30,),
        (2**63 - 1, 0, 2),
        (1.5,),
        ("a",),
    ]
    sizes += [(1,) * 65, (None,), ((2, 3),)]
    acts = {f"tensor {size!r:.30}": lambda size=size: gf.tensor(g, size) for size in sizes}
    acts |= {f"uniform {size!r:.30}": lambda size=size: gf.uniform(g, size) for size in sizes}
    acts |= {f"broadcast {size!r:.30}": lambda size=size: gf.broadcast_to(n.s, size) for size in sizes}
    acts |= {
        "reshape": lambda: gf.reshape(n.v, (2**62, 2)),
        "outer": lambda: gf.outer(wide, wide),
        "sum of outers": lambda: column + wide,
        "concat": lambda: gf.concat([wide] * 5),
        "matmul": lambda: column @ flat,
        "scatter": lambda: gf.scatter_add(n.i, n.v, 2**62),
        "scatter rows": lambda: gf.scatter_add(n.i, n.v, 2**70),
        "one_hot": lambda: gf.one_hot(g, 0, 2**62),
        "filled": lambda: gf.tensor(g, (2**58,), init=gf.ones()),
        "bound": lambda: gf.let(wide, [1.0]),
    }
    wide = gf.vector(g, 2**58)
    column, flat = gf.matrix(g, (2**58, 1)), gf.matrix(g, (1, 2**58))
    assert all_refused(g, acts) > 40


def test_inputs_for_which_there_is_no_memory():
    g = gf.ExprGraph()
    x = gf.vector(g, 2**55, name="x")
    y = gf.sum(x * 2.0)
    acts = {
        "let": lambda: gf.let(x, 1.0),
        "value": lambda: x.value,
        "a machine": lambda: gf.TapeMachine(g, backend="numpy"),
        "init": lambda: gf.vector(g, 2**55, init=gf.zeroes()),
        "a parameter": lambda: gf.grad(y, x),
    }
    assert all_refused(g, acts) == 5
