"""The window's graph against a plain numpy loop: losses, states carried, gradients, book's windows and presets."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from char_model import CharModel, WindowGraph, cut_windows
from char_options import new_hyperparameters
from tests.models.char_examples import TINY, first_states, weights_of, window_losses

SYMBOLS = 6
KINDS = (
    {"cell": "rnn", "activation": "sigmoid", "weights": "he"},
    {"cell": "rnn", "activation": "relu", "layers": 2},
    {"cell": "lstm", "decoder_bias": False, "first_state": "one"},
    {"cell": "lstm", "layers": 2, "bias_init": "chrono", "loss": "steps"},
    {"cell": "gru", "tied": True, "embedding": 7, "loss": "sum"},
    {"cell": "gru", "layers": 3, "first_state": "one"},
)
KIND_NAMES = ["-".join(map(str, kind.values())) for kind in KINDS]


def windows(chosen, seed=0):
    ids = np.random.default_rng(seed).integers(0, SYMBOLS, 40)
    return cut_windows(ids, chosen.batch, chosen.bptt)


def window_graph(kind, backend="numpy", **more):
    chosen = new_hyperparameters({**TINY, **kind, **more})
    model = CharModel(SYMBOLS, chosen, backend)
    return model, WindowGraph(model, *windows(chosen), is_training=True)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_losses_and_the_states_carried_are_those_of_a_plain_loop(kind, backend):
    model, graph = window_graph(kind, backend)
    given, targets = windows(model.chosen)
    states, expected = first_states(model.chosen), []
    for ids, wanted in zip(given, targets, strict=True):
        losses, states = window_losses(weights_of(model), model.chosen, ids, wanted, states)
        expected.append(losses.sum())
    assert len(expected) == 3
    np.testing.assert_allclose(graph.run(0, 3), expected, rtol=1e-5)
    for node, value in zip(graph.state, [each for layer in states for each in layer], strict=True):
        np.testing.assert_allclose(node.value, value, rtol=1e-4, atol=1e-6)
    graph.forget()  # the next epoch begins like the first
    np.testing.assert_allclose(graph.run(0, 3), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_gradients_are_the_slopes_of_that_loop_within_the_window(kind):
    model, graph = window_graph(kind)
    chosen = model.chosen
    given, targets = windows(chosen)
    graph.run(0, 1)
    before = [node.value.astype(np.float64) for node in graph.state]
    graph.run(1, 1)  # the states before it are constants: no gradient flows into the first window
    size = len(before) // chosen.layers
    states = [tuple(before[at : at + size]) for at in range(0, len(before), size)]
    scale = {"mean": 1 / given[1].size, "steps": 1 / chosen.batch, "sum": 1.0}[chosen.loss]

    def cost(weights):
        return window_losses(weights, chosen, given[1], targets[1], states)[0].sum() * scale

    weights = weights_of(model)
    assert float(graph.cost.value) == pytest.approx(cost(weights), rel=1e-5)
    drawing = np.random.default_rng(1)
    for parameter in model.parameters:
        direction = drawing.normal(size=parameter.shape)
        ends = [cost(weights | {parameter.name: weights[parameter.name] + h * direction}) for h in (-1e-6, 1e-6)]
        slope = (ends[1] - ends[0]) / 2e-6
        found = float((parameter.grad.astype(np.float64) * direction).sum())
        assert found == pytest.approx(slope, rel=1e-3, abs=1e-5), parameter.name


def test_streams_and_windows_are_cut_as_in_the_book():
    ids = np.arange(30)
    batch_size, bptt = 4, 3
    n_batches = len(ids) // batch_size
    batched = ids[: n_batches * batch_size].reshape(batch_size, n_batches).transpose()
    n_bptt = (n_batches - 1) // bptt
    given, targets = cut_windows(ids, batch_size, bptt)
    assert given.tolist() == batched[:-1][: n_bptt * bptt].reshape(n_bptt, bptt, batch_size).tolist()
    assert targets.tolist() == batched[1:][: n_bptt * bptt].reshape(n_bptt, bptt, batch_size).tolist()
    assert (targets == given + 1).all()
    assert given[0, :, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("preset", "windows_in_the_book"), [("book-rnn", 195), ("book-lstm", 249)])
def test_the_book_s_text_has_as_many_windows_as_it_printed(preset, windows_in_the_book):
    chosen = new_hyperparameters({"preset": preset})
    given, _ = cut_windows(np.zeros(99_993, np.int64), chosen.batch, chosen.bptt)
    assert len(given) == windows_in_the_book


def test_it_is_compiled_once():
    _, graph = window_graph({"cell": "lstm"})
    graph.run(0, 1)
    program = graph.machine.program
    graph.run(1, 2, gf.VanillaSolver(learn_rate=0.1))
    graph.forget()
    graph.run(0, 3)
    assert graph.machine.program is program


def test_dropout_is_of_the_training_alone_and_keeps_the_mean():
    model, graph = window_graph({"cell": "lstm"}, dropout=0.5)
    measuring = WindowGraph(model, *windows(model.chosen), is_training=False)
    first, again = graph.run(0, 1), None
    graph.forget()
    again = graph.run(0, 1)
    assert first != again  # another mask
    assert measuring.run(0, 1) != first
    expected, _ = window_losses(
        weights_of(model), model.chosen, *(each[0] for each in windows(model.chosen)), first_states(model.chosen)
    )
    measuring.forget()
    np.testing.assert_allclose(measuring.run(0, 1), [expected.sum()], rtol=1e-5)


@pytest.mark.parametrize("preset", ["book-rnn", "book-lstm"])
def test_first_weights_are_the_book_s(preset):
    chosen = new_hyperparameters({"preset": preset, "embedding": 400, "hidden": 300})
    model = CharModel(50, chosen, "numpy")
    values = {parameter.name: parameter.value for parameter in model.parameters}
    table = values.pop("embedding")
    assert abs(table).max() <= 0.5 / 400
    assert table.std() == pytest.approx(1 / 400 / np.sqrt(12), rel=0.05)
    decoder = values.pop("decoder.w")
    if preset == "book-lstm":
        assert not decoder.any()
        assert "decoder.b" not in values
    else:
        assert decoder.std() == pytest.approx(np.sqrt(2 / 300), rel=0.05)
        assert not values.pop("decoder.b").any()
    for name, value in values.items():
        if name.endswith(".b"):
            assert not value.any()
        else:
            assert value.std() == pytest.approx(np.sqrt(2 / value.shape[1]), rel=0.05)
    first = model.first_values()
    assert [each[0] for each in first] == ([1.0, 1.0] if preset == "book-lstm" else [0.0])
    assert not any(each[1:].any() for each in first)


def test_a_tied_decoder_is_the_embedding():
    model, _ = window_graph({"tied": True, "embedding": 7})
    assert model.decoder is model.embedding.table
    assert "decoder.w" not in weights_of(model)
