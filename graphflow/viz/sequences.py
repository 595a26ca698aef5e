"""What a recurrent network does along a sequence: gates, probabilities, the norms of gradients, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from graphflow.errors import OptionError, ShapeError
from graphflow.values import as_array
from graphflow.viz.heatmap import COLOURS, NOT_FINITE, Floats, literal_text, new_figure, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# Gates and probabilities lie between 0, which is white, and 1; what may be negative is blue and red around 0.
SHARES: Final = "Blues"
CHOSEN: Final = "#D55E00"
WIDTH_OF_STEP, WIDEST, NARROWEST = 0.22, 14.0, 5.0
HEIGHT_OF_GATE: Final = 1.7
HEIGHT_OF_SYMBOL: Final = 0.19
MOST_SYMBOLS: Final = 40
MOST_TICKS: Final = 80
LONGEST_UPRIGHT: Final = 2


def gate_maps(gates: Mapping[str, object], *, symbols: Sequence[str] | None = None, title: str = "") -> Figure:
    """The gates of a recurrent cell along a sequence: a heat map for each, units upwards, steps to the right.

    Gates between 0 (white: shut) and 1 (blue: open) share one scale; what has negative numbers, such as a candidate
    through tanh, is blue below 0 and red above, with a scale of its own.

    Args:
        gates: for each name [steps, units], such as {"input": ..., "forget": ..., "output": ..., "candidate": ...}.
        symbols: what is read at each step; written below the last map.
        title: stands above all.

    Raises:
        ShapeError: no matrices, or different numbers of steps; BindingError: no numbers; OptionError: no gates, or not
        one symbol for each step; RenderError: matplotlib is missing.

    Example:
        >>> figure = gate_maps({"update": np.full((3, 2), 0.5)}, symbols="to ")
        >>> [ax.get_title() for ax in figure.axes[:1]]
        ['update']
    """
    _check_names("gate_maps", gates)
    matrices = {name: _matrix(values, f"gate_maps: {name!r}") for name, values in gates.items()}
    steps = {len(matrix) for matrix in matrices.values()}
    if not matrices:
        raise OptionError("gate_maps: there are no gates", needs="at least one matrix [steps, units]")
    if len(steps) > 1:
        raise ShapeError("gate_maps: different numbers of steps", got=str(sorted(steps)), needs="one number of steps")
    (count,) = steps
    _check_symbols("gate_maps", symbols, count)
    figure = new_figure(_width(count), HEIGHT_OF_GATE * len(matrices) + 0.6)
    axes = figure.subplots(len(matrices), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (name, matrix) in zip(axes, matrices.items(), strict=True):
        image = _map(ax, matrix.T)
        ax.set_title(literal_text(name), fontsize="medium")
        ax.set_ylabel("unit", fontsize="small")
        ax.yaxis.set_major_locator(whole_numbers(4))
        figure.colorbar(image, ax=ax)
    _mark_steps(axes[-1], count, symbols)
    if title:
        figure.suptitle(literal_text(title))
    return figure


def probability_map(
    probabilities: object,
    chosen: Sequence[int],
    *,
    names: Sequence[str] | None = None,
    fed: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """What a model held to be probable at each step, and which path was taken: symbols upwards, steps to the right.

    Where there are many symbols, those are shown that were chosen or most probable somewhere.

    Args:
        probabilities: [steps, symbols], each row summing to 1.
        chosen: for each step the number of the symbol that came; a ring marks it, a line joins them.
        names: of the symbols; their numbers by default.
        fed: what was read at each step; written below.
        title: stands above.

    Raises:
        ShapeError: no matrix; BindingError: no numbers; OptionError: names, fed or chosen do not fit; RenderError:
        matplotlib is missing.

    Example:
        >>> figure = probability_map([[0.75, 0.25], [0.5, 0.5]], [0, 1], names="ab")
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['a', 'b']
    """
    matrix = _matrix(probabilities, "probability_map")
    steps, count = matrix.shape
    path = [int(each) for each in chosen]
    if len(path) != steps or any(not 0 <= each < count for each in path):
        raise OptionError(
            "probability_map: chosen does not fit", got=repr(path)[:80], needs=f"{steps} numbers from 0 to {count - 1}"
        )
    _check_symbols("probability_map: fed", fed, steps)
    _check_symbols("probability_map: names", names, count)
    shown = _worth_showing(matrix, path)
    place = {symbol: row for row, symbol in enumerate(shown)}
    figure = new_figure(_width(steps), max(2.0, HEIGHT_OF_SYMBOL * len(shown) + 1.2))
    ax = figure.add_subplot()
    image = _map(ax, matrix.T[shown])
    line = [place[symbol] for symbol in path]
    ax.plot(range(steps), line, "-", color=CHOSEN, linewidth=0.8, alpha=0.6)
    ax.plot(range(steps), line, "o", color=CHOSEN, fillstyle="none", markersize=7, markeredgewidth=1.4)
    ax.set_yticks(range(len(shown)), [literal_text(names[symbol] if names else str(symbol)) for symbol in shown])
    ax.tick_params(axis="y", labelsize="x-small")
    ax.set_title(literal_text(title))
    figure.colorbar(image, ax=ax, label="probability")
    _mark_steps(ax, steps, fed)
    return figure


def norms_by_step(
    values: Mapping[str, object], *, symbols: Sequence[str] | None = None, title: str = "", y_label: str = "norm"
) -> Figure:
    """The norm of something at each step on a logarithmic scale, such as the gradient of the cost by the states.

    Args:
        values: for each curve [steps, ...] of which the norm is taken step by step; [steps] are norms already.
        symbols: what is read at each step; written below.
        title: stands above.
        y_label: what the norm is of.

    Raises:
        ShapeError: no steps; BindingError: no numbers; OptionError: no curves, or not one symbol for each step;
        RenderError: matplotlib is missing.

    Example:
        >>> figure = norms_by_step({"hidden": [[3.0, 4.0], [0.3, 0.4]]})
        >>> figure.axes[0].lines[0].get_ydata().round(2).tolist()
        [5.0, 0.5]
    """
    _check_names("norms_by_step", values)
    if not values:
        raise OptionError("norms_by_step: there are no curves", needs="at least one array [steps, ...]")
    curves = {name: _norms(value, f"norms_by_step: {name!r}") for name, value in values.items()}
    longest = max(map(len, curves.values()))
    _check_symbols("norms_by_step", symbols, longest)
    figure = new_figure(_width(longest), 3.6)
    ax = figure.add_subplot()
    for mark, (name, norms) in zip(_marks(len(curves)), curves.items(), strict=True):
        # A logarithm has no zero; a gap says so.
        ax.plot(np.where(norms > 0.0, norms, np.nan), mark, markersize=3, label=literal_text(name))
    ax.set_yscale("log")
    ax.set_title(literal_text(title))
    ax.set_ylabel(literal_text(y_label))
    ax.grid(alpha=0.3)
    if any(curves):
        ax.legend()
    _mark_steps(ax, longest, symbols)
    return figure


def _check_names(what: str, values: object) -> None:
    if not isinstance(values, Mapping):
        raise OptionError(f"{what}: no names", got=type(values).__name__, needs="arrays by name, {'name': array}")


def _matrix(values: object, what: str) -> Floats:
    array = as_array(values, f"{what}: the value").astype(np.float64)
    if array.ndim != 2 or array.size == 0:
        raise ShapeError(f"{what}: no matrix", got=f"shape {array.shape}", needs="[steps, size] with elements")
    return array


def _norms(values: object, what: str) -> Floats:
    array = as_array(values, f"{what}: the value").astype(np.float64)
    if array.ndim < 1 or array.size == 0:
        raise ShapeError(f"{what}: no steps", got=f"shape {array.shape}", needs="[steps] or [steps, ...]")
    norms: Floats = np.abs(array) if array.ndim == 1 else np.linalg.norm(array.reshape(len(array), -1), axis=1)
    return norms


def _check_symbols(what: str, symbols: Sequence[str] | None, count: int) -> None:
    if symbols is not None and len(symbols) != count:
        raise OptionError(f"{what}: not one text for each", got=f"{len(symbols)} texts", needs=f"{count} texts")


def _worth_showing(matrix: Floats, path: Sequence[int]) -> list[int]:
    """The numbers of the symbols that are drawn: all, or those that matter most, in their order."""
    if matrix.shape[1] <= MOST_SYMBOLS:
        return list(range(matrix.shape[1]))
    taken = dict.fromkeys(path)
    best = np.argsort(-np.nan_to_num(matrix).max(axis=0), kind="stable").tolist()
    others = [symbol for symbol in best if symbol not in taken][: max(0, MOST_SYMBOLS - len(taken))]
    return sorted([*taken, *others])


def _map(ax: Axes, matrix: Floats) -> AxesImage:
    """Rows upwards; shares from 0 to 1 in one colour, signed numbers in two."""
    from matplotlib import colormaps

    finite = matrix[np.isfinite(matrix)]
    is_signed = bool(finite.size and finite.min() < 0.0)
    most = float(np.abs(finite).max(initial=0.0))
    high = most if is_signed else max(1.0, most)
    return ax.imshow(
        np.ma.masked_invalid(matrix),
        cmap=colormaps[COLOURS if is_signed else SHARES].with_extremes(bad=NOT_FINITE),
        vmin=-high if is_signed else 0.0,
        vmax=high,
        aspect="auto",
        interpolation="nearest",
        origin="lower",
    )


def _width(steps: int) -> float:
    return min(WIDEST, max(NARROWEST, WIDTH_OF_STEP * steps + 1.6))


def _mark_steps(ax: Axes, steps: int, symbols: Sequence[str] | None) -> None:
    """Write what is read below each step, or count the steps."""
    if symbols is None or steps > MOST_TICKS:
        ax.xaxis.set_major_locator(whole_numbers(10))
        ax.set_xlabel("step")
    else:
        ax.set_xticks(range(steps), [literal_text(symbol) for symbol in symbols], fontsize="small")
        for text in ax.get_xticklabels():
            if len(text.get_text()) > LONGEST_UPRIGHT:
                text.set_rotation(90)
        ax.set_xlabel("what is read, step by step")


def _marks(count: int) -> list[str]:
    marks = ("o-", "s--", "^:", "D-.")
    return [marks[number % len(marks)] for number in range(count)]
