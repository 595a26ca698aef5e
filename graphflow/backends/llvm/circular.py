"""Sine, cosine and the angle of a point as LLVM instructions, for every number however large.

An angle is reduced to x = n pi/2 + r with |r| <= pi/4; sine or cosine of r is the result, and the lowest bits of n say
which and with what sign. pi/2 in three parts of 33 bits makes the products with n exact as long as n has at most 20
bits. Larger angles need more bits of 2/pi than any number holds: they are multiplied by its pieces of 24 bits, and of
each product only what is no multiple of a whole turn is kept. That takes a loop, entered only where a lane needs it.

float32 goes through float64, so that one reduction serves both; the polynomials are shorter.

The coefficients are minimax fits of this project (Remez exchange with 140 digits, then rounded):

* `SINE`: S in sin(r) = r + r z S(z), z = r^2; `COSINE`: C in cos(r) = 1 - z/2 + z^2 C(z).
* `ANGLE`: A in atan(t) = t + t z A(z), z = t^2, |t| <= tan(pi/8).

Source: the reduction with all bits of 2/pi is M. Payne and R. Hanek, "Radian reduction for trigonometric functions",
1983.
"""

from __future__ import annotations

import math
from functools import lru_cache

from graphflow.backends.llvm.mathematics import absolute, format_of, polynomial
from graphflow.backends.llvm.powers import exact_product, exact_sum
from graphflow.backends.llvm.writer import Value, Writer

SINE: dict[str, tuple[float, ...]] = {
    # 2^-35.0
    "float": (-0.16666666663849633, 0.008333331871967747, -0.0001984008507855661, 2.7249695865994784e-06),
    # 2^-66.2
    "double": (
        -0.16666666666666666,
        0.008333333333333331,
        -0.00019841269841265044,
        2.755731921932216e-06,
        -2.5052106226489297e-08,
        1.6058530668039848e-10,
        -7.586640743393826e-13,
    ),
}
COSINE: dict[str, tuple[float, ...]] = {
    # 2^-38.6
    "float": (0.041666666664315816, -0.001388888766953348, 2.4800598910349736e-05, -2.730075822150627e-07),
    # 2^-70.4
    "double": (
        0.041666666666666664,
        -0.0013888888888888887,
        2.4801587301584635e-05,
        -2.755731922139328e-07,
        2.087675578773998e-09,
        -1.1470460354904531e-11,
        4.745840343087876e-14,
    ),
}
ANGLE: dict[str, tuple[float, ...]] = {
    # 2^-26.0
    "float": (-0.333333313, 0.199995577, -0.14264451, 0.107482404, -0.0646476373),
    # 2^-54.9
    "double": (
        -0.3333333333333333,
        0.19999999999995738,
        -0.14285714284707496,
        0.11111111018248475,
        -0.09090904689142777,
        0.07692185556705528,
        -0.06664542137567082,
        0.0585839526745178,
        -0.05086644503111619,
        0.03926372963983978,
        -0.019213464645494067,
    ),
}
# pi/2: three parts of 33 bits and what is left; and as the nearest float64 with what is left.
QUARTER_PARTS = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
QUARTER = (math.pi / 2, 6.123233995736766e-17)
# Angles of more quarter turns take the long way.
MOST_QUARTERS = 2.0**20
# Below it the sine rounds to the angle itself.
TINY = {"float": 2.0**-13, "double": 2.0**-27}
# Pieces of 2/pi, bits of each, and the power of two that keeps products of the largest and the smallest in range.
PIECES, PIECE_BITS, SCALE_BITS = 48, 24, 160
# Adding and taking away this rounds numbers below 2^53 to multiples of four.
TO_FOURS = 1.5 * 2.0**54
TABLE = "@two_over_pi"


def sin(w: Writer, x: Value) -> Value:
    found = _circular(w, x, 0)
    return w.select(w.compare("olt", absolute(w, x), w.constant(TINY[x.element], x)), x, found)


def cos(w: Writer, x: Value) -> Value:
    return _circular(w, x, 1)


def _circular(w: Writer, x: Value, ahead: int) -> Value:
    """The sine of an angle that is `ahead` quarter turns further on."""
    wide = x if x.element == "double" else w.convert("fpext", x, "double")
    n, r, rest = _reduced(w, wide, is_short=x.element == "float")
    z = w.mul(r, r)
    sine, cosine = _sine(w, r, z, rest, SINE[x.element]), _cosine(w, r, z, rest, COSINE[x.element])
    quadrant = w.convert("bitcast", w.add(n, w.constant(1.5 * 2.0**52 + ahead, n)), "i64")
    is_odd = w.compare("ne", w.binary("and", quadrant, w.constant(1, quadrant)), w.constant(0, quadrant))
    found = w.convert("bitcast", w.select(is_odd, cosine, sine), "i64")
    sign = w.binary("shl", w.binary("and", quadrant, w.constant(2, quadrant)), w.constant(62, quadrant))
    found = w.convert("bitcast", w.binary("xor", found, sign), "double")
    return found if x.element == "double" else w.convert("fptrunc", found, "float")


def _sine(w: Writer, r: Value, z: Value, rest: Value | None, coefficients: tuple[float, ...]) -> Value:
    """r + r z S(z), and the rest times the cosine, as 1 - z/2."""
    tail = w.mul(w.mul(r, z), polynomial(w, z, coefficients))
    if rest is not None:
        tail = w.fma(rest, w.fma(z, w.constant(-0.5, z), w.constant(1.0, z)), tail)
    return w.add(r, tail)


def _cosine(w: Writer, r: Value, z: Value, rest: Value | None, coefficients: tuple[float, ...]) -> Value:
    """1 - z/2 + z^2 C(z), with what 1 - z/2 rounds away, less the rest times the sine, as r."""
    half, one = w.constant(0.5, z), w.constant(1.0, z)
    if rest is None:
        return w.fma(z, w.fma(z, polynomial(w, z, coefficients), w.neg(half)), one)
    lower = w.mul(z, half)
    head = w.sub(one, lower)
    lost = w.sub(w.sub(one, head), lower)
    return w.add(head, w.fma(w.mul(z, z), polynomial(w, z, coefficients), w.sub(lost, w.mul(r, rest))))


def _reduced(w: Writer, x: Value, *, is_short: bool) -> tuple[Value, Value, Value | None]:
    """x = n pi/2 + r + rest, n up to whole turns; all are NaN where x is infinite or NaN.

    There is no rest where the result is to be short: a float64 holds more than enough of r for a float32.
    """
    magic = w.constant(1.5 * 2.0**52, x)
    n = w.sub(w.fma(x, w.constant(2 / math.pi, x), magic), magic)
    r = w.fma(n, w.constant(-QUARTER_PARTS[0], x), x)
    if is_short:
        found = [n, w.fma(n, w.constant(-sum(QUARTER_PARTS[1:]), x), r)]
    else:
        r, rest = exact_sum(w, r, w.mul(n, w.constant(-QUARTER_PARTS[1], x)))
        for part in QUARTER_PARTS[2:]:
            rest = w.fma(n, w.constant(-part, x), rest)
        found = [n, *exact_sum(w, r, rest)]
    size = absolute(w, x)
    is_large = w.compare("ogt", size, w.constant(MOST_QUARTERS, x))
    is_large = w.binary("and", is_large, w.compare("olt", size, w.constant(math.inf, x)))

    def once(_: Value, carried: tuple[Value, ...]) -> list[Value]:
        there = _reduced_far(w, x)
        return [w.select(is_large, far, near) for far, near in zip(there, carried, strict=False)]

    is_any = w.select(w.any_lane(is_large), Value("1", "i64"), Value("0", "i64"))
    n, r, *more = w.loop(is_any, 1, once, found)
    return n, r, more[0] if more else None


def _reduced_far(w: Writer, x: Value) -> tuple[Value, Value, Value]:
    """The same for large x; anything elsewhere."""
    pieces = ", ".join(f"double {w.scalar(piece, 'double').name}" for piece in _pieces())
    w.declarations.add(f"{TABLE} = internal constant [{PIECES} x double] [{pieces}]")
    scaled = w.mul(x, w.constant(2.0**-SCALE_BITS, x))
    bits = w.convert("bitcast", scaled, "i64")
    upper = w.convert("bitcast", w.binary("and", bits, w.constant(-1 << 27, bits)), "double")
    halves = (upper, w.sub(scaled, upper))
    zero, fours, limit = (w.constant(number, x) for number in (0.0, TO_FOURS, 2.0**53))

    def without_fours(number: Value) -> Value:
        return w.sub(number, w.sub(w.add(number, fours), fours))

    def inside(index: Value, carried: tuple[Value, ...]) -> list[Value]:
        total, lost = carried
        piece = w.splat(w.load(w.offset(Value(TABLE, "ptr"), index, "double"), "double"), x.lanes)
        for half in halves:
            product = w.mul(half, piece)
            # A product has 51 bits at most: a larger one is a multiple of four itself.
            is_inside = w.compare("olt", absolute(w, product), limit)
            total, error = exact_sum(w, total, w.select(is_inside, without_fours(product), zero))
            total, lost = without_fours(total), w.add(lost, error)
        return [total, lost]

    total, lost = w.loop(PIECES, 1, inside, [zero, zero])
    magic = w.constant(1.5 * 2.0**52, x)
    n = w.sub(w.add(total, magic), magic)
    turn, rest = exact_sum(w, w.sub(total, n), lost)
    head, tail = w.constant(QUARTER[0], x), w.constant(QUARTER[1], x)
    r, error = exact_product(w, turn, head)
    return n, r, w.add(error, w.fma(turn, tail, w.mul(rest, head)))


@lru_cache(maxsize=1)
def _pieces() -> tuple[float, ...]:
    """2/pi in pieces, scaled."""
    bits = PIECES * PIECE_BITS
    whole = (2 << 2 * bits) // _pi(bits)
    mask = (1 << PIECE_BITS) - 1
    places = range(PIECE_BITS, bits + 1, PIECE_BITS)
    return tuple(math.ldexp(whole >> (bits - place) & mask, SCALE_BITS - place) for place in places)


def _pi(bits: int) -> int:
    """pi 2^bits, rounded down. Source: J. Machin, 1706."""
    more = bits + 32

    def arc(inverse: int) -> int:
        """The angle whose tangent is 1 / inverse, from its series."""
        term, total, place = (1 << more) // inverse, 0, 1
        while term:
            total += (term // place) * (1 if place % 4 == 1 else -1)
            term //= inverse * inverse
            place += 2
        return total

    return 4 * (4 * arc(5) - arc(239)) >> 32


def arctan2(w: Writer, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), from -pi to pi."""
    zero, one = w.constant(0.0, x), w.constant(1.0, x)
    height, width = absolute(w, y), absolute(w, x)
    is_steep = w.compare("ogt", height, width)
    small, large = w.select(is_steep, width, height), w.select(is_steep, height, width)
    t = w.div(small, large)
    # 0 / 0 and inf / inf.
    t = w.select(w.compare("oeq", large, zero), zero, t)
    t = w.select(w.compare("oeq", small, w.constant(math.inf, x)), one, t)
    angle = _arctan(w, t)
    eighth = math.pi / 4
    angle = w.select(is_steep, _taken_from(w, 2 * eighth, angle), angle)
    bits = w.convert("bitcast", x, format_of(x).integer)
    is_behind = w.compare("slt", bits, w.constant(0, bits))
    angle = w.select(is_behind, _taken_from(w, 4 * eighth, angle), angle)
    return w.select(w.compare("uno", x, y), w.add(x, y), w.intrinsic("copysign", angle, y))


def _arctan(w: Writer, t: Value) -> Value:
    """The angle whose tangent is t, for t from 0 to 1."""
    one = w.constant(1.0, t)
    is_far = w.compare("ogt", t, w.constant(math.tan(math.pi / 8), t))
    near = w.select(is_far, w.div(w.sub(t, one), w.add(t, one)), t)
    z = w.mul(near, near)
    rest = w.mul(w.mul(near, z), polynomial(w, z, ANGLE[t.element]))
    head, tail = _in_two(t, math.pi / 4)
    beyond = w.add(w.constant(head, t), w.add(near, w.add(rest, w.constant(tail, t))))
    return w.select(is_far, beyond, w.add(near, rest))


def _taken_from(w: Writer, whole: float, angle: Value) -> Value:
    head, tail = _in_two(angle, whole)
    return w.sub(w.constant(head, angle), w.sub(angle, w.constant(tail, angle)))


def _in_two(like: Value, angle: float) -> tuple[float, float]:
    """A part of pi as a number of a format, and what is left of it."""
    if like.element == "double":
        return angle, QUARTER[1] * (angle / QUARTER[0])
    head = _as_float32(angle)
    return head, angle - head


def _as_float32(number: float) -> float:
    scale = 2.0 ** (24 - math.frexp(number)[1])
    return round(number * scale) / scale
