"""Row by row what a user can get wrong with machines, rebinding and gradients: refused, and nothing changed."""

from __future__ import annotations

import numpy as np

import graphflow as gf
from tests.test_misuse import all_refused, small  # noqa: F401 - a fixture is used by its name


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
