"""The native tape against numpy and the LispMachine, and what machines promise on it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends import storage_of
from graphflow.backends.llvm.native import NativeBackend, NativeExecutable
from graphflow.errors import GraphflowError, MachineError, NumericalError, PositionError
from graphflow.op import REGISTRY
from graphflow.testing import assert_backends_agree, random_graph

ROOT = Path(__file__).resolve().parents[3]


def native(graph, **options):
    return gf.TapeMachine(graph, backend="native", **options)


def digest_of(machine):
    """A digest of the bits of everything that a machine keeps."""
    digest = hashlib.sha256()
    for _, operand in sorted(machine.program.results.items()):
        digest.update(machine._executable.array(operand).tobytes())
    return digest.hexdigest()


def recurrent_cost(g, steps, size=5):
    """The cost of an LSTM over some steps, and its parameters."""
    cell = gf.nn.LSTM(g, size, size)
    state = gf.nn.LSTMState(*[gf.constant(g, np.zeros(size, np.float32))] * 2)
    x = gf.vector(g, size, name="x", value=np.linspace(-1, 1, size, dtype=np.float32))
    cost = None
    for t in range(steps):
        with g.step(t):
            state = cell(x, state)
            loss = -gf.log(gf.softmax(state.hidden)[0])
            cost = loss if cost is None else cost + loss
    return cost, cell.parameters


# --- agreement --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(80))
def test_machines_agree_on_random_graphs(seed):
    case = random_graph(seed=90_000 + seed, size=8 + seed % 40)
    assert_backends_agree(case.graph, rounds=3, backends=("numpy", "native"), seed=seed)


@pytest.mark.parametrize("seed", range(12))
def test_machines_agree_where_everything_is_kept(seed):
    case = random_graph(seed=91_000 + seed, size=30)
    assert_backends_agree(case.graph, rounds=2, backends=("native",), seed=seed, keep="all")


@pytest.mark.parametrize("seed", range(12))
def test_rebinding_by_the_users_own_calls(seed):
    """Inputs and slices bound anew one by one, between runs of two machines over the same graph."""
    case = random_graph(seed=92_000 + seed, size=30)
    generator = np.random.default_rng(seed)
    with native(case.graph, seed=3) as tape:
        lisp = gf.LispMachine(case.graph, seed=3)
        for _ in range(4):
            case.rebind(generator)
            tape.run_all()
            found = float(tape.value_of(case.cost))
            lisp.run_all()
            assert found == pytest.approx(float(case.cost.value), rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_steps_give_the_bits_of_a_run(seed):
    case = random_graph(seed=93_000 + seed, size=30)
    with native(case.graph) as whole, native(case.graph) as stepped:
        whole.run_all()
        count = 0
        while stepped.step() is not None:
            count += 1
        assert count == len(stepped.program) == len(whole.program)
        assert digest_of(stepped) == digest_of(whole)


# --- looking inside ---------------------------------------------------------------------------------------------------


def test_watched_nodes_are_logged_as_they_are_computed():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, 2.0, 3.0])
    y = gf.exp(x * 2.0)
    y.name = "y"
    gf.sum(gf.tanh(y))
    lines = []
    with native(g, watch=y, logger=lines.append, value_format=".3f") as vm:
        vm.run_all()
    assert lines == ["y = [7.389 54.598 403.429]"]


def test_a_trace_shows_the_same_as_on_numpy():
    texts = {}
    for backend in ("native", "numpy"):
        g = gf.ExprGraph()
        x = gf.vector(g, 4, dtype="float64", name="x", value=np.arange(4.0))
        gf.grad(gf.sum(x * x + 3.0 * x), x)
        lines = []
        with gf.TapeMachine(g, backend=backend, trace=True, logger=lines.append) as vm:
            vm.run_all()
        texts[backend] = [line.partition("  made at ")[0] for line in lines]
    assert texts["native"]
    assert texts["native"] == texts["numpy"]


def test_watch_nan_names_the_node_and_the_machine_goes_on():
    g = gf.ExprGraph()
    x = gf.vector(g, 20, name="x", value=np.ones(20, np.float32))
    y = gf.log(x)
    y.name = "logarithm"
    z = gf.sum(y)
    with native(g, watch_nan=True) as vm:
        vm.run_all()
        assert z.value == 0.0
        gf.let(x, np.where(np.arange(20) == 17, -1.0, 1.0).astype(np.float32))
        with pytest.raises(NumericalError, match="logarithm") as caught:
            vm.run_all()
        assert "first at (17,)" in str(caught.value)
        gf.let(x, np.ones(20, np.float32))
        vm.run_all()
        assert z.value == 0.0


def test_watch_inf_stops_as_well():
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, 0.0, 1.0])
    gf.sum(1.0 / x)
    with native(g, watch_inf=True) as vm, pytest.raises(NumericalError, match="infinity"):
        vm.run_all()


# --- positions --------------------------------------------------------------------------------------------------------


def test_the_position_table_may_grow_after_compilation():
    """New slices move the table to another place; old machines find it."""
    g = gf.ExprGraph()
    table = gf.matrix(g, (50, 4), name="table", value=np.arange(200, dtype=np.float32).reshape(50, 4))
    row = table[gf.S(0)]
    y = gf.sum(row * row)
    y.name = "y"
    with native(g, outputs=y) as vm:
        vm.run_all()
        before = g.positions.cells
        others = [table[gf.S(number)] for number in range(40)]
        assert g.positions.cells is not before
        for number in (0, 7, 49, 3):
            gf.unsafe_let(row, gf.S(number))
            gf.unsafe_let(others[0], gf.S(49 - number))
            vm.run_all()
            assert y.value == float((table.value[number] ** 2).sum())


# --- stretches that numpy runs ----------------------------------------------------------------------------------------


def mixed_graph():
    """Machine code round normal numbers, which numpy draws; lookups, powers and whole numbers."""
    g = gf.ExprGraph()
    table = gf.matrix(g, (6, 4), dtype="float64", name="table", value=np.linspace(0.5, 2, 24).reshape(6, 4))
    ids = gf.tensor(g, (3,), dtype="int64", name="ids", value=np.array([5, 0, 2]))
    rows = gf.gather(table, ids)
    rows.name = "rows"
    powers = gf.exp(rows) ** gf.tanh(rows)
    noisy = powers * 2.0 + gf.gaussian(g, (3, 4), 0.0, 1.0, dtype="float64")
    noisy.name = "noisy"
    whole = gf.cast(ids * 2 + 1, "float64")
    cost = gf.sum(gf.tanh(noisy)) + gf.sum(whole)
    cost.name = "cost"
    gf.grad(cost, table)
    return g, ids, cost


def test_programs_change_between_machine_code_and_numpy():
    g, *_ = mixed_graph()
    with native(g) as vm:
        executable = vm._executable
        assert isinstance(executable, NativeExecutable)
        kinds = [each.action is None for each in executable._stretches]
        assert kinds.count(True) >= 2
        assert kinds.count(False) >= 1
        assert executable._stretches[0].first == 0
        assert executable._stretches[-1].stop == len(vm.program)
    assert_backends_agree(g, rounds=3, backends=("numpy", "native"))


def test_random_numbers_are_those_of_numpy_run_by_run():
    g, _, cost = mixed_graph()
    with native(g, seed=5) as first, gf.TapeMachine(g, backend="numpy", seed=5) as second:
        for _ in range(3):
            first.run_all()
            second.run_all()
            assert float(first.value_of(cost)) == pytest.approx(float(second.value_of(cost)), rel=1e-12)


@pytest.mark.parametrize("bad", [6, -1, 2**40])
def test_a_wrong_id_names_its_node_and_leaves_the_machine_usable(bad):
    g, ids, cost = mixed_graph()
    with native(g) as vm:
        vm.run_all()
        gf.let(ids, np.array([1, bad, 2]))
        with pytest.raises(PositionError) as caught:
            vm.run_all()
        assert caught.value.op == "gather"
        assert "test_native.py" in str(caught.value)
        with pytest.raises(GraphflowError):
            _ = cost.value
        gf.let(ids, np.array([1, 0, 2]))
        vm.runs = 0
        vm.run_all()
        found = float(cost.value)
    lisp = gf.LispMachine(g)
    lisp.run_all()
    assert found == pytest.approx(float(cost.value), rel=1e-9)


def test_an_error_in_an_op_without_a_loop_is_explained():
    class Failing(gf.Op):
        symbol = "failing"

        def infer(self, x):
            return x

        def evaluate(self, x):
            if x[0] > 1.5:
                raise ZeroDivisionError("on purpose")
            return x

        def gradient(self, dy, y, x):
            return (dy,)

    # The registry is for all tests, this op for this one.
    del REGISTRY[next(name for name, op in REGISTRY.items() if op is Failing)]
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, 1.0, 1.0])
    y = gf.sum(g.apply(Failing(), [gf.exp(x * 0.0) * x], name="middle"))
    with native(g) as vm:
        vm.run_all()
        gf.let(x, [2.0, 2.0, 2.0])
        with pytest.raises(MachineError, match=r"instruction \d+ failed: .*middle"):
            vm.run_all()
        gf.let(x, [1.0, 1.0, 1.0])
        vm.run_all()
        assert y.value == 3.0


def test_a_program_without_kernels_needs_no_machine_code():
    g = gf.ExprGraph()
    x = gf.gaussian(g, (3,), 0.0, 1.0)
    x.name = "x"
    with native(g) as vm:
        vm.run_all()
        assert vm._executable.kernels == 0
    assert np.isfinite(x.value).all()


def test_an_empty_value_runs():
    g = gf.ExprGraph()
    x = gf.tensor(g, (0, 3), name="x", value=np.zeros((0, 3), np.float32))
    y = gf.sum(gf.tanh(x) * 2.0)
    with native(g) as vm:
        vm.run_all()
    assert y.value == 0.0


# --- kernels ----------------------------------------------------------------------------------------------------------


def kernels_of(steps):
    g = gf.ExprGraph(seed=1)
    cost, parameters = recurrent_cost(g, steps)
    gf.grad(cost, *parameters)
    with native(g) as vm:
        return vm._executable.kernels, len(vm.program), len(vm._executable._code.object_bytes)


def test_the_number_of_kernels_does_not_grow_with_the_time_steps():
    few, short, _ = kernels_of(30)
    same, long, size = kernels_of(60)
    assert long > 1.5 * short
    # A sum of many terms is cut into eights; what is left over may need a kernel of its own.
    assert abs(same - few) <= 2
    assert size < 200_000


def test_equal_instructions_share_a_kernel():
    g = gf.ExprGraph()
    x = gf.vector(g, 7, name="x", value=np.ones(7, np.float32))
    for number in range(20):
        x = gf.tanh(x)
        x.name = f"y{number}"
    with native(g) as vm:
        assert len(vm.program) == 20
        assert vm._executable.kernels == 1


# --- determinism ------------------------------------------------------------------------------------------------------


def test_a_hundred_runs_give_the_same_bits():
    g = gf.ExprGraph(seed=1)
    cost, parameters = recurrent_cost(g, 8)
    gf.grad(cost, *parameters)
    with native(g) as vm:
        seen = set()
        for _ in range(100):
            vm.run_all()
            seen.add(digest_of(vm))
    assert len(seen) == 1


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.backends.llvm.test_native import digest_of, native
from graphflow.testing import random_graph
for seed in range(6):
    with native(random_graph(seed=94_000 + seed, size=24).graph, seed=seed) as vm:
        vm.run_all()
        vm.run_all()
        print(digest_of(vm))
"""


def test_processes_give_the_same_bits(tmp_path):
    """Two that generate the code, one of them under another order of hashes; a third that finds it on disk."""
    texts = []
    for number, folder in enumerate((tmp_path / "a", tmp_path / "b", tmp_path / "a")):
        environment = {**os.environ, "GRAPHFLOW_CACHE": str(folder), "PYTHONHASHSEED": str(number)}
        command = [sys.executable, "-c", PROGRAM, str(ROOT)]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        texts.append(done.stdout)
    assert texts[0].count("\n") == 6
    assert texts[1] == texts[0]
    assert texts[2] == texts[0]
    assert list((tmp_path / "a").iterdir())


# --- threads ----------------------------------------------------------------------------------------------------------


def test_two_machines_in_two_threads():
    g = gf.ExprGraph(seed=1)
    cost, parameters = recurrent_cost(g, 6, size=9)
    gf.grad(cost, *parameters)
    machines = [native(g) for _ in range(2)]
    machines[0].run_all()
    expected = digest_of(machines[0])
    wrong = []

    def work(machine):
        for _ in range(200):
            machine.run_all()
            if digest_of(machine) != expected:
                wrong.append(machine)

    threads = [threading.Thread(target=work, args=(machine,)) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_machines_are_made_in_several_threads_at_once(monkeypatch):
    monkeypatch.setenv("GRAPHFLOW_CACHE", "0")
    found = {}

    def work(number):
        g = gf.ExprGraph()
        x = gf.vector(g, 11 + number, name="x", init=gf.ones())
        y = gf.sum(gf.tanh(x * 0.0) + x)
        with native(g) as vm:
            vm.run_all()
        found[number] = float(y.value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: 11.0 + number for number in range(4)}


def test_other_threads_go_on_during_a_run():
    """Switching by time is as good as off, so the counter moves only where the lock is let go."""
    size = 500
    g = gf.ExprGraph()
    w = gf.matrix(g, (size, size), name="w", value=np.full((size, size), 1.0 / size, np.float32))
    x = w
    for number in range(8):
        x = w @ x
        x.name = f"x{number}"
    program = gf.compile_graph(g)
    executable = NativeBackend().compile(program, storage_of(program, g.positions, 0, g.overrides))
    executable.run(1)
    assert len(executable._stretches) == 1
    count, is_over = [0], threading.Event()

    def work():
        while not is_over.is_set():
            count[0] += 1
            time.sleep(0)

    interval = sys.getswitchinterval()
    worker = threading.Thread(target=work)
    sys.setswitchinterval(1000.0)
    try:
        worker.start()
        while not count[0]:
            time.sleep(0)
        before = count[0]
        executable.run(1)
        after = count[0]
    finally:
        is_over.set()
        sys.setswitchinterval(interval)
        worker.join()
    assert after > before + 10
