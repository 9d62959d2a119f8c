"""Synthetic putative matches, of which some follow a known map between two photos."""

import numpy as np
from skimage.measure import ransac

from delfjax.types import Matches


def matches_of(query, database):
    """Return matches between positions, row by row."""
    query, database = np.float32(query), np.float32(database)
    return Matches(query=query, database=database, distances=np.zeros(len(query), np.float32))


def synthetic_matches(mapping, count, share, *, seed=0, noise=1.0):
    """Return matches of which a share follows a map plus noise in pixels, and the mask of those."""
    random = np.random.default_rng(seed)
    query = random.uniform(0, 480, (count, 2))
    database = mapping(query) + random.normal(0, noise, (count, 2))
    wrong = np.arange(count) >= round(share * count)
    database[wrong] = random.uniform(-50, 640, (wrong.sum(), 2))
    return matches_of(query, database), ~wrong


def assert_agrees_with_scikit_image(found, matches, transform, samples):
    """Check for at least 98 % as many inliers as scikit-image finds, and 95 % of the same ones."""
    _, theirs = ransac(
        (matches.query, matches.database),
        transform,
        min_samples=samples,
        residual_threshold=20,
        max_trials=3000,
        rng=0,
    )
    assert found.num_inliers >= 0.98 * theirs.sum()
    assert (found.inliers & theirs).sum() >= 0.95 * theirs.sum()
