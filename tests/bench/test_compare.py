"""The benchmark itself: what is timed computes the right numbers, wrong numbers are noticed, and the table is right."""

from __future__ import annotations

import argparse
import importlib.util

import numpy as np
import pytest

from tests.bench import compare, limits
from tests.bench.contender import TOLERANCE, Work, largest_error
from tests.bench.worker import MODULES, Worker, module_of, symbols_of

WORKLOADS = ["W1", "W1g", "W1f", "W2", "W3", "W5/100", "W6", "W7/3"]
BACKENDS = {"native": "llvmlite", "numpy tape": "numpy"}


WORKER = {peer: Worker(peer, 1, "", is_slow=False) for peer in ("graphflow", "numpy")}


def contenders():
    """Those that can run here: peer, workload, variant."""
    every = ((p, w, v) for p, worker in WORKER.items() for w in WORKLOADS for v in worker.variants(w))
    return [each for each in every if importlib.util.find_spec(BACKENDS.get(each[2].partition(",")[0], "numpy"))]


@pytest.mark.parametrize(("peer", "workload", "variant"), contenders())
def test_contenders_agree_with_the_reference(peer, workload, variant):
    answer = WORKER[peer].prepare(workload, variant)
    WORKER[peer].forget(workload)
    assert answer["error"] <= TOLERANCE, answer["where"]


def test_a_text_may_stand_in_for_random_numbers(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be\n" * 40, encoding="utf-8")
    assert symbols_of(path)[:6].tolist() == [0, 1, 2, 3, 4, 2]
    worker = Worker("numpy", 1, str(path), is_slow=False)
    assert worker.prepare("W1", "by hand")["error"] <= TOLERANCE


def test_wrong_numbers_are_noticed():
    wanted = {"cost": np.array(2.0), "w": np.array([1.0, -4.0])}
    right = {"cost": np.float32(2.0), "w": np.array([1.0, -4.004], np.float32)}
    where, error = largest_error(right, wanted)
    assert where == "w"
    assert error == pytest.approx(1e-3, rel=1e-3)
    assert largest_error({**right, "w": np.array([np.nan, -4.0])}, wanted)[0] == "w"
    assert not largest_error({**right, "w": np.array([np.nan, -4.0])}, wanted)[1] <= TOLERANCE
    assert largest_error({**right, "w": np.zeros(3)}, wanted)[1] == np.inf
    assert largest_error({"cost": right["cost"]}, wanted)[1] == np.inf


def test_the_table():
    results = [
        compare.Result("graphflow", "native", 4000.0, 3900.0, 4100.0, 1.0, 0.25, 2e-7, "12 nodes"),
        compare.Result("jax", "epoch, folded", 2000.0, 1900.0, 2100.0, 0.5, 3.0, 3e-7, ""),
        compare.Result("torch", "eager", 200.0, 190.0, 210.0, 1.0, 1.0, 4e-7, ""),
    ]
    lines = compare.table("steps", results).splitlines()
    assert [" ".join(line.split()) for line in lines[1:5]] == [
        "graphflow, native 4,000 3,900 4,100 250,000 1.00 1.00 1.00 0.25 2.0e-07",
        "12 nodes",
        "jax, epoch, folded 2,000 1,900 2,100 500,000 2.00 1.00 0.50 3.00 3.0e-07",
        "torch, eager 200 190 210 5,000,000 20.00 20.00 1.00 1.00 4.0e-07",
    ]
    assert lines[5:] == [
        "   graphflow, native: 2.00 times the best peer (jax, epoch, folded)",
        "   native: 20.00 times the best as written (torch, eager)",
    ]


def test_the_limit_is_the_sum_of_its_parts():
    work = Work(reads=1e6, operations=2e6, updates=5e5, is_threaded=True)
    found = limits.limit(work, {"L2": 100.0, "multiply-add": 100.0}, threads=2)
    assert found["parts"] == {"weights through L2": 5.0, "products": 10.0, "update": 2.5}
    assert found["rate"] == pytest.approx(1e6 / 17.5)
    assert all(speed > 0 for speed in limits.numpy_speeds().values())


def test_workloads_are_chosen_by_name():
    assert compare.arguments(["W5", "W1"]).workloads == ["W1", "W5/100", "W5/1000", "W5/10000", "W5/100000"]
    assert compare.arguments(["W5/1000"]).workloads == ["W5/1000"]
    assert set(compare.arguments([]).workloads) == set(compare.WORKLOADS)
    assert {name.partition("/")[0] for name in compare.WORKLOADS} == set(MODULES)
    with pytest.raises(SystemExit):
        compare.arguments(["W4"])


def test_threads_are_pinned_and_old_kernels_are_not_asked_for(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    found = compare.environment(1)
    assert "OPENBLAS_CORETYPE" not in found
    assert found["OMP_NUM_THREADS"] == found["OPENBLAS_NUM_THREADS"] == "1"


def test_a_worker_answers_in_a_process_of_its_own():
    options = argparse.Namespace(threads=1, corpus="", slow=False, rounds=2, seconds=0.0)
    peer = compare.Peer("numpy", options)
    try:
        assert peer.ask("hello")["version"] == np.__version__
        (result,) = compare.measure("W5/100", {"numpy": peer}, options)
        assert result.rate > 0
        assert result.low <= result.rate <= result.high
        with pytest.raises(RuntimeError, match="KeyError"):
            peer.ask("prepare", "W5/100", "by nobody")
    finally:
        peer.close()
    assert peer.process.returncode == 0


def test_every_workload_says_what_it_counts_and_needs():
    for workload in WORKLOADS:
        module = module_of(workload)
        assert module.UNIT
        work = module.work(workload)
        assert (work is None) == workload.startswith("W5")
