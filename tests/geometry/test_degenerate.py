"""RANSAC makes no NaN and no infinite number on the way, whatever the matches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from delfjax.geometry import affine
from delfjax.geometry.ransac import RansacConfig, verify
from delfjax.search.exact import ExactIndex
from delfjax.search.matching import match
from delfjax.types import Features, Matches

RANDOM = np.random.default_rng(0)
POINTS = {
    "none": np.empty((0, 2)),
    "one": np.full((1, 2), 5.0),
    "equal": np.full((9, 2), 300.0),
    "line": np.arange(20.0)[:, None] * [1.0, 2.0],
    "grid": np.stack(np.meshgrid(*2 * [np.arange(6) * 16.0]), -1).reshape(-1, 2),
    "near": 200 + 1e-5 * RANDOM.normal(size=(20, 2)),
    "far": 1e4 * RANDOM.normal(size=(20, 2)),
    "random": RANDOM.uniform(0, 500, (40, 2)),
}


@pytest.mark.parametrize("target", ["same", "random", "equal", "line", "far"])
def test_no_number_on_the_way_is_nan_or_infinite(target):
    """JAX checks every result. Compiled, it checks the results of whole programs; so both."""
    candidates = []
    for points in POINTS.values():
        mapped = points if target == "same" else POINTS[target][np.arange(len(points)) % 9]
        candidates.append(
            Matches(
                query=np.float32(points),
                database=np.float32(mapped),
                distances=np.zeros(len(points), np.float32),
            )
        )
    with jax.debug_nans(True), jax.debug_infs(True):
        for verification in verify(candidates, RansacConfig(hypotheses=512)):
            assert np.isnan(verification.affine).all() or np.isfinite(verification.affine).all()


@pytest.mark.parametrize("name", [name for name, points in POINTS.items() if len(points) >= 4])
def test_each_step_has_finite_results(name):
    points = jnp.float32(np.resize(POINTS[name], (20, 2)))  # of one shape, to compile once
    rows = np.random.default_rng(0).integers(0, len(points), (200, affine.SAMPLE_SIZE))
    with jax.debug_nans(True), jax.debug_infs(True):
        models = affine.solve(points[rows], points[rows[::-1]])
        affine.is_plausible(models, 8.0)
        affine.squared_residuals(models, points, points)
        for count in (0, 1, 2, 3, len(points)):
            mask = jnp.arange(len(points)) < count
            fitted = affine.fit(points, points, mask)
            affine.is_plausible(jnp.broadcast_to(fitted, models.shape), 8.0)


def features(seed):
    random = np.random.default_rng(seed)
    return Features(
        positions=random.uniform(0, 300, (30, 2)).astype(np.float32),
        scales=np.ones(30, np.float32),
        scores=np.ones(30, np.float32),
        descriptors=random.normal(size=(30, 8)).astype(np.float32),
        image_size=(300, 300),
    )


def test_photos_are_matched_under_the_checks_of_jax():
    one, other = features(0), features(1)
    with jax.debug_nans(True), jax.debug_infs(True):
        ExactIndex(one.descriptors).search(other.descriptors, 30)
        match(one, other, max_distance=2.0)
        assert match(one, one).num_inliers == 30
