"""Lanes of several vectors rearranged together: sums of their lanes, and transposition of a square block."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.backends.llvm.writer import BITS, Value, Writer


def lane_sums(writer: Writer, vectors: Sequence[Value]) -> Value:
    """One vector whose lane i is the sum of the lanes of vector i.

    Pairs of vectors are folded to half their lanes and joined, so that the additions stay as wide as the vectors are.

    Args:
        writer: of the kernel.
        vectors: at most as many as one has lanes; their number a power of two.
    """
    lanes, block = vectors[0].lanes, 128 // BITS[vectors[0].element]
    # Where the sums end up is the same for any order of the vectors: find it first, then put them so that it fits.
    owners = [[number] * lanes for number in range(len(vectors))]
    width = lanes
    steps: list[tuple[list[int], list[int], bool]] = []
    while width > 1:
        is_pair = len(owners) > 1
        low, high = _halves(lanes, width, block, is_pair)
        steps.append((low, high, is_pair))
        if is_pair:
            owners = [
                [(first + second)[lane] for lane in low]
                for first, second in zip(owners[::2], owners[1::2], strict=True)
            ]
        else:
            owners = [[owners[0][lane] for lane in low]]
            lanes //= 2
        width //= 2
    ordered = [vectors[owners[0].index(number)] for number in range(len(vectors))]
    for low, high, is_pair in steps:
        pairs = list(zip(ordered[::2], ordered[1::2], strict=True)) if is_pair else [(ordered[0], ordered[0])]
        ordered = [writer.add(writer.shuffle(*pair, low), writer.shuffle(*pair, high)) for pair in pairs]
    return ordered[0]


def _halves(lanes: int, width: int, block: int, is_pair: bool) -> tuple[list[int], list[int]]:
    """Lanes of the lower and of the upper halves of all groups of `width` lanes.

    Groups wider than 16 bytes move as a whole; narrower ones stay within their 16 bytes, which is cheaper.
    """
    span = lanes if width > block else min(block, lanes)
    sources = (0, lanes) if is_pair else (0,)
    starts = [
        source + start + group
        for start in range(0, lanes, span)
        for source in sources
        for group in range(0, span, width)
    ]
    half = range(width // 2)
    return (
        [start + lane for start in starts for lane in half],
        [start + width // 2 + lane for start in starts for lane in half],
    )


def transposed(writer: Writer, rows: Sequence[Value]) -> list[Value]:
    """The columns of a square block whose rows are vectors."""
    lanes, block = len(rows), 128 // BITS[rows[0].element]
    vectors = list(rows)
    held = [[(row, column) for column in range(lanes)] for row in range(lanes)]
    distance = 1
    while distance < lanes:
        low, high = _exchange(lanes, distance, block)
        for first in range(lanes):
            if first & distance:
                continue
            second = first + distance
            pair, owned = (vectors[first], vectors[second]), held[first] + held[second]
            vectors[first], vectors[second] = (writer.shuffle(*pair, chosen) for chosen in (low, high))
            held[first], held[second] = ([owned[lane] for lane in chosen] for chosen in (low, high))
        distance *= 2
    return [vectors[[each[0][1] for each in held].index(column)] for column in range(lanes)]


def _exchange(lanes: int, distance: int, block: int) -> tuple[list[int], list[int]]:
    """What two vectors keep and give each other: neighbours within 16 bytes first, then groups of 16 bytes."""
    if distance < block:
        # Interleave runs of `distance` lanes from the lower, then from the upper half of every 16 bytes.
        return tuple(  # type: ignore[return-value]  # two lists by construction
            [
                source + start + half + run + lane
                for start in range(0, lanes, block)
                for run in range(0, block // 2, distance)
                for source in (0, lanes)
                for lane in range(distance)
            ]
            for half in (0, block // 2)
        )
    return tuple(  # type: ignore[return-value]  # two lists by construction
        [
            source + start + lane
            for source in (0, lanes)
            for start in range(parity * block, lanes, 2 * block)
            for lane in range(block)
        ]
        for parity in (0, 1)
    )
