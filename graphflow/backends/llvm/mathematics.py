"""Elementwise mathematics as LLVM instructions: exp, log, log1p, log2, expm1, tanh, sigmoid, sqrt, abs, sign.

LLVM's own intrinsics for exp and its kin become one library call per element, so the functions are written here with
vector arithmetic. They are exact at the edges (NaN, infinities, signed zeros, overflow) and within 2 units in the last
place elsewhere (sigmoid and tanh 2.5), with fused multiply-add and without, subnormal operands and results included.
Small kernels wait for one result after the other, so each function is written for a short chain of dependent steps
rather than for few steps: polynomials are evaluated by pairs.

Two reductions carry everything:

* exp: x = n ln2 + r with |r| about ln2 / 2, so exp(x) = 2^n (1 + expm1(r)), and exp(r) = (1 + v) / (1 - v) with
  v = tanh(r / 2). The second form takes half as many terms, and tanh and sigmoid divide anyway.
* log: x = 2^e m with m between sqrt(1/2) and sqrt(2), so log(x) = e ln2 + log(1 + f) with f = m - 1. With
  s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - f^2/2 + s (f^2/2 + R(s^2)).

ln2 is split into a head with trailing zeros, so that n times the head is exact, and a tail.

The coefficients are minimax fits of this project (Remez exchange with 50 digits, then rounded), of smallest relative
error:

* `expm1`: P in expm1(r) = r + r^2 P(r), -0.3468 <= r <= 0.4057, with the first coefficient held at 1/2.
* `tanh`: T in tanh(h) = h + h z T(z), z = h^2, |h| <= 0.1733.
* `atanh`: Q in 2 atanh(s) = 2 s + s z Q(z), z = s^2 <= 0.02947, so R(z) = z Q(z).

Source: the reduction by a split ln2 is in W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980;
the form of log that keeps f exact is in FreeBSD's msun (e_log.c).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from graphflow.backends.llvm.writer import Value, Writer


@dataclass(frozen=True)
class _Format:
    """What the functions must know of a floating-point format.

    Attributes:
        integer: the integer type with as many bits.
        fraction: bits of the fraction.
        bias: of the exponent.
        head, tail: of ln2.
        half: ln2 / 2 for tanh, as one number or two: the float32 next to it is 2^-28.6 off, and n is small where tanh
            is not 1 yet.
        largest: its exp overflows, with n = bias + 1 and not more.
        smallest: its exp rounds to zero.
        minus_one: its expm1 rounds to -1.
        one: its tanh rounds to 1, and the sigmoid of twice as much.
        expm1, tanh, atanh: coefficients, lowest power first; the relative error of the polynomial stands beside them.
    """

    integer: str
    fraction: int
    bias: int
    head: float
    tail: float
    half: tuple[float, ...]
    largest: float
    smallest: float
    minus_one: float
    one: float
    expm1: tuple[float, ...]
    tanh: tuple[float, ...]
    atanh: tuple[float, ...]

    @property
    def one_bits(self) -> int:
        return self.bias << self.fraction

    @property
    def root_bits(self) -> int:
        """The bits of sqrt(1/2), rounded down."""
        return (self.bias - 1 << self.fraction) + int((math.sqrt(2) - 1) * (1 << self.fraction))


_FORMATS = {
    "float": _Format(
        integer="i32",
        fraction=23,
        bias=127,
        head=0.693359375,
        tail=-2.1219444005469057e-4,
        half=(0.34657359,),
        largest=89.0,
        smallest=-104.0,
        minus_one=-20.0,
        one=10.0,
        # 2^-29.8
        expm1=(0.5, 0.16666669, 0.04166643, 0.008332683, 0.001393874, 0.00020338166),
        # 2^-32.0
        tanh=(-0.33333322, 0.13331184, -0.05272703),
        # 2^-30.0
        atanh=(0.66666776, 0.39977497, 0.29873076),
    ),
    "double": _Format(
        integer="i64",
        fraction=52,
        bias=1023,
        head=0.6931471803691238,
        tail=1.9082149292705877e-10,
        half=(0.6931471803691238 / 2, 1.9082149292705877e-10 / 2),
        largest=710.0,
        smallest=-746.0,
        minus_one=-40.0,
        one=20.0,
        # 2^-59.3
        expm1=(
            0.5,
            0.1666666666666668,
            0.04166666666666793,
            0.008333333333319102,
            0.0013888888888046388,
            0.0001984126989244219,
            2.4801589165979155e-05,
            2.755723844741186e-06,
            2.7555630760041e-07,
            2.5110768888623702e-08,
            2.1429552047438584e-09,
        ),
        # 2^-57.6
        tanh=(
            -0.3333333333333249,
            0.13333333332783967,
            -0.05396825278212641,
            0.02186937071415087,
            -0.008857308596405392,
            0.003444834480084104,
        ),
        # 2^-59.1
        atanh=(
            0.6666666666666735,
            0.3999999999941109,
            0.2857142874326352,
            0.22222198475882748,
            0.18183569745397837,
            0.15313903106026835,
            0.1479750905920819,
        ),
    ),
}


def format_of(x: Value) -> _Format:
    return _FORMATS[x.element]


def polynomial(w: Writer, x: Value, coefficients: tuple[float, ...]) -> Value:
    """c0 + c1 x + c2 x^2 + ... by pairs: c0 + c1 x and c2 + c3 x wait for nothing but x, then for x^2, and so on.

    Source: G. Estrin, "Organization of computer systems", 1960.
    """
    terms = [w.constant(coefficient, x) for coefficient in coefficients]
    while len(terms) > 1:
        pairs = [w.fma(second, x, first) for first, second in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[2 * len(pairs) :]
        x = w.mul(x, x) if len(terms) > 1 else x
    return terms[0]


def at_most(w: Writer, x: Value, limit: float) -> Value:
    """The smaller one; NaN stays NaN, unlike with llvm.minnum."""
    bound = w.constant(limit, x)
    return w.select(w.compare("ogt", x, bound), bound, x)


def at_least(w: Writer, x: Value, limit: float) -> Value:
    bound = w.constant(limit, x)
    return w.select(w.compare("olt", x, bound), bound, x)


def _rounded(w: Writer, x: Value, scale: float, offset: int, shift: float = 0.0) -> tuple[Value, Value]:
    """n, the whole number next to x * scale + shift.

    Adding a number so large that its last bit counts ones rounds, and leaves n in the lowest bits. There is no
    instruction for this before SSE4.1, and none for int64 before AVX-512.

    Returns:
        The integer whose lowest bits are n + offset, and n.
    """
    form = format_of(x)
    magic = w.constant(1.5 * 2.0**form.fraction + offset, x)
    factor = w.constant(scale, x)
    rounded = w.add(w.fma(x, factor, w.constant(shift, x)), magic) if shift else w.fma(x, factor, magic)
    return w.convert("bitcast", rounded, form.integer), w.sub(rounded, magic)


def _less(w: Writer, x: Value, n: Value, parts: tuple[float, ...]) -> Value:
    """x - n times the sum of the parts, the largest first."""
    for part in parts:
        x = w.fma(n, w.constant(-part, x), x)
    return x


def _reduce(w: Writer, x: Value, offset: int, shift: float = 0.0) -> tuple[Value, Value]:
    """x = n ln2 + r, for x within the range of exp.

    Returns:
        The integer whose lowest bits are n + offset, and r.
    """
    form = format_of(x)
    integer, n = _rounded(w, x, 1 / math.log(2), offset, shift)
    return integer, _less(w, x, n, (form.head, form.tail))


def _expm1_of_rest(w: Writer, r: Value) -> Value:
    return w.fma(w.mul(r, r), polynomial(w, r, format_of(r).expm1), r)


def _tanh_of_rest(w: Writer, h: Value) -> Value:
    z = w.mul(h, h)
    return w.fma(w.mul(h, z), polynomial(w, z, format_of(h).tanh), h)


def _power_of_two(w: Writer, biased: Value, like: Value) -> Value:
    """2^n from an integer whose lowest bits are n + bias."""
    shift = w.constant(format_of(like).fraction, biased)
    return w.convert("bitcast", w.binary("shl", biased, shift), like.element)


def _two_factors(w: Writer, twice_biased: Value, like: Value) -> tuple[Value, Value]:
    """Two powers of two whose product is 2^n, also where 2^n is out of range, from n + 2 bias.

    Of x times the one times the other, only the last product is rounded.
    """
    half = w.binary("lshr", twice_biased, w.constant(1, twice_biased))
    return _power_of_two(w, half, like), _power_of_two(w, w.sub(twice_biased, half), like)


def exp(w: Writer, x: Value) -> Value:
    """2^n (1 + expm1(r))."""
    return exp_of_sum(w, x, None)


def exp_of_sum(w: Writer, x: Value, rest: Value | None) -> Value:
    """The exp of x, and of a much smaller number added to it."""
    form = format_of(x)
    x = at_least(w, at_most(w, x, form.largest), form.smallest)
    exponent, r = _reduce(w, x, 2 * form.bias)
    r = r if rest is None else w.add(r, rest)
    first, second = _two_factors(w, exponent, x)
    return w.mul(w.fma(_expm1_of_rest(w, r), first, first), second)


def expm1(w: Writer, x: Value) -> Value:
    """2 (2^(n-1) p + (2^(n-1) - 1/2)) with x = n ln2 + r and p the expm1 of r.

    2^n alone would overflow where expm1(x) does not. Near zero, where halving would lose bits, the result is x. The
    shift of the reduction lets p reach from -1/4 to 1/2, where n = 1 and n = -1 lose least by cancellation.
    """
    form = format_of(x)
    near_zero = w.compare("olt", absolute(w, x), w.constant(2.0 ** -(form.fraction + 3), x))
    bounded = at_least(w, at_most(w, x, form.largest), form.minus_one)
    exponent, r = _reduce(w, bounded, form.bias - 1, shift=-0.085)
    scale = _power_of_two(w, exponent, x)
    half = w.fma(scale, _expm1_of_rest(w, r), w.sub(scale, w.constant(0.5, x)))
    return w.select(near_zero, x, w.add(half, half))


def tanh(w: Writer, x: Value) -> Value:
    """((2^n + 1) v + 2^n - 1) / ((2^n - 1) v + 2^n + 1) with |x| = n ln2 / 2 + h, v the tanh of h; with the sign of x.

    For n = 0 that is 2 v / 2.
    """
    form = format_of(x)
    one = w.constant(1.0, x)
    size = at_most(w, absolute(w, x), form.one)
    exponent, n = _rounded(w, size, 2 / math.log(2), form.bias)
    v = _tanh_of_rest(w, _less(w, size, n, form.half))
    scale = _power_of_two(w, exponent, x)
    above, below = w.add(scale, one), w.sub(scale, one)
    return w.intrinsic("copysign", w.div(w.fma(above, v, below), w.fma(below, v, above)), x)


def sigmoid(w: Writer, x: Value) -> Value:
    """2^n (1 + v) / (1 - v + 2^n (1 + v)) with x / 2 = n ln2 / 2 + h and v the tanh of h.

    The division comes before the scaling, so that a subnormal result is rounded only once.
    """
    form = format_of(x)
    one = w.constant(1.0, x)
    x = at_least(w, at_most(w, x, 2 * form.one), form.smallest)
    exponent, n = _rounded(w, x, 1 / math.log(2), 2 * form.bias)
    first, second = _two_factors(w, exponent, x)
    v = _tanh_of_rest(w, _less(w, w.mul(x, w.constant(0.5, x)), n, (form.head / 2, form.tail / 2)))
    above = w.add(one, v)
    below = w.fma(above, w.mul(first, second), w.sub(one, v))
    return w.mul(w.mul(w.div(above, below), first), second)


def _log_of_parts(w: Writer, f: Value, exponent: Value) -> Value:
    """log((1 + f) 2^exponent)."""
    form = format_of(f)
    s = w.div(f, w.add(f, w.constant(2.0, f)))
    z = w.mul(s, s)
    half_square = w.mul(w.mul(f, w.constant(0.5, f)), f)
    inner = w.fma(z, polynomial(w, z, form.atanh), half_square)
    small = w.fma(s, inner, w.mul(exponent, w.constant(form.tail, f)))
    return w.fma(exponent, w.constant(form.head, f), w.add(f, w.sub(small, half_square)))


def _split_normal(w: Writer, x: Value) -> tuple[Value, Value]:
    """x = (1 + f) 2^e for positive normal x, with 1 + f between sqrt(1/2) and sqrt(2).

    Returns:
        f, and e as a floating-point number.
    """
    form = format_of(x)
    bits = w.convert("bitcast", x, form.integer)
    moved = w.add(bits, w.constant(form.one_bits - form.root_bits, bits))
    biased = w.binary("lshr", moved, w.constant(form.fraction, bits))
    # An integer below 2^fraction written into the fraction of 2^fraction is added to it: a conversion that exists on
    # every machine, also for int64.
    unit = form.bias + form.fraction << form.fraction
    exponent = w.convert("bitcast", w.binary("or", biased, w.constant(unit, bits)), x.element)
    exponent = w.sub(exponent, w.constant(2.0**form.fraction + form.bias, x))
    fraction = w.binary("and", moved, w.constant((1 << form.fraction) - 1, bits))
    mantissa = w.convert("bitcast", w.add(fraction, w.constant(form.root_bits, bits)), x.element)
    return w.sub(mantissa, w.constant(1.0, x)), exponent


def _log_at_edges(w: Writer, result: Value, x: Value, pole: float) -> Value:
    """-inf at the pole, NaN below it and for NaN, inf for inf."""
    edge = w.constant(pole, x)
    below = w.select(w.compare("oeq", x, edge), w.constant(-math.inf, x), w.constant(math.nan, x))
    result = w.select(w.compare("ogt", x, edge), result, below)
    return w.select(w.compare("oeq", x, w.constant(math.inf, x)), x, result)


def split(w: Writer, x: Value) -> tuple[Value, Value]:
    """x = (1 + f) 2^e for positive x, with 1 + f between sqrt(1/2) and sqrt(2); subnormal numbers are scaled first.

    Returns:
        f, and e as a floating-point number.
    """
    form = format_of(x)
    step = form.fraction + 1.0
    is_small = w.compare("olt", x, w.constant(2.0 ** (1 - form.bias), x))
    normal = w.select(is_small, w.mul(x, w.constant(2.0**step, x)), x)
    f, exponent = _split_normal(w, normal)
    return f, w.sub(exponent, w.select(is_small, w.constant(step, x), w.constant(0.0, x)))


def log(w: Writer, x: Value) -> Value:
    """e ln2 + 2 atanh(s)."""
    f, exponent = split(w, x)
    return _log_at_edges(w, _log_of_parts(w, f, exponent), x, 0.0)


def log2(w: Writer, x: Value) -> Value:
    """e + 2 atanh(s) / ln2: exact for powers of two."""
    f, exponent = split(w, x)
    rest = _log_of_parts(w, f, w.constant(0.0, x))
    head = w.constant(1 / math.log(2), x)
    return _log_at_edges(w, w.fma(rest, head, exponent), x, 0.0)


def log1p(w: Writer, x: Value) -> Value:
    """e ln2 + 2 atanh(s), where f also holds what was rounded away from 1 + x."""
    form = format_of(x)
    one = w.constant(1.0, x)
    total = w.add(x, one)
    f, exponent = _split_normal(w, total)
    # Exact sum in two parts: Knuth, The Art of Computer Programming 2, theorem 4.2.2 B.
    back = w.sub(total, one)
    lost = w.add(w.sub(one, w.sub(total, back)), w.sub(x, back))
    # 2^-e; beyond 2^64 the lost part does not count any more, and 2^-e could be out of range.
    bits = w.convert("bitcast", at_most(w, total, 2.0**64), form.integer)
    moved = w.add(bits, w.constant(form.one_bits - form.root_bits, bits))
    whole = w.binary("and", moved, w.constant(-1 << form.fraction, bits))
    scale = w.convert("bitcast", w.sub(w.constant(2 * form.one_bits, bits), whole), x.element)
    result = _log_at_edges(w, _log_of_parts(w, w.fma(lost, scale, f), exponent), x, -1.0)
    return w.select(w.compare("oeq", x, w.constant(0.0, x)), x, result)


def sqrt(w: Writer, x: Value) -> Value:
    """The square root, correctly rounded."""
    return w.intrinsic("sqrt", x)


def absolute(w: Writer, x: Value) -> Value:
    """|x|; NaN stays NaN."""
    return w.intrinsic("fabs", x)


def sign(w: Writer, x: Value) -> Value:
    """-1, 0 or 1; NaN stays NaN, and -0 becomes 0, as in numpy."""
    zero = w.constant(0.0, x)
    nonzero = w.intrinsic("copysign", w.constant(1.0, x), x)
    result = w.select(w.compare("oeq", x, zero), zero, nonzero)
    return w.select(w.compare("uno", x, x), x, result)


# By the names of graphflow.scalars; each takes and returns float or double, scalar or vector.
FUNCTIONS: dict[str, Callable[[Writer, Value], Value]] = {
    "abs": absolute,
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "log2": log2,
    "sigmoid": sigmoid,
    "sign": sign,
    "sqrt": sqrt,
    "tanh": tanh,
}
