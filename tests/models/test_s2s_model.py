"""The model and its graphs: against plain numpy, and the batch against single sentences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphflow as gf
from s2s_model import BatchGraph, SentenceGraph
from tests.models.s2s_examples import reference_losses, tiny_model

SENTENCES = ([3], [4, 5], [8, 3, 3], [5, 4, 3, 8], [6, 7, 6, 7, 6])
CELLS, FEEDS = ("lstm", "gru"), ("soft", "teacher")


def sentence_graph(model, feed, *, counts_blank=False):
    return SentenceGraph(model, feed, counts_blank=counts_blank, is_training=True)


def gradients(model):
    return [parameter.grad for parameter in model.parameters]


@pytest.mark.parametrize(("cell", "feed"), [*itertools.product(CELLS, FEEDS)])
def test_losses_are_those_of_the_book_written_in_numpy(cell, feed):
    model = tiny_model(cell=cell)
    graph = sentence_graph(model, feed)
    for sentence in (*SENTENCES, *reversed(SENTENCES)):  # longer ones after shorter ones and the other way round
        expected = reference_losses(model, sentence, feed)
        nats, characters = graph.run([sentence])
        np.testing.assert_allclose(graph.losses.value, expected, rtol=1e-5)
        assert characters == len(sentence) + 1
        np.testing.assert_allclose([nats, graph.cost.value], expected[:characters].sum(), rtol=1e-5)


@pytest.mark.parametrize("feed", FEEDS)
def test_cost_may_count_the_padding_as_the_book_does(feed):
    model = tiny_model()
    graph = sentence_graph(model, feed, counts_blank=True)
    nats, characters = graph.run([[4, 5]])
    expected = reference_losses(model, [4, 5], feed)
    np.testing.assert_allclose(graph.cost.value, expected.sum(), rtol=1e-5)
    np.testing.assert_allclose(nats, expected[:3].sum(), rtol=1e-5)
    assert characters == 3


@pytest.mark.parametrize(("cell", "feed"), [*itertools.product(CELLS, FEEDS)])
def test_cost_falls_along_its_gradient_at_the_rate_that_the_gradient_says(cell, feed):
    model = tiny_model(cell=cell)
    graph = sentence_graph(model, feed)
    graph.run([[5, 4, 3]])
    before = reference_losses(model, [5, 4, 3], feed)[:4].sum()
    slopes = gradients(model)
    length = sum(float((slope.astype(np.float64) ** 2).sum()) for slope in slopes)
    step = 1e-4
    for parameter, slope in zip(model.parameters, slopes, strict=True):
        gf.let(parameter, parameter.value - step * slope)
    after = reference_losses(model, [5, 4, 3], feed)[:4].sum()
    assert (before - after) / step == pytest.approx(length, rel=0.01)


@pytest.mark.parametrize(("cell", "feed", "counts_blank"), [*itertools.product(CELLS, FEEDS, (False, True))])
def test_a_batch_is_the_mean_of_its_sentences(cell, feed, counts_blank):
    model = tiny_model(cell=cell)
    single = sentence_graph(model, feed, counts_blank=counts_blank)
    costs, totals, slopes = [], [], []
    for sentence in SENTENCES[1:4]:
        totals.append(single.run([sentence]))
        costs.append(float(single.cost.value))
        slopes.append(gradients(model))
    batch = BatchGraph(model, feed, counts_blank=counts_blank, is_training=True, batch=4)  # room for one more
    nats, characters = batch.run(SENTENCES[1:4])
    assert float(batch.cost.value) == pytest.approx(np.mean(costs), rel=1e-5)
    assert (nats, characters) == (pytest.approx(sum(n for n, _ in totals), rel=1e-5), sum(c for _, c in totals))
    for found, *parts in zip(gradients(model), *slopes, strict=True):
        np.testing.assert_allclose(found, np.mean(parts, axis=0), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_chrono_biases_remember(cell):
    model = tiny_model(cell=cell, bias_init="chrono", hidden=200, steps=30)
    biases = {parameter.name: parameter.value for parameter in model.parameters if parameter.name.endswith(".b")}
    if cell == "lstm":
        forget = biases.pop("lstm.forget.b")
        assert (biases.pop("lstm.input.b") == -forget).all()
    else:
        forget = -biases.pop("gru.update.b")
    assert 0 <= forget.min() < 1
    assert 3 < forget.max() <= np.log(29)
    assert all((bias == 0).all() for bias in biases.values())


def test_weights_depend_on_the_seed_alone():
    first, again, other = (tiny_model(seed=seed).parameters for seed in (1, 1, 2))
    assert all((a.value == b.value).all() for a, b in zip(first, again, strict=True))
    assert not (first[0].value == other[0].value).all()


def test_sizes_are_the_book_s():
    model = tiny_model(symbols=64, embedding=20, hidden=100, steps=30)
    shapes = {parameter.name: parameter.shape for parameter in model.parameters}
    assert shapes["embedding"] == (64, 20)
    assert shapes["decoder.w"] == (64, 100)
    assert shapes["lstm.forget.wx"] == (100, 20)
    assert shapes["lstm.forget.wh"] == (100, 100)
    assert len(shapes) == 14
    spread = next(p.value.std() for p in model.parameters if p.name == "decoder.w")
    assert spread == pytest.approx(np.sqrt(2 / 164), rel=0.05)  # GlorotN(1)


@pytest.mark.parametrize("make", ["single", "batch"])
@pytest.mark.parametrize("sentence", [[], [3] * 6])
def test_a_sentence_that_does_not_fit_is_refused(make, sentence):
    model = tiny_model()
    graph = (
        sentence_graph(model, "soft")
        if make == "single"
        else BatchGraph(model, "soft", counts_blank=False, is_training=True, batch=2)
    )
    before = graph.run([[4, 5]])
    with pytest.raises(ValueError, match="a sentence needs 1 to 5 characters, not"):
        graph.run([sentence])
    graph.machine.run_all()
    assert graph.run([[4, 5]]) == before


@pytest.mark.parametrize("feed", FEEDS)
def test_rebinding_compiles_nothing(feed):
    model = tiny_model()
    graph = sentence_graph(model, feed)
    graph.run([[3]])
    program = graph.machine.program
    for sentence in SENTENCES:
        graph.run([sentence])
    assert graph.machine.program is program
