"""Data-parallel training: the same program on several processes, each with a part of the examples.

    launching   who was launched together, and how a program ends together
    group       what the processes tell one another: nothing where there is only one
    gradients   gradients added up over parts of a batch and over processes

A program is started as `mpiexec -n 4 python train.py`, and hands its main function to `run`:

    def main(group):
        ...
        total = gf.parallel.GradientSum(group, parameters)
        for batch in batches:
            ...
            vm.run_all()
            total.finish(1 / group.size)
            solver.step(parameters)

    if __name__ == "__main__":
        sys.exit(gf.parallel.run(main))
"""

from __future__ import annotations

from graphflow.parallel.gradients import GradientSum, check_shards
from graphflow.parallel.group import Alone, Group, Ranks
from graphflow.parallel.launching import Launch, launched, run
from graphflow.parallel.overlap import OverlappedRun

__all__ = ["Alone", "GradientSum", "Group", "Launch", "OverlappedRun", "Ranks", "check_shards", "launched", "run"]
