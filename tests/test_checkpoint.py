"""Checkpoints that are as they should be, and models that do not fit them (C5)."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow import checkpoint, checkpoint_document
from graphflow.binding import let
from graphflow.checkpoint import load_checkpoint, save_checkpoint
from graphflow.errors import CheckpointError, GraphflowError, OptionError
from graphflow.graph import ExprGraph
from tests.checkpoint_examples import CountingSolver, OtherSolver, document, parameter, small_model, snapshot, unbound


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.json"


def bits(nodes):
    return {node.name: (node.value.dtype, node.value.shape, node.value.tobytes()) for node in nodes}


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", ["base64", "lists"])
def test_values_come_back_bit_for_bit(path, numbers):
    saved = small_model()
    save_checkpoint(path, saved, numbers=numbers)
    found = load_checkpoint(path)
    assert list(found.tensors) == [node.name for node in saved]
    fresh = small_model(2.0)
    assert bits(fresh) != bits(saved)
    found.restore(reversed(fresh))
    assert bits(fresh) == bits(saved)


@pytest.mark.parametrize("numbers", ["base64", "lists"])
def test_a_run_that_diverged_can_be_saved(path, numbers):
    graph = ExprGraph()
    node = parameter(graph, "w", np.array([np.nan, np.inf, -np.inf, 1.0]))
    save_checkpoint(path, [node], numbers=numbers, extra={"loss": float("nan"), "best": float("inf")})
    found = load_checkpoint(path)
    assert found.tensors["w"].tobytes() == node.value.tobytes()
    assert repr(found.extra) == "{'loss': nan, 'best': inf}"


def test_a_checkpoint_is_one_json_document_that_its_last_line_vouches_for(path):
    save_checkpoint(path, small_model(), solver=CountingSolver(3), extra={"vocabulary": ["a", "ü"]}, numbers="lists")
    text = path.read_bytes()
    assert text.isascii()
    found = json.loads(text)
    assert list(found) == ["format", "version", "tensors", "solver", "extra", "digest"]
    assert (found["format"], found["version"]) == ("graphflow-checkpoint", 1)
    assert found["tensors"][3] == {"name": "ids", "dtype": "int64", "shape": [2], "data": [1, -(2**63)]}
    assert found["solver"] == {"kind": "CountingSolver", "state": {"steps": 3, "cache": []}}
    lines = text.splitlines(keepends=True)
    assert found["digest"] == "sha256:" + hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    assert lines[2].startswith(b'{"name":"w","dtype":"float32","shape":[2,3],"data":[0.0,')


def test_the_text_of_a_small_checkpoint(path):
    node = parameter(ExprGraph(), "w", [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    save_checkpoint(path, [node], extra={"epoch": 3})
    assert path.read_text("ascii") == (
        '{"format":"graphflow-checkpoint","version":1,\n'
        '"tensors":[\n'
        '{"name":"w","dtype":"float32","shape":[2,3],"data":"AACAPwAAAEAAAEBAAACAQAAAoEAAAMBA"}],\n'
        '"solver":null,\n'
        '"extra":{"epoch":3},\n'
        '"digest":"sha256:e7f4fa811ce08a0a216867460b54da48d6864e683bb11867ec36d65544b8c81b"}\n'
    )


def test_equal_content_gives_equal_bytes(path):
    save_checkpoint(path, small_model(), solver=CountingSolver(3), extra={"b": 1, "a": 2})
    first = path.read_bytes()
    save_checkpoint(path, small_model(), solver=CountingSolver(3), extra={"b": 1, "a": 2})
    assert path.read_bytes() == first


def test_saving_what_was_loaded_gives_the_same_file(path):
    solver = CountingSolver(3, [np.arange(3.0)])
    extra = {"$": 1, "generator": np.random.default_rng(1).bit_generator.state, "t": (1, 2.5, None)}
    save_checkpoint(path, small_model(), solver=solver, extra=extra)
    first = path.read_bytes()
    found = load_checkpoint(path)
    model, other = small_model(2.0), CountingSolver()
    found.restore(model, other)
    save_checkpoint(path, model, solver=other, extra=found.extra)
    assert path.read_bytes() == first


def test_fault_5_the_vocabulary_comes_back_in_order(path):
    vocabulary = ["\x02", "\x03", "\x04", *'zyx$"\\\n\0\u2028😀', "", "$array"]
    positions = {character: number for number, character in enumerate(vocabulary)}
    save_checkpoint(path, [], extra={"vocabulary": vocabulary, "positions": positions})
    found = load_checkpoint(path).extra
    assert found["vocabulary"] == vocabulary
    assert list(found["positions"].items()) == list(positions.items())


def test_a_generator_goes_on_where_it_was(path):
    generator = np.random.default_rng(5)
    save_checkpoint(path, [], extra={"generator": generator.bit_generator.state, "order": generator.permutation(9)})
    other = np.random.default_rng(6)
    other.bit_generator.state = load_checkpoint(path).extra["generator"]
    other.permutation(9)
    assert np.array_equal(other.random(50), generator.random(50))


def test_the_state_of_the_solver_comes_back_as_a_copy_of_its_own(path):
    save_checkpoint(path, [], solver=CountingSolver(7, [np.arange(4.0)]))
    found, solver = load_checkpoint(path), CountingSolver()
    found.restore([], solver)
    solver.cache[0] += 1.0
    assert (solver.steps, solver.cache[0].tolist()) == (7, [1.0, 2.0, 3.0, 4.0])
    again = CountingSolver()
    found.restore([], again)
    assert again.cache[0].tolist() == [0.0, 1.0, 2.0, 3.0]


def trained(solver, seed):
    """A small regression, and a function that takes some steps of it."""
    graph = gf.ExprGraph(seed=seed)
    x = gf.matrix(graph, (5, 3), name="x", init=gf.gaussian_init(0.0, 1.0))
    w = gf.vector(graph, 3, name="w", init=gf.gaussian_init(0.0, 1.0))
    b = gf.scalar(graph, name="b", value=0.5)
    cost = gf.sum(gf.square(gf.tanh(x @ w) - b))
    gf.grad(cost, w, b)
    machine = gf.TapeMachine(graph)

    def train(steps):
        for _ in range(steps):
            machine.run_all()
            solver.step([w, b])

    return [x, w, b], train


SOLVERS = [getattr(gf, name) for name in gf.__all__ if name.endswith("Solver") and name != "Solver"]


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_resumed_run_goes_on_bit_for_bit(path, kind):
    solver = kind()
    nodes, train = trained(solver, seed=1)
    train(5)
    save_checkpoint(path, nodes, solver=solver)
    train(5)
    resumed = kind()
    others, train_on = trained(resumed, seed=2)
    assert bits(others) != bits(nodes)
    load_checkpoint(path).restore(others, resumed)
    train_on(5)
    assert bits(others) == bits(nodes)


def test_every_solver_was_tried():
    assert len(SOLVERS) >= 7


def test_a_checkpoint_is_inert(path):
    save_checkpoint(path, small_model(), solver=CountingSolver(1), extra={"epoch": 3, "x": np.zeros(2)})
    found = load_checkpoint(path)
    with pytest.raises(AttributeError):
        found.path = "other"
    with pytest.raises(TypeError):
        found.tensors["w"] = np.zeros(3)
    for array in (*found.tensors.values(), found.extra["x"]):
        assert not array.flags.writeable
    assert (
        repr(found) == f"<Checkpoint {str(path)!r}: 7 tensors of 15 numbers, solver CountingSolver, extra 'epoch'; 'x'>"
    )


def test_a_checkpoint_without_solver_and_extra(path):
    save_checkpoint(path, small_model())
    found = load_checkpoint(path)
    assert (found.solver, found.solver_kind, found.extra) == (None, None, {})
    assert repr(found).endswith("solver none, extra nothing>")


def test_a_saved_solver_may_be_left_out_for_predicting(path):
    save_checkpoint(path, small_model(), solver=CountingSolver(3))
    fresh = small_model(2.0)
    load_checkpoint(path).restore(fresh)
    assert bits(fresh) == bits(small_model())


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_paths_of_any_kind(path, kind):
    save_checkpoint(kind(path), small_model())
    assert load_checkpoint(kind(path)).path == str(path)


@given(st.lists(st.text(max_size=20), unique=True, max_size=6))
@settings(max_examples=50)
def test_names_of_any_kind(tmp_path_factory, names):
    path = tmp_path_factory.getbasetemp() / "names.json"
    graph = ExprGraph()
    save_checkpoint(path, [parameter(graph, name, [index]) for index, name in enumerate(names)])
    assert list(load_checkpoint(path).tensors) == names


# --- what cannot be saved ---------------------------------------------------------------------------------------------


def computed_node():
    node = parameter(ExprGraph(), "w", 1.0)
    return node.graph.constant([1.0], name="constant")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([parameter(ExprGraph(), None, [1.0])], r"without a name: %0: float32\[1\] made at checkpoint_examples.py:"),
        ([parameter(ExprGraph(), "w", 1.0), parameter(ExprGraph(), "w", 2.0)], "more than one node called 'w'"),
        ([unbound(ExprGraph(), "w", (2, 3))], r"no value of 'w: float32\[2, 3\]'"),
        ([computed_node()], "<Node constant: .* = constant>"),
        (["w", 3], "'w'; 3"),
        ({"w": 1}, "'w'"),
        (parameter(ExprGraph(), "w", [1.0]), "as nodes"),
        (None, "None as nodes"),
    ],
)
def test_nodes_that_cannot_be_saved_are_named(path, nodes, message):
    path.write_bytes(b"old")
    with pytest.raises(CheckpointError, match=message) as caught:
        save_checkpoint(path, nodes)
    assert f"cannot save the checkpoint {str(path)!r}" in str(caught.value)
    assert path.read_bytes() == b"old"


def test_one_node_twice_is_refused(path):
    node = parameter(ExprGraph(), "w", 1.0)
    with pytest.raises(CheckpointError, match="more than one node called 'w'"):
        save_checkpoint(path, [node, node])
    assert not path.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extra": {"a": {"b": {1, 2}}}}, r"extra\['a'\]\['b'\] is of type set"),
        ({"extra": {"f": print}}, r"extra\['f'\] is of type builtin_function_or_method"),
        ({"extra": {"node": parameter(ExprGraph(), "w", 1.0)}}, r"extra\['node'\] is of type Node"),
        ({"extra": {3: "a"}}, "extra has the key 3 of type int"),
        ({"extra": [("a", 1)]}, "extra of type list"),
        ({"extra": {"x": [[]] * 250_000}}, "lists and objects; the limit is 250000"),
        ({"solver": 3}, "3 as solver"),
        ({"solver": CountingSolver}, "as solver"),
        (
            {"solver": CountingSolver(0, [np.array(["a"])])},
            r"\['state'\]\['cache'\]\[0\] is a ndarray of dtype str",
        ),
    ],
)
def test_what_cannot_be_saved_is_named(path, options, message):
    path.write_bytes(b"old")
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(path, small_model(), **options)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("numbers", ["hex", None, 64, ["lists"]])
def test_an_unknown_way_to_write_numbers_is_refused(path, numbers):
    with pytest.raises(OptionError, match="is unknown"):
        save_checkpoint(path, [], numbers=numbers)
    assert not path.exists()


@pytest.mark.parametrize("bad", [None, 3, ["run.json"]])
def test_what_is_no_path_is_refused(bad):
    with pytest.raises(CheckpointError, match="cannot save a checkpoint\n.* as path"):
        save_checkpoint(bad, [])
    with pytest.raises(CheckpointError, match="cannot load a checkpoint\n.* as path"):
        load_checkpoint(bad)


def test_a_document_too_large_to_be_read_is_not_written(path, monkeypatch):
    monkeypatch.setattr(checkpoint_document, "MAX_BYTES", 1000)
    with pytest.raises(CheckpointError, match="bytes; the limit is 1000"):
        save_checkpoint(path, [parameter(ExprGraph(), "w", np.zeros(200))])
    assert not path.exists()


# --- models that do not fit (C5) --------------------------------------------------------------------------------------


def changed(**changes):
    """The small model with some nodes replaced (or left out), others added."""
    graph = ExprGraph()
    nodes = {node.name: node for node in small_model(2.0)}
    for name, value in changes.items():
        nodes.pop(name, None)
        if value is not None:
            nodes[name] = parameter(graph, name, *value)
    return list(nodes.values())


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (changed(w=None), r"no node for the tensor 'w' float32\[2, 3\]"),
        (changed(v=([1.0],)), r"no tensor for the node 'v' float32\[1\]"),
        (
            changed(w=None, w2=(np.zeros((2, 3)),)),
            r"no tensor for the node 'w2' .*; no node for the tensor 'w' float32",
        ),
        (changed(w=(np.zeros((3, 2)),)), r"the node 'w' float32\[3, 2\] for the tensor 'w' float32\[2, 3\]"),
        (changed(w=(np.zeros(6),)), r"the node 'w' float32\[6\] for the tensor 'w' float32\[2, 3\]"),
        (changed(scalar=([1.0],)), r"the node 'scalar' float32\[1\] for the tensor 'scalar' float32\[\]"),
        (changed(w=(np.zeros((2, 3)), "float64")), r"the node 'w' float64\[2, 3\] for the tensor 'w' float32\[2, 3\]"),
        (changed(ids=([1.0, 2.0], "float64")), r"the node 'ids' float64\[2\] for the tensor 'ids' int64\[2\]"),
        ([], "no node for the tensor 'w' .*; and 1 more"),
        ([*changed(), parameter(ExprGraph(), "w", np.zeros((2, 3)))], "more than one node called 'w'"),
        ([*changed(), computed_node()], "<Node constant"),
    ],
)
def test_fault_4_a_model_that_does_not_fit_is_refused_and_untouched(path, nodes, message):
    save_checkpoint(path, small_model(), solver=CountingSolver(3))
    solver = CountingSolver(1, [np.ones(2)])
    before = repr(snapshot(nodes, solver))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path).restore(nodes, solver)
    assert f"cannot restore from the checkpoint {str(path)!r}" in str(caught.value)
    assert repr(snapshot(nodes, solver)) == before


@pytest.mark.parametrize(
    ("saved", "given", "message"),
    [
        (CountingSolver(3), OtherSolver(1), "got     OtherSolver\n  needs   CountingSolver, as was saved"),
        (None, CountingSolver(1), "CountingSolver, but no solver was saved"),
        (CountingSolver(3), "CountingSolver", "'CountingSolver' as solver"),
        (CountingSolver(3), CountingSolver, "as solver"),
    ],
)
def test_another_solver_is_refused_and_nothing_is_changed(path, saved, given, message):
    save_checkpoint(path, small_model(), solver=saved)
    nodes = small_model(2.0)
    before = repr(snapshot(nodes))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path).restore(nodes, given)
    assert repr(snapshot(nodes)) == before


class Refusing(CountingSolver):
    """Does not take a state that is not its own."""

    error: type[Exception] = ValueError

    def load_state_dict(self, state):
        if state["steps"] != self.steps:
            raise self.error("learn_rate 0.1 was saved")


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, GraphflowError])
def test_a_state_that_the_solver_refuses_changes_nothing(path, error):
    save_checkpoint(path, small_model(), solver=Refusing(3))
    nodes, solver = small_model(2.0), Refusing(1)
    solver.error = error
    before = repr(snapshot(nodes, solver))
    with pytest.raises(CheckpointError, match="a state that Refusing refuses: .*learn_rate 0.1 was saved"):
        load_checkpoint(path).restore(nodes, solver)
    assert repr(snapshot(nodes, solver)) == before


class WritingInPlace(CountingSolver):
    """Shows its arrays themselves and loads into them."""

    def load_state_dict(self, state):
        for mine, saved in zip(self.cache, state["cache"], strict=True):
            mine[...] = saved


def test_a_solver_that_loads_in_place_is_put_back_too(path, monkeypatch):
    save_checkpoint(path, small_model(), solver=WritingInPlace(3, [np.zeros(2)]))
    nodes, solver = small_model(2.0), WritingInPlace(1, [np.ones(2)])
    before = repr(snapshot(nodes, solver))

    def failing_let(node, value):
        assert solver.cache[0].tolist() == [0.0, 0.0]
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "let", failing_let)
    with pytest.raises(KeyboardInterrupt):
        load_checkpoint(path).restore(nodes, solver)
    assert repr(snapshot(nodes, solver)) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_a_restore_that_fails_half_way_is_undone(path, monkeypatch, error, after):
    save_checkpoint(path, small_model(), solver=CountingSolver(3))
    nodes, solver = small_model(2.0), CountingSolver(1, [np.ones(2)])
    nodes[1].is_bound = False
    before = repr(snapshot(nodes, solver))
    calls = []

    def failing_let(node, value):
        calls.append(node)
        let(node, value)
        if len(calls) == after + 1:
            raise error("half way")

    monkeypatch.setattr(checkpoint, "let", failing_let)
    with pytest.raises(error, match="half way"):
        load_checkpoint(path).restore(nodes, solver)
    assert len(calls) > after
    assert repr(snapshot(nodes, solver)) == before


def test_nodes_without_a_value_are_given_one(path):
    save_checkpoint(path, [parameter(ExprGraph(), "w", [1.0, 2.0])])
    node = unbound(ExprGraph(), "w", (2,))
    load_checkpoint(path).restore([node])
    assert node.value.tolist() == [1.0, 2.0]


# --- documents that do not hold what they should ----------------------------------------------------------------------

RECORD = b'{"name":"w","dtype":"float32","shape":[1],"data":"AACAPw=="}'


def test_a_document_made_by_hand_is_read(path):
    path.write_bytes(document(b"[" + RECORD + b"]", b'{"kind":"A","state":{}}', b'{"a":[1]}'))
    found = load_checkpoint(path)
    assert (found.tensors["w"].tolist(), found.solver_kind, found.solver, found.extra) == ([1.0], "A", {}, {"a": [1]})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (document(version=b"2"), "format version 2; this graphflow knows 1, so a newer one is needed"),
        (document(version=b"2")[:-1], "format version 2, and the digest does not fit; this graphflow knows 1"),
        (document(version=b"0"), "that is no checkpoint"),
        (document(version=b"1.0"), "that is no checkpoint"),
        (document(version=b'1,"version":1'), "that is no checkpoint"),
        (document(b"{}"), "tensors is not a list"),
        (document(b"[3]"), r"tensors\[0\] has no name of its own: None"),
        (document(b'[{"name":3}]'), r"tensors\[0\] has no name of its own: None|3"),
        (document(b"[" + RECORD + b"," + RECORD + b"]"), r"tensors\[1\] has no name of its own: 'w'"),
        (document(b'[{"name":"w"}]'), r"tensors\[0\] \('w'\) does not have exactly dtype, shape and data"),
        (document(b"[" + RECORD.replace(b"[1]", b"[2]") + b"]"), r"tensors\[0\] \('w'\) has 8 characters of data"),
        (
            document(b"[" + RECORD.replace(b"float32", b"complex64") + b"]"),
            r"has the unknown dtype 'complex64'",
        ),
        (document(solver=b"[]"), "solver is neither null nor a kind with a state"),
        (document(solver=b'{"kind":"A"}'), "solver is neither null"),
        (document(solver=b'{"kind":3,"state":{}}'), "solver is neither null"),
        (document(solver=b'{"kind":"A","state":[]}'), "solver is neither null"),
        (document(solver=b'{"kind":"A","state":{"x":{"$pickle":1}}}'), r"solver\['state'\]\['x'\] is no \$pickle"),
        (document(extra=b"[]"), "extra is not an object"),
        (document(extra=b'{"$tuple":[]}'), "extra is not an object"),
        (document(extra=b'{},"more":1'), "does not have exactly the members"),
        (document(extra=b'{},"extra":{}'), "the key 'extra' stands twice in one object"),
        (document(extra=b'{"a":1,"a":2}'), "the key 'a' stands twice in one object"),
    ],
)
def test_a_document_that_does_not_hold_what_it_should_is_refused(path, data, message):
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert f"cannot load the checkpoint {str(path)!r}" in str(caught.value)
