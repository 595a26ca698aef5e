"""Training: its figures, its end, and that a resumed run is the one that never stopped."""

from __future__ import annotations

import math
import signal

import numpy as np
import pytest

import graphflow as gf
from command_line import DivergedError
from figures import Recent, Totals
from stopping import Interruption, Limits
from tests.models.s2s_examples import (
    LINES,
    load,
    reference_losses,
    save,
    state_of,
    tiny_training,
    train_batches,
)
from training import Observer, run

RUNS = (
    {"batch": 1, "feed": "soft", "padding": "counted"},
    {"batch": 5},
    {"batch": 4, "cell": "gru", "solver": "adam", "validation": 0.2},
    {"batch": 3, "solver": "momentum", "clip_norm": 1.0, "bias_init": "chrono"},
)


class Silent(Observer):
    """Counts what it is told."""

    def __init__(self, interruption=None, after=None):
        self.batches, self.epochs, self.why = 0, 0, None
        self.interruption, self.after = interruption, after

    def batch(self):
        self.batches += 1
        if self.batches == self.after:
            self.interruption.signal = signal.SIGINT

    def epoch(self, ended, held_out):
        self.epochs += 1

    def stopped(self, why):
        self.why = why


# Figures


def test_an_epoch_s_figure_is_the_mean_over_all_its_targets_that_are_not_blank():
    training = tiny_training(learn_rate=0.0, l2_reg=0.0, batch=5)  # nothing moves, so all losses are of one model
    while not training.is_epoch_done:
        training.step()
    ended, held_out = training.close_epoch()
    losses = [reference_losses(training.model, ids, "teacher")[: len(ids) + 1] for ids in training.data.train]
    assert ended.mean == pytest.approx(np.concatenate(losses).mean(), rel=1e-5)
    assert ended.characters == sum(len(line) + 1 for line in LINES)
    assert ended.items == training.position.items == len(LINES)
    assert held_out is None


def test_held_out_sentences_are_measured_with_the_same_feed_and_not_trained_on():
    training = tiny_training(validation=0.25, feed="soft")
    assert len(training.data.held_out) == 3
    losses = [reference_losses(training.model, ids, "soft")[: len(ids) + 1] for ids in training.data.held_out]
    assert training.evaluator.measure() == pytest.approx(np.concatenate(losses).mean(), rel=1e-5)


def test_every_epoch_takes_every_sentence_once_in_an_order_of_its_own():
    training = tiny_training(batch=5)
    orders = []
    for _ in range(3):
        orders.append(training.order.tolist())
        train_batches(training, 3)
    assert all(sorted(order) == list(range(len(LINES))) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert (training.position.epoch, training.position.index) == (3, 0)


def test_it_learns():
    training = tiny_training(batch=4)
    train_batches(training, 240)
    figures = [row[1] for row in training.position.history]
    assert figures[0] > 2.0
    assert figures[-1] < 0.85  # the twelve lines themselves hold log(12) nats each, 0.6 per character


def test_a_recent_figure_forgets_old_batches():
    recent = Recent(5)
    for nats in (100.0, 2.0, 4.0):
        recent.add(nats, 2, 2, 0.5)
    assert (recent.totals.mean, recent.totals.items, recent.totals.rate(recent.totals.items)) == (1.5, 4, 4.0)
    assert math.isnan(Totals().mean)


# The end


def test_it_stops_after_the_epochs():
    training, observer = tiny_training(batch=5), Silent()
    run(training, Limits(2), observer, Interruption())
    assert (observer.epochs, observer.batches, observer.why) == (2, 4, "2 epochs are done")


def test_it_stops_when_the_time_is_over():
    training, observer = tiny_training(), Silent()
    run(training, Limits(10**9, seconds=0.05), observer, Interruption())
    assert observer.why == "0.05 seconds are over"


def test_it_stops_when_the_held_out_loss_falls_no_more():
    training, observer = tiny_training(validation=0.25, learn_rate=0.0, l2_reg=0.0), Silent()
    run(training, Limits(50, patience=3), observer, Interruption())
    assert observer.epochs == 4
    assert observer.why == "the held-out loss has not fallen for 3 epochs"


@pytest.mark.parametrize("batch", [1, 2])
def test_an_interruption_lets_the_batch_be_finished(batch):
    training, interruption = tiny_training(batch=batch), Interruption()
    observer = Silent(interruption, after=2)
    run(training, Limits(50), observer, interruption)
    assert (observer.batches, observer.why) == (2, "interrupted")
    assert batch == 1 or training.position.items == 2 * batch


@pytest.mark.parametrize("options", [*RUNS, {"batch": 1, "feed": "teacher"}])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_several_batches_in_a_row_are_the_same_run(options, backend):
    states = []
    for most in (1, 5):
        training = tiny_training(backend=backend, **options)
        while training.position.epoch < 3:
            assert 1 <= training.step(most) <= most
            if training.is_epoch_done:
                training.close_epoch()
        states.append(state_of(training))
    assert states[0] == states[1]


def test_a_loss_that_is_not_finite_in_a_row_of_batches():
    training = tiny_training(batch=1, learn_rate=1e38, clip=0.0)
    with pytest.raises(DivergedError, match=r"diverged after \d+ sentences"):
        training.step(12)
    assert training.solver.state_dict()["step"] == training.position.items < 12


def test_the_second_signal_ends_at_once():
    before = signal.getsignal(signal.SIGINT)
    times = iter([100.0, 100.9, 101.1])
    with Interruption(lambda: next(times)) as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.signal == signal.SIGINT
        signal.raise_signal(signal.SIGINT)  # the same one, handed on by a wrapper
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before


def test_divergence_names_the_first_bad_node_and_its_line():
    training = tiny_training(batch=1)
    train_batches(training, 2)
    bad = training.model.embedding.table.value
    bad[:] = np.nan
    gf.let(training.model.embedding.table, bad)
    with pytest.raises(
        DivergedError,
        match=r"diverged after 2 sentences: NaN in embedding: .* made at .*s2s_model.py:\d+; try a smaller",
    ):
        training.step()
    assert training.position.items == 2


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    training = tiny_training(learn_rate=1e30, clip=0.0)
    train_batches(training, 1)
    gf.let(training.model.decoder.w, np.full(training.model.decoder.w.shape, np.inf, np.float32))
    with pytest.raises(DivergedError, match=r"infinity in decoder\.w"):
        training.check_weights()


# Resuming


@pytest.mark.parametrize("options", RUNS, ids=lambda options: "-".join(map(str, options.values())))
@pytest.mark.parametrize("stop", [1, 2, 7])
def test_a_resumed_run_is_the_one_that_never_stopped(tmp_path, options, stop):
    straight = tiny_training(**options)
    train_batches(straight, stop)
    path = tmp_path / "run.json"
    save(path, straight)
    train_batches(straight, 9)

    resumed = tiny_training(**options)
    train_batches(resumed, 3)  # whatever it did before is forgotten
    load(path).restore(resumed)
    train_batches(resumed, 9)
    assert state_of(resumed) == state_of(straight)


def test_a_resumed_run_that_is_saved_at_once_is_the_same_file(tmp_path):
    training = tiny_training(batch=5, validation=0.2)
    train_batches(training, 4)
    for tensors in ("base64", "lists"):
        first, second = tmp_path / "first.json", tmp_path / "second.json"
        save(first, training, tensors=tensors)
        resumed = tiny_training(batch=5, validation=0.2)
        load(first).restore(resumed)
        save(second, resumed, tensors=tensors)
        assert first.read_bytes() == second.read_bytes()


def test_looking_at_a_run_changes_nothing():
    alone, watched = (tiny_training(batch=4, validation=0.2) for _ in range(2))
    for _ in range(8):
        train_batches(alone, 1)
        train_batches(watched, 1)
        watched.evaluator.measure()
        watched.sampler.write([3], 1.0, np.random.default_rng(1), 9)
        watched.check_weights()
    assert state_of(watched) == state_of(alone)
