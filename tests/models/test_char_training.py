"""Training the character model: what an epoch is, resumed runs, divergence, samples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphflow as gf
from char_model import cut_windows
from char_options import HALVING
from command_line import DivergedError
from stopping import Interruption, Limits
from tests.models.char_examples import (
    TEXT,
    first_states,
    load,
    save,
    state_of,
    tiny_training,
    train_windows,
    weights_of,
    window_losses,
)
from tests.models.test_s2s_training import Silent
from training import run
from vocabulary import DataError

RUNS = (
    {"cell": "lstm"},
    {"cell": "rnn", "activation": "sigmoid", "solver": "vanilla", "decay": 0.5, "validation": 0.2},
    {"cell": "gru", "layers": 2, "dropout": 0.3, "solver": "momentum", "clip_norm": 0.5},
    {"cell": "lstm", "tied": True, "embedding": 7, "solver": "rmsprop", "first_state": "one", "decay": 0.9},
)


def test_an_epoch_s_figure_is_the_mean_over_all_its_targets_with_the_state_carried():
    training = tiny_training(solver="vanilla", learn_rate=0.0)  # nothing moves, so all losses are of one model
    chosen = training.chosen
    train_windows(training, training.total)
    given, targets = cut_windows(training.data.train, chosen.batch, chosen.bptt)
    states, losses = first_states(chosen), []
    for ids, expected in zip(given, targets, strict=True):
        found, states = window_losses(weights_of(training.model), chosen, ids, expected, states)
        losses.append(found)
    assert training.position.history[0][1] == pytest.approx(np.mean(losses), rel=1e-5)
    assert training.position.epoch == 1
    for state in training.graph.state:  # and the next epoch begins afresh
        assert not state.value.any()


def test_what_is_held_out_is_the_end_of_the_text_and_measured_without_training():
    training = tiny_training(validation=0.2)
    data = training.data
    assert data.vocabulary.decode([*data.train, *data.held_out], visible=False) == TEXT
    assert len(data.held_out) == round(0.2 * len(TEXT))
    given, targets = cut_windows(data.held_out, 3, 4)
    states, losses = first_states(training.chosen), []
    for ids, expected in zip(given, targets, strict=True):
        found, states = window_losses(weights_of(training.model), training.chosen, ids, expected, states)
        losses.append(found)
    for _ in range(2):
        assert training.evaluator.measure() == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_learning_rate_decays_after_each_epoch():
    training = tiny_training(solver="vanilla", learn_rate=0.5, decay=0.5, batch=20)
    rates = []
    for _ in range(4):
        rates.append(training.solver.learn_rate)
        train_windows(training, training.total)
    assert rates == [0.5, 0.25, 0.125, 0.0625]


def test_without_a_decay_the_rate_halves_with_every_so_many_characters():
    training = tiny_training(solver="vanilla", learn_rate=0.5, batch=4, bptt=5)
    characters = training.total * 20
    train_windows(training, 2 * training.total)
    assert training.solver.learn_rate == 0.5 * (0.5 ** (characters / HALVING)) ** 2 < 0.5


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_it_learns_its_text_by_heart(cell):
    training = tiny_training("to be or not\n" * 20, cell=cell, hidden=24, batch=4, bptt=8, learn_rate=0.02)
    train_windows(training, 30 * training.total)
    assert training.position.history[0][1] > 1.2
    assert training.position.history[-1][1] < 0.1
    encode, decode = training.data.vocabulary.encode, training.data.vocabulary.decode
    written = training.sampler.write(encode("to be "), 0.0, np.random.default_rng(0), 20)
    assert decode(written, visible=False) == "or not\nto be or not\n"


@pytest.mark.parametrize("options", RUNS, ids=lambda options: "-".join(map(str, options.values())))
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_several_windows_in_a_row_are_the_same_run(options, backend):
    states = []
    for most in (1, 7):
        training = tiny_training(backend=backend, **options)
        train_windows(training, 2 * training.total + 3, most)
        states.append(state_of(training))
    assert states[0] == states[1]


@pytest.mark.parametrize("options", RUNS, ids=lambda options: "-".join(map(str, options.values())))
@pytest.mark.parametrize(("stop", "backend"), [(1, "numpy"), (16, "native"), (29, "numpy")])
def test_a_resumed_run_is_the_one_that_never_stopped(tmp_path, options, stop, backend):
    straight = tiny_training(backend=backend, **options)
    train_windows(straight, stop, 5)
    path = tmp_path / "run.json"
    save(path, straight)
    train_windows(straight, 31, 5)
    resumed = tiny_training(backend=backend, **options)
    train_windows(resumed, 3)  # whatever it did before is forgotten
    load(path).restore(resumed)
    train_windows(resumed, 31, 5)
    assert state_of(resumed) == state_of(straight)


def test_a_resumed_run_that_is_saved_at_once_is_the_same_file(tmp_path):
    training = tiny_training(validation=0.2)
    train_windows(training, 20)
    for tensors in ("base64", "lists"):
        first, second = tmp_path / "first.json", tmp_path / "second.json"
        save(first, training, tensors)
        resumed = tiny_training(validation=0.2)
        load(first).restore(resumed)
        save(second, resumed, tensors)
        assert first.read_bytes() == second.read_bytes()


def test_looking_at_a_run_changes_nothing():
    alone, watched = (tiny_training(validation=0.2, dropout=0.2) for _ in range(2))
    for _ in range(8):
        train_windows(alone, 2)
        train_windows(watched, 2)
        watched.evaluator.measure()
        watched.write_sample(1.0, np.random.default_rng(1), 3)
        watched.check_weights()
    assert state_of(watched) == state_of(alone)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_divergence_names_the_first_bad_node_and_its_line(backend):
    training = tiny_training(backend=backend)
    train_windows(training, 2)
    before = [state.value for state in training.graph.state]
    bad = training.model.embedding.table.value
    bad[:] = np.nan
    gf.let(training.model.embedding.table, bad)
    with pytest.raises(
        DivergedError,
        match=r"diverged after 2 windows: NaN in embedding: .* made at .*char_model.py:\d+; try a smaller",
    ):
        training.step(5)
    assert training.position.items == 2
    assert all(np.array_equal(state.value, old) for state, old in zip(training.graph.state, before, strict=True))


def test_states_that_are_not_finite_are_not_saved():
    training = tiny_training()
    gf.let(training.graph.state[0], np.full(training.graph.state[0].shape, np.inf, np.float32))
    with pytest.raises(DivergedError, match="infinity in"):
        training.check_weights()


def test_it_stops_when_the_held_out_loss_falls_no_more():
    training, observer = tiny_training(validation=0.2, solver="vanilla", learn_rate=0.0), Silent()
    run(training, Limits(50, patience=3), observer, Interruption())
    assert observer.epochs == 4
    assert observer.why == "the held-out loss has not fallen for 3 epochs"


@pytest.mark.parametrize("options", [{"layers": 2}, {"hidden": 9}, {"cell": "gru"}, {"solver": "momentum"}])
def test_a_run_of_another_model_is_refused_and_nothing_has_changed(tmp_path, options):
    path = tmp_path / "run.json"
    save(path, tiny_training())
    training = tiny_training(**options)
    before = state_of(training)
    with pytest.raises((gf.CheckpointError, DataError)):
        load(path).restore(training)
    assert state_of(training) == before


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_samples_are_drawn_from_the_distribution_that_the_window_s_loss_is_of(cell):
    training = tiny_training(cell=cell, layers=2)
    train_windows(training, 30)
    symbols = len(training.data.vocabulary)
    logits = training.sampler.start([3, 1, 4])
    chosen = training.chosen
    one = np.array([[3], [1], [4]])
    single = [tuple(state[:1] for state in layer) for layer in first_states(chosen)]
    expected = [
        window_losses(weights_of(training.model), chosen, one, np.full((3, 1), target), single)[0][2, 0]
        for target in range(symbols)
    ]
    logs = logits - np.log(np.exp(logits.astype(np.float64)).sum())
    np.testing.assert_allclose(-logs, expected, rtol=1e-4)
    texts = [training.sampler.write([3, 1, 4], 1.0, np.random.default_rng(seed), 1)[0] for seed in range(2000)]
    counts = np.bincount(texts, minlength=symbols)
    wanted = np.exp(-np.array(expected)) * len(texts)
    assert ((counts - wanted) ** 2 / wanted).sum() < 2.5 * symbols  # chi-squared; its mean is below the symbols
    likeliest = set(np.argsort(expected)[:2].tolist())
    few = {training.sampler.write([3, 1, 4], 1.0, np.random.default_rng(s), 1, top_k=2)[0] for s in range(60)}
    assert few == likeliest


def test_all_solvers_train():
    for solver, clip in itertools.product(("adagrad", "adam", "adamw", "momentum", "rmsprop", "vanilla"), (None, 0.1)):
        training = tiny_training(solver=solver, clip_norm=clip)
        train_windows(training, 3 * training.total, 9)
        history = [row[1] for row in training.position.history]
        assert history[-1] < history[0]
