"""Looking into the sequence model while it reads a sentence: gates, probabilities, gradients, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import graphflow as gf
from s2s_model import Seq2Seq
from vocabulary import Vocabulary

Floats = npt.NDArray[np.float32]
STATES = ("hidden", "cell")
SPECIAL = {Seq2Seq.START: "START", Seq2Seq.END: "END", Seq2Seq.BLANK: "BLANK"}


class Seen(NamedTuple):
    """What happens at each step while the true characters are fed.

    Attributes:
        fed, targets: ids of the characters, [steps].
        gates: [steps, hidden] by name.
        probabilities: [steps, symbols] of what comes next.
        gradients: [steps, hidden] by name: of the sum of the losses with respect to the states after each step.
    """

    fed: list[int]
    targets: list[int]
    gates: Mapping[str, Floats]
    probabilities: Floats
    gradients: Mapping[str, Floats]


def look(model: Seq2Seq, sentence: Sequence[int]) -> Seen:
    """Let a model read a sentence.

    Args:
        model: one that is trained no more: its graph gets nodes, and gradients of its states.
        sentence: ids of its characters, without START and END.
    """
    fed, targets = [model.START, *sentence], [*sentence, model.END]
    state = model.first_state()
    gates: dict[str, list[gf.Node]] = {}
    states: list[tuple[gf.Node, ...]] = []
    probabilities: list[gf.Node] = []
    for t, symbol in enumerate(fed):
        with model.graph.step(t):
            x = model.embedding.table[symbol]
            for name, node in model.cell.activations(x, state).items():
                gates.setdefault(name, []).append(node)
            state = model.step(x, state)
            states.append(state)
            probabilities.append(gf.softmax(model.decoder(state[0])))
    cost = -gf.sum(gf.stack([gf.log(p)[target] for p, target in zip(probabilities, targets, strict=True)]))
    found = gf.grad(cost, *chain.from_iterable(zip(*states, strict=True)))
    gradients = {STATES[number]: found[number * len(fed) :][: len(fed)] for number in range(model.states)}
    with model.machine([*probabilities, *chain.from_iterable(gates.values()), *found]) as machine:
        machine.run_all()
        return Seen(fed, targets, _values(gates), _values({"": probabilities})[""], _values(gradients))


def draw_look(folder: Path, seen: Seen, vocabulary: Vocabulary) -> list[Path]:
    """Draw it: `gates.png`, `probabilities.png` and `gradients.png` in a folder."""
    names = [SPECIAL.get(symbol) or vocabulary.decode([symbol]) for symbol in range(len(vocabulary))]
    names = ["\N{OPEN BOX}" if name == " " else name for name in names]
    fed = [names[symbol] for symbol in seen.fed]
    figures = {
        "gates": gf.viz.gate_maps(seen.gates, symbols=fed, title="gates while a sentence is read"),
        "probabilities": gf.viz.probability_map(
            seen.probabilities, seen.targets, names=names, fed=fed, title="what comes next: held probable, and true"
        ),
        "gradients": gf.viz.norms_by_step(
            seen.gradients, symbols=fed, title="gradient of the sentence's loss by the states", y_label="norm"
        ),
    }
    return [gf.viz.save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()]


def _values(nodes: Mapping[str, Sequence[gf.Node]]) -> dict[str, Floats]:
    return {name: np.stack([node.value for node in each]) for name, each in nodes.items()}
