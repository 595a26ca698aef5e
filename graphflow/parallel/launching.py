"""How a program finds out that it was launched several times, and how all of its processes end together."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from graphflow.errors import MachineError
from graphflow.parallel.group import Alone, Group, Ranks

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

# What launchers tell the processes that they start: the variable for the size, and that for the rank.
LAUNCHERS: Final = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),  # Open MPI
    ("PMI_SIZE", "PMI_RANK"),  # MPICH, Intel MPI, Microsoft MPI
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),  # MVAPICH
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),  # srun; a batch script has no step of its own
)
PATIENCE: Final = 0.5  # seconds in which processes that end for the same reason are expected to do so
FAILED: Final = 1


@final
@dataclass(frozen=True)
class Launch:
    """One of several processes of a program.

    Attributes:
        size: how many were launched.
        rank: the number of this one.
    """

    size: int
    rank: int


def launched(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """What the launcher said; None for a process that was started alone.

    Example:
        >>> launched({"PMI_SIZE": "4", "PMI_RANK": "1"})
        Launch(size=4, rank=1)
        >>> launched({})
    """
    for size, rank in LAUNCHERS:
        try:
            found = Launch(int(environment[size]), int(environment[rank]))
        except (KeyError, ValueError):
            continue
        if found.size > 1:
            return found
    return None


def run(main: Callable[[Group], int | None], environment: Mapping[str, str] = os.environ) -> int:
    """Run a program's main function as one of the processes that were launched together.

    Where it was launched alone, this is `main(Alone())`. Where not, an exception, `sys.exit` or an exit code other
    than 0 on one rank ends all of them, with that rank's message and exit code. Only rank 0 has a standard output.

    Args:
        main: gets the group, returns an exit code or None for 0. All ranks return from it, or all are ended.
        environment: of the process.

    Returns:
        the exit code.

    Raises:
        whatever `main` raises, where there is only one process.

    Example:
        >>> run(lambda group: print(f"rank {group.rank} of {group.size}"), environment={})
        rank 0 of 1
        0
    """
    launch = launched(environment)
    if launch is None:
        return main(Alone()) or 0
    try:
        communicator = _connect(launch)
    except MachineError as error:
        _say(launch, str(error))
        return 2
    partings = communicator.Dup()  # a channel of their own: others may be in the middle of something else
    code, is_return = FAILED, False
    with _no_output_unless_first(launch):
        try:
            code, is_return = main(Ranks(communicator)) or 0, True
        except SystemExit as leaving:
            code = _exit_code(launch, leaving.code)
        except KeyboardInterrupt:
            _say(launch, "interrupted")
            code = 130
        except BaseException:  # noqa: BLE001 - whatever it is, the others must not wait for this one
            _say(launch, traceback.format_exc())
        sys.stdout.flush()
    # One that returned normally waits for the others: rank 0 may still be writing.
    if not _all_arrive(partings, None if is_return and code == 0 else PATIENCE):
        if not is_return and code == 0:
            _say(launch, "left before the others")
        sys.stderr.flush()
        communicator.Abort(code or FAILED)
    return _largest(partings, code)


def _connect(launch: Launch) -> Intracomm:
    """The communicator of all processes.

    Raises:
        MachineError: mpi4py is missing, or sees another number of processes than were launched.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: the library MPI itself is missing
        raise MachineError(
            f"launched as one of {launch.size} processes that cannot talk to one another",
            got=f"no mpi4py ({error})",
            needs="mpi4py: alone, each of them would train and save for itself",
            hint="pip install 'graphflow-engine[mpi]'",
        ) from None
    size = MPI.COMM_WORLD.Get_size()
    if size != launch.size:
        raise MachineError(
            f"launched as one of {launch.size} processes that do not find one another",
            got=f"{size} in MPI's world, of {MPI.Get_library_version().splitlines()[0][:60]}",
            needs="the launcher of the MPI that mpi4py was built for",
            hint="the mpiexec beside this Python, or mpi4py built for the MPI of your mpiexec",
        )
    return MPI.COMM_WORLD


def _say(launch: Launch, text: str) -> None:
    """Write to standard error, each line with the rank before it."""
    lines = "".join(f"rank {launch.rank} of {launch.size}: {line}\n" for line in text.splitlines())
    sys.stderr.write(lines)
    sys.stderr.flush()


def _exit_code(launch: Launch, code: object) -> int:
    """The number that `sys.exit(code)` means; a text is a message."""
    if code is None or isinstance(code, int):
        return int(code or 0)
    _say(launch, str(code))
    return FAILED


@contextlib.contextmanager
def _no_output_unless_first(launch: Launch) -> Iterator[None]:
    if launch.rank == 0:
        yield
    else:
        with open(os.devnull, "w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):  # noqa: PTH123
            yield


def _all_arrive(communicator: Intracomm, patience: float | None) -> bool:
    """Whether all processes come to their end within so many seconds."""
    request = communicator.Ibarrier()
    began = time.monotonic()
    while not request.Test():
        if patience is not None and time.monotonic() - began > patience:
            return False
        time.sleep(0.002)
    return True


def _largest(communicator: Intracomm, code: int) -> int:
    """The largest exit code, for all."""
    import numpy as np
    from mpi4py import MPI

    codes = np.array([code], np.int64)
    communicator.Allreduce(MPI.IN_PLACE, codes, MPI.MAX)
    return int(codes[0])
