"""What is seen inside the sequence model is what happens there."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from looking import draw_look, look
from s2s_model import Seq2Seq
from sampling import Sampler
from vocabulary import Vocabulary

SENTENCE = [4, 6, 5, 3]


def model_of(cell):
    return Seq2Seq(7, embedding=3, hidden=4, cell=cell, steps=8, seed=3, backend="numpy")


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_probabilities_are_those_of_a_writer_that_is_fed(cell):
    seen = look(model_of(cell), SENTENCE)
    assert (seen.fed, seen.targets) == ([0, *SENTENCE], [*SENTENCE, 1])
    sampler = Sampler(model_of(cell))
    logits = sampler.start([])
    for step, symbol in enumerate([*SENTENCE, None]):
        expected = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(seen.probabilities[step], expected, rtol=1e-5)
        if symbol is not None:
            logits = sampler.feed(symbol)


def test_gates_of_an_lstm():
    model = model_of("lstm")
    seen = look(model, SENTENCE)
    assert list(seen.gates) == ["input", "forget", "output", "candidate"]
    lstm, table = model.cell.inner, model.embedding.table.value
    h, c = np.zeros(4), np.zeros(4)
    for step, symbol in enumerate(seen.fed):

        def gate(each, squash, symbol=symbol, h=h):
            return squash(each.wx.value @ table[symbol] + each.wh.value @ h + each.b.value)

        found = {name: gate(getattr(lstm, name), sigmoid) for name in ("input", "forget", "output")}
        found["candidate"] = gate(lstm.candidate, np.tanh)
        for name, expected in found.items():
            np.testing.assert_allclose(seen.gates[name][step], expected, rtol=1e-5)
        c = found["forget"] * c + found["input"] * found["candidate"]
        h = found["output"] * np.tanh(c)


def test_gates_of_a_gru():
    model = model_of("gru")
    seen = look(model, SENTENCE)
    assert list(seen.gates) == ["update", "reset", "memory"]
    gru, x = model.cell.inner, model.embedding.table.value[0]
    np.testing.assert_allclose(seen.gates["update"][0], sigmoid(gru.update.wx.value @ x), rtol=1e-5)
    np.testing.assert_allclose(seen.gates["memory"][0], np.tanh(gru.memory.wx.value @ x), rtol=1e-5)
    assert all(values.shape == (5, 4) for values in seen.gates.values())


@pytest.mark.parametrize(("cell", "states"), [("lstm", ["hidden", "cell"]), ("gru", ["hidden"])])
def test_gradients_of_the_states(cell, states):
    """Of the last step they can be told by hand: the decoder's rows, weighed by what was wrong."""
    model = model_of(cell)
    seen = look(model, SENTENCE)
    assert list(seen.gradients) == states
    wrong = seen.probabilities[-1] - np.eye(7)[seen.targets[-1]]
    np.testing.assert_allclose(seen.gradients["hidden"][-1], wrong @ model.decoder.w.value, rtol=1e-4, atol=1e-6)
    assert all(np.abs(values).min(axis=1).max() > 0 for values in seen.gradients.values())


def test_a_plain_cell_shows_its_state():
    from cells import Cell

    g = gf.ExprGraph()
    cell = Cell(g, "rnn", 2, 3)
    x, h = gf.vector(g, 2, value=[1.0, -1.0]), gf.vector(g, 3, value=[0.0, 0.0, 0.0])
    (after,) = cell(x, (h,))
    (seen,) = cell.activations(x, (h,)).values()
    with gf.TapeMachine(g, outputs=[after, seen]) as machine:
        machine.run_all()
        assert seen.value.tolist() == after.value.tolist()


def test_pictures(tmp_path):
    vocabulary = Vocabulary.from_text(["ab $"])
    paths = draw_look(tmp_path, look(model_of("lstm"), SENTENCE), vocabulary)
    assert [path.name for path in paths] == ["gates.png", "probabilities.png", "gradients.png"]
    assert all(path.stat().st_size > 5000 for path in paths)
