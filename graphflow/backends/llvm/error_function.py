"""The error function as LLVM instructions.

Up to 1 it is x + x E(x^2). Beyond, it is 1 - exp(-x^2) W(t), where t = (x - a) / (x + a) makes a short range of a long
one, up to where the result rounds to 1.

The coefficients are minimax fits of this project (Remez exchange with 60 digits, then rounded), of smallest relative
error.
"""

from __future__ import annotations

from typing import NamedTuple

from graphflow.backends.llvm.mathematics import absolute, at_most, exp, polynomial
from graphflow.backends.llvm.writer import Value, Writer


class _Form(NamedTuple):
    """For a floating-point format: E, W, the a of t, and where the result rounds to 1."""

    near: tuple[float, ...]
    far: tuple[float, ...]
    middle: float
    one: float


FORMS = {
    "float": _Form(
        # 2^-29.6
        near=(0.128379166, -0.37612626, 0.112835854, -0.026853811, 0.00518832728, -0.00080101908, 7.85385128e-05),
        # 2^-31.3
        far=(
            0.255395681, -0.427185863, 0.241658211, -0.0789783746, 0.00373227824, 0.00699212169, -0.000837431231,
            -0.000929811853,
        ),
        middle=2.0,
        one=4.0,
    ),
    "double": _Form(
        # 2^-56.9
        near=(
            0.12837916709551256, -0.3761263890318352, 0.11283791670944185, -0.026866170643111482, 0.005223977606118614,
            -0.000854832592932217, 0.00012055293577152756, -1.4924712307185728e-05, 1.6447131638250394e-06,
            -1.6206314289105396e-07, 1.3710982748645023e-08, -7.77947294836914e-10,
        ),
        # 2^-53.0
        far=(
            0.21080636406114356, -0.37173673394897305, 0.25171319321746377, -0.1250330523789055, 0.03992253907406596,
            -0.003993701160456304, -0.0026423659032449548, 0.0008759152893245118, 0.0002283791643473472,
            -0.00012887480073268633, -3.416899317710372e-05, 1.8596386901231393e-05, 7.471718991399046e-06,
            -2.2318238584430833e-06, -1.541846013727972e-06,
        ),
        middle=2.5,
        one=6.0,
    ),
}  # fmt: skip


def erf(w: Writer, x: Value) -> Value:
    form = FORMS[x.element]
    size, one = absolute(w, x), w.constant(1.0, x)
    near = w.fma(x, polynomial(w, w.mul(x, x), form.near), x)
    bounded, middle = at_most(w, size, form.one), w.constant(form.middle, x)
    t = w.div(w.sub(bounded, middle), w.add(bounded, middle))
    tail = w.mul(exp(w, w.neg(w.mul(bounded, bounded))), polynomial(w, t, form.far))
    far = w.intrinsic("copysign", w.sub(one, tail), x)
    return w.select(w.compare("olt", size, one), near, far)
