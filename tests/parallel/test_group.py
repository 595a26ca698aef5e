"""What processes tell one another, under the wheel's mpiexec and alone."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.backends.cores import available_cores
from tests.parallel.launch import PROGRAMS, mpiexec


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_talk(ranks):
    outcome = mpiexec(ranks, PROGRAMS / "talking.py")
    assert (outcome.code, outcome.out, outcome.err) == (0, "all is well\n", "")


def test_alone_there_is_nobody_to_talk_to():
    group = gf.parallel.Alone()
    array = np.arange(3.0)
    group.add(array)
    group.add_in_pairs(array, array)
    group.share_arrays([array])
    group.check_same("anything", array, b"text")
    group.wait()
    assert array.tolist() == [0.0, 1.0, 2.0]
    assert (group.rank, group.size, group.local_size, group.is_first) == (0, 1, 1, True)
    assert group.sums(1.5, 2.0) == [1.5, 2.0]
    assert group.gather(b"x") == [b"x"]


def test_the_cores_of_a_host_are_divided():
    group = gf.parallel.Alone()
    assert group.threads(8) == 8
    group.local_size = 3
    assert group.threads(8) == 2
    assert group.threads(2) == 1
    assert group.threads() == max(1, available_cores() // 3)
