"""Sampling: the distribution at a temperature, and writing from a prompt to END."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from command_line import DivergedError
from s2s_model import SentenceGraph
from sampling import Sampler, choose, distribution
from tests.models.s2s_examples import log_softmax, tiny_model, tiny_training, train_batches

LOGITS = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8)
TEMPERATURES = st.floats(0, 1e308)


def generator(seed=5):
    return np.random.default_rng(seed)


@given(LOGITS, TEMPERATURES)
def test_it_is_a_distribution_that_keeps_the_order(logits, temperature):
    p = distribution(logits, temperature)
    assert p.sum() == pytest.approx(1)
    assert (p >= 0).all()
    order = np.argsort(logits, kind="stable")
    assert temperature == 0 or (np.diff(p[order]) >= 0).all()
    assert p[int(np.argmax(logits))] == p.max()


@given(LOGITS)
def test_temperature_1_is_the_distribution_itself(logits):
    np.testing.assert_allclose(distribution(logits, 1.0), np.exp(log_softmax(np.array(logits))), rtol=1e-9, atol=1e-300)


@given(LOGITS, st.floats(0.01, 100))
def test_temperature_is_the_power_1_over_t(logits, temperature):
    p = np.exp(log_softmax(np.array(logits) / 1e4))
    power = p ** (1 / temperature)
    np.testing.assert_allclose(distribution(np.array(logits) / 1e4, temperature), power / power.sum(), rtol=1e-9)


@given(LOGITS, st.floats(0.1, 10), st.integers(1, 9))
def test_of_the_k_most_probable_each_keeps_its_share(logits, temperature, top_k):
    p, few = distribution(logits, temperature), distribution(logits, temperature, top_k)
    kept = np.argsort(-np.array(logits), kind="stable")[:top_k]
    assert few.sum() == pytest.approx(1)
    np.testing.assert_allclose(few[kept], p[kept] / p[kept].sum(), rtol=1e-9)
    assert not np.delete(few, kept).any()
    with pytest.raises(ValueError, match="at least one"):
        distribution(logits, temperature, 0)


@pytest.mark.parametrize("temperature", [0.0, 1e-320, 1e-300])
def test_towards_0_the_most_probable_one_is_left(temperature):
    assert distribution([1.0, 3.0, 2.999], temperature).tolist() == [0, 1, 0]


def test_of_equals_temperature_0_takes_the_first():
    assert distribution([2.0, 5.0, 5.0], 0.0).tolist() == [0, 1, 0]
    assert choose([2.0, 5.0, 5.0], 0.0, generator()) == 1


@pytest.mark.parametrize("temperature", [-1.0, float("nan")])
def test_no_such_temperature(temperature):
    with pytest.raises(ValueError, match="the temperature must be 0 or more"):
        distribution([1.0, 2.0], temperature)


def test_choices_are_as_frequent_as_they_are_probable():
    drawing, logits, count = generator(), [0.0, 1.0, -1.0, 2.0], 20_000
    counts = np.bincount([choose(logits, 0.8, drawing) for _ in range(count)], minlength=4)
    expected = distribution(logits, 0.8) * count
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # chi-squared with 3 degrees of freedom: 1 in 1,000


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_single_step_agrees_with_the_unrolled_graph(cell):
    model = tiny_model(cell=cell)
    graph = SentenceGraph(model, "teacher", counts_blank=False, is_training=True)
    sampler, sentence = Sampler(model), [5, 4, 3]
    for _ in range(2):  # the second time with other weights, and with a state to be forgotten
        graph.run([sentence])
        found = [-log_softmax(sampler.start(sentence[:t]))[target] for t, target in enumerate([*sentence, model.END])]
        np.testing.assert_allclose(graph.losses.value[:4], found, rtol=1e-4)
        gf.VanillaSolver(learn_rate=0.5).step(model.parameters)


def test_it_writes_what_it_was_taught_and_stops_at_end():
    training = tiny_training(("to be", "so"), batch=2)
    train_batches(training, 150)
    vocabulary = training.data.vocabulary

    def written(prompt):
        ids = training.sampler.write(vocabulary.encode(prompt), 0.0, generator(), 50)
        return vocabulary.decode(ids)

    assert written("t") == "o be␃"
    assert written("to b") == "e␃"
    assert written("s") == "o␃"


def test_same_generator_same_text_and_the_length_is_bounded():
    sampler = Sampler(tiny_model())
    first, again, other = (sampler.write([4], 1.0, generator(seed), 40) for seed in (1, 1, 2))
    assert first == again != other
    texts = [sampler.write([], 1.0, generator(seed), 7) for seed in range(60)]
    assert {len(text) for text in texts} <= set(range(1, 8))
    assert all(sampler.model.END not in text[:-1] for text in texts)
    assert any(text[-1] == sampler.model.END for text in texts)
    assert any(text[-1] != sampler.model.END for text in texts)


def test_writing_changes_nothing_in_the_training():
    quiet, talking = tiny_training(batch=3), tiny_training(batch=3)
    program = talking.graph.machine.program
    for _ in range(10):
        train_batches(quiet, 1)
        train_batches(talking, 1)
        talking.sampler.write([4], 1.0, generator(), 20)
        talking.evaluator.measure()
    assert talking.graph.machine.program is program
    for one, other in zip(quiet.model.parameters, talking.model.parameters, strict=True):
        assert one.value.tobytes() == other.value.tobytes()


def test_a_diverged_model_says_so():
    model = tiny_model()
    gf.let(model.decoder.w, np.full(model.decoder.w.shape, np.nan, np.float32))
    with pytest.raises(DivergedError, match="not finite"):
        Sampler(model).write([], 1.0, generator(), 5)
