"""What the tasks feed and expect, and that their graphs compute what is said of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphflow as gf
from corpus import Corpus
from memory_tasks import AddingTask, CopyTask, TextTask
from recurrent import GATED, KINDS, Recurrent
from tests.models.s2s_examples import LINES, log_softmax, reference_step, sigmoid
from vocabulary import BLANK, END, START

BATCH = 7


def generator(seed=0):
    return np.random.default_rng(seed)


def build(task, kind="lstm", seed=0, batch=BATCH, **options):
    g = gf.ExprGraph(seed=seed)
    return task.build(g, lambda graph, inputs: Recurrent(graph, kind, inputs, 5, seed=seed, **options), batch)


def cost_of(network, values):
    with gf.TapeMachine(network.cost.graph, outputs=[network.cost], backend="numpy") as vm:
        network.bind(values)
        vm.run_all()
        return float(network.cost.value)


# Copying


@pytest.mark.parametrize(("delay", "count"), [(1, 1), (4, 2), (5, 5), (30, 3)])
def test_each_symbol_is_expected_delay_steps_after_it_was_fed(delay, count):
    task = CopyTask(delay, count, symbols=4)
    fed, expected = task.draw(generator(), 50)
    assert fed.shape == (task.steps, 50) == (delay + count, 50)
    assert expected.shape == (count, 50)
    for number in range(count):
        assert (fed[number] == expected[number]).all()  # and it is answered at step delay + number
    assert set(np.unique(expected)) == {0, 1, 2, 3}
    assert (fed[delay] == task.sign).all()
    rest = np.delete(fed, [*range(count), delay], axis=0)
    assert (rest == task.blank).all()


@pytest.mark.parametrize(("delay", "count"), [(2, 3), (3, 0)])
def test_symbols_must_be_over_when_the_first_is_asked_for(delay, count):
    with pytest.raises(ValueError, match="when the first is asked for"):
        CopyTask(delay, count)


def test_the_loss_of_copying_is_that_of_the_answers_alone():
    task = CopyTask(3, 2, symbols=4)
    network = build(task)
    fed, expected = task.draw(generator(), BATCH)
    weights = {each.name: each.value.astype(np.float64) for each in network.parameters}
    losses = []
    for column in range(BATCH):
        state = (np.zeros(5), np.zeros(5))
        for t in range(task.steps):
            state = reference_step(weights, weights["embedding"][fed[t, column]], state)
            if t >= task.delay:
                logs = log_softmax(weights["decoder.w"] @ state[0] + weights["decoder.b"])
                losses.append(-logs[expected[t - task.delay, column]])
    assert cost_of(network, (fed, expected)) == pytest.approx(np.mean(losses), rel=1e-5)
    assert task.knowing_nothing == math.log(4)


# Adding


@pytest.mark.parametrize("delay", [2, 3, 20])
def test_the_sum_of_two_marked_numbers_one_in_each_half(delay):
    task = AddingTask(delay)
    fed, expected = task.draw(generator(), 200)
    assert fed.shape == (delay, 200, 2)
    numbers, marks = fed[..., 0], fed[..., 1]
    assert ((numbers >= 0) & (numbers <= 1)).all()
    assert set(np.unique(marks)) <= {0.0, 1.0}
    half = delay // 2
    assert (marks[:half].sum(axis=0) == 1).all()
    assert (marks[half:].sum(axis=0) == 1).all()
    np.testing.assert_allclose(expected[:, 0], (numbers * marks).sum(axis=0), rtol=1e-6)
    assert (marks.sum(axis=1) > 0).all()  # every step is marked at times


def test_answering_1_costs_a_sixth():
    task = AddingTask(10)
    _, expected = task.draw(generator(), 100_000)
    assert np.mean((expected - 1) ** 2) == pytest.approx(task.knowing_nothing, rel=0.02)


def test_the_loss_of_adding_is_that_of_the_last_step():
    task = AddingTask(4)
    network = build(task)
    fed, expected = task.draw(generator(), BATCH)
    weights = {each.name: each.value.astype(np.float64) for each in network.parameters}
    errors = []
    for column in range(BATCH):
        state = (np.zeros(5), np.zeros(5))
        for t in range(task.steps):
            state = reference_step(weights, fed[t, column], state)
        errors.append((weights["decoder.w"] @ state[0] + weights["decoder.b"] - expected[column]).item() ** 2)
    assert cost_of(network, (fed, expected)) == pytest.approx(np.mean(errors), rel=1e-5)


def test_one_step_has_no_two_numbers():
    with pytest.raises(ValueError, match="two numbers do not fit into 1 steps"):
        AddingTask(1)


# Text


@pytest.fixture
def text():
    return TextTask(Corpus("tiny", "a tiny corpus", "\n".join(LINES * 3)), steps=7)


def test_each_character_is_expected_after_the_ones_before_it(text):
    fed, expected, weights = text.draw(generator(), 40)
    characters = text.vocabulary.characters
    assert weights.sum() == pytest.approx(1)
    for column in range(40):
        read, wanted = ("".join(characters[i] for i in ids[:, column]) for ids in (fed, expected))
        line = wanted.split(END)[0]
        assert line in LINES
        assert read == (START + line).ljust(7, BLANK)
        assert wanted == (line + END).ljust(7, BLANK)
        assert [weight > 0 for weight in weights[:, column]] == [t <= len(line) for t in range(7)]


def test_what_is_tested_is_never_trained_on(text):
    train, test = (
        {bytes(column) for column in text.draw(generator(), 500, is_test=is_test)[0].T.astype(np.uint8)}
        for is_test in (False, True)
    )
    assert len(train) > 1
    assert test
    assert not train & test


def test_the_loss_of_text_is_the_mean_over_its_characters(text):
    network = build(text, kind="gru")
    for parameter in network.parameters:
        gf.let(parameter, np.zeros(parameter.shape))
    assert cost_of(network, text.draw(generator(), BATCH)) == pytest.approx(math.log(len(text.vocabulary)), rel=1e-6)


# Cells


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_gradients_for_all_its_parameters(kind):
    task = CopyTask(3, 1, symbols=4)
    network = build(task, kind=kind)
    gradients = gf.grad(network.cost, *network.parameters)
    with gf.TapeMachine(network.cost.graph, outputs=[network.cost, *gradients]) as vm:
        network.bind(task.draw(generator(), BATCH))
        vm.run_all()
        assert all(np.abs(gradient.value).max() > 0 for gradient in gradients)
    assert len(network.states) == 4
    assert {len(state) for state in network.states} == {2 if kind == "lstm" else 1}


def test_the_sigmoid_cell_is_the_book_s():
    g = gf.ExprGraph(seed=1)
    cell = Recurrent(g, "rnn-sigmoid", 3, 5)
    x = gf.tensor(g, (1, 2, 3), dtype="float32", value=generator().normal(size=(1, 2, 3)))
    ((hidden,),) = cell.unroll(x, 1)
    with gf.TapeMachine(g, outputs=[hidden]) as vm:
        vm.run_all()
    np.testing.assert_allclose(hidden.value, sigmoid(x.value[0] @ cell.parameters[0].value.T), rtol=1e-5)


@pytest.mark.parametrize("kind", GATED)
def test_chrono_and_zero_differ_in_gate_biases_and_in_nothing_else(kind):
    zero, chrono = (
        {each.name: each.value for each in build(CopyTask(9), kind, bias_init=bias, longest=50).parameters}
        for bias in ("zero", "chrono")
    )
    differing = {name for name, value in zero.items() if not np.array_equal(value, chrono[name])}
    assert differing == {"lstm.forget.b", "lstm.input.b"} if kind == "lstm" else {"gru.update.b"}
    signs = {"lstm.forget.b": 1, "lstm.input.b": -1, "gru.update.b": -1}
    for name in differing:
        size = signs[name] * chrono[name]
        assert ((size >= 0) & (size <= math.log(49))).all()
        assert not zero[name].any()
