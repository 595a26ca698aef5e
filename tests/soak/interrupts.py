"""Interrupts at random instants of training: each time machine and graph must go on as if nothing had been.

    python tests/soak/interrupts.py [numpy|native] [count]

The instants come from a timer, so this is a command and no test. Python itself may report an interrupt that meets it
in a callback of the garbage collector; that line on standard error is no fault.
"""

from __future__ import annotations

import signal
import sys

import numpy as np

import graphflow as gf


def interrupt(*_):
    raise KeyboardInterrupt


def main(backend: str = "numpy", count: int = 3000) -> None:
    g = gf.ExprGraph(seed=1)
    x = gf.matrix(g, (4, 3), name="x", init=gf.ones())
    w = gf.matrix(g, (3, 3), name="w", init=gf.glorot_n())
    row = w[0]
    hidden = gf.tanh(x @ w + row)
    cost = gf.mean(gf.softmax_cross_entropy(hidden, [0, 1, 2, 0]))
    gf.grad(cost, w)
    machine = gf.TapeMachine(g, backend=backend)
    signal.signal(signal.SIGALRM, interrupt)
    for moment in np.random.default_rng(0).uniform(1e-5, 8e-4, count):
        try:
            signal.setitimer(signal.ITIMER_REAL, moment)
            for number in range(1000):
                gf.unsafe_let(row, number % 3)
                gf.let(x, np.full((4, 3), number / 1000))
                machine.run_all()
                if number % 5 == 0:
                    gf.unsafe_let(hidden, np.zeros((4, 3)))
                    machine.run_all()
                    gf.unsafe_let(hidden, None)
        except KeyboardInterrupt:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        machine.run_all()
    gf.unsafe_let(hidden, None)
    machine.run_all()
    found = cost.value, w.grad
    gf.LispMachine(g).run_all()
    np.testing.assert_allclose(found[0], cost.value, rtol=1e-6)
    np.testing.assert_allclose(found[1], w.grad, rtol=1e-5, atol=1e-7)
    print(f"{count} interrupts on {backend}: values and gradients are right")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
