"""Features in a box: positions, and whole receptive fields."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from delfjax.features.region import inside
from delfjax.images.reading import Box
from delfjax.types import Features

SIZE = 100, 200
WHOLE = Box(0, 0, *SIZE)


def grid(scale=1.0):
    """A feature at every tenth pixel."""
    positions = np.stack(np.meshgrid(np.arange(0, 100, 10), np.arange(0, 200, 10)), -1)
    positions = positions.reshape(-1, 2).astype(np.float32)
    ones = np.ones(len(positions), np.float32)
    return Features(
        positions=positions,
        scales=scale * ones,
        scores=ones,
        descriptors=positions,
        image_size=SIZE,
    )


def test_the_whole_photo_holds_all():
    assert len(inside(grid(), WHOLE)) == len(inside(grid(), WHOLE, field=64)) == len(grid())


@given(*[st.floats(0, 200)] * 4)
def test_positions_are_pixels_centers(top, left, bottom, right):
    box = Box(min(top, bottom), min(left, right), max(top, bottom), max(left, right))
    y, x = grid().positions.T
    center = (y + 0.5 >= box.top) & (y + 0.5 <= box.bottom)
    center &= (x + 0.5 >= box.left) & (x + 0.5 <= box.right)
    np.testing.assert_array_equal(inside(grid(), box).positions, grid().positions[center])


def test_fields_shrink_with_the_scale():
    """A field of 64 pixels at scale 1 covers 32 of the photo at scale 2."""
    box = Box(20, 20, 80, 180)
    kept = inside(grid(2.0), box, field=64).positions
    assert (kept.min(0).tolist(), kept.max(0).tolist()) == ([40, 40], [60, 160])
    assert len(inside(grid(0.5), box, field=64)) == 0


def test_of_a_field_the_part_outside_the_photo_does_not_count():
    left = Box(0, 0, 100, 60)
    kept = inside(grid(), left, field=40).positions
    assert (kept[:, 1].min(), kept[:, 1].max(), kept[:, 0].min()) == (0, 30, 0)
