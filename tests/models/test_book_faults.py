"""The thirteen faults of the chapter's program, each with the test that it is not here."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
import vocabulary
from corpus import load_corpus
from s2s_data import prepare
from s2s_model import SentenceGraph
from sampling import distribution
from tests.models.s2s_examples import (
    ARGUMENTS,
    command,
    load,
    log_softmax,
    reference_losses,
    reference_steps,
    save,
    state_of,
    tiny_corpus,
    tiny_model,
    tiny_training,
    train_batches,
)
from vocabulary import BLANK, END, START, DataError, Vocabulary


def book_graph(model):
    return SentenceGraph(model, "soft", counts_blank=True, is_training=True)


def test_fault_1_blank_is_fed_beyond_the_end_and_no_longer_for_the_next_sentence():
    model = tiny_model()
    graph = book_graph(model)
    for sentence in ([4], [4, 5, 6, 7, 8], [4], [4, 5, 6]):
        graph.run([sentence])
        np.testing.assert_allclose(graph.losses.value, reference_losses(model, sentence, "soft"), rtol=1e-5)
    # What the book does there, a position for a matrix product, is an error that nobody can overlook.
    product = gf.softmax(model.decoder(graph.model.first_state()[0])) @ model.embedding.table
    with pytest.raises(gf.BindingError, match="has no position"):
        gf.unsafe_let(product, gf.S(model.BLANK))


def test_fault_2_slices_at_one_position_stay_apart_also_at_rows_0_and_256():
    model = tiny_model(symbols=300, steps=4)
    graph = book_graph(model)  # all its slices of one kind are made at the same position
    for sentence in ([3, 259, 3], [259, 3, 259], [256, 4, 260], [0, 256, 0]):
        graph.run([sentence])
        np.testing.assert_allclose(graph.losses.value, reference_losses(model, sentence, "soft"), rtol=1e-5)
    assert len({node.id for node in graph.slots}) == len(graph.slots) == 6


def test_fault_3_a_failing_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path, training = tmp_path / "run.json", tiny_training()
    save(path, training)
    old = path.read_bytes()
    train_batches(training, 2)

    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    for call in ("write", "sync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"graphflow.atomic_file.{call}", fail)
            with pytest.raises(gf.CheckpointError, match="No space left"):
                save(path, training)
        assert path.read_bytes() == old
        assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_fault_4_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path):
    path, training = tmp_path / "run.json", tiny_training(batch=4)
    save(path, training)
    extra = gf.load_checkpoint(path).extra
    *most, last = training.model.parameters
    turned = gf.matrix(gf.ExprGraph(), tuple(reversed(last.shape)), name=last.name, init=gf.ones())
    gf.save_checkpoint(path, [*most, turned], solver=training.solver, extra=extra)
    train_batches(training, 2)
    before = state_of(training)
    with pytest.raises((gf.CheckpointError, DataError), match=last.name):
        load(path).restore(training)
    assert state_of(training) == before


def test_fault_5_the_vocabulary_is_in_the_checkpoint_in_an_order_that_no_process_changes(tmp_path):
    training = tiny_training()
    save(tmp_path / "run.json", training)
    assert load(tmp_path / "run.json").vocabulary.characters == (START, END, BLANK, *" abenorst")
    program = "from vocabulary import Vocabulary; print(Vocabulary.from_text('to be or not').characters)"
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(vocabulary.__file__).parent)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1


def test_fault_6_an_unknown_character_is_named_or_counted_and_never_start():
    known = Vocabulary.from_text("to be")
    with pytest.raises(DataError, match="character 3 of 'toß': 'ß' U\\+00DF is not in the vocabulary"):
        known.encode("toß")
    data = prepare(tiny_corpus(("to be", "to be", "tö be")), tiny_training(threshold=2).chosen)
    assert "dropped 1 characters that are not in the vocabulary: 'ö' U+00F6 x 1" in data.notes
    assert all(START not in data.vocabulary.decode(ids, visible=False) for ids in data.train)


def test_fault_7_a_reserved_character_in_the_corpus_is_refused_or_dropped_and_counted(tmp_path, capsys):
    path = tmp_path / "lines.txt"
    path.write_text(f"to be\nor {END}not\n", "utf-8")
    code, _, err = command(capsys, *ARGUMENTS, "--corpus", path)
    assert code == 3
    assert "line 2, character 4 (offset 9): '\\x03' U+0003 is reserved" in err
    corpus = load_corpus(str(path), "drop")
    assert "dropped 1 reserved characters (0x02 to 0x04)" in corpus.notes
    assert prepare(corpus, tiny_training().chosen).vocabulary.characters.count(END) == 1
    assert command(capsys, *ARGUMENTS, "--corpus", path, "--reserved", "drop", "--epochs", "1")[0] == 0


@pytest.mark.parametrize("split", ["words", "windows", "truncate"])
def test_fault_8_blank_lines_do_no_harm_and_long_sentences_learn_end(split):
    training = tiny_training(("", "to be or not to be", "  ", "bee", "\t"), split=split, batch=1)
    steps, graph = training.model.steps, training.graph
    assert all(1 <= len(ids) < steps for ids in training.data.train)
    for ids in training.data.train:
        graph.run([ids])
        assert graph.fed_and_targets(ids)[1][len(ids)] == training.model.END
        np.testing.assert_allclose(graph.losses.value, reference_losses(training.model, ids, "teacher"), rtol=1e-5)
    assert any(note.startswith(("split 1 of 2", "cut 1 of 2")) for note in training.data.notes)


@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4, 1e6])
def test_fault_9_the_loss_and_its_gradient_are_right_for_large_logits(scale):
    model = tiny_model(steps=2)
    graph = SentenceGraph(model, "teacher", counts_blank=True, is_training=True)
    gf.let(model.decoder.w, model.decoder.w.value * np.float32(scale))
    graph.run([[5]])
    expected = reference_losses(model, [5], "teacher")
    np.testing.assert_allclose(graph.losses.value, expected, rtol=1e-3, atol=1e-5)
    assert np.isfinite(graph.losses.value).all()
    assert all(np.isfinite(parameter.grad).all() for parameter in model.parameters)
    slope = np.zeros(model.decoder.w.shape)
    for hidden, logs, target in reference_steps(model, [5], "teacher"):
        slope += np.outer(np.exp(logs) - (np.arange(model.symbols) == target), hidden)
    np.testing.assert_allclose(model.decoder.w.grad, slope, atol=1e-3 * np.abs(slope).max())


def test_fault_10_the_prompt_is_fed():
    training = tiny_training(("to be", "so", "bob"), batch=3)
    train_batches(training, 150)
    drawing, known = np.random.default_rng(1), training.data.vocabulary
    assert known.decode(training.sampler.write(known.encode("b"), 0.0, drawing, 20)) == "ob␃"
    assert known.decode(training.sampler.write(known.encode("s"), 0.0, drawing, 20)) == "o␃"
    logits = [training.sampler.start(known.encode(prompt)) for prompt in ("", "t", "s", "to b")]
    assert len({one.tobytes() for one in logits}) == 4


@pytest.mark.parametrize(("cell", "gates"), [("lstm", "input forget output candidate"), ("gru", "update reset memory")])
def test_fault_11_weights_are_called_what_they_are(cell, gates):
    model = tiny_model(cell=cell)
    for gate in gates.split():
        parts = getattr(model.cell.inner, gate)
        assert [part.name for part in parts.parameters] == [f"{cell}.{gate}.{kind}" for kind in ("wx", "wh", "b")]
    if cell == "lstm":  # and each does what its name says: with the forget gate shut, the state before is forgotten
        gf.let(model.cell.inner.forget.b, np.full(8, -1e3, np.float32))
        x = model.embedding.row(3)
        states = [
            model.step(x, tuple(gf.constant(model.graph, np.full(8, value, np.float32)) for value in (0.0, cell_value)))
            for cell_value in (0.0, 5.0)
        ]
        machine = model.machine([state[0] for state in states])
        machine.run_all()
        np.testing.assert_array_equal(states[0][0].value, states[1][0].value)


def test_fault_12_an_option_is_used_or_refused():
    with pytest.raises(gf.OptionError, match="has no option 'rho'"):
        gf.AdamSolver(rho=0.9)
    with pytest.raises(gf.OptionError, match="has no option 'momentum'"):
        gf.RMSPropSolver(momentum=0.9)

    def moved(factor, **options):
        g = gf.ExprGraph()
        w = gf.vector(g, 2, name="w", value=[1.0, -2.0])
        gf.grad(gf.sum(gf.square(w) * factor), w)
        with gf.TapeMachine(g) as vm:
            vm.run_all()
        gf.RMSPropSolver(learn_rate=0.1, eps=1.0, **options).step([w])
        return w.value

    np.testing.assert_allclose(moved(1.0, batch_size=4), moved(0.25), rtol=1e-6)
    assert not np.allclose(moved(1.0, batch_size=4), moved(1.0))


def test_fault_13_a_higher_temperature_makes_the_probable_ones_less_so():
    logits = [0.0, 1.0, 3.0]
    most = [distribution(logits, temperature)[2] for temperature in (0.0, 0.5, 1.0, 2.0, 50.0)]
    assert most == sorted(most, reverse=True)
    assert most[0] == 1.0
    np.testing.assert_allclose(distribution(logits, 1.0), np.exp(log_softmax(np.array(logits))))
    p = distribution(logits, 1.0)
    np.testing.assert_allclose(distribution(logits, 2.0), np.sqrt(p) / np.sqrt(p).sum())
