"""The public surface: what graphflow exports, in order, documented, with the names that users of Gorgonia look for."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import pytest

import graphflow as gf
from tests.architecture.source import ROOT, python_files

PROMISED = {
    "graphs": "ExprGraph Node",
    "constructors": "scalar vector matrix tensor constant node_from_any one_hot uniform gaussian binomial",
    "initialisers": """
        zeroes ones ranged_from values_of gaussian_init uniform_init glorot_n glorot_u he_n he_u orthogonal chrono
    """,
    "differentiation": "grad backpropagate",
    "operations": """
        add sub hadamard_prod hadamard_div pow neg exp log log1p expm1 sqrt square tanh sigmoid softplus rectify
        abs sign lt gt lte gte eq ne where matmul outer transpose reshape concat stack sum mean max
        softmax log_softmax log_sum_exp gather softmax_cross_entropy
        ceil floor sin cos log2 inverse inverse_sqrt cube leaky_relu mish max_between min_between logical_xor
        min prod argmax argmin var std all any cumsum ravel unconcat size_of at by_indices reduce_add reduce_mul
        elu gelu swish hard_tanh hard_sigmoid clip erf split tile repeat pad flip squeeze expand_dims scatter_add cast
    """,
    "binding": "let unsafe_let unsafe_let_all read Reading set_ S",
    "machines": "TapeMachine LispMachine Program compile_graph function passes_of NanReport Survey Trace",
    "solvers": """
        VanillaSolver MomentumSolver RMSPropSolver AdamSolver AdamWSolver AdaGradSolver BarzilaiBorweinSolver
    """,
    "checkpoints": "save_checkpoint load_checkpoint Checkpoint",
    "extension": "Op",
    "errors": "GraphflowError ShapeError DTypeError",
}
METHODS = {
    "ExprGraph": "by_name nodes inputs roots subgraph unbind_all to_dot render step",
    "Node": "name shape dtype value grad id op inputs is_scalar is_vector is_matrix"
    " sum mean max min prod var std all any argmax argmin cumsum reshape transpose ravel squeeze T astype",
    "TapeMachine": "run_all reset close step run_until profile trace find_nan survey program backend",
    "LispMachine": "run_all",
    "Checkpoint": "restore",
    "RMSPropSolver": "step state_dict load_state_dict",
}


def is_documented(value: object) -> bool:
    """Whether a class or function carries a docstring of its own; other values need none."""
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return True
    text = (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__) or ""
    is_generated = text.startswith(f"{value.__name__}(")  # what @dataclass writes where nothing is written
    return bool(text.strip()) and not is_generated


def one_of_each() -> dict[str, object]:
    """An object of each class that METHODS lists."""
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    cost = gf.sum(x * x)
    objects = [g, cost, gf.TapeMachine(g), gf.LispMachine(g), gf.RMSPropSolver()]
    return {type(each).__name__: each for each in objects} | {"Checkpoint": gf.Checkpoint}


def test_the_export_list_is_sorted_and_names_no_one_twice():
    assert list(gf.__all__) == sorted(set(gf.__all__))


@pytest.mark.parametrize("name", gf.__all__)
def test_each_exported_name_exists_and_is_documented(name):
    assert is_documented(getattr(gf, name)), f"graphflow.{name} has no docstring"


def test_each_public_member_of_an_exported_class_is_documented():
    missing = [
        f"{name}.{member}"
        for name in gf.__all__
        if inspect.isclass(owner := getattr(gf, name)) and owner.__module__.split(".")[0] == "graphflow"
        for member, value in inspect.getmembers(owner)
        if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, property))
        if not inspect.getdoc(getattr(value, "fget", value))
    ]
    assert missing == []


@pytest.mark.parametrize("topic", PROMISED)
def test_promised_names_are_exported(topic):
    assert sorted(set(PROMISED[topic].split()) - set(gf.__all__)) == []


@pytest.mark.parametrize("owner", METHODS)
def test_promised_methods_exist(owner):
    assert sorted(set(METHODS[owner].split()) - set(dir(one_of_each()[owner]))) == []


def test_no_module_shares_its_name_with_a_public_function():
    functions = {name for name in gf.__all__ if inspect.isroutine(getattr(gf, name))}
    modules = {path.stem if path.stem != "__init__" else path.parent.name for path in python_files(ROOT, "graphflow")}
    assert len(functions) > 20
    # graphflow/viz/dot.py is about the language DOT; numpy's dot has nothing to do with it.
    assert sorted(functions & modules) == ["dot"]


def test_every_public_exception_is_of_the_one_family():
    classes = [value for value in (getattr(gf, name) for name in gf.__all__) if inspect.isclass(value)]
    errors = [value for value in classes if issubclass(value, Exception)]
    assert errors
    assert [error for error in errors if not issubclass(error, gf.GraphflowError | Warning)] == []


def test_missing_docstrings_are_noticed():
    @dataclass
    class Bare:
        x: int

    class Child(gf.ExprGraph):
        pass

    def bare():
        pass

    assert not is_documented(Bare)
    assert not is_documented(Child)
    assert not is_documented(bare)
    assert is_documented(is_documented)
    assert is_documented(3)
