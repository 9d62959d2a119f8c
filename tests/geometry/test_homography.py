"""Check homographies on synthetic matches, alone and in RANSAC, and their parity with scikit-image."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from putative import assert_agrees_with_scikit_image, matches_of, synthetic_matches
from skimage.transform import ProjectiveTransform

from delfjax.geometry import homography
from delfjax.geometry.ransac import RansacConfig, verify

# On (y, x, 1). The horizon is far outside of a photo of 480 pixels.
TRUE = np.array([[0.9, -0.2, 30.0], [0.15, 1.1, -10.0], [4e-4, -5e-4, 1.0]])
CONFIG = RansacConfig(model="homography")
CORNERS = jnp.array([[0.0, 0.0], [0.0, 480.0], [480.0, 0.0], [480.0, 480.0]])


def apply(points, model=TRUE):
    """Map points by a homography."""
    mapped = np.c_[points, np.ones(len(points))] @ np.transpose(model)
    return mapped[:, :2] / mapped[:, 2:]


def matches_with(count, share, **options):
    """Return matches of which a share follows the homography, and the mask of those."""
    return synthetic_matches(apply, count, share, **options)


def error(model, other=TRUE):
    """Return the largest distance between two homographies over the photo, in pixels."""
    grid = np.stack(np.meshgrid(*[np.linspace(0, 480, 9)] * 2), -1).reshape(-1, 2)
    return np.linalg.norm(apply(grid, model) - apply(grid, other), axis=1).max()


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2])
def test_ransac_finds_the_homography_and_its_inliers(share):
    matches, true = matches_with(1000, share)
    (found,) = verify([matches], CONFIG)
    assert error(found.homography) < 3
    assert found.inliers[true].mean() > 0.98
    assert found.inliers[~true].sum() < 20


def test_homography_without_noise_is_exact():
    matches, _ = matches_with(200, 1.0, noise=0.0)
    (found,) = verify([matches], CONFIG)
    assert found.num_inliers == 200
    assert error(found.homography) < 0.02


def test_homography_has_more_inliers_than_the_affine_map():
    matches, _ = matches_with(500, 1.0)
    (found,), (affine,) = verify([matches], CONFIG), verify([matches])
    assert found.num_inliers == 500 > affine.num_inliers + 50
    assert affine.homography is None


def test_affine_map_approximates_the_homography_at_the_centroid():
    matches, _ = matches_with(300, 0.5)
    (found,) = verify([matches], CONFIG)
    center = matches.query[found.inliers].mean(0)
    near = center + np.array([[0, 0], [1, 0], [0, 1], [-1, 1]])
    there = near @ found.affine[:, :2].T + found.affine[:, 2]
    np.testing.assert_allclose(there, apply(near, found.homography), atol=0.02)


def test_homography_does_not_depend_on_other_candidates():
    """The result is equal to the last bit; with longer arrays, the inliers are equal."""
    candidates = [matches_with(count, 0.5, seed=count)[0] for count in (40, 60, 20, 7)]
    longer = matches_with(150, 0.3)[0]
    together = verify(candidates, CONFIG)
    among = verify([*candidates, longer], CONFIG)
    for matches, found, other in zip(candidates, together, among[:-1], strict=True):
        (alone,) = verify([matches], CONFIG)
        np.testing.assert_array_equal(alone.homography, found.homography)
        np.testing.assert_array_equal(alone.inliers, found.inliers)
        np.testing.assert_array_equal(alone.inliers, other.inliers)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_fewer_than_four_matches_give_no_model(count):
    (found,) = verify([matches_with(count, 1.0)[0]], CONFIG)
    assert found.num_inliers == 0
    assert np.isnan(found.homography).all()
    assert np.isnan(found.affine).all()


def test_four_matches_are_enough():
    corners = np.array([[0, 0], [0, 100], [100, 0], [100, 110]])
    (found,) = verify([matches_of(corners, apply(corners))], CONFIG)
    assert found.num_inliers == 4
    assert error(found.homography) < 0.1


def test_collinear_matches_give_no_model():
    line = np.stack([np.arange(50.0), 2 * np.arange(50.0)], axis=1)
    (found,) = verify([matches_of(line, line)], CONFIG)
    assert found.num_inliers == 0


def test_mirrored_photo_has_few_inliers():
    points = np.random.default_rng(0).uniform(0, 600, (300, 2))
    (found,) = verify([matches_of(points, points * [1, -1] + [0, 600])], CONFIG)
    assert found.num_inliers < 60


def test_collapse_to_one_point_has_few_inliers():
    random = np.random.default_rng(0)
    target = 300 + random.normal(0, 3, (500, 2))
    (found,) = verify([matches_of(random.uniform(0, 600, (500, 2)), target)], CONFIG)
    assert found.num_inliers < 150


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_ransac_agrees_with_scikit_image(share):
    matches, _ = matches_with(1000, share)
    (ours,) = verify([matches], CONFIG)
    assert_agrees_with_scikit_image(ours, matches, ProjectiveTransform, 4)


def test_fit_agrees_with_scikit_image():
    matches, true = matches_with(200, 0.7, noise=2.0)
    points = jnp.array(matches.query), jnp.array(matches.database)
    model = jnp.eye(3)
    for _ in range(3):
        model = homography.fit(model, *points, jnp.array(true))
    theirs = ProjectiveTransform.from_estimate(matches.query[true], matches.database[true])
    assert error(np.asarray(model), theirs.params) < 1


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_solved_map_is_exact_on_its_points(seed):
    """Solve from the four corners of a photo, each moved at random."""
    random = np.random.default_rng(seed)
    corners = np.array([[0, 0], [0, 400], [400, 0], [400, 400]])
    source, target = corners + random.uniform(-90, 90, (2, 16, 4, 2)).astype(np.float32)
    models = np.asarray(homography.solve(jnp.float32(source), jnp.float32(target)))
    for points, aims, model in zip(source, target, models, strict=True):
        np.testing.assert_allclose(apply(points, model), aims, atol=0.05)
        *_, w = homography.project(jnp.array(model), jnp.array(points.mean(0)[None], jnp.float32))
        np.testing.assert_allclose(w, 1, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "plausible"),
    [
        (np.eye(3), True),
        (TRUE, True),
        (np.array([[1, 0, 0], [0, 1, 0], [-3e-3, 0, 1]]), False),  # the horizon crosses the photo
        (np.array([[1, 0, 0], [0, 1, 0], [9e-3, 0, 1]]), False),  # shrinks the far end too much
        (np.diag([1.0, -1.0, 1.0]), False),
        (-0.5 * np.eye(3), False),
        (np.full((3, 3), np.nan), False),
    ],
)
def test_plausible_homographies(model, plausible):
    models = jnp.array(model[None], jnp.float32)
    assert bool(homography.is_plausible(models, CORNERS, 8.0)[0]) is plausible


def test_residuals_beyond_the_horizon_are_very_large_but_finite():
    model = jnp.array([[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]])
    points = jnp.array([[50.0, 0], [100.0, 0], [150.0, 0]])
    off = homography.squared_residuals(model, points, points)
    assert off[0] < 1e6
    assert (off[1:] == np.float32(homography.FAR**2)).all()
