"""Checkpoints of a run: what is in them, and every way in which one can be wrong."""

from __future__ import annotations

import copy

import pytest

import graphflow as gf
from corpus import Corpus
from tests.models.s2s_examples import LINES, command, load, save, state_of, tiny_corpus, tiny_training, train_batches
from vocabulary import DataError


@pytest.fixture
def saved(tmp_path):
    """A run in the middle of its third epoch, and its checkpoint."""
    training = tiny_training(batch=5, validation=0.2)
    train_batches(training, 5)
    path = tmp_path / "run.json"
    save(path, training)
    return training, path


def spoil(path, change):
    """Change what is in the checkpoint, with a digest that fits."""
    checkpoint = gf.load_checkpoint(path)
    training = tiny_training(batch=5, validation=0.2)
    checkpoint.restore(training.model.parameters, training.solver)
    extra = copy.deepcopy(checkpoint.extra)
    change(extra)
    gf.save_checkpoint(path, training.model.parameters, solver=training.solver, extra=extra)


def put(*keys, value):
    def change(extra):
        for key in keys[:-1]:
            extra = extra[key]
        extra[keys[-1]] = value

    return change


def remove(*keys):
    def change(extra):
        for key in keys[:-1]:
            extra = extra[key]
        del extra[keys[-1]]

    return change


def swap_characters(extra):
    characters = extra["vocabulary"]
    characters[4], characters[5] = characters[5], characters[4]


def test_what_is_in_it(saved):
    training, path = saved
    run = load(path)
    assert run.vocabulary == training.data.vocabulary
    assert run.hyperparameters == training.chosen
    assert run.position == training.position
    assert (run.source, run.title, run.digest) == ("tiny", "a tiny corpus", tiny_corpus().digest)
    assert set(run.checkpoint.tensors) == {parameter.name for parameter in training.model.parameters}
    assert run.checkpoint.solver_kind == "RMSPropSolver"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("program", value="other"), "a checkpoint of another program"),
        (remove("program"), "a checkpoint of another program"),
        (put("version", value=2), "version 2; this program reads 1"),
        (remove("order"), "the run lacks 'order'"),
        (put("more", value=1), "the run has an unknown 'more'"),
        (put("order", value=None), "no generator state"),
        (put("corpus", "title", value=7), "a corpus that is not described by texts"),
        (put("corpus", value="tiny"), "corpus is no JSON object"),
        (swap_characters, "not in sorted order"),
        (put("vocabulary", value="text"), "a list of characters is needed"),
        (put("vocabulary", 0, value="x"), "the first three entries must be START"),
        (put("hyperparameters", "hidden", value=9), "no tensor 'decoder.w' of shape"),
        (put("hyperparameters", "hidden", value=0), "hyperparameter hidden is 0"),
        (put("hyperparameters", "batch", value=5.0), "hyperparameter batch is 5.0"),
        (put("hyperparameters", "cell", value="rnn"), "hyperparameter cell is 'rnn'"),
        (put("hyperparameters", "solver", value="sgd"), "hyperparameter solver is 'sgd'"),
        (put("hyperparameters", "learn_rate", value=-1.0), "hyperparameter learn_rate is -1.0"),
        (remove("hyperparameters", "seed"), "hyperparameters lacks 'seed'"),
        (put("position", "epoch", value=-1), "a position that makes no sense"),
        (put("position", "history", value=[[1]]), "a position that makes no sense"),
        (put("position", "running", "nats", value="many"), "a position that makes no sense"),
        (remove("position", "running", "nats"), "running lacks 'nats'"),
    ],
)
def test_refused_when_it_is_read(saved, change, message):
    _, path = saved
    spoil(path, change)
    with pytest.raises(DataError) as caught:
        load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("position", "index", value=3), "position 3 in an epoch of 10 sentences"),
        (put("position", "index", value=10), "position 10 in an epoch of 10 sentences"),
        (put("order", value={"bit_generator": "PCG64"}), "no generator state under 'order'"),
        (put("order", value={"bit_generator": "MT19937", "state": {}}), "no generator state under 'order'"),
        (put("order", "state", "state", value=-1), "no generator state under 'order'"),
    ],
)
def test_refused_when_it_is_restored_and_nothing_has_changed(saved, change, message):
    _, path = saved
    spoil(path, change)
    training = tiny_training(batch=5, validation=0.2)
    train_batches(training, 1)
    before = state_of(training)
    with pytest.raises(DataError, match=message):
        load(path).restore(training)
    assert state_of(training) == before


def test_another_solver_or_cell_is_refused_and_nothing_has_changed(saved):
    _, path = saved
    for options in ({"solver": "adam"}, {"cell": "gru"}, {"hidden": 9}):
        training = tiny_training(**{"batch": 5, "validation": 0.2, **options})
        before = state_of(training)
        with pytest.raises(gf.CheckpointError):
            load(path).restore(training)
        assert state_of(training) == before


def test_another_text_is_refused(saved):
    _, path = saved
    other = Corpus("tiny", "another text", "\n".join((*LINES, "nob")))
    with pytest.raises(DataError, match="was trained on a tiny corpus .* and this is another text"):
        load(path).check_corpus(other)


def test_a_cut_or_damaged_file_is_one_line_and_exit_code_3(saved, capsys):
    _, path = saved
    whole = path.read_bytes()
    damaged = whole.replace(b"run", b"ran", 1)
    assert damaged != whole
    for content in (b"", whole[: len(whole) // 2], damaged, b"\x00" * 100, b"{}\n"):
        path.write_bytes(content)
        code, out, err = command(capsys, "--resume", path, "--sample", "to", "--backend", "numpy")
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert "cannot load the checkpoint" in err
