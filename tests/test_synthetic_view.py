"""Check the ground truth of the synthetic views of the quickstart."""

import numpy as np
from sklearn.datasets import load_sample_image

from notebooks.synthetic_view import synthetic_view


def test_affine_map_leads_to_the_same_pixels():
    """In this photo the color of each pixel encodes its position."""
    y, x = np.mgrid[:256, :256]
    ramp = np.stack([y, x, np.zeros_like(x)], axis=-1).astype(np.uint8)
    view = synthetic_view(ramp, size=(200, 220))
    points = np.random.default_rng(0).uniform(60, 160, (200, 2))
    seen = np.rint(points @ view.affine[:, :2].T + view.affine[:, 2]).astype(int)
    inside = ((seen >= 3) & (seen < np.array([197, 217]))).all(1)
    assert inside.sum() > 100
    row, column = seen[inside].T
    colors = view.photo[row, column, :2].astype(float)
    expected = 255 * (points[inside] / 255) ** 1.25 * [1.0, 0.95]
    assert np.median(np.abs(colors - expected)) < 4  # the standard deviation of the noise


def test_same_seed_gives_the_same_view():
    photo = load_sample_image("china.jpg")
    first, again, other = (synthetic_view(photo, seed=seed).photo for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
