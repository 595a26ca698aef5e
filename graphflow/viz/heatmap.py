"""Matrices as heat maps, losses as curves: what matplotlib draws, without a window and without its global state."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from graphflow.errors import OptionError, RenderError, ShapeError
from graphflow.values import as_array
from graphflow.viz.labels import CONTROL_PICTURES, DELETE_PICTURE, visible
from graphflow.viz.render import FORMATS, picture_path, write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.ticker import MaxNLocator

Floats = npt.NDArray[np.float64]
Points = Iterable[tuple[float, float]]

# Blue is negative, white zero, red positive: told apart by the colour-blind too. What is not finite is grey.
COLOURS: Final = "RdBu_r"
NOT_FINITE: Final = "#9A9A9A"

# Inches. A matrix has one size whatever the number of its weights.
LONG_SIDE: Final = 6.0
SHORT_SIDE: Final = 1.2
# Cells are squares unless the matrix is longer than this for its width.
LONGEST_SHAPE: Final = 8.0
DOTS_PER_INCH: Final = 150
CARETS: Final = {CONTROL_PICTURES + code: f"^{chr(code + 64)}" for code in range(32)} | {ord(DELETE_PICTURE): "^?"}


def heat_map(values: object, *, title: str = "", ax: Axes | None = None) -> Figure:
    """A matrix as a picture, its colours symmetric around 0.

    Args:
        values: [rows, columns], [columns] or []; anything numpy understands as numbers.
        title: stands above.
        ax: drawn into, where a picture of several parts is made; a new figure otherwise.

    Returns:
        The figure.

    Raises:
        ShapeError: more than two axes, or no elements; BindingError: no numbers; RenderError: matplotlib is missing.

    Source: the Heatmap of the Gorgonia chapter, which took a centimetre for each weight.
    """
    matrix = _as_matrix(values, "heat_map")
    if ax is None:
        ax = new_figure(*_size(matrix)).add_subplot()
    image = _draw_matrix(ax, matrix, title, _largest(matrix))
    figure = ax.figure
    figure.colorbar(image, ax=ax)
    return figure.figure  # of a figure within a figure, the outer one


def heat_map_triple(before: object, after: object, *, title: str = "") -> Figure:
    """A matrix before and after training, and the difference after - before.

    Before and after share one scale; the difference, mostly smaller, has its own.

    Args:
        before: [rows, columns], [columns] or [].
        after: of the same shape.
        title: stands above all three.

    Raises:
        ShapeError: too many axes, or different shapes; BindingError: no numbers; RenderError: matplotlib is missing.
    """
    old, new = _as_matrix(before, "heat_map_triple"), _as_matrix(after, "heat_map_triple")
    if old.shape != new.shape:
        raise ShapeError("heat_map_triple: two different shapes", got=f"{old.shape} and {new.shape}", needs="one shape")
    width, height = _size(old)
    is_wide = width >= height
    figure = new_figure(width, 3 * height) if is_wide else new_figure(3 * width, height)
    axes = figure.subplots(3, 1) if is_wide else figure.subplots(1, 3)
    if title:
        figure.suptitle(literal_text(title))
    scale = max(_largest(old), _largest(new))
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf is drawn as any other value that is not finite
        difference = new - old
    _draw_matrix(axes[0], old, "before", scale)
    shared = _draw_matrix(axes[1], new, "after", scale)
    image = _draw_matrix(axes[2], difference, "difference: after - before", _largest(difference))
    figure.colorbar(shared, ax=list(axes[:2]))
    figure.colorbar(image, ax=axes[2])
    return figure


def loss_curve(
    points: Points | Mapping[str, Points],
    *,
    title: str = "",
    x_label: str = "epoch",
    y_label: str = "loss",
) -> Figure:
    """Loss over time.

    Args:
        points: (time, loss) pairs, or several such curves by name, such as {"train": ..., "held out": ...}.
        title: stands above.
        x_label: what time is counted in.
        y_label: what the loss is measured in, such as "nats per character".

    Raises:
        OptionError: something that is no pair of numbers; RenderError: matplotlib is missing.
    """
    named = points if isinstance(points, Mapping) else {"": points}
    curves = {name: _as_pairs(curve) for name, curve in named.items()}
    figure = new_figure(LONG_SIDE, LONG_SIDE * 0.6)
    ax = figure.add_subplot()
    marks = ("o-", "s--", "^:", "D-.")
    for number, (name, pairs) in enumerate(curves.items()):
        ax.plot(pairs[:, 0], pairs[:, 1], marks[number % len(marks)], markersize=3, label=literal_text(name))
    if all(np.array_equal(pairs[:, 0], np.rint(pairs[:, 0])) for pairs in curves.values()):
        ax.xaxis.set_major_locator(whole_numbers(10))
    ax.set_title(literal_text(title))
    ax.set_xlabel(literal_text(x_label))
    ax.set_ylabel(literal_text(y_label))
    ax.grid(alpha=0.3)
    if any(curves):
        ax.legend()
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to an svg, png or pdf file, wholly or not at all.

    Raises:
        RenderError: another ending, no such folder, or a file that cannot be written.
    """
    target, form = picture_path(path, FORMATS)
    # The same figure gives the same file on every day.
    undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=DOTS_PER_INCH, metadata=undated)
    write_picture(target, buffer.getvalue())
    return target


def new_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches, which no window and no global state knows of.

    Raises:
        RenderError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RenderError(
            "matplotlib is not installed", needs="the extra plot", hint="pip install 'graphflow-engine[plot]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _as_matrix(values: object, what: str) -> Floats:
    array = as_array(values, f"{what}: the value").astype(np.float64)
    if array.ndim > 2 or array.size == 0:
        wrong = "nothing to draw" if array.size == 0 else "too many axes"
        raise ShapeError(f"{what}: {wrong}", got=f"shape {array.shape}", needs="a matrix, a vector or a scalar")
    return np.atleast_2d(array)


def _largest(matrix: Floats) -> float:
    """The largest finite magnitude, which bounds the colours; 1 where there is nothing but zeros."""
    finite = np.abs(matrix[np.isfinite(matrix)])
    return float(finite.max(initial=0.0)) or 1.0


def _is_square_celled(matrix: Floats) -> bool:
    rows, columns = matrix.shape
    longer, shorter = max(rows, columns), min(rows, columns)
    return bool(longer <= LONGEST_SHAPE * shorter)


def _size(matrix: Floats) -> tuple[float, float]:
    """Width and height of one picture in inches, with room for its scale and its title."""
    rows, columns = matrix.shape
    ratio = rows / columns if _is_square_celled(matrix) else (SHORT_SIDE / LONG_SIDE if rows <= columns else LONG_SIDE)
    width, height = (LONG_SIDE, LONG_SIDE * ratio) if ratio <= 1 else (LONG_SIDE / ratio, LONG_SIDE)
    return max(width, SHORT_SIDE) + 1.2, max(height, SHORT_SIDE / 2) + 0.6


def _draw_matrix(ax: Axes, matrix: Floats, title: str, scale: float) -> AxesImage:
    from matplotlib import colormaps

    image = ax.imshow(
        np.ma.masked_invalid(matrix),
        cmap=colormaps[COLOURS].with_extremes(bad=NOT_FINITE),
        vmin=-scale,
        vmax=scale,
        aspect="equal" if _is_square_celled(matrix) else "auto",
        interpolation="nearest",
    )
    ax.set_title(literal_text(title), fontsize="medium")
    rows, columns = matrix.shape
    for axis, cells, across in ((ax.xaxis, columns, rows), (ax.yaxis, rows, columns)):
        if cells == 1:  # nothing to count
            axis.set_ticks([])
        else:
            axis.set_major_locator(whole_numbers(10 if cells > across else 4))
    return image


def whole_numbers(most: int) -> MaxNLocator:
    """Ticks at no more than so many whole numbers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=most, integer=True)


def _as_pairs(points: Points) -> Floats:
    """The points as [count, 2]."""
    try:
        listed = list(points)
        return np.array(listed, dtype=np.float64).reshape(len(listed), 2)
    except (TypeError, ValueError):
        raise OptionError(
            "loss_curve: no pairs of numbers", got=repr(points)[:80], needs="(time, loss) pairs"
        ) from None


def literal_text(text: str) -> str:
    """The text, in which matplotlib finds no formulas: a dollar sign stands for itself.

    Its fonts have no symbols for control characters, which are written ^B and so on.
    """
    return visible(text).replace("$", r"\$").translate(CARETS)
