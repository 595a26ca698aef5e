"""The faults of the chapter's listings, which must not be here."""

from __future__ import annotations

import numpy as np
import pytest

from char_model import CharModel, WindowGraph, cut_windows
from char_options import new_hyperparameters
from sampling import choose
from tests.models.char_examples import TINY, first_states, tiny_training, train_windows, weights_of, window_losses


def test_fault_1_the_rnn_learns_from_all_steps_of_a_window_not_from_the_last_alone():
    chosen = new_hyperparameters({"preset": "book-rnn", **TINY, "cell": "rnn"})
    model = CharModel(6, chosen, "numpy")
    given, targets = cut_windows(np.random.default_rng(0).integers(0, 6, 15), chosen.batch, chosen.bptt)
    graph = WindowGraph(model, given, targets, is_training=True)
    graph.run(0, 1)
    found = {parameter.name: parameter.grad for parameter in model.parameters}
    weights, step = weights_of(model), 1e-6

    def losses(change):
        changed = weights | {"decoder.b": weights["decoder.b"] + change}
        return window_losses(changed, chosen, given[0], targets[0], first_states(chosen))[0].mean(axis=1)

    slopes = np.array([(losses(step * row) - losses(-step * row)) / (2 * step) for row in np.eye(6)])  # [6, bptt]
    np.testing.assert_allclose(found["decoder.b"], slopes.sum(axis=1), rtol=1e-4, atol=1e-6)
    assert abs(slopes[:, :-1].sum(axis=1)).max() > 0.1  # what the last step alone would leave out


def test_fault_2_samples_are_drawn_from_the_distribution():
    """The listing takes the first character whose probability exceeds one random number: the first one, if none does.

    Of three equally probable ones it would give the first always.
    """
    drawing = np.random.default_rng(0)
    counts = np.bincount([choose([0.0, 0.0, 0.0], 1.0, drawing) for _ in range(3000)], minlength=3)
    assert counts.min() > 900


def test_fault_3_the_epoch_s_figure_covers_the_last_window_too():
    training = tiny_training()
    seen = []
    for _ in range(training.total):
        before = training.position.running.nats
        training.step()
        seen.append(training.position.running.nats - before)
    ended, _ = training.close_epoch()
    assert ended.items == training.total == 17
    assert ended.characters == 17 * 3 * 4
    assert ended.nats == pytest.approx(sum(seen))
    assert seen[-1] > 0


def test_fault_4_the_state_is_forgotten_at_an_epoch_s_beginning_and_only_there():
    training = tiny_training(first_state="one", solver="vanilla", learn_rate=0.0)
    first = [state.value for state in training.graph.state]
    assert all((value[:, 0] == 1).all() and not value[:, 1:].any() for value in first)
    for window in range(training.total - 1):
        train_windows(training, 1)
        assert any((state.value != value).any() for state, value in zip(training.graph.state, first, strict=True)), (
            window
        )
    train_windows(training, 1)
    for state, value in zip(training.graph.state, first, strict=True):
        np.testing.assert_array_equal(state.value, value)


def test_fault_5_the_characters_numbers_do_not_depend_on_the_process():
    """`list(set(raw))` is another order each time Python starts."""
    training = tiny_training("hamlet " * 9)
    assert training.data.vocabulary.characters == tuple(sorted(set("hamlet ")))
