"""Curves in panels beside each other, drawn by matplotlib without its global state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import graphflow as gf
from vocabulary import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by the colour-blind too: blue, red, green, black, grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#000000", "#888888")
PANEL = (3.6, 2.9)  # inches


@dataclass(frozen=True)
class Curve:
    """A line, and where it is given the range around it.

    Attributes:
        x, y: of its points; low, high: of the range.
        label: in the legend; "" for none.
    """

    x: npt.ArrayLike
    y: npt.ArrayLike
    label: str = ""
    colour: str = COLOURS[0]
    style: str = "-"
    alpha: float = 1.0
    low: npt.ArrayLike | None = None
    high: npt.ArrayLike | None = None


@dataclass(frozen=True)
class Panel:
    """Curves over one pair of axes.

    Attributes:
        level: where a dotted line is drawn, None for nowhere.
        smallest: where a logarithmic axis begins; None for an ordinary axis.
    """

    title: str
    curves: Sequence[Curve]
    x_label: str
    y_label: str
    level: float | None = None
    smallest: float | None = None
    has_legend: bool = False


def draw_panels(panels: Sequence[Panel], columns: int) -> Figure:
    """The panels in rows of so many, each row with one scale; `check_picture` says beforehand if they can be drawn."""
    from matplotlib.figure import Figure

    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    axes: Any = figure.subplots(rows, columns, squeeze=False, sharey="row").ravel()
    for place, (ax, panel) in enumerate(zip(axes, panels, strict=False)):
        _draw_panel(ax, panel)
        if place % columns == 0:
            ax.set_ylabel(panel.y_label)
        if place + columns >= len(panels):  # there is none below
            ax.set_xlabel(panel.x_label)
        else:
            ax.tick_params(labelbottom=False)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    return figure


def _draw_panel(ax: Axes, panel: Panel) -> None:
    for curve in panel.curves:
        x = np.asarray(curve.x)
        if curve.low is not None and curve.high is not None:
            ax.fill_between(x, curve.low, curve.high, color=curve.colour, alpha=0.15, linewidth=0)
        label = curve.label or "_nolegend_"
        ax.plot(x, curve.y, curve.style, color=curve.colour, alpha=curve.alpha, label=label, linewidth=1.4)
    if panel.level is not None:
        ax.axhline(panel.level, color="#888888", linestyle=":", linewidth=1)
    if panel.smallest is not None:
        ax.set_yscale("log")
        ax.set_ylim(bottom=panel.smallest)
        ax.minorticks_off()
    ax.set_title(panel.title, fontsize="medium")
    ax.locator_params(axis="x", nbins=5)
    ax.grid(alpha=0.3)
    if panel.has_legend:
        ax.legend(fontsize="x-small")


def check_target(path: Path | None) -> None:
    """See that a file can be written there, before the run and not after it.

    Raises:
        DataError: there is no such folder, or the path is one.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise DataError(f"{str(path)!r} cannot be written: there is no folder {str(path.parent)!r}")
    if path.is_dir():
        raise DataError(f"{str(path)!r} cannot be written: it is a folder")


def check_picture(path: Path | None) -> None:
    """The same for a picture, and that it can be drawn.

    Raises:
        DataError: as for any file, or another ending than svg, png and pdf; RenderError: matplotlib is not installed.
    """
    if path is None:
        return
    check_target(path)
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise DataError(f"{str(path)!r} is no picture: its name must end in .svg, .png or .pdf")
    gf.viz.heat_map(np.zeros((1, 1)))  # where matplotlib is missing, this says what to install
