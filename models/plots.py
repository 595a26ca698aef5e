"""Pictures of a run: the decoder before and after, and the loss curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import graphflow as gf
from vocabulary import DataError

Points = Sequence[tuple[float, float]]


def open_folder(folder: Path) -> None:
    """Make the folder for pictures, and see that pictures can be drawn, before the run and not after it.

    Raises:
        DataError: it cannot be made; RenderError: matplotlib is not installed.
    """
    gf.viz.heat_map(np.zeros((1, 1)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {str(folder)!r} cannot be made: {error.strerror}") from None


def draw_run(
    folder: Path, before: npt.NDArray[np.float32], after: npt.NDArray[np.float32], curve: Mapping[str, Points]
) -> list[Path]:
    """The chapter's heat map of the decoder [symbols, hidden], before, after and difference; and the loss over time."""
    weights = gf.viz.heat_map_triple(before, after, title="decoder (characters by hidden units)")
    shown = {name: points for name, points in curve.items() if points}
    loss = gf.viz.loss_curve(shown, title="loss", y_label="nats per character")
    return [
        gf.viz.save_figure(weights, folder / "decoder.png"),
        gf.viz.save_figure(loss, folder / "loss.png"),
    ]
