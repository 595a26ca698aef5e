"""Kernels for uniform numbers and masks: the same bits as `graphflow.streams` draws with numpy's generator.

numpy's Philox counts blocks from 1 in the first word of its counter; the run is the second word, the seed and the
stream are the key. Each block gives four words of 64 bits. A float64 is made of the upper 53 bits of a word; a float32
of the upper 24 bits of half a word, the lower half first.

Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011: Philox 4x64 with 10 rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphflow.backends.llvm.primitives import extreme
from graphflow.backends.llvm.writer import ELEMENTS, RUN, SEED, Value, Writer
from graphflow.dtypes import float32
from graphflow.loops import Random
from graphflow.tape.program import Operand

ROUNDS = 10
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
# What is added to the two words of the key after each round.
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
WORDS = 4


def write_random(writer: Writer, loop: Random, _: Sequence[Operand], output: Operand) -> bool:
    """Fill the output; False for a distribution whose numbers cannot be had from words one by one."""
    dtype = output.type.dtype
    if loop.distribution not in ("uniform", "mask") or dtype.kind != "f":
        return False
    if not output.place.is_contiguous(output.type.shape):
        return False
    is_mask = loop.distribution == "mask"
    convert = _masked(loop, output) if is_mask else _between(loop, output)
    # A float32 takes half a word, but a mask is drawn from float64.
    each = WORDS * 2 if dtype == float32 and not is_mask else WORDS
    element, size = ELEMENTS[dtype], output.type.size
    pointer, keys, run = writer.operand(0), _keys(writer), writer.context(RUN)
    whole = size - size % each

    def fill(index: Value, used: int | None) -> None:
        number = writer.add(writer.binary("udiv", index, Value(str(each), "i64")), Value("1", "i64"))
        words = _block(writer, number, run, keys)
        writer.store(convert(writer, words), writer.offset(pointer, index, element), used)

    def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        fill(index, None)
        return ()

    if whole:
        writer.loop(whole, each, inside)
    if whole < size:
        fill(Value(str(whole), "i64"), size - whole)
    return True


def _keys(writer: Writer) -> list[tuple[Value, Value]]:
    """The key of each round: the same for all blocks. Word 1 of the record is the stream."""
    first, second = writer.context(SEED), writer.word(1)
    keys = [(first, second)]
    for _ in range(ROUNDS - 1):
        first, second = (writer.add(each, _word(weyl)) for each, weyl in zip((first, second), WEYL, strict=True))
        keys.append((first, second))
    return keys


def _block(writer: Writer, number: Value, run: Value, keys: Sequence[tuple[Value, Value]]) -> Value:
    """The four words of a block, as one vector."""
    zero = Value("0", "i64")
    words = [number, run, zero, zero]
    for first, second in keys:
        high, low = zip(*[_product(writer, words[2 * n], MULTIPLIERS[n]) for n in range(2)], strict=True)
        words = [
            writer.binary("xor", writer.binary("xor", high[1], words[1]), first),
            low[1],
            writer.binary("xor", writer.binary("xor", high[0], words[3]), second),
            low[0],
        ]
    vector = Value("poison", "i64", WORDS)
    for place, word in enumerate(words):
        vector = writer.value(f"insertelement {vector}, {word}, i64 {place}", "i64", WORDS)
    return vector


def _product(writer: Writer, x: Value, factor: int) -> tuple[Value, Value]:
    """The upper and the lower word of x times a factor."""
    wide = writer.convert("zext", x, "i128")
    found = writer.binary("mul", wide, Value(str(factor), "i128"))
    upper = writer.binary("lshr", found, Value("64", "i128"))
    return writer.convert("trunc", upper, "i64"), writer.convert("trunc", found, "i64")


def _word(number: int) -> Value:
    return Value(str(number), "i64")


def _between(loop: Random, output: Operand) -> Callable[[Writer, Value], Value]:
    """low + (high - low) u, rounded as numpy rounds it, and below high."""
    dtype, (low, high) = output.type.dtype, loop.parameters
    below = float(np.nextafter(dtype.type(high), dtype.type(low)))
    span = float(dtype.type(high - low))

    def convert(writer: Writer, words: Value) -> Value:
        u = _halves(writer, words) if dtype == float32 else _fractions(writer, words)
        found = writer.add(writer.mul(u, writer.constant(span, u)), writer.constant(float(dtype.type(low)), u))
        return extreme(writer, "lt", found, writer.constant(below, u))

    return convert


def _masked(loop: Random, output: Operand) -> Callable[[Writer, Value], Value]:
    """0 where u lies below the probability, the value elsewhere."""
    probability, value = loop.parameters

    def convert(writer: Writer, words: Value) -> Value:
        u = _fractions(writer, words)
        like = Value("", ELEMENTS[output.type.dtype], u.lanes)
        is_zero = writer.compare("olt", u, writer.constant(probability, u))
        return writer.select(is_zero, writer.constant(0.0, like), writer.constant(value, like))

    return convert


def _fractions(writer: Writer, words: Value) -> Value:
    """Float64 in [0, 1)."""
    bits = writer.binary("lshr", words, writer.constant(11, words))
    whole = writer.convert("uitofp", bits, "double")
    return writer.mul(whole, writer.constant(2.0**-53, whole))


def _halves(writer: Writer, words: Value) -> Value:
    """Float32 in [0, 1), two for each word."""
    lanes = 2 * words.lanes
    halves = writer.value(f"bitcast {words} to <{lanes} x i32>", "i32", lanes)
    bits = writer.binary("lshr", halves, writer.constant(8, halves))
    whole = writer.convert("sitofp", bits, "float")
    return writer.mul(whole, writer.constant(2.0**-24, whole))
