"""Kernels for a matrix times a matrix: tiles of results in registers, over panels of the right factor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from graphflow.backends.llvm.packing import pack_panel
from graphflow.backends.llvm.product_form import (
    ALL,
    Product,
    Segment,
    Share,
    at,
    fixed,
    lane_totals,
    lanes_of,
    number,
    segments,
    store_lanes,
    strips,
)
from graphflow.backends.llvm.writer import BITS, Value, Writer

# Rows of a packed panel at most, for its room on the stack is bounded. Each further block takes up all results again.
PANEL_DEPTH = 512
# Rows of a tile at most: they may all lie a power of two apart, where the first cache keeps eight.
TILE_ROWS = 8
# Multiplications that make a product large enough to be divided into chunks, and those of a chunk at least: some 35 and
# 5 microseconds of one core. A sentence at a time, as networks of a few hundred numbers need it, stays below.
LARGE, CHUNK = 2**21, 2**18
# Chunks at most.
CHUNKS = 32
# Rows of a chunk at least, for each one reads the right factor; eight times as many where it has to be packed.
CHUNK_ROWS = 32


class Division(NamedTuple):
    """The share of the columns and of the rows that a kernel computes."""

    columns: Share
    rows: Share


WHOLE = Division(ALL, ALL)


def divided(writer: Writer, product: Product, times: int) -> Division:
    """Make the kernel compute a chunk, if its products are large: which one.

    No sum is divided, so a result is the same bits whoever computes it, and in how many chunks.

    Args:
        writer: of the kernel.
        product: one of its products.
        times: how many of them it computes.
    """
    work = product.rows * product.columns * product.summed * times
    if work < LARGE:
        return WHOLE
    most = min(CHUNKS, work // CHUNK)
    strips, rows_at_least = _chunk_sizes(writer, product)
    columns = min(most, strips)
    rows = max(1, min(most // columns, product.rows // rows_at_least))
    if columns * rows == 1:
        return WHOLE
    chunk = writer.divide(columns * rows)
    return Division(
        Share(writer.binary("udiv", chunk, number(rows)), columns),
        Share(writer.binary("urem", chunk, number(rows)), rows),
    )


def _chunk_sizes(writer: Writer, product: Product) -> tuple[int, int]:
    """Into how many strips a kernel divides its columns, and how many rows a chunk has at least."""
    rest = _dotted_columns(writer, product)
    if rest == product.columns:
        return -(-rest // _dot_sizes(writer)[1]), CHUNK_ROWS
    main = product._replace(columns=product.columns - rest)
    panels = -(-main.columns // (_panel_vectors(writer, main) * lanes_of(writer, product.element)))
    return panels, 8 * CHUNK_ROWS if _needs_packing(writer, main) else CHUNK_ROWS


def write_matrix_product(
    writer: Writer, product: Product, division: Division, left: Value, right: Value, output: Value
) -> None:
    """The kernel for a product whose output has contiguous columns, or a single one."""
    rest = _dotted_columns(writer, product)
    if rest == product.columns:
        _dots(writer, product, division, left, right, output)
        return
    main = product._replace(columns=product.columns - rest)
    if _needs_packing(writer, main):
        _packed(writer, main, division, left, right, output)
    else:
        _unpacked(writer, main, division, left, right, output)
    if rest:
        right = fixed(writer, right, main.columns * product.right[1], product.element)
        output = fixed(writer, output, main.columns, product.element)
        _dots(writer, product._replace(columns=rest), division, left, right, output)


def _dotted_columns(writer: Writer, product: Product) -> int:
    """How many of the columns, the last ones, are best computed as dots: all, none, or a few that fill no vector."""
    lanes = lanes_of(writer, product.element)
    rest = product.columns % lanes
    if product.left[1] != 1 or product.right[0] != 1 or product.summed < lanes:
        return 0
    # Adding up the lanes at the end must not outweigh the sum, nor a copy of the panels be used for many rows.
    is_long = product.summed >= 8 * lanes
    if product.rows <= 4 or (is_long and (product.rows <= 64 or product.columns <= lanes)):
        return product.columns
    return rest if is_long and rest <= lanes // 8 else 0


def _needs_packing(writer: Writer, product: Product) -> bool:
    """Whether the right factor cannot be read in vectors, or is large enough to be worth a copy."""
    if product.right[1] != 1 and product.columns > 1:
        return True
    # Wide panels have whole cache lines in every row: only a very large factor gains from lying in the panel's order.
    large = 2**22 if writer.vector_bytes == 64 else 2**17
    reads = product.summed * product.columns * BITS[product.element] // 8
    return product.rows >= 48 and product.summed >= 64 and reads > large


# --- tiles over panels ------------------------------------------------------------------------------------------------


def _panel_vectors(writer: Writer, product: Product) -> int:
    """Vectors in a panel, so that the panels are about equally wide."""
    most = 4 if writer.registers == 32 else 2
    vectors = -(-product.columns // lanes_of(writer, product.element))
    if vectors <= 4 and product.rows * product.columns * product.summed >= LARGE and _needs_packing(writer, product):
        # Two panels for two threads: one panel would be packed by each of them.
        most = 2
    panels = -(-vectors // most)
    return -(-vectors // panels)


def _tile_rows(writer: Writer, product: Product, vectors: int) -> int:
    """Rows of a tile: what the registers hold besides a row of the panel, shared out evenly."""
    spare = 2 if writer.vector_bytes > 16 else 3
    most = min(TILE_ROWS, (writer.registers - vectors - spare) // vectors)
    tiles = -(-product.rows // most)
    return -(-product.rows // tiles)


Panel = Callable[[Value, list[Segment], Value], None]


def _panels(writer: Writer, product: Product, share: Share, right: Value, output: Value, body: Panel) -> None:
    """body(first element on the right, its columns, first element of the output) for each panel."""

    def columns_from(column: Value, columns: int) -> None:
        parts = segments(writer, product.element, columns)
        body(
            at(writer, right, column, product.right[1], product.element),
            parts,
            at(writer, output, column, product.output[1], product.element),
        )

    width = _panel_vectors(writer, product) * lanes_of(writer, product.element)
    strips(writer, product.columns, width, columns_from, share)


def _unpacked(writer: Writer, product: Product, division: Division, left: Value, right: Value, output: Value) -> None:
    def panel(here: Value, parts: list[Segment], target: Value) -> None:
        rows_of_tiles(
            writer, product, division.rows, parts, left, here, product.right[0], target, number(product.summed)
        )

    _panels(writer, product, division.columns, right, output, panel)


def _packed(writer: Writer, product: Product, division: Division, left: Value, right: Value, output: Value) -> None:
    """Blocks along the sum; in each one panel after the other is packed, then used for all rows."""
    element = product.element
    lanes = lanes_of(writer, element)
    depth = _block_depth(product.summed, lanes)
    width = _panel_vectors(writer, product) * lanes
    room = writer.stack(depth * width, element)

    def block(start: Value, rows: Value, is_first: Value | None) -> None:
        def panel(here: Value, parts: list[Segment], target: Value) -> None:
            pack_panel(writer, product, here, rows, parts, room, width)
            rows_of_tiles(
                writer, product, division.rows, parts, at(writer, left, start, product.left[1], element), room, width,
                target, rows, is_first,
            )  # fmt: skip

        _panels(writer, product, division.columns, at(writer, right, start, product.right[0], element), output, panel)

    def inside(start: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        rest = writer.sub(number(product.summed), start)
        block(start, writer.intrinsic("smin", rest, number(depth)), writer.compare("eq", start, number(0)))
        return ()

    if depth == product.summed:
        block(number(0), number(depth), None)
    else:
        writer.loop(product.summed, depth, inside)


def _block_depth(summed: int, lanes: int) -> int:
    """Depth of the blocks: the last one must not be smaller than a vector."""
    if summed <= PANEL_DEPTH:
        return summed
    even = -(-summed // -(-summed // PANEL_DEPTH))
    return next(depth for depth in range(even, lanes - 1, -1) if summed % depth == 0 or summed % depth >= lanes)


def rows_of_tiles(
    writer: Writer, product: Product, share: Share, parts: Sequence[Segment], left: Value, right: Value, stride: int,
    output: Value, stop: Value, is_first: Value | None = None,
) -> None:  # fmt: skip
    """All rows of a panel; `stride` leads from one of its rows to the next."""

    def rows_from(row: Value, rows: int) -> None:
        _tile(
            writer, product, rows, parts,
            at(writer, left, row, product.left[0], product.element), right, stride,
            at(writer, output, row, product.output[0], product.element), stop, is_first,
        )  # fmt: skip

    strips(writer, product.rows, _tile_rows(writer, product, len(parts)), rows_from, share)


def _tile(
    writer: Writer, product: Product, rows: int, parts: Sequence[Segment], left: Value, right: Value, stride: int,
    output: Value, stop: Value, is_first: Value | None,
) -> None:  # fmt: skip
    """A tile of results in registers, summed along k; added to what is there unless this `is_first` or all of it."""
    element = product.element
    targets = [fixed(writer, output, row * product.output[0], element) for row in range(rows)]

    def terms(index: Value) -> Iterator[tuple[Value, Value]]:
        """The factors of each result, row by row, so that the registers hold one scalar of the left at a time."""
        here = at(writer, right, index, stride, element)
        there = at(writer, left, index, product.left[1], element)
        vectors = [part.load(writer, here) for part in parts]
        for row in range(rows):
            scalar = writer.load(fixed(writer, there, row * product.left[0], element), element)
            yield from zip(_splats(writer, scalar, parts), vectors, strict=True)

    def inside(index: Value, carried: tuple[Value, ...]) -> list[Value]:
        return [writer.fma(*factors, total) for factors, total in zip(terms(index), carried, strict=True)]

    if product.summed == 1:
        sums = tuple(writer.mul(*factors) for factors in terms(number(0)))
    else:
        firsts = [part.zero(writer) for _ in targets for part in parts]
        if is_first is not None:
            held = [part.load(writer, target) for target in targets for part in parts]
            firsts = [writer.select(is_first, zero, each) for zero, each in zip(firsts, held, strict=True)]
        sums = writer.loop(stop, 1, inside, firsts)
    places = [(part, target) for target in targets for part in parts]
    for (part, target), total in zip(places, sums, strict=True):
        part.store(writer, total, target)


def _splats(writer: Writer, scalar: Value, parts: Sequence[Segment]) -> list[Value]:
    """The scalar in every lane, as wide as each segment; a narrow one is a part of the wide one and costs nothing."""
    wide = writer.splat(scalar, parts[0].lanes)
    return [wide if part.lanes == wide.lanes else writer.shuffle(wide, wide, range(part.lanes)) for part in parts]


# --- dots -------------------------------------------------------------------------------------------------------------


def _dot_sizes(writer: Writer) -> tuple[int, int]:
    """Rows and columns whose dots are summed together: as many as the registers hold."""
    return {64: (4, 4), 32: (3, 4)}.get(writer.vector_bytes, (2, 4))


def _dots(writer: Writer, product: Product, division: Division, left: Value, right: Value, output: Value) -> None:
    """output[m, n] = dot(left[m], right[n]), both along memory."""
    row_width, column_width = _dot_sizes(writer)

    def columns_from(column: Value, columns: int) -> None:
        right_columns = at(writer, right, column, product.right[1], product.element)
        output_columns = at(writer, output, column, product.output[1], product.element)

        def rows_from(row: Value, rows: int) -> None:
            # Each tile of rows bids for another of the columns to come, since these may lie far away.
            following = writer.add(writer.binary("udiv", row, number(row_width)), number(column_width))
            _dot_tile(
                writer, product, rows, columns,
                at(writer, left, row, product.left[0], product.element), right_columns,
                at(writer, output_columns, row, product.output[0], product.element),
                at(writer, right_columns, following, product.right[1], product.element),
            )  # fmt: skip

        strips(writer, product.rows, row_width, rows_from, division.rows)

    strips(writer, product.columns, column_width, columns_from, division.columns)


def _dot_tile(
    writer: Writer, product: Product, rows: int, columns: int, left: Value, right: Value, output: Value, ahead: Value
) -> None:
    element, lanes = product.element, lanes_of(writer, product.element)
    whole = product.summed - product.summed % lanes
    zero = writer.constant(0.0, Value("", element, lanes))

    def add(index: Value, count: int | None, carried: Sequence[Value]) -> list[Value]:
        def part(pointer: Value, distance: int) -> Value:
            start = writer.offset(fixed(writer, pointer, distance, element), index, element)
            return writer.load(start, element, lanes, count)

        firsts = [part(left, row * product.left[0]) for row in range(rows)]
        if count is None:
            writer.prefetch(writer.offset(ahead, index, element))
        found = list(carried)
        for column in range(columns):
            # One column after the other: the registers hold the rows and one column besides the sums.
            second = part(right, column * product.right[1])
            for row, first in enumerate(firsts):
                found[row * columns + column] = writer.fma(first, second, found[row * columns + column])
        return found

    sums: Sequence[Value] = [zero] * (rows * columns)
    if whole:
        sums = writer.loop(whole, lanes, lambda index, carried: add(index, None, carried), sums)
    if whole < product.summed:
        sums = add(number(whole), product.summed - whole, sums)
    _store_dots(writer, product, rows, columns, sums, output)


def _store_dots(
    writer: Writer, product: Product, rows: int, columns: int, sums: Sequence[Value], output: Value
) -> None:
    """Write the sums of the lanes, of several rows together: sixteen vectors cost little more than four."""
    lanes = lanes_of(writer, product.element)
    together = max(1, lanes // columns)
    for row in range(0, rows, together):
        for first in range(0, columns, lanes):
            count = min(lanes, columns - first)
            chosen = range(row, min(row + together, rows))
            totals = lane_totals(
                writer, [sums[each * columns + first + lane] for each in chosen for lane in range(count)]
            )
            for place, each in enumerate(chosen):
                target = fixed(writer, output, each * product.output[0] + first, product.element)
                store_lanes(writer, totals, place * count, count, target)
