"""Random networks, trained by one call of `run_over` and by a loop: the same bits."""

from __future__ import annotations

import pytest

from graphflow.testing.agreement import available_backends
from tests.soak import rows as soak

SEEDS = range(24)


@pytest.mark.parametrize("backend", available_backends())
def test_run_over_is_the_loop_that_it_stands_for(backend):
    trained = 0
    for seed in SEEDS:
        assert soak.try_one(seed, backend) is None
        trained += soak.trained(seed, backend, in_one=True) is not None
    assert trained >= 8


def test_other_training_would_be_noticed(monkeypatch):
    before = soak.trained
    seed = next(seed for seed in SEEDS if before(seed, "numpy", in_one=True) is not None)

    def trained(seed, backend, *, in_one):
        monkeypatch.setattr(soak, "ROWS", 12 if in_one else 11)
        return before(seed, backend, in_one=in_one)

    monkeypatch.setattr(soak, "trained", trained)
    assert soak.try_one(seed, "numpy") == f"seed {seed}, numpy: run_over and a loop differ"


def test_the_command_says_how_many(capsys):
    assert soak.main(["--networks", "2", "--first", "3"]) == 0
    assert capsys.readouterr().out == "2 networks from seed 3, 0 problems\n"
