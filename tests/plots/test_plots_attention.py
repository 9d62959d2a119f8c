"""Tests of figures of attention."""

import numpy as np
from worlds import draw

from delfjax import plots


def test_heatmap_grid_has_a_row_per_photo_and_a_column_per_map():
    photo = draw(0)
    maps = {"norm": np.ones(photo.shape[:2]), "attention": np.eye(*photo.shape[:2])}
    figure = plots.heatmap_grid([(photo, maps)] * 2)
    shown = [ax for ax in figure.axes if ax.images][:6]
    assert [len(ax.images) for ax in shown] == [1, 2, 2] * 2
    titles = [ax.get_title(loc="left") for ax in shown]
    assert titles == ["photo", "norm", "attention", "", "", ""]


def test_heatmap_colors_span_percentiles():
    photo = draw(0)
    scores = np.arange(48.0 * 64).reshape(48, 64)
    heat = plots.heatmaps(photo, {"norm": scores}).axes[1].images[1]
    np.testing.assert_allclose(heat.get_clim(), np.percentile(scores, (1, 99.5)))


def test_landmark_hits_are_means_without_missing_values():
    shares = {"norm": np.array([[0.2, 0.4], [0.4, np.nan]])}
    ax = plots.landmark_hits([10, 100], shares, chance=0.25).axes[0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.3, 0.4])
    assert ax.lines[1].get_ydata()[0] == 0.25
