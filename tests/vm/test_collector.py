"""While a machine is prepared Python's garbage collector rests; afterwards it is as it was found."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import pytest

import graphflow as gf

SEEN: list[bool] = []


@dataclass(frozen=True)
class Noting(gf.Op):
    """x; notes whether the collector is on when it is lowered, and fails where it is told to."""

    fails: bool = False
    symbol = "noting"

    def infer(self, x):
        return x

    def evaluate(self, x):
        return x.copy()

    def gradient(self, dy, y, x):
        return (dy,)

    def lower(self, x):
        SEEN.append(gc.isenabled())
        if self.fails:
            raise ZeroDivisionError
        return super().lower(x)

    @classmethod
    def samples(cls):
        return ()


@pytest.fixture(params=[True, False], ids=["on", "off"])
def was_on(request):
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_the_collector_rests_and_is_left_as_it_was(was_on, backend):
    g = gf.ExprGraph()
    y = gf.apply(Noting(), gf.vector(g, 3, value=[1.0, 2.0, 3.0]))
    SEEN.clear()
    with gf.TapeMachine(g, backend=backend) as vm:
        assert SEEN == [False]
        assert gc.isenabled() is was_on
        vm.run_all()
        assert y.value.tolist() == [1, 2, 3]


def test_also_where_compiling_fails(was_on):
    g = gf.ExprGraph()
    gf.apply(Noting(fails=True), gf.vector(g, 3))
    with pytest.raises(ZeroDivisionError):
        gf.TapeMachine(g)
    assert gc.isenabled() is was_on
