"""Check poolings against official values, limits and invariances, and the regions of R-MAC."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delfjax.models.pooling import (
    MAX_REGIONS,
    RMAC_EXTRA,
    pool,
    pool_regions,
    pooling_regions,
    rmac_regions,
)

KINDS = pytest.mark.parametrize("kind", ["mac", "gem", "rmac"])


def maps(seed, shape=(5, 7, 4)):
    return jnp.float32(np.random.default_rng(seed).gamma(1.0, size=shape))


def everywhere(values):
    return jnp.ones(values.shape[:2], bool)


# Oracle O13: four cells with two channels, and the expected values of the official tests.
FOUR = jnp.array([[[0.0, 1], [2, 3]], [[4, 5], [6, 7]]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("mac", [6, 7]), ("gem", [4.1601677, 4.9866314]), ("rmac", [6, 7])],
)
def test_pooling_equals_the_official_values(kind, expected):
    np.testing.assert_allclose(pool(FOUR, everywhere(FOUR), kind), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [([[0, 2], [1, -1]], [0.707107, 1.414214]), ([[1, 100], [1, 0]], [1.0, 70.710678])],
)
def test_gem_with_another_exponent_equals_the_official_values(cells, expected):
    values = jnp.float32(cells)[None]
    found = pool(values, everywhere(values), "gem", exponent=2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_gem_lies_between_mean_and_maximum(seed):
    values = maps(seed)
    mean, most = np.asarray(values).mean((0, 1)), np.asarray(values).max((0, 1))
    powers = [
        np.asarray(pool(values, everywhere(values), "gem", exponent=p)) for p in (1.0, 3.0, 300.0)
    ]
    np.testing.assert_allclose(powers[0], mean, rtol=1e-4)
    np.testing.assert_allclose(powers[2], most, rtol=0.02)
    assert (powers[1] >= mean - 1e-5).all()
    assert (powers[1] <= most + 1e-5).all()


@KINDS
def test_masked_cells_have_no_effect(kind):
    values, mask = maps(0), jnp.zeros((5, 7), bool).at[1:4, 2:6].set(True)
    found = pool(values, mask, kind)
    changed = jnp.where(mask[..., None], values, 1e6)
    np.testing.assert_array_equal(pool(changed, mask, kind), found)
    part = values[1:4, 2:6]
    np.testing.assert_allclose(pool(part, everywhere(part), kind), found, rtol=1e-5)


@KINDS
def test_descriptor_is_invariant_to_the_scale_of_the_maps(kind):
    values = maps(0)
    regions = jnp.array(pooling_regions(np.array([[0, 0, 5, 7]]), kind))
    one, other = (
        pool_regions(scale * values, regions, jnp.array(len(regions)), kind) for scale in (1, 50)
    )
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(one, other, atol=1e-5)


@KINDS
def test_padded_regions_have_no_effect(kind):
    values, regions = maps(0), pooling_regions(np.array([[0, 0, 5, 7]]), kind)
    padded = jnp.array(np.r_[regions, np.full((3, 4), 9)])
    one = pool_regions(values, jnp.array(regions), jnp.array(len(regions)), kind)
    other = pool_regions(values, padded, jnp.array(len(regions)), kind)
    np.testing.assert_array_equal(one, other)


def test_rmac_is_the_sum_of_the_normalized_maxima_of_its_regions():
    values, regions = maps(3), pooling_regions(np.array([[0, 0, 5, 7]]), "rmac")
    total = np.zeros(4)
    for top, left, height, width in regions:
        most = np.asarray(values[top : top + height, left : left + width]).max((0, 1))
        total += most / np.linalg.norm(most)
    found = pool_regions(values, jnp.array(regions), jnp.array(len(regions)), "rmac")
    np.testing.assert_allclose(found, total / np.linalg.norm(total), rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "count"), [((20, 20), 14), ((15, 20), 20), ((20, 15), 20), ((1, 1), 14)]
)
def test_number_of_rmac_regions(size, count):
    """A square map has 1 + 4 + 9 squares; a 4:3 map has one more along its long side at each level."""
    assert len(rmac_regions(*size)) == count


@given(st.integers(1, 60), st.integers(1, 60))
def test_rmac_regions_lie_inside_the_map_and_reach_its_ends(height, width):
    regions = np.array(rmac_regions(height, width))
    assert (regions[:, :2] >= 0).all()
    assert (regions[:, :2] + regions[:, 2:] <= (height, width)).all()
    assert (regions[:, 2] == regions[:, 3]).all()
    assert regions[0, 2] == min(height, width)
    if max(height, width) <= RMAC_EXTRA * min(height, width):
        largest = regions[regions[:, 2] == min(height, width)]
        assert ((largest[:, :2] + largest[:, 2:]).max(0) == (height, width)).all()
    assert len(regions) < MAX_REGIONS
    turned = {(x, y, side) for y, x, side, _ in rmac_regions(width, height)}
    assert {(y, x, side) for y, x, side, _ in regions.tolist()} == turned


@KINDS
def test_regions_contain_each_level_as_a_whole(kind):
    levels = np.array([[0, 0, 6, 8], [7, 0, 3, 4]])
    regions = pooling_regions(levels, kind).tolist()
    assert all(level in regions for level in levels.tolist())
    assert (len(regions) == 2) is (kind != "rmac")
