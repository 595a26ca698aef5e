"""graphflow against its peers on the workloads W1 to W7.

    python tests/bench/compare.py [W1 W1g W1f W2 W3 W5 W6 W7] [--rounds 5] [--threads 1] [--seconds 0.5]
                                  [--peers numpy jax torch] [--corpus text.txt] [--slow]

What every contender computes is compared with a float64 reference first, cost and every gradient. Then all are timed
in turn, round by round, so that a change of the machine's speed meets all of them, and the medians are printed.
Each peer lives in a process of its own that waits while others are timed. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
WORKLOADS = {
    "W1": "LSTM of the Gorgonia chapter, one sentence of 30 steps: rebind, forward, backward, RMSProp",
    "W1g": "the same with a GRU",
    "W1f": "the same LSTM, forward only: the 30 probability vectors",
    "W2": "character LSTM, batch 16, 25 steps, 512/512, SGD, state carried",
    "W3": "character RNN, batch 32, 16 steps, 512/512, sigmoid, SGD, state carried",
    "W5/100": "chain of 100 dependent ops on 16 numbers, forward and gradient",
    "W5/1000": "the same with 1,000 ops",
    "W5/10000": "the same with 10,000 ops",
    "W5/100000": "the same with 100,000 ops",
    "W6": "perceptron 784-512-512-10, batch 128, SGD with momentum",
    "W7/3": "images 28x28, batch 100: convolutions of 32 and 64 filters 3x3, pooling, 128, 10, gradient descent",
    "W7/5": "the same with filters 5x5",
}
PEERS = ("graphflow", "numpy", "jax", "torch")
TOLERANCE = 1e-3
# A peer's threads go on spinning for a moment after their work is done.
SETTLE_SECONDS = 0.05


class Result(NamedTuple):
    """One line of a table.

    Attributes:
        peer, variant: which contender.
        rate: median of units per second.
        low, high: the slowest and the quickest round.
        cores: processor time per time.
        seconds: from nothing to the end of the first block: build, compile, run.
        error: the largest difference from the reference, relative.
        note: what the contender says of itself.
    """

    peer: str
    variant: str
    rate: float
    low: float
    high: float
    cores: float
    seconds: float
    error: float
    note: str


class Peer:
    """A worker process, seen from here."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        told = {"peer": name, "threads": options.threads, "corpus": options.corpus, "slow": options.slow}
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.worker", json.dumps(told)],
            cwd=ROOT,
            env=environment(options.threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *order: object) -> Any:
        """What the worker answers; a RuntimeError where it fails."""
        pipe_in, pipe_out = self.process.stdin, self.process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(json.dumps(order) + "\n")
        pipe_in.flush()
        line = pipe_out.readline()
        if not line:
            raise RuntimeError(f"the worker of {self.name} has ended")
        answer = json.loads(line)
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer["done"]

    def close(self) -> None:
        """End the process and wait for its end."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait()


def environment(threads: int) -> dict[str, str]:
    """Threads are pinned before anything is imported; settings that hold OpenBLAS to old kernels are taken away."""
    kept = {name: value for name, value in os.environ.items() if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC", "PJRT_NPROC"):
        kept[name] = str(threads)
    kept["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    kept["JAX_PLATFORMS"] = "cpu"
    kept["PYTHONPATH"] = str(ROOT)
    return kept


def prepare(workload: str, peers: dict[str, Peer]) -> dict[tuple[str, str], dict[str, Any]]:
    """Contenders whose numbers agree with the reference; the others are named and left out."""
    found = {}
    for name, peer in peers.items():
        for variant in peer.ask("variants", workload):
            try:
                answer = peer.ask("prepare", workload, variant)
            except RuntimeError as error:
                print(f"   {name}, {variant} cannot: {error}", flush=True)
                continue
            if answer["error"] <= TOLERANCE:
                found[name, variant] = answer
            else:
                print(f"   {name}, {variant} is wrong by {answer['error']:.1e} in {answer['where']}", flush=True)
    return found


def measure(workload: str, peers: dict[str, Peer], options: argparse.Namespace) -> list[Result]:
    """Check and time all contenders of a workload."""
    ready = prepare(workload, peers)
    runs: dict[tuple[str, str], list[dict[str, float]]] = {key: [] for key in ready}
    for _ in range(options.rounds):
        for (name, variant), rounds in runs.items():
            time.sleep(SETTLE_SECONDS)
            rounds.append(peers[name].ask("run", workload, variant, options.seconds))
    results = []
    for (name, variant), answer in ready.items():
        rates = [each["rate"] for each in runs[name, variant]]
        cores = statistics.median(each["cores"] for each in runs[name, variant])
        spread = (statistics.median(rates), min(rates), max(rates))
        results.append(Result(name, variant, *spread, cores, answer["seconds"], answer["error"], answer["note"]))
    for peer in peers.values():
        peer.ask("forget", workload)
    return results


def table(unit: str, results: list[Result]) -> str:
    """Rates, and graphflow's first contender as a multiple of each other one and of the best peers."""
    if not results:
        return "   nobody can"
    head = f"   {'':36}{unit + '/s':>12} {'lowest':>10} {'highest':>10} {'ns each':>10} {'ratio':>7} {'by cpu':>7} "
    lines = [head + f"{'cores':>5} {'ready s':>8} {'error':>8}"]
    ours = next((each for each in results if each.peer == "graphflow"), None)
    for each in results:
        ratios = f"{'':>7} {'':>7}"
        if ours is not None:
            by_cpu = ours.rate / ours.cores * each.cores / each.rate
            ratios = f"{ours.rate / each.rate:>7.2f} {by_cpu:>7.2f}"
        lines.append(
            f"   {each.peer + ', ' + each.variant:36}{each.rate:>12,.0f} {each.low:>10,.0f} {each.high:>10,.0f} "
            f"{1e9 / each.rate:>10,.0f} {ratios} {each.cores:>5.2f} {each.seconds:>8.2f} {each.error:>8.1e}"
        )
        if each.note:
            lines.append(f"      {each.note}")
    return "\n".join(lines + best_lines(ours, results))


def best_lines(ours: Result | None, results: list[Result]) -> list[str]:
    """Against the best peer; folding is other arithmetic, so the best without it are compared as well."""
    others = [each for each in results if each.peer != "graphflow"]
    if ours is None or not others:
        return []
    best = max(others, key=lambda each: each.rate)
    lines = [
        f"   graphflow, {ours.variant}: {ours.rate / best.rate:.2f} times the best peer ({best.peer}, {best.variant})"
    ]
    if "folded" in best.variant:
        as_written = max((each for each in others if "folded" not in each.variant), key=lambda each: each.rate)
        label = f"{as_written.peer}, {as_written.variant}"
        mine = our_best(results) or ours
        lines.append(f"   {mine.variant}: {mine.rate / as_written.rate:.2f} times the best as written ({label})")
    return lines


def our_best(results: list[Result]) -> Result | None:
    """graphflow's first contender that computes what is written; None where there is none."""
    return next((each for each in results if each.peer == "graphflow" and "folded" not in each.variant), None)


def limit_line(unit: str, limit: dict[str, Any], results: list[Result]) -> str:
    """How near graphflow comes to what the processor allows, with arithmetic as written."""
    ours = our_best(results)
    share = "" if ours is None else f"; graphflow reaches {100 * ours.rate / limit['rate']:.0f} %"
    parts = ", ".join(f"{name} {microseconds:.1f} us" for name, microseconds in limit["parts"].items())
    return f"   limit of {limit['threads']} core(s): {limit['rate']:,.0f} {unit}/s ({parts} per unit){share}"


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What the command line asks for; W5 and W7 stand for all their sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="workload", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one contender in one round")
    parser.add_argument("--peers", nargs="*", choices=PEERS[1:], default=PEERS[1:])
    parser.add_argument("--corpus", default="", help="a text to take characters from instead of random numbers")
    parser.add_argument("--slow", action="store_true", help="also what takes minutes to compile, such as torch.compile")
    options = parser.parse_args(given)
    known = {name: {name, name.split("/")[0]} for name in WORKLOADS}
    wanted = set(options.workloads or WORKLOADS)
    unknown = wanted.difference(*known.values())
    if unknown:
        parser.error(f"there is no workload {' '.join(sorted(unknown))}; there are {' '.join(WORKLOADS)}")
    options.workloads = [name for name, names in known.items() if names & wanted]
    if options.corpus:
        options.corpus = str(Path(options.corpus).resolve())
    return options


def processor() -> str:
    """The name of the processor, where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    options = arguments()
    installed = [name for name in options.peers if importlib.util.find_spec(name)]
    peers = {name: Peer(name, options) for name in ("graphflow", *installed)}
    try:
        versions = {name: peer.ask("hello")["version"] for name, peer in peers.items()}
        print(f"{processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}")
        print(", ".join(f"{name} {version}" for name, version in versions.items()))
        print(f"threads {options.threads}, rounds {options.rounds} of {options.seconds} s, medians, float32")
        print(f"load average {os.getloadavg()[0]:.1f}; 'ratio' is graphflow's first line against the line's own")
        speeds = peers["graphflow"].ask("speeds")
        print(", ".join(f"{name} {speed:.0f}" for name, speed in speeds.items()) + " (GB/s, GFLOP/s; one core)")
        for workload in options.workloads:
            print(f"\n{workload}: {WORKLOADS[workload]}", flush=True)
            unit = peers["graphflow"].ask("unit", workload)
            results = measure(workload, peers, options)
            print(table(unit, results))
            limit = peers["graphflow"].ask("limit", workload)
            if limit is not None:
                print(limit_line(unit, limit, results), flush=True)
    finally:
        for peer in peers.values():
            peer.close()


if __name__ == "__main__":
    main()
