"""x ** y as LLVM instructions, within 1.2 units in the last place, with the special cases of C and numpy.

x ** y = exp(y log|x|). An error in the logarithm counts as often as its multiple by y is large, up to 745 times, so the
logarithm is needed with 11 bits more than the result. For float32 that is float64; for float64 it is a sum of two
numbers, head and tail, whose products are taken exactly by halves, with fused multiply-add and without.

Source: exact products are in T. J. Dekker, "A floating-point technique for extending the available precision", 1971.
"""

from __future__ import annotations

import math

from graphflow.backends.llvm.mathematics import (
    absolute,
    at_least,
    at_most,
    exp,
    exp_of_sum,
    format_of,
    log,
    polynomial,
    split,
)
from graphflow.backends.llvm.writer import Value, Writer

# 2 atanh(s) = 2 s + s z (2/3 + z Q(z)): 2/3 in two parts, and a minimax fit of this project to Q, which is 2^-53.8 off.
TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
ATANH = (
    0.4,
    0.2857142857142937,
    0.22222222221653465,
    0.1818181833596827,
    0.15384594899112203,
    0.1333480822145815,
    0.11706140147875534,
    0.1172419993498543,
)
# Beyond it every power of a number other than 1 is 0 or infinite.
LARGEST_EXPONENT = 2.0**70
# Beyond it exp is 0 or infinite.
LARGEST_LOGARITHM = 1000.0


def power(w: Writer, x: Value, y: Value) -> Value:
    """x ** y; NaN where x is negative and y is no whole number."""
    size = absolute(w, x)
    if x.element == "float":
        wide = w.convert("fpext", size, "double")
        found = w.convert("fptrunc", exp(w, w.mul(_bounded(w, w.convert("fpext", y, "double")), log(w, wide))), "float")
    else:
        found = _power_of_size(w, size, _bounded(w, y))
    return _with_special_cases(w, x, y, found)


def _bounded(w: Writer, y: Value) -> Value:
    return at_least(w, at_most(w, y, LARGEST_EXPONENT), -LARGEST_EXPONENT)


def _with_special_cases(w: Writer, x: Value, y: Value, found: Value) -> Value:
    """The sign, NaN, and what is 1 whatever the other operand is."""
    zero, one, infinity = (w.constant(number, x) for number in (0.0, 1.0, math.inf))
    is_whole = _is_whole(w, y)
    is_odd = w.select(_is_whole(w, w.mul(y, w.constant(0.5, y))), w.constant(0, is_whole), is_whole)
    found = w.select(is_odd, w.intrinsic("copysign", found, x), found)
    is_below = w.select(w.compare("ogt", x, w.neg(infinity)), w.compare("olt", x, zero), w.constant(0, is_whole))
    found = w.select(w.select(is_whole, w.constant(0, is_below), is_below), w.constant(math.nan, x), found)
    found = w.select(w.compare("uno", x, y), w.add(x, y), found)
    is_one = w.binary("or", w.compare("oeq", x, one), w.compare("oeq", y, zero))
    return w.select(is_one, one, found)


def _is_whole(w: Writer, y: Value) -> Value:
    """Whether there is no fraction: the number is large, or adding one whose last bit counts ones is exact."""
    size = absolute(w, y)
    limit = w.constant(2.0 ** format_of(y).fraction, y)
    kept = w.compare("oeq", w.sub(w.add(size, limit), limit), size)
    return w.binary("or", w.compare("oge", size, limit), kept)


def _power_of_size(w: Writer, size: Value, y: Value) -> Value:
    """The power of a float64 that is not negative."""
    head, tail = _logarithm(w, size)
    product, rest = exact_product(w, y, head)
    rest = w.add(rest, w.mul(y, tail))
    # Of what is out of range, or infinite from the start, the rest is nonsense.
    is_inside = w.compare("olt", absolute(w, product), w.constant(LARGEST_LOGARITHM, product))
    return exp_of_sum(w, product, w.select(is_inside, rest, w.constant(0.0, rest)))


def _logarithm(w: Writer, size: Value) -> tuple[Value, Value]:
    """e ln2 + 2 atanh(s) with s = f / (2 + f) and z = s^2, as head and tail; infinite for 0 and infinity."""
    form = format_of(size)
    two = w.constant(2.0, size)
    f, exponent = split(w, size)
    below = w.add(f, two)
    s = w.div(f, below)
    product, rest = exact_product(w, s, below)
    lost = w.sub(f, w.sub(below, two))
    s_tail = w.div(w.sub(w.sub(w.sub(f, product), rest), w.mul(s, lost)), below)
    z, z_tail = exact_product(w, s, s)
    z_tail = w.add(z_tail, w.mul(w.mul(two, s), s_tail))
    q, q_tail = exact_sum(w, w.constant(TWO_THIRDS[0], z), w.mul(z, polynomial(w, z, ATANH)))
    q_tail = w.add(q_tail, w.constant(TWO_THIRDS[1], z))
    cube, cube_tail = exact_product(w, s, z)
    cube_tail = w.add(cube_tail, w.add(w.mul(s, z_tail), w.mul(s_tail, z)))
    term, term_tail = exact_product(w, cube, q)
    term_tail = w.add(term_tail, w.add(w.mul(cube, q_tail), w.mul(cube_tail, q)))
    double = w.add(s, s)
    head, tail = exact_sum(w, double, term)
    tail = w.add(tail, w.add(term_tail, w.add(s_tail, s_tail)))
    head, more = exact_sum(w, w.mul(exponent, w.constant(form.head, size)), head)
    tail = w.add(more, w.add(tail, w.mul(exponent, w.constant(form.tail, size))))
    infinity = w.constant(math.inf, size)
    head = w.select(w.compare("oeq", size, w.constant(0.0, size)), w.neg(infinity), head)
    return w.select(w.compare("oeq", size, infinity), size, head), tail


def exact_sum(w: Writer, x: Value, y: Value) -> tuple[Value, Value]:
    """x + y, and what its rounding takes away."""
    total = w.add(x, y)
    back = w.sub(total, x)
    return total, w.add(w.sub(x, w.sub(total, back)), w.sub(y, back))


def exact_product(w: Writer, x: Value, y: Value) -> tuple[Value, Value]:
    """x * y, and what its rounding takes away: the sum of the products of the halves is exact."""
    product = w.mul(x, y)
    (a, b), (c, d) = _halves(w, x), _halves(w, y)
    rest = w.sub(w.mul(a, c), product)
    rest = w.add(w.add(rest, w.mul(a, d)), w.mul(b, c))
    return product, w.add(rest, w.mul(b, d))


def _halves(w: Writer, x: Value) -> tuple[Value, Value]:
    """Two numbers of half as many bits whose sum is x."""
    scaled = w.mul(x, w.constant(2.0**27 + 1, x))
    upper = w.sub(scaled, w.sub(scaled, x))
    return upper, w.sub(x, upper)
