"""A launched program knows it, and whatever ends one of its processes ends all, soon and not silently."""

from __future__ import annotations

import sys

import pytest

import graphflow as gf
from tests.parallel.launch import PROGRAMS, mpiexec


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"PMI_SIZE": "1", "PMI_RANK": "0"}, None),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"}, (2, 1)),
        ({"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "7"}, (8, 7)),
        ({"MV2_COMM_WORLD_SIZE": "3", "MV2_COMM_WORLD_RANK": "0"}, (3, 0)),
        ({"SLURM_STEP_NUM_TASKS": "16", "SLURM_PROCID": "5"}, (16, 5)),
        ({"SLURM_NTASKS": "16", "SLURM_PROCID": "0"}, None),  # a batch script outside of srun
        ({"PMI_SIZE": "many", "PMI_RANK": "1"}, None),
    ],
)
def test_launchers(environment, expected):
    assert gf.parallel.launched(environment) == (expected and gf.parallel.Launch(*expected))


def test_alone_the_program_is_called_as_it_is():
    assert gf.parallel.run(lambda group: group.size, environment={}) == 1
    assert gf.parallel.run(lambda _: None, environment={}) == 0
    with pytest.raises(ValueError, match="as it is"):
        gf.parallel.run(lambda _: int("as it is"), environment={})


LAUNCHED = {"PMI_SIZE": "4", "PMI_RANK": "2"}


def test_without_mpi4py_a_launched_program_is_refused(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    ran = []
    assert gf.parallel.run(ran.append, environment=LAUNCHED) == 2
    lines = capsys.readouterr().err.splitlines()
    assert not ran
    assert lines[0] == "rank 2 of 4: launched as one of 4 processes that cannot talk to one another"
    assert "pip install 'graphflow-engine[mpi]'" in "".join(lines)


def test_the_launcher_of_another_mpi_is_refused():
    outcome = mpiexec(0, PROGRAMS / "talking.py", OMPI_COMM_WORLD_SIZE="2", OMPI_COMM_WORLD_RANK="1")
    assert outcome.code == 2
    assert "launched as one of 2 processes that do not find one another" in outcome.err
    assert "got     1 in MPI's world" in outcome.err


@pytest.mark.parametrize("who", ["0", "1"])
@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("exception", 1, "ValueError: this one is wrong"),
        ("exit", 3, ""),
        ("exit 0", 1, "left before the others"),
        ("message", 1, "no more of this"),
        ("kill", 9, ""),
        ("interrupt", 130, "interrupted"),
        ("code", 4, ""),
    ],
)
def test_one_rank_ends_all(who, how, code, message):
    outcome = mpiexec(2, PROGRAMS / "leaving.py", who, how, limit=20)
    assert outcome.code == code
    said = [line for line in outcome.err.splitlines() if line.startswith("rank ")]
    assert all(line.startswith(f"rank {who} of 2: ") for line in said)
    assert message in outcome.err
    assert outcome.seconds < 15, "the others went on for their 30 seconds"


@pytest.mark.parametrize(("how", "code"), [("exit", 3), ("exit 0", 0), ("code", 4)])
def test_all_end_quietly_together(how, code):
    outcome = mpiexec(2, PROGRAMS / "leaving.py", "all", how)
    assert (outcome.code, outcome.err) == (code, "")


@pytest.mark.parametrize(("how", "code", "lines"), [("message", 1, 1), ("exit", 3, 0)])
def test_what_fails_on_the_first_rank_is_said_once(how, code, lines):
    outcome = mpiexec(4, PROGRAMS / "leaving.py", "share", how)
    assert outcome.code == code
    assert len(outcome.err.splitlines()) == lines
