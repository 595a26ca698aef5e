"""The programs in docs/examples do what they say."""

from __future__ import annotations

from docs.examples import convnet


def test_a_convolutional_network_reads_digits(capsys):
    """Half the epochs of the program; guessing would read one digit of ten."""
    accuracy = convnet.train(epochs=4)
    assert accuracy > 0.92
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[-1].endswith(f"{accuracy:.1%} of 397 unseen digits read")
