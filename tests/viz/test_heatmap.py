"""Heat maps and curves: what they show, their size, and that they leave nothing behind."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import graphflow as gf
from graphflow.viz import heat_map, heat_map_triple, loss_curve, save_figure
from tests.architecture.source import ROOT
from tests.viz.graphs import names_in

WEIGHTS = np.random.default_rng(1).normal(size=(6, 4))


def images(figure: Figure) -> list:
    return [image for ax in figure.axes for image in ax.get_images()]


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (100, 20), (7,), (1,), (), (1, 7), (7, 1), (1000,), (2000, 3)])
def test_any_matrix_fits_a_page(shape, tmp_path):
    values = np.random.default_rng(2).normal(size=shape)
    figure = heat_map(values, title="w")
    (image,) = images(figure)
    assert np.array_equal(image.get_array(), np.atleast_2d(values))
    width, height = figure.get_size_inches()
    assert 0.8 <= min(width, height) <= max(width, height) <= 8
    assert save_figure(figure, tmp_path / "w.png").stat().st_size > 1000


def test_colours_are_symmetric_around_zero():
    (image,) = images(heat_map(np.array([[-0.5, 3.0]])))
    assert image.get_clim() == (-3.0, 3.0)
    (zeros,) = images(heat_map(np.zeros((2, 2))))
    assert zeros.get_clim() == (-1.0, 1.0)


def test_what_is_not_finite_is_grey_and_leaves_the_scale_alone():
    (image,) = images(heat_map([[np.nan, np.inf, -2.0, 1.0]]))
    assert image.get_clim() == (-2.0, 2.0)
    colours = image.to_rgba(image.get_array())[0]
    assert np.array_equal(colours[0], colours[1])
    assert np.ptp(colours[0][:3]) == 0
    (image,) = images(heat_map([np.nan]))
    assert image.get_clim() == (-1.0, 1.0)


def test_before_and_after_share_a_scale():
    before, after = WEIGHTS, WEIGHTS * 1.5
    first, second, third = images(heat_map_triple(before, after, title="w"))
    assert first.get_clim() == second.get_clim() == (-np.abs(after).max(), np.abs(after).max())
    assert np.allclose(third.get_array(), after - before)
    assert third.get_clim() == pytest.approx((-np.abs(after - before).max(), np.abs(after - before).max()))


def test_the_values_are_left_alone():
    values = WEIGHTS.copy()
    heat_map(values)
    heat_map_triple(values, values)
    assert np.array_equal(values, WEIGHTS)


@pytest.mark.parametrize("shape", [(20, 100), (100, 20), (50,)])
def test_three_heat_maps_fit_a_page(shape, tmp_path):
    figure = heat_map_triple(np.ones(shape), np.zeros(shape))
    assert max(figure.get_size_inches()) <= 24
    assert save_figure(figure, tmp_path / "w.svg").read_bytes().startswith(b"<?xml")


def test_infinite_weights_are_drawn(tmp_path):
    save_figure(heat_map_triple([np.inf, 1.0], [np.inf, 2.0]), tmp_path / "w.png")


def test_a_heat_map_in_a_figure_of_the_users():
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert heat_map(WEIGHTS, ax=axes[1], title="w") is figure
    assert axes[1].get_title() == "w"
    assert not axes[0].get_images()


def test_a_loss_curve_shows_its_points():
    figure = loss_curve(
        {"train": [(1, 3.0), (2, 2.5)], "held out": [(1, 3.5), (2, 3.25)]}, title="loss", y_label="nats"
    )
    (ax,) = figure.axes
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[1, 3.0], [2, 2.5]], [[1, 3.5], [2, 3.25]]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "held out"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("epoch", "nats", "loss")
    assert len({line.get_linestyle() for line in ax.lines}) == 2


def test_a_single_curve_needs_no_legend():
    (ax,) = loss_curve(iter([(0.5, 3.0), (1.5, np.nan)])).axes
    assert ax.get_legend() is None
    assert loss_curve([]).axes[0].lines[0].get_xydata().size == 0


def test_titles_hold_no_formulas(tmp_path):
    figure = heat_map_triple(WEIGHTS, WEIGHTS, title="$\\frac{1}{0}$ \\$")
    assert figure.get_suptitle() == r"\$\frac{1}{0}\$ \\$"
    save_figure(figure, tmp_path / "w.svg")
    save_figure(loss_curve({"$a$": [(1, 1)]}, title="$", x_label="$$", y_label="$x"), tmp_path / "loss.svg")


@pytest.mark.parametrize("values", [np.zeros((2, 2, 2)), np.zeros((0, 3)), []])
def test_shapes_that_are_no_matrix_are_refused(values):
    with pytest.raises(gf.ShapeError, match="needs   a matrix, a vector or a scalar"):
        heat_map(values)


@pytest.mark.parametrize("values", ["text", [[1], [1, 2]], None, [1j]])
def test_what_is_no_number_is_refused(values):
    with pytest.raises(gf.BindingError):
        heat_map(values)


def test_two_shapes_are_refused():
    with pytest.raises(gf.ShapeError, match=r"\(2, 3\) and \(3, 2\)"):
        heat_map_triple(np.zeros((2, 3)), np.zeros((3, 2)))


@pytest.mark.parametrize("points", [[1, 2, 3], [(1, 2, 3)], [(1, "a")], 3, {"train": [(1,)]}])
def test_what_are_no_points_is_refused(points):
    with pytest.raises(gf.OptionError, match="pairs"):
        loss_curve(points)


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_figures_are_written_whole(form, tmp_path):
    path = tmp_path / f"w.{form}"
    assert save_figure(heat_map(WEIGHTS), path) == path
    assert names_in(tmp_path) == [path.name]
    with pytest.raises(gf.RenderError, match="no folder"):
        save_figure(heat_map(WEIGHTS), tmp_path / "missing" / "w.png")
    with pytest.raises(gf.RenderError, match=r"\.svg, \.png, \.pdf"):
        save_figure(heat_map(WEIGHTS), tmp_path / "w.jpg")


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
    before = dict(mpl.rcParams)
    save_figure(heat_map_triple(WEIGHTS, WEIGHTS), tmp_path / "w.png")
    save_figure(loss_curve([(1, 2)]), tmp_path / "loss.png")
    assert dict(mpl.rcParams) == before


def test_no_window_is_opened():
    program = (
        "from graphflow.viz import heat_map; import sys; heat_map([1.0]); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "draw", [lambda: heat_map(WEIGHTS), lambda: heat_map_triple(WEIGHTS, WEIGHTS), lambda: loss_curve([])]
)
def test_without_matplotlib_the_message_names_the_extra(monkeypatch, draw):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(gf.RenderError, match=r"matplotlib is not installed(.|\n)*graphflow-engine\[plot\]"):
        draw()
