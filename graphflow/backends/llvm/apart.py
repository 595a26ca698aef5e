"""Vectors of elements that do not lie side by side in memory: every second one, or each one several times."""

from __future__ import annotations

from graphflow.backends.llvm.writer import Value, Writer

# Further apart, a vector takes more loads than it is worth.
MOST_APART = 4


def load_every(writer: Writer, pointer: Value, element: str, lanes: int, stride: int, used: int | None) -> Value:
    """Every stride-th element in the lanes, or in the first ones. Nothing is read behind the last of them."""
    count = lanes if used is None else used
    span = (count - 1) * stride + 1
    if span <= lanes:
        vector = writer.load(pointer, element, lanes, None if span == lanes else span)
        return writer.shuffle(vector, vector, [min(lane, count - 1) * stride for lane in range(lanes)])
    starts = [*range(0, span - lanes, lanes), span - lanes]
    vectors = [
        writer.load(writer.offset(pointer, Value(str(start), "i64"), element), element, lanes) for start in starts
    ]
    # Each step takes from one more vector what the ones before it do not hold.
    found = vectors[0]
    held = lanes
    for start, vector in zip(starts[1:], vectors[1:], strict=True):
        places = [min(lane, count - 1) * stride for lane in range(lanes)]
        is_first = vector is vectors[1]
        chosen = [
            (place if is_first else lane) if place < held else lanes + min(place - start, lanes - 1)
            for lane, place in enumerate(places)
        ]
        found = writer.shuffle(found, vector, chosen)
        held = start + lanes
    return found


def load_repeated(writer: Writer, pointer: Value, element: str, lanes: int, times: int, used: int | None) -> Value:
    """Consecutive elements, each in so many lanes next to each other; `times` divides the number of lanes."""
    few = lanes // times
    if few == 1:
        return writer.splat(writer.load(pointer, element), lanes)
    count = None if used is None else -(-used // times)
    vector = writer.load(pointer, element, few, None if count == few else count)
    return writer.shuffle(vector, vector, [lane // times for lane in range(lanes)])
