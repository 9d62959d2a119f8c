"""Figures of attention: what is drawn, in numbers."""

import numpy as np
from worlds import draw, extractor

from delfjax.plots import attention


def test_a_grid_of_heat_has_a_row_a_photo_and_a_column_a_map():
    photo = draw(0)
    maps = {"norm": np.ones(photo.shape[:2]), "attention": np.eye(*photo.shape[:2])}
    figure = attention.heat_grid([(photo, maps)] * 2)
    shown = [ax for ax in figure.axes if ax.images]
    assert [len(ax.images) for ax in shown[:6]] == [1, 2, 2] * 2
    assert [ax.get_title(loc="left") for ax in shown[:6]][:3] == ["photo", "norm", "attention"]


def test_hits_show_means_and_leave_out_what_is_missing():
    shares = {"norm": np.array([[0.2, 0.4], [0.4, np.nan]])}
    ax = attention.hits([10, 100], shares, chance=0.25).axes[0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.3, 0.4])
    assert ax.lines[1].get_ydata()[0] == 0.25


def test_leaning_shows_both_sides_of_every_layer():
    lean = {"stem": np.array([0.5, 0.6]), "conv2.0": np.array([0, -0.1])}
    ax = attention.leaning(lean).axes[0]
    down, right = ax.lines[1:]
    assert [*down.get_ydata(), *right.get_ydata()] == [0.5, 0, 0.6, -0.1]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["stem", "conv2.0"]


def test_histograms_share_their_bins():
    random = np.random.default_rng(0)
    scores = {"a": (random.normal(3, 1, 500), random.normal(0, 1, 500))}
    ax = attention.score_histograms(scores).axes[0]
    assert len(ax.patches) == 2 * 49
    edges = [patch.get_x() for patch in ax.patches]
    assert edges[:49] == edges[49:]


def test_receptive_fields_are_boxes_around_the_best_keypoints():
    photo = draw(0)
    features = extractor()(photo)
    boxes = extractor().receptive_field_boxes(features)
    ax = attention.receptive_fields(photo, features, boxes, most=3).axes[0]
    assert len(ax.patches) == len(ax.lines) == 3
    for patch, line, place in zip(ax.patches, ax.lines, features.positions, strict=False):
        center = (patch.get_y() + patch.get_height() / 2, patch.get_x() + patch.get_width() / 2)
        np.testing.assert_allclose(center, place, atol=1e-3)
        np.testing.assert_allclose([line.get_ydata()[0], line.get_xdata()[0]], place)
