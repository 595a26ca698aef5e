"""Threads that help with large products: the same bits for any number of them, and none that stays behind."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends import storage_of
from graphflow.backends.llvm import team as teams
from graphflow.backends.llvm.host import this_host
from graphflow.backends.llvm.native import NativeBackend
from graphflow.backends.llvm.team import Team, team_code_of
from graphflow.backends.llvm.writer import TEAM
from tests.backends.llvm.product_kernels import Kernels
from tests.backends.llvm.test_products import DTYPES, TURNS, batches, check, host, product_case

__all__ = ["host"]

ROOT = Path(__file__).resolve().parents[3]
SHARE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
CHUNK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
# Odd sizes, so that chunks are of all kinds: of columns, of rows, of both, with and without a rest.
SIZES = [
    (16, 520, 300), (130, 131, 190), (261, 65, 130), (521, 17, 300), (70, 1030, 65), (3, 1100, 700), (257, 513, 90),
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_helper_stays():
    """Whatever a test does, its helpers are gone some time after it."""
    yield
    gc.collect()
    wait_until(lambda: not helpers())


def helpers():
    return [thread for thread in threading.enumerate() if thread.name == "graphflow helper"]


def wait_until(condition):
    """Wait for what is bound to happen; a minute is for ever."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


# --- chunks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layouts", TURNS)
def test_products_have_the_same_bits_for_any_number_of_threads(host, layouts, dtype):
    generator = np.random.default_rng([host.vector_bytes, len(dtype)])
    kernels = check([product_case(generator, *sizes, dtype, layouts) for sizes in SIZES], host)
    assert min(kernels.chunks) > 1
    for number, case in enumerate(kernels.cases):
        kernels.run(number)
        alone = case.output.tobytes()
        for count in (1, 2):
            team = Team(host, count)
            kernels.context[TEAM] = team.address
            for _ in range(4):
                case.output.fill(np.nan)
                with team:
                    kernels.run(number)
                assert case.output.tobytes() == alone, case.loop
            kernels.context[TEAM] = 0
            team.close()


def test_products_under_outer_axes_are_divided_too(host, monkeypatch):
    monkeypatch.setattr("graphflow.backends.llvm.matrix_products.LARGE", 0)
    monkeypatch.setattr("graphflow.backends.llvm.matrix_products.CHUNK", 1)
    monkeypatch.setattr("graphflow.backends.llvm.matrix_products.CHUNK_ROWS", 1)
    kernels = check(batches(np.random.default_rng(4), "float32"), host)
    assert max(kernels.chunks) > 1


def test_small_products_and_products_with_a_vector_stay_whole(host):
    generator = np.random.default_rng(5)
    small = product_case(generator, 30, 400, 100, "float32")
    vector = product_case(generator, 2048, 1500, 1, "float32", kind="matrix vector")
    assert Kernels([small, vector], host).chunks == [1, 1]


# --- claiming ---------------------------------------------------------------------------------------------------------


def test_the_thread_that_runs_takes_from_the_front_and_helpers_from_the_back():
    """The first chunk lasts until a helper has done all the others but one, and each is done once."""
    team, code = Team(this_host(), 1), team_code_of(this_host())
    taken = {"runs": [], "helps": []}
    helped = threading.Event()
    runner = threading.current_thread()

    def chunk(_, number):
        if threading.current_thread() is not runner:
            taken["helps"].append(number)
            if number == 1:
                helped.set()
            return
        taken["runs"].append(number)
        assert helped.wait(60)

    function = CHUNK(chunk)
    with team:
        SHARE(code.share)(team.address, ctypes.cast(function, ctypes.c_void_p), 0, 6)
    assert taken == {"runs": [0], "helps": [5, 4, 3, 2, 1]}
    team.close()


def test_a_run_goes_on_while_helpers_are_away():
    team, code = Team(this_host(), 1), team_code_of(this_host())
    taken = []
    function = CHUNK(lambda _, number: taken.append(number))
    # Not called in: nobody comes, and nobody is waited for.
    SHARE(code.share)(team.address, ctypes.cast(function, ctypes.c_void_p), 0, 4)
    assert taken == [0, 1, 2, 3]
    assert not helpers()


# --- machines ---------------------------------------------------------------------------------------------------------


def large_graph(size=160, steps=3, seed=1):
    """Products that are worth dividing, and a step in numpy between them."""
    g = gf.ExprGraph(seed=seed)
    x = gf.matrix(g, (size, size), name="x", init=gf.glorot_n())
    w = gf.matrix(g, (size, size), name="w", init=gf.glorot_n())
    for _ in range(steps):
        x = gf.tanh(x @ w)
    cost = gf.sum(x * x)
    gf.grad(cost, w)
    return g


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(teams, "available_cores", lambda: 3)


def bits_of(machine):
    return [machine._executable.array(each).tobytes() for _, each in sorted(machine.program.results.items())]


@pytest.mark.parametrize("threads", [2, 3])
def test_machines_give_the_same_bits_for_any_number_of_threads(many_cores, threads):
    g = large_graph()
    found = []
    for count in (1, threads):
        with gf.TapeMachine(g, backend="native", threads=count) as machine:
            assert machine._executable.threads == count
            for _ in range(10):
                machine.run_all()
            found.append(bits_of(machine))
            assert len(helpers()) == count - 1
        assert not helpers()
    assert found[0] == found[1]


@pytest.mark.parametrize("options", [{}, {"trace": True, "logger": len}, {"watch_nan": True}], ids=["", "trace", "nan"])
def test_stepping_and_watching_with_helpers(many_cores, options):
    g = large_graph(steps=2)
    found = []
    for threads in (1, 2):
        with gf.TapeMachine(g, backend="native", threads=threads, **options) as machine:
            machine.run_all()
            found.append(bits_of(machine))
            while machine.step() is not None:
                pass
            found.append(bits_of(machine))
    assert found == found[:1] * 4


def test_paranoid_mode_with_helpers(many_cores, monkeypatch):
    g = large_graph(steps=1)
    found = []
    for is_paranoid in "01":
        monkeypatch.setenv("GRAPHFLOW_PARANOID", is_paranoid)
        with gf.TapeMachine(g, backend="native", threads=2) as machine:
            machine.run_all()
            found.append(machine.value_of(g.cost).tobytes())
    assert found[0] == found[1]


def test_rows_run_with_helpers_have_the_same_bits(many_cores):
    """One call of machine code for many rows; a solver's steps in between."""
    found = []
    for threads in (1, 2, 3):
        g = gf.ExprGraph(seed=1)
        data = gf.tensor(g, (5, 160, 160), name="data", init=gf.glorot_n())
        w = gf.matrix(g, (160, 160), name="w", init=gf.glorot_n())
        x = data[0]
        hidden = gf.tanh(x @ w) @ w
        gf.grad(gf.sum(hidden * hidden), w)
        with gf.TapeMachine(g, backend="native", threads=threads) as machine:
            costs = machine.run_over((x,), np.arange(40)[:, None] % 5, gf.VanillaSolver(learn_rate=0.01))
        found.append((costs.tobytes(), w.value.tobytes()))
    assert found == found[:1] * 3


def test_how_many_threads(many_cores):
    def threads(graph, **options):
        with gf.TapeMachine(graph, backend="native", **options) as machine:
            return machine._executable.threads

    large = large_graph(steps=1)
    assert [threads(large, threads=count) for count in (1, 2, 3, 99)] == [1, 2, 3, 3]
    assert threads(large) == 3
    # Nothing is large here: one thread, whatever is asked for.
    small = large_graph(size=20, steps=30)
    assert threads(small, threads=2) == threads(small) == 1
    # Most of the work is done without helpers: only if they are asked for.
    g = gf.ExprGraph()
    w = gf.matrix(g, (512, 512), name="w", init=gf.ones())
    x = gf.vector(g, 512, name="x", init=gf.ones())
    for _ in range(40):
        x = w @ x
    gf.matrix(g, (20, 512), init=gf.ones()) @ w
    assert threads(g) == 1
    assert threads(g, threads=2) == 2


def test_available_cores():
    assert 1 <= teams.available_cores() <= (os.cpu_count() or 1)


FAILED = []


@dataclass(frozen=True)
class Fail(gf.Op):
    """Fails the first time."""

    symbol = "fail"

    def infer(self, x):
        return x

    def evaluate(self, x):
        if not FAILED:
            FAILED.append(self)
            raise ValueError("as it should")
        return x

    def gradient(self, dy, y, x):
        return (dy,)


def test_a_run_that_fails_lets_its_helpers_go(many_cores):
    g = gf.ExprGraph(seed=1)
    x = gf.matrix(g, (160, 160), name="x", init=gf.glorot_n())
    y = gf.apply(Fail(), x @ x) @ x
    with gf.TapeMachine(g, backend="native", threads=2) as machine:
        with pytest.raises(gf.MachineError, match="as it should"):
            machine.run_all()
        assert not machine._executable._team._words[teams.IS_RUNNING]
        machine.run_all()
        np.testing.assert_allclose(y.value, np.linalg.matrix_power(x.value, 3), atol=1e-5)


def test_two_machines_at_once_with_helpers_of_their_own(many_cores):
    g = large_graph()
    with gf.TapeMachine(g, backend="native", threads=1) as machine:
        machine.run_all()
        expected = machine.value_of(g.cost).tobytes()
    machines = [gf.TapeMachine(g, backend="native", threads=2) for _ in range(2)]
    wrong = []

    def work(machine):
        for _ in range(60):
            machine.run_all()
            if machine.value_of(g.cost).tobytes() != expected:
                wrong.append(machine)

    threads = [threading.Thread(target=work, args=(machine,)) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(helpers()) == 2
    for machine in machines:
        machine.close()
    assert not helpers()


def test_helpers_end_with_their_machine(many_cores):
    g = large_graph(steps=1)
    machine = gf.TapeMachine(g, backend="native", threads=3)
    assert not helpers()
    machine.run_all()
    assert len(helpers()) == 2
    del machine
    gc.collect()
    wait_until(lambda: not helpers())


def test_a_machine_is_closed_while_it_runs(many_cores):
    """Whether the run had begun or not: if it had, it goes on alone."""
    g = large_graph(steps=60)
    machine = gf.TapeMachine(g, backend="native", threads=2)
    machine.run_all()
    expected = bits_of(machine)
    begun = threading.Event()

    def work():
        begun.set()
        with suppress(gf.MachineError):
            machine.run_all()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(60)
    machine.close()
    thread.join()
    assert bits_of(machine) == expected


def test_executables_are_closed_twice_and_never_run(many_cores):
    g = large_graph(steps=1)
    program = gf.compile_graph(g)
    executable = NativeBackend(threads=2).compile(program, storage_of(program, g.positions, 0, g.overrides))
    executable.close()
    executable.close()
    executable.run(1)
    assert not helpers()


PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
from graphflow.backends.llvm import team
team.available_cores = lambda: 2
from tests.backends.llvm.test_team import bits_of, gf, helpers, large_graph
machine = gf.TapeMachine(large_graph(), backend="native", threads=2)
machine.run_all()
expected = bits_of(machine)
if sys.argv[2] == "fork":
    child = os.fork()
    machine.run_all()
    assert bits_of(machine) == expected
    assert len(helpers()) == 1
    if child:
        assert os.waitpid(child, 0)[1] == 0
print("right")
"""


@pytest.mark.parametrize("what", ["exit", *(["fork"] if hasattr(os, "fork") else [])])
def test_processes_end_and_fork_with_helpers(what):
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(ROOT), what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "right"
