"""Putative matches for the tests of verification: some follow a map of one photo to another, others do not."""

import numpy as np
from skimage.measure import ransac

from delfjax.types import Matches


def of(query, database):
    """Matches of positions, row by row."""
    query, database = np.float32(query), np.float32(database)
    return Matches(query=query, database=database, distances=np.zeros(len(query), np.float32))


def following(mapped, count, share, *, seed=0, noise=1.0):
    """Matches of which a share follows a map, but for noise in pixels; and which those are."""
    random = np.random.default_rng(seed)
    query = random.uniform(0, 480, (count, 2))
    database = mapped(query) + random.normal(0, noise, (count, 2))
    wrong = np.arange(count) >= round(share * count)
    database[wrong] = random.uniform(-50, 640, (wrong.sum(), 2))
    return of(query, database), ~wrong


def assert_agrees_with_scikit_image(found, matches, transform, samples):
    """Nearly as many inliers as scikit-image's RANSAC finds, and nearly all of those."""
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
