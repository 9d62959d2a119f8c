"""Check RANSAC with affine maps on synthetic matches, and its parity with scikit-image."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import ransac
from skimage.transform import AffineTransform

from delfjax.geometry import affine
from delfjax.geometry.ransac import RansacConfig, draw_samples, msac_score, verify
from delfjax.types import Matches

TRUE = np.array([[0.9, -0.3, 20.0], [0.25, 1.1, -10.0]], np.float32)


def apply(points):
    """Map points by the true affine map."""
    return points @ TRUE[:, :2].T + TRUE[:, 2]


def matches_of(query, database):
    """Return matches between positions, row by row."""
    query, database = np.float32(query), np.float32(database)
    return Matches(query=query, database=database, distances=np.zeros(len(query), np.float32))


def matches_with(count, share, *, seed=0, noise=1.0):
    """Return matches of which a share follows the map plus noise in pixels, and the mask of those."""
    random = np.random.default_rng(seed)
    query = random.uniform(0, 480, (count, 2))
    database = apply(query) + random.normal(0, noise, (count, 2))
    wrong = np.arange(count) >= round(share * count)
    database[wrong] = random.uniform(-50, 640, (wrong.sum(), 2))
    return matches_of(query, database), ~wrong


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2, 0.1])
def test_ransac_finds_the_map_and_its_inliers(share):
    matches, true = matches_with(1000, share)
    (found,) = verify([matches])
    np.testing.assert_allclose(found.affine[:, :2], TRUE[:, :2], atol=0.03)
    assert found.inliers[true].mean() > 0.98
    assert found.inliers[~true].sum() < 20


def test_map_without_noise_is_exact():
    matches, _ = matches_with(200, 1.0, noise=0.0)
    (found,) = verify([matches])
    assert found.num_inliers == 200
    np.testing.assert_allclose(found.affine, TRUE, atol=2e-3)


def test_result_depends_only_on_the_seed():
    candidates = [matches_with(60, 0.03, seed=seed)[0] for seed in range(8)]
    first, again, other = (
        [each.inliers for each in verify(candidates, RansacConfig(seed=seed))] for seed in (0, 0, 1)
    )
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_result_does_not_depend_on_other_candidates():
    counts = [40, 150, 60, 20] * 5
    candidates = [matches_with(count, 0.3, seed=seed)[0] for seed, count in enumerate(counts)]
    together = verify(candidates)
    for matches, found in zip(candidates, together, strict=True):
        (alone,) = verify([matches])
        assert (alone.inliers == found.inliers).all()


def test_more_matches_than_the_largest_bucket():
    matches, true = matches_with(1100, 0.5)
    (found,) = verify([matches])
    assert found.inliers.shape == (1100,)
    assert found.inliers[true].mean() > 0.98


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_matches_give_no_model(count):
    matches, _ = matches_with(count, 1.0)
    (found,) = verify([matches])
    assert found.num_inliers == 0
    assert np.isnan(found.affine).all()
    assert found.inliers.shape == (count,)


def test_three_matches_are_enough():
    (found,) = verify([matches_of([[0, 0], [0, 100], [100, 0]], [[10, 10], [10, 110], [110, 10]])])
    assert found.num_inliers == 3


def test_collinear_matches_give_no_model():
    line = np.stack([np.arange(50.0), 2 * np.arange(50.0)], axis=1)
    (found,) = verify([matches_of(line, line)])
    assert found.num_inliers == 0


def test_collapse_to_one_point_has_few_inliers():
    random = np.random.default_rng(0)
    target = 300 + random.normal(0, 3, (500, 2))
    (found,) = verify([matches_of(random.uniform(0, 600, (500, 2)), target)])
    assert found.num_inliers < 100


def test_mirrored_photo_has_few_inliers():
    points = np.random.default_rng(0).uniform(0, 600, (300, 2))
    (found,) = verify([matches_of(points, points * [1, -1] + [0, 600])])
    assert found.num_inliers < 60


def test_ransac_agrees_with_scikit_image():
    """At least 98 % as many inliers as scikit-image finds, and 95 % of the same ones."""
    matches, _ = matches_with(1000, 0.2)
    (ours,) = verify([matches])
    settings = {"residual_threshold": 20, "max_trials": 3000, "rng": 0}
    points = matches.query, matches.database
    _, theirs = ransac(points, AffineTransform, min_samples=3, **settings)
    assert ours.num_inliers >= 0.98 * theirs.sum()
    assert (ours.inliers & theirs).sum() >= 0.95 * theirs.sum()


@given(seed=st.integers(0, 10_000), count=st.sampled_from([4, 5, 10, 1000]))
@settings(max_examples=20, deadline=None)
def test_samples_are_distinct_and_in_range(seed, count):
    samples = np.asarray(draw_samples(jax.random.key(seed), 64, jnp.array(count)))
    assert samples.min() >= 0
    assert samples.max() < count
    assert all(len(set(row)) == 3 for row in samples.tolist())


def test_samples_are_uniform():
    samples = np.asarray(draw_samples(jax.random.key(0), 40_000, jnp.array(6)))
    sets = np.sort(samples, axis=1) @ [36, 6, 1]
    _, counts = np.unique(sets, return_counts=True)
    assert len(counts) == 20  # 6 choose 3
    assert counts.std() < 0.05 * counts.mean()


def test_solved_map_is_exact_on_its_points():
    source, target = np.random.default_rng(0).uniform(0, 500, (2, 512, 3, 2)).astype(np.float32)
    models = np.asarray(affine.solve(jnp.array(source), jnp.array(target)))
    area = np.abs(np.linalg.det(source[:, 1:] - source[:, :1]))
    mapped = np.einsum("sij,spj->spi", models[..., :2], source) + models[:, None, :, 2]
    assert np.abs(mapped - target)[area > 2000].max() < 0.5


def test_fit_is_least_squares():
    matches, true = matches_with(100, 0.7, noise=3.0)
    points = jnp.array(matches.query), jnp.array(matches.database)
    ours = affine.fit(*points, jnp.array(true))
    design = np.c_[matches.query, np.ones(100)][true].astype(float)
    expected = np.linalg.lstsq(design, matches.database[true], rcond=None)[0].T
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("linear", "plausible"),
    [
        (np.eye(2), True),
        (4 * np.eye(2), True),
        (np.diag([7.9, 0.13]), True),
        (np.diag([8.1, 1.0]), False),
        (np.diag([1.0, 0.12]), False),
        (np.diag([2.0, 0.12]), False),
        (0.13 * np.eye(2), True),
        (np.diag([1.0, -1.0]), False),
        (np.array([[0.0, -1.0], [1.0, 0.0]]), True),  # a quarter turn
        (np.full((2, 2), np.nan), False),
    ],
)
def test_plausible_models(linear, plausible):
    model = jnp.array(np.c_[linear, [5.0, 5.0]][None], jnp.float32)
    assert bool(affine.is_plausible(model, 8.0)[0]) is plausible


def test_msac_prefers_close_inliers():
    points = np.float32([[0, 0], [10, 0], [0, 10], [500, 500]])
    shifts = np.float32([[0, 0], [0, 10], [0, 20.5], [0, 0]])
    identity = jnp.array([[[1, 0, 0], [0, 1, 0]]], jnp.float32)
    real = jnp.array([True, True, True, False])
    squared = affine.squared_residuals(identity, jnp.array(points), jnp.array(points + shifts))
    score = msac_score(jnp.where(real, squared / 20**2, 1))
    np.testing.assert_allclose(score, [1 + (1 - 0.25) + 0], rtol=1e-6)


# --- scales of features


def with_scales(matches, query, database):
    """Return matches with the same scales for all query and all database features."""
    shape = (len(matches), 2)
    return replace(matches, scales=np.broadcast_to(np.float32([query, database]), shape))


@pytest.mark.parametrize(("scale", "kept"), [(0.5, 40), (1.0, 20), (2.0, 10)])
def test_the_inlier_threshold_follows_the_scale_of_the_database_feature(scale, kept):
    random = np.random.default_rng(0)
    query = random.uniform(0, 600, (200, 2))
    shifts = np.zeros((200, 2))
    shifts[:40, 0] = np.linspace(1, 79, 40)  # pixels; no two agree on another map
    matches = matches_of(query, query + shifts)
    (found,) = verify([with_scales(matches, scale, scale)])
    assert found.inliers[40:].all()
    np.testing.assert_allclose(shifts[:40, 0][found.inliers[:40]].max(), kept, atol=4)
    (fixed,) = verify([with_scales(matches, scale, scale)], RansacConfig(scale_aware=False))
    np.testing.assert_allclose(shifts[:40, 0][fixed.inliers[:40]].max(), 20, atol=4)


@pytest.mark.parametrize(
    ("query", "database", "agree"),
    [(1, 0.5, True), (1, 1 / 3, True), (0.5, 0.5, True), (0.5, 1, False), (1, 0.2, False)],
)
def test_the_scales_of_a_match_must_agree_with_the_map(query, database, agree):
    # The map doubles all lengths, so a feature of scale 1 should match one of scale 1/2.
    points = np.random.default_rng(0).uniform(0, 300, (100, 2))
    matches = with_scales(matches_of(points, 2 * points), query, database)
    (found,) = verify([matches])
    assert found.num_inliers == (100 if agree else 0)
    (unaware,) = verify([matches], RansacConfig(scale_aware=False))
    assert unaware.num_inliers == 100


def test_inliers_do_not_depend_on_the_resolution_of_the_photos():
    matches, _ = matches_with(250, 0.3, seed=5, noise=6.0)
    scales = np.random.default_rng(0).choice([0.5, 0.7, 1.0, 1.4, 2.0], (250, 1))
    small = replace(matches, scales=np.repeat(scales, 2, axis=1).astype(np.float32))
    large = replace(
        small, query=4 * matches.query, database=4 * matches.database, scales=small.scales / 4
    )
    (one,), (other,) = verify([small]), verify([large])
    assert one.num_inliers > 50
    np.testing.assert_array_equal(one.inliers, other.inliers)


def test_without_scales_the_threshold_is_the_same_for_all_matches():
    matches, _ = matches_with(200, 0.5, noise=8.0)
    scaled = with_scales(matches, 2.0, 2.0)
    alone = [verify([each])[0].inliers for each in (matches, scaled)]
    fixed = RansacConfig(scale_aware=False)
    np.testing.assert_array_equal(alone[0], verify([matches], fixed)[0].inliers)
    assert alone[1].sum() < alone[0].sum()


def test_residuals_are_in_pixels():
    points = np.float32([[1, 2], [3, 4]])
    shift = jnp.array([[1, 0, 3], [0, 1, 4]], jnp.float32)
    squared = affine.squared_residuals(shift, jnp.array(points), jnp.array(points))
    np.testing.assert_allclose(squared, [25, 25])
