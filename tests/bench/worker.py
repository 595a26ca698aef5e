"""A process with one peer in it. It waits for orders on stdin, so that nothing of it spins while another is timed.

Orders and answers are lines of JSON: prepare and check a contender, or run it for a while.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench import limits
from tests.bench.contender import Arrays, Contender, largest_error

MODULES = {
    "W1": "book", "W1g": "book", "W1f": "book", "W2": "characters", "W3": "characters", "W5": "dispatch", "W6": "mlp",
    "W7": "images",
}  # fmt: skip


def module_of(workload: str) -> Any:
    """The file that holds a workload."""
    return importlib.import_module(f"tests.bench.{MODULES[workload.partition('/')[0]]}")


class Worker:
    """Answers orders for one peer."""

    def __init__(self, peer: str, threads: int, corpus: str, *, is_slow: bool) -> None:
        self.peer, self.threads, self.is_slow = peer, threads, is_slow
        self.ids = symbols_of(Path(corpus)) if corpus else None
        self.found: dict[str, float] = {}
        self.references: dict[str, Arrays] = {}
        self.ready: dict[tuple[str, str], Contender] = {}

    def hello(self) -> dict[str, Any]:
        """Import the peer, pin its threads, say its version."""
        if self.peer == "torch":
            import torch

            torch.set_num_threads(self.threads)
        package = importlib.import_module(self.peer)
        return {"version": package.__version__, "python": platform.python_version()}

    def variants(self, workload: str) -> list[str]:
        """The ways in which this peer does a workload."""
        return list(self._makers(workload))

    def _makers(self, workload: str) -> dict[str, Any]:
        return module_of(workload).contenders(workload, self.threads, is_slow=self.is_slow).get(self.peer, {})

    def prepare(self, workload: str, variant: str) -> dict[str, Any]:
        """Build and compile a contender, and compare its answer with the reference."""
        begin = time.perf_counter()
        contender = self._makers(workload)[variant](workload, self.ids)
        found = {name: np.asarray(each) for name, each in contender.answer().items()}
        contender.run()
        seconds = time.perf_counter() - begin
        if workload not in self.references:
            self.references[workload] = module_of(workload).reference(workload, self.ids)
        where, error = largest_error(found, self.references[workload])
        self.ready[workload, variant] = contender
        return {"seconds": seconds, "where": where, "error": error, "note": contender.note}

    def run(self, workload: str, variant: str, seconds: float) -> dict[str, Any]:
        """Run blocks until the time is over, one at least; the processor time says how many cores were at work."""
        contender = self.ready[workload, variant]
        contender.run()  # bring its data back into the caches
        units, begin, used = 0, time.perf_counter(), processor_seconds()
        while not units or time.perf_counter() - begin < seconds:
            units += contender.run()
        elapsed = time.perf_counter() - begin
        return {"rate": units / elapsed, "cores": (processor_seconds() - used) / elapsed}

    def unit(self, workload: str) -> str:
        """What is counted."""
        return module_of(workload).UNIT

    def speeds(self) -> dict[str, float]:
        """What one core can do: the best seen so far, because on a busy machine a measurement may be too low."""
        self.found = {name: max(speed, self.found.get(name, 0.0)) for name, speed in limits.speeds().items()}
        return self.found

    def limit(self, workload: str) -> dict[str, Any] | None:
        """What that allows for a workload; None where there is no such figure."""
        work = module_of(workload).work(workload)
        return None if work is None else limits.limit(work, self.speeds(), self.threads)

    def forget(self, workload: str) -> None:
        """Let a workload's memory go."""
        self.ready = {key: each for key, each in self.ready.items() if key[0] != workload}


def symbols_of(path: Path) -> Any:
    """The characters of a text as numbers in order of first use."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(each, len(numbers)) for each in path.read_text(encoding="utf-8")], np.int64)


def processor_seconds() -> float:
    """Of all threads of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    options = json.loads(sys.argv[1])
    # Libraries may print; what they say goes to stderr, and only answers to the pipe.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(options["peer"], options["threads"], options["corpus"], is_slow=options["slow"])
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = {"done": getattr(worker, name)(*arguments)}
        except Exception as error:  # noqa: BLE001 - whatever a peer fails with is an answer, and the others go on
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
