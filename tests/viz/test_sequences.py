"""Gates, probabilities and norms along a sequence: what is drawn where, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf

GATES = {
    "input": np.linspace(0.0, 1.0, 12).reshape(4, 3),
    "candidate": np.linspace(-2.0, 1.0, 20).reshape(4, 5),
}


def images(figure):
    return [image for ax in figure.axes for image in ax.get_images()]


def save(figure, folder):
    """Drawn for real; warnings are errors."""
    return gf.viz.save_figure(figure, folder / "figure.png").stat().st_size


def test_each_gate_is_a_map_of_units_by_steps(tmp_path):
    figure = gf.viz.gate_maps(GATES, symbols=["START", "t", "$", "\x02"], title="a $title\x03")
    maps = [image for image in images(figure) if image.axes.get_title()]
    assert [image.axes.get_title() for image in maps] == ["input", "candidate"]
    for image, matrix in zip(maps, GATES.values(), strict=True):
        np.testing.assert_array_equal(image.get_array(), matrix.T)
        assert image.origin == "lower"
    assert [maps[0].get_clim(), maps[1].get_clim()] == [(0.0, 1.0), (-2.0, 2.0)]
    assert maps[0].get_cmap().name == "Blues"
    assert maps[1].get_cmap().name == "RdBu_r"
    labels = [text.get_text() for text in maps[1].axes.get_xticklabels()]
    assert labels == ["START", "t", r"\$", "^B"]
    assert save(figure, tmp_path) > 5000


def test_what_is_not_finite_is_grey(tmp_path):
    values = np.array([[0.5, np.nan], [np.inf, 0.25]])
    figure = gf.viz.gate_maps({"z": values})
    (image,) = (image for image in images(figure) if image.axes.get_title())
    assert image.get_array().mask.T.tolist() == [[False, True], [True, False]]
    assert save(figure, tmp_path) > 2000
    assert save(gf.viz.gate_maps({"z": np.full((2, 2), np.nan)}), tmp_path) > 2000


def test_the_path_is_marked_on_the_probabilities(tmp_path):
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]])
    figure = gf.viz.probability_map(p, [0, 2, 1], names="abc", fed="xyz", title="p")
    ax = figure.axes[0]
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), p.T)
    assert ax.get_images()[0].get_clim() == (0.0, 1.0)
    line, rings = ax.lines
    assert list(line.get_ydata()) == list(rings.get_ydata()) == [0, 2, 1]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["x", "y", "z"]
    assert save(figure, tmp_path) > 5000


def test_of_many_symbols_those_that_matter_are_drawn(tmp_path):
    generator = np.random.default_rng(1)
    p = generator.dirichlet(np.full(200, 0.05), size=10)
    chosen = [5, 199, *range(100, 108)]
    figure = gf.viz.probability_map(p, chosen)
    ax = figure.axes[0]
    shown = [int(text.get_text()) for text in ax.get_yticklabels()]
    assert len(shown) == 40
    assert shown == sorted(shown)
    assert set(chosen) <= set(shown)
    assert set(p.argmax(axis=1)) <= set(shown)
    assert [shown[int(row)] for row in ax.lines[0].get_ydata()] == chosen
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), p.T[shown])
    assert save(figure, tmp_path) > 5000


def test_norms_are_taken_step_by_step(tmp_path):
    hidden = np.array([[3.0, 4.0], [0.0, 0.0], [5.0, 12.0]])
    figure = gf.viz.norms_by_step({"hidden": hidden, "given": [1.0, 2.0]}, y_label="norm of the gradient")
    ax = figure.axes[0]
    first, second = (line.get_ydata() for line in ax.lines)
    np.testing.assert_array_equal(first, [5.0, np.nan, 13.0])  # a logarithm has no zero
    assert list(second) == [1.0, 2.0]
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["hidden", "given"]
    assert save(figure, tmp_path) > 5000
    deep = np.ones((2, 3, 4))
    assert gf.viz.norms_by_step({"": deep}).axes[0].lines[0].get_ydata().tolist() == [np.sqrt(12), np.sqrt(12)]


def test_long_sequences_are_counted_and_stay_narrow():
    figure = gf.viz.gate_maps({"z": np.zeros((500, 2))}, symbols=["a"] * 500)
    assert figure.get_figwidth() <= 14
    assert figure.axes[0].get_xlabel() == "step"


@pytest.mark.parametrize(
    ("draw", "error", "text"),
    [
        (lambda: gf.viz.gate_maps({}), gf.OptionError, "there are no gates"),
        (lambda: gf.viz.gate_maps([[1.0]]), gf.OptionError, "gate_maps: no names"),
        (lambda: gf.viz.norms_by_step([[1.0]]), gf.OptionError, "norms_by_step: no names"),
        (lambda: gf.viz.gate_maps({"z": [1.0]}), gf.ShapeError, "gate_maps: 'z': no matrix"),
        (lambda: gf.viz.gate_maps({"z": np.zeros((0, 3))}), gf.ShapeError, "no matrix"),
        (lambda: gf.viz.gate_maps({"z": [[1.0]], "r": [[1.0], [2.0]]}), gf.ShapeError, "different numbers of steps"),
        (lambda: gf.viz.gate_maps({"z": [[1.0]]}, symbols="ab"), gf.OptionError, "not one text for each"),
        (lambda: gf.viz.gate_maps({"z": "abc"}), gf.BindingError, "no.* array of numbers"),
        (lambda: gf.viz.probability_map([[1.0]], [1]), gf.OptionError, "chosen does not fit"),
        (lambda: gf.viz.probability_map([[1.0]], []), gf.OptionError, "chosen does not fit"),
        (lambda: gf.viz.probability_map([[1.0]], [0], names="ab"), gf.OptionError, "names: not one text"),
        (lambda: gf.viz.probability_map([[1.0]], [0], fed="ab"), gf.OptionError, "fed: not one text"),
        (lambda: gf.viz.norms_by_step({}), gf.OptionError, "there are no curves"),
        (lambda: gf.viz.norms_by_step({"a": 3.0}), gf.ShapeError, "no steps"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, error, text):
    with pytest.raises(error, match=text):
        draw()
