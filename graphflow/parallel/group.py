"""What processes that train together tell one another. Every method is called by all of them, in the same order."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, final

import numpy as np

from graphflow.backends.cores import available_cores
from graphflow.errors import MachineError
from graphflow.graph import check_nodes
from graphflow.node import Node
from graphflow.values import Array

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm


class Pending(Protocol):
    """Something that the processes have begun to tell one another."""

    def Test(self) -> bool:  # noqa: N802 - as mpi4py spells it
        """Whether it is done; also lets it go on."""

    def Wait(self) -> object:  # noqa: N802 - as above
        """Wait for its end."""


class Group(abc.ABC):
    """The processes of one training: `Alone`, or several `Ranks` under MPI.

    Attributes:
        rank: the number of this one, from 0.
        size: how many there are.
        local_size: how many of them share this one's host.

    Example:
        >>> group = Alone()
        >>> group.rank, group.size, group.share(lambda: b"the corpus")
        (0, 1, b'the corpus')
    """

    rank: int
    size: int
    local_size: int

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which owns the terminal and the files."""
        return self.rank == 0

    def threads(self, cores: int | None = None) -> int:
        """How many threads each process of a host may use, so that all of them together have no more than its cores.

        Args:
            cores: of the host, that may be used; by default as many as this process may use.
        """
        return max(1, (available_cores() if cores is None else cores) // self.local_size)

    @abc.abstractmethod
    def share(self, make: Callable[[], bytes]) -> bytes:
        """What rank 0 makes, for all.

        Args:
            make: called on rank 0 only. If it raises, the other ranks leave without a word, with SystemExit.
        """

    @abc.abstractmethod
    def share_arrays(self, arrays: Iterable[Array]) -> None:
        """Fill the arrays of all ranks with what they hold on rank 0; shapes and dtypes are the same everywhere."""

    @abc.abstractmethod
    def add(self, array: Array) -> None:
        """Replace a contiguous array by the sum of that of all ranks: the same bits everywhere."""

    @abc.abstractmethod
    def begin_to_add(self, array: Array) -> Pending:
        """As `add`, going on beside other work: the array holds the sum after `Wait` of what is returned."""

    @abc.abstractmethod
    def add_in_pairs(self, array: Array, work: Array) -> None:
        """As `add`, in a fixed order: neighbours in pairs, then the pairs in pairs. The size is a power of two.

        Args:
            array: of each rank.
            work: an array like it, to work in.
        """

    @abc.abstractmethod
    def sums(self, *numbers: float) -> list[float]:
        """Each number added up over all ranks."""

    @abc.abstractmethod
    def gather(self, data: bytes) -> list[bytes]:
        """What each rank gives, of the same length everywhere, by rank; for all."""

    @abc.abstractmethod
    def wait(self) -> None:
        """Go on when all have come here."""

    def first(self, work: Callable[[], object]) -> None:
        """Let rank 0 do something before all others go on.

        Args:
            work: called on rank 0 only. If it raises, the other ranks leave without a word, with SystemExit.
        """

        def done() -> bytes:
            work()
            return b""

        self.share(done)

    def share_parameters(self, nodes: Sequence[Node]) -> None:
        """Give all ranks the values that the parameters have on rank 0.

        Raises:
            GraphError: no list of nodes.
        """
        check_nodes("share_parameters", nodes)
        self.share_arrays(node.storage for node in nodes if node.storage is not None)

    def check_same(self, what: str, *parts: bytes | Array) -> None:
        """Compare something by its fingerprint.

        Args:
            what: what it is, for the message.
            parts: of this rank.

        Raises:
            MachineError: on all ranks, naming those that differ from rank 0.
        """
        if self.size == 1:
            return
        digest = hashlib.blake2b(digest_size=16)
        for part in parts:
            digest.update(part if isinstance(part, bytes) else part.tobytes())
        found = self.gather(digest.digest())
        others = [str(rank) for rank, mark in enumerate(found) if mark != found[0]]
        if others:
            raise MachineError(
                f"{what} differ between the processes",
                got=f"rank 0 {found[0].hex()[:12]}, rank {others[0]} {found[int(others[0])].hex()[:12]}",
                needs="the same on all ranks",
                hint=f"look at rank {', '.join(others)}: other program, data, options, library versions or processor?",
            )


@final
class Done:
    """What was done at once."""

    def Test(self) -> bool:  # noqa: N802 - as in Pending
        return True

    def Wait(self) -> object:  # noqa: N802 - as in Pending
        return None


@final
class Alone(Group):
    """A single process: nothing is sent, and there is nothing to wait for."""

    rank, size, local_size = 0, 1, 1

    def share(self, make: Callable[[], bytes]) -> bytes:
        return make()

    def share_arrays(self, arrays: Iterable[Array]) -> None:
        pass

    def add(self, array: Array) -> None:
        pass

    def begin_to_add(self, array: Array) -> Pending:
        return Done()

    def add_in_pairs(self, array: Array, work: Array) -> None:
        pass

    def sums(self, *numbers: float) -> list[float]:
        return list(numbers)

    def gather(self, data: bytes) -> list[bytes]:
        return [data]

    def wait(self) -> None:
        pass


@final
class Ranks(Group):
    """Several processes under MPI.

    Args:
        communicator: of mpi4py.
    """

    def __init__(self, communicator: Intracomm) -> None:
        from mpi4py import MPI

        self._mpi, self._all = MPI, communicator
        self.rank, self.size = communicator.Get_rank(), communicator.Get_size()
        here = communicator.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_size = here.Get_size()
        here.Free()

    def share(self, make: Callable[[], bytes]) -> bytes:
        length = np.full(1, -1, np.int64)
        made = b""
        if not self.is_first:
            self._all.Bcast(length)
            if length[0] < 0:
                raise SystemExit(0)  # rank 0 says what is wrong, and its exit code counts
            room = bytearray(int(length[0]))
            self._all.Bcast(room)
            return bytes(room)
        try:
            made = make()
            length[0] = len(made)
        finally:
            self._all.Bcast(length)
        self._all.Bcast(bytearray(made))
        return made

    def share_arrays(self, arrays: Iterable[Array]) -> None:
        for array in arrays:
            if array.flags.c_contiguous:
                self._all.Bcast(array)
            else:
                whole = np.ascontiguousarray(array)
                self._all.Bcast(whole)
                array[...] = whole

    def add(self, array: Array) -> None:
        self._all.Allreduce(self._mpi.IN_PLACE, array)

    def begin_to_add(self, array: Array) -> Pending:
        return self._all.Iallreduce(self._mpi.IN_PLACE, array)

    def add_in_pairs(self, array: Array, work: Array) -> None:
        distance = 1
        while distance < self.size:
            # Both partners add the same two numbers, and a + b is b + a.
            self._all.Sendrecv(array, self.rank ^ distance, recvbuf=work, source=self.rank ^ distance)
            np.add(array, work, out=array)
            distance *= 2

    def sums(self, *numbers: float) -> list[float]:
        array = np.array(numbers, np.float64)
        self._all.Allreduce(self._mpi.IN_PLACE, array)
        found: list[float] = array.tolist()
        return found

    def gather(self, data: bytes) -> list[bytes]:
        room = bytearray(len(data) * self.size)
        self._all.Allgather(bytearray(data), room)
        return [bytes(room[start : start + len(data)]) for start in range(0, len(room), len(data))]

    def wait(self) -> None:
        self._all.Barrier()
