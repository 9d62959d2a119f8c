"""Tests of figures of keypoints, receptive fields and score maps."""

import numpy as np
from worlds import draw, extractor

from delfjax import plots

PHOTO = draw(0)


def test_keypoints_are_drawn_at_x_y():
    features = extractor()(PHOTO)
    ax = plots.keypoints(PHOTO, features, max_keypoints=20).axes[0]
    points = ax.collections[0].get_offsets()
    np.testing.assert_allclose(points, features.positions[:20, ::-1])
    assert ax.get_title(loc="left") == "the 20 best keypoints"


def test_receptive_fields_are_boxes_around_the_best_keypoints():
    features = extractor()(PHOTO)
    boxes = extractor().receptive_field_boxes(features)
    ax = plots.receptive_fields(PHOTO, features, boxes, title="best").axes[0]
    assert len(ax.patches) == len(ax.lines) == 4
    for patch, line, position in zip(ax.patches, ax.lines, features.positions, strict=False):
        center = (patch.get_y() + patch.get_height() / 2, patch.get_x() + patch.get_width() / 2)
        np.testing.assert_allclose(center, position, atol=1e-3)
        np.testing.assert_allclose([line.get_ydata()[0], line.get_xdata()[0]], position)


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
