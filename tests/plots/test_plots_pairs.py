"""Tests of figures of matches, and of the images of a query and of matched pairs."""

import numpy as np
import pytest
from places import place
from worlds import draw

from delfjax import plots
from delfjax.plots.pairs import (
    GAP,
    PAIR_MAX_HEIGHT,
    PAIR_WIDTH,
    QUERY_SIZE,
    pair_image,
    query_image,
)
from delfjax.search.matching import PairMatch
from delfjax.search.verdict import Verdict
from delfjax.types import Box, Matches

PHOTO = draw(0)
POINTS = np.random.default_rng(1).uniform(0, 48, (30, 2)).astype(np.float32)
MATCHES = Matches(query=POINTS, database=POINTS + 1, distances=np.zeros(30, np.float32))
BOX = Box(50.0, 80.0, 300.0, 330.0)


@pytest.mark.parametrize("size", [(48, 64), (64, 20), (900, 1300)])
def test_query_fills_its_space_and_is_dimmed_outside_of_the_box(size):
    photo, features = np.full((*size, 3), 200, np.uint8), place(1)  # features of 480 x 640 pixels
    image = query_image(photo, features)
    assert image.shape[0] == QUERY_SIZE[0] or image.shape[1] == QUERY_SIZE[1]
    without_dots = query_image(photo, features[:0], BOX)
    scale = np.array(without_dots.shape[:2]) / features.image_size
    y, x = np.nonzero((without_dots == 200).all(-1))
    corners = np.array([y.min(), x.min(), y.max() + 1, x.max() + 1])
    np.testing.assert_allclose(corners, np.array(BOX) * np.tile(scale, 2), atol=1)
    assert (without_dots[0, 0] < 120).all()


def test_only_features_in_the_box_have_dots():
    photo = np.full((560, 746, 3), 200, np.uint8)
    features = place(1)
    inside = np.isin(features.positions, features.inside(BOX).positions).all(1)
    image = query_image(photo, features[~inside], BOX)
    np.testing.assert_array_equal(image, query_image(photo, features[:0], BOX))
    assert not np.array_equal(image, query_image(photo, features, BOX))


def one_match(query, database):
    points = (np.array([point], np.float32) for point in (query, database))
    return Matches(query=next(points), database=next(points), distances=np.zeros(1, np.float32))


@pytest.mark.parametrize("scale", [1, 2])
def test_line_connects_the_positions_of_a_match_at_any_size_of_the_photos(scale):
    sizes = (300, 400), (300, 200)
    photos = tuple(np.zeros((h * scale, w * scale, 3), np.uint8) for h, w in sizes)
    image = pair_image(photos, sizes, one_match((30, 50), (250, 150)), np.array([True]))
    factor = image.shape[0] / 300
    assert image.shape[1] == pytest.approx(600 * factor + GAP, abs=1)
    bright = (image[:, :, 0] > 200) & (image[:, :, 2] < 100)
    y, x = np.nonzero(bright)
    start, end = np.array([30.5, 50.5]) * factor, np.array([250.5, 150.5 + 400]) * factor
    np.testing.assert_allclose((y.min(), x.min()), start - 0.5, atol=6)
    np.testing.assert_allclose((y.max(), x.max()), end - 0.5 + [0, GAP], atol=6)


def test_number_of_bright_lines_is_limited():
    sizes, black = ((300, 400), (300, 400)), np.zeros((300, 400, 3), np.uint8)
    points = np.column_stack([np.linspace(20, 280, 30), np.full(30, 50)]).astype(np.float32)
    matches = Matches(query=points, database=points, distances=np.zeros(30, np.float32))
    images = [
        pair_image((black, black), sizes, matches, np.ones(30, bool), max_lines=limit)
        for limit in (30, 3)
    ]
    many, few = (((each[..., 0] > 200) & (each[..., 2] < 100)).sum() for each in images)
    assert 0 < 5 * few < many


def test_outliers_are_fainter_and_the_height_of_a_pair_is_limited():
    sizes, black = ((400, 100), (400, 100)), np.zeros((400, 100, 3), np.uint8)
    inlier, outlier = (
        pair_image((black, black), sizes, one_match((30, 50), (250, 50)), inliers)
        for inliers in (np.array([True]), None)
    )
    assert inlier.shape[0] == PAIR_MAX_HEIGHT
    assert inlier.shape[1] < PAIR_WIDTH
    left = slice(0, inlier.shape[1] // 2 - GAP)
    assert 60 < outlier[:, left].max() < inlier[:, left].max()


def pair(inliers):
    verdict = Verdict(label="unsure", probability=0.5)
    return PairMatch(
        matches=MATCHES, inliers=np.arange(30) < inliers, affine=np.eye(2, 3), verdict=verdict
    )


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
    expected = pair_image((PHOTO, PHOTO), sizes, MATCHES, np.arange(30) < 12)
    np.testing.assert_array_equal(shown, expected)
