"""Tests of figures of keypoints, receptive fields and matches."""

import numpy as np
import pytest
from worlds import draw, extractor

from delfjax import plots
from delfjax.plots import match_images
from delfjax.search.matching import PairMatch
from delfjax.types import Matches

PHOTO = draw(0)
POINTS = np.random.default_rng(1).uniform(0, 48, (30, 2)).astype(np.float32)
MATCHES = Matches(query=POINTS, database=POINTS + 1, distances=np.zeros(30, np.float32))


def pair(inliers):
    return PairMatch(matches=MATCHES, inliers=np.arange(30) < inliers, affine=np.eye(2, 3))


def test_keypoints_are_drawn_at_x_y():
    features = extractor()(PHOTO)
    ax = plots.keypoints(PHOTO, features, max_keypoints=20).axes[0]
    points = ax.collections[0].get_offsets()
    np.testing.assert_allclose(points, features.positions[:20, ::-1])
    assert ax.get_title(loc="left") == "the 20 best keypoints"


def test_receptive_fields_are_boxes_around_the_best_keypoints():
    features = extractor()(PHOTO)
    boxes = extractor().receptive_field_boxes(features)
    ax = plots.receptive_fields(PHOTO, features, boxes, max_keypoints=3).axes[0]
    assert len(ax.patches) == len(ax.lines) == 3
    for patch, line, position in zip(ax.patches, ax.lines, features.positions, strict=False):
        center = (patch.get_y() + patch.get_height() / 2, patch.get_x() + patch.get_width() / 2)
        np.testing.assert_allclose(center, position, atol=1e-3)
        np.testing.assert_allclose([line.get_ydata()[0], line.get_xdata()[0]], position)


@pytest.mark.parametrize(
    ("found", "title"),
    [(pair(12), "12 inliers of 30 matches"), (pair(0), "0 inliers of 30 matches")]
    + [(MATCHES, "30 matches")],
)
def test_matches_are_titled_by_their_numbers(found, title):
    figure = plots.matches(PHOTO, PHOTO, found)
    assert figure.axes[0].get_title(loc="left") == title
    assert plots.matches(PHOTO, PHOTO, found, title="").axes[0].get_title(loc="left") == ""


def test_matches_show_the_inliers_of_a_pair():
    shown = plots.matches(PHOTO, PHOTO, pair(12)).axes[0].images[0].get_array()
    sizes = PHOTO.shape[:2], PHOTO.shape[:2]
    expected = match_images.pair_image((PHOTO, PHOTO), sizes, MATCHES, np.arange(30) < 12)
    np.testing.assert_array_equal(shown, expected)
