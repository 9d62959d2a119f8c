"""Check the records that the pipeline stages exchange."""

import numpy as np

from delfjax.types import Box, Features, Matches

POSITIONS = np.array([[0.0, 0.0], [3.0, 3.0], [9.0, 9.0]])


def features():
    return Features(
        positions=POSITIONS,
        scales=np.array([1.0, 0.5, 2.0]),
        scores=np.array([3.0, 2.0, 1.0]),
        descriptors=np.eye(3),
        image_size=(10, 10),
    )


def test_features_are_selected_by_slice_rows_or_mask():
    for rows in (slice(1, None), np.array([1, 2]), np.array([False, True, True])):
        selected = features()[rows]
        assert len(selected) == 2
        for name in ("positions", "scales", "scores", "descriptors"):
            expected = getattr(features(), name)[1:]
            np.testing.assert_array_equal(getattr(selected, name), expected)
        assert selected.image_size == (10, 10)


def test_matches_are_selected_by_slice_rows_or_mask():
    matches = Matches(query=POSITIONS, database=2 * POSITIONS, distances=np.arange(3.0))
    scaled = Matches(**vars(matches) | {"scales": POSITIONS})
    for rows in (slice(1, None), np.array([1, 2]), np.array([False, True, True])):
        assert len(matches[rows]) == 2
        assert matches[rows].scales is None
        for name in ("query", "database", "distances", "scales"):
            expected = getattr(scaled, name)[1:]
            np.testing.assert_array_equal(getattr(scaled[rows], name), expected)


def test_box_of_the_whole_photo_contains_all_features():
    assert len(features().inside(Box(0, 0, 10, 10))) == 3


def test_box_edges_lie_between_pixels():
    assert len(features().inside(Box(0.5, 0.5, 3.5, 3.5))) == 2
    assert len(features().inside(Box(0.6, 0.5, 3.5, 3.5))) == 1
    assert len(features().inside(Box(0.5, 0.5, 3.4, 3.5))) == 1
